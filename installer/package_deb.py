"""Packs the frozen folder as a Debian package: /opt/negatoscope, a command, a menu entry, an icon, a manual page.

No maintainer scripts: menus, MIME types and icons are refreshed by dpkg's own triggers. What it depends on is read
from the binaries, not from a list kept by hand.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
from pathlib import Path

import frozen_libraries
import frozen_tools

PREFIX = Path("opt") / "negatoscope"
# Names that Debian 13 and Ubuntu 24.04 changed for the 64-bit time_t.
RENAMED = {
    "libglib2.0-0": "libglib2.0-0t64 | libglib2.0-0",
    "libglib2.0-0t64": "libglib2.0-0t64 | libglib2.0-0",
}
# Loaded by name while running, so no binary names them.
BY_NAME = ("fontconfig", "fonts-inter | fonts-dejavu-core | fonts-noto-core", "xkb-data")
RECOMMENDED = ("fonts-noto-cjk", "ca-certificates")


def depends(runtime: Path) -> list[str]:
    """Return the Debian packages of the libraries that binaries of the folder are linked to directly.

    Raises
    ------
    BuildError
        A library is nowhere on this system or belongs to no package.
    """
    found, missing = frozen_libraries.outside(runtime)
    if missing:
        lines = "; ".join(f"{name} (for {users[0]})" for name, users in sorted(missing.items()))
        raise frozen_tools.BuildError(f"Libraries: expected all on this system, found none of {lines}; install their packages or leave their users out.")  # fmt: skip
    direct = frozen_libraries.needed(frozen_libraries.binaries(runtime))
    packages = {_package_of(where) for name, where in found.items() if name in direct}
    packages.discard("libc6")
    return sorted({RENAMED.get(package, package) for package in packages})


def _package_of(library: Path) -> str:
    for path in (library, library.resolve(), Path("/usr") / library.relative_to("/")):
        try:
            return frozen_tools.run("dpkg", "-S", path).split(":")[0].split(",")[0]
        except frozen_tools.BuildError:
            continue
    raise frozen_tools.BuildError(f"{library}: expected a library of a Debian package, found none that owns it; remove it or let it travel along.")  # fmt: skip


def control(*, version: str, variant: str, size_bytes: int, needs: list[str]) -> str:
    """Return the package's control file."""
    name = "negatoscope" if variant == "cpu" else f"negatoscope-{variant}"
    other = "negatoscope-cuda" if variant == "cpu" else "negatoscope"
    architecture = frozen_tools.run("dpkg", "--print-architecture").strip()
    return (
        f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nSection: science\nPriority: optional\n"
        f"Maintainer: Negatoscope project <negatoscope@localhost.invalid>\nInstalled-Size: {size_bytes // 1024}\n"
        f"Depends: {', '.join(needs)}\nRecommends: {', '.join(RECOMMENDED)}\n"
        f"Conflicts: {other}\nReplaces: {other}\n"
        "Description: mammography workstation with a local AI and reader studies\n"
        " Reads four-view mammograms and contrast-enhanced pairs, runs randomised reader\n"
        " studies of aided and unaided reading, and analyses them. Research use only.\n"
        f" This is the build for {'the CPU' if variant == 'cpu' else 'NVIDIA GPUs'}. It sends nothing anywhere.\n"
    )


def make_deb(folder: Path, out: Path, *, version: str, variant: str, linux: Path, fast: bool = False) -> Path:
    """Make the package; the folder itself is hard-linked into it, not copied. zstd: dpkg reads it from Debian 12 on."""
    frozen_tools.say("Debian package")
    stage = out / f"deb-{variant}"
    if stage.exists():
        shutil.rmtree(stage)
    shutil.copytree(folder, stage / PREFIX, symlinks=True, copy_function=os.link)
    _system_files(stage, linux)
    needs = [f"libc6 (>= {frozen_libraries.glibc_needed(folder)})", *depends(folder / "runtime"), *BY_NAME]
    text = control(version=version, variant=variant, size_bytes=frozen_tools.size_of(folder), needs=needs)
    (stage / "DEBIAN").mkdir()
    (stage / "DEBIAN" / "control").write_text(text, encoding="utf-8")
    for path in (stage, *stage.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    architecture = re.search(r"^Architecture: (\S+)", text, re.M)
    assert architecture is not None
    name = text.split("\n", 1)[0].removeprefix("Package: ")
    target = out / f"{name}_{version}_{architecture[1]}.deb"
    frozen_tools.run(
        "dpkg-deb", "--root-owner-group", "-Zzstd", "-z1" if fast else "-z15", "--build", stage, target
    )
    shutil.rmtree(stage)
    return target


def _system_files(stage: Path, linux: Path) -> None:
    usr = stage / "usr"
    for source, folder in (
        ("negatoscope.desktop", "share/applications"),
        ("negatoscope-open.desktop", "share/applications"),
        ("negatoscope.svg", "share/icons/hicolor/scalable/apps"),
    ):
        (usr / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(linux / source, usr / folder / source)
    manual = usr / "share" / "man" / "man1" / "negatoscope.1.gz"
    manual.parent.mkdir(parents=True)
    manual.write_bytes(gzip.compress((linux / "negatoscope.1").read_bytes(), mtime=0))
    documents = usr / "share" / "doc" / "negatoscope"
    documents.mkdir(parents=True)
    shutil.copy(stage / PREFIX / "THIRD-PARTY.txt", documents / "copyright")
    (usr / "bin").mkdir()
    (usr / "bin" / "negatoscope").symlink_to(f"/{PREFIX.as_posix()}/bin/negatoscope")
