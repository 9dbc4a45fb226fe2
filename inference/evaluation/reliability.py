"""The reliability plot: share of cancers against probability, in the program's dark and in paper style.

Draws only; bins and figures come from ``inference.evaluation.calibration``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from inference.evaluation.calibration import brier, expected_calibration_error, log_loss, reliability_bins


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """Colours of a plot."""

    ground: str
    field: str
    text: str
    quiet: str
    line: str
    before: str
    after: str


STYLES = {
    "dark": Style(
        ground="#121416", field="#0C0E0F", text="#C9CDD2", quiet="#8A9199", line="#2A2E33",
        before="#8A9199", after="#E8B04A",
    ),
    "paper": Style(
        ground="#FFFFFF", field="#FFFFFF", text="#1A1A1A", quiet="#5A5A5A", line="#D0D0D0",
        before="#8C8C8C", after="#00629B",
    ),
}  # fmt: skip


def reliability_plot(
    path: Path,
    truth: NDArray[np.bool_],
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    *,
    style: str,
    title: str,
    method: str,
    positive: str = "malignant",
) -> Path:
    """Write a reliability plot as PNG.

    Parameters
    ----------
    truth
        (n,) bool.
    before, after
        (n,) scores and calibrated probabilities, 0..1; ``after`` of cases the map was not fitted on.
    style
        "dark" or "paper".
    title, method
        What is shown, and the name of the calibration.
    positive
        The word for the cases that are true.

    Returns
    -------
    ``path``.
    """
    look = STYLES[style]
    figure = Figure(figsize=(5.6, 6.4), dpi=160, facecolor=look.ground)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        2, 1, height_ratios=(4.2, 1), hspace=0.12, left=0.13, right=0.97, top=0.92, bottom=0.09
    )
    axes, counts = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    axes.plot([0, 1], [0, 1], color=look.quiet, linewidth=1, linestyle=(0, (4, 4)))
    series = [("score", before, look.before, "s", -0.006), (method, after, look.after, "o", 0.006)]
    if method == "none":
        series = series[:1]
    for name, values, colour, marker, shift in series:
        bins = reliability_bins(truth, values)
        x = np.array([b.predicted for b in bins]) + shift
        y = np.array([b.observed for b in bins])
        # an observed 0 or 1 lies on the interval's edge, and rounding may put it a hair outside
        bars = np.maximum(
            0.0, np.array([[b.observed - b.lo for b in bins], [b.hi - b.observed for b in bins]])
        )
        label = (
            f"{name}: Brier {brier(truth, values):.3f}, log loss {log_loss(truth, values):.3f}, "
            f"ECE {expected_calibration_error(truth, values):.3f}"
        )
        axes.errorbar(
            x, y, yerr=bars, color=colour, marker=marker, markersize=5, linewidth=1.3, elinewidth=1,
            capsize=2.5, label=label,
        )  # fmt: skip
        if values is series[-1][1]:
            for b, at in zip(bins, x, strict=True):  # below the field, where no line crosses them
                axes.text(
                    at, -0.02, str(b.count), transform=axes.get_xaxis_transform(), color=look.quiet,
                    fontsize=7, ha="center", va="top",
                )  # fmt: skip
            axes.text(
                -0.02,
                -0.02,
                "n",
                transform=axes.transAxes,
                color=look.quiet,
                fontsize=7,
                ha="right",
                va="top",
            )
        counts.hist(values, bins=np.linspace(0, 1, 21).tolist(), color=colour, histtype="step", linewidth=1.3)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticklabels=[])
    axes.set_ylabel(f"share {positive} (95 % interval)")
    counts.set(xlim=(-0.02, 1.02), xlabel="probability", ylabel="cases")
    counts.set_yscale("symlog", linthresh=1)
    counts.set_yticks([0, 1, 10, 100] if len(truth) >= 20 else [0, 1, 10], labels=None)
    counts.yaxis.set_major_formatter("{x:g}")
    axes.set_title(
        f"{title}\n{int(truth.sum())} {positive}, {int((~truth).sum())} other",
        color=look.text,
        fontsize=10,
        loc="left",
    )
    legend = axes.legend(loc="upper left", fontsize=7.5, frameon=False)
    for text in legend.get_texts():
        text.set_color(look.text)
    for panel in (axes, counts):
        panel.set_facecolor(look.field)
        panel.tick_params(colors=look.quiet, labelsize=8, bottom=panel is counts)
        panel.xaxis.label.set_color(look.text)
        panel.yaxis.label.set_color(look.text)
        panel.grid(color=look.line, linewidth=0.6)
        panel.set_axisbelow(True)
        for spine in panel.spines.values():
            spine.set_color(look.line)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, facecolor=look.ground)
    return path
