"""Figures as SVG: ROC with operating points, score distributions, wAFROC, times, flow. Matplotlib without a display."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from reader_study.report.inputs import FlowCounts, ReportInputs
from reader_study.report.page import Figure
from reader_study.statistics.froc import FrocData, wafroc_curve
from reader_study.statistics.ratings import Floats, Ratings
from reader_study.statistics.roc import auc, roc_curve
from reader_study.statistics.times import ReadTimes

# Okabe & Ito's colour-blind-safe set
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure as Canvas  # 0.5 s, only when a report is made

    return Canvas(figsize=(width, height), layout="constrained")


def _svg(canvas: Any) -> str:
    import matplotlib as mpl

    stream = io.StringIO()
    # text stays text (searchable, editable by a journal), and equal input gives an equal file
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "negatoscope", "font.family": "sans-serif", "font.size": 9}):  # fmt: skip
        canvas.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def average_curve(ratings: Ratings, i: int) -> tuple[Floats, Floats]:
    """Reader-averaged ROC along the lines of slope -1 (Swets & Pickett 1982, Chen & Samuelson 2014).

    Averaging along these diagonals treats sensitivity and specificity alike; its area is the mean of the readers'.
    """
    grid = np.linspace(-1.0, 1.0, 401)  # fpf - (1 - tpf) ... position along the rotated axis
    sums = np.zeros((2, len(grid)))
    for j in range(len(ratings.readers)):
        curve = roc_curve(ratings.scores[i, j], ratings.truth)
        along = curve.fpf + curve.tpf - 1.0
        across = curve.tpf - curve.fpf
        order = np.argsort(along, kind="stable")
        sums[0] += grid
        sums[1] += np.interp(grid, along[order], across[order])
    across = sums[1] / len(ratings.readers)
    return (grid + 1.0 - across) / 2, (grid + 1.0 + across) / 2


def roc_figure(inputs: ReportInputs) -> Figure:
    """Every reader's empirical ROC with its points, one panel an arm, and the reader average."""
    ratings = inputs.ratings
    count = len(ratings.modalities)
    canvas = _figure(4.2 * min(count, 3), 4.3 * ((count + 2) // 3))
    grid = canvas.subplots((count + 2) // 3, min(count, 3), squeeze=False)
    for i, arm in enumerate(ratings.modalities):
        axes = grid[i // 3][i % 3]
        for j, reader in enumerate(ratings.readers):
            curve = roc_curve(ratings.scores[i, j], ratings.truth)
            colour = COLOURS[j % len(COLOURS)]
            axes.plot(curve.fpf, curve.tpf, color=colour, lw=0.9, marker="o", ms=2.6, label=reader)
        mean = float(np.mean([auc(ratings.scores[i, j], ratings.truth) for j in range(len(ratings.readers))]))
        axes.plot(*average_curve(ratings, i), color="#1b1e22", lw=2, label=f"average, AUC {mean:.3f}")
        axes.plot([0, 1], [0, 1], color="#9aa2aa", lw=0.7, ls=":")
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal", title=arm,
                 xlabel="1 - specificity", ylabel="sensitivity")  # fmt: skip
        if len(ratings.readers) <= 10:
            axes.legend(frameon=False, fontsize=7, loc="lower right")
        _plain(axes)
    for k in range(count, grid.size):
        grid.flat[k].set_visible(False)
    return Figure(
        name="roc",
        title="Empirical ROC curves",
        svg=_svg(canvas),
        note="Dots are observed operating points. The average is taken along lines of slope -1, so its area is the mean of the readers' areas.",
    )


def distribution_figure(inputs: ReportInputs) -> Figure:
    """Ratings of cases with and without disease, by arm, all readers."""
    ratings = inputs.ratings
    canvas = _figure(7.2, 1.2 + 1.5 * len(ratings.modalities))
    grid = canvas.subplots(len(ratings.modalities), 1, squeeze=False, sharex=True)
    finite = ratings.scores[np.isfinite(ratings.scores)]
    values = np.unique(finite)
    bins: Any = np.linspace(finite.min(), finite.max(), 25)
    if len(values) <= 15:
        step = np.diff(values).min() if len(values) > 1 else 1.0
        bins = np.concatenate([values - step / 2, [values[-1] + step / 2]])
    for i, arm in enumerate(ratings.modalities):
        axes = grid[i][0]
        scores = ratings.scores[i]
        groups = [scores[:, ratings.truth == truth].ravel() for truth in (False, True)]
        groups = [group[np.isfinite(group)] for group in groups]
        weights = [np.full(len(group), 100.0 / max(len(group), 1)) for group in groups]
        axes.hist(
            groups, bins=bins, weights=weights, color=COLOURS[:2], label=["without disease", "with disease"]
        )
        axes.set(title=arm, ylabel="% of ratings")
        _plain(axes)
    grid[0][0].legend(frameon=False)
    grid[-1][0].set_xlabel(inputs.rating_name)
    return Figure(name="distributions", title="Distribution of ratings", svg=_svg(canvas),
                  note="Share of all readers' ratings; images without a mark are left out.")  # fmt: skip


def wafroc_figure(data: FrocData) -> Figure:
    """Every reader's wAFROC, one panel an arm."""
    canvas = _figure(4.2 * len(data.modalities), 4.3)
    grid = canvas.subplots(1, len(data.modalities), squeeze=False)
    for i, arm in enumerate(data.modalities):
        axes = grid[0][i]
        for j, reader in enumerate(data.readers):
            curve = wafroc_curve(data, i, j)
            axes.plot(
                curve.x[:-1],
                curve.y[:-1],
                color=COLOURS[j % len(COLOURS)],
                lw=1,
                marker="o",
                ms=2.4,
                label=reader,
            )
            axes.plot(curve.x[-2:], curve.y[-2:], color=COLOURS[j % len(COLOURS)], lw=0.8, ls=":")
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal", title=arm,
                 xlabel="false-positive fraction (cases without lesion)", ylabel="weighted lesion localisation fraction")  # fmt: skip
        axes.legend(frameon=False, fontsize=7, loc="lower right")
        _plain(axes)
    return Figure(name="wafroc", title="wAFROC curves", svg=_svg(canvas),
                  note="The dotted end joins the last observed point to (1, 1) and belongs to the area.")  # fmt: skip


def times_figure(times: ReadTimes, arms: Sequence[str]) -> Figure:
    """Reading times by reader and arm, logarithmic, flagged reads as crosses."""
    readers = tuple(dict.fromkeys(times.readers))
    canvas = _figure(max(5.0, 1.1 * len(readers) + 2), 3.6)
    axes = canvas.subplots()
    names, arm_of = np.array(times.readers), np.array(times.arms)
    width = 0.8 / max(len(arms), 1)
    for a, arm in enumerate(arms):
        places = np.arange(len(readers)) + (a - (len(arms) - 1) / 2) * width
        groups = [times.seconds[(names == r) & (arm_of == arm)] for r in readers]
        kept = [(p, g) for p, g in zip(places, groups, strict=True) if len(g)]
        if not kept:
            continue
        boxes = axes.boxplot([g for _, g in kept], positions=[p for p, _ in kept], widths=width * 0.85,
                             patch_artist=True, manage_ticks=False, flierprops={"ms": 2, "alpha": 0.4})  # fmt: skip
        for patch in boxes["boxes"]:
            patch.set(facecolor=COLOURS[a % len(COLOURS)], alpha=0.55)
        for line in boxes["medians"]:
            line.set(color="#1b1e22")
        axes.plot([], [], color=COLOURS[a % len(COLOURS)], lw=6, alpha=0.55, label=arm)
        flagged = times.flagged & (arm_of == arm)
        at = np.array([readers.index(r) for r in names[flagged]]) + (a - (len(arms) - 1) / 2) * width
        if flagged.any():
            axes.plot(at, times.seconds[flagged], "x", color="#A00000", ms=4)
    axes.set_yscale("log")
    axes.set(ylabel="reading time, s", xlim=(-0.6, len(readers) - 0.4))
    axes.set_xticks(range(len(readers)), readers)
    axes.legend(frameon=False)
    _plain(axes)
    return Figure(name="times", title="Reading times", svg=_svg(canvas),
                  note="Box: quartiles and median; crosses: flagged (interrupted) reads. Logarithmic axis.")  # fmt: skip


def flow_figure(flow: FlowCounts) -> Figure:
    """Cases and reads through the study."""
    canvas = _figure(6.4, 2.6)
    axes = canvas.subplots()
    axes.set_axis_off()
    axes.set(xlim=(0, 10), ylim=(0, 4))
    boxes = (
        (1.9, 3.2, f"Cases in the protocol\n{flow.cases_planned}"),
        (7.9, 3.2, f"Practice only\n{flow.cases_practice}"),
        (1.9, 1.9, f"Cases read\n{flow.cases_read}"),
        (1.9, 0.6, f"Reads analysed\n{flow.reads_done} of {flow.reads_planned} planned"),
        (7.9, 0.6, f"Flagged, with and without analysed\n{flow.reads_flagged}"),
    )
    style = {"boxstyle": "round,pad=0.4", "fc": "white", "ec": "#1b1e22", "lw": 0.8}
    for x, y, words in boxes:
        axes.text(x, y, words, ha="center", va="center", bbox=style)
    arrow = {"arrowstyle": "->", "color": "#1b1e22", "lw": 0.8}
    for start, end in (((1.9, 2.75), (1.9, 2.35)), ((1.9, 1.45), (1.9, 1.05)), ((3.7, 3.2), (6.4, 3.2)), ((4.3, 0.6), (5.2, 0.6))):  # fmt: skip
        axes.annotate("", end, start, arrowprops=arrow)
    return Figure(name="flow", title="Flow of cases and reads", svg=_svg(canvas))
