"""What coordinators, statisticians and administrators did to a study: its own hash chain beside the sessions (RS-A1).

The chain lies in the event log under the name ``audit.<study>``, so that the same triggers guard it and the same
``verify-log`` walks it. Who may do what is ``permissions``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reader_study.anchor import Anchor, append_anchor
from reader_study.domain.events import AUDIT_KINDS, GENESIS, Draft, Event, EventKind, plain, seal, text
from reader_study.permissions import Account
from reader_study.ports import Clock, EventStore

_IN_FORCE = (EventKind.PROTOCOL_FROZEN, EventKind.PROTOCOL_AMENDED)
_STAGE = (EventKind.PROTOCOL_DRAFTED, *_IN_FORCE, EventKind.STUDY_LOCKED)


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
    protocol_hash: str | None = None  # of the version in force; None = not frozen

    @property
    def why_closed(self) -> str | None:
        """Why nobody may read now, as the end of a sentence; None when reading is open."""
        if self.locked:
            return "the study is locked; nothing more is read in it."
        if self.drafted and not self.frozen:
            return "the protocol is not frozen yet; ask the coordinator."
        return None


_CHAIN = "audit."
NOBODY = "not signed in"  # who did it, of a sign-in that was refused


def audit_session(study_id: str) -> str:
    """Return the name of a study's audit chain in the event log."""
    return f"{_CHAIN}{study_id}"


def audit_study(session_id: str) -> str | None:
    """Return the study of an audit chain; None for a reader's session."""
    return session_id.removeprefix(_CHAIN) if session_id.startswith(_CHAIN) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One action that is to be audited: what was done to what, from what to what, and why."""

    kind: EventKind
    subject: str
    old: Mapping[str, object] | None = None
    new: Mapping[str, object] | None = None
    why: str = ""


def sealed_deeds(
    store: EventStore, clock: Clock, *, study_id: str, account: Account | None, deeds: Sequence[Deed]
) -> tuple[Event, ...]:
    """Return the audit entries of ``deeds``, to be kept in the very transaction that does them.

    ``account`` is who does them; None = nobody who is signed in.
    """
    session_id = audit_session(study_id)
    events = store.read(session_id)
    head = events[-1].hash if events else GENESIS
    drafts = [_draft(clock, account, deed) for deed in deeds]
    return seal(session_id, drafts, seq=len(events), prev_hash=head)


def _draft(clock: Clock, account: Account | None, deed: Deed) -> Draft:
    if deed.kind not in AUDIT_KINDS:
        raise ValueError(f"audit: expected one of {[k.value for k in AUDIT_KINDS]}, found {deed.kind.value}")
    body = plain(
        {
            "who": NOBODY if account is None else account.account_id,
            "role": "" if account is None else account.role.value,
            "subject": deed.subject,
            "old": deed.old,
            "new": deed.new,
            "why": deed.why,
        }
    )
    assert isinstance(body, dict)
    return Draft(
        kind=deed.kind,
        body=body,
        boot_id=clock.boot_id,
        t_mono_ns=clock.monotonic_ns(),
        t_utc=clock.utc_now(),
    )


def anchor_deeds(anchor: Path | None, kept: Sequence[Event]) -> None:
    """Write the chain's new end to the file kept elsewhere that shows a cut tail; None = there is no such file."""
    if anchor is not None and kept:
        end = kept[-1]
        append_anchor(anchor, Anchor(session_id=end.session_id, count=end.seq, hash=end.hash))


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
    events = store.read_kinds(_STAGE, (audit_session(study_id),))
    kinds = {event.kind for event in events}
    in_force = [_object(event.body["new"]) or {} for event in events if event.kind in _IN_FORCE]
    found = in_force[-1].get("protocol_hash") if in_force else None
    return StudyStage(
        drafted=EventKind.PROTOCOL_DRAFTED in kinds,
        frozen=EventKind.PROTOCOL_FROZEN in kinds,
        locked=EventKind.STUDY_LOCKED in kinds,
        protocol_hash=found if isinstance(found, str) else None,
    )


def _object(value: object) -> Mapping[str, object] | None:
    return value if isinstance(value, Mapping) else None
