"""Figures that compare: the AI's ROC with the readers' points, strata as a forest, radii, power curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reader_study.report.drawing import (
    COLUMN_IN,
    FAINT,
    INK,
    MARKERS,
    PAGE_IN,
    arm_colour,
    figure,
    plain,
    short,
    svg,
    unit_square,
)
from reader_study.report.inputs import ReportInputs
from reader_study.report.page import Figure
from reader_study.statistics.ratings import Floats
from reader_study.statistics.roc import auc, roc_curve


def ai_figure(inputs: ReportInputs, scores: Floats) -> Figure:
    """ROC of the AI alone, and every reader's point at the cut-off, unaided and aided joined by a line."""
    ratings = inputs.ratings
    keep = ~np.isnan(scores)
    curve = roc_curve(scores[keep], ratings.truth[keep])
    canvas = figure(COLUMN_IN + 1.4, COLUMN_IN + 0.3)
    axes = canvas.subplots()
    axes.plot([0, 1], [0, 1], color=FAINT, lw=0.7, ls=":")
    area = auc(scores[keep], ratings.truth[keep])
    axes.plot(curve.fpf, curve.tpf, color=INK, lw=1.6, label=f"AI alone, AUC {area:.3f}")
    cut = inputs.cut
    if cut is not None:
        points = np.full((*ratings.scores.shape[:2], 2), np.nan)
        for i in range(len(ratings.modalities)):
            for j in range(len(ratings.readers)):
                read = ~np.isnan(ratings.scores[i, j])
                called, truth = ratings.scores[i, j, read] >= cut, ratings.truth[read]
                if truth.any() and not truth.all():
                    points[i, j] = called[~truth].mean(), called[truth].mean()
        if len(ratings.modalities) == 2:
            for j in range(len(ratings.readers)):
                axes.plot(points[:, j, 0], points[:, j, 1], color=FAINT, lw=0.6)
        for i, arm in enumerate(ratings.modalities):
            axes.plot(points[i, :, 0], points[i, :, 1], MARKERS[i % 6], color=arm_colour(i), ms=4, label=short(arm))  # fmt: skip
    unit_square(axes, title="", x="1 − specificity", y="sensitivity")
    axes.legend(frameon=False, fontsize=7, loc="lower right")
    return Figure(name="ai_and_readers", title="The AI's ROC and the readers' operating points", svg=svg(canvas),
                  note="One point a reader and arm at the study's cut-off; the arms of one reader are joined.")  # fmt: skip


def forest_figure(rows: Sequence[tuple[str, float, float, float]], *, axis: str, zero: float = 0.0) -> Figure:
    """Estimates with intervals, one line each: (label, estimate, lower, upper)."""
    canvas = figure(PAGE_IN, 0.8 + 0.26 * len(rows))
    axes = canvas.subplots()
    axes.axvline(zero, color=FAINT, lw=0.8)
    places = np.arange(len(rows))
    for place, (_, estimate, lower, upper) in zip(places, rows, strict=True):
        axes.plot([lower, upper], [place, place], color=INK, lw=1)
        axes.plot([estimate], [place], "s", color=arm_colour(0), ms=5)
    axes.set(xlabel=axis, ylim=(len(rows) - 0.4, -0.6))
    axes.set_yticks(places, [short(label, 46) for label, *_ in rows])
    plain(axes)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return Figure(name="strata", title="Difference of arms by stratum", svg=svg(canvas),
                  note="Mean over readers and 95 % interval, random readers and cases. Explorative.")  # fmt: skip


def radius_figure(radii: Sequence[float], curves: Sequence[tuple[str, Sequence[float]]], declared: float | None) -> Figure:  # fmt: skip
    """A figure of merit against the acceptance radius, one line an arm."""
    canvas = figure(COLUMN_IN + 1.2, 2.8)
    axes = canvas.subplots()
    for a, (arm, values) in enumerate(curves):
        axes.plot(radii, values, marker=MARKERS[a % 6], ms=4, lw=1.2, color=arm_colour(a), label=short(arm))
    if declared is not None:
        axes.axvline(declared, color=FAINT, lw=0.8, ls=":", label=f"declared, {declared:g} mm")
    axes.set(xlabel="acceptance radius, mm", ylabel="wAFROC, mean over readers")
    axes.legend(frameon=False, fontsize=7.5)
    plain(axes)
    return Figure(name="radius_sweep", title="How much the result leans on the radius", svg=svg(canvas))


def power_figure(
    cases: Sequence[int], curves: Sequence[tuple[int, Sequence[float]]], *, wanted: float, chosen: tuple[int, float] | None = None
) -> Figure:  # fmt: skip
    """Power against cases, one line a number of readers."""
    canvas = figure(PAGE_IN * 0.8, 3.4)
    axes = canvas.subplots()
    for a, (readers, values) in enumerate(curves):
        axes.plot(cases, values, color=arm_colour(a), lw=1.4, marker=MARKERS[a % 6], ms=3, markevery=4, label=f"{readers} readers")  # fmt: skip
    axes.axhline(wanted, color=FAINT, lw=0.8, ls=":")
    if chosen is not None:
        axes.plot([chosen[0]], [chosen[1]], "o", ms=8, mfc="none", mec=INK)
    axes.set(xlabel="cases", ylabel="power", ylim=(0, 1.02), xlim=(min(cases), max(cases)))
    axes.legend(frameon=False, fontsize=7.5, loc="lower right")
    plain(axes)
    return Figure(name="power", title="Power against readers and cases", svg=svg(canvas))
