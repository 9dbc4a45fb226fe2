"""The five designs: who reads what in which arm, sequential answers, and both published studies end to end."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reader_study.case_steps import Stage
from reader_study.clock import ManualClock
from reader_study.domain.conduct import Conduct, Design, Navigation
from reader_study.domain.events import EventKind
from reader_study.domain.study import Case
from reader_study.domain.truth import TrueLesion, Truth
from reader_study.errors import IllegalTransition, StudyError
from reader_study.exchange.delimited import read_imrmc, read_long_csv, with_case_names
from reader_study.exchange.files import read_observer_data
from reader_study.exchange_export import export_study
from reader_study.observers import Rating, froc_observer_data, locked_answers, roc_observer_data
from reader_study.ports import MemoryEventStore
from reader_study.protocol_file import drawn, read_protocol
from reader_study.randomization import generator
from reader_study.sessions import Sessions
from reader_study.simulation import ImageFrame, SimulatedReader, read_session
from reader_study.tables import build_tables
from resources.files import resource_path
from resources.vocabulary import FindingType, Laterality, Pathology

FRAMES = tuple(
    ImageFrame(image_key=key, source_id=f"1.2.{key}", rows=3000, cols=2400, spacing_mm=(0.07, 0.07))
    for key in ("R-CC", "L-CC", "R-MLO", "L-MLO")
)


def of_design(study, design, **more):
    changed = replace(study, design=design, plans=(), **more)
    return replace(changed, plans=drawn(changed))


def truth_of(study, share=0.5):
    """Half of the cases have one malignant lesion in the right breast, of the four types in turn."""
    types = (FindingType.MASS, FindingType.CALCIFICATION, FindingType.ASYMMETRY, FindingType.DISTORTION)
    truths = {}
    for number, case in enumerate(study.cases):
        ill = number % 2 == 0
        lesions = tuple(
            TrueLesion(lesion_id="1", image_key=key, row=900.0, col=700.0, finding=types[number % 8 // 2], malignant=True)
            for key in ("R-CC", "R-MLO")
        )  # fmt: skip
        breasts = {
            Laterality.RIGHT: Pathology.MALIGNANT if ill else Pathology.NORMAL,
            Laterality.LEFT: Pathology.NORMAL,
        }
        truths[case.case_id] = Truth(case_id=case.case_id, breasts=breasts, lesions=lesions if ill else ())
    return truths


def read_all(study, truth, store=None, clock=None, periods=None, skill=1.6):
    """Every reader reads every period; between periods the washout passes."""
    store, clock = store or MemoryEventStore(), clock or ManualClock()
    sessions = Sessions(study=study, store=store, clock=clock)

    def ai(position):
        rng = generator(study.seed, position.case_id, "ai")
        ill = truth[position.case_id].malignant
        score = 1 / (1 + np.exp(-(2.0 * (1 if ill else -1) + rng.standard_normal())))
        return {Laterality.RIGHT: float(score), Laterality.LEFT: 0.1}

    for period in sorted({plan.period for plan in study.plans}) if periods is None else periods:
        for plan in study.plans:
            if plan.period == period:
                rng = generator(study.seed, plan.reader_id, period, "simulated")
                read_session(
                    sessions, plan.session_id, plan.reader_id, reader=SimulatedReader(rng, skill=skill), clock=clock,
                    scale=study.scale, images=lambda _p: FRAMES, truth=truth, ai=ai,
                )  # fmt: skip
        clock.advance((study.washout_days + 1) * 86_400)
    sessions.shutdown()
    return store


def test_rs_d2_fixed_sequence_reads_all_unaided_then_all_aided(make_study):
    study = of_design(make_study(n_cases=9), Design.FIXED_SEQUENCE)
    for reader in study.readers:
        first, second = study.plans_of(reader.reader_id)
        assert {entry.arm_id for entry in first.entries} == {"unaided"}
        assert {entry.arm_id for entry in second.entries} == {"aided"}
        orders = [[entry.case_id for entry in plan.entries] for plan in (first, second)]
        assert sorted(orders[0]) == sorted(orders[1]) == [case.case_id for case in study.cases]
        assert orders[0] != orders[1]


def test_rs_d2_split_plot_gives_each_block_of_readers_its_own_cases(make_study):
    study = of_design(make_study(n_cases=12, n_readers=6), Design.SPLIT_PLOT, blocks=3)
    blocks = Counter()
    for reader in study.readers:
        plans = study.plans_of(reader.reader_id)
        assert len(plans) == 2
        seen = [frozenset(entry.case_id for entry in plan.entries) for plan in plans]
        assert seen[0] == seen[1]
        blocks[seen[0]] += 1
        arms = {(e.case_id, e.arm_id) for plan in plans for e in plan.entries}
        assert len(arms) == 8, "every case of the block once in each arm"
    assert sorted(blocks.values()) == [2, 2, 2]
    assert sorted(case for block in blocks for case in block) == [case.case_id for case in study.cases]


def test_rs_d2_split_plot_deals_strata_evenly_over_blocks(make_study):
    base = make_study(n_cases=12, n_readers=2)
    cases = tuple(replace(case, stratum="a" if i % 3 else "b") for i, case in enumerate(base.cases))
    study = of_design(replace(base, cases=cases, plans=()), Design.SPLIT_PLOT, blocks=2)
    stratum = {case.case_id: case.stratum for case in cases}
    for plan in study.plans:
        assert Counter(stratum[entry.case_id] for entry in plan.entries) == {"a": 4, "b": 2}


@pytest.mark.parametrize(("design", "blocks"), [("crossover", 2), ("split_plot", 1), ("split_plot", 3)])
def test_rs_d2_blocks_that_do_not_fit_the_design_are_refused(make_study, design, blocks):
    with pytest.raises(StudyError, match=r"blocks.*correct the protocol"):
        of_design(make_study(n_readers=2), Design(design), blocks=blocks)


def test_rs_d2_a_sequential_design_needs_an_unaided_and_an_aided_arm(make_study):
    study = make_study()
    with pytest.raises(StudyError, match="sequential design"):
        of_design(replace(study, arms=study.arms[::-1], plans=()), Design.SEQUENTIAL)


@pytest.fixture
def sequential(make_study):
    return of_design(make_study(n_cases=3, n_readers=1), Design.SEQUENTIAL)


def test_rs_c4_the_ai_comes_only_after_the_provisional_answer_is_locked(
    sequential, clock, show, normal_form, mark
):
    store = MemoryEventStore()
    sessions = Sessions(study=sequential, store=store, clock=clock)
    position = sessions.open("ST.r1.p1", "r1", {})
    assert (position.stage, position.arm.arm_id) == (Stage.PROVISIONAL, "unaided")
    show(sessions, "ST.r1.p1", clock)
    for step in (
        lambda: sessions.ai_result_recorded("ST.r1.p1", {"exam": 0.9}, {"model_id": "m"}),
        lambda: sessions.ai_revealed("ST.r1.p1", "boxes", {}),
    ):
        with pytest.raises(IllegalTransition, match="without AI"):
            step()
    clock.advance(30)
    after = sessions.submit("ST.r1.p1", normal_form)
    assert (after.case_id, after.stage, after.arm.arm_id) == (position.case_id, Stage.FINAL, "aided")
    assert after.reading.draft == normal_form
    sessions.ai_result_recorded("ST.r1.p1", {"exam": 0.9}, {"model_id": "m"})
    sessions.ai_revealed("ST.r1.p1", "boxes", {"n": 1})
    sessions.add_mark("ST.r1.p1", mark())
    clock.advance(12)
    changed = replace(
        normal_form, breasts=(replace(normal_form.breasts[0], suspicion=40), normal_form.breasts[1])
    )
    following = sessions.submit("ST.r1.p1", changed)
    assert following.case_id != position.case_id
    assert following.stage is Stage.PROVISIONAL
    tables = {table.name: table for table in build_tables(sequential, store)}

    def column(table, name):
        at = [one.name for one in tables[table].columns].index(name)
        return [row[at] for row in tables[table].rows]

    assert column("readings", "stage") == ["provisional", "final"]
    assert column("readings", "arm_id") == ["unaided", "aided"]
    assert column("readings", "suspicion_R") == [4, 40]
    assert column("readings", "n_findings") == [0, 1]
    first, last = column("readings", "locked_utc")
    assert first < last
    assert column("times", "raw_s") == [30.0, 42.0]
    assert column("times", "after_provisional_s") == [None, 12.0]
    assert column("findings", "in_provisional") == [False]
    assert column("exposure", "layer") == ["boxes"]
    assert column("exposure", "seconds") == [12.0]


def test_rs_c4_a_crash_between_the_answers_keeps_the_provisional_one(sequential, clock, show, normal_form):
    store = MemoryEventStore()
    first = Sessions(study=sequential, store=store, clock=clock)
    first.open("ST.r1.p1", "r1", {})
    show(first, "ST.r1.p1", clock)
    first.submit("ST.r1.p1", normal_form)
    clock.restart("boot-2")
    second = Sessions(study=sequential, store=store, clock=clock)
    position = second.open("ST.r1.p1", "r1", {})
    assert position.stage is Stage.FINAL
    assert position.reading.provisional == normal_form
    show(second, "ST.r1.p1", clock)
    assert second.submit("ST.r1.p1", normal_form).index == 1
    kinds = [event.kind for event in store.read("ST.r1.p1")]
    assert kinds.count(EventKind.PROVISIONAL_SUBMITTED) == 1


def test_rs_c4_both_answers_of_a_sequential_study_become_two_modalities(make_study):
    study = of_design(make_study(n_cases=8, n_readers=2), Design.SEQUENTIAL)
    truth = truth_of(study)
    data = roc_observer_data(study, tuple(locked_answers(study, read_all(study, truth))), truth)
    assert data.modalities == ("aided", "unaided")
    assert len(data.reads) == 2 * 2 * 8


def test_rs_r4_a_locked_answer_changes_only_where_the_protocol_lets_readers_look_back(
    make_study, clock, show, normal_form
):
    changed = replace(normal_form, recall=True, breasts=(replace(normal_form.breasts[0], birads="4A"),))
    for navigation in Navigation:
        study = replace(make_study(n_cases=2), conduct=Conduct(navigation=navigation))
        store = MemoryEventStore()
        sessions = Sessions(study=study, store=store, clock=clock)
        case_id = sessions.open("ST.r1.p1", "r1", {}).case_id
        show(sessions, "ST.r1.p1", clock)
        sessions.submit("ST.r1.p1", normal_form)
        if navigation is Navigation.FORWARD:
            with pytest.raises(IllegalTransition, match="look-back"):
                sessions.amend("ST.r1.p1", case_id, changed, reason="slip")
            continue
        with pytest.raises(StudyError, match="reason"):
            sessions.amend("ST.r1.p1", case_id, changed, reason=" ")
        sessions.amend("ST.r1.p1", case_id, changed, reason="wrong side")
        body = store.read("ST.r1.p1")[-1].body
        assert (body["old"]["recall"], body["assessment"]["recall"]) == (False, True)
        show(sessions, "ST.r1.p1", clock)
        sessions.submit("ST.r1.p1", normal_form)
        sessions.sign("ST.r1.p1", signed_by="r1", name="Reader One", meaning="These are my readings.")
        with pytest.raises(IllegalTransition, match="unsigned"):
            sessions.amend("ST.r1.p1", case_id, normal_form, reason="again")


def _rows(path: Path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_four_view_study_runs_from_its_protocol_to_every_exchange_file(tmp_path):
    study = read_protocol(resource_path("study_protocols", "four_view_crossover.yaml"))
    assert Counter(reader.group for reader in study.readers) == {"senior": 2, "junior": 2}
    assert sum(not case.practice for case in study.cases) == 220
    truth = truth_of(study)
    store = read_all(study, truth)
    report = export_study(study, store, tmp_path / "out", truth=truth)
    assert report.left_out == ()
    readings = _rows(tmp_path / "out" / "readings.csv")
    assert len(readings) == 4 * 220 * 2
    assert {row["period"] for row in readings} == {"1", "2"}, "practice is not analysed"
    washout = _rows(tmp_path / "out" / "washout.csv")
    assert len(washout) == 4 * 220
    assert min(float(row["interval_days"]) for row in washout) >= 21
    mrmc = tmp_path / "out" / "mrmc"
    roc = roc_observer_data(study, tuple(locked_answers(study, store)), truth)
    assert (
        with_case_names(read_imrmc(mrmc / "roc_suspicion.imrmc"), mrmc / "roc_suspicion.imrmc.key.csv") == roc
    )
    assert read_long_csv(mrmc / "roc_suspicion_mrmcaov.csv") == roc
    assert read_observer_data(mrmc / "roc_suspicion.lrc").ratings().scores.shape == roc.ratings().scores.shape
    assert read_observer_data(mrmc / "roc_birads_rjafroc.xlsx").reads
    froc = read_observer_data(mrmc / "froc_rjafroc.xlsx").froc()
    assert froc.readers == ("junior1", "junior2", "senior1", "senior2")


def test_the_contrast_study_reads_all_unaided_then_all_aided_two_months_later(tmp_path):
    study = read_protocol(resource_path("study_protocols", "contrast_fixed_sequence.yaml"))
    assert (study.design, study.washout_days, len(study.readers)) == (Design.FIXED_SEQUENCE, 60.0, 2)
    assert study.disclosure.patient == ("age", "history")
    aided = study.arm("aided").ai
    assert (aided.allows("score"), aided.allows("boxes"), aided.allows("heatmap")) == (True, False, False)
    truth = truth_of(study)
    store = read_all(study, truth)
    answers = tuple(locked_answers(study, store))
    assert len(answers) == 2 * 100 * 2
    assert all(one.assessment.call is not None for one in answers)
    calls = roc_observer_data(study, answers, truth, rating=Rating.CALL)
    assert {mark.rating for mark in calls.marks} == {0.0, 1.0}
    exported = export_study(study, store, tmp_path / "out", truth=truth)
    assert exported.left_out == ()
    rows = _rows(tmp_path / "out" / "readings.csv")
    assert {(row["period"], row["arm_id"]) for row in rows} == {("1", "unaided"), ("2", "aided")}
    exposed = _rows(tmp_path / "out" / "exposure.csv")
    assert {row["layer"] for row in exposed} == {"score"}
    assert {row["arm_id"] for row in exposed} == {"aided"}


def test_rs_s8_bi_rads_0_has_no_place_in_an_order_and_is_refused_as_a_rating(
    make_study, clock, show, normal_form
):
    study = make_study(n_cases=2)
    study = replace(study, scale=replace(study.scale, birads=("0", "1", "2", "4A"), match_recall=False))
    store = MemoryEventStore()
    sessions = Sessions(study=study, store=store, clock=clock)
    sessions.open("ST.r1.p1", "r1", {})
    show(sessions, "ST.r1.p1", clock)
    form = replace(normal_form, breasts=(replace(normal_form.breasts[0], birads="0"),))
    sessions.submit("ST.r1.p1", form)
    answers = tuple(locked_answers(study, store))
    with pytest.raises(StudyError, match="no place in an order"):
        roc_observer_data(study, answers, truth_of(study), rating=Rating.BIRADS)
    with pytest.raises(StudyError, match=r"Truth: expected it for every case read"):
        roc_observer_data(study, answers, {})


def test_rs_l2_marks_are_scored_by_the_radius_of_the_protocol(make_study, clock, show, normal_form, mark):
    study = make_study(n_cases=2)
    study = replace(study, localisation=replace(study.localisation, radius_mm=10.0))
    store = MemoryEventStore()
    sessions = Sessions(study=study, store=store, clock=clock)
    position = sessions.open("ST.r1.p1", "r1", {})
    show(sessions, "ST.r1.p1", clock)
    sessions.add_mark("ST.r1.p1", mark("near", row=100.5))  # 0.07 mm a pixel: 142 px are 9.94 mm
    sessions.add_mark("ST.r1.p1", mark("far", row=500.0, suspicion=30))
    sessions.submit("ST.r1.p1", normal_form)
    lesion = TrueLesion(
        lesion_id="A", image_key="R-CC", row=242.5, col=200.25, finding=FindingType.MASS, malignant=True
    )
    sides = {Laterality.RIGHT: Pathology.MALIGNANT, Laterality.LEFT: Pathology.NORMAL}
    truth = {position.case_id: Truth(case_id=position.case_id, breasts=sides, lesions=(lesion,))}
    answers = tuple(locked_answers(study, store))
    found = {(m.lesion_id, m.rating) for m in froc_observer_data(study, answers, truth).marks}
    assert found == {("A", 70.0), ("", 30.0)}
    closer = replace(study.localisation, radius_mm=9.9)
    missed = {(m.lesion_id, m.rating) for m in froc_observer_data(study, answers, truth, rule=closer).marks}
    assert missed == {("", 70.0), ("", 30.0)}


def test_rs_t1_practice_cases_are_in_no_exchange_file(make_study):
    base = make_study(n_cases=4, practice=2)
    truth = truth_of(base)
    answers = tuple(locked_answers(base, read_all(base, truth)))
    assert {one.case_id for one in answers} == {case.case_id for case in base.cases if not case.practice}
    assert isinstance(base.cases[-1], Case)
