"""The commands plan and validate-statistics: published numbers, and a wrong number is seen."""

from __future__ import annotations

import dataclasses
import json

import pytest
import typer
from typer.testing import CliRunner

from reader_study.report.planning_grid import PlanRequest, parse_components, plan
from reader_study.report.validation import Check, validate
from reader_study.report_command import register
from reader_study.statistics.obuchowski_rockette import Claim
from reader_study.statistics.planning import Pilot
from reader_study.statistics.ratings import StatisticsError

PILOT = Pilot(modality_by_reader=0.0002, error=0.0008, cov1=0.00035, cov2=0.00034, cov3=0.00024, cases=114)


@pytest.fixture
def cli():
    app = typer.Typer()
    register(app)
    return lambda *words: CliRunner().invoke(app, [str(w) for w in words])


@pytest.mark.data
def test_rs_d5_the_command_gives_rjafrocs_power(data_root, cli, tmp_path):
    done = cli("plan", data_root / "mrmc" / "vandyke.csv", "--readers", 10, "--cases", 165, "--json")
    found = json.loads(done.output)
    assert found["power"] == pytest.approx(0.805419947, abs=1e-8)
    assert found["df2"] == pytest.approx(62.7072797149567)
    cli("plan", data_root / "mrmc" / "vandyke.csv", "--out", tmp_path)
    assert {"power.csv", "power.svg"} == {p.name for p in tmp_path.iterdir()}


def test_rs_d5_the_grid_rises_with_readers_and_cases_and_holds_the_plan():
    found = plan(PlanRequest(pilot=PILOT, effect=0.05, readers=10, cases=165))
    for row in found.table:
        assert list(row) == sorted(row)
    for column in zip(*found.table, strict=True):
        assert list(column) == sorted(column)
    at = found.grid_readers.index(10), found.grid_cases.index(165)
    assert found.table[at[0]][at[1]] == found.power.power
    assert found.cases is not None
    assert found.cases.power >= 0.8


def test_rs_d5_what_no_number_of_cases_reaches_is_a_sentence_and_the_rest_is_there():
    found = plan(PlanRequest(pilot=PILOT, effect=0.005, readers=2, cases=100))
    assert found.cases is None
    assert any("add readers" in said for said in found.sentences())


def test_rs_s12_non_inferiority_without_effect_needs_its_margin():
    found = plan(PlanRequest(pilot=PILOT, effect=0.0, readers=10, cases=200, claim=Claim.NON_INFERIORITY, margin=0.05))  # fmt: skip
    assert found.power.power > 0.5
    with pytest.raises(StatisticsError, match="margin above 0"):
        plan(PlanRequest(pilot=PILOT, effect=0.0, readers=10, cases=200, claim=Claim.NON_INFERIORITY))


@pytest.mark.parametrize("text", ["", "1,2,3", "a,b,c,d,e,f", "0.1,0.1,0,0,0,10,7"])
def test_components_that_are_no_six_numbers_are_refused(text):
    with pytest.raises(StatisticsError, match="six numbers"):
        parse_components(text)


@pytest.mark.data
def test_every_row_of_the_validation_table_is_green(data_root, cli):
    done = cli("validate-statistics", "--data", data_root / "mrmc", "--json")
    rows = json.loads(done.output)
    assert done.exit_code == 0
    assert len(rows) > 150
    assert all(row["passed"] for row in rows)
    assert {row["reference"] for row in rows} >= {"MRMCaov", "iMRMC", "RJafroc", "pROC", "R"}


def test_a_wrong_number_does_not_pass():
    good = Check(name="x", reference="r", expected=0.5, actual=0.5 + 1e-9, tolerance=1e-6)
    assert good.passed
    assert not dataclasses.replace(good, actual=0.50001).passed
    assert not dataclasses.replace(good, actual=float("nan")).passed


def test_a_folder_without_the_data_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(StatisticsError, match="name their folder"):
        list(validate(tmp_path))
