"""What a report is made of: ratings, free-response marks, times, categories, and the words about the study.

Arrays and names only. Comes from an export folder or an exchange file (``reader_study.report.sources``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reader_study.statistics.froc import FrocData
from reader_study.statistics.ratings import Ratings
from reader_study.statistics.times import ReadTimes


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowCounts:
    """How cases and reads went through the study, for the flow diagram."""

    cases_planned: int
    cases_practice: int
    cases_read: int
    reads_planned: int
    reads_done: int
    reads_flagged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInputs:
    """Everything a report may use; what is absent (None, empty) is said to be absent.

    Attributes
    ----------
    facts
        (label, value) lines about design, protocol and washout, printed as they are.
    ratings
        modalities are the arms, in the order in which they are compared: first minus second.
    categories
        reader -> arm -> case -> category (BI-RADS), for agreement.
    cut
        a case is called positive when its rating is >= this; None = no binary tables.
    standalone
        case -> score of the AI alone.
    strata
        name of a stratum variable -> case -> value, e.g. density.
    """

    title: str
    study_id: str
    facts: tuple[tuple[str, str], ...] = ()
    ratings: Ratings
    rating_name: str = "rating"
    froc: FrocData | None = None
    times: ReadTimes | None = None
    categories: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)
    category_order: tuple[str, ...] = ()
    cut: float | None = None
    cut_name: str = ""
    flow: FlowCounts | None = None
    washout_days: tuple[float, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)
    standalone: Mapping[str, float] = field(default_factory=dict)
    strata: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    exclusions: tuple[str, ...] = ()
