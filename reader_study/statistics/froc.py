"""Free-response data and its figures of merit: wAFROC, AFROC, their '1' forms, inferred ROC, FROC curves.

Chakraborty & Berbaum 2004 (Med Phys 31:2313), Chakraborty & Zhai 2016 (Med Phys 43:2297); definitions as in RJafroc.
An unmarked lesion or image is -inf: it ranks below every mark, and two of them tie at one half.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from reader_study.statistics.covariance import Covariance, Estimates, jackknife_covariance
from reader_study.statistics.covariance import estimates as rating_estimates
from reader_study.statistics.ratings import Flags, Floats, Ratings, StatisticsError


@dataclass(frozen=True, slots=True, kw_only=True)
class FrocData:
    """Marks of I modalities, J readers on K cases with L lesions in all; every reader reads every case.

    Attributes
    ----------
    false_positives
        (I, J, K) float64, the highest mark on no lesion, -inf where there is none.
    false_positive_marks
        (reader-modality pair) -> (case index, rating) of every such mark, for FROC curves.
    lesions
        (I, J, L) float64, the rating of each lesion, -inf where it was not marked.
    lesion_case
        (L,) index of the case of each lesion.
    lesion_weight
        (L,) float64, summing to 1 over the lesions of a case.
    """

    modalities: tuple[str, ...]
    readers: tuple[str, ...]
    cases: tuple[str, ...]
    false_positives: Floats = field(repr=False)
    false_positive_marks: Mapping[tuple[int, int], tuple[tuple[int, float], ...]] = field(repr=False)
    lesions: Floats = field(repr=False)
    lesion_case: NDArray[np.intp] = field(repr=False)
    lesion_weight: Floats = field(repr=False)

    @property
    def truth(self) -> Flags:
        """(K,) bool, True where the case holds a lesion."""
        out = np.zeros(len(self.cases), dtype=bool)
        out[self.lesion_case] = True
        return out

    def digest(self) -> str:
        """SHA-256 of names, lesions and marks (RS-S11)."""
        parts = [
            repr(
                (self.modalities, self.readers, self.cases, sorted(self.false_positive_marks.items()))
            ).encode()
        ]
        for array in (self.lesions, self.lesion_case.astype(np.int64), self.lesion_weight):
            parts.append(np.ascontiguousarray(array).tobytes())
        return hashlib.sha256(b"|".join(parts)).hexdigest()

    def in_order(self, modalities: Sequence[str]) -> FrocData:
        """The same data with the modalities in this order, which is the sign of every difference."""
        if sorted(modalities) != sorted(self.modalities):
            raise StatisticsError(
                f"Free-response data: expected the modalities {', '.join(self.modalities)}, found {', '.join(modalities)}."
            )
        at = [self.modalities.index(name) for name in modalities]
        return replace(
            self,
            modalities=tuple(modalities),
            false_positives=self.false_positives[at],
            lesions=self.lesions[at],
            false_positive_marks={
                (at.index(i), j): marks for (i, j), marks in self.false_positive_marks.items()
            },
        )

    def highest(self) -> Ratings:
        """Inferred ROC ratings: the highest mark on the case, whatever it marks (HrAuc)."""
        scores = self.false_positives.copy()
        for lesion, case in enumerate(self.lesion_case):
            scores[:, :, case] = np.maximum(scores[:, :, case], self.lesions[:, :, lesion])
        return Ratings(
            modalities=self.modalities,
            readers=self.readers,
            cases=self.cases,
            truth=self.truth,
            scores=scores,
        )


def froc_from_rows(
    *,
    truth: Iterable[tuple[str, str, float]],
    false_positives: Iterable[tuple[str, str, str, float]],
    true_positives: Iterable[tuple[str, str, str, str, float]],
    modalities: Sequence[str],
    readers: Sequence[str],
) -> FrocData:
    """Build ``FrocData`` from long rows.

    Parameters
    ----------
    truth
        (case, lesion id, weight); lesion id "0" or "" = a case without lesion. Weights of a case that are all 0 mean
        equal weights; else they must sum to 1.
    false_positives
        (reader, modality, case, rating).
    true_positives
        (reader, modality, case, lesion id, rating); a lesion marked twice keeps the higher rating.
    """
    cases: dict[str, int] = {}
    lesions: dict[tuple[str, str], int] = {}
    weights: list[float] = []
    for case, lesion, weight in truth:
        cases.setdefault(case, len(cases))
        if lesion not in {"0", ""}:
            if (case, lesion) in lesions:
                raise StatisticsError(
                    f"Case {case}, lesion {lesion}: expected once in the truth, found twice."
                )
            lesions[case, lesion] = len(lesions)
            weights.append(float(weight))
    lesion_case = np.array([cases[case] for case, _ in lesions], dtype=np.intp)
    shape = (len(modalities), len(readers))
    fp = np.full((*shape, len(cases)), -np.inf)
    ll = np.full((*shape, len(lesions)), -np.inf)
    marks: dict[tuple[int, int], list[tuple[int, float]]] = {}
    for reader, modality, case, rating in false_positives:
        _must_be_finite(reader, modality, case, rating)
        i, j, k = _place(modalities, readers, cases, reader, modality, case)
        fp[i, j, k] = max(fp[i, j, k], float(rating))
        marks.setdefault((i, j), []).append((k, float(rating)))
    for reader, modality, case, lesion, rating in true_positives:
        _must_be_finite(reader, modality, case, rating)
        i, j, _ = _place(modalities, readers, cases, reader, modality, case)
        if (case, lesion) not in lesions:
            raise StatisticsError(
                f"Reader {reader}, case {case}: expected a lesion of the truth, found lesion {lesion}."
            )
        at = lesions[case, lesion]
        ll[i, j, at] = max(ll[i, j, at], float(rating))
    return FrocData(
        modalities=tuple(modalities), readers=tuple(readers), cases=tuple(cases), false_positives=fp,
        false_positive_marks={key: tuple(value) for key, value in marks.items()}, lesions=ll,
        lesion_case=lesion_case, lesion_weight=_weights(np.array(weights), lesion_case, tuple(cases)),
    )  # fmt: skip


def _must_be_finite(reader: str, modality: str, case: str, rating: float) -> None:
    if not np.isfinite(rating):
        raise StatisticsError(
            f"Mark of reader {reader}, modality {modality}, case {case}: expected a finite rating, found {rating}; a lesion without a mark has no row."
        )


def _place(
    modalities: Sequence[str], readers: Sequence[str], cases: Mapping[str, int], reader: str, modality: str, case: str
) -> tuple[int, int, int]:  # fmt: skip
    if modality not in modalities or reader not in readers or case not in cases:
        raise StatisticsError(
            f"Mark of reader {reader}, modality {modality}, case {case}: expected names known to the study, found an unknown one."
        )
    return list(modalities).index(modality), list(readers).index(reader), cases[case]


def _weights(weights: Floats, lesion_case: NDArray[np.intp], cases: tuple[str, ...]) -> Floats:
    out = weights.astype(np.float64).copy()
    for case in np.unique(lesion_case):
        own = lesion_case == case
        if not out[own].any():
            out[own] = 1.0 / own.sum()
        if not abs(out[own].sum() - 1.0) <= 1e-3 or (out[own] < 0).any():  # so that NaN is refused too
            raise StatisticsError(
                f"Case {cases[case]}: expected lesion weights that sum to 1, found {out[own].sum():g}."
            )
        out[own] /= out[own].sum()  # published tables are rounded
    return out


class FrocFigure(StrEnum):
    """Figures of merit of free-response data; the '1' forms take false positives of all cases.

    HrSe and HrSp: share of diseased (other) cases with (without) any mark; MaxLLF: share of lesions marked at all;
    MaxNLF: false marks per case without disease.
    """

    WAFROC = "wAFROC"
    AFROC = "AFROC"
    WAFROC1 = "wAFROC1"
    AFROC1 = "AFROC1"
    HR_AUC = "HrAuc"
    HR_SE = "HrSe"
    HR_SP = "HrSp"
    MAX_LLF = "MaxLLF"
    MAX_NLF = "MaxNLF"


_PAIRED = frozenset({FrocFigure.WAFROC, FrocFigure.AFROC, FrocFigure.WAFROC1, FrocFigure.AFROC1})


def _contributions(data: FrocData, i: int, j: int, figure: FrocFigure) -> tuple[Floats, Flags, Floats]:
    """Success summed by (false-positive case, lesion case), which cases give false positives, lesion mass by case."""
    weighted = figure in {FrocFigure.WAFROC, FrocFigure.WAFROC1}
    rows = (
        np.ones(len(data.cases), dtype=bool)
        if figure in {FrocFigure.WAFROC1, FrocFigure.AFROC1}
        else ~data.truth
    )
    weight = data.lesion_weight if weighted else np.ones(len(data.lesion_case))
    fp, ll = data.false_positives[i, j], data.lesions[i, j]
    success = (ll[None, :] > fp[:, None]) + 0.5 * (ll[None, :] == fp[:, None])
    by_case = np.zeros((len(data.cases), len(data.cases)))
    np.add.at(by_case.T, data.lesion_case, (success * weight[None, :]).T)
    by_case[~rows] = 0.0
    mass = np.zeros(len(data.cases))
    np.add.at(mass, data.lesion_case, weight)
    return by_case, rows, mass


def _paired_values(data: FrocData, figure: FrocFigure) -> tuple[Floats, Floats]:
    """Values (I, J) and leave-one-case-out values (K, I, J), by taking rows and columns out of one table."""
    i_n, j_n = len(data.modalities), len(data.readers)
    values = np.empty((i_n, j_n))
    left_out = np.empty((len(data.cases), i_n, j_n))
    for i in range(i_n):
        for j in range(j_n):
            table, rows, mass = _contributions(data, i, j, figure)
            total, row_n, lesion_mass = table.sum(), rows.sum(), mass.sum()
            values[i, j] = total / (row_n * lesion_mass)
            without = total - table.sum(1) - table.sum(0) + np.diag(table)
            left_out[:, i, j] = without / ((row_n - rows) * (lesion_mass - mass))
    return values, left_out


def _counted_values(data: FrocData, figure: FrocFigure) -> tuple[Floats, Floats]:
    """Figures that are a mean over cases: values and leave-one-out values over the cases they look at."""
    truth = data.truth
    highest = data.highest().scores
    if figure is FrocFigure.HR_SE:
        part, size = np.isfinite(highest[..., truth]).astype(float), np.ones(int(truth.sum()))
    elif figure is FrocFigure.HR_SP:
        part, size = (~np.isfinite(highest[..., ~truth])).astype(float), np.ones(int((~truth).sum()))
    elif figure is FrocFigure.MAX_LLF:
        marked = np.isfinite(data.lesions).astype(float)
        diseased = np.flatnonzero(truth)
        part = np.stack([marked[..., data.lesion_case == k].sum(-1) for k in diseased], axis=-1)
        size = np.array([float((data.lesion_case == k).sum()) for k in diseased])
    else:
        every = np.zeros(highest.shape)
        for (i, j), marks in data.false_positive_marks.items():
            for k, _ in marks:
                every[i, j, k] += 1
        part, size = every[..., ~truth], np.ones(int((~truth).sum()))
    total, n = part.sum(-1), size.sum()
    left_out = np.moveaxis((total[..., None] - part) / (n - size), -1, 0)
    return total / n, left_out


def froc_estimates(data: FrocData, figure: FrocFigure = FrocFigure.WAFROC) -> Estimates:
    """Every reader's figure of merit under every modality, with jackknife covariance over cases.

    Returns
    -------
    Estimates for ``obuchowski_rockette.analyse``. MaxNLF is a rate of errors: higher is worse.
    """
    if not data.truth.any() or data.truth.all():
        raise StatisticsError("FROC: expected cases with and without lesions, found only one kind.")
    ill = int(data.truth.sum())
    if min(ill, len(data.cases) - ill) < 2:
        raise StatisticsError(
            f"FROC: expected two or more cases with and without lesions for the jackknife, found {ill} and {len(data.cases) - ill}."
        )
    if figure is FrocFigure.HR_AUC:
        return rating_estimates(data.highest(), covariance=Covariance.JACKKNIFE, name=figure.value)
    values, left_out = (_paired_values if figure in _PAIRED else _counted_values)(data, figure)
    shape = (*values.shape, *values.shape)
    return Estimates(
        modalities=data.modalities,
        readers=data.readers,
        values=values,
        covariance=jackknife_covariance(left_out),
        case_count=len(left_out),
        shares_cases=np.ones(shape, dtype=bool),
        method=Covariance.JACKKNIFE,
        figure_of_merit=figure.value,
        digest=data.digest(),
    )


def leave_one_out(data: FrocData, figure: FrocFigure) -> tuple[Floats, Floats]:
    """Values (I, J) and leave-one-case-out values (K, I, J) of a paired figure, for pseudovalues."""
    if figure not in _PAIRED:
        raise StatisticsError(f"Leave-one-out: expected one of the AFROC figures, found {figure.value}.")
    return _paired_values(data, figure)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrocCurve:
    """Points of one curve, strictest first; ``x`` is false marks per image or the false-positive fraction."""

    x: Floats = field(repr=False)
    y: Floats = field(repr=False)
    thresholds: Floats = field(repr=False)
    x_name: str
    y_name: str


def froc_curve(data: FrocData, i: int, j: int) -> FrocCurve:
    """FROC: lesion localisation fraction against false marks per image (FPPI), over all cases."""
    marks = np.array([rating for _, rating in data.false_positive_marks.get((i, j), ())])
    cuts = np.unique(np.concatenate([marks, data.lesions[i, j][np.isfinite(data.lesions[i, j])]]))[::-1]
    x = [float((marks >= cut).sum()) / len(data.cases) for cut in cuts]
    y = [float((data.lesions[i, j] >= cut).mean()) for cut in cuts]
    return FrocCurve(
        x=np.array([0.0, *x]), y=np.array([0.0, *y]), thresholds=np.array([np.inf, *cuts]), x_name="FPPI", y_name="LLF"
    )  # fmt: skip


def wafroc_curve(data: FrocData, i: int, j: int) -> FrocCurve:
    """wAFROC: weighted localisation fraction against the false-positive fraction of cases without lesion.

    The last point joins to (1, 1) by a straight line, which belongs to the area.
    """
    fp, ll = data.false_positives[i, j][~data.truth], data.lesions[i, j]
    cuts = np.unique(np.concatenate([fp[np.isfinite(fp)], ll[np.isfinite(ll)]]))[::-1]
    total = data.lesion_weight.sum()
    x = [float((fp >= cut).mean()) for cut in cuts]
    y = [float(data.lesion_weight[ll >= cut].sum() / total) for cut in cuts]
    return FrocCurve(
        x=np.array([0.0, *x, 1.0]), y=np.array([0.0, *y, 1.0]), thresholds=np.array([np.inf, *cuts, -np.inf]),
        x_name="FPF", y_name="weighted LLF",
    )  # fmt: skip
