#!/usr/bin/env python3
"""Writes docs/dependencies.md: every direct dependency with version, release date, licence and purpose, and the count of
indirect ones. Checks that the lock files are complete.

    .venv/bin/python installer/dependencies.py [--look-up]

With --look-up it asks PyPI for release dates, newer releases and known vulnerabilities of the direct dependencies (one
request each) and keeps the answers in installer/dependency_dates.json; without, it needs no network.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
import urllib.error
import urllib.request
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import frozen_folder as frozen
import licences

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ANSWERS = HERE / "dependency_dates.json"
PAGE = ROOT / "docs" / "dependencies.md"
LOCKS = (*frozen.LOCKS, "requirements-dev.lock")


def direct_names() -> dict[str, str]:
    """Return the direct dependencies of pyproject.toml and the group they belong to."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"program": project["dependencies"], **project["optional-dependencies"]}
    return {re.split(r"[<>=!~\[; ]", line)[0]: group for group, lines in groups.items() for line in lines}


def installed() -> dict[str, Distribution]:
    """Return this environment's packages by normalised name."""
    return {frozen.normalised(one.metadata["Name"]): one for one in distributions()}


def locked() -> dict[str, str]:
    """Return every locked package and its version, of all lock files."""
    found: dict[str, str] = {}
    for lock in LOCKS:
        for line in (HERE / lock).read_text(encoding="utf-8").splitlines():
            match = re.match(r"([A-Za-z0-9_.\-]+)==([^\s;#]+)", line)
            if match:
                found[frozen.normalised(match[1])] = match[2]
    return found


def unlocked(names: dict[str, str], packages: dict[str, Distribution]) -> list[str]:
    """Return what locked packages need and no lock file names, e.g. 'typer needs pydantic'."""
    from packaging.requirements import Requirement

    wrong = []
    for name in sorted(names):
        for line in (packages[name].requires or ()) if name in packages else ():
            need = Requirement(line)
            if need.marker is not None and not need.marker.evaluate({"extra": ""}):
                continue
            if frozen.normalised(need.name) not in names:
                wrong.append(f"{name} needs {need.name}")
    return wrong


def look_up(names: dict[str, str], versions: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Ask PyPI for the release date of each pinned version, its newest release and what is known against that."""
    answers: dict[str, dict[str, Any]] = {}
    for name in names:
        try:
            with urllib.request.urlopen(f"https://pypi.org/pypi/{name}/json", timeout=20) as reply:
                plain = json.load(reply)
        except (urllib.error.URLError, TimeoutError, ValueError) as error:
            answers[name] = {"error": str(error)}
            continue
        files = plain["releases"].get(versions[frozen.normalised(name)].partition("+")[0]) or []
        answers[name] = {
            "released": min((file["upload_time"][:10] for file in files), default=""),
            "newest": plain["info"]["version"],
            "newest_vulnerabilities": [one["id"] for one in plain.get("vulnerabilities", ())],
        }
    return answers


def page(
    names: dict[str, str],
    versions: dict[str, str],
    packages: dict[str, Distribution],
    answers: dict[str, dict[str, Any]],
) -> str:
    """Return the page."""
    purposes = json.loads((HERE / "dependency_purposes.json").read_text(encoding="utf-8"))
    lines = [
        "# Dependencies",
        "",
        "Made by `installer/dependencies.py`; research use only. Versions are those of the lock files in `installer/`.",
        "",
        "| package | group | version | released | licence | purpose |",
        "|---|---|---|---|---|---|",
    ]
    for name, group in names.items():
        key = frozen.normalised(name)
        licence = licences.of_package(packages[key]).licence if key in packages else "not installed"
        released = answers.get(name, {}).get("released") or "-"
        lines.append(
            f"| {name} | {group} | {versions.get(key, '-')} | {released} | {licence} | {purposes.get(name, '')} |"
        )
    others = sorted(set(versions) - {frozen.normalised(name) for name in names})
    lines += [
        "",
        f"## Indirect and test dependencies ({len(others)})",
        "",
        ", ".join(f"{n} {versions[n]}" for n in others),
        "",
    ]
    newer = [f"{n} {a['newest']}" for n, a in answers.items() if a.get("newest") and a["newest"] != versions.get(frozen.normalised(n))]  # fmt: skip
    known = [
        f"{n}: {', '.join(a['newest_vulnerabilities'])}"
        for n, a in answers.items()
        if a.get("newest_vulnerabilities")
    ]
    lines += [
        "## Newer releases at the last look-up",
        "",
        ", ".join(newer) or "none, or not looked up",
        "",
        "## Known vulnerabilities of the newest releases at the last look-up",
        "",
        "; ".join(known) or "none told by PyPI",
        "",
        *_PROCEDURE,
    ]
    return "\n".join(lines)


_PROCEDURE = (
    "## Audit",
    "",
    "Before a release, on a machine that reaches PyPI and OSV:",
    "",
    "1. `pip-audit --no-deps --disable-pip -r installer/requirements.lock` and the same for `requirements-torch.lock`, with",
    "   `-s osv` as the second source. A package that pip-audit *skips* (“not found on PyPI”) was **not** audited: the run",
    "   counts only when nothing is skipped.",
    "2. `installer/dependencies.py --look-up`, and read what is newer. OpenSSL, libpng, libtiff, libwebp, FFmpeg and",
    "   OpenJPEG travel inside the wheels of opencv-python-headless, pillow and imagecodecs: a fix of theirs is a new wheel.",
    "3. The licences: `installer/build_linux.py` refuses a build with a GPL or AGPL part and lists it.",
    "4. A finding that concerns what the program calls is mended by a new pin and a release; others are listed here.",
    "",
    "What the program calls matters: of OpenCV only arithmetic on arrays (no file or video decoder), of Pillow nothing",
    "directly, of the network packages only what PACS connections need, which are off until somebody sets one up.",
    "",
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--look-up", action="store_true")
    options = parser.parse_args()
    names, versions, packages = direct_names(), locked(), installed()
    if options.look_up:
        ANSWERS.write_text(json.dumps(look_up(names, versions), indent=1) + "\n", encoding="utf-8")
    answers = json.loads(ANSWERS.read_text(encoding="utf-8")) if ANSWERS.exists() else {}
    PAGE.write_text(page(names, versions, packages, answers), encoding="utf-8")
    wrong = unlocked(versions, packages)
    for line in wrong:
        print(f"[dependencies] {line}, and no lock file has it", file=sys.stderr)
    print(f"[dependencies] {len(names)} direct, {len(versions)} in all: {PAGE.relative_to(ROOT)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
