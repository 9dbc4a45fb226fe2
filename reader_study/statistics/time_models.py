"""Log-time mixed models: the arm's effect with reader and case random, and period, order and learning effects.

Times are log-normal to a good approximation, so effects are ratios. Fits with and without flagged reads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reader_study.statistics.mixed_model import FixedEffect, MixedFit, fit_mixed
from reader_study.statistics.provenance import Provenance, provenance
from reader_study.statistics.ratings import Floats, StatisticsError
from reader_study.statistics.times import ReadTimes

PERIOD = "second period"
ORDER = "order of arms"
LEARNING = "per 10 places in the session"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRatio:
    """An effect on time: ratio 0.8 = a fifth less. The test is that of the log ratio."""

    name: str
    ratio: float
    lower: float
    upper: float
    statistic: float
    df: float
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeModel:
    """A log-time model. ``sds`` are standard deviations on the log scale, by random term; ``residual_sd`` the rest."""

    ratios: tuple[TimeRatio, ...]
    sds: dict[str, float]
    residual_sd: float
    typical_s: float
    flagged_included: bool
    notes: tuple[str, ...]
    fit: MixedFit
    provenance: Provenance

    def ratio(self, name: str) -> TimeRatio:
        """The effect of this name; StatisticsError where the model has none."""
        for ratio in self.ratios:
            if ratio.name == name:
                return ratio
        raise StatisticsError(f"Time model: expected an effect of {', '.join(r.name for r in self.ratios)}, found {name!r}.")  # fmt: skip


def fit_log_times(
    times: ReadTimes,
    *,
    reference: str,
    include_flagged: bool = True,
    reader_by_arm: bool = False,
    design_effects: bool = False,
    level: float = 0.95,
) -> TimeModel:
    """Log seconds by arm, with reader and case as crossed random effects (REML, Satterthwaite).

    Parameters
    ----------
    reference
        the arm that the others are divided by.
    reader_by_arm
        let the arm's effect differ between readers at random; the interval then speaks to readers not in the study.
    design_effects
        add period, order (which arm the reader saw the case in first) and place in the session, as far as they are
        recorded and the design can tell them apart.

    Notes
    -----
    Without ``reader_by_arm`` the arm is taken to act alike on every reader, and a note says so.

    Raises
    ------
    StatisticsError
        One arm only; one reader with ``reader_by_arm``; times that the fixed effects explain without rest.
    """
    used = times if include_flagged else times.unflagged()
    arms = tuple(dict.fromkeys(used.arms))
    if reference not in arms or len(arms) < 2:
        raise StatisticsError(f"Time model: expected {reference!r} and another arm, found {', '.join(arms)}.")
    arm_of = np.array(used.arms)
    columns: dict[str, Floats] = {
        f"{arm} / {reference}": (arm_of == arm).astype(np.float64) for arm in arms if arm != reference
    }
    notes: list[str] = []
    if design_effects:
        columns |= _design_columns(used, reference, notes)
    random: dict[str, Sequence[str]] = {"reader": used.readers, "case": used.cases}
    if reader_by_arm and len(set(used.readers)) < 2:
        raise StatisticsError(
            "Time model: expected two or more readers for an arm effect that varies between readers, found one; take it as fixed."
        )
    if reader_by_arm:
        random["reader x arm"] = [f"{r}\t{a}" for r, a in zip(used.readers, used.arms, strict=True)]
    else:
        notes.append("The arm is taken to change the time of every reader by the same ratio.")
    fit = fit_mixed(np.log(used.seconds), columns, random, level=level)
    notes += [f"{name}: left out, the design cannot tell it from the other effects." for name in fit.dropped]
    notes += [f"{name}: variance estimated as 0." for name in fit.singular]
    left_out = [] if include_flagged else [f"{int(times.flagged.sum())} flagged reads"]
    return TimeModel(
        ratios=tuple(_ratio(effect) for effect in fit.effects[1:]),
        sds=fit.sds,
        residual_sd=fit.residual_sd,
        typical_s=math.exp(fit.effects[0].estimate),
        flagged_included=include_flagged,
        notes=tuple(notes),
        fit=fit,
        provenance=provenance(
            f"linear mixed model of log time, REML; fixed: {', '.join(columns)}; random: {', '.join(random)}",
            used.digest(),
            df_rule="Satterthwaite",
            readers=len(set(used.readers)),
            cases=len(set(used.cases)),
            observations=len(used.readers),
            exclusions=left_out,
        ),
    )


def _exp(log_ratio: float) -> float:
    """A ratio; infinite where few degrees of freedom leave the limit open."""
    return math.exp(log_ratio) if log_ratio < 700 else math.inf


def _ratio(effect: FixedEffect) -> TimeRatio:
    return TimeRatio(
        name=effect.name,
        ratio=_exp(effect.estimate),
        lower=_exp(effect.lower),
        upper=_exp(effect.upper),
        statistic=effect.statistic,
        df=effect.df,
        p_value=effect.p_value,
    )


def _design_columns(times: ReadTimes, reference: str, notes: list[str]) -> dict[str, Floats]:
    columns: dict[str, Floats] = {}
    if times.periods is None:
        notes.append("Period and order are not recorded.")
    else:
        first_period = int(times.periods.min())
        columns[PERIOD] = (times.periods > first_period).astype(np.float64)
        earliest: dict[tuple[str, str], tuple[int, str]] = {}
        for reader, case, arm, period in zip(
            times.readers, times.cases, times.arms, times.periods.tolist(), strict=True
        ):
            known = earliest.get((reader, case))
            if known is None or period < known[0]:
                earliest[reader, case] = (period, arm)
        keys = zip(times.readers, times.cases, strict=True)
        columns[ORDER] = np.array([float(earliest[key][1] != reference) for key in keys])
    if times.positions is None:
        notes.append("Places in the session are not recorded.")
    else:
        columns[LEARNING] = (times.positions - 1) / 10.0
    return columns


def with_and_without_flagged_models(
    times: ReadTimes, *, reference: str, reader_by_arm: bool = False, level: float = 0.95
) -> tuple[TimeModel, TimeModel]:
    """The arm's model on all reads, and on those without a flag (RS-M3)."""
    return (
        fit_log_times(times, reference=reference, reader_by_arm=reader_by_arm, level=level),
        fit_log_times(
            times, reference=reference, include_flagged=False, reader_by_arm=reader_by_arm, level=level
        ),
    )
