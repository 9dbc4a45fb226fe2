"""U-statistic MRMC against iMRMC, fully crossed and split-plot."""

from __future__ import annotations

import pytest

from reader_study.statistics.ratings import ratings_from_rows
from reader_study.statistics.ustatistics import DfRule, Moments, area, difference

pytestmark = pytest.mark.data


def compare(ratings, row, *, moments=Moments.U_STATISTIC, rel=1e-9):
    first, second = row["modalityA"], row["modalityB"]
    if row["AUCB"] is None:
        found = area(ratings, first, moments=moments, rule=DfRule.IMRMC)
        want = row["AUCA"], row["varAUCA"]
    else:
        found = difference(ratings, first, second, moments=moments, rule=DfRule.IMRMC)
        want = row["AUCAminusAUCB"], row["varAUCAminusAUCB"]
    assert found.estimate == pytest.approx(want[0], abs=1e-8)
    assert found.variance == pytest.approx(want[1], rel=rel)
    assert found.df == pytest.approx(row["dfBDG"], rel=max(rel, 1e-8))
    assert (found.readers, found.negatives, found.positives) == (row["NR"], row["N0"], row["N1"])
    return found


@pytest.mark.parametrize(("key", "moments"), [("Ustat", Moments.U_STATISTIC), ("MLE", Moments.MLE)])
def test_rs_s6_fully_crossed_example_agrees_with_imrmc(table, expected, key, moments):
    rows = table("imrmc_example.csv")
    truth = {r["caseID"]: int(float(r["score"])) for r in rows if r["readerID"] == "truth"}
    ratings = ratings_from_rows(
        (r["readerID"], r["modalityID"], r["caseID"], truth[r["caseID"]], float(r["score"]))
        for r in rows
        if r["readerID"] != "truth"
    )
    for row in expected("imrmc_example.expected.json")[key]:
        found = compare(ratings, row, moments=moments)
        assert found.p_value == pytest.approx(row["pValueBDG"], rel=1e-6)
        assert (found.lower, found.upper) == (pytest.approx(row["botCIBDG"]), pytest.approx(row["topCIBDG"]))


@pytest.mark.parametrize("what", ["auc", "sensitivity", "specificity"])
def test_rs_s6_viper_split_plot_agrees_with_imrmc(table, expected, what):
    rows = table("viper_obs.csv")

    def score(row):
        if what == "auc":
            return float(row["score"])
        diseased = row["truth"] == "1"
        recalled = float(row["recall"])
        # VIPER's way to a proportion by an AUC program: the other class scores one half
        if what == "sensitivity":
            return recalled if diseased else 0.5
        return recalled if not diseased else 0.5

    for name, study in expected("viper.expected.json")["substudies"].items():
        ratings = ratings_from_rows(
            (
                (r["reader"], r["modality"], r["case"], int(r["truth"]), score(r))
                for r in rows
                if r["substudy"] == name
            ),
            modality_order=["FFDM", "SFM"],
        )
        assert not ratings.is_complete
        for row in study[what]:
            compare(ratings, row, rel=2e-8)  # the published values carry nine digits
