"""Tissue shown at 1:1 in the record: with the submission, in the export, required where the protocol says so."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from reader_study.coverage import SeenImage, coverage_of
from reader_study.domain.events import EventKind
from reader_study.domain.study import Scale, Study
from reader_study.domain.study_json import protocol_hash, study_from_text, study_to_text
from reader_study.errors import StudyError
from reader_study.export import export_tidy
from reader_study.ports import MemoryEventStore
from reader_study.sessions import Sessions

SEEN = (
    SeenImage(image_key="R-CC", share=1.0, dwell_ms=4200),
    SeenImage(image_key="L-CC", share=0.8312, dwell_ms=900),
)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def on_screen(sessions: Sessions, clock, session_id: str, reader_id: str) -> None:
    sessions.open(session_id, reader_id, {})
    sessions.open_case(session_id)
    clock.advance(1.0)
    sessions.frame_painted(session_id, clock.monotonic_ns())
    clock.advance(5.0)


def test_beyond7_coverage_is_written_before_the_submission_in_the_same_commit(
    study, clock, normal_form
) -> None:
    store = MemoryEventStore()
    sessions, plan = Sessions(study=study, store=store, clock=clock), study.plans[0]
    on_screen(sessions, clock, plan.session_id, plan.reader_id)
    sessions.submit(plan.session_id, normal_form, SEEN)
    events = store.read(plan.session_id)
    kinds = [event.kind for event in events]
    assert kinds[-3:] == [
        EventKind.COVERAGE_RECORDED,
        EventKind.ASSESSMENT_SUBMITTED,
        EventKind.READING_LOCKED,
    ]
    assert coverage_of(events) == tuple(
        sorted((SEEN[0], replace(SEEN[1], share=0.831)), key=lambda one: one.image_key)
    )


def test_beyond9_the_export_has_it_by_reading_and_by_image_with_reader_and_arm(
    study, clock, normal_form, tmp_path: Path
) -> None:
    store = MemoryEventStore()
    sessions, plan = Sessions(study=study, store=store, clock=clock), study.plans[0]
    on_screen(sessions, clock, plan.session_id, plan.reader_id)
    sessions.submit(plan.session_id, normal_form, SEEN)
    on_next = sessions.open_case(plan.session_id)
    sessions.frame_painted(plan.session_id, clock.monotonic_ns())
    sessions.submit(plan.session_id, normal_form)
    export_tidy(study, store, tmp_path / "out")
    rows = table(tmp_path / "out" / "readings.csv")
    assert float(rows[0]["seen_1to1_min"]) == pytest.approx(0.831)
    assert float(rows[0]["seen_1to1_mean"]) == pytest.approx((1 + 0.831) / 2)
    assert rows[1]["seen_1to1_min"] == ""  # not counted is not 0
    assert on_next.case_id == rows[1]["case_id"]
    images = table(tmp_path / "out" / "coverage.csv")
    assert [(r["image_key"], r["seen_1to1"], r["shown_1to1_s"]) for r in images] == [
        ("L-CC", "0.831", "0.9"),
        ("R-CC", "1.0", "4.2"),
    ]
    assert {(r["reader_id"], r["arm_id"]) for r in images} == {(plan.reader_id, plan.entries[0].arm_id)}
    described = (tmp_path / "out" / "data_dictionary.csv").read_text(encoding="utf-8")
    for column in (
        "readings,seen_1to1_min",
        "readings,seen_1to1_mean",
        "coverage,seen_1to1",
        "coverage,shown_1to1_s",
    ):
        assert column in described


def test_mg44_a_protocol_can_require_it_and_then_nothing_is_written_below_it(
    study: Study, clock, normal_form
) -> None:
    strict = replace(study, scale=replace(study.scale, min_coverage=0.95))
    store = MemoryEventStore()
    sessions, plan = Sessions(study=strict, store=store, clock=clock), strict.plans[0]
    on_screen(sessions, clock, plan.session_id, plan.reader_id)
    before = store.read(plan.session_id)
    with pytest.raises(StudyError, match=r"at least 95 % .* found L-CC 83 %"):
        sessions.submit(plan.session_id, normal_form, SEEN)
    assert store.read(plan.session_id) == before
    sessions.submit(plan.session_id, normal_form, (SEEN[0],))
    assert sessions.position(plan.session_id).index == 1


def test_a_case_left_and_taken_up_again_keeps_the_highest_share_and_all_the_time(
    study, clock, normal_form
) -> None:
    store = MemoryEventStore()
    sessions, plan = Sessions(study=study, store=store, clock=clock), study.plans[0]
    on_screen(sessions, clock, plan.session_id, plan.reader_id)
    sessions.coverage_recorded(plan.session_id, (SeenImage(image_key="R-CC", share=0.9, dwell_ms=1000),))
    sessions.close(plan.session_id)
    on_screen(sessions, clock, plan.session_id, plan.reader_id)
    sessions.submit(plan.session_id, normal_form, (SeenImage(image_key="R-CC", share=0.4, dwell_ms=500),))
    assert coverage_of(store.read(plan.session_id)) == (
        SeenImage(image_key="R-CC", share=0.9, dwell_ms=1500),
    )


def test_a_protocol_without_the_rule_keeps_its_hash_and_one_with_it_comes_back_whole(study: Study) -> None:
    assert "min_coverage" not in study_to_text(study)
    strict = replace(study, scale=Scale(min_coverage=0.9))
    assert protocol_hash(strict) != protocol_hash(replace(study, scale=Scale()))
    assert study_from_text(study_to_text(strict)).scale.min_coverage == 0.9
    with pytest.raises(ValueError, match="min_coverage"):
        Scale(min_coverage=1.2)
