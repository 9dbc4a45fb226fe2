"""Every section of the report: its numbers are those of the statistics functions, its words are true of the data."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest

from reader_study.report import error_section, methods_section, paper_tables, subgroup_section
from reader_study.report.ai_section import AI_NAME, ai_scores, with_ai
from reader_study.report.analysis import Choice
from reader_study.report.inputs import Localised, ReportInputs, TypeRatings
from reader_study.report.lesion_places import TypedOutline
from reader_study.report.make import make_report
from reader_study.report.page import Absent, Figure, Link, Table, p_shown, to_html, write
from reader_study.report.sources import StudyTruth, inputs_of_export
from reader_study.statistics.agreement import cohen_kappa, confusion
from reader_study.statistics.bootstrap import bootstrap
from reader_study.statistics.covariance import estimates
from reader_study.statistics.delong import auc_interval, paired_test, unpaired_test
from reader_study.statistics.localisation import Mark, Outline, Rule, froc_data
from reader_study.statistics.obuchowski_rockette import Claim, Generalise, analyse, claim_test
from reader_study.statistics.proportions import binary_metrics, mcnemar
from reader_study.statistics.roe_metz import Accuracy, Structure, simulated_ratings, standard_model
from reader_study.statistics.standalone import ai_against_readers
from reader_study.statistics.time_models import fit_log_times
from reader_study.statistics.times import ReadTimes, Unit, compare_arms
from resources.files import read_json, resource_path


def ratings(readers=4, seed=3, positives=40, negatives=40):
    """A Roe-Metz study with two arms named as a reader study names them."""
    from dataclasses import replace

    model = standard_model(Structure.HH, Accuracy.MIDDLE, shift=-0.4)
    made = simulated_ratings(model, np.random.default_rng(seed), readers=readers, positives=positives, negatives=negatives)  # fmt: skip
    return replace(made, modalities=("aided", "unaided"))


@pytest.fixture(scope="module")
def study() -> ReportInputs:
    """Two senior and two junior readers, 80 cases, AI, times, strata, finding types: the shape of both papers."""
    data = ratings()
    rng = np.random.default_rng(9)
    keys = [(r, c, a) for r in data.readers for c in data.cases for a in data.modalities]
    seconds = np.array([np.exp(rng.normal(5.5 + (r in data.readers[2:]) * 0.6 - 0.2 * (a == "aided"), 0.3)) for r, _, a in keys])  # fmt: skip
    groups = {r: ("senior" if k < 2 else "junior") for k, r in enumerate(data.readers)}
    times = ReadTimes(
        readers=tuple(k[0] for k in keys), cases=tuple(k[1] for k in keys), arms=tuple(k[2] for k in keys), seconds=seconds,
        flagged=rng.random(len(keys)) < 0.05, periods=np.array([1 + (int(c.split()[1]) % 2 == (a == "aided")) for _, c, a in keys]),
        positions=np.array([1 + k % 40 for k in range(len(keys))]), groups=groups,
    )  # fmt: skip
    ai = {c: float(np.round(rng.normal(1.5 * t, 1), 3)) for c, t in zip(data.cases, data.truth, strict=True)}
    types = {}
    for name, part in (("mass", 3), ("calcification", 2)):
        truth = data.truth & (np.arange(len(data.cases)) % part == 0)
        from dataclasses import replace

        marked = ((data.scores > 1.0) & (rng.random(data.scores.shape) < np.where(truth, 0.95, 0.15))).astype(float)  # fmt: skip
        types[name] = TypeRatings(ratings=replace(data, truth=truth, scores=marked), standalone=ai)
    return ReportInputs(
        title="T", study_id="T", ratings=data, cut=1.0, times=times, opened_times=times, groups=groups, standalone=ai,
        strata={"density": {c: "abcd"[k // 2 % 4] for k, c in enumerate(data.cases)}, "manufacturer": {c: "GH"[k // 3 % 2] for k, c in enumerate(data.cases)}},
        case_numbers={"age": {c: 40.0 + k % 31 for k, c in enumerate(data.cases)}, "size_mm": {c: 5.0 + k % 37 for k, (c, t) in enumerate(zip(data.cases, data.truth, strict=True)) if t}},
        order={(r, a, c): (1 + (k % 2 == (a == "aided")), 1 + k % 40) for r in data.readers for a in data.modalities for k, c in enumerate(data.cases)},
        by_type=types, claim=Claim.NON_INFERIORITY, margin=0.05, bootstrap=100,
    )  # fmt: skip


@pytest.fixture(scope="module")
def report(study):
    return make_report(study, Choice(cut=study.cut))


@pytest.fixture(scope="module")
def tables(report) -> dict[str, Table]:
    return {p.name: p for s in report.sections for p in s.parts if isinstance(p, Table)}


def column(table: Table, name: str) -> list:
    return [row[table.head.index(name)] for row in table.rows]


def test_rs_g1_nothing_that_the_data_allow_is_absent(report):
    absent = {p.title for s in report.sections for p in s.parts if isinstance(p, Absent)}
    assert absent == {"wAFROC", "Kappa"}, "marks and categories were not handed in"


def test_rs_s11_every_table_says_on_which_data_and_by_which_software(tables, study):
    for name, table in tables.items():
        assert re.search(r"data SHA-256 [0-9a-f]{64}", table.note), name
        assert "scipy" in table.note, name
    assert study.ratings.digest() in tables["cases"].note


def test_rs_s3_the_primary_tests_are_the_statistics_functions(tables, study):
    for generalise in Generalise:
        want = analyse(estimates(study.ratings), generalise)
        row = next(r for r in tables["primary_tests"].rows if r[0] == generalise.value)
        assert row[2] == pytest.approx(want.test.statistic, rel=1e-12)
        assert row[5] == p_shown(want.test.p_value)
        gap = next(r for r in tables["primary_differences"].rows if r[0] == generalise.value)
        assert gap[2] == pytest.approx(want.differences[0].estimate)


def test_rs_s12_the_claim_is_that_of_claim_test(tables, study):
    want = claim_test(analyse(estimates(study.ratings)).differences[0], Claim.NON_INFERIORITY, margin=0.05)
    row = tables["claim"].rows[0]
    assert (row[3], row[4], row[6]) == (
        pytest.approx(want.bound),
        -0.05,
        "shown" if want.shown else "not shown",
    )


def test_rs_s14_the_ai_row_is_the_one_modality_analysis(tables, study):
    found = ai_against_readers(estimates(with_ai(study, ai_scores(study), 1)), AI_NAME)
    row = next(r for r in tables["ai_against_readers"].rows if r[:2] == ("unaided", "AUC"))
    assert row[4] == pytest.approx(found.ai_value)
    assert row[5] == pytest.approx(found.difference.estimate)
    assert row[9] == p_shown(found.difference.p_value)


def test_strata_are_the_analysis_of_their_cases_and_sizes_share_the_healthy(tables, study):
    data = study.ratings
    keep = np.array([study.strata["density"][c] == "b" for c in data.cases])
    want = analyse(estimates(subgroup_section.of_cases(data, keep)))
    row = next(r for r in tables["strata"].rows if r[:2] == ("density", "b"))
    assert row[4] == f"{want.means[0].estimate:.3f} ({want.means[0].lower:.3f}–{want.means[0].upper:.3f})"
    assert row[7] == p_shown(want.differences[0].p_value)
    small = next(r for r in tables["strata"].rows if r[0] == "size_mm")
    assert small[3] == int((~data.truth).sum())
    assert {r[1] for r in tables["strata"].rows if r[0] == "age"} == {"< 50", ">= 50"}


def test_rs_s10_p_values_of_the_strata_are_adjusted_and_never_smaller(tables):
    raw, adjusted = (
        [float(p) if p not in ("–", "<.0001") else None for p in column(tables["strata"], name)]
        for name in ("p", "p (Holm)")
    )
    assert all(a >= p for p, a in zip(raw, adjusted, strict=True) if p is not None and a is not None)


def test_rs_r6_period_and_place_are_in_the_regression_and_in_the_time_model(tables, study):
    assert {"second period", "per 10 places in the session"} <= set(column(tables["gee"], "feature"))
    want = fit_log_times(study.times, reference="unaided", design_effects=True)
    assert column(tables["times_effects"], "ratio of times") == [pytest.approx(r.ratio) for r in want.ratios]


def test_rs_m3_times_are_given_with_and_without_flagged_reads(tables, study):
    for name, flagged in (("times_comparison", True), ("times_comparison_unflagged", False)):
        used = study.times if flagged else study.times.unflagged()
        want = compare_arms(used, "aided", "unaided", unit=Unit.CASE)
        row = next(r for r in tables[name].rows if r[0] == "all readers" and r[1] == Unit.CASE.value)
        assert row[5] == pytest.approx(want.test.estimate)
    assert len(tables["times_model"].rows) == 4


def test_rs_m4_few_readers_are_told_how_small_p_can_be(report):
    words = next(s for s in report.sections if s.title == "Reading times").words
    assert any("senior: with 2 readers" in w and "p = 0.5" in w for w in words)


def test_bootstrap_has_a_fixed_seed_and_stands_beside_the_formula(tables, study):
    again = bootstrap(study.ratings, np.random.default_rng(20_210), replicates=100)
    assert tables["bootstrap"].rows[0][2] == pytest.approx(again.error)


# ---- errors (RS-G3)


def test_rs_g3_wrong_calls_are_listed_by_case_reader_and_arm(tables, study):
    data, cut = study.ratings, study.cut
    for name, ill in (("false_negatives", True), ("false_positives", False)):
        wrong = (data.scores < cut) if ill else (data.scores >= cut)
        want = {c for k, c in enumerate(data.cases) if data.truth[k] == ill and wrong[:, :, k].any()}
        assert set(column(tables[name], "case")) == want
        first = tables[name].rows[0]
        k = data.cases.index(first[0])
        assert first[2] == ", ".join(r for j, r in enumerate(data.readers) if wrong[0, j, k]) or first[2] == "–"  # fmt: skip
    total = sum(column(tables["errors_by_reader"], "missed"))
    assert total == int((data.scores[:, :, data.truth] < cut).sum())


def test_rs_g3_following_the_ai_is_counted_from_pairs_of_reads(study):
    from dataclasses import replace

    data = study.ratings
    one = replace(study, standalone_cut=0.75)
    table = next(p for p in error_section.errors(one).parts if isinstance(p, Table) and p.name == "following")
    ai_right = (ai_scores(one) >= 0.75) == data.truth
    right = (data.scores >= one.cut) == data.truth
    spoiled = right[1] & ~right[0] & ~ai_right
    total = table.rows[-1]
    assert total[0] == "all readers"
    assert total[2] == int(spoiled.sum())
    assert total[1] == int((right[1] & ~ai_right).sum())


# ---- the layouts of the two papers


def test_paper_a_table_1_is_auc_of_pooled_reads_and_j_under_its_own_name(tables, study):
    one = study.by_type["mass"].ratings
    rows = [r for r in tables["layout_a1"].rows if r[0] == "mass"]
    assert [r[1] for r in rows] == [
        "AI",
        "senior, unaided",
        "senior, aided",
        "junior, unaided",
        "junior, aided",
    ]
    scores, truth = one.scores[1, :2].ravel(), np.tile(one.truth, 2)
    want = auc_interval(scores, truth)
    senior = rows[1]
    assert senior[2] == f"{want.auc:.3f} ({want.lower:.3f}–{want.upper:.3f})"
    # present or absent: AUC = (sensitivity + specificity) / 2, and J their sum less one, as the paper's rows are
    sens, spec = scores[truth].mean(), 1 - scores[~truth].mean()
    assert want.auc == pytest.approx((sens + spec) / 2)
    assert float(senior[8]) == pytest.approx(sens + spec - 1, abs=5e-4)
    assert float(senior[5]) == pytest.approx(100 * sens, abs=5e-3)


def test_paper_a_table_2_pairs_within_a_group_and_not_between(tables, study):
    one = study.by_type["calcification"].ratings
    row = next(r for r in tables["layout_a2"].rows if r[0] == "calcification")
    table, truth = tables["layout_a2"], np.tile(one.truth, 2)
    within = paired_test(one.scores[1, 2:].ravel(), one.scores[0, 2:].ravel(), truth)
    assert row[table.head.index("junior: unaided vs aided")] == p_shown(within.p_value)
    between = unpaired_test(one.scores[0, 2:].ravel(), truth, one.scores[0, :2].ravel(), truth)
    assert row[table.head.index("aided: junior vs senior")] == p_shown(between.p_value)


def test_paper_a_table_3_prints_median_and_range_and_p_by_unit(tables, study):
    row = next(r for r in tables["layout_a3"].rows if r[0] == "junior")
    junior = study.times.of_group("junior")
    seconds = junior.seconds[np.array(junior.arms) == "unaided"]
    assert (
        row[1]
        == f"{round(float(np.median(seconds)), 1):g} ({round(seconds.min(), 1):g}–{round(seconds.max(), 1):g})"
    )
    want = compare_arms(junior, "unaided", "aided", unit=Unit.READ)
    assert row[3] == p_shown(want.test.p_value)
    assert row[5] == ".5000", "two readers cannot go below .5"


def test_paper_a_table_4_is_cohens_kappa_within_the_group(tables, study):
    one = study.by_type["mass"].ratings
    table = tables["layout_a4"]
    row = next(r for r in table.rows if r[0] == "mass")
    calls = one.scores[0, :2].astype(int)
    want = cohen_kappa(confusion(calls[0].tolist(), calls[1].tolist(), (0, 1)))
    at = table.head.index("senior, aided: kappa")
    assert row[at] == pytest.approx(want.kappa)
    assert row[at + 2] == want.band


def test_paper_c_tables_2_and_3_are_the_ai_at_its_cut_offs(tables, study):
    scores, truth = ai_scores(study), study.ratings.truth
    c2 = dict(tables["layout_c2"].rows)
    area = auc_interval(scores, truth)
    assert c2["AUC"] == f"{area.auc:.3f} ({area.lower:.3f}–{area.upper:.3f})"
    sensitive, specific = tables["layout_c3"].rows
    m = binary_metrics(scores >= sensitive[1], truth)
    assert m.sensitivity.estimate >= 0.95
    assert sensitive[4].startswith(f"{m.sensitivity.estimate:.3f} (")
    assert binary_metrics(scores >= specific[1], truth).specificity.estimate >= 0.95


def test_paper_c_table_5_is_mcnemar_against_the_same_reader(tables, study):
    data = study.ratings
    right = (data.scores[:, 1] >= study.cut) == data.truth
    want = mcnemar(int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum()))
    accuracy = next(r for r in tables["layout_c5"].rows if r[0] == "accuracy")
    assert accuracy[4] == p_shown(want.p_exact)
    assert accuracy[3].startswith(f"{right[0].mean():.3f} (")


def test_many_readers_stand_in_rows(study):
    from dataclasses import replace

    wide = replace(study, ratings=ratings(readers=8), times=None, opened_times=None, by_type={}, groups={})
    made = {p.name: p for p in paper_tables.paper_tables(wide).parts if isinstance(p, Table)}
    assert len(made["layout_c5"].rows) == 8
    assert len(made["layout_c5"].head) == 10


# ---- checklists (RS-G2), page, sources


def test_rs_g2_checklists_are_whole_and_lead_to_sections_that_are_there(report):
    found = read_json(resource_path("reporting", "checklists.json"))["checklists"]
    sizes = {one["name"]: len(one["items"]) for one in found}
    # 30 numbered items with four in two parts; 14 beyond CONSORT; 28 parts of 17 items and 10 generic; 42
    assert sizes == {"STARD 2015": 34, "CONSORT-AI": 14, "DECIDE-AI": 38, "CLAIM": 42}
    titles = {section.title for section in report.sections}
    named = {item["section"] for one in found for item in one["items"]} - {""}
    assert named <= titles
    page = to_html(report)
    links = set(re.findall(r"<td[^>]*><a href='#(s\d+)'", page))
    assert links
    assert all(f"id='{link}'" in page for link in links)


def test_rs_g2_an_item_whose_section_is_empty_falls_to_the_authors():
    section = methods_section.checklists({"Errors": False, "Design": True})
    rows = {(p.title, r[0]): r[2] for p in section.parts if isinstance(p, Table) for r in p.rows}
    assert rows["CONSORT-AI", "19"] == methods_section.AUTHORS
    assert isinstance(rows["STARD 2015", "19"], Link)


def test_rs_g4_every_table_is_a_csv_with_full_numbers_and_every_figure_an_svg(report, tmp_path, tables):
    write(report, tmp_path)
    for section in report.sections:
        for part in section.parts:
            if isinstance(part, Figure):
                assert (tmp_path / f"{part.name}.svg").read_text().startswith("<?xml")
    with (tmp_path / "agreement_calls.csv").open() as stream:
        assert len(list(csv.reader(stream))) == 1 + len(tables["agreement_calls"].rows)
    with (tmp_path / "primary_tests.csv").open() as stream:
        row = next(iter(csv.DictReader(stream)))
    assert float(row["value"]) == tables["primary_tests"].rows[0][2]


def test_rs_l2_the_radius_is_swept_and_the_declared_one_is_named(study):
    from dataclasses import replace

    data = study.ratings
    rng = np.random.default_rng(1)
    ill = [c for c, t in zip(data.cases, data.truth, strict=True) if t]
    outlines = tuple(Outline(case=c, lesion="1", view="R-CC", box=(90, 90, 110, 110), spacing_mm=(0.1, 0.1)) for c in ill)  # fmt: skip
    marks = tuple(
        Mark(reader=r, modality=a, case=c, view="R-CC", row=100 + rng.normal(0, 90), column=100.0, rating=float(rng.integers(1, 100)))
        for r in data.readers for a in data.modalities for c in data.cases if rng.random() < 0.7
    )  # fmt: skip
    rule = Rule(radius_mm=10.0)
    froc, _ = froc_data(marks, outlines, rule, cases=data.cases, readers=data.readers, modalities=data.modalities)  # fmt: skip
    made = make_report(replace(study, froc=froc, localised=Localised(marks=marks, outlines=outlines, rule=rule, radii_mm=(5.0, 20.0)), bootstrap=0))  # fmt: skip
    sweep = next(
        p for s in made.sections for p in s.parts if isinstance(p, Table) and p.name == "radius_sweep"
    )
    assert [r[0] for r in sweep.rows] == ["5", "10 (declared)", "20"]
    hits = column(sweep, "lesions hit")
    assert hits == sorted(hits)
    assert hits[0] < hits[-1]


def test_an_export_gives_washout_order_types_and_localisation(tmp_path):
    when = {"1": "2026-01-05T10:00:00Z", "2": "2026-02-06T10:00:00Z"}
    rng = np.random.default_rng(6)
    cases = [f"c{k}" for k in range(16)]
    lines, times, marks = [], [], []
    for r in ("r1", "r2"):
        for period, arm in (("1", "unaided"), ("2", "aided")):
            for k, c in enumerate(cases):
                lines.append(f"ST,{r},{period},{k + 1},{c},{arm},2,1,{int(rng.integers(0, 60) + 40 * (k % 2))},0,{when[period]}")  # fmt: skip
                times.append(f"{r},{period},{k + 1},{c},{arm},{20 + k},{22 + k},0")
                if k % 3:
                    marks.append(f"{r},{period},{c},{arm},kept,R-CC,100,100,mass,{50 + k}")
    (tmp_path / "readings.csv").write_text("study_id,reader_id,period,position,case_id,arm_id,birads_R,birads_L,suspicion_max,interrupted,locked_utc\n" + "\n".join(lines))  # fmt: skip
    (tmp_path / "times.csv").write_text("reader_id,period,position,case_id,arm_id,active_s,opened_to_submit_s,interrupted\n" + "\n".join(times))  # fmt: skip
    (tmp_path / "findings.csv").write_text("reader_id,period,case_id,arm_id,status,image_key,row,col,finding_type,suspicion\n" + "\n".join(marks))  # fmt: skip
    (tmp_path / "sessions.csv").write_text("period,n_planned\n0,2\n1,16\n1,16\n2,16\n2,16\n")
    lesions = tuple(
        TypedOutline(outline=Outline(case=c, lesion="1", view="R-CC", box=(90, 90, 110, 110), spacing_mm=(0.1, 0.1)), finding="mass" if k % 4 == 1 else "calcification")
        for k, c in enumerate(cases) if k % 2
    )  # fmt: skip
    truth = StudyTruth(malignant={c: bool(k % 2) for k, c in enumerate(cases)}, facts={c: {"density": "ab"[k // 2 % 2]} for k, c in enumerate(cases)}, lesions=lesions)  # fmt: skip
    found = inputs_of_export(tmp_path, truth, cut=50)
    assert set(found.washout_days) == {32.0}
    assert found.order["r1", "aided", "c3"] == (2, 4)
    assert found.flow.cases_practice == 2
    assert set(found.by_type) == {"mass", "calcification"}
    assert found.froc is not None
    assert found.strata["density"]["c0"] == "a"
    hit = found.froc.lesions[0, 0]
    assert np.isfinite(hit).sum() == sum(1 for k in range(16) if k % 2 and k % 3)
    names = {p.name for s in make_report(found).sections for p in s.parts if isinstance(p, Table)}
    assert {"washout", "radius_sweep", "layout_a1", "times_opened_to_submit"} <= names


def test_equal_input_gives_an_equal_page(study, report):
    assert to_html(make_report(study, Choice(cut=study.cut))) == to_html(report)
    json.dumps([s.title for s in report.sections])
