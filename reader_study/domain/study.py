"""The design of a study: arms, readers, cases, scale, and who reads what in which order.

Owns the nouns and their checks. Holds no truth and no pixels; the truth is in ``truth.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from reader_study.domain.conduct import (
    CallOf,
    Conduct,
    Consistency,
    Design,
    Disclosure,
    Localisation,
    Purpose,
    Training,
)
from resources.vocabulary import Density

FIELDS: tuple[str, ...] = ("birads", "suspicion", "density", "recall")
# Asked in contrast exams only, and only where the protocol wants them (CEM-08): of a breast, and of a mark.
CONTRAST_FIELDS: tuple[str, ...] = ("bpe", "bpe_symmetry", "enhancement", "conspicuity")
MOST_WASHOUT_DAYS = 36_500  # what a calendar can hold with room to spare
FORCED_BIRADS: tuple[str, ...] = ("1", "2", "3", "4A", "4B", "4C", "5")


def _distinct(what: str, ids: tuple[str, ...]) -> None:
    if len(set(ids)) != len(ids):
        twice = sorted({i for i in ids if ids.count(i) > 1})
        raise ValueError(f"{what}: expected each id once, found {', '.join(twice)} more than once")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Which answers the protocol asks for: allowed BI-RADS categories in order, and the required fields."""

    birads: tuple[str, ...] = FORCED_BIRADS
    require: tuple[str, ...] = FIELDS
    max_benign_suspicion: int | None = (
        50  # RS-C2: highest suspicion that goes with BI-RADS 1 or 2; None = no rule
    )
    # Least share of every image's tissue shown at 1:1 before a case can be submitted, 0..1; None = none is required.
    min_coverage: float | None = None
    match_recall: bool = True  # RS-C2: recall follows from BI-RADS 0, 4, 5; no recall from 1 and 2
    contrast: tuple[str, ...] = ()  # CEM-08: which of CONTRAST_FIELDS are asked in contrast exams; () = none
    call: CallOf = CallOf.NONE  # a benign/malignant call of each case, or of each mark
    consistency: Consistency = Consistency.DENY  # what the rules of RS-C2 above do

    def __post_init__(self) -> None:
        strange = sorted(set(self.contrast) - set(CONTRAST_FIELDS))
        if strange:
            raise ValueError(f"scale: expected contrast fields of {CONTRAST_FIELDS}, found {strange}")
        unknown = sorted(set(self.require) - set(FIELDS))
        if unknown:
            raise ValueError(f"scale: expected required fields of {FIELDS}, found {unknown}")
        if self.min_coverage is not None and not 0.0 <= self.min_coverage <= 1.0:
            raise ValueError(f"scale: expected min_coverage 0..1, found {self.min_coverage}")
        if not self.birads:
            raise ValueError("scale: expected at least one BI-RADS category, found none")
        _distinct("scale", self.birads)


@dataclass(frozen=True, slots=True, kw_only=True)
class AiPolicy:
    """What of the AI an arm may see; ``operating_threshold`` in [0, 1] hides detections below it.

    ``threshold_choice`` lets the reader move that threshold; every change is logged. ``models`` are the ids of the models
    that are asked, the first one in front; empty = the one that the station was started with.
    """

    shown: bool
    boxes: bool = True
    heatmap: bool = True
    score: bool = True
    operating_threshold: float = 0.5
    threshold_choice: bool = True
    models: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 <= self.operating_threshold <= 1.0:
            raise ValueError(f"operating threshold: expected 0..1, found {self.operating_threshold}")
        if len(set(self.models)) != len(self.models) or not all(
            isinstance(one, str) and one for one in self.models
        ):
            raise ValueError(f"models: expected different ids, found {', '.join(map(str, self.models))}")

    def allows(self, layer: str) -> bool:
        """True when the arm shows AI at all and has not switched this layer off."""
        switches = {"boxes": self.boxes, "heatmap": self.heatmap, "score": self.score, "scores": self.score}
        switches["finding"] = self.boxes  # one finding of the list, chosen and told in full
        return self.shown and switches.get(layer, True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One reading condition."""

    arm_id: str
    title: str
    ai: AiPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """One reader; the hash is Argon2 and is not part of the frozen protocol."""

    reader_id: str
    name: str
    experience_years: int | None = None  # None = not recorded
    group: str = "senior"
    qualification: str = ""  # e.g. board certified, breast fellowship; "" = not recorded (RS-D7)
    exams_a_year: int | None = None  # mammograms read a year; None = not recorded
    password_hash: str | None = None  # None = cannot sign in yet


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorExam:
    """An earlier exam that readers see beside a case, frozen by id and pixel digest like the case itself."""

    exam_id: str
    exam_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case of the study: which exam it is, by id and pixel digest. No pixels, no truth.

    ``priors`` are shown beside it, newest first; none unless the protocol names them.
    """

    case_id: str
    exam_id: str
    exam_digest: str
    practice: bool = False
    priors: tuple[PriorExam, ...] = ()
    stratum: str = ""  # truth, type or density as a neutral label; parts are dealt inside it (RS-D3)
    age_years: int | None = None  # None = not known; shown where the protocol discloses it
    history: str = ""  # as readers are told it, where the protocol discloses it
    manufacturer: str = ""  # of the machine, as the files say; for the tables, never shown
    density: str = ""  # a to d as recorded with the exam, "" = not; for the tables, never shown

    def __post_init__(self) -> None:
        if self.density and self.density not in {one.value for one in Density}:
            raise ValueError(f"case {self.case_id}: expected density a, b, c or d, found {self.density!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRead:
    """One case in one arm; ``first_arm_id`` is the arm its provisional answer is locked in (sequential design)."""

    case_id: str
    arm_id: str
    first_arm_id: str | None = None  # None = one answer only


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPlan:
    """What one reader reads in one period, in reading order. Period 0 is practice."""

    session_id: str
    reader_id: str
    period: int
    entries: tuple[PlannedRead, ...]

    def __post_init__(self) -> None:
        if not self.entries:
            raise ValueError(f"session {self.session_id}: expected at least one case, found none")
        _distinct(f"session {self.session_id}", tuple(entry.case_id for entry in self.entries))


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The frozen protocol: nothing in it changes once a session has begun."""

    study_id: str
    title: str
    protocol_version: str
    seed: int
    arms: tuple[Arm, ...]
    readers: tuple[Reader, ...]
    cases: tuple[Case, ...]
    scale: Scale
    plans: tuple[SessionPlan, ...]
    washout_days: float = 28.0
    show_timer: bool = False
    lexicon_version: str = "birads-5-core/1"
    design: Design = Design.CROSSOVER
    blocks: int = 1  # of readers and cases, in a split-plot design
    purpose: Purpose = field(default_factory=Purpose)
    conduct: Conduct = field(default_factory=Conduct)
    training: Training = field(default_factory=Training)
    disclosure: Disclosure = field(default_factory=Disclosure)
    localisation: Localisation = field(default_factory=Localisation)

    def __post_init__(self) -> None:
        _distinct("arms", tuple(arm.arm_id for arm in self.arms))
        _distinct("readers", tuple(reader.reader_id for reader in self.readers))
        _distinct("cases", tuple(case.case_id for case in self.cases))
        _distinct("sessions", tuple(plan.session_id for plan in self.plans))
        if not 0 <= self.washout_days <= MOST_WASHOUT_DAYS:
            raise ValueError(
                f"washout_days: expected 0 to {MOST_WASHOUT_DAYS} days, found {self.washout_days:g}"
            )
        arms = {arm.arm_id for arm in self.arms}
        cases = {case.case_id for case in self.cases}
        readers = {reader.reader_id for reader in self.readers}
        for plan in self.plans:
            if plan.reader_id not in readers:
                raise ValueError(
                    f"session {plan.session_id}: expected a reader of the study, found {plan.reader_id}"
                )
            for entry in plan.entries:
                first = entry.first_arm_id
                if not {entry.arm_id, first or entry.arm_id} <= arms or entry.case_id not in cases:
                    raise ValueError(
                        f"session {plan.session_id}: expected a case and arm of the study,"
                        f" found {entry.case_id} in {entry.arm_id}"
                    )

    def arm(self, arm_id: str) -> Arm:
        return next(arm for arm in self.arms if arm.arm_id == arm_id)

    def case(self, case_id: str) -> Case:
        return next(case for case in self.cases if case.case_id == case_id)

    def plan(self, session_id: str) -> SessionPlan | None:
        return next((plan for plan in self.plans if plan.session_id == session_id), None)

    def plans_of(self, reader_id: str) -> tuple[SessionPlan, ...]:
        """Return the reader's sessions by period."""
        mine = (plan for plan in self.plans if plan.reader_id == reader_id)
        return tuple(sorted(mine, key=lambda plan: (plan.period, plan.session_id)))
