"""Chakraborty's radiological search model: the areas it predicts, and the ROC-to-wAFROC scale factor for planning.

Chakraborty 2006 (Phys Med Biol 51:3449), 2017 (Observer Performance Methods, chapters 16 to 19). Predicts, does not fit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import integrate, special

from reader_study.statistics.ratings import StatisticsError


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchModel:
    """One reader under one modality.

    Attributes
    ----------
    mu
        separation of lesion ratings from those of other marked regions, standard deviations, above 0.
    false_regions
        mean number of suspicious regions that are no lesion, per case (lambda of the Poisson distribution).
    found
        chance that a lesion is considered at all (nu), 0..1.
    """

    mu: float
    false_regions: float
    found: float

    def __post_init__(self) -> None:
        if self.mu <= 0 or self.false_regions <= 0 or not 0 < self.found <= 1:
            raise StatisticsError(
                f"Search model: expected mu and lambda above 0 and nu in 0..1, found {self.mu}, {self.false_regions} and {self.found}."
            )


def sharper(model: SearchModel, gain: float) -> SearchModel:
    """The same reader with mu raised by ``gain``: lambda mu and log(1 - nu) / mu, the intrinsic parameters, stay."""
    mu = model.mu + gain
    return SearchModel(
        mu=mu,
        false_regions=model.false_regions * model.mu / mu,
        found=1.0 - (1.0 - model.found) ** (mu / model.mu),
    )


def predicted_areas(model: SearchModel, lesions: Mapping[int, float]) -> tuple[float, float]:
    """Areas under the ROC (highest rating) and the wAFROC curve (equal weights), straight ends included.

    Parameters
    ----------
    lesions
        number of lesions in a case with disease -> share of such cases; shares sum to 1.
    """
    if abs(sum(lesions.values()) - 1) > 1e-9 or any(n < 1 or share < 0 for n, share in lesions.items()):
        raise StatisticsError(
            "Search model: expected shares of 1 or more lesions that sum to 1, found others."
        )

    def tpf(z: float) -> float:
        missed = 1.0 - model.found * float(special.ndtr(model.mu - z))
        silent = math.exp(-model.false_regions * float(special.ndtr(-z)))
        return 1.0 - silent * sum(share * missed**n for n, share in lesions.items())

    def llf(z: float) -> float:
        return model.found * float(special.ndtr(model.mu - z))

    def fpf_slope(z: float) -> float:  # minus the derivative of 1 - exp(-lambda * Phi(-z))
        return (
            model.false_regions
            * math.exp(-model.false_regions * float(special.ndtr(-z)) - z * z / 2)
            / math.sqrt(2 * math.pi)
        )

    end = 1.0 - math.exp(-model.false_regions)  # no region, no mark: the curve stops here
    areas = []
    for curve, last in ((tpf, tpf(-np.inf)), (llf, model.found)):
        under, _ = integrate.quad(
            lambda z, curve=curve: curve(z) * fpf_slope(z), -12, 12, epsabs=1e-12, limit=200
        )
        areas.append(under + (1 - end) * (last + 1) / 2)
    return areas[0], areas[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleFactor:
    """wAFROC effect = ``factor`` x ROC effect; ``r_squared`` of the straight line through the origin."""

    factor: float
    r_squared: float


def scale_factor(model: SearchModel, lesions: Mapping[int, float]) -> ScaleFactor:
    """How much larger a wAFROC effect is than the ROC effect of the same gain in mu (0.01 to 0.20).

    Multiply a ROC effect by it and plan with wAFROC components (``planning.power``).

    Parameters
    ----------
    model
        of the arm without aid, for example the median of fits to a pilot.
    lesions
        as in ``predicted_areas``.
    """
    roc0, afroc0 = predicted_areas(model, lesions)
    gains = [predicted_areas(sharper(model, 0.01 * k), lesions) for k in range(1, 21)]
    x = np.array([roc - roc0 for roc, _ in gains])
    y = np.array([afroc - afroc0 for _, afroc in gains])
    factor = float(x @ y / (x @ x))
    rest = y - factor * x
    return ScaleFactor(factor=factor, r_squared=1 - float(rest @ rest / (y @ y)))
