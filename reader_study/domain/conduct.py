"""The parts of a protocol beside arms, readers and cases: purpose, conduct, training, disclosure, localisation.

Plain values with their checks; every default is what a protocol of the first form meant, so that its hash stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PATIENT_FACTS: tuple[str, ...] = ("age", "history")


class Design(StrEnum):
    """How readers, cases and arms cross (RS-D2)."""

    CROSSOVER = "crossover"  # half the cases in each arm each period, swapped after the washout
    FIXED_SEQUENCE = "fixed_sequence"  # all cases in the first arm, after the washout all in the next
    SEQUENTIAL = "sequential"  # one sitting: locked without AI, AI revealed, final answer
    PARALLEL = "parallel"  # each reader in one arm
    SPLIT_PLOT = "split_plot"  # blocks of readers with their own blocks of cases, crossover inside
    SINGLE = "single"  # one arm


class Navigation(StrEnum):
    """Whether a locked case can be gone back to (RS-R4)."""

    FORWARD = "forward"
    LOOK_BACK = (
        "look_back"  # its answer can be amended until the session is signed; the old one stays in the log
    )


class Interruption(StrEnum):
    """What the analysis of times does with interrupted or idle reads; declared before the first read (RS-M3)."""

    KEEP = "keep"
    EXCLUDE = "exclude"
    WINSORISE = "winsorise"


class Consistency(StrEnum):
    """What a contradiction between answers does (RS-C2)."""

    DENY = "deny"  # the case cannot be submitted
    WARN = "warn"  # it can, when the reader confirms


class CallOf(StrEnum):
    """What a benign/malignant call is asked of."""

    NONE = "none"
    CASE = "case"
    LESION = "lesion"


class HitRule(StrEnum):
    """When a mark is on a lesion (RS-L2)."""

    RADIUS = "radius"  # centre no farther than radius_mm from the lesion's centre
    CONTOUR = "contour"  # centre inside the lesion's outline
    BOX = "box"  # centre inside the box around the outline


class Surplus(StrEnum):
    """What happens to further marks on a lesion that has one (RS-L3)."""

    HIGHEST = "highest"  # the highest rating counts, the others are ignored
    FALSE_POSITIVE = "false_positive"  # every further mark counts as a false positive


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """What the study is for, as its plan says it (RS-D1, RS-D6). Texts; the analysis does not parse them."""

    hypotheses: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    analysis_plan: str = ""  # reference of the statistical analysis plan: document, version, date
    case_mix: str = ""  # prevalence and enrichment as declared
    unit: str = "woman"  # unit of analysis

    def __post_init__(self) -> None:
        if self.unit not in {"woman", "breast", "lesion"}:
            raise ValueError(f"purpose.unit: expected woman, breast or lesion, found {self.unit!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """How a sitting goes. Times in the unit of the name; None = no such rule."""

    navigation: Navigation = Navigation.FORWARD
    idle_threshold_s: float = 60.0
    interruption: Interruption = Interruption.KEEP
    session_timeout_min: float | None = 30.0
    break_after_min: float | None = None  # RS-U3: suggest a break after so long
    sign_sessions: bool = False  # RS-A4: a finished session waits for the reader's signature
    results_before_lock: bool = False  # RS-R2: True opens truth and results to the coordinator at once
    repeated_exams: bool = (
        False  # True: an exam may be in the study as several cases, for intra-reader agreement
    )

    def __post_init__(self) -> None:
        for name in ("idle_threshold_s", "session_timeout_min", "break_after_min"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"conduct.{name}: expected more than 0, found {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What comes before the first analysed case (RS-T1 to RS-T3)."""

    instruction: str = ""  # shown and acknowledged before the first case; "" = none
    gate: bool = True  # the practice session must be finished first, where there is one
    feedback: bool = False  # the truth of a practice case is shown after it is locked


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """What readers are told: facts of the patient beside each case, and a sentence on prevalence (RS-D6)."""

    patient: tuple[str, ...] = ()
    prevalence: str = ""

    def __post_init__(self) -> None:
        strange = sorted(set(self.patient) - set(PATIENT_FACTS))
        if strange:
            raise ValueError(f"disclosure.patient: expected facts of {PATIENT_FACTS}, found {strange}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Localisation:
    """How marks are scored against lesions, declared before the first read (RS-L2 to RS-L4)."""

    rule: HitRule = HitRule.RADIUS
    radius_mm: float = 20.0
    surplus: Surplus = Surplus.HIGHEST
    across_views: bool = True  # a lesion marked in any view is found, once

    def __post_init__(self) -> None:
        if self.radius_mm <= 0:
            raise ValueError(f"localisation.radius_mm: expected more than 0, found {self.radius_mm}")
