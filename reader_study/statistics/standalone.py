"""AI alone against a group of readers on the same cases: readers and cases random, the AI fixed (RS-S14).

The AI's figure of merit is taken from every reader's and the differences are analysed as one modality (Hillis 2005,
Stat Med 24:1579; 2007, Stat Med 26:596; Chakraborty's 1T-RRRC). The AI is the same whoever reads, so it has no
reader variance of its own, but its figure varies with the cases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from reader_study.statistics.covariance import Estimates
from reader_study.statistics.obuchowski_rockette import Generalise, Interval, analyse
from reader_study.statistics.provenance import Provenance, provenance
from reader_study.statistics.ratings import Floats, StatisticsError


@dataclass(frozen=True, slots=True, kw_only=True)
class AgainstReaders:
    """Readers' mean minus the AI.

    Attributes
    ----------
    difference
        mean of readers minus AI, with its interval and two-sided test.
    f
        the square of its t statistic, as programs print it (1 and ``difference.df`` degrees of freedom).
    reader_differences
        (J,) each reader minus the AI.
    """

    ai: str
    modality: str
    ai_value: float
    readers_mean: float
    difference: Interval
    f: float
    reader_differences: Floats = field(repr=False)
    readers: tuple[str, ...]
    provenance: Provenance


def ai_against_readers(
    estimates: Estimates,
    ai: str,
    *,
    modality: str | None = None,
    generalise: Generalise = Generalise.READERS_AND_CASES,
    level: float = 0.95,
) -> AgainstReaders:
    """Test whether the readers' mean equals the AI, both on the same cases.

    Parameters
    ----------
    estimates
        figures of merit of readers and AI, the AI being one of the readers.
    ai
        its name among ``estimates.readers``.
    modality
        the arm to look at; None where there is one only.
    generalise
        random readers and cases, or random readers only (a one-sample t test, cases fixed).
    """
    if ai not in estimates.readers:
        raise StatisticsError(f"AI against readers: expected one of {', '.join(estimates.readers)}, found {ai!r}.")  # fmt: skip
    if modality is None:
        if len(estimates.modalities) != 1:
            raise StatisticsError(
                f"AI against readers: expected one modality, found {', '.join(estimates.modalities)}; name one."
            )
        modality = estimates.modalities[0]
    if modality not in estimates.modalities:
        raise StatisticsError(f"AI against readers: expected a modality of {', '.join(estimates.modalities)}, found {modality!r}.")  # fmt: skip
    differences = _minus(estimates, estimates.modalities.index(modality), estimates.readers.index(ai))
    found = analyse(differences, generalise, level=level)
    mean = found.means[0]
    t = (
        mean.estimate / mean.error
        if mean.error > 0
        else math.copysign(math.inf, mean.estimate)
        if mean.estimate
        else 0.0
    )
    values = estimates.values[estimates.modalities.index(modality)]
    return AgainstReaders(
        ai=ai,
        modality=modality,
        ai_value=float(values[estimates.readers.index(ai)]),
        readers_mean=float(np.delete(values, estimates.readers.index(ai)).mean()),
        difference=_tested(f"readers - {ai}", mean, t),
        f=t * t,
        reader_differences=differences.values[0],
        readers=differences.readers,
        provenance=provenance(
            f"AI against readers, one modality (1T), {generalise.value}, {estimates.figure_of_merit}",
            estimates.digest,
            covariance=estimates.method.value,
            df_rule=found.df_rule,
            readers=len(differences.readers),
            cases=estimates.case_count,
        ),
    )


def _tested(label: str, mean: Interval, t: float) -> Interval:
    if mean.df is None or not math.isfinite(mean.df):
        p = float(2 * stats.norm.sf(abs(t)))
    else:
        p = float(2 * stats.t.sf(abs(t), mean.df))
    return Interval(
        label=label, estimate=mean.estimate, error=mean.error, df=mean.df, lower=mean.lower, upper=mean.upper,
        statistic=t, p_value=p,
    )  # fmt: skip


def _minus(estimates: Estimates, i: int, ai: int) -> Estimates:
    """Each reader minus the AI, with the covariance of the differences."""
    keep = [j for j in range(len(estimates.readers)) if j != ai]
    cov = estimates.covariance[i, :, i, :]
    shares = estimates.shares_cases[i, :, i, :]
    if not shares.all():
        raise StatisticsError(
            "AI against readers: expected readers and AI on the same cases, found none shared; use the cases that all read."
        )
    own = cov[np.ix_(keep, keep)] - cov[keep, ai][:, None] - cov[ai, keep][None, :] + cov[ai, ai]
    values = (estimates.values[i, keep] - estimates.values[i, ai])[None, :]
    return Estimates(
        modalities=(f"{estimates.modalities[i]}, readers - {estimates.readers[ai]}",),
        readers=tuple(estimates.readers[j] for j in keep),
        values=values,
        covariance=own[None, :, None, :],
        case_count=estimates.case_count,
        shares_cases=np.ones((1, len(keep), 1, len(keep)), dtype=bool),
        method=estimates.method,
        figure_of_merit=estimates.figure_of_merit,
        digest=estimates.digest,
    )
