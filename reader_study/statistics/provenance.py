"""How a number came about: method, covariance, degrees of freedom, sample, exclusions, software, data (RS-S11).

Every result of this package carries a ``Provenance`` or the same facts as fields of its own. Computes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from typing import Protocol, TypeVar

import numpy as np

from reader_study.statistics.obuchowski_rockette import OrAnalysis

_PACKAGES = ("negatoscope", "numpy", "scipy", "statsmodels")


@cache
def software_versions(packages: tuple[str, ...] = _PACKAGES) -> tuple[tuple[str, str], ...]:
    """Name and installed version of each package that took part; "not installed" where it is absent."""
    found = []
    for name in packages:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            found.append((name, "not installed"))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What a reader of a result must know to repeat it.

    Attributes
    ----------
    method
        estimator or test, in the words of the field.
    covariance, df_rule
        None where the method has none.
    readers, cases
        None where the result does not count them; ``observations`` is the number of values that went in.
    exclusions
        one sentence each, empty = nothing was left out.
    data_sha256
        of the arrays that were analysed, names and order included.
    """

    method: str
    covariance: str | None = None
    df_rule: str | None = None
    readers: int | None = None
    cases: int | None = None
    observations: int | None = None
    exclusions: tuple[str, ...] = ()
    software: tuple[tuple[str, str], ...] = ()
    data_sha256: str = ""

    def sentence(self) -> str:
        """One line for the foot of a table."""
        parts = [self.method]
        if self.covariance is not None:
            parts.append(f"covariance: {self.covariance}")
        if self.df_rule is not None:
            parts.append(f"degrees of freedom: {self.df_rule}")
        counts = [
            f"{count} {word}"
            for count, word in (
                (self.readers, "readers"),
                (self.cases, "cases"),
                (self.observations, "observations"),
            )
            if count is not None
        ]
        if counts:
            parts.append(", ".join(counts))
        parts.append("excluded: " + ("none" if not self.exclusions else "; ".join(self.exclusions)))
        parts.append(", ".join(f"{name} {version}" for name, version in self.software))
        parts.append(f"data SHA-256 {self.data_sha256}")
        return "; ".join(part for part in parts if part) + "."


def provenance(
    method: str,
    data_sha256: str,
    *,
    covariance: str | None = None,
    df_rule: str | None = None,
    readers: int | None = None,
    cases: int | None = None,
    observations: int | None = None,
    exclusions: Sequence[str] = (),
) -> Provenance:
    """Build a ``Provenance`` with the versions of the software that runs."""
    return Provenance(
        method=method,
        covariance=covariance,
        df_rule=df_rule,
        readers=readers,
        cases=cases,
        observations=observations,
        exclusions=tuple(exclusions),
        software=software_versions(),
        data_sha256=data_sha256,
    )


def provenance_of(analysis: OrAnalysis, *, exclusions: Sequence[str] = ()) -> Provenance:
    """The provenance of an Obuchowski-Rockette analysis, from the facts that it carries."""
    return provenance(
        analysis.method,
        analysis.digest,
        covariance=analysis.covariance,
        df_rule=analysis.df_rule,
        readers=analysis.readers,
        cases=analysis.cases,
        exclusions=exclusions,
    )


def digest_of(*columns: Iterable[object]) -> str:
    """SHA-256 of columns of values (numbers by their shortest exact text, so the platform does not matter)."""
    state = hashlib.sha256()
    for column in columns:
        values = np.asarray(column).ravel().tolist() if isinstance(column, np.ndarray) else list(column)
        state.update(repr([_plain(value) for value in values]).encode())
        state.update(b"|")
    return state.hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    return value


class _Carries(Protocol):
    @property
    def provenance(self) -> Provenance: ...


_Result = TypeVar("_Result", bound=_Carries)


def with_exclusions(result: _Result, exclusions: Sequence[str]) -> _Result:
    """The same result with what was left out before the analysis written into its provenance."""
    known = result.provenance
    return replace(result, provenance=replace(known, exclusions=(*known.exclusions, *exclusions)))  # type: ignore[type-var]
