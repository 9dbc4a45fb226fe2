"""Simulated reader studies of known truth: the Roe-Metz model and its generalisation by Gallas and Hillis.

Roe & Metz 1997 (Acad Radiol 4:298 and 4:587); Gallas & Hillis 2014 (J Med Imaging 1:031006). Makes scores and the
expected areas; the analyses are elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import stats

from reader_study.statistics.ratings import Flags, Floats, Ratings, StatisticsError

Pair = tuple[float, float]  # cases without disease, cases with disease


@dataclass(frozen=True, slots=True, kw_only=True)
class Variances:
    """Variances of random effects on the scale of the scores, each for cases (without, with) disease.

    In a modality's own set ``reader_by_case`` holds the error too: without repeated reads the two are one.
    """

    reader: Pair = (0.0, 0.0)
    case: Pair = (0.0, 0.0)
    reader_by_case: Pair = (0.0, 0.0)

    def __post_init__(self) -> None:
        if min(*self.reader, *self.case, *self.reader_by_case) < 0:
            raise StatisticsError("Roe-Metz: expected variances of 0 or more, found a negative one.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoeMetz:
    """A study's truth.

    Attributes
    ----------
    separations
        (I,) distance between the mean scores with and without disease, by modality.
    shared
        effects that a reader, a case and their pair carry through all modalities.
    own
        (I,) effects of each modality by itself.
    """

    separations: tuple[float, ...]
    shared: Variances
    own: tuple[Variances, ...]

    def __post_init__(self) -> None:
        if not self.separations or len(self.separations) != len(self.own):
            raise StatisticsError(
                f"Roe-Metz: expected variances for each of {len(self.separations)} modalities, found {len(self.own)}."
            )


class Structure(StrEnum):
    """The four variance structures of Roe & Metz 1997: first letter correlation of cases, second spread of readers."""

    HH = "HH"
    HL = "HL"
    LH = "LH"
    LL = "LL"


class Accuracy(StrEnum):
    """Their three levels of the mean reader's area: 0.702, 0.855 and 0.961."""

    LOW = "0.702"
    MIDDLE = "0.855"
    HIGH = "0.961"


_SEPARATION = {Accuracy.LOW: 0.75, Accuracy.MIDDLE: 1.5, Accuracy.HIGH: 2.5}
# variance of readers and of reader by modality, by the second letter
_READERS = {
    "L": {Accuracy.LOW: 0.0055, Accuracy.MIDDLE: 0.0055, Accuracy.HIGH: 0.011},
    "H": {Accuracy.LOW: 0.011, Accuracy.MIDDLE: 0.030, Accuracy.HIGH: 0.056},
}
# case, modality by case, reader by case, error, by the first letter
_CASES = {"H": (0.3, 0.3, 0.2, 0.2), "L": (0.1, 0.1, 0.2, 0.6)}


def standard_model(structure: Structure, accuracy: Accuracy, *, shift: float = 0.0) -> RoeMetz:
    """Two modalities with Roe & Metz's variances (their table 1), the second's separation raised by ``shift``.

    ``shift`` 0 is the null hypothesis. Variances of cases, reader by case and error sum to 1.
    """
    case, modality_case, reader_case, error = _CASES[structure.value[0]]
    reader = _READERS[structure.value[1]][accuracy]

    def both(variance: float) -> Pair:
        return variance, variance

    own = Variances(reader=both(reader), case=both(modality_case), reader_by_case=both(error))
    mu = _SEPARATION[accuracy]
    return RoeMetz(
        separations=(mu, mu + shift),
        shared=Variances(reader=both(reader), case=both(case), reader_by_case=both(reader_case)),
        own=(own, own),
    )


def simulate(
    model: RoeMetz,
    rng: np.random.Generator,
    *,
    readers: int,
    positives: int,
    negatives: int,
    studies: int = 1,
) -> tuple[Floats, Flags]:
    """Scores of simulated fully crossed studies.

    Returns
    -------
    scores
        (studies, I, J, K) float64, cases without disease first.
    truth
        (K,) bool.
    """
    if min(readers, positives, negatives, studies) < 1:
        raise StatisticsError("Roe-Metz: expected at least one reader, case of each truth and study, found none.")  # fmt: skip
    blocks = []
    for ill, count in ((0, negatives), (1, positives)):
        scores = np.zeros((studies, len(model.separations), readers, count))
        scores += ill * np.array(model.separations)[None, :, None, None]
        scores += _effects(model.shared, ill, rng, (studies, 1, readers, count))
        for i, own in enumerate(model.own):
            scores[:, i : i + 1] += _effects(own, ill, rng, (studies, 1, readers, count))
        blocks.append(scores)
    truth = np.arange(negatives + positives) >= negatives
    return np.concatenate(blocks, axis=-1), truth


def _effects(
    variances: Variances, ill: int, rng: np.random.Generator, shape: tuple[int, int, int, int]
) -> Floats:
    studies, _, readers, cases = shape
    total: Floats = rng.normal(0.0, math.sqrt(variances.reader[ill]), (studies, 1, readers, 1))
    total = total + rng.normal(0.0, math.sqrt(variances.case[ill]), (studies, 1, 1, cases))
    return total + rng.normal(0.0, math.sqrt(variances.reader_by_case[ill]), shape)


def simulated_ratings(
    model: RoeMetz, rng: np.random.Generator, *, readers: int, positives: int, negatives: int
) -> Ratings:
    """One simulated study as ``Ratings``."""
    scores, truth = simulate(model, rng, readers=readers, positives=positives, negatives=negatives)
    return Ratings(
        modalities=tuple(f"modality {i + 1}" for i in range(scores.shape[1])),
        readers=tuple(f"reader {j + 1}" for j in range(readers)),
        cases=tuple(f"case {k + 1}" for k in range(len(truth))),
        truth=truth,
        scores=np.ascontiguousarray(scores[0]),
    )


def expected_areas(model: RoeMetz) -> tuple[float, ...]:
    """Area of each modality, over the population of readers and cases (Gallas & Hillis 2014, eq. 6)."""
    return tuple(
        float(stats.norm.cdf(mu / math.sqrt(_total(model, i)))) for i, mu in enumerate(model.separations)
    )


def _sum(pair: Pair) -> float:
    return pair[0] + pair[1]


def _total(model: RoeMetz, i: int) -> float:
    """Variance of a score with disease minus a score without."""
    parts = (model.shared, model.own[i])
    return sum(_sum(p.reader) + _sum(p.case) + _sum(p.reader_by_case) for p in parts)


def expected_variance(
    model: RoeMetz, weights: tuple[float, ...], *, readers: int, positives: int, negatives: int
) -> float:
    """Variance of a weighted sum of the modalities' reader-averaged areas, by theory.

    Parameters
    ----------
    weights
        (I,), for example (1, -1) for the difference of two modalities.

    Notes
    -----
    Two successes share the reader, the negative case and the positive case or not; of each of the eight ways the
    mean product is a bivariate normal probability (Gallas & Hillis 2014, eq. 10 to 13).
    """
    means = expected_areas(model)
    total = 0.0
    for a, wa in enumerate(weights):
        for b, wb in enumerate(weights):
            second = 0.0
            for same_r in (True, False):
                for same_n in (True, False):
                    for same_p in (True, False):
                        share = (
                            _share(same_r, readers) * _share(same_n, negatives) * _share(same_p, positives)
                        )
                        second += share * _joint(model, a, b, same_r, same_n, same_p)
            total += wa * wb * (second - means[a] * means[b])
    return total


def _share(same: bool, n: int) -> float:
    return 1 / n if same else (n - 1) / n


def _joint(model: RoeMetz, a: int, b: int, same_r: bool, same_n: bool, same_p: bool) -> float:
    """P(both comparisons succeed) when they share the reader, the negative and the positive case, or not."""
    covariance = 0.0
    parts = [model.shared, *([model.own[a]] if a == b else [])]
    for part in parts:
        if same_r:
            covariance += _sum(part.reader)
        for ill, same_case in ((0, same_n), (1, same_p)):
            if same_case:
                covariance += part.case[ill] + (part.reader_by_case[ill] if same_r else 0.0)
    scale_a, scale_b = math.sqrt(_total(model, a)), math.sqrt(_total(model, b))
    upper = [model.separations[a] / scale_a, model.separations[b] / scale_b]
    rho = min(covariance / (scale_a * scale_b), 1.0)
    if rho > 1 - 1e-12:
        return float(stats.norm.cdf(min(upper)))
    return float(stats.multivariate_normal.cdf(upper, mean=[0, 0], cov=[[1, rho], [rho, 1]]))
