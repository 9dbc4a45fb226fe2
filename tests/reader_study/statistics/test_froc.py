"""Free-response figures of merit against RJafroc."""

from __future__ import annotations

import numpy as np
import pytest

from reader_study.statistics.dbm import dbm_components, dbm_test, pseudovalues
from reader_study.statistics.froc import (
    FrocFigure,
    froc_curve,
    froc_estimates,
    froc_from_rows,
    leave_one_out,
    wafroc_curve,
)
from reader_study.statistics.obuchowski_rockette import Generalise, analyse
from reader_study.statistics.ratings import StatisticsError

STEMS = ("rjafroc_ds01_tony_froc", "rjafroc_ds04_federica_froc")
FIGURES = [FrocFigure.WAFROC, FrocFigure.AFROC, FrocFigure.WAFROC1, FrocFigure.AFROC1, FrocFigure.HR_AUC]


def near(value):
    return pytest.approx(value, rel=1e-8, abs=1e-12)


@pytest.mark.data
@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("figure", FIGURES)
def test_rs_s5_or_analysis_agrees_with_rjafroc(froc, expected, stem, figure):
    want = expected(f"{stem}.expected.json")["results"][f"OR_{figure.value}_jackknife"]
    found = froc_estimates(froc(stem), figure)
    random, fixed = analyse(found), analyse(found, Generalise.CASES)
    assert random.test is not None
    assert fixed.test is not None
    f = want["RRRC"]["FTests"]
    assert (random.test.statistic, random.test.df2) == (near(f["Treatment"]["FStat"]), near(f["Error"]["DF"]))
    assert random.test.p_value == near(f["Treatment"]["p"])
    for name, attribute in (("VarR", "reader"), ("VarTR", "modality_by_reader"), ("Var", "error"),
                            ("Cov1", "cov1"), ("Cov2", "cov2"), ("Cov3", "cov3")):  # fmt: skip
        assert getattr(random.components, attribute) == near(want["varcom"][name]["Estimates"]), name
    for gap, row in zip(random.differences, want["RRRC"]["ciDiffTrt"].values(), strict=True):
        assert (gap.lower, gap.upper) == (near(row["CILower"]), near(row["CIUpper"]))
    for mean, row in zip(random.means, want["RRRC"]["ciAvgRdrEachTrt"].values(), strict=True):
        assert (mean.lower, mean.df) == (near(row["CILower"]), near(row["DF"]))
    assert fixed.test.statistic == near(want["FRRC"]["FTests"]["Treatment"]["Chisq"])
    for i, readers in enumerate(want["foms"].values()):
        assert list(found.values[i]) == [near(v) for v in readers.values()]


@pytest.mark.data
@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("figure", FIGURES[:4])
def test_rs_s4_dbm_analysis_agrees_with_rjafroc(froc, expected, stem, figure):
    want = expected(f"{stem}.expected.json")["results"][f"DBM_{figure.value}_jackknife"]
    data = froc(stem)
    pseudo = pseudovalues(*leave_one_out(data, figure))
    parts = dbm_components(pseudo)
    for name, attribute in (("VarR", "reader"), ("VarC", "case"), ("VarTR", "modality_by_reader"),
                            ("VarTC", "modality_by_case"), ("VarRC", "reader_by_case"), ("VarErr", "error")):  # fmt: skip
        assert getattr(parts, attribute) == near(want["varcom"][name]["Estimates"]), name
    test = dbm_test(froc_estimates(data, figure), pseudo)
    or_test = analyse(froc_estimates(data, figure)).test
    assert or_test is not None
    assert (test.f, test.df2) == (near(or_test.statistic), near(or_test.df2))


@pytest.mark.data
@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize(
    "figure", [FrocFigure.HR_SE, FrocFigure.HR_SP, FrocFigure.MAX_LLF, FrocFigure.MAX_NLF]
)
def test_rs_s5_simple_figures_agree_with_rjafroc(froc, expected, stem, figure):
    want = expected(f"{stem}.expected.json")["results"][f"FOM_{figure.value}"]
    want = want.get("foms", want)
    data = froc(stem)
    found = froc_estimates(data, figure).values
    for i, modality in enumerate(data.modalities):
        for j, reader in enumerate(data.readers):
            assert found[i, j] == near(want[f"trt{modality}"][f"rdr{reader}"])


def small(**changes):
    rows = {
        "truth": [("n1", "0", 0), ("n2", "0", 0), ("d1", "1", 0.7), ("d1", "2", 0.3), ("d2", "1", 1)],
        "false_positives": [("r", "m", "n1", 2.0), ("r", "m", "d1", 5.0)],
        "true_positives": [("r", "m", "d1", "1", 3.0), ("r", "m", "d2", "1", 1.0)],
        "modalities": ["m"],
        "readers": ["r"],
    }
    return froc_from_rows(**{**rows, **changes})


def test_wafroc_of_a_case_worked_by_hand():
    # normals: 2 and -inf. lesions: 3 (w .7), unmarked (w .3), 1 (w 1).
    # against 2: 3 wins .7; unmarked loses; 1 loses -> .7. against -inf: .7 + .3/2 + 1 -> 1.85. Over 2 x 2 cases.
    assert froc_estimates(small(), FrocFigure.WAFROC).values[0, 0] == pytest.approx((0.7 + 1.85) / 4)
    assert froc_estimates(small(), FrocFigure.HR_AUC).values[0, 0] == pytest.approx((1 + 1 + 0 + 1) / 4)


def test_area_under_the_drawn_wafroc_curve_is_the_figure_of_merit():
    curve = wafroc_curve(small(), 0, 0)
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(froc_estimates(small()).values[0, 0])
    froc = froc_curve(small(), 0, 0)
    assert (froc.x[-1], froc.y[-1]) == (pytest.approx(2 / 4), pytest.approx(2 / 3))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"truth": [("n1", "0", 0), ("d1", "1", 0.7), ("d1", "2", 0.7)], "false_positives": [], "true_positives": []}, "sum to 1"),
        ({"true_positives": [("r", "m", "n1", "1", 3.0)]}, "a lesion of the truth"),
        ({"false_positives": [("r", "m", "x9", 3.0)]}, "unknown one"),
        ({"truth": [("d1", "1", 1), ("d1", "1", 1)], "false_positives": [], "true_positives": []}, "found twice"),
    ],
)  # fmt: skip
def test_wrong_rows_are_refused_in_a_sentence(changes, words):
    with pytest.raises(StatisticsError, match=words):
        small(**changes)
