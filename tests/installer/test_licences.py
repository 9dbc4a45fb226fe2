"""What may be shipped: permissive, LGPL and MPL; no GPL, no AGPL, nothing unknown."""

from __future__ import annotations

import re
import shutil
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("licence", "refused"),
    [
        ("MIT", False),
        ("LGPL-3.0-only", False),
        ("LGPL-2.1-or-later", False),
        ("MPL-2.0 AND MIT", False),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", False),
        ("LGPL-3.0-only OR GPL-2.0-only OR GPL-3.0-only", False),
        ("GPL-2.0-only", True),
        ("GPLv3", True),
        ("AGPL-3.0-only", True),
        ("MIT AND GPL-2.0-or-later", True),
        ("GPL-2.0-only OR AGPL-3.0-only", True),
        ("GNU General Public License v3 (GPLv3)", True),
    ],
)
def test_gpl_and_agpl_are_refused_and_choices_and_exceptions_are_not(licence: str, refused: bool) -> None:
    import licences

    assert licences.is_refused(licence) is refused


def test_metadata_is_read_in_its_three_ways() -> None:
    import licences

    def metadata(**fields: str) -> Message:
        made = Message()
        for name, value in fields.items():
            made[name.replace("_", "-")] = value
        return made

    assert licences.licence_of(metadata(License_Expression="BSD-3-Clause", License="GPL")) == "BSD-3-Clause"
    assert licences.licence_of(metadata(Classifier="License :: OSI Approved :: MIT License")) == "MIT"
    assert licences.licence_of(metadata(License="Apache 2.0")) == "Apache-2.0"
    assert licences.licence_of(metadata(License="Permission is hereby\ngranted")) == "unknown"
    assert licences.licence_of(metadata()) == "unknown"


def test_every_locked_package_has_a_licence_that_may_be_shipped() -> None:
    import dependencies
    import frozen_folder
    import licences

    packages = dependencies.installed()
    names = frozen_folder.locked_names(ROOT / "installer")
    wrong = {
        name: licences.of_package(packages[name]).licence
        for name in names
        if name in packages
        and (
            (found := licences.of_package(packages[name]).licence) == "unknown" or licences.is_refused(found)
        )
    }
    assert wrong == {}


def test_a_library_of_no_known_licence_stops_the_build(tmp_path: Path) -> None:
    import frozen_tools
    import licences

    library = tmp_path / "some.libs" / "libunheardof-1234.so.1"
    library.parent.mkdir()
    shutil.copy("/bin/true", library)  # any ELF file
    with pytest.raises(frozen_tools.BuildError, match="libunheardof"):
        licences.of_libraries(tmp_path)


def test_an_ffmpeg_built_with_gpl_parts_is_found_out(tmp_path: Path) -> None:
    import licences

    library = tmp_path / "cv.libs" / "libavcodec-1234.so.62"
    library.parent.mkdir()
    library.write_bytes(Path("/bin/true").read_bytes() + b"--enable-shared --enable-gpl --enable-libx264")
    library.chmod(0o755)
    (found,) = licences.of_libraries(tmp_path)
    assert licences.is_refused(found.licence)


def test_what_locked_packages_need_is_locked() -> None:
    import dependencies

    assert dependencies.unlocked(dependencies.locked(), dependencies.installed()) == []


def test_the_page_of_dependencies_names_all_direct_ones_at_their_pinned_version() -> None:
    import dependencies

    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([\w.-]+) \| \w+ \| ([^ |]+) \|", text, re.M))
    versions = dependencies.locked()
    import frozen_folder

    for name in dependencies.direct_names():
        assert rows.get(name) == versions[frozen_folder.normalised(name)], (
            f"{name}: run installer/dependencies.py"
        )
