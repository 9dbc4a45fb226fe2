"""Which fields the protocol form has, in which section, of which kind: the whole form as a table of data.

Names are the keys of the protocol file; the widgets are made from this by ``protocol_form``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from PySide6.QtCore import QCoreApplication

from reader_study.domain.conduct import (
    PATIENT_FACTS,
    CallOf,
    Consistency,
    Design,
    HitRule,
    Interruption,
    Navigation,
    Surplus,
)
from reader_study.domain.study import CONTRAST_FIELDS, FIELDS


def _tr(text: str) -> str:
    return QCoreApplication.translate("coordinator", text)


class Kind(StrEnum):
    """What a field holds, and so which widget it gets."""

    TEXT = "text"
    LINES = "lines"  # a list of texts, one a line
    WORDS = "words"  # a list of words, separated by commas
    WHOLE = "whole"  # a whole number; empty = none
    NUMBER = "number"  # empty = none
    CHOICE = "choice"
    FLAG = "flag"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field; ``path`` is its keys in the protocol, e.g. ("conduct", "idle_threshold_s")."""

    path: tuple[str, ...]
    kind: Kind
    label: str
    choices: tuple[tuple[str, str], ...] = ()  # value in the file, word on screen
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Fields under one heading."""

    title: str
    fields: tuple[Field, ...]


def _f(path: str, kind: Kind, label: str, hint: str = "", choices: tuple[tuple[str, str], ...] = ()) -> Field:
    return Field(path=tuple(path.split(".")), kind=kind, label=label, hint=hint, choices=choices)


def sections() -> tuple[Section, ...]:
    """Return the form's sections, in the order a study is thought out."""
    return (_study(), _purpose(), _scale(), _conduct(), _told(), _localisation())


def design_words() -> dict[Design, str]:
    """Return what each design is called on the screen."""
    return {
        Design.CROSSOVER: _tr("crossover, counterbalanced halves"),
        Design.FIXED_SEQUENCE: _tr("fixed sequence, one arm a period"),
        Design.SEQUENTIAL: _tr("sequential: without AI, then with"),
        Design.PARALLEL: _tr("parallel, one arm a reader"),
        Design.SPLIT_PLOT: _tr("split-plot, blocks of readers and cases"),
        Design.SINGLE: _tr("single arm"),
    }


def _study() -> Section:
    designs = tuple(design_words().items())
    return Section(
        title=_tr("STUDY AND DESIGN"),
        fields=(
            _f("study_id", Kind.TEXT, _tr("Study id")),
            _f("title", Kind.TEXT, _tr("Title")),
            _f("protocol_version", Kind.TEXT, _tr("Protocol version")),
            _f("design", Kind.CHOICE, _tr("Design"), choices=designs),
            _f("blocks", Kind.WHOLE, _tr("Blocks"), _tr("of a split-plot design, 1 elsewhere")),
            _f("washout_days", Kind.NUMBER, _tr("Washout, days")),
            _f("seed", Kind.WHOLE, _tr("Seed")),
        ),
    )


def _purpose() -> Section:
    units = (("woman", _tr("woman")), ("breast", _tr("breast")), ("lesion", _tr("lesion")))
    return Section(
        title=_tr("PURPOSE"),
        fields=(
            _f("purpose.hypotheses", Kind.LINES, _tr("Hypotheses"), _tr("one a line")),
            _f("purpose.endpoints", Kind.LINES, _tr("Endpoints"), _tr("one a line, the primary first")),
            _f("purpose.analysis_plan", Kind.TEXT, _tr("Analysis plan"), _tr("document, version, date")),
            _f("purpose.case_mix", Kind.TEXT, _tr("Case mix"), _tr("prevalence and enrichment")),
            _f("purpose.unit", Kind.CHOICE, _tr("Unit of analysis"), choices=units),
        ),
    )


def _scale() -> Section:
    calls = (
        (CallOf.NONE, _tr("not asked")),
        (CallOf.CASE, _tr("of each case")),
        (CallOf.LESION, _tr("of each lesion")),
    )
    rules = ((Consistency.DENY, _tr("refuse")), (Consistency.WARN, _tr("warn")))
    return Section(
        title=_tr("SCALE AND ANSWERS"),
        fields=(
            _f("scale.birads", Kind.WORDS, _tr("BI-RADS categories")),
            _f("scale.require", Kind.WORDS, _tr("Required fields"), ", ".join(FIELDS)),
            _f("scale.call", Kind.CHOICE, _tr("Benign/malignant call"), choices=calls),
            _f("scale.consistency", Kind.CHOICE, _tr("Contradictions"), choices=rules),
            _f("scale.match_recall", Kind.FLAG, _tr("Recall must match BI-RADS")),
            _f("scale.max_benign_suspicion", Kind.WHOLE, _tr("Highest suspicion with BI-RADS 1, 2"),
               _tr("empty = no rule")),
            _f("scale.min_coverage", Kind.NUMBER, _tr("Tissue seen at 1:1, least share"),
               _tr("0..1, empty = no rule")),
            _f("scale.contrast", Kind.WORDS, _tr("Contrast questions"), ", ".join(CONTRAST_FIELDS)),
        ),
    )  # fmt: skip


def _conduct() -> Section:
    moves = (
        (Navigation.FORWARD, _tr("forward only")),
        (Navigation.LOOK_BACK, _tr("look back until signed")),
    )
    cuts = (
        (Interruption.KEEP, _tr("keep")),
        (Interruption.EXCLUDE, _tr("exclude")),
        (Interruption.WINSORISE, _tr("winsorise")),
    )
    return Section(
        title=_tr("CONDUCT"),
        fields=(
            _f("conduct.navigation", Kind.CHOICE, _tr("Navigation"), choices=moves),
            _f("show_timer", Kind.FLAG, _tr("Readers see the timer")),
            _f("conduct.idle_threshold_s", Kind.NUMBER, _tr("Idle after, s")),
            _f("conduct.interruption", Kind.CHOICE, _tr("Interrupted reads in times"), choices=cuts),
            _f("conduct.break_after_min", Kind.NUMBER, _tr("Suggest a break after, min"), _tr("empty = never")),
            _f("conduct.sign_sessions", Kind.FLAG, _tr("Readers sign each session")),
            _f("conduct.session_timeout_min", Kind.NUMBER, _tr("Sign out after, min without input"),
               _tr("empty = never")),
            _f("conduct.results_before_lock", Kind.FLAG, _tr("Truth and results open before lock")),
            _f("conduct.repeated_exams", Kind.FLAG, _tr("Same exam as several cases (repeat readings)")),
        ),
    )  # fmt: skip


def _told() -> Section:
    return Section(
        title=_tr("TRAINING AND WHAT READERS ARE TOLD"),
        fields=(
            _f("training.instruction", Kind.TEXT, _tr("Instruction"), _tr("shown and acknowledged first")),
            _f("training.gate", Kind.FLAG, _tr("Practice must be finished first")),
            _f("training.feedback", Kind.FLAG, _tr("Truth shown after practice cases")),
            _f("disclosure.patient", Kind.WORDS, _tr("Patient facts shown"), ", ".join(PATIENT_FACTS)),
            _f("disclosure.prevalence", Kind.TEXT, _tr("Prevalence, as told")),
        ),
    )


def _localisation() -> Section:
    rules = (
        (HitRule.RADIUS, _tr("within a radius")),
        (HitRule.CONTOUR, _tr("inside the outline")),
        (HitRule.BOX, _tr("inside the box")),
    )
    more = (
        (Surplus.HIGHEST, _tr("the highest rating counts")),
        (Surplus.FALSE_POSITIVE, _tr("each is a false positive")),
    )
    return Section(
        title=_tr("LOCALISATION"),
        fields=(
            _f("localisation.rule", Kind.CHOICE, _tr("A mark is on a lesion"), choices=rules),
            _f("localisation.radius_mm", Kind.NUMBER, _tr("Radius, mm")),
            _f("localisation.surplus", Kind.CHOICE, _tr("Further marks on a lesion"), choices=more),
            _f("localisation.across_views", Kind.FLAG, _tr("Found in any view, once")),
        ),
    )
