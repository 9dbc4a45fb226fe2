"""Contrast questions of a study (CEM-08): asked where the protocol wants them, kept, exported, absent elsewhere."""

from __future__ import annotations

import dataclasses
import itertools
import json

import pytest

from reader_study.domain.assessment import (
    Assessment,
    assessment_from_json,
    assessment_to_json,
    finding_from_json,
    finding_to_json,
    problems,
)
from reader_study.domain.study import CONTRAST_FIELDS, Scale
from reader_study.domain.study_json import protocol_hash, study_from_text, study_to_text
from reader_study.protocol_file import _scale
from reader_study.sessions import AssessmentIncomplete, Sessions
from reader_study.tables import FINDINGS, READINGS, build_tables
from resources.vocabulary import (
    BackgroundEnhancement,
    Conspicuity,
    EnhancementSymmetry,
    EnhancementType,
)

ASKED = Scale(contrast=CONTRAST_FIELDS)


def _answered(form: Assessment) -> Assessment:
    breasts = tuple(
        dataclasses.replace(
            breast, bpe=BackgroundEnhancement.MODERATE, bpe_symmetry=EnhancementSymmetry.ASYMMETRIC
        )
        for breast in form.breasts
    )
    return dataclasses.replace(form, breasts=breasts, contrast=True)


def test_cem08_background_enhancement_is_asked_in_contrast_exams_where_the_protocol_wants_it(normal_form):
    contrast = dataclasses.replace(normal_form, contrast=True)
    assert [p.field for p in problems(contrast, ASKED)] == [
        "R.bpe",
        "R.bpe_symmetry",
        "L.bpe",
        "L.bpe_symmetry",
    ]
    assert [p.field for p in problems(contrast, Scale(contrast=("bpe",)))] == ["R.bpe", "L.bpe"]
    assert problems(contrast, Scale()) == ()
    assert problems(normal_form, ASKED) == ()
    assert problems(_answered(normal_form), ASKED) == ()


def test_cem08_the_answers_are_the_words_of_the_birads_cem_supplement():
    """ACR BI-RADS CEM supplement (2022): four levels, two symmetries, three kinds of enhancement, three conspicuities."""
    assert [level.value for level in BackgroundEnhancement] == ["minimal", "mild", "moderate", "marked"]
    assert [one.value for one in EnhancementSymmetry] == ["symmetric", "asymmetric"]
    assert {one.value for one in EnhancementType} == {"none", "mass", "nme", "asymmetry"}
    assert [one.value for one in Conspicuity] == ["low", "moderate", "high"]


def test_cem08_form_and_mark_are_read_back_unchanged(normal_form, mark):
    form = _answered(normal_form)
    assert assessment_from_json(json.loads(json.dumps(assessment_to_json(form)))) == form
    for kind, level in itertools.product([*EnhancementType, None], [*Conspicuity, None]):
        one = dataclasses.replace(mark(), enhancement=kind, conspicuity=level)
        assert finding_from_json(json.loads(json.dumps(finding_to_json(one)))) == one


def test_cem08_without_contrast_answers_the_json_is_that_of_older_logs(normal_form, mark):
    assert set(assessment_to_json(normal_form)) == {"breasts", "density", "recall"}
    assert not {"enhancement", "conspicuity"} & set(finding_to_json(mark()))


def test_cem08_a_protocol_that_asks_nothing_keeps_its_hash_and_one_that_asks_is_read_back(study):
    assert '"contrast"' not in study_to_text(study)
    asking = dataclasses.replace(study, scale=ASKED)
    assert protocol_hash(asking) != protocol_hash(study)
    assert study_from_text(study_to_text(asking)).scale == ASKED


def test_cem08_the_protocol_file_asks_all_some_or_none():
    assert _scale({}).contrast == ()
    assert _scale({"contrast": True}).contrast == CONTRAST_FIELDS
    assert _scale({"contrast": ["bpe"]}).contrast == ("bpe",)
    with pytest.raises(ValueError, match="contrast fields"):
        _scale({"contrast": ["colour"]})


def test_cem08_answers_are_kept_by_the_log_and_exported_with_a_meaning(
    study, store, clock, show, normal_form, mark
):
    study = dataclasses.replace(study, scale=ASKED)
    sessions = Sessions(study=study, store=store, clock=clock)
    plan = study.plans[0]
    sessions.open(plan.session_id, plan.reader_id, {})
    show(sessions, plan.session_id, clock)
    one = dataclasses.replace(mark(), enhancement=EnhancementType.NON_MASS, conspicuity=Conspicuity.HIGH)
    sessions.add_mark(plan.session_id, one)
    clock.advance(5)
    with pytest.raises(AssessmentIncomplete):
        sessions.submit(plan.session_id, dataclasses.replace(normal_form, contrast=True))
    sessions.submit(plan.session_id, _answered(normal_form))
    sessions.shutdown()
    tables = {table.name: table for table in build_tables(study, store)}
    names = [column.name for column in READINGS]
    (row,) = tables["readings"].rows
    reading = dict(zip(names, row, strict=True))
    assert (reading["bpe_R"], reading["bpe_symmetry_L"]) == ("moderate", "asymmetric")
    (row,) = tables["findings"].rows
    finding = dict(zip([column.name for column in FINDINGS], row, strict=True))
    assert (finding["enhancement"], finding["conspicuity"]) == ("nme", "high")
    told = {column.name: column for column in (*READINGS, *FINDINGS)}
    for name in ("bpe_R", "bpe_symmetry_R", "enhancement", "conspicuity"):
        assert told[name].meaning
        assert told[name].range
