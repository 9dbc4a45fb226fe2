"""Who may do what: four roles, one table, asked in one place (RS-A3, RS-R2, RS-R5).

Decides only. Who somebody is comes from ``accounts``; what is asked for is done by ``sessions`` and ``desk``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reader_study.domain.study import SessionPlan, Study
from reader_study.errors import StudyError


class NotPermitted(StudyError):
    """The role may not do this, or not yet; the text names role, action and who may."""


class Role(StrEnum):
    """What an account is for; one role an account."""

    READER = "reader"
    COORDINATOR = "coordinator"
    STATISTICIAN = "statistician"
    ADMINISTRATOR = "administrator"


class Action(StrEnum):
    """What can be asked for; the value completes 'may not ...'."""

    READ = "read cases"
    DRAFT = "draft the protocol"
    FREEZE = "freeze the protocol"
    AMEND = "amend the protocol"
    ENROL = "enrol readers"
    IMPORT_CASES = "import cases"
    IMPORT_TRUTH = "import the truth"
    SEE_BALANCE = "see the balance of the allocation"
    SEE_ALLOCATION = "see who reads what in which arm"
    MONITOR = "see the progress of all readers"
    OVERRIDE = "grant an override"
    LOCK = "lock the study"
    SEE_TRUTH = "see the truth"
    SEE_RESULTS = "see answers and results"
    EXPORT = "export answers"
    SEE_AUDIT = "see the audit list"
    BACK_UP = "make or restore a backup"
    ACCOUNTS = "manage accounts"


_R, _C, _S, _A = Role.READER, Role.COORDINATOR, Role.STATISTICIAN, Role.ADMINISTRATOR
RULES: Mapping[Action, frozenset[Role]] = {
    Action.READ: frozenset({_R}),
    Action.DRAFT: frozenset({_C, _S}),
    Action.FREEZE: frozenset({_C}),
    Action.AMEND: frozenset({_C}),
    Action.ENROL: frozenset({_C}),
    Action.IMPORT_CASES: frozenset({_C}),
    Action.IMPORT_TRUTH: frozenset({_C, _S}),
    Action.SEE_BALANCE: frozenset({_C, _S}),
    Action.SEE_ALLOCATION: frozenset({_C, _S}),
    Action.MONITOR: frozenset({_C, _S}),
    Action.OVERRIDE: frozenset({_C}),
    Action.LOCK: frozenset({_C}),
    Action.SEE_TRUTH: frozenset({_C, _S}),
    Action.SEE_RESULTS: frozenset({_C, _S}),
    Action.EXPORT: frozenset({_C, _S}),
    Action.SEE_AUDIT: frozenset({_C, _S, _A}),
    Action.BACK_UP: frozenset({_C, _A}),
    Action.ACCOUNTS: frozenset({_A, _C}),
}
# Closed to everybody until the study is locked, unless its protocol opens them.
CLOSED_UNTIL_LOCK: frozenset[Action] = frozenset(
    {Action.SEE_TRUTH, Action.SEE_RESULTS, Action.EXPORT, Action.SEE_ALLOCATION}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One person in one study. The hash is Argon2id; None = cannot sign in yet."""

    account_id: str
    name: str
    role: Role
    password_hash: str | None = field(default=None, repr=False)


def may(account: Account, action: Action, study: Study | None, *, locked: bool) -> str | None:
    """Return why an account may not do something now, as a sentence; None when it may.

    Parameters
    ----------
    study
        Whose protocol may open truth and results early; None = none is kept yet.
    locked
        The study was locked.
    """
    if account.role not in RULES[action]:
        others = ", ".join(sorted(role.value for role in RULES[action]))
        return f"Account {account.account_id}: a {account.role.value} may not {action.value}; ask a {others}."
    opened = study is not None and study.conduct.results_before_lock
    if action in CLOSED_UNTIL_LOCK and not locked and not opened:
        return (
            f"Account {account.account_id}: nobody may {action.value} before the study is locked;"
            " lock it when every reading is done."
        )
    return None


def require(account: Account, action: Action, study: Study | None, *, locked: bool) -> None:
    """Raise NotPermitted with ``may``'s sentence."""
    why = may(account, action, study, locked=locked)
    if why is not None:
        raise NotPermitted(why)


def require_own_session(account: Account, plan: SessionPlan) -> None:
    """Raise NotPermitted unless the session is this reader's own."""
    require(account, Action.READ, None, locked=False)
    require_own_list(account, plan.reader_id)


def require_own_list(account: Account, reader_id: str) -> None:
    """Raise NotPermitted unless the list is this reader's own; the sentence names no other reader."""
    require(account, Action.READ, None, locked=False)
    if account.account_id != reader_id:
        raise NotPermitted(
            f"Account {account.account_id}: what was asked for belongs to another reader; choose from your own list."
        )
