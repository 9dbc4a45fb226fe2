"""Makes the frozen folder: an interpreter of its own, the locked packages and the program, trimmed and compiled.

Why no PyInstaller: a real interpreter needs no list of hidden imports, worker processes start as they do from source,
tracebacks name real lines, and no bootloader under the GPL is shipped. Linux; what is left out is ``frozen_trim``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

import frozen_libraries
import frozen_trim as trim
from frozen_tools import BuildError, run, say

ROOMS = ("app", "inference", "reader_study", "resources")
LOCKS = ("requirements.lock", "requirements-torch.lock")
LAUNCHER = """#!/bin/sh
# Negatoscope, research use only. Its own interpreter, isolated from the user's Python.
here=$(dirname "$(readlink -f "$0")")
exec "$here/../runtime/bin/{python}" -I -X utf8 -m app "$@"
"""


# Run inside the new folder: a module that was left out by mistake shows here, not at a hospital.
IMPORT_ALL = """
import importlib, pathlib, sys
site = pathlib.Path(sys.argv[1])
late = ("inference.models.vision_ops", "torch", "torchvision", "timm", "captum.attr", "matplotlib.backends.backend_svg",
        "statsmodels.api", "statsmodels.formula.api", "pandas", "openpyxl", "pg8000", "alembic.command", "highdicom",
        "pynetdicom", "dicomweb_client", "pyqtgraph", "sqlite3", "ssl", "multiprocessing.spawn", "PIL.Image", "scipy.optimize")
for name in late:
    importlib.import_module(name)
for room in ("resources", "reader_study", "inference", "app"):
    for path in sorted((site / room).rglob("*.py")):
        parts = path.relative_to(site).with_suffix("").parts
        if "migrations" in parts or parts[-1] == "__main__" or parts[:2] == ("inference", "training"):
            continue
        importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The environment a build is made from: its interpreter, its prefix, its packages."""

    python: Path
    base: Path
    version: str  # "3.11"
    site: Path
    shared: Path | None  # libpython, where the interpreter is linked to one


def environment(venv: Path) -> Environment:
    """Describe the environment in a virtual environment's folder."""
    python = venv / "bin" / "python"
    if not python.exists():
        raise BuildError(
            f"{venv}: expected a virtual environment, found none; run installer/launch.py once first."
        )
    code = (
        "import sys,sysconfig;c=sysconfig.get_config_var;print(sys.base_prefix);print('%d.%d'%sys.version_info[:2]);"
        "print(sysconfig.get_path('purelib'));print(c('LIBDIR') or '');print(c('INSTSONAME') or '')"
    )
    base, version, site, libdir, soname = run(python, "-c", code).splitlines()
    shared = Path(libdir) / soname if ".so" in soname else None
    return Environment(python=python, base=Path(base), version=version, site=Path(site), shared=shared)


def locked_names(installer: Path) -> dict[str, str]:
    """Return the packages of the lock files and their versions, by normalised name."""
    found: dict[str, str] = {}
    for lock in LOCKS:
        for line in (installer / lock).read_text(encoding="utf-8").splitlines():
            match = re.match(r"([A-Za-z0-9_.\-]+)==([^\s;#]+)", line)
            if match:
                found[normalised(match[1])] = match[2]
    return found


def normalised(name: str) -> str:
    """A package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked_distributions(env: Environment, installer: Path) -> list[Distribution]:
    """Return the installed packages that the lock files name; BuildError lists what is missing or other."""
    installed = {normalised(d.metadata["Name"]): d for d in distributions(path=[str(env.site)])}
    wrong, found = [], []
    for name, version in locked_names(installer).items():
        have = installed.get(name)
        if have is None or have.version.partition("+")[0] != version:
            wrong.append(f"{name} {version} (found {have.version if have else 'none'})")
        else:
            found.append(have)
    if wrong:
        raise BuildError(f"{env.site}: expected the locked packages, found others for {', '.join(wrong)}; run installer/launch.py again.")  # fmt: skip
    return found


def is_cpu(env: Environment) -> bool:
    """Whether the environment's torch is a build without CUDA."""
    text = (env.site / "torch" / "version.py").read_text(encoding="utf-8")
    return re.search(r"^cuda\b.*=\s*None", text, re.M) is not None


# ---------------------------------------------------------------- the folder


def make_folder(env: Environment, root: Path, out: Path, *, cpu: bool) -> dict[str, int]:
    """Make the folder anew.

    Returns
    -------
    Bytes left out, by reason.
    """
    if out.exists():
        shutil.rmtree(out)
    runtime = out / "runtime"
    library = runtime / "lib" / f"python{env.version}"
    site = library / "site-packages"
    say("interpreter and standard library")
    _copy_interpreter(env, runtime, library)
    say("locked packages")
    packages = locked_distributions(env, root / "installer")
    left = _copy_packages(env, packages, site, cpu=cpu)
    say("the program")
    _copy_program(root, site)
    left["codecs that the program does not call"] = _trim_imagecodecs(root, site)
    left["blanks in a table of 22 MB"] = _without_blanks(
        site / "highdicom" / "_standard" / "module_attribute_map.json"
    )
    left["debugging symbols"] = frozen_libraries.strip_symbols(site, runtime)
    say("libraries that travel along")
    frozen_libraries.bring_libraries(runtime, library)
    left["libraries that nothing is linked to"] = frozen_libraries.drop_unreached(runtime)
    _write_launcher(env, out)
    say("compiling")
    python = runtime / "bin" / f"python{env.version}"
    compile_all(python, library, site)
    say("importing every module of the program and what it imports late")
    run(python, "-I", "-c", IMPORT_ALL, site)
    return left


def _copy_interpreter(env: Environment, runtime: Path, library: Path) -> None:
    (runtime / "bin").mkdir(parents=True)
    binary = runtime / "bin" / f"python{env.version}"
    shutil.copy2(env.python.resolve(), binary)
    if env.shared is not None:
        library.mkdir(parents=True)
        shutil.copy2(env.shared, runtime / "lib" / env.shared.name)
        run("patchelf", "--set-rpath", "$ORIGIN/../lib", binary)
        run("strip", "--strip-unneeded", runtime / "lib" / env.shared.name)
    source = env.base / "lib" / f"python{env.version}"

    def left_out(folder: str, names: list[str]) -> set[str]:
        top = Path(folder) == source
        out = {n for n in names if n == "__pycache__" or n in {"tests", "test"} or n.startswith("config-")}
        if top:
            out |= {name for name in names if name in trim.STDLIB_LEFT_OUT}
        if Path(folder).name == "lib-dynload":
            out |= {name for name in names if trim.EXTENSIONS_LEFT_OUT.match(name)}
        return out

    shutil.copytree(source, library, ignore=left_out, dirs_exist_ok=True)
    for module in (library / "lib-dynload").glob("*.so"):
        run("strip", "--strip-unneeded", module)


def _copy_packages(
    env: Environment, packages: Iterable[Distribution], site: Path, *, cpu: bool
) -> dict[str, int]:
    left: dict[str, int] = {}
    for package in packages:
        for entry in package.files or ():
            source = Path(str(package.locate_file(entry)))
            name = os.path.relpath(source.resolve() if source.is_symlink() else source, env.site)
            if name.endswith(".pyc") or not source.is_file():
                continue
            why = "commands of the packages" if name.startswith("..") else trim.is_left_out(name, cpu=cpu)
            if why is not None:
                left[why] = left.get(why, 0) + source.stat().st_size
                continue
            target = site / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
            target.chmod(0o755 if ".so" in target.name or os.access(source, os.X_OK) else 0o644)
    return left


def program_version(root: Path) -> str:
    """The program's version, from pyproject.toml."""
    match = re.search(r'^version = "([^"]+)"', (root / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    if match is None:
        raise BuildError(f'{root / "pyproject.toml"}: expected a line version = "…", found none.')
    return match[1]


def _copy_program(root: Path, site: Path) -> None:
    for room in ROOMS:
        shutil.copytree(root / room, site / room, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    info = site / f"negatoscope-{program_version(root)}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: negatoscope\nVersion: {program_version(root)}\nLicense: Apache-2.0\n", encoding="utf-8"
    )  # fmt: skip


def _write_launcher(env: Environment, out: Path) -> None:
    launcher = out / "bin" / "negatoscope"
    launcher.parent.mkdir(parents=True)
    launcher.write_text(LAUNCHER.format(python=f"python{env.version}"), encoding="utf-8")
    launcher.chmod(0o755)


def _trim_imagecodecs(root: Path, site: Path) -> int:
    sources = [path for room in ROOMS for path in (root / room).rglob("*.py")]
    kept = trim.imagecodecs_modules(trim.imagecodecs_used(sources))
    gone = 0
    for module in (site / "imagecodecs").glob("_*.so"):
        if module.name.partition(".")[0] not in kept:
            gone += module.stat().st_size
            module.unlink()
    return gone


def _without_blanks(table: Path) -> int:
    if not table.exists():
        return 0
    before = table.stat().st_size
    table.write_text(
        json.dumps(json.loads(table.read_text(encoding="utf-8")), separators=(",", ":")), encoding="utf-8"
    )
    return before - table.stat().st_size


def compile_all(python: Path, library: Path, site: Path) -> None:
    """Compile everything without time stamps; sources stay where somebody reads them, else only what runs stays."""
    compiling = (python, "-I", "-m", "compileall", "-q", "-j", "1", "--invalidation-mode", "unchecked-hash")
    for entry in sorted(library.iterdir()):
        if entry.name not in {"site-packages", "lib-dynload"} and (entry.suffix == ".py" or entry.is_dir()):
            _compile_and_drop(compiling, entry)
    for entry in sorted(site.iterdir()):
        if entry.name in trim.SOURCE_KEPT:
            for part in trim.SOURCE_DROPPED:
                if part.startswith(f"{entry.name}/") and (site / part).is_dir():
                    _compile_and_drop(compiling, site / part)
            run(*compiling, entry)
        elif entry.suffix == ".py" or (entry.is_dir() and not entry.name.endswith(("-info", ".libs"))):
            _compile_and_drop(compiling, entry)


def _compile_and_drop(compiling: tuple[str | Path, ...], entry: Path) -> None:
    run(*compiling, "-b", entry)
    for source in [entry] if entry.is_file() else entry.rglob("*.py"):
        compiled = source.with_suffix(".pyc")
        if trim.READS_ITS_SOURCE.search(source.read_bytes()):
            compiled.unlink(missing_ok=True)
        elif compiled.exists():
            source.unlink()


if __name__ == "__main__":
    sys.exit("Run installer/build_linux.py.")
