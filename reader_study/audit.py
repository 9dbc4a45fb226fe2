"""What coordinators, statisticians and administrators did to a study: its own hash chain beside the sessions (RS-A1).

The chain lies in the event log under the name ``audit.<study>``, so that the same triggers guard it and the same
``verify-log`` walks it. Who may do what is ``permissions``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reader_study.anchor import Anchor, append_anchor
from reader_study.domain.events import AUDIT_KINDS, GENESIS, Draft, EventKind, plain, seal, text
from reader_study.permissions import Account
from reader_study.ports import Clock, EventStore

_STAGE = (EventKind.PROTOCOL_DRAFTED, EventKind.PROTOCOL_FROZEN, EventKind.STUDY_LOCKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One line of the audit list: who did what to what, from what to what, why and when (ISO 8601 UTC)."""

    number: int
    when: str
    who: str
    role: str
    action: EventKind
    subject: str
    old: Mapping[str, object] | None
    new: Mapping[str, object] | None
    why: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyStage:
    """How far a study is. A study that no coordinator drafted (demo, simulation) is read without being frozen."""

    drafted: bool = False
    frozen: bool = False
    locked: bool = False

    @property
    def why_closed(self) -> str | None:
        """Why nobody may read now, as the end of a sentence; None when reading is open."""
        if self.locked:
            return "the study is locked; nothing more is read in it."
        if self.drafted and not self.frozen:
            return "the protocol is not frozen yet; ask the coordinator."
        return None


def audit_session(study_id: str) -> str:
    """Return the name of a study's audit chain in the event log."""
    return f"audit.{study_id}"


def record_action(
    store: EventStore,
    clock: Clock,
    *,
    study_id: str,
    kind: EventKind,
    account: Account,
    subject: str,
    old: Mapping[str, object] | None = None,
    new: Mapping[str, object] | None = None,
    why: str = "",
    anchor: Path | None = None,
) -> None:
    """Append one action to the study's audit chain; StoreError when it cannot be written.

    ``anchor`` is the file kept elsewhere that shows a cut tail; None = none is kept.
    """
    if kind not in AUDIT_KINDS:
        raise ValueError(f"audit: expected one of {[k.value for k in AUDIT_KINDS]}, found {kind.value}")
    session_id = audit_session(study_id)
    events = store.read(session_id)
    body = plain(
        {
            "who": account.account_id,
            "role": account.role.value,
            "subject": subject,
            "old": old,
            "new": new,
            "why": why,
        }
    )
    assert isinstance(body, dict)
    draft = Draft(
        kind=kind, body=body, boot_id=clock.boot_id, t_mono_ns=clock.monotonic_ns(), t_utc=clock.utc_now()
    )
    head = events[-1].hash if events else GENESIS
    sealed = seal(session_id, [draft], seq=len(events), prev_hash=head)
    store.append(sealed, len(events))
    if anchor is not None:
        append_anchor(anchor, Anchor(session_id=session_id, count=sealed[-1].seq, hash=sealed[-1].hash))


def audit_list(store: EventStore, study_id: str) -> tuple[AuditEntry, ...]:
    """Return every action on a study in the order it happened."""
    return tuple(
        AuditEntry(
            number=event.seq,
            when=event.t_utc,
            who=text(event.body, "who"),
            role=text(event.body, "role"),
            action=event.kind,
            subject=text(event.body, "subject"),
            old=_object(event.body["old"]),
            new=_object(event.body["new"]),
            why=text(event.body, "why"),
            hash=event.hash,
        )
        for event in store.read(audit_session(study_id))
    )


def study_stage(store: EventStore, study_id: str) -> StudyStage:
    """Return how far a study is, from its audit chain."""
    kinds = {event.kind for event in store.read_kinds(_STAGE, (audit_session(study_id),))}
    return StudyStage(
        drafted=EventKind.PROTOCOL_DRAFTED in kinds,
        frozen=EventKind.PROTOCOL_FROZEN in kinds,
        locked=EventKind.STUDY_LOCKED in kinds,
    )


def _object(value: object) -> Mapping[str, object] | None:
    return value if isinstance(value, Mapping) else None
