"""The compiled libraries of the frozen folder: which come along, which are linked to nothing, which carry symbols."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from frozen_tools import run

# Small libraries that a bare desktop may lack, or that Debian renames between releases: they travel along.
TRAVELLING = re.compile(
    r"lib(ssl|crypto|sqlite3|ffi|lzma|bz2|uuid|expat|z|xcb-cursor|xcb-icccm|xcb-image|xcb-keysyms|xcb-render-util"
    r"|xcb-util|xcb-xinerama|xcb-xkb|xkbcommon-x11|X11-xcb|zstd)\.so[.\d]*"
)


def binaries(folder: Path) -> list[Path]:
    """All ELF files below a folder."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and (".so" in path.name or os.access(path, os.X_OK)):
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    found.append(path)
    return sorted(found)


def _read_elf(option: str, paths: Iterable[Path]) -> str:
    """What readelf prints of many binaries, some hundred in one call."""
    names = [str(path) for path in paths]
    return "".join(run("readelf", "-W", option, *names[at : at + 200]) for at in range(0, len(names), 200))


def needed(paths: Iterable[Path]) -> set[str]:
    """The names of the libraries that any of the binaries is linked to."""
    return set(re.findall(r"\(NEEDED\).*\[(.+?)\]", _read_elf("-d", paths)))


def glibc_needed(folder: Path) -> str:
    """Return the newest glibc version that a binary of the folder asks for, e.g. '2.36'."""
    asked = re.findall(r"GLIBC_(\d+)\.(\d+)", _read_elf("-V", binaries(folder)))
    return ".".join(map(str, max({(2, 17), *((int(major), int(minor)) for major, minor in asked)})))


def outside(folder: Path) -> tuple[dict[str, Path], dict[str, list[str]]]:
    """Return the libraries of this system that binaries of the folder load, and those that are nowhere, by user."""
    inside = {path.name for path in binaries(folder)}
    found: dict[str, Path] = {}
    missing: dict[str, list[str]] = {}
    for path in binaries(folder):
        text = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False).stdout
        for name, where in re.findall(r"^\s*(\S+) => (not found|/\S+)", text, re.M):
            if where == "not found":
                if name not in inside:
                    missing.setdefault(name, []).append(path.relative_to(folder).as_posix())
            elif not Path(where).resolve().is_relative_to(folder.resolve()):
                found[name] = Path(where)
    return found, missing


def bring_libraries(runtime: Path, library: Path) -> None:
    """Copy the travelling libraries of this system into the runtime and let their users find them there."""
    target = runtime / "lib"
    for name, where in outside(runtime)[0].items():
        if TRAVELLING.fullmatch(name):
            shutil.copy2(where.resolve(), target / name)
            (target / name).chmod(0o755)
            run("patchelf", "--set-rpath", "$ORIGIN", target / name)
    for module in (library / "lib-dynload").glob("*.so"):
        run("patchelf", "--set-rpath", "$ORIGIN/../..", module)
    qt = library / "site-packages" / "PySide6" / "Qt" / "lib"
    for name in sorted(
        path.name for path in target.glob("lib*.so*") if re.match(r"lib(xcb|xkb|X11|z\.|zstd)", path.name)
    ):
        (qt / name).symlink_to(os.path.relpath(target / name, qt))


def drop_unreached(runtime: Path) -> int:
    """Remove libraries in folders of libraries (``*.libs``, Qt/lib) that no kept binary is linked to."""
    gone = 0
    while True:
        everything = binaries(runtime)
        wanted = needed(everything)
        spare = [
            path
            for path in everything
            if (path.parent.name.endswith(".libs") or path.parent.as_posix().endswith("PySide6/Qt/lib"))
            and path.name not in wanted
        ]
        if not spare:
            return gone
        for path in spare:
            gone += path.stat().st_size
            path.unlink()


def strip_symbols(site: Path, runtime: Path) -> int:
    """Strip extension modules and torch's libraries; one that no longer loads afterwards is left as it came.

    Wheels' own libraries (``*.libs``) are not touched: their tool moved sections, which strip may break.
    """
    stripped: dict[Path, bytes] = {}
    for path in binaries(site):
        if path.parent.name.endswith(".libs") or "PySide6" in path.parts or ".so" not in path.name:
            continue
        before = path.read_bytes()
        run("strip", "--strip-unneeded", path)
        if path.stat().st_size > 0.97 * len(before):
            path.write_bytes(before)
        else:
            stripped[path] = before
    broken = _not_loading(runtime, stripped)
    for path in broken:
        path.write_bytes(stripped[path])
    return sum(len(before) - path.stat().st_size for path, before in stripped.items())


_TRY_LOADING = """
import ctypes, os, sys
for path in sys.stdin.read().splitlines():
    child = os.fork()  # a library may end its process, and each is tried as if it were the first
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            ctypes.CDLL(path)
        except OSError as error:
            os._exit(3 if 'ELF' in str(error) or 'align' in str(error) else 0)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3:
        print(path)
"""


def _not_loading(runtime: Path, libraries: Iterable[Path]) -> list[Path]:
    """Return those that the loader refuses for their form; a missing symbol of a neighbour is no fault of theirs."""
    python = next((runtime / "bin").glob("python3*"))
    return [
        Path(line)
        for line in run(python, "-I", "-c", _TRY_LOADING, input="\n".join(map(str, libraries))).splitlines()
    ]
