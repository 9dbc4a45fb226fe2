"""Failure analysis (CONSORT-AI 19): missed disease, false alarms, and where the AI was wrong and a reader followed."""

from __future__ import annotations

import numpy as np

from reader_study.report.ai_section import ai_cut, ai_scores
from reader_study.report.inputs import ReportInputs
from reader_study.report.multireader import attempt
from reader_study.report.page import Absent, Cell, Part, Picture, Section, Table
from reader_study.statistics.proportions import proportion
from reader_study.statistics.ratings import Flags, Floats

ERRORS = "Errors"
ON_PAGE = 25
PICTURED = 8  # cases of a list that are shown as pictures
ARM_COLOURS = ("orange", "blue", "pink", "green")  # of marks, as the pictures are painted


def _calls(inputs: ReportInputs, cut: float) -> Floats:
    with np.errstate(invalid="ignore"):
        positive = (inputs.ratings.scores >= cut).astype(float)
    return np.where(np.isnan(inputs.ratings.scores), np.nan, positive)


def pictured_cases(inputs: ReportInputs) -> tuple[str, ...]:
    """The cases of which the section shows a picture, where it is given: those most often read wrongly."""
    if inputs.cut is None:
        return ()
    calls = _calls(inputs, inputs.cut)
    lists = (_list(inputs, calls, ill=ill) for ill in (True, False))
    return tuple(str(row[0]) for table in lists for row in table.rows[:PICTURED])


def _pictures(inputs: ReportInputs, table: Table, error: str) -> list[Part]:
    arms = ", ".join(f"{arm} {colour}" for arm, colour in zip(inputs.ratings.modalities, ARM_COLOURS, strict=False))  # fmt: skip
    lesion = "Lesion outlined in yellow; " if inputs.localised is not None else ""
    note = f"{lesion}circles are readers' marks: {arms}. Small picture in the image's own window, not for reading."
    return [
        Picture(name=f"case_{k:02d}_{error.replace(' ', '_')}", title=f"Case {row[0]}, {error}", content=inputs.pictures[str(row[0])],
                note=note[0].upper() + note[1:])
        for k, row in enumerate(table.rows[:PICTURED], 1)
        if str(row[0]) in inputs.pictures
    ]  # fmt: skip


def errors(inputs: ReportInputs) -> Section:
    """Lists of wrong calls, hardest cases first."""
    if inputs.cut is None:
        return Section(title=ERRORS, parts=(Absent(title="Wrong calls", why="no rating was named from which a reading is positive (--cut)."),))  # fmt: skip
    cut = inputs.cut
    calls = _calls(inputs, cut)
    missed, alarms = _list(inputs, calls, ill=True), _list(inputs, calls, ill=False)
    parts: list[Part] = [
        missed,
        *_pictures(inputs, missed, "missed"),
        alarms,
        *_pictures(inputs, alarms, "false alarm"),
        _by_reader(inputs, calls),
    ]
    if inputs.standalone:
        parts += [
            attempt("The AI's errors", lambda: _ai_errors(inputs, calls)),
            attempt("Following the AI", lambda: _following(inputs, calls)),
        ]
    else:
        parts.append(Absent(title="The AI's errors", why="no scores of the AI by itself were handed in."))
    words = (
        f"A reading is positive when the {inputs.rating_name} is {inputs.cut_name or f'at least {cut:g}'}."
    )
    return Section(title=ERRORS, words=(words,), parts=tuple(parts))


def _list(inputs: ReportInputs, calls: Floats, *, ill: bool) -> Table:
    """Cases with a wrong call, those that most readers got wrong first."""
    ratings = inputs.ratings
    wrong_call = 0.0 if ill else 1.0
    found: list[tuple[int, tuple[Cell, ...]]] = []
    for k, case in enumerate(ratings.cases):
        if bool(ratings.truth[k]) != ill or not (calls[:, :, k] == wrong_call).any():
            continue
        cells: list[Cell] = [case]
        for i in range(len(ratings.modalities)):
            who = [ratings.readers[j] for j in np.flatnonzero(calls[i, :, k] == wrong_call)]
            read = int((~np.isnan(calls[i, :, k])).sum())
            cells += [f"{len(who)} of {read}", ", ".join(who) or "–"]
        cells.append(inputs.standalone.get(case))
        cells.append("; ".join(f"{name} {levels[case]}" for name, levels in inputs.strata.items() if case in levels) or "–")  # fmt: skip
        found.append((int((calls[:, :, k] == wrong_call).sum()), tuple(cells)))
    found.sort(key=lambda row: -row[0])
    words = "missed" if ill else "called positive"
    head = ["case", *(h for arm in ratings.modalities for h in (f"{words}, {arm}", f"by ({arm})")), "AI score", "characteristics"]  # fmt: skip
    return Table(name="false_negatives" if ill else "false_positives",
                 title="Missed disease (false negatives)" if ill else "False alarms (false positives)",
                 head=tuple(head), rows=tuple(row for _, row in found), on_page=ON_PAGE,
                 note="The case that most readings got wrong comes first.")  # fmt: skip


def _by_reader(inputs: ReportInputs, calls: Floats) -> Table:
    ratings = inputs.ratings
    rows: list[tuple[Cell, ...]] = []
    for j, reader in enumerate(ratings.readers):
        for i, arm in enumerate(ratings.modalities):
            own = calls[i, j]
            rows.append((reader, arm, int((own[ratings.truth] == 0).sum()), int(((own == 0) | (own == 1))[ratings.truth].sum()),
                         int((own[~ratings.truth] == 1).sum()), int(((own == 0) | (own == 1))[~ratings.truth].sum())))  # fmt: skip
    return Table(name="errors_by_reader", title="Errors by reader and arm",
                 head=("reader", "arm", "missed", "of", "false alarms", "of "), rows=tuple(rows))  # fmt: skip


def _ai_call(inputs: ReportInputs) -> tuple[Floats, Flags, str]:
    scores = ai_scores(inputs)
    cut, whence = ai_cut(inputs)
    return scores, (scores >= cut), f"The AI is positive from {cut:g} on ({whence})."


def _ai_errors(inputs: ReportInputs, calls: Floats) -> Table:
    """Every case that the AI got wrong, with what the readers made of it in each arm."""
    ratings = inputs.ratings
    scores, positive, note = _ai_call(inputs)
    rows: list[tuple[Cell, ...]] = []
    for k in np.flatnonzero(~np.isnan(scores) & (positive != ratings.truth)):
        cells: list[Cell] = [ratings.cases[k], "false alarm" if positive[k] else "missed", float(scores[k])]
        for i in range(len(ratings.modalities)):
            read = ~np.isnan(calls[i, :, k])
            cells.append(f"{int((calls[i, read, k] == positive[k]).sum())} of {int(read.sum())}")
        rows.append(tuple(cells))
    rows.sort(key=lambda row: (str(row[1]), str(row[0])))
    return Table(name="ai_errors", title="Cases that the AI got wrong",
                 head=("case", "error of the AI", "score", *(f"readers with the same error, {arm}" for arm in ratings.modalities)),
                 rows=tuple(rows), note=note, on_page=ON_PAGE)  # fmt: skip


def _following(inputs: ReportInputs, calls: Floats) -> Table:
    """Of pairs of reads: wrong with a wrong AI though right alone (followed), and right with a right AI though wrong alone."""
    ratings = inputs.ratings
    if len(ratings.modalities) != 2:
        return Table(
            name="following", title="Following the AI", head=("",), rows=(("given for two arms only",),)
        )
    scores, positive, note = _ai_call(inputs)
    known = ~np.isnan(scores)
    ai_right = positive == ratings.truth
    rows: list[tuple[Cell, ...]] = []
    for j, reader in enumerate((*ratings.readers, "all readers")):
        who = slice(None) if j == len(ratings.readers) else slice(j, j + 1)
        aided, alone = calls[0, who], calls[1, who]
        both = ~np.isnan(aided) & ~np.isnan(alone) & known
        right, was = aided == ratings.truth, alone == ratings.truth
        spoiled, mended = both & was & ~right & ~ai_right, both & ~was & right & ai_right
        chances, losses = both & was & ~ai_right, both & ~was & ai_right
        against = both & was & right & ~ai_right
        share, gain = proportion(int(spoiled.sum()), int(chances.sum())), proportion(int(mended.sum()), int(losses.sum()))  # fmt: skip
        rows.append((reader, int(chances.sum()), int(spoiled.sum()), _percent(share.estimate), int(against.sum()),
                     int(losses.sum()), int(mended.sum()), _percent(gain.estimate)))  # fmt: skip
    first, second = ratings.modalities
    return Table(name="following", title="AI wrong and reader followed; AI right and reader mended",
                 head=("reader", f"AI wrong, right in {second}", f"then wrong in {first}", "%", "kept right", f"AI right, wrong in {second}", f"then right in {first}", "% "),
                 rows=tuple(rows), note=f"{note} Pairs of reads of one case by one reader; change may have other causes than the AI.")  # fmt: skip


def _percent(share: float | None) -> Cell:
    return None if share is None else f"{100 * share:.1f}"
