r"""UNTESTED: written on Linux and never run. Makes a frozen folder on Windows and, with NSIS, an installer.

    py -3.11 installer\launch.py run doctor
    py -3.11 installer\windows\build_windows.py

Copies the installed Python (its folder can be moved on Windows), the locked packages and the program, and writes a
launcher; then calls makensis on negatoscope.nsi. Stops when a licence may not be shipped. Signs nothing.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))

import frozen_folder as frozen
import frozen_tools
import frozen_trim as trim
import licences

LAUNCHER = '@echo off\r\n"%~dp0runtime\\python.exe" -I -X utf8 -m app %*\r\n'
# Without a console window: the menu entry starts this one.
QUIET = 'CreateObject("WScript.Shell").Run """" & Replace(WScript.ScriptFullName, "negatoscope.vbs", "runtime\\pythonw.exe") & """ -I -X utf8 -m app start", 0\r\n'


def environment(venv: Path) -> frozen.Environment:
    """Describe the environment; on Windows the interpreter lies beside its libraries."""
    python = venv / "Scripts" / "python.exe"
    code = "import sys,sysconfig;print(sys.base_prefix);print('%d.%d'%sys.version_info[:2]);print(sysconfig.get_path('purelib'))"
    base, version, site = frozen_tools.run(python, "-c", code).splitlines()
    return frozen.Environment(python=python, base=Path(base), version=version, site=Path(site), shared=None)


def make_folder(env: frozen.Environment, out: Path) -> None:
    """Make the folder anew."""
    shutil.rmtree(out, ignore_errors=True)
    runtime = out / "runtime"
    drop = shutil.ignore_patterns("__pycache__", "test", "idlelib", "tkinter", "turtledemo", "ensurepip", "Scripts",
                                  "site-packages", "tcl", "Doc", "include", "libs", "Tools")  # fmt: skip
    shutil.copytree(env.base, runtime, ignore=drop)
    site = runtime / "Lib" / "site-packages"
    packages = frozen.locked_distributions(env, ROOT / "installer")
    for package in packages:
        for entry in package.files or ():
            source = Path(str(package.locate_file(entry)))
            name = entry.as_posix()
            if (
                name.startswith("..")
                or name.endswith(".pyc")
                or trim.is_left_out(name, cpu=True)
                or not source.is_file()
            ):
                continue
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, site / name)
    for room in frozen.ROOMS:
        shutil.copytree(ROOT / room, site / room, ignore=shutil.ignore_patterns("__pycache__"))
    (out / "negatoscope.cmd").write_text(LAUNCHER, encoding="ascii", newline="")
    (out / "negatoscope.vbs").write_text(QUIET, encoding="ascii", newline="")
    python = runtime / "python.exe"
    frozen_tools.run(
        python, "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", runtime / "Lib"
    )
    frozen_tools.run(python, "-I", "-c", frozen.IMPORT_ALL, site)
    shipped = [licences.of_package(package) for package in packages]
    refused = [one.name for one in shipped if licences.is_refused(one.licence) or one.licence == "unknown"]
    if refused:
        raise frozen_tools.BuildError(
            f"Licences: expected permissive ones, LGPL or MPL, found {', '.join(refused)}; leave these out."
        )
    rows = [f"{one.name} {one.version}  {one.licence}\n\n{one.text}\n" for one in shipped]
    (out / "THIRD-PARTY.txt").write_text("\n".join(rows), encoding="utf-8")


def main() -> int:
    if sys.platform != "win32":
        print("[build] expected Windows; on Linux run installer/build_linux.py", file=sys.stderr)
        return 2
    out = ROOT / "dist" / "negatoscope-windows"
    make_folder(environment(ROOT / ".venv"), out)
    version = frozen.program_version(ROOT)
    return subprocess.run(
        ["makensis", f"/DVERSION={version}", f"/DFOLDER={out}", str(HERE / "negatoscope.nsi")], check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
