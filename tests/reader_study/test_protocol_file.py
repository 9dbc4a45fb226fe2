"""A protocol is the same thing as YAML, as a study and as stored text; the schema says no more and no less."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from jsonschema import Draft202012Validator

from reader_study.domain.conduct import (
    CallOf,
    Conduct,
    Consistency,
    Design,
    Disclosure,
    HitRule,
    Interruption,
    Localisation,
    Navigation,
    Purpose,
    Surplus,
    Training,
)
from reader_study.domain.study import AiPolicy, Case, PriorExam, Reader, Scale
from reader_study.domain.study_json import protocol_hash, study_from_text, study_to_text
from reader_study.errors import StudyError
from reader_study.protocol_file import (
    drawn,
    protocol_from_text,
    protocol_from_values,
    protocol_to_text,
    protocol_to_values,
)
from reader_study.protocol_schema import protocol_schema
from resources.files import resource_path

EXAMPLES = sorted(resource_path("study_protocols").glob("*.yaml"))


@pytest.fixture
def full(make_study):
    """A study in which every field differs from its default."""
    base = make_study(n_cases=6, n_readers=4, washout_days=10.5, practice=2)
    changed = replace(
        base,
        design=Design.SPLIT_PLOT,
        blocks=2,
        plans=(),
        show_timer=True,
        scale=Scale(
            birads=("0", "1", "5"), require=("birads",), max_benign_suspicion=None, match_recall=False,
            min_coverage=0.9, contrast=("bpe",), call=CallOf.LESION, consistency=Consistency.WARN,
        ),
        purpose=Purpose(hypotheses=("H",), endpoints=("E: one", "F"), analysis_plan="SAP 2", case_mix="50 %", unit="breast"),
        conduct=Conduct(
            navigation=Navigation.LOOK_BACK, idle_threshold_s=30.0, interruption=Interruption.WINSORISE,
            session_timeout_min=None, break_after_min=45.0, sign_sessions=True, results_before_lock=True,
        ),
        training=Training(instruction="Läs: 0 to 100\nslowly", gate=False, feedback=True),
        disclosure=Disclosure(patient=("age",), prevalence="One in two."),
        localisation=Localisation(
            rule=HitRule.CONTOUR, radius_mm=12.5, surplus=Surplus.FALSE_POSITIVE, across_views=False
        ),
        readers=tuple(replace(r, qualification="board", exams_a_year=5000, experience_years=3) for r in base.readers),
        cases=tuple(
            replace(c, stratum="a", age_years=50, history="none", priors=(PriorExam(exam_id="p", exam_digest="d"),))
            for c in base.cases
        ),
    )  # fmt: skip
    return replace(changed, plans=drawn(changed))


def test_rs_d1_yaml_to_study_to_yaml_gives_the_same_study_and_the_same_hash(full, make_study):
    for study in (full, make_study(), make_study(practice=3, n_readers=5)):
        text = protocol_to_text(study)
        again = protocol_from_text(text)
        assert again == study
        assert protocol_hash(again) == protocol_hash(study)
        assert protocol_to_text(again) == text
        assert study_from_text(study_to_text(study)) == study


def test_rs_d1_an_allocation_that_was_not_drawn_is_written_out_and_read_back(full):
    swapped = replace(full, plans=(*full.plans[1:], full.plans[0]))
    assert "allocation" in protocol_to_values(swapped)
    assert "allocation" not in protocol_to_values(full)
    assert protocol_from_text(protocol_to_text(swapped)) == swapped


def test_what_a_form_hands_in_is_what_the_file_says(full):
    assert protocol_from_values(protocol_to_values(full)) == full
    Draft202012Validator(dict(protocol_schema())).validate(protocol_to_values(full))


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ((), None),
        (("scale",), Scale),
        (("purpose",), Purpose),
        (("conduct",), Conduct),
        (("training",), Training),
        (("disclosure",), Disclosure),
        (("localisation",), Localisation),
        (("cases", "items"), Case),
        (("readers", "items"), Reader),
        (("arms", "items", "ai"), AiPolicy),
    ],
)
def test_the_schema_names_every_field_and_no_other(place, kind, full):
    part = protocol_schema()
    for step in place:
        part = part[step] if step == "items" else part["properties"][step]
    names = set(part["properties"])
    if kind is None:
        assert names == set(protocol_to_values(full)) | {"allocation"}
    else:
        assert names == {field.name for field in fields(kind)} - {"password_hash"}
    assert all("description" in one or "items" in one for one in part["properties"].values())


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_both_published_protocols_fit_the_schema_and_read_back_equal(path):
    study = protocol_from_text(path.read_text(encoding="utf-8"))
    assert protocol_from_text(protocol_to_text(study)) == study


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"design": "zigzag"}, r"design: expected one of crossover, .*found 'zigzag'"),
        ({"washout_days": -1}, r"washout_days: expected 0 or more, found -1"),
        ({"conduct": {"idle_threshold_s": 0}}, r"conduct\.idle_threshold_s: expected more than 0"),
        ({"conduct": {"idle": 3}}, r"conduct: expected keys of .*; found idle"),
        ({"localisation": {"radius_mm": "wide"}}, r"localisation\.radius_mm: expected a number, found 'wide'"),
        ({"disclosure": {"patient": ["name"]}}, r"disclosure\.patient\.0: expected one of age, history"),
        ({"cases": []}, r"cases: expected 1 or more entries"),
        ({"seed": True}, r"seed: expected a whole number, found True"),
        ({"blocks": 2}, r"blocks.*found 2 for crossover"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_place_in_one_sentence(make_study, change, words):
    with pytest.raises(StudyError, match=words) as refused:
        protocol_from_values({**protocol_to_values(make_study()), **change}, where="p.yaml")
    assert str(refused.value).startswith("p.yaml: ") or "Design" in str(refused.value)
    assert "\n" not in str(refused.value)
