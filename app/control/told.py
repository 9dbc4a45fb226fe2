"""What the study's rules say, in the language of the screen: sentences of ``reader_study`` as a person reads them.

The rules speak English, for what they say is kept in the log and must not depend on a screen. A sentence that is not
known here is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from reader_study.permissions import Action, Role
from resources.translation import translate


def _tr(text: str) -> str:
    return translate("told", text)


def told(sentence: str) -> str:
    """Return a sentence of the study's rules in the language in use; one that is not known stays as it is."""
    for pattern, say in _KNOWN:
        found = pattern.fullmatch(sentence)
        if found is not None:
            return say(*found.groups())
    return sentence


def _action(value: str) -> str:
    words = {
        Action.READ: _tr("read cases"),
        Action.DRAFT: _tr("draft the protocol"),
        Action.FREEZE: _tr("freeze the protocol"),
        Action.AMEND: _tr("amend the protocol"),
        Action.ENROL: _tr("enrol readers"),
        Action.IMPORT_CASES: _tr("import cases"),
        Action.IMPORT_TRUTH: _tr("import the truth"),
        Action.SEE_BALANCE: _tr("see the balance of the allocation"),
        Action.SEE_ALLOCATION: _tr("see who reads what in which arm"),
        Action.MONITOR: _tr("see the progress of all readers"),
        Action.OVERRIDE: _tr("grant an override"),
        Action.LOCK: _tr("lock the study"),
        Action.SEE_TRUTH: _tr("see the truth"),
        Action.SEE_RESULTS: _tr("see answers and results"),
        Action.EXPORT: _tr("export answers"),
        Action.SEE_AUDIT: _tr("see the audit list"),
        Action.BACK_UP: _tr("make or restore a backup"),
        Action.ACCOUNTS: _tr("manage accounts"),
    }
    return words[Action(value)] if value in set(Action) else value


def _role(value: str) -> str:
    words = {
        Role.READER: _tr("reader"),
        Role.COORDINATOR: _tr("coordinator"),
        Role.STATISTICIAN: _tr("statistician"),
        Role.ADMINISTRATOR: _tr("administrator"),
    }
    return words[Role(value)] if value in set(Role) else value


def _roles(names: str) -> str:
    return _tr(", ").join(_role(name) for name in names.split(", "))


def _washout(days: str, left: str) -> str:
    words = _tr(
        "The washout of {0} days is not over, {1} days are left; come back then or ask the coordinator."
    )
    return words.format(days, left)


def _waits(period: str) -> str:
    if period == "0":
        return _tr("The practice comes first; finish it.")
    return _tr("Session {0} comes first; finish it.").format(period)


def _closed(account: str, action: str) -> str:
    words = _tr("Account {0}: nobody may {1} before the study is locked; lock it when every reading is done.")
    return words.format(account, _action(action))


def _not_hers(account: str, role: str, action: str, others: str) -> str:
    words = _tr("Account {0}: a {1} may not {2}; ask a {3}.")
    return words.format(account, _role(role), _action(action), _roles(others))


def _signed_out(account: str, minutes: str) -> str:
    words = _tr("Account {0}: signed out after {1} minutes without input; sign in again.")
    return words.format(account, minutes)


def _to_lock(study: str, unfinished: str, unsigned: str | None) -> str:
    words = _tr(
        "Study {0}: sessions unfinished {1}, unsigned {2}; give name, meaning and, where there are any, a reason to lock it."
    )
    return words.format(study, unfinished, unsigned or "0")


def _to_freeze(study: str, cases: str, readers: str) -> str:
    words = _tr(
        "Study {0}: expected cases that count and readers to freeze, found {1} and {2}; import cases and enrol readers first."
    )
    return words.format(study, cases, readers)


_KNOWN: tuple[tuple[re.Pattern[str], Callable[..., str]], ...] = (
    (re.compile(r"washout of (\S+) days is not over, (\S+) days are left; .*"), _washout),
    (re.compile(r"period (\d+) comes first; finish it\."), _waits),
    (
        re.compile(r"Sign in: the reader or the password is not right; .*"),
        lambda: _tr("Sign in: the name or the password is not right; try again or ask the coordinator."),
    ),
    (
        re.compile(r"Sign in: (\d+) attempts in a row were refused; try again in (\d+) s\."),
        lambda times, wait: _tr("Sign in: {0} attempts in a row were refused; try again in {1} s.").format(times, wait),
    ),
    (
        re.compile(r"Password: expected at least (\d+) characters, found (\d+); choose a longer one\."),
        lambda least, found: _tr("Password: expected at least {0} characters, found {1}; choose a longer one.").format(least, found),
    ),
    (
        re.compile(r"this computer's clock differs from the server's by (\S+) days; .*"),
        lambda days: _tr("This computer's clock differs from the server's by {0} days; set it right, or ask the coordinator for an override.").format(days),
    ),
    (
        re.compile(r"this computer's clock is (\S+) days behind the newest entry of the database; .*"),
        lambda days: _tr("This computer's clock is {0} days behind the newest entry of the database; set it right, or ask the coordinator for an override.").format(days),
    ),
    (
        re.compile(r"this computer's clock was set forward by (\S+) days, .*"),
        lambda days: _tr("This computer's clock was set forward by {0} days, so the washout is not taken as over; set it right, or ask the coordinator for an override.").format(days),
    ),
    (re.compile(r"every case is read and locked\."), lambda: _tr("Every case is read and locked.")),
    (re.compile(r"Account (.+): nobody may (.+) before the study is locked; .*"), _closed),
    (re.compile(r"Account (.+): a (\w+) may not (.+); ask a (.+)\."), _not_hers),
    (re.compile(r"Account (.+): signed out after (\S+) minutes without input; sign in again\."), _signed_out),
    (
        re.compile(r"Study (.+): expected name, meaning and, with (\d+) unfinished(?: and (\d+) unsigned)? sessions, .*"),
        _to_lock,
    ),
    (
        re.compile(r"Study (.+): it is locked already; export it\."),
        lambda study: _tr("Study {0}: it is locked already; export it.").format(study),
    ),
    (re.compile(r"Study (.+): expected cases that count and readers to freeze, found (\d+) and (\d+); .*"), _to_freeze),
    (
        re.compile(r"Study (.+): expected a frozen protocol to lock, .*"),
        lambda study: _tr("Study {0}: the protocol is not frozen and nobody has read; freeze it first.").format(study),
    ),
)  # fmt: skip
