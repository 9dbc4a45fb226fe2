"""The report: its figures are right, its numbers are those of the reference programs, what is absent says why."""

from __future__ import annotations

import csv
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest
from typer.testing import CliRunner

from reader_study.errors import StudyError
from reader_study.report.figures import average_curve, roc_figure, times_figure
from reader_study.report.inputs import FlowCounts, ReportInputs
from reader_study.report.make import make_report, write_report
from reader_study.report.page import Absent, Table, p_shown, shown
from reader_study.report.sources import ReportError, inputs_of_export, inputs_of_file
from reader_study.statistics.ratings import Ratings, ratings_from_rows
from reader_study.statistics.roc import auc
from reader_study.statistics.times import times_from_rows


def study(readers=3, cases=24, seed=5) -> Ratings:
    rng = np.random.default_rng(seed)
    rows = []
    for case in range(cases):
        for reader in range(readers):
            for arm, gain in (("aided", 1.6), ("unaided", 1.0)):
                score = float(np.clip(round(50 + 12 * rng.normal(gain * (case % 2), 1)), 0, 100))
                rows.append((f"R{reader}", arm, f"C{case}", case % 2, score))
    return ratings_from_rows(rows)


def inputs(**changes) -> ReportInputs:
    ratings = study()
    rng = np.random.default_rng(8)
    times = times_from_rows(
        [
            (r, c, arm, float(np.exp(rng.normal(3.5 - 0.2 * (arm == "aided"), 0.4))), k == 0)
            for r in ratings.readers
            for k, c in enumerate(ratings.cases)
            for arm in ratings.modalities
        ],
        groups={"R0": "senior", "R1": "junior", "R2": "junior"},
    )
    categories = {
        r: {arm: {c: "45"[int(ratings.scores[i, j, k] > 55)] for k, c in enumerate(ratings.cases)} for i, arm in enumerate(ratings.modalities)}
        for j, r in enumerate(ratings.readers)
    }  # fmt: skip
    known = {
        "title": "Test <study>", "study_id": "T", "ratings": ratings, "times": times, "categories": categories,
        "category_order": ("4", "5"), "cut": 55.0, "washout_days": (28.0, 31.0, 40.0),
        "flow": FlowCounts(cases_planned=26, cases_practice=2, cases_read=24, reads_planned=144, reads_done=144, reads_flagged=6),
        "groups": {"R0": "senior"}, "standalone": {c: float(k % 2) + 0.1 * (k % 3) for k, c in enumerate(ratings.cases)},
    }  # fmt: skip
    return ReportInputs(**{**known, **changes})


class Balanced(HTMLParser):
    """Finds tags that are not closed, and counts rows."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tables = 0

    def handle_starttag(self, tag, attrs):
        self.tables += tag == "table"
        if tag not in {"meta", "br", "img"} and tag != "p":
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag != "p" and self.open:
            assert self.open.pop() == tag


def test_rs_g1_report_is_one_page_with_every_section_and_files_beside_it(tmp_path):
    files = write_report(inputs(), tmp_path)
    page = files[0].read_text(encoding="utf-8")
    for words in ("Test &lt;study&gt;", "Research use only", "Reader accuracy", "Sensitivity and specificity", "Reading times", "Agreement"):  # fmt: skip
        assert words in page
    parser = Balanced()
    parser.feed(page)
    assert parser.tables == sum(path.suffix == ".csv" for path in files)
    svg = [path for path in files if path.suffix == ".svg"]
    assert {path.stem for path in svg} >= {"roc", "distributions", "times", "flow"}
    for path in svg:
        assert ET.parse(path).getroot().tag.endswith("svg")
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids)), "two figures on one page must not share ids"


def test_rs_g4_equal_input_gives_equal_files(tmp_path):
    first, second = write_report(inputs(), tmp_path / "a"), write_report(inputs(), tmp_path / "b")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


@pytest.mark.data
def test_rs_s3_the_printed_table_is_van_dykes(data_root, tmp_path):
    write_report(inputs_of_file(data_root / "mrmc" / "vandyke.csv", cut=3), tmp_path)
    with (tmp_path / "auc_tests.csv").open() as stream:
        rows = {row["generalises to"]: row for row in csv.DictReader(stream)}
    random = rows["random readers, random cases"]
    assert (round(float(random["value"]), 4), round(float(random["df2"]), 2), random["p"]) == (
        4.4563,
        15.26,
        ".0517",
    )
    assert rows["fixed readers, random cases"]["p"] == ".0193"
    page = (tmp_path / "report.html").read_text()
    assert "jackknife" in page
    assert re.search(r"data SHA-256 [0-9a-f]{64}", page)  # RS-S11


@pytest.mark.data
def test_free_response_workbook_gives_wafroc_tables(data_root, tmp_path):
    files = {
        p.name for p in write_report(inputs_of_file(data_root / "mrmc" / "formats" / "Froc.xlsx"), tmp_path)
    }
    assert {"wafroc.svg", "wafroc_tests.csv", "hrauc_means.csv"} <= files


def test_rs_s13_area_under_the_average_curve_is_the_readers_mean():
    ratings = study()
    for i in range(2):
        x, y = average_curve(ratings, i)
        mean = np.mean([auc(ratings.scores[i, j], ratings.truth) for j in range(3)])
        assert np.trapezoid(y, x) == pytest.approx(mean, abs=1e-3)


def test_figures_show_every_reader_and_every_operating_point():
    svg = roc_figure(inputs()).svg
    for reader in ("R0", "R1", "R2"):
        assert f">{reader}<" in svg
    assert "average, AUC" in svg
    drawn = times_figure(inputs().times, ("aided", "unaided")).svg
    assert "reading time, s" in drawn


def test_what_is_absent_says_why_and_the_rest_is_there():
    report = make_report(inputs(times=None, froc=None, categories={}, cut=None, standalone={}))
    absent = [part for section in report.sections for part in section.parts if isinstance(part, Absent)]
    assert {part.title for part in absent} >= {"wAFROC", "Times", "Kappa", "At a cut-off", "AI alone"}
    assert any(isinstance(p, Table) and p.name == "auc_tests" for s in report.sections for p in s.parts)


def test_one_reader_gets_what_one_reader_can_have():
    ratings = study().pick(readers=["R0"])
    report = make_report(inputs(ratings=ratings, times=None, categories={}))
    titles = {p.title: p for s in report.sections for p in s.parts}
    assert any(isinstance(p, Absent) and "two readers" in p.why for p in titles.values())
    assert any(isinstance(p, Table) and p.name == "auc_by_reader" for p in titles.values())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0.0, "0.0000"),
        (0.00001, "1.00e-05"),
        (12.3, "12.3000"),
        (1234.5, "1234.5"),
        (7, "7"),
    ],
)
def test_cells_are_printed_alike(value, text):
    assert shown(value) == text


@pytest.mark.parametrize(
    ("p", "text"), [(0.05167, ".0517"), (0.00001, "<.0001"), (1.0, "1.0000"), (None, "–")]
)
def test_p_values_are_never_printed_as_zero(p, text):
    assert p_shown(p) == text


def export(tmp_path, readings=True):
    folder = tmp_path / "export"
    folder.mkdir()
    head = "study_id,reader_id,period,case_id,arm_id,birads_R,birads_L,suspicion_max,interrupted\n"
    rng = np.random.default_rng(4)
    body = "".join(
        f"ST,{r},{1 + (a == 'aided')},c{k},{a},{'4A' if k % 2 else '2'},1,{int(rng.integers(0, 60) + 40 * (k % 2))},0\n"
        for r in ("r1", "r2") for a in ("unaided", "aided") for k in range(12)
    ) if readings else ""  # fmt: skip
    (folder / "readings.csv").write_text(head + body + "ST,r1,0,p1,aided,1,1,3,0\n")
    (folder / "times.csv").write_text(
        "reader_id,period,case_id,arm_id,active_s,interrupted\n"
        + "".join(
            f"{r},1,c{k},{a},{20 + k},0\n"
            for r in ("r1", "r2")
            for a in ("unaided", "aided")
            for k in range(12)
        )
    )
    (folder / "sessions.csv").write_text(
        "period,n_planned,washout_overridden,protocol_hash\n1,12,0,ab\n2,12,0,ab\n"
    )
    truth = tmp_path / "truth.csv"
    truth.write_text("case_id,malignant\n" + "".join(f"c{k},{k % 2}\n" for k in range(12)))
    return folder, truth


def test_an_export_folder_is_analysed_practice_left_out_and_aided_first(tmp_path):
    folder, truth = export(tmp_path)
    found = inputs_of_export(folder, truth, cut=50)
    assert found.ratings.modalities == ("aided", "unaided")
    assert set(found.ratings.cases) == {f"c{k}" for k in range(12)}
    assert found.categories["r1"]["aided"]["c1"] == "4A"
    write_report(found, tmp_path / "out")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("truth", "expected the truth of case"),
        ("table", "run `negatoscope export` first"),
        ("value", "malignant 0 or 1"),
    ],
)
def test_missing_tables_and_truths_are_named(tmp_path, damage, words):
    folder, truth = export(tmp_path)
    if damage == "truth":
        truth.write_text("case_id,malignant\nc0,0\n")
    elif damage == "table":
        (folder / "times.csv").unlink()
    else:
        truth.write_text("case_id,malignant\nc0,maybe\n")
    with pytest.raises((ReportError, StudyError), match=words):
        inputs_of_export(folder, truth)


def test_the_command_writes_the_report(tmp_path):
    import typer

    from reader_study.report_command import register

    app = typer.Typer()
    register(app)
    app.command("other")(lambda: None)
    folder, truth = export(tmp_path)
    done = CliRunner().invoke(
        app, ["analyse", str(folder), "--truth", str(truth), "--out", str(tmp_path / "r")]
    )
    assert done.exit_code == 0, done.output
    assert (tmp_path / "r" / "report.html").is_file()
