"""What coordinators, statisticians and administrators do to a study: asked of ``permissions``, then done, then audited.

The one door for it; screens and commands come through here. Knows no truth: what needs it is handed in as work.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from reader_study.accounts import SignedIn, password_mark
from reader_study.anchor import Anchor, append_anchor
from reader_study.attempts import Door, tried
from reader_study.audit import (
    AuditEntry,
    Deed,
    StudyStage,
    anchor_deeds,
    audit_list,
    sealed_deeds,
    study_stage,
)
from reader_study.desk_ports import StudyDatabase
from reader_study.domain.events import Event, EventKind
from reader_study.domain.study import Reader, Study
from reader_study.domain.study_json import protocol_hash
from reader_study.errors import StoreError, StudyError
from reader_study.monitor import BalanceRow, MonitorRow, balance, monitor
from reader_study.permissions import CLOSED_UNTIL_LOCK, RULES, Account, Action, Role, require
from reader_study.ports import Clock, EventStore
from reader_study.protocol_file import drawn, is_drawable
from reader_study.repeats import check_repeats
from reader_study.sessions import Sessions
from reader_study.station_time import trusted_utc

T = TypeVar("T")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What permitted work hands back: its result, and what the audit keeps of it."""

    subject: str
    new: Mapping[str, object]


class Desk:
    """One signed-in person's way to one study."""

    def __init__(
        self,
        *,
        database: StudyDatabase,
        clock: Clock,
        signed_in: SignedIn,
        study_id: str,
        anchor: Path | None = None,
    ) -> None:
        self._database, self._clock, self._signed_in = database, clock, signed_in
        self._study_id, self._anchor = study_id, anchor

    # -- protocol -------------------------------------------------------------------------------------------

    def study(self) -> Study | None:
        """Return the protocol in force or the draft, without passwords; None when there is none yet."""
        if self._study_id not in self._database.studies():
            return None
        kept = self._database.study(self._study_id)
        return replace(kept, readers=tuple(replace(one, password_hash=None) for one in kept.readers))

    def stage(self) -> StudyStage:
        """Return whether the study is drafted, frozen and locked."""
        return study_stage(self._database.events, self._study_id)

    def draft(self, study: Study, *, why: str = "") -> None:
        """Keep a new draft with the allocation drawn; StoreError when the protocol is frozen or has begun."""
        self._require(Action.DRAFT)
        if study.study_id != self._study_id:
            raise StudyError(f"Study: expected {self._study_id}, found {study.study_id}; open that study.")
        if self.stage().frozen:
            raise StoreError(
                f"Study {study.study_id}: expected a draft, found a frozen protocol; amend it instead."
            )
        old = self.study()
        deeds = [
            Deed(
                kind=EventKind.PROTOCOL_DRAFTED,
                subject=_named(study),
                old=_facts(old),
                new=_facts(study),
                why=why,
            )
        ]
        if study.plans and (
            old is None or old.plans != study.plans
        ):  # a draft without readers or cases has none
            drawn_now = {
                "sessions": len(study.plans),
                "seed": study.seed,
                "design": study.design.value,
                "drawn": study.plans == drawn(study),
            }
            deeds.append(Deed(kind=EventKind.ALLOCATION_MADE, subject=_named(study), new=drawn_now))
        with self._audited(*deeds) as audit:
            self._database.save_study(study, audit=audit)

    def freeze(self, *, why: str = "") -> None:
        """Freeze the draft before the first read; refused while a case has no images."""
        self._require(Action.FREEZE)
        study = self._present()
        empty = [case.case_id for case in study.cases if not case.exam_digest]
        if empty:
            raise StudyError(
                f"Study {study.study_id}: expected every case to be imported, found {len(empty)} without images"
                f" ({', '.join(empty[:3])}{', …' if len(empty) > 3 else ''}); import them, then freeze."
            )
        counted = sum(not case.practice for case in study.cases)
        if not counted or not study.readers:
            raise StudyError(
                f"Study {study.study_id}: expected cases that count and readers to freeze, found {counted} and"
                f" {len(study.readers)}; import cases and enrol readers first."
            )
        check_repeats(study)
        who, now = self._signed_in.account.account_id, self._clock.utc_now()
        deed = Deed(kind=EventKind.PROTOCOL_FROZEN, subject=_named(study), new=_facts(study), why=why)
        with self._audited(deed) as audit:
            self._database.freeze(study.study_id, made_by=who, made_utc=now, reason=why, audit=audit)

    def amend(self, study: Study, *, why: str) -> None:
        """Keep a new version of the frozen protocol with its reason; what has been read stays as it was."""
        self._require(Action.AMEND)
        self._amend(study, why)

    def _amend(self, study: Study, why: str) -> None:
        old, facts = self._present(), _facts(study)
        check_repeats(study)
        who, now = self._signed_in.account.account_id, self._clock.utc_now()
        deed = Deed(
            kind=EventKind.PROTOCOL_AMENDED, subject=_named(study), old=_facts(old), new=facts, why=why
        )
        with self._audited(deed) as audit:
            self._database.amend(study, made_by=who, made_utc=now, reason=why, audit=audit)

    def enrol(self, reader: Reader, *, password_hash: str | None = None, why: str = "") -> Study:
        """Add a reader: to the draft, drawn anew, or as the next version of a frozen protocol. Returns the study."""
        self._require(Action.ENROL)
        old = self._present()
        if reader.reader_id in {one.account_id for one in self._database.accounts(self._study_id)}:
            raise StudyError(
                f"Account {reader.reader_id}: expected each id once, found it taken; choose another name."
            )
        grown = replace(old, readers=(*old.readers, reader), plans=())
        if not self.stage().frozen:
            new = replace(grown, plans=drawn(grown) if is_drawable(grown) else ())
            self._database.save_study(new)  # a kill before the next line leaves a reader without an account
        else:
            added = tuple(plan for plan in drawn(grown) if plan.reader_id == reader.reader_id)
            version = next_version(old.protocol_version)
            new = replace(grown, plans=(*old.plans, *added), protocol_version=version)
            self._amend(new, why)
        account = Account(
            account_id=reader.reader_id, name=reader.name, role=Role.READER, password_hash=password_hash
        )
        facts = {"group": reader.group, "password_mark": password_mark(password_hash)}
        deed = Deed(kind=EventKind.READER_ENROLLED, subject=reader.reader_id, new=facts, why=why)
        with self._audited(deed) as audit:
            self._database.put_account(self._study_id, account, audit=audit)
        return new

    def put_account(self, account: Account, *, why: str = "") -> None:
        """Make an account of any role, or change it; passwords never reach the audit."""
        self._require(Action.ACCOUNTS)
        known = {one.account_id: one for one in self._database.accounts(self._study_id)}
        self._check_role(account, known)
        before = known.get(account.account_id)
        deed = Deed(
            kind=EventKind.ACCOUNT_CHANGED,
            subject=account.account_id,
            old=None if before is None else {"role": before.role.value, "name": before.name},
            new={
                "role": account.role.value,
                "name": account.name,
                "password_mark": password_mark(account.password_hash),
            },
            why=why,
        )
        with self._audited(deed) as audit:
            self._database.put_account(self._study_id, account, audit=audit)

    def _check_role(self, account: Account, known: Mapping[str, Account]) -> None:
        """A reader stays blinded, a reader's account has a reading list, and somebody can always manage accounts."""
        study, who = self.study(), account.account_id
        reads = study is not None and who in {reader.reader_id for reader in study.readers}
        if reads and account.role is not Role.READER:
            raise StudyError(
                f"Account {who}: it is a reader of this study and can be nothing else in it; choose another name."
            )
        if not reads and account.role is Role.READER:
            raise StudyError(
                f"Account {who}: expected a reader of the protocol, found none of that id; enrol the reader first."
            )
        managers = {one.account_id for one in known.values() if one.role in RULES[Action.ACCOUNTS]}
        if managers == {who} and account.role not in RULES[Action.ACCOUNTS]:
            raise StudyError(
                f"Account {who}: it is the last that manages accounts; give another account that role first."
            )

    # -- while it runs --------------------------------------------------------------------------------------

    def balance(self) -> tuple[BalanceRow, ...]:
        """Return how many cases of each stratum fall to each arm and period: counts only, nobody's order."""
        self._require(Action.SEE_BALANCE)
        return balance(self._present())

    def monitor(self) -> tuple[MonitorRow, ...]:
        """Return the progress, flags and washout dates of every session; no answers."""
        self._require(Action.MONITOR)
        events = self._database.events
        return monitor(self._present(), events, trusted_utc(events, self._clock))

    def grant_override(self, session_id: str, *, why: str) -> None:
        """Let a session begin before its washout is over (RS-D4); in the session's chain and in the audit."""
        self._require(Action.OVERRIDE)
        study = self._present()
        plan = study.plan(session_id)
        if plan is None:
            raise StudyError(
                f"Session {session_id}: not in study {study.study_id}; choose one from the monitor."
            )
        rows = {row.session_id: row for row in self.monitor()}
        sessions = Sessions(study=study, store=self._database.events, clock=self._clock, anchor=self._anchor)
        sessions.grant_override(session_id, reason=why, granted_by=self._signed_in.account.account_id)
        old = {"why_not": rows[session_id].why_not}
        self._record(EventKind.OVERRIDE_RECORDED, session_id, old=old, new={"rule": "washout"}, why=why)

    def lock(self, *, password: str, name: str, meaning: str, why: str = "") -> None:
        """Sign and lock the study: nothing more is read, truth and results open (RS-A4).

        Raises
        ------
        SignInRefused
            The password is not this person's.
        StudyError
            It is locked already; name or meaning is missing; or readings are open and no reason is given.
        """
        self._require(Action.LOCK)
        tried(
            Door(
                store=self._database.events, clock=self._clock, study_id=self._study_id, anchor=self._anchor
            ),
            self._signed_in.account.account_id,
            (self._signed_in.account.account_id,),
            lambda: self._signed_in.check(password),
        )
        if self.stage().locked:
            raise StudyError(f"Study {self._study_id}: it is locked already; export it.")
        if self.stage().drafted and not self.stage().frozen:
            raise StudyError(
                f"Study {self._study_id}: expected a frozen protocol to lock, found a draft that nobody has read;"
                " freeze it first."
            )
        rows = self.monitor()
        unfinished = sum(row.n_done < row.n_total for row in rows if row.period > 0)
        asked = self._present().conduct.sign_sessions
        unsigned = sum(not row.signed and row.n_done >= row.n_total for row in rows) if asked else 0
        if not name.strip() or not meaning.strip() or ((unfinished or unsigned) and not why.strip()):
            lacking = f"{unfinished} unfinished" + (f" and {unsigned} unsigned" if unsigned else "")
            raise StudyError(
                f"Study {self._study_id}: expected name, meaning and, with {lacking} sessions, a reason;"
                " give them to lock it."
            )
        heads = self._database.events.heads()
        ends = {row.session_id: heads[row.session_id].hash for row in rows if row.session_id in heads}
        signature = {"name": name, "meaning": meaning, "unfinished": unfinished, "heads": ends}
        if unsigned:
            signature["unsigned"] = unsigned
        self._record(EventKind.STUDY_LOCKED, self._study_id, new=signature, why=why)

    # -- work that is done elsewhere ------------------------------------------------------------------------

    def cases_imported(self, work: Callable[[Study], tuple[Study, Done]], *, why: str = "") -> Study:
        """Let ``work`` import cases into the draft, keep the study that it returns, and audit it."""
        self._require(Action.IMPORT_CASES)
        study, done = work(self._present())
        deed = Deed(kind=EventKind.CASES_IMPORTED, subject=done.subject, new=done.new, why=why)
        with self._audited(deed) as audit:
            self._database.save_study(study, audit=audit)
        return study

    def permitted(
        self,
        action: Action,
        kind: EventKind,
        work: Callable[[Study], tuple[T, Done]],
        *,
        begun: Deed | None = None,
        why: str = "",
    ) -> T:
        """Do work that an action allows (truth import, export, results, backup); nothing is handed out unaudited.

        ``begun`` is kept before the work writes anything outside: a crash leaves no files without an entry.
        """
        self._require(action)
        if begun is not None:
            self.tell(action, begun)
        result, done = work(self._present())
        self._record(kind, done.subject, new=done.new, why=why)
        return result

    def tell(self, action: Action, deed: Deed) -> None:
        """Keep an entry on work over the whole database, which an action allows."""
        self._require(action)
        self._record(deed.kind, deed.subject, old=deed.old, new=deed.new, why=deed.why)

    def events(self, action: Action) -> EventStore:
        """Return the log for an action that may see it; NotPermitted otherwise."""
        self._require(action)
        return self._database.events

    def audit(self) -> Sequence[AuditEntry]:
        """Return the audit list, oldest first."""
        self._require(Action.SEE_AUDIT)
        return audit_list(self._database.events, self._study_id)

    # -- inside ---------------------------------------------------------------------------------------------

    def _present(self) -> Study:
        study = self.study()
        if study is None:
            raise StudyError(f"Study {self._study_id}: expected a protocol, found none; draft it first.")
        return study

    def _require(self, action: Action) -> None:
        self._signed_in.touch()
        study = self.study() if action in CLOSED_UNTIL_LOCK else None
        require(self._signed_in.account, action, study, locked=self.stage().locked)

    def _record(
        self,
        kind: EventKind,
        subject: str,
        *,
        old: Mapping[str, object] | None = None,
        new: Mapping[str, object] | None = None,
        why: str = "",
    ) -> None:
        with self._audited(Deed(kind=kind, subject=subject, old=old, new=new, why=why)) as audit:
            self._database.events.append(audit, audit[0].seq - 1)

    @contextmanager
    def _audited(self, *deeds: Deed) -> Iterator[tuple[Event, ...]]:
        """The entries to keep with a step in its own transaction; the anchor follows once they are kept."""
        account = self._signed_in.account
        audit = sealed_deeds(
            self._database.events, self._clock, study_id=self._study_id, account=account, deeds=deeds
        )
        if self._anchor is not None and audit:  # proves the place can be written before anything is done
            append_anchor(
                self._anchor,
                Anchor(session_id=audit[0].session_id, count=audit[0].seq - 1, hash=audit[0].prev_hash),
            )
        yield audit
        try:
            anchor_deeds(self._anchor, audit)
        except StoreError as error:
            # The step itself is kept; the next one writes a newer anchor that covers it as well.
            _LOG.error("the anchor file falls behind the audit: %s", error)


def _named(study: Study) -> str:
    return f"protocol {study.protocol_version}"


def _facts(study: Study | None) -> dict[str, object] | None:
    if study is None:
        return None
    return {
        "protocol_version": study.protocol_version,
        "protocol_hash": protocol_hash(study),
        "design": study.design.value,
        "readers": len(study.readers),
        "cases": len(study.cases),
        "sessions": len(study.plans),
    }


def next_version(version: str) -> str:
    """Return the protocol version that follows: 1.2 after 1.1, 1.1 after 1."""
    head, _, tail = version.rpartition(".")
    return f"{head}.{int(tail) + 1}" if head and tail.isdecimal() else f"{version}.1"
