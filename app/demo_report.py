"""A plain page about the unseen demo run: how many readings, how long, what was exported. No statistics."""

from __future__ import annotations

import csv
import html
import statistics
from collections.abc import Sequence
from pathlib import Path

from reader_study.domain.study import Study

STYLE = (
    "body{background:#121416;color:#c9cdd2;font:15px Inter,system-ui,sans-serif;max-width:1100px;margin:40px auto;padding:0 24px}"
    "h1,h2{font-weight:600}td,th{padding:4px 16px 4px 0;text-align:left;font-variant-numeric:tabular-nums}"
    "th{color:#8a9199;font-weight:500}img{width:100%;border:1px solid #2a2e33;margin:6px 0 22px}.warn{color:#e8b04a}"
)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _times(rows: Sequence[dict[str, str]], arm_id: str) -> str:
    seconds = [float(row["raw_s"]) for row in rows if row["arm_id"] == arm_id and row.get("raw_s")]
    if not seconds:
        return "–"
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f}–{max(seconds):.2f})"


def write_report(study: Study, exports: Path, shots: Sequence[Path], page: Path) -> Path:
    """Write one HTML page beside the screenshots; every figure in it comes from the exported tables."""
    readings, times, findings = (
        _rows(exports / "readings.csv"),
        _rows(exports / "times.csv"),
        _rows(exports / "findings.csv"),
    )
    lines = "".join(
        f"<tr><td>{html.escape(arm.title)}</td><td>{sum(r['arm_id'] == arm.arm_id for r in readings)}</td>"
        f"<td>{sum(f['arm_id'] == arm.arm_id for f in findings)}</td><td>{_times(times, arm.arm_id)}</td></tr>"
        for arm in study.arms
    )
    pictures = "".join(
        f"<p>{html.escape(shot.stem)}</p><img src='{html.escape(str(shot.relative_to(page.parent)))}' alt='{html.escape(shot.stem)}'>"
        for shot in shots
    )
    page.write_text(
        f"<!doctype html><meta charset='utf-8'><title>{html.escape(study.title)}</title><style>{STYLE}</style>"
        f"<h1>{html.escape(study.title)}</h1><p class='warn'>Research use only. Read by a simulated reader that knows no truth, "
        "with a washout of 0 days: the figures show that the machinery works and mean nothing else.</p>"
        f"<p>Study {html.escape(study.study_id)}, {len(study.cases)} cases, seed {study.seed}.</p>"
        "<table><tr><th>Arm</th><th>Readings</th><th>Marks</th><th>Time first paint to submit, s: median (min–max)</th></tr>"
        f"{lines}</table><h2>Screens</h2>{pictures}",
        encoding="utf-8",
    )
    return page
