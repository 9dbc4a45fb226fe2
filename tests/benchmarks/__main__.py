"""``python -m tests.benchmarks [--json FILE] [PART ...]``: prints a table and JSON of every figure with
its target.

PART is display, hanging, decoding, storage, start, study_scale, times or ai_reading; none = all. The exit code is 0 even where a target is missed:
these are
measurements on a machine that other programs share, not tests. ``hostile --count N --seed N`` is apart: spoiled files.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import argparse
import importlib
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.measure import Row, frame_copy_ms, not_run, screen_copy_ms

PARTS = ("display", "hanging", "decoding", "storage", "start", "study_scale", "times", "ai_reading")


def _part(name: str, f_ms: float, c_ms: float) -> list[Row]:
    arguments = {
        "display": (f_ms, c_ms),
        "hanging": (),
        "decoding": (f_ms,),
        "storage": (),
        "start": (),
        "study_scale": (),
        "times": (),
        "ai_reading": (),
    }[name]
    try:
        rows: list[Row] = importlib.import_module(f"tests.benchmarks.{name}").run(*arguments)
    except Exception as error:  # one part that cannot run must not hide the others
        return [not_run(name, f"{type(error).__name__}: {error}")]
    return rows


def _table(rows: list[Row]) -> Table:
    table = Table("operation", "ms", "ratio", "unit", "target", "stretch", "verdict")

    def figure(value: float | None) -> str:
        return "" if value is None else f"{value:.2f}"

    for row in rows:
        target, stretch = (("" if v is None else f"{v:g}") for v in (row.target, row.stretch))
        table.add_row(
            row.operation, figure(row.ms), figure(row.ratio), row.unit, target, stretch, row.verdict
        )
    return table


def main(argv: list[str]) -> int:
    """Run the chosen parts and print."""
    if argv[:1] == ["hostile"]:  # a run of its own, by hand: it takes an hour
        from tests.benchmarks import hostile

        return hostile.main(argv[1:])
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--json", type=Path, help="also write the JSON to this file")
    options = parser.parse_args(argv)
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"expected {', '.join(PARTS)}, found {', '.join(sorted(unknown))}")
    from PySide6.QtWidgets import QApplication

    _app = QApplication.instance() or QApplication([])
    f_ms, c_ms = frame_copy_ms(), screen_copy_ms()
    rows = [
        Row(operation="F: copy of one decoded frame", ms=f_ms),
        Row(operation="C: copy of all visible pixels", ms=c_ms),
    ]
    for name in options.parts or PARTS:
        rows += _part(name, f_ms, c_ms)
    text = json.dumps([row.as_dict() for row in rows], indent=1)
    if options.json is not None:
        options.json.write_text(text + "\n", encoding="utf-8")
    print(text)
    Console(width=140).print(_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
