"""The data of a multi-reader multi-case analysis: who scored which case under which modality, and the truth.

Arrays only: knows no study, no database. A case that a reader did not read is NaN; an image without a mark is -inf,
which ranks below every rating.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reader_study.errors import StudyError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class StatisticsError(StudyError):
    """Data cannot be analysed as asked; the text says what, where, expected, found, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratings:
    """Scores of I modalities, J readers and K cases.

    Attributes
    ----------
    scores
        (I, J, K) float64, higher = more suspicious; NaN = not read, -inf = read and nothing marked.
    truth
        (K,) bool, True = disease present.
    clusters
        (K,) the unit of analysis each case belongs to (the woman, for breast-level cases); None = each its own.
    """

    modalities: tuple[str, ...]
    readers: tuple[str, ...]
    cases: tuple[str, ...]
    truth: Flags = field(compare=False)
    scores: Floats = field(compare=False, repr=False)
    clusters: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        shape = (len(self.modalities), len(self.readers), len(self.cases))
        if self.scores.shape != shape:
            raise StatisticsError(
                f"Ratings: expected scores of shape {shape} (modalities, readers, cases), found {self.scores.shape}."
            )
        if self.truth.shape != (shape[2],):
            raise StatisticsError(
                f"Ratings: expected the truth of {shape[2]} cases, found {self.truth.shape}."
            )
        if np.isposinf(self.scores).any():
            raise StatisticsError("Ratings: expected finite scores or -inf for unmarked, found +inf.")
        for truth, word in ((True, "with disease"), (False, "without disease")):
            if not (self.truth == truth).any():
                raise StatisticsError(
                    f"Ratings: expected at least one case {word}, found none; check the truth."
                )
        self.scores.setflags(write=False)
        self.truth.setflags(write=False)

    @property
    def is_complete(self) -> bool:
        """True when every reader read every case under every modality (fully crossed)."""
        return not bool(np.isnan(self.scores).any())

    def digest(self) -> str:
        """SHA-256 of names, truth and scores, for the record of an analysis (RS-S11)."""
        parts = [repr((self.modalities, self.readers, self.cases)).encode()]
        parts += [np.packbits(self.truth).tobytes(), np.ascontiguousarray(self.scores).tobytes()]
        if self.clusters is not None:
            parts.append(repr(self.clusters).encode())
        return hashlib.sha256(b"|".join(parts)).hexdigest()

    def pick(
        self, *, modalities: Sequence[str] | None = None, readers: Sequence[str] | None = None
    ) -> Ratings:
        """Return only these modalities and readers, in the order given; StatisticsError names an unknown one."""
        mods = _positions("modality", self.modalities, modalities)
        rdrs = _positions("reader", self.readers, readers)
        return Ratings(
            modalities=tuple(self.modalities[i] for i in mods),
            readers=tuple(self.readers[j] for j in rdrs),
            cases=self.cases,
            truth=self.truth,
            scores=np.ascontiguousarray(self.scores[np.ix_(mods, rdrs)]),
            clusters=self.clusters,
        )


def _positions(what: str, known: tuple[str, ...], asked: Sequence[str] | None) -> list[int]:
    if asked is None:
        return list(range(len(known)))
    missing = [name for name in asked if name not in known]
    if missing:
        raise StatisticsError(f"Ratings: expected a {what} of {', '.join(known)}, found {missing[0]!r}.")
    return [known.index(name) for name in asked]


def ratings_from_rows(
    rows: Iterable[tuple[str, str, str, int | bool, float]],
    *,
    modality_order: Sequence[str] | None = None,
) -> Ratings:
    """Build ``Ratings`` from long rows (reader, modality, case, truth 0/1, score).

    Names keep the order of their first appearance. A case read twice by one reader under one modality, or with two
    truths, is refused by name.
    """
    readers: dict[str, int] = {}
    modalities: dict[str, int] = {name: k for k, name in enumerate(modality_order or ())}
    cases: dict[str, int] = {}
    truths: dict[str, bool] = {}
    found: dict[tuple[int, int, int], float] = {}
    for reader, modality, case, truth, score in rows:
        if truths.setdefault(case, bool(truth)) != bool(truth):
            raise StatisticsError(
                f"Case {case}: expected one truth, found both; correct the truth of this case."
            )
        key = (
            modalities.setdefault(modality, len(modalities)),
            readers.setdefault(reader, len(readers)),
            cases.setdefault(case, len(cases)),
        )
        if key in found:
            raise StatisticsError(
                f"Reader {reader}, modality {modality}, case {case}: expected one score, found two; remove one."
            )
        found[key] = float(score)
    if not found:
        raise StatisticsError("Ratings: expected at least one row, found none.")
    scores = np.full((len(modalities), len(readers), len(cases)), np.nan)
    for key, score in found.items():
        scores[key] = score
    return Ratings(
        modalities=tuple(modalities),
        readers=tuple(readers),
        cases=tuple(cases),
        truth=np.array([truths[case] for case in cases]),
        scores=scores,
    )
