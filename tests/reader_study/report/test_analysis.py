"""The analysis as one JSON object: the reference programs' numbers, the file's order, refusals in one sentence."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from reader_study.report.analysis import Choice, CovarianceName, Fom, Method, run
from reader_study.report.dbm_from_covariance import dbm_from
from reader_study.report.file_order import modality_order
from reader_study.report.sources import inputs_of_file
from reader_study.statistics.covariance import estimates
from reader_study.statistics.dbm import dbm_components, pseudovalues
from reader_study.statistics.froc import FrocFigure, froc_estimates, leave_one_out
from reader_study.statistics.ratings import StatisticsError


@pytest.fixture(scope="module")
def cli():
    from app.cli import app

    return lambda *words: CliRunner().invoke(app, ["analyse", *map(str, words)])


@pytest.mark.data
@pytest.mark.parametrize(
    ("cov", "name", "short"),
    [
        ("jackknife", "RRRC_jackknife", "RRRC"),
        ("jackknife", "FRRC_jackknife", "FRRC"),
        ("DeLong", "RRRC_DeLong", "RRRC"),
        ("unbiased", "RRRC_unbiased", "RRRC"),
    ],
)
def test_rs_s3_the_json_is_mrmcaovs_table(data_root, cli, cov, name, short):
    done = cli(data_root / "mrmc" / "vandyke.csv", "--fom", "AUC", "--method", "OR", "--cov", cov, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    want = json.loads((data_root / "mrmc" / "vandyke.expected.json").read_text())["results"][name]
    test = want["test_equality"][0]
    ours = found["analyses"][short]
    assert ours["stat_name"] == ("X2" if short == "FRRC" else "F")
    assert ours["stat"] == pytest.approx(test["X2" if short == "FRRC" else "F"], rel=1e-6)
    assert ours["p"] == pytest.approx(test["p-value"], rel=1e-6)
    gap, difference = want["test_diffs"][0], ours["differences"][0]
    assert (difference["a"], difference["b"]) == ("1", "2")
    for key, theirs in (("estimate", "Estimate"), ("se", "StdErr"), ("lo", "CI.Lower"), ("hi", "CI.Upper")):
        assert difference[key] == pytest.approx(gap[theirs], rel=1e-6)
    assert found["varcomp"]["cov2"] == pytest.approx(want["vcov"]["Cov2"]["Estimate"], rel=1e-6)
    assert found["n"] == {"modalities": 2, "readers": 5, "cases": 114, "positives": 45, "negatives": 69}
    if short == "FRRC":
        assert ours["df2"] is None
    else:
        assert ours["df2"] == pytest.approx(test["df2"], rel=1e-6)


@pytest.mark.data
def test_rs_s5_the_json_of_marks_is_rjafrocs(data_root, cli):
    done = cli(data_root / "mrmc" / "formats" / "Froc.xlsx", "--fom", "wAFROC", "--json")
    found = json.loads(done.output)
    assert found["fom_name"] == "wAFROC"
    again = froc_estimates(
        inputs_of_file(data_root / "mrmc" / "formats" / "Froc.xlsx").froc, FrocFigure.WAFROC
    )
    assert found["fom"]["4"]["1"] == pytest.approx(again.values[0, 0], abs=1e-12)


@pytest.mark.data
def test_rs_s4_dbm_of_covariances_is_dbm_of_pseudovalues(data_root):
    data = inputs_of_file(data_root / "mrmc" / "formats" / "Froc.xlsx").froc
    slow = dbm_components(pseudovalues(*leave_one_out(data, FrocFigure.WAFROC)))
    fast = dbm_from(froc_estimates(data, FrocFigure.WAFROC))
    for name, value in slow.mean_squares.items():
        assert fast.mean_squares[name] == pytest.approx(value, rel=1e-9), name
    assert fast.case == pytest.approx(slow.case, rel=1e-9)
    assert fast.reader == pytest.approx(slow.reader, rel=1e-9)


@pytest.mark.data
def test_rs_s4_dbm_with_random_readers_and_cases_is_or(data_root):
    inputs = inputs_of_file(data_root / "mrmc" / "vandyke.csv")
    both = [run(inputs, Choice(method=m)).analyses["RRRC"] for m in (Method.OR, Method.DBM)]
    assert both[0].stat == pytest.approx(both[1].stat, rel=1e-9)
    assert both[0].df2 == pytest.approx(both[1].df2, rel=1e-9)
    assert both[0].differences[0].se == pytest.approx(both[1].differences[0].se, rel=1e-9)


def test_differences_are_taken_in_the_order_of_the_file(tmp_path, cli):
    path = tmp_path / "late.csv"
    rng = np.random.default_rng(2)
    rows = [
        f"r{j},{arm},{k},{k % 2},{rng.normal(k % 2 + (arm == 'b')):.4f}"
        for arm in ("b", "a")
        for j in range(3)
        for k in range(20)
    ]
    path.write_text("reader,treatment,case,truth,rating\n" + "\n".join(rows) + "\n")
    assert modality_order(path, ("a", "b")) == ("b", "a")
    found = json.loads(cli(path, "--json").output)
    gap = found["analyses"]["RRRC"]["differences"][0]
    assert (gap["a"], gap["b"]) == ("b", "a")
    mean = {arm: np.mean(list(row.values())) for arm, row in found["fom"].items()}
    assert gap["estimate"] == pytest.approx(mean["b"] - mean["a"])
    imrmc = tmp_path / "late.imrmc"
    lines = ["BEGIN DATA:", *(f"truth,{k},truth,{k % 2}" for k in range(4))]
    lines += [f"1,{k},{arm},{k % 2}" for arm in ("z", "y") for k in range(4)]
    imrmc.write_text("\n".join(lines))
    assert modality_order(imrmc, ("y", "z")) == ("z", "y")


@pytest.mark.data
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--fom", "wAFROC"), "expected marks"),
        (("--fom", "sensitivity"), "expected --cut"),
        (("--method", "DBM", "--cov", "DeLong"), "expected the jackknife"),
        (("--method", "Ustat", "--fom", "specificity"), "use OR"),
    ],
)
def test_what_cannot_be_analysed_is_refused_in_one_sentence(data_root, cli, words, said):
    done = cli(data_root / "mrmc" / "vandyke.csv", *words, "--json")
    assert done.exit_code != 0
    assert isinstance(done.exception, StatisticsError)
    assert said in str(done.exception)


@pytest.mark.data
def test_rs_s6_ustatistics_take_missing_reads_and_or_says_so(data_root):
    inputs = inputs_of_file(data_root / "mrmc" / "formats" / "viper_mrmcInput.imrmc.csv")
    found = run(inputs, Choice(method=Method.USTAT))
    assert found.analyses["RRRC"].stat == pytest.approx(
        (found.analyses["RRRC"].differences[0].estimate / found.analyses["RRRC"].differences[0].se) ** 2
    )
    assert found.counts["readers"] == 20


def test_one_reader_gets_fixed_readers_only_and_is_told(tmp_path):
    rng = np.random.default_rng(3)
    rows = [f"r,{arm},{k},{k % 2},{rng.normal(k % 2):.3f}" for arm in "ab" for k in range(30)]
    path = tmp_path / "one.csv"
    path.write_text("reader,treatment,case,truth,rating\n" + "\n".join(rows) + "\n")
    inputs = inputs_of_file(path)
    found = run(inputs, Choice(fom=Fom.AUC, covariance=CovarianceName.JACKKNIFE))
    assert set(found.analyses) == {"FRRC"}
    assert any("RRRC not computed" in w for w in found.warnings)
    json.dumps(found.as_json(), allow_nan=False)
    assert found.digest == estimates(inputs.ratings).digest


def test_rs_s3_the_quick_jackknife_of_areas_is_the_slow_one():
    from reader_study.statistics.ratings import Ratings
    from reader_study.statistics.roc import auc

    rng = np.random.default_rng(12)
    scores = np.round(rng.normal(size=(2, 3, 30)), 1)
    scores[0, 1, 4:9] = np.nan
    scores[1, 2, 7] = -np.inf
    data = Ratings(modalities=("a", "b"), readers=("1", "2", "3"), cases=tuple(map(str, range(30))), truth=np.arange(30) % 3 == 0, scores=scores)  # fmt: skip
    again = functools.partial(auc)  # another object: each case is left out and counted anew
    slow = estimates(data, figure=again)
    np.testing.assert_allclose(estimates(data).covariance, slow.covariance, rtol=1e-9, atol=1e-15)
