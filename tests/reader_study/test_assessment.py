"""When a form is complete and free of contradiction, and that its JSON form loses nothing."""

from __future__ import annotations

import dataclasses

import pytest

from reader_study.accounts import hash_password, sign_in
from reader_study.domain.assessment import (
    Assessment,
    BreastAssessment,
    assessment_from_json,
    assessment_to_json,
    finding_from_json,
    finding_to_json,
    problems,
)
from reader_study.domain.study import Scale
from reader_study.errors import SignInRefused
from resources.vocabulary import Density, Laterality


def _form(birads="1", suspicion=5, recall=False):
    breast = BreastAssessment(laterality=Laterality.RIGHT, birads=birads, suspicion=suspicion)
    return Assessment(breasts=(breast,), density=Density.DENSE, recall=recall)


def test_rs_c1_complete_form_has_no_problem(normal_form):
    assert problems(normal_form, Scale()) == ()


def test_rs_c1_only_required_fields_are_asked_for():
    form = Assessment(breasts=(BreastAssessment(laterality=Laterality.LEFT, birads="0"),))
    found = [p.field for p in problems(form, Scale(birads=("0", "1"), require=("birads",)))]
    assert found == []
    assert [p.field for p in problems(form, Scale(birads=("1",), require=("birads", "density")))] == [
        "L.birads",
        "density",
    ]


@pytest.mark.parametrize(
    ("form", "field"),
    [
        (_form("2", 51), "R.suspicion"),
        (_form("4A", 20, recall=False), "recall"),
        (_form("1", 5, recall=True), "recall"),
        (_form("1", 101), "R.suspicion"),
        (_form("6", 50), "R.birads"),
    ],
)
def test_rs_c2_contradictions_are_named_at_their_field(form, field):
    assert field in [problem.field for problem in problems(form, Scale())]


@pytest.mark.parametrize("form", [_form("2", 50), _form("3", 90, recall=False), _form("3", 10, recall=True)])
def test_rs_c2_border_cases_pass(form):
    assert problems(form, Scale()) == ()


def test_rs_c2_the_rules_are_the_protocols():
    loose = Scale(max_benign_suspicion=None, match_recall=False)
    assert problems(_form("1", 99, recall=True), loose) == ()


def test_rs_l1_json_form_keeps_marks_and_forms(mark, normal_form):
    point = dataclasses.replace(mark(), box=None, row_mm=None, col_mm=None, birads=None)
    for finding in (mark(), point):
        assert finding_from_json(finding_to_json(finding)) == finding
    for form in (
        normal_form,
        Assessment(),
        Assessment(breasts=(BreastAssessment(laterality=Laterality.LEFT),)),
    ):
        assert assessment_from_json(assessment_to_json(form)) == form


def test_rs_a3_sign_in_needs_the_readers_own_password(study):
    readers = (
        dataclasses.replace(study.readers[0], password_hash=hash_password("first-word")),
        dataclasses.replace(study.readers[1], password_hash=None),
    )
    study = dataclasses.replace(study, readers=readers)
    assert "first" not in readers[0].password_hash
    assert readers[0].password_hash.startswith("$argon2id$")
    assert sign_in(study, "r1", "first-word").reader_id == "r1"
    for reader_id, password in (
        ("r1", "second"),
        ("r1", ""),
        ("r2", "first-word"),
        ("r2", ""),
        ("nobody", "first-word"),
    ):
        with pytest.raises(SignInRefused, match="reader or the password"):
            sign_in(study, reader_id, password)
