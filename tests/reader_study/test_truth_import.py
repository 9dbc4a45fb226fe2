"""The truth file: what it says reaches ``domain.truth``, and each wrong cell is named by line and column."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader_study.case_import import CaseStore, StoredCase, StoredExam, StoredImage
from reader_study.domain.truth import Truth, read_truth
from reader_study.errors import StudyError
from reader_study.truth_import import TruthImport, read_truth_csv, write_truth
from reader_study.truth_shapes import ShapeError, polygon
from resources.vocabulary import Density, FindingType, Laterality, Pathology

IMAGE = StoredImage(rows=200, cols=100, spacing_mm=(0.1, 0.1))
HEAD = "case_id,side,pathology,lesion_id,image_key,type,malignant,polygon,row,col,radius_mm,mask\n"
Read = Callable[..., TruthImport]


@pytest.fixture
def store(tmp_path: Path) -> CaseStore:
    images = dict.fromkeys(("R-CC", "R-MLO", "L-CC", "L-MLO"), IMAGE)
    return CaseStore(
        root=tmp_path / "cases",
        cases=[
            StoredCase(
                case_id=case_id, woman=case_id, exam=StoredExam(exam_id="E", digest="d", images=images, source="s")
            )
            for case_id in ("C0001", "C0002", "C0003")
        ],
    )  # fmt: skip


@pytest.fixture
def read(tmp_path: Path, store: CaseStore) -> Read:
    def of(text: str, links: dict[str, tuple[str, ...]] | None = None, head: str = HEAD) -> TruthImport:
        path = tmp_path / "truth.csv"
        path.write_text(head + text, encoding="utf-8")
        return read_truth_csv(path, store, links)

    return of


def test_rsl2_contours_circles_and_masks_become_lesions_with_centre_and_contour(
    tmp_path: Path, read: Read
) -> None:
    drawn = np.zeros((200, 100), np.uint8)
    drawn[50:71, 20:31] = 255  # rows 50..70, columns 20..30: centre (60, 25)
    drawn[0, 99] = 255  # a speck
    cv2.imwrite(str(tmp_path / "m.png"), drawn)
    found = read(
        "C0001,R,,a,R-CC,mass,1,10 20|10 40|30 40|30 20,,,,\n"
        "C0001,R,,a,R-MLO,mass,1,,100.5,50,7.5,\n"
        "C0001,L,,b,L-CC,calcification,no,,,,,m.png\n"
        "C0002,R,normal,,,,,,,,,\nC0002,L,normal,,,,,,,,,\n"
    )
    assert found.problems == ()
    assert found.lacking == ("C0003",)
    assert found.half == ()
    first, second = found.truths
    assert first.breasts == {Laterality.RIGHT: Pathology.MALIGNANT, Laterality.LEFT: Pathology.BENIGN}
    square, circle, masked = first.lesions
    assert (square.row, square.col) == (20, 30)
    assert square.contour == ((10, 20), (10, 40), (30, 40), (30, 20))
    assert (circle.row, circle.col, circle.radius_mm, circle.contour) == (100.5, 50, 7.5, ())
    assert (masked.row, masked.col, masked.finding) == (60, 25, FindingType.CALCIFICATION)
    assert {row for row, _ in masked.contour} == {50, 70}
    assert {col for _, col in masked.contour} == {20, 30}
    assert square.spacing_mm == (0.1, 0.1)
    assert not second.malignant


def test_rsl2_what_is_written_is_read_back_and_only_its_owner_can_read_it(tmp_path: Path, read: Read) -> None:
    found = read("C0001,R,,a,R-CC,mass,1,10 20|10 40|30 40,,,,\nC0001,L,benign,,,,,,,,,\n")
    path = tmp_path / "private" / "truth.json"
    write_truth(found.truths, path)
    assert read_truth(path) == found.truths
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_rs_d3_the_truths_density_is_kept_once_a_case_and_a_contradiction_is_named(
    tmp_path: Path, read: Read
) -> None:
    head = "case_id,side,pathology,density\n"
    found = read("C0001,R,normal,C\nC0001,L,normal,\nC0002,R,normal,\n", head=head)
    assert [one.density for one in found.truths] == [Density.HETEROGENEOUS, None]
    write_truth(found.truths, tmp_path / "truth.json")
    assert read_truth(tmp_path / "truth.json") == found.truths
    (wrong,) = read("C0001,R,normal,e\n", head=head).problems
    assert wrong == "truth.csv, line 2, column density: expected a, b, c, d or nothing, found 'e'."
    (apart,) = read("C0001,R,normal,a\nC0001,L,normal,b\n", head=head).problems
    assert "line 3, column density: expected a as line 2 says of this case, found b" in apart


def test_rsa6_patients_are_looked_up_in_the_links(read: Read) -> None:
    head = "patient_id,side,pathology\n"
    found = read("MRN-1,R,malignant\nMRN-9,R,benign\n", {"MRN-1": ("C0002",)}, head)
    assert [truth.case_id for truth in found.truths] == ["C0002"]
    assert found.problems == (
        "truth.csv, line 3, column patient_id: expected a patient of the table of links, found another.",
    )
    assert found.half == ("C0002 L",)
    assert "table of links" in read("MRN-1,R,benign\n", None, head).problems[0]


def test_rsl2_semicolons_and_a_byte_order_mark_are_read_too(read: Read) -> None:
    found = read("C0001;R;;a;R-CC;mass;1;;20;30;5;\n", head="\ufeff" + HEAD.replace(",", ";"))
    assert found.problems == ()
    assert found.truths[0].lesions[0].radius_mm == 5


@pytest.mark.parametrize(
    ("row", "column", "said"),
    [
        ("C0009,R,normal,,,,,,,,,", "case_id", "imported case"),
        (",R,normal,,,,,,,,,", "case_id", "found none"),
        ("C0001,X,normal,,,,,,,,,", "side", "R or L"),
        ("C0001,R,fine,,,,,,,,,", "pathology", "normal, benign, malignant"),
        ("C0001,R,,,,,,,,,,", "pathology", "without a lesion"),
        ("C0001,R,benign,,R-CC,,,,,,,", "lesion_id", "image_key"),
        ("C0001,R,,a,R-XX,mass,1,,1,1,1,", "image_key", "L-CC, L-MLO, R-CC, R-MLO"),
        ("C0001,L,,a,R-CC,mass,1,,1,1,1,", "side", "image R-CC"),
        ("C0001,R,,a,R-CC,lump,1,,1,1,1,", "type", "mass"),
        ("C0001,R,,a,R-CC,mass,maybe,,1,1,1,", "malignant", "yes or no"),
        ("C0001,R,,a,R-CC,mass,1,,,,,", "polygon", "none or several"),
        ("C0001,R,,a,R-CC,mass,1,1 1|2 2|3 9,1,1,1,", "polygon", "none or several"),
        ("C0001,R,,a,R-CC,mass,1,1 1|2 2,,,,", "polygon", "three corners"),
        ("C0001,R,,a,R-CC,mass,1,1 1|2 2|3 3,,,,", "polygon", "on a line"),
        ("C0001,R,,a,R-CC,mass,1,1 1|2|3 3,,,,", "polygon", "corner 2"),
        ("C0001,R,,a,R-CC,mass,1,1 1|2 2|201 3,,,,", "polygon", "200 rows and 100 columns"),
        ("C0001,R,,a,R-CC,mass,1,,1,,1,", "col", "a number"),
        ("C0001,R,,a,R-CC,mass,1,,1,101,1,", "col", "inside the image"),
        ("C0001,R,,a,R-CC,mass,1,,nan,1,1,", "row", "a number"),
        ("C0001,R,,a,R-CC,mass,1,,1,1,0,", "radius_mm", "more than 0"),
        ("C0001,R,,a,R-CC,mass,1,,1,1,,", "radius_mm", "a number"),
        ("C0001,R,,a,R-CC,mass,1,,,,,gone.png", "mask", "could not be read"),
        ("C0001,R,,a,R-CC,mass,1,,,,,../x.png", "mask", "leads out"),
    ],
)
def test_rsl2_a_wrong_cell_is_named_by_line_and_column(read: Read, row: str, column: str, said: str) -> None:
    found = read(f"C0002,L,normal,,,,,,,,,\n{row}\n")
    assert len(found.problems) == 1
    assert found.problems[0].startswith(f"truth.csv, line 3, column {column}: ")
    assert said in found.problems[0]


@pytest.mark.parametrize(
    ("size", "regions", "said"),
    [
        ((200, 99), 1, "200 x 100"),
        ((200, 100), 0, "empty"),
        ((200, 100), 2, "found 2"),
        (None, 1, "gray PNG"),
    ],
)
def test_rsl2_a_mask_that_does_not_fit_is_refused(
    tmp_path: Path, read: Read, size: tuple[int, int] | None, regions: int, said: str
) -> None:
    if size is None:
        (tmp_path / "m.png").write_bytes(b"no picture")
    else:
        drawn = np.zeros(size, np.uint8)
        for number in range(regions):
            drawn[20 + 60 * number : 40 + 60 * number, 10:30] = 1
        cv2.imwrite(str(tmp_path / "m.png"), drawn)
    found = read("C0001,R,,a,R-CC,mass,1,,,,,m.png\n")
    assert len(found.problems) == 1
    assert said in found.problems[0]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("C0001,R,benign,,,,,,,,,\nC0001,R,malignant,,,,,,,,,\n", "line 3, column pathology: expected benign as line 2"),
        ("C0001,R,,a,R-CC,mass,1,,1,1,1,\nC0001,R,,a,R-MLO,asymmetry,1,,1,1,1,\n", "line 3, column type: expected mass"),
        ("C0001,R,,a,R-CC,mass,1,,1,1,1,\nC0001,R,,a,R-MLO,mass,0,,1,1,1,\n", "line 3, column malignant"),
        ("C0001,R,,a,R-CC,mass,1,,1,1,1,\nC0001,L,,a,L-CC,mass,1,,1,1,1,\n", "line 3, column side"),
        ("C0001,R,,a,R-CC,mass,1,,1,1,1,\nC0001,R,,a,R-CC,mass,1,,9,9,1,\n", "line 3, column lesion_id"),
        ("C0001,R,benign,a,R-CC,mass,1,,1,1,1,\n", "line 2, column malignant: expected no malignant"),
        ("C0001,R,normal,,,,,,,,,\nC0001,R,,a,R-CC,mass,0,,1,1,1,\n", "calls normal"),
    ],
)  # fmt: skip
def test_rsl2_rows_that_contradict_each_other_are_named(read: Read, rows: str, said: str) -> None:
    problems = read(rows).problems
    assert len(problems) == 1
    assert said in problems[0]


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("case_id,side,colour\n", "colour"),
        ("case_id,pathology\n", "side"),
        ("side,pathology\n", "case_id"),
        ("case_id,side,side\n", "side twice"),
    ],
)
def test_rsl2_a_header_that_does_not_fit_is_refused(read: Read, head: str, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        read("", head=head)


def test_rsl2_a_row_with_too_many_cells_is_named(read: Read) -> None:
    with pytest.raises(StudyError, match="line 2: expected 12 cells"):
        read("C0001,R,normal\n")


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 100)), min_size=3, max_size=8),
    st.integers(0, 7),
)
def test_rsl2_a_polygon_has_one_centre_whichever_corner_comes_first(
    corners: list[tuple[int, int]], turn: int
) -> None:
    def centre(points: list[tuple[int, int]]) -> tuple[float, float] | None:
        try:
            shape = polygon("|".join(f"{row} {col}" for row, col in points), IMAGE)
        except ShapeError:
            return None
        return shape.row, shape.col

    turned = corners[turn % len(corners) :] + corners[: turn % len(corners)]
    one, other, back = centre(corners), centre(turned), centre(corners[::-1])
    assert (one is None) == (other is None) == (back is None)
    if one is not None:
        assert one == pytest.approx(other, abs=1e-3)
        assert one == pytest.approx(back, abs=1e-3)


def test_rsl2_truth_says_nothing_of_cases_without_rows(read: Read) -> None:
    found = read("")
    assert found.truths == ()
    assert found.lacking == ("C0001", "C0002", "C0003")
    assert isinstance(found.truths, tuple)
    assert Truth(case_id="x", breasts={}).malignant is False


def test_rsa6_a_patient_id_that_two_women_have_is_refused_and_never_guessed(read: Read) -> None:
    head = "patient_id,side,pathology\n"
    found = read("MRN-1,R,malignant\n", {"MRN-1": ("C0001", "C0002")}, head)
    assert found.problems == (
        "truth.csv, line 2, column patient_id: expected an id of one woman, found it in C0001, C0002;"
        " write case_id instead.",
    )
    assert found.truths == ()


def test_rsl2_row_and_column_changed_over_is_said_where_it_shows(read: Read) -> None:
    (found,) = read("C0001,R,,a,R-CC,mass,1,,90,150,5,\n").problems  # the image has 200 rows and 100 columns
    assert "line 2, column col" in found
    assert found.endswith("with row and column changed over: rows come first.")
    (found,) = read("C0001,R,,a,R-CC,mass,1,,900,150,5,\n").problems
    assert "changed over" not in found
