"""What a report is made of: ratings, free-response marks, times, categories, and the words about the study.

Arrays and names only. Comes from an export folder or an exchange file (``reader_study.report.sources``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reader_study.statistics.froc import FrocData
from reader_study.statistics.localisation import Mark, Outline, Rule
from reader_study.statistics.obuchowski_rockette import Claim
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
class Localised:
    """Raw marks and lesions, so that the report can score them again at other radii."""

    marks: tuple[Mark, ...] = field(repr=False)
    outlines: tuple[Outline, ...] = field(repr=False)
    rule: Rule
    radii_mm: tuple[float, ...] = (5.0, 10.0, 15.0, 20.0, 30.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeRatings:
    """One finding type (mass, calcification ...): was it said to be there, and was it.

    Attributes
    ----------
    ratings
        1 where the reader marked a finding of this type, else 0 (or any rising scale).
    standalone
        case -> the AI's score for this type; empty = none.
    """

    ratings: Ratings
    standalone: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInputs:
    """Everything a report may use; what is absent (None, empty) is said to be absent.

    Attributes
    ----------
    facts
        (label, value) lines about design, protocol and washout, printed as they are.
    ratings
        modalities are the arms, in the order in which they are compared: first minus second.
    default_fom
        figure of merit of the primary analysis where none is asked for: wAFROC of a file of marks.
    categories
        reader -> arm -> case -> category (BI-RADS), for agreement.
    cut
        a case is called positive when its rating is >= this; None = no binary tables.
    standalone
        case -> score of the AI alone.
    standalone_cut
        the AI's call is positive from this score on; None = the highest Youden index, said to be optimistic.
    strata
        name of a stratum variable -> case -> value, e.g. density.
    case_numbers
        name of a number known of cases (age, size) -> case -> value; used in bands and in the regression.
    order
        (reader, arm, case) -> (period, place in the session), from 1.
    times, opened_times
        first paint to submit without pauses; case opened to submit (the interval that some papers print).
    claim, margin
        what the protocol sets out to show of first minus second; None = equality is tested.
    bootstrap
        replicates, 0 = none.
    unit
        the unit of analysis, in words.
    pictures
        case -> JPEG of its views with lesion and marks, for the cases that were read wrongly.
    """

    title: str
    study_id: str
    facts: tuple[tuple[str, str], ...] = ()
    ratings: Ratings
    rating_name: str = "rating"
    default_fom: str = "AUC"
    froc: FrocData | None = None
    localised: Localised | None = None
    times: ReadTimes | None = None
    opened_times: ReadTimes | None = None
    categories: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)
    category_order: tuple[str, ...] = ()
    cut: float | None = None
    cut_name: str = ""
    flow: FlowCounts | None = None
    washout_days: tuple[float, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)
    reader_facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    standalone: Mapping[str, float] = field(default_factory=dict)
    standalone_cut: float | None = None
    strata: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    case_numbers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    order: Mapping[tuple[str, str, str], tuple[int, int]] = field(default_factory=dict)
    by_type: Mapping[str, TypeRatings] = field(default_factory=dict)
    exclusions: tuple[str, ...] = ()
    claim: Claim | None = None
    margin: float = 0.0
    bootstrap: int = 0
    unit: str = "the woman (one rating a case)"
    pictures: Mapping[str, bytes] = field(default_factory=dict, repr=False)
