"""Readers and cases of an export, the AI's scores by finding type, and what the report makes of them."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest

from reader_study.domain.truth import TrueLesion, Truth
from reader_study.exchange_export import export_study
from reader_study.export import export_tidy
from reader_study.ports import MemoryEventStore
from reader_study.report.export_tables import case_facts, front_model, standalone_by_type, standalone_scores
from reader_study.report.lesion_places import TypedOutline
from reader_study.report.sources import StudyTruth, inputs_of_export
from reader_study.roster_tables import diameter_mm
from reader_study.sessions import Sessions
from reader_study.statistics.localisation import Outline
from resources.vocabulary import Density, FindingType, Laterality, Pathology


def _rows(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _lesion(**changes):
    known = {"lesion_id": "1", "image_key": "R-CC", "row": 100.0, "col": 80.0, "finding": FindingType.MASS, "malignant": True}  # fmt: skip
    return TrueLesion(**{**known, **changes})


def _truth(case_id, *lesions):
    right = Pathology.MALIGNANT if lesions else Pathology.NORMAL
    return Truth(case_id=case_id, breasts={Laterality.RIGHT: right, Laterality.LEFT: Pathology.NORMAL}, lesions=lesions)  # fmt: skip


def test_rs_x1_readers_are_exported_with_group_and_qualification_and_without_their_names(
    make_study, tmp_path
):
    study = make_study(n_cases=2)
    one = replace(study.readers[0], name="Dr. Ada Nym", group="junior", experience_years=7, qualification="board certified", exams_a_year=5000)  # fmt: skip
    study = replace(study, readers=(one, *study.readers[1:]))
    export_tidy(study, MemoryEventStore(), tmp_path)
    row = next(r for r in _rows(tmp_path / "readers.csv") if r["reader_id"] == one.reader_id)
    assert row == {"study_id": study.study_id, "reader_id": one.reader_id, "group": "junior", "experience_years": "7",
                   "qualification": "board certified", "exams_a_year": "5000"}  # fmt: skip
    assert not [path.name for path in tmp_path.iterdir() if "Nym" in path.read_text(encoding="utf-8")]
    described = {(r["table"], r["column"]) for r in _rows(tmp_path / "data_dictionary.csv")}
    assert {("readers", name) for name in row} <= described
    assert ("cases", "size_mm") in described


def test_rs_x1_cases_are_exported_with_manufacturer_and_density_and_the_truths_density_first(
    make_study, tmp_path
):
    study = make_study(n_cases=3)
    first, second, third = study.cases
    cases = (replace(first, manufacturer="HOLOGIC, Inc.", density="b"), replace(second, density="d"), third)
    truth = {first.case_id: replace(_truth(first.case_id), density=Density.HETEROGENEOUS)}
    export_study(replace(study, cases=cases), MemoryEventStore(), tmp_path, truth=truth)
    found = [(row["manufacturer"], row["density"]) for row in _rows(tmp_path / "cases.csv")]
    assert found == [("HOLOGIC, Inc.", "c"), ("", "d"), ("", "")]
    described = {(r["table"], r["column"]) for r in _rows(tmp_path / "data_dictionary.csv")}
    assert {("cases", "manufacturer"), ("cases", "density")} <= described


def test_rs_x1_cases_are_exported_with_age_stratum_and_what_the_truth_knows(make_study, tmp_path):
    study = make_study(n_cases=2)
    first = replace(study.cases[0], stratum="dense", age_years=61)
    study = replace(study, cases=(first, *study.cases[1:]))
    square = ((100.0, 80.0), (100.0, 110.0), (140.0, 110.0), (140.0, 80.0))  # 40 rows by 30 columns of 0.1 mm
    truth = {first.case_id: _truth(first.case_id, _lesion(contour=square, spacing_mm=(0.1, 0.1)), _lesion(lesion_id="2", finding=FindingType.CALCIFICATION, radius_mm=1.5)),
             study.cases[1].case_id: _truth(study.cases[1].case_id)}  # fmt: skip
    export_study(study, MemoryEventStore(), tmp_path / "with", truth=truth)
    ill, well = _rows(tmp_path / "with" / "cases.csv")
    assert (ill["stratum"], ill["age"], ill["malignant"], ill["lesion_type"]) == ("dense", "61", "1", "calcification+mass")  # fmt: skip
    assert (ill["n_lesions"], float(ill["size_mm"])) == ("2", 5.0)  # the diagonal of 4 by 3 mm
    assert (well["malignant"], well["n_lesions"], well["size_mm"]) == ("0", "0", "")
    export_study(study, MemoryEventStore(), tmp_path / "without")
    blind = _rows(tmp_path / "without" / "cases.csv")
    assert {(r["malignant"], r["lesion_type"], r["n_lesions"], r["size_mm"]) for r in blind} == {
        ("", "", "", "")
    }


def test_the_size_of_a_lesion_is_its_longest_diameter_and_unknown_without_spacing():
    assert diameter_mm(_lesion(radius_mm=4.0)) == 8.0
    assert diameter_mm(_lesion(contour=((0.0, 0.0), (0.0, 10.0)), spacing_mm=(1.0, 0.2))) == pytest.approx(
        2.0
    )
    assert diameter_mm(_lesion(contour=((0.0, 0.0), (0.0, 10.0)))) is None


def test_a_truth_table_goes_before_the_cases_of_the_export_and_practice_cases_stay_out():
    rows = [{"case_id": "a", "age": "50", "practice": "0", "exam_digest": "x", "stratum": ""}, {"case_id": "p", "age": "40", "practice": "1"}]  # fmt: skip
    assert case_facts(rows, {"a": {"age": "51", "density": "C"}}) == {"a": {"age": "51", "density": "C"}}
    assert case_facts(rows, {}) == {"a": {"age": "50"}}


def test_a_case_without_a_detection_of_a_type_scores_0_and_a_model_without_types_has_none():
    rows = [
        {"case_id": "a", "score_of": "exam", "score": "0.7"}, {"case_id": "a", "score_of": "finding:mass", "score": "0.9"},
        {"case_id": "a", "score_of": "finding:mass", "score": "0.4"}, {"case_id": "b", "score_of": "breast:L", "score": "0.2"},
    ]  # fmt: skip
    assert standalone_by_type(rows) == {"mass": {"a": 0.9, "b": 0.0}}
    assert standalone_scores(rows) == {"a": 0.7, "b": 0.2}  # a type's score is no score of the exam
    assert standalone_by_type(rows[:1]) == {}


def test_the_ai_alone_is_one_model_where_several_answered():
    def row(case: str, model: str, score: str) -> dict[str, str]:
        words = f"device=cpu; model_id={model}; version=1"
        return {"session_id": "s", "case_id": case, "model": words, "score_of": "exam", "score": score}

    rows = [row("a", "one", "0.2"), row("a", "two", "0.9"), row("b", "two", "0.8"), row("c", "one", "0.4"), row("c", "two", "0.7")]  # fmt: skip
    kept, left_out = front_model(rows)
    assert standalone_scores(kept) == {"a": 0.2, "c": 0.4}  # b: the model in front gave no answer
    assert left_out == ("scores of the model two: the AI alone is one",)
    assert front_model(rows[:1]) == (rows[:1], ())


def test_ai_scores_by_finding_type_go_from_the_log_to_the_report(
    make_study, clock, show, normal_form, tmp_path
):
    study, store = make_study(n_cases=2), MemoryEventStore()
    sessions = Sessions(study=study, store=store, clock=clock)
    plan = next(p for p in study.plans if p.period == 1 and p.reader_id == "r1")
    boxes = [{"image_key": "R-CC", "box": [0, 0, 9, 9], "score": s, "type": t} for s, t in ((0.3, "mass"), (0.8, "mass"), (0.6, None))]  # fmt: skip
    sessions.open(plan.session_id, "r1", {})
    first = plan.entries[0].case_id
    for number, entry in enumerate(plan.entries):
        show(sessions, plan.session_id, clock)
        if study.arm(entry.arm_id).ai.shown:
            found = boxes if number == 0 else boxes[2:]
            sessions.ai_result_recorded(plan.session_id, {"exam": 0.5}, {"model_id": "m"}, found)
        sessions.submit(plan.session_id, normal_form)
    export_tidy(study, store, tmp_path)
    rows = _rows(tmp_path / "ai_scores.csv")
    assert rows, json.dumps([entry.arm_id for entry in plan.entries])
    by_type = [(r["case_id"], r["score_of"], float(r["score"])) for r in rows if r["score_of"].startswith("finding:")]  # fmt: skip
    assert by_type == [(first, "finding:mass", 0.8)]
    box = Outline(case=first, lesion="1", view="R-CC", box=(0, 0, 9, 9), spacing_mm=(0.1, 0.1))
    truth = StudyTruth(malignant={c.case_id: c.case_id == first for c in study.cases}, lesions=(TypedOutline(outline=box, finding="mass"),))  # fmt: skip
    found = inputs_of_export(tmp_path, truth)
    assert found.by_type["mass"].standalone[first] == 0.8
