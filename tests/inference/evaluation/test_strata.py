"""Tests of strata against examples worked by hand: Pearson's formula, Wald's error of a 2 x 2 table, Wilson's interval."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from inference.__main__ import main
from inference.evaluation.strata import Case, fisher, gee, independent_test, share, strata_json
from inference.evaluation.strata_cases import age_group, size_group, strata_sheets
from inference.run_output import DETECTION_COLUMNS, SCORE_COLUMNS

# 40 fatty of which 30 are found, 40 dense of which 20 are found
_TABLE = [("fatty", True)] * 30 + [("fatty", False)] * 10 + [("dense", True)] * 20 + [("dense", False)] * 20
_LOG_OR_ERROR = math.sqrt(1 / 30 + 1 / 10 + 1 / 20 + 1 / 20)  # Woolf 1955


def _alone(table: list[tuple[str, bool]]) -> list[tuple[str, str, bool]]:
    return [(f"w{k:03d}", group, met) for k, (group, met) in enumerate(table)]


def test_b_chi_square_of_two_strata_is_pearsons_formula() -> None:
    found = independent_test(_alone(_TABLE))
    # n (ad - bc)^2 / product of the margins
    assert found["statistic"] == pytest.approx(80 * (30 * 20 - 10 * 20) ** 2 / (40 * 40 * 50 * 30), rel=1e-5)
    assert found["df"] == 1
    assert found["p"] == pytest.approx(math.erfc(math.sqrt(16 / 3 / 2)), abs=1e-6)  # of one degree of freedom
    assert "note" not in found


def test_b_chi_square_says_when_counts_are_small_and_gives_no_p_where_all_are_found() -> None:
    few = independent_test(
        _alone([("a", True)] * 6 + [("a", False)] * 2 + [("b", True)] * 3 + [("b", False)] * 3)
    )
    assert few["note"].startswith("smallest expected count 2.1")  # 6 of 14, of which 5 missed
    assert independent_test(_alone([("a", True)] * 4 + [("b", True)] * 4))["p"] is None


def test_b_gee_of_women_with_one_cancer_each_is_the_odds_ratio_with_woolfs_interval() -> None:
    found = gee(_alone(_TABLE))
    other = "dense" if found["reference"] == "fatty" else "fatty"
    log_or = math.log(1 / 3) if other == "dense" else math.log(3)
    entry = found["odds_ratios"][other]
    assert entry["value"] == pytest.approx(math.exp(log_or), rel=1e-4)
    assert entry["lo"] == pytest.approx(math.exp(log_or - 1.959964 * _LOG_OR_ERROR), rel=1e-3)
    assert entry["hi"] == pytest.approx(math.exp(log_or + 1.959964 * _LOG_OR_ERROR), rel=1e-3)
    assert found["p"] == pytest.approx(math.erfc(abs(log_or) / _LOG_OR_ERROR / math.sqrt(2)), rel=1e-3)


def test_b_gee_does_not_take_a_second_copy_of_a_woman_for_new_evidence() -> None:
    once, rows = gee(_alone(_TABLE)), _alone(_TABLE)
    twice = gee(rows + rows)
    assert twice["n"] == 160
    assert twice["women"] == 80
    assert twice["p"] == pytest.approx(once["p"], rel=1e-3)


def test_b_gee_says_so_where_every_cancer_of_a_stratum_was_found() -> None:
    found = gee([("w1", "mass", True), ("w1", "calcification", True), ("w2", "mass", False)])
    assert found["p"] is None
    assert "calcification" in found["note"]
    three = gee([*_alone(_TABLE), *((f"v{k}", "distortion", True) for k in range(5))])
    assert three["p"] == pytest.approx(gee(_alone(_TABLE))["p"], rel=1e-6)
    assert "distortion" in three["note"]


def test_b_small_counts_are_tested_by_fisher_and_by_name() -> None:
    # the lady tasting tea (Fisher, The Design of Experiments, 1935): two-sided 34 of 70 ways
    tea = independent_test(
        _alone([("milk", True)] * 3 + [("milk", False)] + [("tea", True)] + [("tea", False)] * 3)
    )
    assert (tea["test"], tea["p"]) == ("Fisher's exact", pytest.approx(34 / 70, abs=1e-6))
    assert "statistic" not in tea
    one = independent_test(_alone([("a", True)] + [("b", False)] * 9))
    assert one["p"] == pytest.approx(
        1 / 10, abs=1e-6
    )  # the one found is equally likely each of ten; Pearson: 0.0016


def test_b_fishers_test_of_three_groups_is_freeman_and_haltons_counted_in_whole_numbers() -> None:
    sizes, met = (6, 8, 3), (0, 3, 2)
    ways = {
        (a, b, 5 - a - b): math.comb(6, a) * math.comb(8, b) * math.comb(3, 5 - a - b)
        for a in range(6)
        for b in range(6 - a)
    }
    expected = sum(w for w in ways.values() if w <= ways[met]) / sum(ways.values())
    table = np.array([[m, n - m] for m, n in zip(met, sizes, strict=True)])
    name, p = fisher(table)
    assert name == "Fisher's exact (Freeman-Halton)"
    assert p == pytest.approx(expected, rel=1e-9)
    drawn, rough = fisher(table, most=2)
    assert "100000 tables drawn" in drawn
    assert rough == pytest.approx(expected, abs=0.004)  # four standard errors
    assert fisher(table, most=2)[1] == rough  # the same tables each time
    assert fisher(np.array([[1, 1], [1, 1], [1, 1]]))[1] == pytest.approx(1.0)


# What is seen in each of 34 women: masses, calcifications, distortions, asymmetries; w1, w8 and w15 were missed
_SEEN = "c mc d m m c c c m a m m m m ma c a cd m m ma mcd mcd md cd m mca m a c mc m m m"


def test_b_too_few_women_for_a_robust_test_are_said_and_no_traceback() -> None:
    rows = [(f"w{k}", kind, k not in {1, 8, 15}) for k, seen in enumerate(_SEEN.split(" ")) for kind in seen]
    found = gee(rows)
    assert (found["n"], found["women"], found["p"]) == (47, 34, None)
    assert found["note"].endswith("too few women to tell")
    assert "a, d" in found["note"]
    assert found["odds_ratios"] == {}


def test_b_wilsons_interval_of_half_of_ten() -> None:
    found = share(5, 10)
    z = 1.959964
    centre, reach = (0.5 + z**2 / 20) / (1 + z**2 / 10), z * math.sqrt(0.025 + z**2 / 400) / (1 + z**2 / 10)
    assert (found["lo"], found["hi"]) == pytest.approx((centre - reach, centre + reach), abs=1e-5)


def _case(number: int, positive: bool, called: bool, **groups: set[str]) -> Case:
    return Case(
        patient=f"w{number}",
        positive=positive,
        called=called,
        groups={name: frozenset(found) for name, found in groups.items()},
    )


def test_b_a_mass_with_calcifications_counts_in_both_strata_and_is_tested_by_gee() -> None:
    both = {"mass", "calcification"}
    cases = [_case(k, True, k % 3 != 0, type=both if k % 2 else {"mass"}, density={"a"}) for k in range(12)]
    cases += [_case(k, False, k % 4 == 0, density={"a" if k % 2 else "d"}) for k in range(100, 112)]
    found, notes = strata_json(cases)
    groups = found["type"]["groups"]
    assert groups["mass"]["sensitivity"]["n"] == 12
    assert groups["calcification"]["sensitivity"]["n"] == 6
    assert set(groups["mass"]) == {"sensitivity"}
    assert found["type"]["tests"]["sensitivity"]["test"] == "GEE logistic regression"
    assert found["density"]["groups"]["d"]["specificity"]["met"] == 3  # 100, 104, 108 were called
    assert found["density"]["tests"]["specificity"]["test"] == "Fisher's exact"  # 12 women
    assert {note.split(":")[0] for note in notes} == {
        "strata.age", "strata.manufacturer", "strata.invasiveness", "strata.size",
    }  # fmt: skip
    shares, tests = strata_sheets(found)
    assert len(shares.rows) == 4
    assert ("type", "sensitivity", "GEE logistic regression") in {row[:3] for row in tests.rows}


def test_b_the_limits_of_age_and_size_are_the_papers() -> None:
    assert (age_group(49), age_group(50), age_group(None)) == ({"< 50"}, {">= 50"}, frozenset())
    assert (size_group(19.9), size_group(20.0)) == ({"< 20 mm"}, {">= 20 mm"})


def _table(path: Path, columns: tuple[str, ...], rows: list[dict[str, object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_b_the_command_strata_joins_manifest_lesions_and_run_and_names_what_is_not_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = {  # age, density, pathology, exam score
        "A": (45, "b", "malignant", 0.9), "B": (65, "b", "malignant", 0.4), "C": (66, "c", "benign", 0.5),
        "D": (44, "c", "normal", 0.3),
    }  # fmt: skip
    images: list[dict[str, object]] = [
        {
            "case_id": case, "laterality": "L", "view": "CC", "kind": "ffdm", "path": f"{case}.png",
            "spacing_mm": 0.1, "age": age, "density": density, "pathology": word,
        }
        for case, (age, density, word, _) in cases.items()
    ]  # fmt: skip
    box = {"laterality": "L", "view": "CC", "lesion_id": "1", "x0": 10, "y0": 20, "y1": 40, "malignant": 1}
    lesions: list[dict[str, object]] = [
        {**box, "case_id": "A", "type": "mass", "x1": 310},  # 30 mm
        {**box, "case_id": "B", "type": "calcification", "x1": 60},  # 5 mm
    ]
    for image in images:
        cv2.imwrite(str(tmp_path / str(image["path"])), np.zeros((60, 400), np.uint8))
    manifest = _table(tmp_path / "images.csv", tuple(images[0]), images)
    marks = _table(tmp_path / "lesions.csv", tuple(lesions[0]), lesions)
    run = tmp_path / "run"
    run.mkdir()
    scores: list[dict[str, object]] = [
        {"case_id": c, "level": "exam", "score": v[3]} for c, v in cases.items()
    ]
    _table(run / "scores.csv", SCORE_COLUMNS, scores)
    _table(run / "detections.csv", DETECTION_COLUMNS, [])
    (run / "run.json").write_text("{}", encoding="utf-8")
    page = tmp_path / "strata.md"

    words = [
        "strata",
        str(manifest),
        "--run",
        str(run),
        "--lesions",
        str(marks),
        "--json",
        "--markdown",
        str(page),
    ]
    assert main(words) == 0

    report = json.loads(capsys.readouterr().out)
    strata = report["strata"]
    assert (report["n_pos"], report["n_neg"], report["threshold"]) == (2, 2, 0.5)
    assert strata["age"]["groups"]["< 50"]["sensitivity"]["met"] == 1
    assert strata["age"]["groups"][">= 50"]["sensitivity"]["met"] == 0
    assert strata["age"]["groups"][">= 50"]["specificity"]["met"] == 0  # 0.5 is called cancer
    assert strata["size"]["groups"] == {
        "< 20 mm": {"sensitivity": share(0, 1)}, ">= 20 mm": {"sensitivity": share(1, 1)},
    }  # fmt: skip
    assert set(strata["type"]["groups"]) == {"mass", "calcification"}
    assert any("strata.invasiveness: not recorded" in sentence for sentence in report["warnings"])
    assert "negatoscope strata" in page.read_text(encoding="utf-8")
