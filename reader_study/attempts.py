"""Refused sign-ins: each is kept in the study's audit, and the next one waits longer (RS-A3; 21 CFR 11.300(d)).

How often and how long ago is read from the audit itself, so that a restart or another station begins no new count.
Nobody is kept waiting inside a call: what comes too early is refused at once, with when to try again.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from reader_study.accounts import sign_in_account
from reader_study.audit import Deed, anchor_deeds, audit_session, sealed_deeds
from reader_study.clock import from_utc_text
from reader_study.domain.events import Event, EventKind, text
from reader_study.errors import SignInRefused, StoreError
from reader_study.permissions import Account
from reader_study.ports import Clock, EventStore

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
FREE_ATTEMPTS = 3  # without waiting: a slip of the finger is no attack
LONGEST_S = 60
_AT_ONCE = 3  # other stations may write to the same audit at the same moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where the sign-ins of one study are tried; ``anchor`` is the file kept elsewhere, None = there is none."""

    store: EventStore
    clock: Clock
    study_id: str
    anchor: Path | None = None


def delay_s(refused: int) -> int:
    """Return how long the next attempt waits after so many refused ones in a row, s: 0, 0, 0, 2, 4, 8 ... 60."""
    return 0 if refused < FREE_ATTEMPTS else min(LONGEST_S, 2 ** (refused - FREE_ATTEMPTS + 1))


def enter(door: Door, accounts: Iterable[Account], account_id: str, password: str) -> Account:
    """Return the account; SignInRefused for a wrong name or password, or for an attempt that comes too early."""
    known = tuple(accounts)
    names = [one.account_id for one in known]
    return tried(door, account_id, names, lambda: sign_in_account(known, account_id, password))


def tried(door: Door, account_id: str, names: Sequence[str], check: Callable[[], T]) -> T:
    """Let ``check`` look at a password, as often as its account may be tried now, and keep what it refused.

    Parameters
    ----------
    account_id : str
        As it was typed.
    names : sequence of str
        The ids that exist: of any other only four hex digits of a digest are kept, for it may be a password that was
        typed in the wrong field. Sixteen bits tell two names apart and lead back to neither.
    check : callable
        Returns when the password is right, raises SignInRefused when not.

    Raises
    ------
    SignInRefused
        Of ``check``; or too early, and then ``check`` was not asked.
    """
    subject = account_id if account_id in names else f"unknown name {_mark(door.study_id, account_id)}"
    trail = _trail(door, subject)
    left = _seconds_left(door.clock, trail)
    if left > 0:
        raise SignInRefused(
            f"Sign in: {len(trail)} attempts in a row were refused; try again in {math.ceil(left)} s."
        )
    try:
        done = check()
    except SignInRefused:
        _keep(door, EventKind.SIGN_IN_REFUSED, subject, len(trail) + 1)
        raise
    if trail:
        _keep(door, EventKind.SIGNED_IN_AFTER_REFUSALS, subject, len(trail))
    return done


def _mark(study_id: str, name: str) -> str:
    return hashlib.sha256(f"{study_id}\0{name}".encode()).hexdigest()[:4]


def _trail(door: Door, subject: str) -> list[Event]:
    """The refused attempts since the last one that was not."""
    kinds = (EventKind.SIGN_IN_REFUSED, EventKind.SIGNED_IN_AFTER_REFUSALS)
    trail: list[Event] = []
    for event in door.store.read_kinds(kinds, (audit_session(door.study_id),)):
        if text(event.body, "subject") != subject:
            continue
        if event.kind is EventKind.SIGN_IN_REFUSED:
            trail.append(event)
        else:
            trail.clear()
    return trail


def _seconds_left(clock: Clock, trail: Sequence[Event]) -> float:
    wait = delay_s(len(trail))
    if not wait:
        return 0.0
    last = trail[-1]
    if last.boot_id == clock.boot_id:
        return wait - (clock.monotonic_ns() - last.t_mono_ns) / 1e9
    passed = (from_utc_text(clock.utc_now()) - from_utc_text(last.t_utc)).total_seconds()
    return wait - passed if passed >= 0 else 0.0  # a clock that was set back must lock nobody out for days


def _keep(door: Door, kind: EventKind, subject: str, attempts: int) -> None:
    """Write the entry; where that fails, the answer at the door stays what it is."""
    deed = Deed(kind=kind, subject=subject, new={"refused_in_a_row": attempts})
    for attempt in range(_AT_ONCE):
        try:
            audit = sealed_deeds(door.store, door.clock, study_id=door.study_id, account=None, deeds=(deed,))
            door.store.append(audit, audit[0].seq - 1)
            anchor_deeds(door.anchor, audit)
            return
        except StoreError as error:
            if attempt == _AT_ONCE - 1:
                _LOG.error("a refused sign-in could not be kept: %s", error)
