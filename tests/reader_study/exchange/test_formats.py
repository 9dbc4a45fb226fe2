"""Every real exchange file comes in, every bad one is refused with its place, and what is written comes back equal."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reader_study.exchange.delimited import (
    read_imrmc,
    read_long_csv,
    read_lrc,
    with_case_names,
    write_imrmc,
    write_long_csv,
    write_lrc,
)
from reader_study.exchange.files import read_observer_data
from reader_study.exchange.observer_data import (
    Crossing,
    ExchangeError,
    Lesion,
    Mark,
    ObserverData,
    Paradigm,
    TruthCase,
    normalised,
    roc_data,
)
from reader_study.exchange.workbook import read_workbook
from reader_study.exchange.workbook_writer import read_names, write_workbook
from reader_study.statistics.covariance import estimates
from reader_study.statistics.obuchowski_rockette import analyse

REAL = {  # file: paradigm, crossing, readers, modalities, cases, marks (counted in the files by hand or by Excel)
    "FedRoc.xlsx": ("ROC", "FCTRL", 4, 5, 200, 4000),
    "Froc.xlsx": ("FROC", "FCTRL", 4, 2, 200, 736 + 567),
    "RocData.csv": ("ROC", "FCTRL", 5, 2, 114, 1140),
    "RocData.imrmc": ("ROC", "FCTRL", 5, 2, 114, 1140),
    "RocData.lrc": ("ROC", "FCTRL", 5, 2, 114, 1140),
    "frocCr.xlsx": ("FROC", "FCTRL", 3, 2, 8, 31 + 22),
    "frocCr013Lesions.xlsx": ("FROC", "FCTRL", 3, 2, 8, 29 + 22),
    "imrmc_input.imrmc": ("ROC", "FCTRL", 5, 2, 80, 800),
    "lroc.xlsx": ("LROC", "FCTRL", 3, 2, 8, 17 + 31),
    "rocCr.xlsx": ("ROC", "FCTRL", 5, 2, 8, 80),
    "rocSpA.xlsx": ("ROC", "SPLIT-PLOT-A", 4, 2, 10, 40),
    "rocSpC.xlsx": ("ROC", "SPLIT-PLOT-C", 3, 2, 30, 60),
    "viper_mrmcInput.imrmc.csv": ("ROC", "FCTRL", 20, 2, 419, 6911),
}
BAD = {  # file: sheet, row and column that the sentence must name
    "duplicatedRow.xlsx": ("TRUTH", 7, "CaseID"),
    "frocCrNonCharInModalityID.xlsx": ("TRUTH", 9, "ModalityID"),
    "incorrectCaseIDsInTP.xlsx": ("TP", 7, "CaseID"),
    "incorrectWeights.xlsx": ("TRUTH", 5, "Weight"),
    "missing2CellsRow5and7.xlsx": ("TRUTH", 3, "CaseID"),
    "missingEntireRow5.xlsx": ("TRUTH", 5, "CaseID"),
    "non-integerCellsRows5and7.xlsx": ("TRUTH", 5, "Weight"),
    "non-numeric-weight.xlsx": ("TRUTH", 5, "Weight"),
    "rocSpCText.xlsx": ("TRUTH", 2, "CaseID"),
}


@pytest.fixture
def formats(data_root: Path) -> Path:
    return data_root / "mrmc" / "formats"


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
def test_rs_x3_real_files_come_in(formats, name):
    data = read_observer_data(formats / name)
    found = (
        data.paradigm,
        data.crossing,
        len(data.readers),
        len(data.modalities),
        len(data.cases),
        len(data.marks),
    )
    assert found == REAL[name]  # fmt: skip


@pytest.mark.data
def test_rs_x3_all_files_of_the_folder_are_known_here(formats):
    print_outs = {
        "FedRoc.txt",
        "VanDyke.txt",
        "VanDykeROC.txt",
        "XModDataFile.xlsx",
        "bad_expected_RJafroc_messages.txt",
    }
    assert {p.name for p in formats.iterdir() if p.is_file()} == set(REAL) | print_outs
    assert {p.name for p in (formats / "bad").iterdir()} == set(BAD)
    with pytest.raises(ExchangeError, match=r"XModDataFile\.xlsx, sheet TRUTH, row 1, column 1: .*Case_ID"):
        read_observer_data(formats / "XModDataFile.xlsx")
    with pytest.raises(ExchangeError, match="print-out"):
        read_observer_data(formats / "VanDyke.txt")


@pytest.mark.data
@pytest.mark.parametrize("name", BAD)
def test_rs_x3_bad_files_are_refused_with_sheet_row_and_column(formats, name):
    sheet, row, column = BAD[name]
    with pytest.raises(ExchangeError) as refused:
        read_observer_data(formats / "bad" / name)
    sentence = str(refused.value)
    assert sentence.startswith(f"{name}, sheet {sheet}, row {row}, column {column}: expected ")
    assert "found" in sentence


@pytest.mark.data
def test_rs_x3_the_same_study_from_three_formats_is_the_same_data(formats):
    three = [read_observer_data(formats / f"RocData.{ending}") for ending in ("csv", "imrmc", "lrc")]
    results = [analyse(estimates(data.ratings())).test for data in three]
    assert [round(r.statistic, 6) for r in results if r] == [4.456319] * 3  # Van Dyke's published F


@pytest.mark.data
@pytest.mark.parametrize(
    "name", [n for n, row in REAL.items() if row[1] == "FCTRL" and not n.startswith("viper")]
)
def test_rs_x2_real_files_survive_the_workbook(formats, name, tmp_path):
    data = read_observer_data(formats / name)
    write_workbook(data, tmp_path / "out.xlsx")
    assert read_names(tmp_path / "out.xlsx", read_workbook(tmp_path / "out.xlsx")) == data


names = st.text("abcXYZ019 -_.é", min_size=1, max_size=8).map(str.strip).filter(bool)
# a cell of a workbook carries 15 digits
ratings = st.one_of(
    st.integers(-5, 200).map(float), st.floats(-1e3, 1e3, allow_nan=False).map(lambda x: round(x, 6))
)


@st.composite
def studies(draw, *, full=True):
    readers = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    modalities = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    cases = draw(st.lists(names, min_size=2, max_size=6, unique=True))
    readers = [r for r in readers if r.lower() not in {"truth", "-1"}] or ["r1"]
    rows = []
    for k, case in enumerate(cases):
        for i, reader in enumerate(readers):
            for j, modality in enumerate(modalities):
                if full or (i, j) == (0, 0) or draw(st.booleans()):
                    rows.append((reader, modality, case, k % 2 == 0, draw(ratings)))
    return roc_data(rows)


tolerant = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@tolerant
@given(studies(full=False))
def test_rs_x2_imrmc_and_long_csv_give_the_same_data_back(tmp_path, data):
    key = write_imrmc(data, tmp_path / "out.imrmc")
    assert with_case_names(read_imrmc(tmp_path / "out.imrmc"), key) == data
    write_long_csv(data, tmp_path / "out.csv")
    assert read_long_csv(tmp_path / "out.csv") == data


@tolerant
@given(studies())
def test_rs_x2_lrc_and_workbook_give_the_same_data_back(tmp_path, data):
    write_workbook(data, tmp_path / "out.xlsx")
    assert read_names(tmp_path / "out.xlsx", read_workbook(tmp_path / "out.xlsx")) == data
    if not any(name.strip() in {"*", "#"} for name in (*data.readers, *(c.case_id for c in data.cases))):
        write_lrc(data, tmp_path / "out.lrc")
        assert read_lrc(tmp_path / "out.lrc") == data


def test_rs_x2_free_response_marks_survive_the_workbook(tmp_path):
    cases = (
        TruthCase(case_id="n1"),
        TruthCase(
            case_id="d1", lesions=(Lesion(lesion_id="1", weight=0.25), Lesion(lesion_id="2", weight=0.75))
        ),
    )
    marks = (
        Mark(reader="Dr A", modality="aided", case_id="d1", lesion_id="2", rating=80),
        Mark(reader="Dr A", modality="aided", case_id="d1", lesion_id="", rating=20),
        Mark(reader="Dr A", modality="aided", case_id="d1", lesion_id="", rating=20),
        Mark(reader="Dr A", modality="aided", case_id="n1", lesion_id="", rating=10.5),
    )
    reads = frozenset(("Dr A", "aided", case) for case in ("n1", "d1"))
    data = normalised(ObserverData(paradigm=Paradigm.FROC, cases=cases, reads=reads, marks=marks))
    write_workbook(data, tmp_path / "froc.xlsx")
    assert read_names(tmp_path / "froc.xlsx", read_workbook(tmp_path / "froc.xlsx")) == data


def test_what_a_format_cannot_hold_is_said_and_not_written(tmp_path):
    rows = [("a", "x", "1", True, 1.0), ("a", "x", "2", False, 1.0), ("b", "x", "1", True, 1.0)]
    partial = roc_data(rows)
    with pytest.raises(ExchangeError, match="write iMRMC instead"):
        write_lrc(partial, tmp_path / "o.lrc")
    with pytest.raises(ExchangeError, match="write iMRMC instead"):
        write_workbook(partial, tmp_path / "o.xlsx")
    froc = ObserverData(paradigm=Paradigm.FROC, cases=partial.cases, reads=partial.reads, marks=partial.marks)
    with pytest.raises(ExchangeError, match="RJafroc workbook"):
        write_imrmc(froc, tmp_path / "o.imrmc")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("no data here\n", "BEGIN DATA"),
        ("BEGIN DATA:\ntruth,1,truth,0\na,1,x\n", "line 3: expected 4 fields"),
        ("BEGIN DATA:\ntruth,1,truth,2\n", "line 2: truth of case 1: expected 0 or 1, found 2"),
        (
            "BEGIN DATA:\ntruth,1,truth,0\na,1,x,high\n",
            "line 3: column score: expected a number, found 'high'",
        ),
        ("BEGIN DATA:\ntruth,1,truth,0\na,1,x,1\na,1,x,2\n", r"line 4: .*found again \(first in line 3\)"),
        ("BEGIN DATA:\ntruth,1,truth,0\na,2,x,1\n", "line 3: case 2: expected its truth"),
        ("N0:5\nBEGIN DATA:\ntruth,1,truth,0\na,1,x,1\n", "says N0:5, its rows hold 1"),
        ("BEGIN DATA:\ntruth,1,truth,0\n", "at least one reading"),
    ],
)
def test_bad_imrmc_files_name_line_and_remedy(tmp_path, text, place):
    path = tmp_path / "bad.imrmc"
    path.write_text(text)
    with pytest.raises(ExchangeError, match=place):
        read_imrmc(path)


def test_damaged_and_foreign_files_get_one_sentence(tmp_path):
    (tmp_path / "a.xlsx").write_bytes(b"PK\x03\x04 not a zip")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00bad")
    (tmp_path / "c.csv").write_text("reader,case\n1,2\n")
    (tmp_path / "d.lrc").write_text('t\nr1\n"a"\nL\n 1 c1\n')
    book = openpyxl.Workbook()
    book.save(tmp_path / "e.xlsx")
    for name, words in (("a.xlsx", "Excel workbook"), ("b.csv", "expected text"), ("c.csv", "expected a column"),
                        ("d.lrc", "cut off"), ("e.xlsx", "expected a sheet TRUTH"), ("none.xlsx", "no file")):  # fmt: skip
        with pytest.raises(ExchangeError, match=words):
            read_observer_data(tmp_path / name)


def test_split_plot_designs_are_read_and_their_arrays_have_gaps(tmp_path):
    rows = [
        ("1", "x", "1", True, 2.0),
        ("1", "x", "2", False, 1.0),
        ("2", "y", "3", True, 2.0),
        ("2", "y", "4", False, 0.0),
    ]
    data = roc_data(rows, crossing=Crossing.SPLIT_PLOT_C)
    assert not data.ratings().is_complete
    with pytest.raises(ExchangeError, match="found 4"):
        data.froc()
