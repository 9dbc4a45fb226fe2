"""The AI: alone, at its operating points, and against the readers on the same cases."""

from __future__ import annotations

import numpy as np

from reader_study.report import comparison_figures, figures
from reader_study.report.inputs import ReportInputs
from reader_study.report.multireader import attempt
from reader_study.report.page import Absent, Cell, Part, Section, Table, p_shown
from reader_study.statistics.covariance import Sensitivity, Specificity, estimates
from reader_study.statistics.delong import auc_interval
from reader_study.statistics.obuchowski_rockette import Generalise
from reader_study.statistics.proportions import binary_metrics
from reader_study.statistics.provenance import digest_of, provenance, with_exclusions
from reader_study.statistics.ratings import Flags, Floats, Ratings, StatisticsError
from reader_study.statistics.roc import auc, average_precision, point_at, youden_point
from reader_study.statistics.standalone import ai_against_readers

AI = "AI and readers"
AI_NAME = "AI alone"


def ai_scores(inputs: ReportInputs) -> Floats:
    """(K,) the AI's score of every case, NaN where it has none."""
    return np.array([inputs.standalone.get(case, np.nan) for case in inputs.ratings.cases])


def ai_cut(inputs: ReportInputs) -> tuple[float, str]:
    """The AI's cut-off and where it comes from."""
    if inputs.standalone_cut is not None:
        return inputs.standalone_cut, "as declared"
    scores = ai_scores(inputs)
    keep = ~np.isnan(scores)
    best, _ = youden_point(scores[keep], inputs.ratings.truth[keep])
    return best.threshold, "highest Youden index, found on these data and therefore optimistic"


def ai_and_readers(inputs: ReportInputs) -> Section:
    """All tables of the AI, or why there are none."""
    if not inputs.standalone:
        return Section(title=AI, parts=(Absent(title=AI_NAME, why="no scores of the AI by itself were handed in."),))  # fmt: skip
    scores = ai_scores(inputs)
    parts: list[Part] = [
        attempt("The AI's ROC and the readers", lambda: comparison_figures.ai_figure(inputs, scores)),
        attempt(AI_NAME, lambda: _alone(inputs, scores)),
        attempt("The AI's operating points", lambda: _points(inputs, scores)),
        attempt("AI against readers", lambda: _against(inputs, scores)),
    ]
    words = "The AI is the same whoever reads: it has no reader variance of its own, but its figure varies with the cases."
    return Section(title=AI, words=(words,), parts=tuple(parts))


def _source(inputs: ReportInputs, method: str, scores: Floats) -> str:
    return provenance(method, digest_of(inputs.ratings.truth, scores), cases=int((~np.isnan(scores)).sum()), exclusions=inputs.exclusions).sentence()  # fmt: skip


def _alone(inputs: ReportInputs, scores: Floats) -> Table:
    ratings = inputs.ratings
    keep = ~np.isnan(scores)
    one = auc_interval(scores, ratings.truth)
    ap = average_precision(scores[keep], ratings.truth[keep])
    rows: list[tuple[Cell, ...]] = [(AI_NAME, int(keep.sum()), one.auc, one.lower, one.upper, ap)]
    for i, arm in enumerate(ratings.modalities):
        areas = [auc(ratings.scores[i, j], ratings.truth) for j in figures.readers_of(ratings, i)]
        rows.append((f"mean of readers, {arm}", len(ratings.cases), float(np.mean(areas)), None, None, None))
    return Table(name="ai_alone", title="AI alone", head=("", "cases", "AUC", "95 % lower", "upper", "average precision"), rows=tuple(rows),
                 note="The score is the model's own and is calibrated only as its card says. Intervals of the readers' means stand in the accuracy section. " + _source(inputs, "Empirical AUC, DeLong interval", scores))  # fmt: skip


def metrics_cells(calls: Flags, truth: Flags) -> tuple[str, ...]:
    """Accuracy, sensitivity, specificity, PPV, NPV and F1 with Wilson intervals, as a table prints them."""
    cells = []
    for p in binary_metrics(calls, truth).rows():
        if p.estimate is None or p.wilson is None:
            cells.append("–")
        else:
            cells.append(f"{p.estimate:.3f} ({p.wilson[0]:.3f}–{p.wilson[1]:.3f})")
    return tuple(cells)


def operating_points_of_ai(inputs: ReportInputs, scores: Floats) -> tuple[tuple[str, float], ...]:
    """(name, cut-off): 95 % sensitivity, 95 % specificity, Youden, and the declared one."""
    keep = ~np.isnan(scores)
    x, truth = scores[keep], inputs.ratings.truth[keep]
    points = [
        ("high sensitivity (at least 95 %)", point_at(x, truth, sensitivity=0.95).threshold),
        ("high specificity (at least 95 %)", point_at(x, truth, specificity=0.95).threshold),
        ("highest Youden index", youden_point(x, truth)[0].threshold),
    ]
    if inputs.standalone_cut is not None:
        points.append(("declared", inputs.standalone_cut))
    return tuple(points)


def _points(inputs: ReportInputs, scores: Floats) -> Table:
    keep = ~np.isnan(scores)
    rows: list[tuple[Cell, ...]] = [
        (name, cut, *metrics_cells(scores[keep] >= cut, inputs.ratings.truth[keep]))
        for name, cut in operating_points_of_ai(inputs, scores)
    ]
    return Table(name="ai_operating_points", title="The AI at its operating points (95 % Wilson interval)",
                 head=("operating point", "cut-off", "accuracy", "sensitivity", "specificity", "PPV", "NPV", "F1"), rows=tuple(rows),
                 note="All but a declared cut-off were found on these data and are optimistic. " + _source(inputs, "Binary metrics, Wilson intervals", scores))  # fmt: skip


def with_ai(inputs: ReportInputs, scores: Floats, i: int, cut: float | None = None) -> Ratings:
    """One arm's readers and the AI as one more reader, on the cases that the AI scored; calls 0/1 if a cut is given."""
    ratings = inputs.ratings
    keep = ~np.isnan(scores)
    readers, ai = ratings.scores[i][:, keep], scores[keep]
    if cut is not None and inputs.cut is not None:
        readers = np.where(np.isnan(readers), np.nan, (readers >= inputs.cut).astype(float))
        ai = (ai >= cut).astype(float)
    return Ratings(
        modalities=(ratings.modalities[i],), readers=(*ratings.readers, AI_NAME),
        cases=tuple(c for c, k in zip(ratings.cases, keep, strict=True) if k),
        truth=ratings.truth[keep].copy(), scores=np.vstack([readers, ai[None]])[None],
        clusters=None if ratings.clusters is None else tuple(c for c, k in zip(ratings.clusters, keep, strict=True) if k),
    )  # fmt: skip


def _against(inputs: ReportInputs, scores: Floats) -> Table:
    """1T analysis (RS-S14): AUC, and sensitivity and specificity at the cut-offs."""
    rows: list[tuple[Cell, ...]] = []
    notes: list[str] = []
    source = ""
    cut, whence = ai_cut(inputs)
    for i, arm in enumerate(inputs.ratings.modalities):
        found = [("AUC", estimates(with_ai(inputs, scores, i)))]
        if inputs.cut is not None:
            calls = with_ai(inputs, scores, i, cut)
            found += [(name, estimates(calls, figure=figure, name=name)) for name, figure in (("sensitivity", Sensitivity(0.5)), ("specificity", Specificity(0.5)))]  # fmt: skip
        for name, e in found:
            for who in (Generalise.READERS_AND_CASES, Generalise.READERS):
                try:
                    r = ai_against_readers(e, AI_NAME, generalise=who)
                except StatisticsError as error:
                    notes.append(f"{arm}, {name}, {who.value}: {error}")
                    continue
                d = r.difference
                rows.append((arm, name, who.value, r.readers_mean, r.ai_value, d.estimate, d.lower, d.upper, d.df, p_shown(d.p_value)))  # fmt: skip
                source = source or with_exclusions(r, inputs.exclusions).provenance.sentence()
    if not rows:
        raise StatisticsError("; ".join(notes))
    said = f"The AI's cut-off is {cut:g} ({whence}). " if inputs.cut is not None else ""
    return Table(name="ai_against_readers", title="Readers' mean minus the AI, same cases",
                 head=("arm", "figure", "generalises to", "readers' mean", "AI", "readers - AI", "95 % lower", "upper", "df", "p"), rows=tuple(rows),
                 note=said + " ".join([*notes, source]))  # fmt: skip
