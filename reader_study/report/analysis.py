"""One multi-reader analysis as asked for: figure of merit, method and covariance in, a plain result out.

The same numbers stand in the report's first section and in ``negatoscope analyse --json``. Computes nothing itself that
``reader_study.statistics`` has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations

from scipy import stats

from reader_study.report.dbm_from_covariance import dbm_from
from reader_study.report.inputs import ReportInputs
from reader_study.statistics import ustatistics
from reader_study.statistics.covariance import (
    Covariance,
    Estimates,
    FigureOfMerit,
    Sensitivity,
    Specificity,
    estimates,
)
from reader_study.statistics.dbm import DbmComponents
from reader_study.statistics.froc import FrocFigure, froc_estimates
from reader_study.statistics.obuchowski_rockette import Generalise, OrAnalysis, analyse, components
from reader_study.statistics.ratings import Ratings, StatisticsError
from reader_study.statistics.roc import auc


class Fom(StrEnum):
    """Figures of merit that a reader study is analysed by."""

    AUC = "AUC"
    WAFROC = "wAFROC"
    AFROC = "AFROC"
    WAFROC1 = "wAFROC1"
    AFROC1 = "AFROC1"
    HR_AUC = "HrAuc"
    SENSITIVITY = "sensitivity"
    SPECIFICITY = "specificity"


class Method(StrEnum):
    """Obuchowski-Rockette, Dorfman-Berbaum-Metz, or U-statistics."""

    OR = "OR"
    DBM = "DBM"
    USTAT = "Ustat"


class CovarianceName(StrEnum):
    """How the covariance over cases is estimated."""

    JACKKNIFE = "jackknife"
    DELONG = "DeLong"
    UNBIASED = "unbiased"


COVARIANCE = {
    CovarianceName.JACKKNIFE: Covariance.JACKKNIFE,
    CovarianceName.DELONG: Covariance.DELONG,
    CovarianceName.UNBIASED: Covariance.UNBIASED,
}
SHORT = {Generalise.READERS_AND_CASES: "RRRC", Generalise.CASES: "FRRC", Generalise.READERS: "RRFC"}
_FROC_ONLY = {
    Fom.WAFROC: FrocFigure.WAFROC,
    Fom.AFROC: FrocFigure.AFROC,
    Fom.WAFROC1: FrocFigure.WAFROC1,
    Fom.AFROC1: FrocFigure.AFROC1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is asked for; ``fom`` None = AUC of ratings, wAFROC of marks. ``cut`` is for sensitivity, specificity."""

    fom: Fom | None = None
    method: Method = Method.OR
    covariance: CovarianceName = CovarianceName.JACKKNIFE
    cut: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairDifference:
    """Modality a minus modality b."""

    a: str
    b: str
    estimate: float
    se: float
    df: float | None
    lo: float
    hi: float
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Equality:
    """Test of equal modalities under one generalisation; ``stat`` is None where there is one modality only."""

    stat_name: str
    stat: float | None
    df1: float | None
    df2: float | None
    p: float | None
    df_rule: str
    differences: tuple[PairDifference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """The result: figures by modality and reader, tests by generalisation, components, counts, warnings."""

    method: Method
    covariance: str
    fom_name: str
    fom: dict[str, dict[str, float]]
    analyses: dict[str, Equality]
    components: dict[str, float]
    counts: dict[str, int]
    warnings: tuple[str, ...]
    digest: str
    or_analyses: tuple[OrAnalysis, ...] = field(default=(), repr=False)

    def as_json(self) -> dict[str, object]:
        """The result as plain values; what is not finite is null."""
        return {
            "method": self.method.value,
            "cov": self.covariance,
            "fom_name": self.fom_name,
            "fom": {i: {j: _finite(x) for j, x in row.items()} for i, row in self.fom.items()},
            "analyses": {name: _test_json(test) for name, test in self.analyses.items()},
            "varcomp": {name: _finite(value) for name, value in self.components.items()},
            "n": self.counts,
            "warnings": list(self.warnings),
            "data_sha256": self.digest,
        }


def _finite(x: float | None) -> float | None:
    return None if x is None or not math.isfinite(x) else x


def _test_json(test: Equality) -> dict[str, object]:
    return {
        "stat_name": test.stat_name,
        "stat": _finite(test.stat),
        "df1": _finite(test.df1),
        "df2": _finite(test.df2),
        "p": _finite(test.p),
        "df_rule": test.df_rule,
        "differences": [
            {"a": d.a, "b": d.b, "estimate": _finite(d.estimate), "se": _finite(d.se), "df": _finite(d.df),
             "lo": _finite(d.lo), "hi": _finite(d.hi), "p": _finite(d.p)}
            for d in test.differences
        ],
    }  # fmt: skip


def run(inputs: ReportInputs, choice: Choice) -> Analysed:
    """Analyse as asked.

    Raises
    ------
    StatisticsError
        The figure of merit does not exist for these data, or method and covariance do not go together.
    """
    fom = choice.fom or Fom(inputs.default_fom)
    if choice.method is Method.USTAT:
        return _ustat(inputs, fom)
    if choice.method is Method.DBM and choice.covariance is not CovarianceName.JACKKNIFE:
        raise StatisticsError(
            f"DBM: expected the jackknife, of which it is made, found {choice.covariance.value}; use OR."
        )
    found, warnings = estimates_for(inputs, fom, choice)
    if choice.method is Method.DBM:
        return _dbm(inputs, found, fom, warnings)
    return _or(inputs, found, fom, choice, warnings)


def estimates_for(inputs: ReportInputs, fom: Fom, choice: Choice) -> tuple[Estimates, list[str]]:
    """Figures of merit with their covariance, and what a reader of them must know."""
    covariance = COVARIANCE[choice.covariance]
    warnings: list[str] = []
    if fom in _FROC_ONLY:
        if inputs.froc is None:
            raise StatisticsError(
                f"{fom.value}: expected marks scored against lesions (free-response data), found one rating a case; use AUC."
            )
        if covariance is not Covariance.JACKKNIFE:
            raise StatisticsError(f"{fom.value}: expected the jackknife covariance, found {choice.covariance.value}; use jackknife.")  # fmt: skip
        return froc_estimates(inputs.froc, _FROC_ONLY[fom]), warnings
    ratings = inputs.ratings
    if not ratings.is_complete:
        warnings.append("Not every reader read every case under every modality; the U-statistic method is made for that.")  # fmt: skip
    if inputs.froc is not None and fom is Fom.AUC:
        warnings.append(
            "Free-response data: the AUC is that of the highest mark on each case (inferred ROC, HrAuc)."
        )
    if fom in {Fom.SENSITIVITY, Fom.SPECIFICITY}:
        if choice.cut is None:
            raise StatisticsError(
                f"{fom.value}: expected --cut, the rating from which a reading is positive, found none; name it."
            )
        figure = Sensitivity(choice.cut) if fom is Fom.SENSITIVITY else Specificity(choice.cut)
        return _estimated(ratings, covariance, figure, fom.value), warnings
    if fom is Fom.HR_AUC and inputs.froc is None:
        warnings.append("One rating a case: HrAuc is the AUC.")
    return _estimated(ratings, covariance, auc, "empirical AUC"), warnings


def _estimated(ratings: Ratings, covariance: Covariance, figure: FigureOfMerit, name: str) -> Estimates:
    """Estimates; where a reader lacks a whole arm, the refusal names the method that allows it."""
    try:
        return estimates(ratings, covariance=covariance, figure=figure, name=name)
    except StatisticsError as error:
        if ratings.is_complete:
            raise
        raise StatisticsError(f"{str(error).rstrip('.')}; reads are missing, use the method Ustat, which allows that.") from error  # fmt: skip


def _counts(ratings: Ratings) -> dict[str, int]:
    return {
        "modalities": len(ratings.modalities),
        "readers": len(ratings.readers),
        "cases": len(ratings.cases),
        "positives": int(ratings.truth.sum()),
        "negatives": int((~ratings.truth).sum()),
    }


def _table(found: Estimates) -> dict[str, dict[str, float]]:
    return {
        modality: {reader: float(found.values[i, j]) for j, reader in enumerate(found.readers)}
        for i, modality in enumerate(found.modalities)
    }


def _or(inputs: ReportInputs, found: Estimates, fom: Fom, choice: Choice, warnings: list[str]) -> Analysed:
    analyses: dict[str, Equality] = {}
    results: list[OrAnalysis] = []
    pairs = list(combinations(found.modalities, 2))
    for generalise in Generalise:
        try:
            result = analyse(found, generalise)
        except StatisticsError as error:
            warnings.append(f"{SHORT[generalise]} not computed: {error}")
            continue
        results.append(result)
        gaps = tuple(
            PairDifference(
                a=a, b=b, estimate=d.estimate, se=d.error, df=d.df, lo=d.lower, hi=d.upper, p=d.p_value if d.p_value is not None else math.nan
            )
            for (a, b), d in zip(pairs, result.differences, strict=True)
        )  # fmt: skip
        test = result.test
        analyses[SHORT[generalise]] = Equality(
            stat_name="X2" if generalise is Generalise.CASES else "F",
            stat=None if test is None else test.statistic,
            df1=None if test is None else test.df1,
            df2=None if test is None else test.df2,
            p=None if test is None else test.p_value,
            df_rule=result.df_rule,
            differences=gaps,
        )
    if not results:
        raise StatisticsError(warnings[-1])
    parts = components(found)
    named = {
        "reader": parts.reader, "modality_by_reader": parts.modality_by_reader, "error": parts.error,
        "cov1": parts.cov1, "cov2": parts.cov2, "cov3": parts.cov3,
    }  # fmt: skip
    warnings += [
        f"The variance component {n} is negative ({v:.3g}); it is shown as estimated."
        for n, v in named.items()
        if v < 0
    ]
    return Analysed(
        method=Method.OR, covariance=choice.covariance.value, fom_name=fom.value, fom=_table(found), analyses=analyses,
        components=named, counts=_counts(inputs.ratings), warnings=tuple(warnings), digest=found.digest,
        or_analyses=tuple(results),
    )  # fmt: skip


def _dbm(inputs: ReportInputs, found: Estimates, fom: Fom, warnings: list[str]) -> Analysed:
    """F tests on the mean squares of pseudovalues (Hillis, Berbaum & Metz 2008)."""
    parts: DbmComponents = dbm_from(found)
    ms = parts.mean_squares
    i_n, j_n = found.values.shape
    k_n = found.case_count
    both = ms["TR"] + max(ms["TC"] - ms["TRC"], 0.0)
    df_reader, df_case = (i_n - 1) * (j_n - 1), (i_n - 1) * (k_n - 1)
    hillis = both**2 / (ms["TR"] ** 2 / df_reader) if ms["TR"] > 0 else math.inf
    rows = (
        ("RRRC", both, hillis, "Hillis"),
        ("FRRC", ms["TC"], float(df_case), "modality x case"),
        ("RRFC", ms["TR"], float(df_reader), "modality x reader"),
    )
    analyses = {
        name: _f_test(found, ms["T"], below, df2, rule, j_n * k_n)
        for name, below, df2, rule in rows
        if below > 0
    }
    named = {
        "reader": parts.reader, "case": parts.case, "modality_by_reader": parts.modality_by_reader,
        "modality_by_case": parts.modality_by_case, "reader_by_case": parts.reader_by_case, "error": parts.error,
    }  # fmt: skip
    warnings += [
        f"The variance component {n} is negative ({v:.3g}); it is shown as estimated."
        for n, v in named.items()
        if v < 0
    ]
    return Analysed(
        method=Method.DBM, covariance="jackknife", fom_name=fom.value, fom=_table(found), analyses=analyses,
        components=named, counts=_counts(inputs.ratings), warnings=tuple(warnings), digest=found.digest,
    )  # fmt: skip


def _f_test(found: Estimates, above: float, below: float, df2: float, rule: str, size: int) -> Equality:  # fmt: skip
    df1 = float(len(found.modalities) - 1)
    f = above / below
    means = found.values.mean(axis=1)
    error = math.sqrt(2 * below / size)
    half = float(stats.t.ppf(0.975, df2)) * error
    gaps = []
    for a, b in combinations(range(len(means)), 2):
        gap = float(means[a] - means[b])
        p = float(2 * stats.t.sf(abs(gap) / error, df2))
        gaps.append(
            PairDifference(a=found.modalities[a], b=found.modalities[b], estimate=gap, se=error, df=df2, lo=gap - half, hi=gap + half, p=p)
        )  # fmt: skip
    return Equality(
        stat_name="F", stat=f, df1=df1, df2=df2, p=float(stats.f.sf(f, df1, df2)), df_rule=rule, differences=tuple(gaps)
    )  # fmt: skip


def _ustat(inputs: ReportInputs, fom: Fom) -> Analysed:
    if fom not in {Fom.AUC, Fom.HR_AUC}:
        raise StatisticsError(f"U-statistics: expected the AUC, found {fom.value}; use OR.")
    ratings = inputs.ratings
    areas = {arm: ustatistics.area(ratings, arm) for arm in ratings.modalities}
    gaps: list[PairDifference] = []
    warnings: list[str] = []
    named = {f"variance({arm})": found.variance for arm, found in areas.items()}
    first: ustatistics.UResult | None = None
    for a, b in combinations(ratings.modalities, 2):
        d = ustatistics.difference(ratings, a, b)
        first = first or d
        named[f"variance({a} - {b})"] = d.variance
        se = math.sqrt(d.variance) if d.variance > 0 else math.nan
        gaps.append(
            PairDifference(a=a, b=b, estimate=d.estimate, se=se, df=d.df, lo=d.lower, hi=d.upper, p=d.p_value)
        )
    warnings += [f"{name} is negative ({v:.3g}): too few readers or cases; no test is made of it." for name, v in named.items() if v < 0]  # fmt: skip
    pair = first if len(ratings.modalities) == 2 else None
    if len(ratings.modalities) > 2:
        warnings.append("U-statistics compare modalities in pairs; there is no overall test.")
    test = Equality(
        stat_name="F",
        stat=None if pair is None else pair.statistic**2,
        df1=None if pair is None else 1.0,
        df2=None if pair is None else pair.df,
        p=None if pair is None else pair.p_value,
        df_rule="Obuchowski, Gallas & Hillis 2012",
        differences=tuple(gaps),
    )
    return Analysed(
        method=Method.USTAT, covariance="unbiased", fom_name=fom.value, fom=_reader_areas(ratings, warnings),
        analyses={"RRRC": test}, components=named, counts=_counts(ratings), warnings=tuple(warnings),
        digest=ratings.digest(),
    )  # fmt: skip


def _reader_areas(ratings: Ratings, warnings: list[str]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for i, arm in enumerate(ratings.modalities):
        row = found.setdefault(arm, {})
        for j, reader in enumerate(ratings.readers):
            try:
                row[reader] = auc(ratings.scores[i, j], ratings.truth)
            except StatisticsError:
                row[reader] = math.nan
                warnings.append(
                    f"Reader {reader}, modality {arm}: no cases of both truths, so no area of its own."
                )
    return found
