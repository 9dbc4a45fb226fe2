#!/usr/bin/env python3
"""Start of the frozen build against the start from source: the same code by turns, medians and their ratio.

    python3 installer/measure_start.py dist/negatoscope-cpu [--runs 7]

Measures a fresh process to its first painted window and to the main window (tests/benchmarks/start.py). The budget is
twice the source's start; exit code 1 beyond it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST = 2.0


def code_of(name: str) -> str:
    """Return a program text of the start benchmark without importing its neighbours."""
    import ast

    tree = ast.parse((ROOT / "tests" / "benchmarks" / "start.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id == name
        ):
            return str(ast.literal_eval(node.value))
    raise SystemExit(f"tests/benchmarks/start.py: expected {name}, found none")


def first_ms(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([*command, "-c", code_of("_FIRST")], check=True, capture_output=True, cwd=ROOT)
    return 1e3 * (time.perf_counter() - start)


def whole_ms(command: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*command, "-c", code_of("_WHOLE"), folder], check=True, capture_output=True, text=True, cwd=ROOT
        )
    return float(json.loads(done.stdout.splitlines()[-1])[0])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--venv", type=Path, default=Path(os.environ.get("NEGATOSCOPE_VENV", ROOT / ".venv")))
    options = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    frozen = [str(next((options.folder / "runtime" / "bin").glob("python3*"))), "-I", "-X", "utf8"]
    source = [str(options.venv / "bin" / "python")]
    worst = 0.0
    for title, measure in (("first window", first_ms), ("main window", whole_ms)):
        times: dict[str, list[float]] = {"source": [], "frozen": []}
        for _ in range(options.runs):
            for name, command in (("source", source), ("frozen", frozen)):
                times[name].append(measure(command))
        before, after = (statistics.median(times[name]) for name in ("source", "frozen"))
        worst = max(worst, after / before)
        print(
            f"{title:13} source {before:6.0f} ms   frozen {after:6.0f} ms   ratio {after / before:.2f} (at most {MOST})"
        )
    return 0 if worst <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
