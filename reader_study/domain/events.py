"""The one list of events, their JSON form, and the hash chain that ties a session's events together.

Owns what a fact on disk looks like. Does not decide which event may follow which (``reading.py``) or where
the rows lie (``reader_study.store``).
"""

from __future__ import annotations

import hashlib
import json
import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from reader_study.errors import StudyError

GENESIS = "0" * 64  # the prev_hash of a session's first event

Body = Mapping[str, object]


class EventKind(StrEnum):
    """Every fact a session can record; the value is its name on disk."""

    SESSION_OPENED = "SessionOpened"
    SESSION_RECOVERED = "SessionRecovered"
    SESSION_CLOSED = "SessionClosed"
    OVERRIDE_GRANTED = "OverrideGranted"
    CASE_OPENED = "CaseOpened"
    FRAME_PAINTED = "FramePainted"
    STAGE_CHANGED = "StageChanged"
    VIEW_CHANGED = "ViewChanged"
    AI_RESULT_RECORDED = "AiResultRecorded"
    AI_REVEALED = "AiRevealed"
    AI_HIDDEN = "AiHidden"
    MARK_ADDED = "MarkAdded"
    MARK_MOVED = "MarkMoved"
    MARK_REMOVED = "MarkRemoved"
    DRAFT_SAVED = "DraftSaved"
    PAUSED = "Paused"
    RESUMED = "Resumed"
    FOCUS_LOST = "FocusLost"
    FOCUS_REGAINED = "FocusRegained"
    IDLE_DETECTED = "IdleDetected"
    COVERAGE_RECORDED = "CoverageRecorded"
    ASSESSMENT_SUBMITTED = "AssessmentSubmitted"
    READING_LOCKED = "ReadingLocked"
    PROVISIONAL_SUBMITTED = "ProvisionalSubmitted"
    ASSESSMENT_AMENDED = "AssessmentAmended"
    INSTRUCTION_ACKNOWLEDGED = "InstructionAcknowledged"
    FEEDBACK_SHOWN = "FeedbackShown"
    SESSION_SIGNED = "SessionSigned"
    MEASUREMENT_CHANGED = "MeasurementChanged"
    BREAK_OFFERED = "BreakOffered"
    BREAK_ENDED = "BreakEnded"
    # What coordinators, statisticians and administrators do: in the study's own chain (``reader_study.audit``).
    PROTOCOL_DRAFTED = "ProtocolDrafted"
    PROTOCOL_FROZEN = "ProtocolFrozen"
    PROTOCOL_AMENDED = "ProtocolAmended"
    ALLOCATION_MADE = "AllocationMade"
    READER_ENROLLED = "ReaderEnrolled"
    ACCOUNT_CHANGED = "AccountChanged"
    CASES_IMPORTED = "CasesImported"
    TRUTH_IMPORTED = "TruthImported"
    OVERRIDE_RECORDED = "OverrideRecorded"
    STUDY_LOCKED = "StudyLocked"
    EXPORT_MADE = "ExportMade"
    BACKUP_MADE = "BackupMade"
    RESULTS_SEEN = "ResultsSeen"
    AUDIT_TAKEN_IN = "AuditTakenIn"  # another station's entries, when its database was merged
    SIGN_IN_REFUSED = "SignInRefused"
    SIGNED_IN_AFTER_REFUSALS = "SignedInAfterRefusals"
    EXPORT_BEGUN = (
        "ExportBegun"  # before the first file is written; EXPORT_MADE follows with the files' digests
    )
    BACKUP_BEGUN = "BackupBegun"
    DATABASE_MERGED = "DatabaseMerged"


AUDIT_KINDS: tuple[EventKind, ...] = tuple(EventKind)[tuple(EventKind).index(EventKind.PROTOCOL_DRAFTED) :]

_CASE: dict[str, tuple[type, ...]] = {"case_id": (str,)}
_OPENING: dict[str, tuple[type, ...]] = {
    "study_id": (str,),
    "reader_id": (str,),
    "period": (int,),
    "protocol_hash": (str,),
    "seed": (int,),
    "plan": (list,),
    "environment": (dict,),
}
_AUDIT: dict[str, tuple[type, ...]] = {
    "who": (str,),
    "role": (str,),
    "subject": (str,),
    "old": (dict, type(None)),
    "new": (dict, type(None)),
    "why": (str,),
}
_MAYBE_CASE: dict[str, tuple[type, ...]] = {"case_id": (str, type(None))}

# Version and fields of each body. A changed body gets the next version and an upgrade of the old one.
BODIES: Mapping[EventKind, tuple[int, Mapping[str, tuple[type, ...]]]] = {
    EventKind.SESSION_OPENED: (1, _OPENING),
    EventKind.SESSION_RECOVERED: (1, _OPENING | {"interrupted_case_id": (str, type(None))}),
    EventKind.SESSION_CLOSED: (1, {"finished": (bool,)}),
    EventKind.OVERRIDE_GRANTED: (1, {"rule": (str,), "reason": (str,), "granted_by": (str,)}),
    EventKind.CASE_OPENED: (1, _CASE | {"arm_id": (str,), "exam_digest": (str,), "resumed": (bool,)}),
    EventKind.FRAME_PAINTED: (1, _CASE | {"painted_mono_ns": (int,)}),
    EventKind.STAGE_CHANGED: (1, _CASE | {"stage": (str,)}),
    EventKind.VIEW_CHANGED: (1, _CASE | {"view": (dict,)}),
    EventKind.AI_RESULT_RECORDED: (1, _CASE | {"scores": (dict,), "model": (dict,), "detections": (list,)}),
    EventKind.AI_REVEALED: (1, _CASE | {"layer": (str,), "shown": (dict,)}),
    EventKind.AI_HIDDEN: (1, _CASE | {"layer": (str,)}),
    EventKind.MARK_ADDED: (1, _CASE | {"finding": (dict,)}),
    EventKind.MARK_MOVED: (1, _CASE | {"old": (dict,), "finding": (dict,)}),
    EventKind.MARK_REMOVED: (1, _CASE | {"old": (dict,)}),
    EventKind.DRAFT_SAVED: (1, _CASE | {"assessment": (dict,)}),
    EventKind.PAUSED: (1, _CASE),
    EventKind.RESUMED: (1, _CASE),
    EventKind.FOCUS_LOST: (1, _MAYBE_CASE),
    EventKind.FOCUS_REGAINED: (1, _MAYBE_CASE),
    EventKind.IDLE_DETECTED: (1, _MAYBE_CASE | {"seconds": (int, float)}),
    EventKind.COVERAGE_RECORDED: (1, _CASE | {"images": (dict,)}),
    EventKind.ASSESSMENT_SUBMITTED: (1, _CASE | {"assessment": (dict,), "position": (int,)}),
    EventKind.READING_LOCKED: (1, _CASE),
    EventKind.PROVISIONAL_SUBMITTED: (1, _CASE | {"assessment": (dict,), "position": (int,)}),
    EventKind.ASSESSMENT_AMENDED: (1, _CASE | {"old": (dict,), "assessment": (dict,), "reason": (str,)}),
    EventKind.INSTRUCTION_ACKNOWLEDGED: (1, {"instruction_sha256": (str,)}),
    EventKind.FEEDBACK_SHOWN: (1, _CASE | {"truth": (dict,)}),
    EventKind.SESSION_SIGNED: (1, {"signed_by": (str,), "name": (str,), "meaning": (str,)}),
    # old None = new, measurement None = taken away; ruler, angle, ellipse, text, nipple: points are stored (row, col)
    EventKind.MEASUREMENT_CHANGED: (
        1,
        _CASE | {"old": (dict, type(None)), "measurement": (dict, type(None))},
    ),
    EventKind.BREAK_OFFERED: (1, {"minutes": (int, float)}),  # read since the last break
    EventKind.BREAK_ENDED: (1, {}),
    **dict.fromkeys(AUDIT_KINDS, (1, _AUDIT)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A fact that is not on disk yet: kind, body and the two clocks at the moment it happened."""

    kind: EventKind
    body: Body
    boot_id: str
    t_mono_ns: int
    t_utc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One sealed fact; ``seq`` counts from 1 inside the session, ``hash`` covers every other field."""

    seq: int
    session_id: str
    kind: EventKind
    version: int
    boot_id: str
    t_mono_ns: int
    t_utc: str
    body: Body
    prev_hash: str
    hash: str


_PLAIN_TYPES = frozenset({type(None), bool, int, float, str})


def plain(value: object) -> object:
    """Return ``value`` as JSON types only (mappings to dict, sequences to list, numbers to int or float)."""
    if type(value) in _PLAIN_TYPES:  # nearly all values; this runs while the reader drags
        return value
    if type(value) is dict:
        return {str(key): item if type(item) in _PLAIN_TYPES else plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return str(value) if isinstance(value, StrEnum) else value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    raise ValueError(f"event body: expected JSON values, found {type(value).__name__}")


def canonical(value: object) -> str:
    """Return the one JSON text of ``value``: sorted keys, no spaces, no NaN; equal content hashes equally."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def check_body(kind: EventKind, body: Body) -> None:
    """Raise ValueError unless ``body`` has exactly the fields of its kind, each of its type."""
    fields = BODIES[kind][1]
    if set(body) != set(fields):
        raise ValueError(f"{kind.value}: expected fields {sorted(fields)}, found {sorted(body)}")
    for name, types in fields.items():
        value = body[name]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise ValueError(f"{kind.value}.{name}: expected {[t.__name__ for t in types]}, found {value!r}")


def row_hash(
    *,
    seq: object,
    session_id: object,
    kind: object,
    version: object,
    boot_id: object,
    t_mono_ns: object,
    t_utc: object,
    body_text: object,
    prev_hash: object,
) -> str:
    """Return the SHA-256 (hex) of one row as it lies on disk; the body goes in as its stored text."""
    row = [seq, session_id, kind, version, boot_id, t_mono_ns, t_utc, body_text, prev_hash]
    return hashlib.sha256(canonical(row).encode("utf-8")).hexdigest()


def seal(session_id: str, drafts: Iterable[Draft], *, seq: int, prev_hash: str) -> tuple[Event, ...]:
    """Chain ``drafts`` behind event number ``seq`` (0 = none yet) whose hash is ``prev_hash``."""
    sealed: list[Event] = []
    for draft in drafts:
        check_body(draft.kind, draft.body)
        seq += 1
        version = BODIES[draft.kind][0]
        digest = row_hash(
            seq=seq,
            session_id=session_id,
            kind=draft.kind.value,
            version=version,
            boot_id=draft.boot_id,
            t_mono_ns=draft.t_mono_ns,
            t_utc=draft.t_utc,
            body_text=canonical(draft.body),
            prev_hash=prev_hash,
        )
        event = Event(
            seq=seq,
            session_id=session_id,
            kind=draft.kind,
            version=version,
            boot_id=draft.boot_id,
            t_mono_ns=draft.t_mono_ns,
            t_utc=draft.t_utc,
            body=draft.body,
            prev_hash=prev_hash,
            hash=digest,
        )
        sealed.append(event)
        prev_hash = digest
    return tuple(sealed)


def known_kind(kind: str, version: int) -> EventKind:
    """Return the kind named on disk; StudyError when this program is too old for it."""
    try:
        known = EventKind(kind)
    except ValueError as error:
        raise StudyError(
            f"Event {kind!r}: this version does not know it; open the study with a newer one."
        ) from error
    if version != BODIES[known][0]:
        raise StudyError(
            f"Event {kind}: expected version {BODIES[known][0]}, found {version};"
            " open the study with a newer version."
        )
    return known


def text(body: Body, name: str) -> str:
    """Return the text field ``name`` of ``body`` (checked when it was sealed)."""
    value = body[name]
    if not isinstance(value, str):
        raise ValueError(f"{name}: expected text, found {value!r}")
    return value


def integer(body: Body, name: str) -> int:
    """Return the whole-number field ``name`` of ``body``."""
    value = body[name]
    if not isinstance(value, int):
        raise ValueError(f"{name}: expected a whole number, found {value!r}")
    return value


def mapping(body: Body, name: str) -> Body:
    """Return the object field ``name`` of ``body``."""
    value = body[name]
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}: expected an object, found {value!r}")
    return value
