"""What the study's rules say is read in the language of the screen: each sentence comes from the rule itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.control.told import told
from reader_study.accounts import hash_password, sign_in_account
from reader_study.attempts import Door, enter
from reader_study.clock import ManualClock
from reader_study.domain.study import Study
from reader_study.errors import SignInRefused, StudyError
from reader_study.permissions import CLOSED_UNTIL_LOCK, RULES, Account, Action, Role, may
from reader_study.ports import MemoryEventStore
from reader_study.progress import Progress
from reader_study.protocol_file import read_protocol
from reader_study.worklist import session_status
from resources.translation import use

PROTOCOL = Path(__file__).resolve().parents[3] / "resources" / "study_protocols" / "four_view_crossover.yaml"


@pytest.fixture
def chinese() -> Iterator[None]:
    use("zh_CN")
    yield
    use("en")


@pytest.fixture(scope="module")
def study() -> Study:
    return read_protocol(PROTOCOL)


def _english(sentence: str) -> list[str]:
    """English words left in a sentence; the account x1 is a name and no word."""
    return [word for word in re.findall(r"[A-Za-z]{2,}", sentence) if word != "x1"]


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("role", list(Role))
def test_every_refusal_of_a_role_is_told_in_chinese(action: Action, role: Role) -> None:
    sentence = may(Account(account_id="x1", name="X", role=role), action, None, locked=False)
    allowed = role in RULES[action] and action not in CLOSED_UNTIL_LOCK
    assert (sentence is None) == allowed
    if sentence is not None:
        assert not _english(told(sentence)), told(sentence)


@pytest.mark.usefixtures("chinese")
def test_a_refused_sign_in_is_told_in_chinese() -> None:
    with pytest.raises(SignInRefused) as refused:
        sign_in_account((), "nobody", "pw")
    assert not _english(told(str(refused.value)))


@pytest.mark.usefixtures("chinese")
def test_rs_a3_a_short_password_and_too_many_attempts_are_told_in_chinese() -> None:
    with pytest.raises(StudyError) as short:
        hash_password("short")
    door = Door(store=MemoryEventStore(), clock=ManualClock(), study_id="ST")
    for _ in range(4):
        with pytest.raises(SignInRefused) as waits:
            enter(door, (), "nobody", "pass-word")
    assert "try again in 2 s" in str(waits.value)
    for sentence in (str(short.value), str(waits.value)):
        assert not _english(told(sentence)), told(sentence)


@pytest.mark.usefixtures("chinese")
def test_rs_d4_the_work_list_says_in_chinese_what_a_session_waits_for(study: Study) -> None:
    reader = study.readers[0].reader_id
    one, two = (plan for plan in study.plans_of(reader) if plan.period > 0)
    fresh = {plan.session_id: Progress(plan=plan) for plan in study.plans}
    waits = session_status(study, two, fresh, "2026-09-01T08:00:00.000Z").why_not
    assert waits is not None
    assert not _english(told(waits)), told(waits)
    read = replace(
        fresh[one.session_id], n_locked=len(one.entries), last_locked_utc="2026-09-01T08:00:00.000Z",
        started_utc="2026-09-01T07:00:00.000Z",
    )  # fmt: skip
    progress = fresh | {one.session_id: read}
    for plan in (one, two):
        why = session_status(study, plan, progress, "2026-09-02T08:00:00.000Z").why_not
        assert why is not None
        assert not _english(told(why)), told(why)


def test_in_english_periods_are_sessions_and_what_is_unknown_stays() -> None:
    assert told("period 0 comes first; finish it.") == "The practice comes first; finish it."
    assert told("period 1 comes first; finish it.") == "Session 1 comes first; finish it."
    assert told("a.csv, line 3: expected a number, found x.") == "a.csv, line 3: expected a number, found x."
