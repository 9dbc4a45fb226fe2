"""The ROC figure: one curve for each level or model, in paper style or in the program's dark.

Draws only; the corners come from ``inference.metrics.roc_points``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from inference.evaluation.reliability import STYLES
from inference.evaluation.report import Question, level_units
from inference.evaluation.run_tables import EvaluationError, read_run
from inference.evaluation.truth import read_truth
from inference.evaluation.units import arrays
from inference.metrics import delong_auc, roc_points

# told apart by people who see colours otherwise and in a grey print too (Okabe and Ito 2008), with the dash beside
_COLOURS = {
    "paper": ("#0072B2", "#D55E00", "#009E73", "#CC79A7"),
    "dark": ("#E8B04A", "#56B4E9", "#7CC8A4", "#CC79A7"),
}
_DASHES = ("-", (0, (6, 2)), (0, (2, 2)), (0, (6, 2, 1, 2)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One curve: its words for the legend, (corners, 2) shares, and a point to mark (false, true) with its words."""

    words: str
    corners: NDArray[np.float64] = field(repr=False)
    marked: tuple[float, float] | None = None
    marked_words: str = ""


def roc_plot(path: Path, curves: Sequence[Curve], *, style: str, title: str) -> Path:
    """Write a ROC figure as PNG.

    Parameters
    ----------
    curves
        One to four; the first is drawn on top.
    style
        "dark" or "paper".

    Returns
    -------
    ``path``.
    """
    look = STYLES[style]
    figure = Figure(figsize=(5.6, 5.9), dpi=160, facecolor=look.ground)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.12, 0.09, 0.85, 0.82))
    axes.plot([0, 1], [0, 1], color=look.quiet, linewidth=1, linestyle=(0, (4, 4)))
    for number, curve in reversed(list(enumerate(curves))):
        colour = _COLOURS[style][number % 4]
        axes.plot(
            *curve.corners.T, color=colour, linestyle=_DASHES[number % 4], linewidth=1.8, label=curve.words,
            solid_joinstyle="miter", clip_on=False, zorder=4 - number,
        )  # fmt: skip
        if curve.marked is not None:
            axes.plot(
                *curve.marked, color=colour, marker="o", markersize=7, markerfacecolor=look.field, markeredgewidth=1.6,
                linestyle="none", label=curve.marked_words, clip_on=False, zorder=5,
            )  # fmt: skip
    axes.set(xlim=(-0.005, 1.005), ylim=(-0.005, 1.005), aspect="equal", facecolor=look.field)
    axes.set_xlabel("1 - specificity", color=look.text)
    axes.set_ylabel("sensitivity", color=look.text)
    axes.set_title(title, color=look.text, fontsize=10, loc="left")
    axes.tick_params(colors=look.quiet, labelsize=8)
    axes.grid(color=look.line, linewidth=0.6)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_color(look.line)
    lines, words = axes.get_legend_handles_labels()
    legend = axes.legend(lines[::-1], words[::-1], loc="lower right", fontsize=8, frameon=False)
    for text in legend.get_texts():
        text.set_color(look.text)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, facecolor=look.ground)
    return path


def roc_of_run(question: Question, path: Path) -> tuple[Path, Path]:
    """Draw the ROC of every level that a run scored, with the point of 0.5: in paper style and beside it dark.

    Raises
    ------
    UserFacingError
        A table is wrong, or no level has both malignant and other cases.
    """
    truth = read_truth(question.manifest, question.lesions, kinds=question.kinds, split=question.split)
    units, _ = level_units(truth, read_run(question.run), question.negatives)
    curves = []
    for level in ("exam", "breast", "view", "lesion"):
        flags, scores = arrays(units.get(level, []))
        if not len(flags) or flags.all() or not flags.any():
            continue
        called = scores >= 0.5
        curves.append(
            Curve(
                words=f"{level} ({int(flags.sum())} / {int((~flags).sum())}): AUC {delong_auc(flags, scores)}",
                corners=roc_points(flags, scores),
                marked=(float(called[~flags].mean()), float(called[flags].mean())),
                marked_words=f"{level} at 0.5",
            )
        )
    if not curves:
        raise EvaluationError(
            f"{question.run.name}: expected a level with scores of malignant and of other cases to draw a ROC of, found "
            "none; name a manifest with both."
        )
    dark = path.with_name(f"{path.stem}-dark.png")
    for place, style in ((path, "paper"), (dark, "dark")):
        roc_plot(place, curves, style=style, title=f"{question.run.name} on {question.manifest.name}")
    return path, dark
