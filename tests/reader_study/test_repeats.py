"""One exam under two case ids is named before the first read, unless the protocol wants it (RS-R3, RS-T1)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reader_study.accounts import SignedIn
from reader_study.desk import Desk
from reader_study.domain.study_json import protocol_hash, study_from_text, study_to_text
from reader_study.errors import StudyError
from reader_study.permissions import Account, Role
from reader_study.protocol_file import protocol_from_text, protocol_to_text
from reader_study.store.database import open_database


@pytest.fixture
def desk(tmp_path, clock):
    database = open_database(tmp_path / "study.sqlite")
    co = Account(account_id="co", name="Carla", role=Role.COORDINATOR)
    yield Desk(database=database, clock=clock, signed_in=SignedIn(co, clock), study_id="ST")
    database.close()


def with_twin(study, *, practice=False):
    first, *rest, last = study.cases
    twin = replace(last, exam_digest=first.exam_digest, practice=practice)
    return replace(study, cases=(first, *rest, twin))


def test_rs_r3_two_cases_of_one_exam_are_named_and_not_frozen(desk, make_study):
    desk.draft(with_twin(make_study(n_cases=4)))
    with pytest.raises(StudyError, match="found c001 and c004 to be the same; take one out") as refused:
        desk.freeze()
    assert "conduct.repeated_exams" in str(refused.value)
    assert not desk.stage().frozen


def test_rs_r3_a_protocol_that_wants_repeats_is_frozen(desk, make_study):
    study = with_twin(make_study(n_cases=4))
    wanted = replace(study, conduct=replace(study.conduct, repeated_exams=True))
    desk.draft(protocol_from_text(protocol_to_text(wanted)))
    desk.freeze()
    assert desk.stage().frozen
    assert study_from_text(study_to_text(wanted)) == wanted


def test_rs_r3_an_amendment_brings_no_repeat_in(desk, make_study):
    study = make_study(n_cases=4)
    desk.draft(study)
    desk.freeze()
    with pytest.raises(StudyError, match="found c001 and c004 to be the same"):
        desk.amend(replace(with_twin(study), protocol_version="2"), why="more cases")


def test_rs_t1_a_practice_case_is_never_one_that_counts(desk, make_study):
    study = make_study(n_cases=3, practice=1)
    mixed = with_twin(study, practice=True)
    desk.draft(replace(mixed, conduct=replace(mixed.conduct, repeated_exams=True)))
    with pytest.raises(StudyError, match="no practice case among those that count, found c001 and c004"):
        desk.freeze()


def test_rs_d1_new_facts_and_rules_leave_the_hash_of_an_older_protocol(make_study):
    study = make_study(n_cases=2)
    text = study_to_text(study)
    assert not any(word in text for word in ("repeated_exams", "manufacturer", 'density":'))
    told = replace(
        study, cases=(replace(study.cases[0], manufacturer="HOLOGIC", density="c"), study.cases[1])
    )
    assert protocol_hash(told) != protocol_hash(study)
    assert protocol_from_text(protocol_to_text(told)).cases == told.cases
    with pytest.raises(ValueError, match="expected density a, b, c or d, found 'dense'"):
        replace(study.cases[0], density="dense")
