"""A protocol's YAML says what it looks like: ids stay as written, nothing is taken twice, no number is endless."""

from __future__ import annotations

import pytest

from reader_study.errors import StudyError
from reader_study.protocol_file import protocol_from_text

BASE = """study_id: S
title: T
protocol_version: '1'
seed: 1
washout_days: 28
arms:
- {arm_id: u, title: U, ai: {shown: false}}
- {arm_id: a, title: A, ai: {shown: true}}
readers:
- {reader_id: r1, name: N}
cases:
- {case_id: c1, exam_id: e1, exam_digest: aa}
- {case_id: c2, exam_id: e2, exam_digest: bb}
"""


@pytest.mark.parametrize(
    "written", ["0012", "12:30", "1_0", "1.10", "no", "2026-01-05", "0x1F", "1e3", "007"]
)
def test_rs_d1_an_id_stays_as_it_is_written_whatever_yaml_would_make_of_it(written):
    text = BASE.replace("case_id: c1", f"case_id: {written}").replace("'1'", written)
    study = protocol_from_text(text)
    assert study.cases[0].case_id == written
    assert study.protocol_version == written
    explicit = (
        f"{text}allocation:\n- {{session_id: {written}, reader_id: r1, period: 1, read: [[{written}, a]]}}\n"
    )
    plan = protocol_from_text(explicit).plans[0]
    assert (plan.session_id, plan.entries[0].case_id) == (written, written)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BASE + "seed: 2\n", "line 14.*'seed'.*twice"),
        (BASE.replace("shown: true", "shown: true, shown: false"), "line 8.*'shown'.*twice"),
        (BASE.replace("28", ".nan"), "washout_days.*finite"),
        (BASE.replace("28", ".inf"), "washout_days.*finite"),
        (BASE + "conduct: {idle_threshold_s: .nan}\n", "conduct.idle_threshold_s.*finite"),
        (BASE + "localisation: {radius_mm: .inf}\n", "localisation.radius_mm.*finite"),
        (BASE + "scale: {birads: [1, 2, 9]}\n", "BI-RADS.*9"),
        (BASE.replace("study_id: S", "study_id: ''"), "study_id.*empty"),
        (BASE.replace("study_id: S", 'study_id: "a\\nb"'), "study_id"),
        (BASE.replace("study_id: S", 'study_id: "a\\0b"'), "study_id"),
        (BASE.replace("study_id: S", "study_id: " + "x" * 500), "study_id.*100"),
        (BASE.replace("case_id: c1", "case_id: ' c1 '"), "case_id"),
        (BASE.replace("case_id: c1", "case_id: ''"), "case_id.*empty"),
        (
            BASE + "allocation:\n- {session_id: audit.S, reader_id: r1, period: 1, read: [[c1, a]]}\n",
            "audit.S",
        ),
        (BASE.replace("washout_days: 28", "washout_days: 1" + "0" * 12), "washout_days"),
    ],
)
def test_rs_d1_what_cannot_be_meant_is_one_sentence(text, told):
    with pytest.raises(StudyError, match=told) as refused:
        protocol_from_text(text, where="p.yaml")
    assert "\n" not in str(refused.value)
