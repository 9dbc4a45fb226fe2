"""What the report says of itself: the sign of differences, what was left out, and designs without shared readings."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from reader_study.report.birads_columns import birads_categories
from reader_study.report.file_order import aided_first, with_first_arm
from reader_study.report.inputs import ReportInputs
from reader_study.report.lesion_places import TypedOutline, localised_of
from reader_study.report.make import make_report
from reader_study.report.page import Absent, Report, Table
from reader_study.report.sources import inputs_of_file
from reader_study.statistics.covariance import Covariance, estimates
from reader_study.statistics.froc import froc_from_rows
from reader_study.statistics.localisation import Outline
from reader_study.statistics.obuchowski_rockette import Claim
from reader_study.statistics.ratings import Floats, Ratings, StatisticsError


def _inputs(scores: Floats | None = None, arms: tuple[str, ...] = ("aided", "unaided")) -> ReportInputs:
    rng = np.random.default_rng(2)
    truth = np.r_[np.zeros(14), np.ones(12)].astype(bool)
    if scores is None:
        scores = np.round(rng.normal(size=(len(arms), 4, 26)) + truth, 1)
    ratings = Ratings(
        modalities=arms, readers=tuple(f"r{j}" for j in range(scores.shape[1])), cases=tuple(f"c{k}" for k in range(26)),
        truth=truth, scores=scores,
    )  # fmt: skip
    return ReportInputs(title="x", study_id="x", ratings=ratings, cut=0.5, exclusions=("3 readings without a rating",))  # fmt: skip


def _tables(report: Report) -> dict[str, Table]:
    return {
        part.name: part for section in report.sections for part in section.parts if isinstance(part, Table)
    }


def test_rs_s12_the_arm_that_the_log_shows_with_ai_is_the_first_of_every_difference() -> None:
    assert aided_first(("DM", "DM+AI"), {"DM+AI"}) == ("DM+AI", "DM")
    assert aided_first(("a", "b"), {"b"}) == ("b", "a")
    assert aided_first(("unaided", "aided"), set()) == ("aided", "unaided")
    assert aided_first(("alone", "with AI"), set()) == ("with AI", "alone")


def test_rs_s12_naming_the_first_arm_turns_ratings_and_marks_together_and_with_them_the_claim() -> None:
    inputs = _inputs()
    truth = [
        (c, "1" if ill else "0", 0.0)
        for c, ill in zip(inputs.ratings.cases, inputs.ratings.truth, strict=True)
    ]
    froc = froc_from_rows(truth=truth, false_positives=[("r0", "aided", "c0", 1.0)], true_positives=[], modalities=["aided", "unaided"], readers=inputs.ratings.readers)  # fmt: skip
    inputs = replace(inputs, froc=froc, claim=Claim.NON_INFERIORITY, margin=0.05)
    turned = with_first_arm(inputs, "unaided")
    assert turned.froc is not None
    assert turned.ratings.modalities == turned.froc.modalities == ("unaided", "aided")
    assert dict(turned.froc.false_positive_marks) == {(1, 0): ((0, 1.0),)}
    claims = [_tables(make_report(i))["claim"].rows[0] for i in (inputs, turned)]
    assert claims[0][1:3] == ("aided - unaided", pytest.approx(-float(str(claims[1][2]))))
    assert claims[1][1] == "unaided - aided"


def test_rs_s11_every_table_of_ratings_names_what_was_excluded_and_its_data() -> None:
    report = make_report(_inputs())
    for table in _tables(report).values():
        if table.name.startswith("checklist"):
            continue
        assert "3 readings without a rating" in table.note, table.name
        assert "data SHA-256" in table.note, table.name


def test_rs_s11_a_table_of_several_generalisations_names_the_degrees_of_freedom_of_each() -> None:
    note = _tables(make_report(_inputs()))["auc_tests"].note
    for words in ("random readers, random cases: Hillis", "fixed readers, random cases: normal / chi-square", "random readers, fixed cases: (arms - 1)(readers - 1)"):  # fmt: skip
        assert words in note


def test_rs_m4_pooled_comparisons_carry_the_warning_of_pseudo_replication() -> None:
    tables = _tables(make_report(_inputs()))
    assert "pseudo-replication" in tables["layout_a1"].note
    assert "pseudo-replication" in tables["layout_a2"].note


def test_rs_d2_readers_of_one_arm_each_keep_their_own_rows() -> None:
    scores = np.array(_inputs().ratings.scores)
    scores[0, :2] = np.nan
    scores[1, 2:] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tables = _tables(make_report(_inputs(scores)))
    rows = tables["auc_by_reader"].rows
    assert [row[1] == "–" for row in rows] == [True, True, False, False]
    assert [row[2] == "–" for row in rows] == [False, False, True, True]
    assert len(tables["binary_by_reader"].rows) == 4


@pytest.mark.parametrize("kind", ["one reader", "one arm", "equal arms", "nothing marked", "perfect"])
def test_rs_g1_a_report_of_an_odd_study_says_what_it_lacks_and_does_not_break(kind: str) -> None:
    plain = np.array(_inputs().ratings.scores)
    truth = _inputs().ratings.truth
    scores = {
        "one reader": plain[:, :1],
        "one arm": plain[:1],
        "equal arms": np.tile(plain[:1], (2, 1, 1)),
        "nothing marked": np.full_like(plain, -np.inf),
        "perfect": np.tile(truth.astype(float), (2, 3, 1)),
    }[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inputs = replace(_inputs(scores.copy(), ("aided", "unaided")[: len(scores)]), claim=Claim.SUPERIORITY)
        report = make_report(inputs)
    absent = [part for section in report.sections for part in section.parts if isinstance(part, Absent)]
    assert all(part.why for part in absent)
    methods = next(s for s in report.sections if s.title == "Statistical methods").words
    if kind == "one reader":
        assert any("for this reader only" in sentence for sentence in methods)
    if kind == "one arm":
        assert any("nothing to compare it with" in sentence for sentence in methods)


def test_rs_s9_a_woman_with_birads_0_in_one_breast_has_no_category_and_is_counted() -> None:
    row = {"reader_id": "r", "arm_id": "a", "birads_R": "2", "birads_L": "4A"}
    found, left_out = birads_categories([{**row, "case_id": "1"}, {**row, "case_id": "2", "birads_R": "0"}])
    assert found == {"r": {"a": {"1": "4A"}}}
    assert left_out == ("1 reading of BI-RADS 0, from agreement of categories only",)


def _lesion(case: str, *, malignant: bool = True, known: bool = True) -> TypedOutline:
    outline = Outline(case=case, lesion="1", view="R-CC", box=(0, 0, 9, 9), spacing_mm=(0.07, 0.07))
    return TypedOutline(outline=outline, finding="mass", malignant=malignant, spacing_known=known)


def test_rs_l2_a_cancer_without_a_place_is_not_scored_as_a_case_without_disease() -> None:
    found, why = localised_of([], [_lesion("1")], {"1": True, "2": True, "3": False}, {"1", "2", "3"}, None)
    assert found is None
    assert "first: 2" in why[0]


def test_rs_l2_benign_lesions_are_no_targets_and_a_spacing_is_measured_or_refused() -> None:
    mark = {"reader_id": "r", "arm_id": "a", "case_id": "1", "image_key": "R-CC", "row": "10", "col": "20", "suspicion": "50"}  # fmt: skip
    truth = {"1": True, "2": False}
    lesions = [_lesion("1", known=False), _lesion("2", malignant=False)]
    assert localised_of([mark], lesions, truth, {"1", "2"}, None)[0] is None
    found, why = localised_of([{**mark, "row_mm": "1", "col_mm": "2"}], lesions, truth, {"1", "2"}, None)
    assert found is not None
    assert why == ()
    assert [(o.case, o.spacing_mm) for o in found.outlines] == [("1", (0.1, 0.1))]


def test_rs_s11_breasts_of_one_woman_are_one_unit_of_the_jackknife(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows = ["reader,treatment,case,truth,rating"]
    for reader, arm, woman, side in product("xy", "ab", range(12), "RL"):
        ill = int(woman % 3 == 0 and side == "L")
        rows.append(f"{reader},{arm},w{woman}:{side},{ill},{rng.normal() + ill:.2f}")
    (tmp_path / "breasts.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    inputs = inputs_of_file(tmp_path / "breasts.csv")
    assert "resampled together" in inputs.unit
    assert estimates(inputs.ratings).case_count == 12
    with pytest.raises(StatisticsError, match="independent cases"):
        estimates(inputs.ratings, covariance=Covariance.DELONG)
