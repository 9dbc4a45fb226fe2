"""Localisation: wAFROC and its kin, FROC points, and how much the result leans on the acceptance radius."""

from __future__ import annotations

from dataclasses import replace

from reader_study.report import comparison_figures, figures
from reader_study.report.inputs import Localised, ReportInputs
from reader_study.report.multireader import attempt, or_parts
from reader_study.report.page import Absent, Cell, Figure, Part, Section, Table, p_shown
from reader_study.statistics.froc import FrocFigure, froc_estimates
from reader_study.statistics.localisation import Hit, radius_sweep
from reader_study.statistics.obuchowski_rockette import Generalise, analyse
from reader_study.statistics.provenance import provenance
from reader_study.statistics.ratings import StatisticsError

LOCALISATION = "Localisation"
_FULL = (FrocFigure.WAFROC, FrocFigure.AFROC, FrocFigure.WAFROC1, FrocFigure.AFROC1, FrocFigure.HR_AUC)
_RATES = (FrocFigure.MAX_LLF, FrocFigure.MAX_NLF, FrocFigure.HR_SE, FrocFigure.HR_SP)


def localisation(inputs: ReportInputs) -> Section:
    """All tables of free-response data, or why there are none."""
    if inputs.froc is None:
        return Section(title=LOCALISATION, parts=(Absent(title="wAFROC", why="no marks scored against lesions were handed in."),))  # fmt: skip
    data = inputs.froc
    parts: list[Part] = [
        attempt("wAFROC curves", lambda: figures.wafroc_figure(data)),
        attempt("FROC curves", lambda: figures.froc_figure(data)),
        attempt("Figures by reader", lambda: _by_reader(inputs)),
    ]
    for figure in _FULL:
        try:
            parts += or_parts(
                froc_estimates(data, figure), figure.value.lower(), figure.value, inputs.exclusions
            )
        except StatisticsError as error:
            parts.append(Absent(title=figure.value, why=str(error)))
    words = [
        "An unmarked lesion or case ranks below every mark; two of them tie at one half. The weights of the lesions of a case sum to 1."
    ]
    if inputs.localised is not None:
        localised = inputs.localised
        words.append(localised.rule.sentence())
        try:
            parts += _sweep(inputs, localised)
        except StatisticsError as error:
            parts.append(Absent(title="Radius sweep", why=str(error)))
    return Section(title=LOCALISATION, words=tuple(words), parts=tuple(parts))


def _by_reader(inputs: ReportInputs) -> Table:
    assert inputs.froc is not None
    data = inputs.froc
    found = {figure: froc_estimates(data, figure) for figure in (*_FULL, *_RATES)}
    rows: list[tuple[Cell, ...]] = [
        (reader, arm, *(float(e.values[i, j]) for e in found.values()))
        for j, reader in enumerate(data.readers)
        for i, arm in enumerate(data.modalities)
    ]
    note = provenance("Free-response figures of merit, definitions as in RJafroc", data.digest(), readers=len(data.readers), cases=len(data.cases), exclusions=inputs.exclusions)  # fmt: skip
    return Table(name="localisation_by_reader", title="Figures of merit by reader and arm", head=("reader", "arm", *(f.value for f in found)),
                 rows=tuple(rows), note="MaxLLF: share of lesions marked at all; MaxNLF: false marks a case without disease; HrSe, HrSp: share of diseased (other) cases with (without) any mark. " + note.sentence())  # fmt: skip


def _sweep(inputs: ReportInputs, localised: Localised) -> list[Table | Figure]:
    """The result at other radii, all else as declared (RS-L2; Haygood 2013)."""
    ratings = inputs.ratings
    declared = localised.rule.radius_mm if localised.rule.hit is Hit.CENTRE else None
    radii = tuple(sorted({*localised.radii_mm, *([declared] if declared else [])}))
    base = localised.rule if localised.rule.hit is Hit.CENTRE else replace(localised.rule, hit=Hit.CENTRE, radius_mm=radii[0])  # fmt: skip
    swept = radius_sweep(localised.marks, localised.outlines, radii, cases=ratings.cases, readers=ratings.readers, modalities=ratings.modalities, rule=base)  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    curves: dict[str, list[float]] = {arm: [] for arm in ratings.modalities}
    note = ""
    for radius, data, scored in swept:
        found = froc_estimates(data, FrocFigure.WAFROC)
        for i, arm in enumerate(found.modalities):
            curves[arm].append(float(found.values[i].mean()))
        gap: tuple[Cell, ...] = (None, None, None, "–")
        if len(found.modalities) > 1:
            who = Generalise.READERS_AND_CASES if len(found.readers) > 1 else Generalise.CASES
            try:
                result = analyse(found, who)
            except (
                StatisticsError
            ):  # estimates that do not vary: the values are shown, no test is made of them
                pass
            else:
                d = result.differences[0]
                gap = (d.estimate, d.lower, d.upper, p_shown(d.p_value))
                note = note or f"{result.method}; covariance {result.covariance}. "
        rows.append((f"{radius:g}{' (declared)' if radius == declared else ''}", len(scored.true_positives), len(scored.false_positives),
                     scored.surplus, *(float(v) for v in found.values.mean(axis=1)), *gap))  # fmt: skip
    head = ("radius, mm", "lesions hit", "false marks", "further marks", *(f"wAFROC, {arm}" for arm in ratings.modalities), "difference", "95 % lower", "upper", "p")  # fmt: skip
    table = Table(name="radius_sweep", title="wAFROC at other acceptance radii", head=head, rows=tuple(rows), note=note + "The radius should follow the larger lesions (Haygood 2013).")  # fmt: skip
    return [comparison_figures.radius_figure(radii, [(arm, curves[arm]) for arm in ratings.modalities], declared), table]  # fmt: skip
