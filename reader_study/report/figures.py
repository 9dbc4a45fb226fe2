"""Figures as SVG: ROC with operating points, precision-recall, ratings, localisation, times, flow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reader_study.report.drawing import (
    COLOURS,
    FAINT,
    INK,
    PAGE_IN,
    arm_colour,
    figure,
    panels,
    plain,
    reader_style,
    short,
    svg,
    unit_square,
)
from reader_study.report.inputs import FlowCounts, ReportInputs
from reader_study.report.page import Figure
from reader_study.statistics.froc import FrocData, froc_curve, wafroc_curve
from reader_study.statistics.ratings import Flags, Floats, Ratings, StatisticsError
from reader_study.statistics.roc import auc, roc_curve
from reader_study.statistics.times import ReadTimes

MANY = 6  # readers that can be told apart by colour and marker
_MANY_NOTE = (
    " Readers are drawn alike, as more than six cannot be told apart; their values are in the tables."
)


def readers_of(ratings: Ratings, i: int) -> list[int]:
    """Positions of the readers who read cases of both truths in this arm; in a parallel study that is a part of them."""
    read = ~np.isnan(ratings.scores[i])
    found = [j for j, own in enumerate(read) if (own & ratings.truth).any() and (own & ~ratings.truth).any()]
    if not found:
        raise StatisticsError(f"ROC curves, {ratings.modalities[i]}: expected a reader who read cases of both truths, found none.")  # fmt: skip
    return found


def average_curve(ratings: Ratings, i: int) -> tuple[Floats, Floats]:
    """Reader-averaged ROC along the lines of slope -1 (Swets & Pickett 1982, Chen & Samuelson 2014).

    Averaging along these diagonals treats sensitivity and specificity alike; its area is the mean of the readers'.
    """
    grid = np.linspace(-1.0, 1.0, 401)  # fpf - (1 - tpf) ... position along the rotated axis
    sums = np.zeros((2, len(grid)))
    who = readers_of(ratings, i)
    for j in who:
        curve = roc_curve(ratings.scores[i, j], ratings.truth)
        along = curve.fpf + curve.tpf - 1.0
        across = curve.tpf - curve.fpf
        order = np.argsort(along, kind="stable")
        sums[0] += grid
        sums[1] += np.interp(grid, along[order], across[order])
    across = sums[1] / len(who)
    return (grid + 1.0 - across) / 2, (grid + 1.0 + across) / 2


def roc_figure(inputs: ReportInputs) -> Figure:
    """Every reader's empirical ROC with its points, one panel an arm, and the reader average."""
    ratings = inputs.ratings
    many = len(ratings.readers) > MANY
    canvas, axes_of = panels(len(ratings.modalities))
    for i, (arm, axes) in enumerate(zip(ratings.modalities, axes_of, strict=True)):
        axes.plot([0, 1], [0, 1], color=FAINT, lw=0.7, ls=":")
        who = readers_of(ratings, i)
        for j in who:
            curve = roc_curve(ratings.scores[i, j], ratings.truth)
            label = None if many else short(ratings.readers[j])
            axes.plot(curve.fpf, curve.tpf, label=label, **reader_style(j, len(ratings.readers)))
        if many:
            axes.plot([], [], label=f"{len(who)} readers", **reader_style(0, len(ratings.readers)))
        mean = float(np.mean([auc(ratings.scores[i, j], ratings.truth) for j in who]))
        axes.plot(*average_curve(ratings, i), color=INK, lw=2, label=f"average, AUC {mean:.3f}")
        unit_square(axes, title=arm, x="1 − specificity", y="sensitivity")
        axes.legend(frameon=False, fontsize=7, loc="lower right", handlelength=1.6)
    return Figure(
        name="roc",
        title="Empirical ROC curves",
        svg=svg(canvas),
        note="Dots are observed operating points. The average is taken along lines of slope -1, so its area is the mean of the readers' areas."
        + (_MANY_NOTE if many else ""),
    )


def precision_recall_points(scores: Floats, truth: Flags) -> tuple[Floats, Floats]:
    """Recall and precision at every cut-off that the scores offer, strictest first."""
    read = ~np.isnan(scores)
    scores, truth = scores[read], truth[read]
    cuts = np.unique(scores)[::-1]
    called = [scores >= cut for cut in cuts]
    recall = [float((c & truth).sum() / truth.sum()) for c in called]
    precision = [float((c & truth).sum() / c.sum()) for c in called]
    return np.array(recall), np.array(precision)


def precision_recall_figure(inputs: ReportInputs) -> Figure:
    """Every reader's precision against recall, one panel an arm."""
    ratings = inputs.ratings
    many = len(ratings.readers) > MANY
    canvas, axes_of = panels(len(ratings.modalities))
    for i, (arm, axes) in enumerate(zip(ratings.modalities, axes_of, strict=True)):
        for j, reader in enumerate(ratings.readers):
            recall, precision = precision_recall_points(ratings.scores[i, j], ratings.truth)
            axes.plot(recall, precision, label=None if many else short(reader), drawstyle="steps-pre",
                      **reader_style(j, len(ratings.readers)))  # fmt: skip
        share = float(ratings.truth.mean())
        axes.axhline(share, color=FAINT, lw=0.7, ls=":", label=f"share of disease {share:.2f}")
        unit_square(axes, title=arm, x="sensitivity (recall)", y="PPV (precision)")
        axes.legend(frameon=False, fontsize=7, loc="lower left", handlelength=1.6)
    return Figure(name="precision_recall", title="Precision-recall curves", svg=svg(canvas),
                  note="Precision holds at the study's share of disease only." + (_MANY_NOTE if many else ""))  # fmt: skip


def distribution_figure(inputs: ReportInputs) -> Figure:
    """Ratings of cases with and without disease, by arm, all readers."""
    ratings = inputs.ratings
    canvas = figure(PAGE_IN, 0.7 + 1.45 * len(ratings.modalities))
    grid = canvas.subplots(len(ratings.modalities), 1, squeeze=False, sharex=True)
    finite = ratings.scores[np.isfinite(ratings.scores)]
    if not finite.size:
        raise StatisticsError(
            "Distribution of ratings: expected ratings, found none; no reader marked anything."
        )
    values = np.unique(finite)
    bins = np.linspace(finite.min(), finite.max(), 25)
    if len(values) <= 15:
        step = np.diff(values).min() if len(values) > 1 else 1.0
        bins = np.concatenate([values - step / 2, [values[-1] + step / 2]])
    for i, arm in enumerate(ratings.modalities):
        axes = grid[i][0]
        scores = ratings.scores[i]
        groups = [scores[:, ratings.truth == truth].ravel() for truth in (False, True)]
        groups = [group[np.isfinite(group)] for group in groups]
        weights = [np.full(len(group), 100.0 / max(len(group), 1)) for group in groups]
        axes.hist(groups, bins=bins, weights=weights, color=COLOURS[:2], label=["without disease", "with disease"])  # fmt: skip
        axes.set(title=short(arm, 60), ylabel="% of ratings")
        plain(axes)
    if len(values) <= 15:
        grid[-1][0].set_xticks(values)
    grid[0][0].legend(frameon=False, fontsize=7.5)
    grid[-1][0].set_xlabel(inputs.rating_name)
    return Figure(name="distributions", title="Distribution of ratings", svg=svg(canvas),
                  note="Share of all readers' ratings; images without a mark are left out.")  # fmt: skip


def wafroc_figure(data: FrocData) -> Figure:
    """Every reader's wAFROC, one panel an arm."""
    return _localisation_figure(data, "wafroc", "wAFROC curves", weighted=True)


def froc_figure(data: FrocData) -> Figure:
    """Every reader's FROC: lesions found against false marks an image."""
    return _localisation_figure(data, "froc", "FROC curves", weighted=False)


def _localisation_figure(data: FrocData, name: str, title: str, *, weighted: bool) -> Figure:
    many = len(data.readers) > MANY
    canvas, axes_of = panels(len(data.modalities))
    for i, (arm, axes) in enumerate(zip(data.modalities, axes_of, strict=True)):
        for j, reader in enumerate(data.readers):
            curve = (wafroc_curve if weighted else froc_curve)(data, i, j)
            style = reader_style(j, len(data.readers))
            end = -1 if weighted else len(curve.x)
            axes.plot(curve.x[:end], curve.y[:end], label=None if many else short(reader), **style)
            if weighted:
                axes.plot(curve.x[-2:], curve.y[-2:], color=style["color"], lw=0.8, ls=":")
        if many:
            axes.plot([], [], label=f"{len(data.readers)} readers", **reader_style(0, len(data.readers)))
        if weighted:
            unit_square(axes, title=arm, x="false-positive fraction (cases without lesion)", y="weighted lesion localisation fraction")  # fmt: skip
        else:
            axes.set(xlim=(0, None), ylim=(-0.015, 1.015), title=short(arm, 44), xlabel="false marks a case", ylabel="lesion localisation fraction")  # fmt: skip
            plain(axes)
        axes.legend(frameon=False, fontsize=7, loc="lower right", handlelength=1.6)
    note = (
        "The dotted end joins the last observed point to (1, 1) and belongs to the area." if weighted else ""
    )
    return Figure(name=name, title=title, svg=svg(canvas), note=note + (_MANY_NOTE if many else ""))


def times_figure(times: ReadTimes, arms: Sequence[str]) -> Figure:
    """Reading times by reader and arm, logarithmic; flagged reads as crosses beside their box."""
    readers = tuple(dict.fromkeys(times.readers))
    canvas = figure(PAGE_IN, 1.0 + 0.24 * len(readers) * max(len(arms), 1))
    axes = canvas.subplots()
    names, arm_of = np.array(times.readers), np.array(times.arms)
    width = 0.8 / max(len(arms), 1)
    for a, arm in enumerate(arms):
        places = np.arange(len(readers)) + (a - (len(arms) - 1) / 2) * width
        groups = [times.seconds[(names == r) & (arm_of == arm)] for r in readers]
        kept = [(p, g) for p, g in zip(places, groups, strict=True) if len(g)]
        if not kept:
            continue
        boxes = axes.boxplot([g for _, g in kept], positions=[p for p, _ in kept], widths=width * 0.8, orientation="horizontal",
                             patch_artist=True, manage_ticks=False, flierprops={"ms": 2, "alpha": 0.5})  # fmt: skip
        for patch in boxes["boxes"]:
            patch.set(facecolor=arm_colour(a), alpha=0.55)
        for line in boxes["medians"]:
            line.set(color=INK, lw=1.4)
        axes.plot([], [], color=arm_colour(a), lw=6, alpha=0.55, label=short(arm))
        flagged = times.flagged & (arm_of == arm)
        if flagged.any():
            at = np.array([readers.index(r) for r in names[flagged]]) + (a - (len(arms) - 1) / 2) * width
            axes.plot(times.seconds[flagged], at, "x", color="#A00000", ms=3.5, mew=0.8)
    if times.flagged.any():
        axes.plot([], [], "x", color="#A00000", ms=3.5, label="flagged")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    low, high = float(times.seconds.min()), float(times.seconds.max())
    ticks = [m * 10.0**e for e in range(-1, 6) for m in (1, 2, 5)]
    axes.set_xticks([t for t in ticks if low / 1.5 <= t <= high * 1.5])
    axes.minorticks_off()
    axes.set(xlabel="reading time, s (logarithmic)", ylim=(len(readers) - 0.4, -0.6))
    axes.set_yticks(range(len(readers)), [short(r) for r in readers])
    axes.legend(frameon=False, fontsize=7.5, loc="lower left", bbox_to_anchor=(0, 1), ncols=4)
    plain(axes)
    return Figure(name="times", title="Reading times", svg=svg(canvas),
                  note="Box: quartiles and median; whiskers to 1.5 interquartile ranges; crosses: flagged (interrupted) reads.")  # fmt: skip


def flow_figure(flow: FlowCounts) -> Figure:
    """Cases and reads through the study."""
    canvas = figure(PAGE_IN, 3.1)
    axes = canvas.subplots()
    axes.set_axis_off()
    axes.set(xlim=(0, 10), ylim=(0, 4.2))
    missing = flow.reads_planned - flow.reads_done
    boxes = (
        (2.4, 3.7, f"Cases in the protocol\nn = {flow.cases_planned}"),
        (7.6, 3.7, f"Practice only, not analysed\nn = {flow.cases_practice}"),
        (2.4, 2.1, f"Cases read and rated\nn = {flow.cases_read}"),
        (7.6, 2.1, f"Reads planned and not done\nn = {max(missing, 0)}"),
        (2.4, 0.5, f"Reads analysed\nn = {flow.reads_done} of {flow.reads_planned} planned"),
        (7.6, 0.5, f"of these flagged as interrupted (analysed\nwith and without)  n = {flow.reads_flagged}"),
    )
    style = {"boxstyle": "round,pad=0.45", "fc": "white", "ec": INK, "lw": 0.8}
    for x, y, words in boxes:
        axes.text(x, y, words, ha="center", va="center", bbox=style, fontsize=8)
    arrow = {"arrowstyle": "->", "color": INK, "lw": 0.8}
    for start, end in (((2.4, 3.36), (2.4, 2.44)), ((2.4, 1.76), (2.4, 0.84)), ((3.45, 3.7), (6.25, 3.7)), ((3.45, 2.1), (6.25, 2.1)), ((3.6, 0.5), (5.85, 0.5))):  # fmt: skip
        axes.annotate("", end, start, arrowprops=arrow)
    return Figure(name="flow", title="Flow of cases and reads", svg=svg(canvas))
