#!/usr/bin/env python3
"""Builds Negatoscope for Linux from the environment that launch.py made, without a network.

    python3 installer/build_linux.py [--variant cpu|cuda] [--out dist] [--only folder|deb|single]

Makes, in this order: the frozen folder with its third-party licences, the .deb, and the single self-extracting file.
Needs the tools patchelf, strip, readelf (binutils), dpkg-deb and xz. Research use only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import frozen_folder as frozen
import frozen_tools
import licences
import package_deb
import package_single

ROOT = Path(__file__).resolve().parents[1]
BUDGET_BYTES = {"cpu": 1_200_000_000, "cuda": 8_000_000_000}


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variant", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--venv", type=Path, default=Path(os.environ.get("NEGATOSCOPE_VENV", ROOT / ".venv")))
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument(
        "--only", choices=("folder", "deb", "single"), help="one step on a folder that is made"
    )
    parser.add_argument(
        "--fast", action="store_true", help="compress little or not at all: quicker and larger, for trials"
    )
    return parser.parse_args()


def check_variant(env: frozen.Environment, variant: str) -> None:
    """Refuse to call a build what it is not."""
    found = "cpu" if frozen.is_cpu(env) else "cuda"
    if found != variant:
        raise frozen_tools.BuildError(
            f"{env.site}: expected torch's {variant} build for --variant {variant}, found its {found} build; make an "
            f"environment with `python3 installer/launch.py{' --cuda' if variant == 'cuda' else ''} run doctor` and name it with --venv."
        )


def report_sizes(
    folder: Path, left: dict[str, int], variant: str, made: dict[str, Path], seconds: float
) -> None:
    """Print what the build weighs, write it down, and refuse a build over its budget."""
    site = next((folder / "runtime" / "lib").glob("python3.*")) / "site-packages"
    parts = {path.name: frozen_tools.size_of(path) for path in site.iterdir() if path.is_dir()}
    total = frozen_tools.size_of(folder)
    largest = dict(sorted(parts.items(), key=lambda item: -item[1])[:16])
    report = {
        "variant": variant,
        "machine": platform.machine(),
        "installed_bytes": total,
        "budget_bytes": BUDGET_BYTES[variant],
        "files": {name: path.stat().st_size for name, path in made.items()},
        "largest_packages": largest,
        "left_out": dict(sorted(left.items(), key=lambda item: -item[1])),
        "seconds": round(seconds),
    }
    (folder.parent / f"build-{variant}.json").write_text(
        json.dumps(report, indent=1) + "\n", encoding="utf-8"
    )
    frozen_tools.say(f"installed: {total / 1e6:.0f} MB of {BUDGET_BYTES[variant] / 1e6:.0f} MB")
    for name, size in largest.items():
        frozen_tools.say(f"  {name:28} {size / 1e6:7.1f} MB")
    for name, path in made.items():
        frozen_tools.say(f"{name}: {path.stat().st_size / 1e6:.0f} MB  {path}")
    if total > BUDGET_BYTES[variant]:
        raise frozen_tools.BuildError(f"{folder}: expected at most {BUDGET_BYTES[variant] / 1e6:.0f} MB, found {total / 1e6:.0f} MB; see build-{variant}.json.")  # fmt: skip


def build(options: argparse.Namespace) -> None:
    started = time.monotonic()
    out: Path = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    folder = out / f"negatoscope-{options.variant}"
    env = frozen.environment(options.venv.absolute())
    check_variant(env, options.variant)
    left: dict[str, int] = {}
    if options.only in (None, "folder"):
        left = frozen.make_folder(env, ROOT, folder, cpu=options.variant == "cpu")
        frozen_tools.say("licences of everything that is shipped")
        licences.write_third_party(folder, frozen.locked_distributions(env, ROOT / "installer"))
    elif not folder.is_dir():
        raise frozen_tools.BuildError(
            f"{folder}: expected the frozen folder, found none; run this without --only."
        )
    made: dict[str, Path] = {}
    version = frozen.program_version(ROOT)
    if options.only in (None, "deb"):
        made["deb"] = package_deb.make_deb(folder, out, version=version, variant=options.variant, linux=ROOT / "installer" / "linux", fast=options.fast)  # fmt: skip
    if options.only in (None, "single"):
        made["single"] = package_single.make_single(
            folder, out, version=version, variant=options.variant, fast=options.fast
        )
    report_sizes(folder, left, options.variant, made, time.monotonic() - started)


def main() -> int:
    try:
        build(parsed())
    except frozen_tools.BuildError as error:
        print(f"[build] {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
