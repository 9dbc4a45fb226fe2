"""The image manifest: rows, their faults by file, row and column, and pictures of 8 and 16 bits."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from inference.exam.manifest import exams_of, load_case, read_manifest
from inference.exam.pictures import decode_picture
from inference.exam.types import ExamError
from resources.vocabulary import FindingType, ImageKind

HEAD = "case_id,laterality,view,kind,path,spacing_mm,pathology,age,scanner_note\n"


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pictures_load_through_the_manifest(tmp_path, breast, suffix, dtype):
    if suffix == ".jpg" and dtype is np.uint16:
        dtype = np.uint8
    pixels = breast(bits=8 if dtype is np.uint8 else 16).astype(dtype)
    assert cv2.imwrite(str(tmp_path / f"a{suffix}"), pixels)
    (tmp_path / "m.csv").write_text(HEAD + f"c1,L,MLO,film,a{suffix},0.05,normal,61,kept\n", encoding="utf-8")
    table = read_manifest(tmp_path / "m.csv")
    assert table.problems == ()
    ((case, rows),) = exams_of(table)
    assert rows[0].extra == {"scanner_note": "kept"}
    exam = load_case(case, rows, table.folder)
    image = exam.images[0]
    assert exam.age == 61
    assert image.kind is ImageKind.FILM
    assert image.spacing is not None
    assert image.spacing.row_mm == 0.05
    if suffix != ".jpg":
        assert np.array_equal(image.pixels, pixels)


def test_bad_rows_are_named_by_file_row_and_column_and_the_rest_stays(tmp_path):
    rows = ["c1,X,MLO,film,a.png,,,,", "c1,L,UP,film,a.png,,,,", "c1,L,CC,xray,a.png,,,,", "c1,L,CC,film,,,,,",
            "c1,L,CC,film,a.png,wide,,,", "c1,L,CC,film,a.png,,maybe,,", "c1,L,CC,film,a.png,,,400,",
            "c2,R,CC,,b.png,,,,"]  # fmt: skip
    (tmp_path / "m.csv").write_text(HEAD + "\n".join(rows), encoding="utf-8")
    table = read_manifest(tmp_path / "m.csv")
    assert [image.case_id for image in table.images] == ["c2"]
    columns = ["laterality", "view", "kind", "path", "spacing_mm", "pathology", "age"]
    for number, (problem, column) in enumerate(zip(table.problems, columns, strict=True), start=2):
        assert problem.startswith(f"m.csv, row {number}, {column}: expected")


def test_missing_column_is_an_error_that_names_it(tmp_path):
    (tmp_path / "m.csv").write_text("case_id,view,path\n", encoding="utf-8")
    with pytest.raises(ExamError, match=r"m\.csv, row 1: expected the columns laterality"):
        read_manifest(tmp_path / "m.csv")


def test_lesions_are_boxes_circles_or_masks(tmp_path):
    (tmp_path / "m.csv").write_text(HEAD + "c1,L,CC,ffdm,a.png,,,,\n", encoding="utf-8")
    (tmp_path / "l.csv").write_text(
        "case_id,laterality,view,kind,lesion_id,type,malignant,x0,y0,x1,y1,x,y,radius,mask_path,shape\n"
        "c1,L,CC,,1,mass,1,10,20,30,50,,,,,oval\n"
        "c1,L,CC,ffdm,2,calcification,,,,,,5,6,7,,\n"
        "c1,L,CC,,3,distortion,0,,,,,,,,m.png,\n"
        "c1,L,CC,,4,mass,1,,,,,,,,,\n"
        "c1,L,CC,,5,mass,1,30,20,10,50,,,,,\n", encoding="utf-8",
    )  # fmt: skip
    table = read_manifest(tmp_path / "m.csv", tmp_path / "l.csv")
    first, second, third = table.lesions
    assert first.box == (20, 10, 50, 30)
    assert first.malignant is True
    assert first.kind is None
    assert first.extra == {"shape": "oval"}
    assert second.circle == (6, 5, 7)
    assert second.malignant is None
    assert second.type is FindingType.CALCIFICATION
    assert third.mask_path == "m.png"
    assert [p.split(":")[0] for p in table.problems] == ["l.csv, row 5, x0", "l.csv, row 6, x1"]


def test_path_that_leads_out_of_the_folder_is_refused(tmp_path):
    inner = tmp_path / "in"
    inner.mkdir()
    (tmp_path / "a.png").write_bytes(b"x")
    (inner / "m.csv").write_text(HEAD + "c1,L,CC,ffdm,../a.png,,,,\n", encoding="utf-8")
    table = read_manifest(inner / "m.csv")
    with pytest.raises(ExamError, match="leads out"):
        load_case("c1", table.images, table.folder)


def test_case_json_shares_the_attributes_of_the_case(tmp_path):
    images = [
        {"path": "a.png", "laterality": "L", "view": "CC"},
        {"path": "b.png", "laterality": "Q", "view": "CC"},
    ]
    text = json.dumps({"case_id": "k", "kind": "film", "spacing_mm": 0.05, "images": images})
    (tmp_path / "case.json").write_text(text, encoding="utf-8")
    table = read_manifest(tmp_path / "case.json")
    assert table.images[0].kind is ImageKind.FILM
    assert table.images[0].spacing_mm == 0.05
    assert table.problems == ("case.json, row 2, laterality: expected L or R, found 'Q'.",)


def test_damaged_coloured_and_empty_pictures_get_one_sentence(breast):
    ok, png = cv2.imencode(".png", breast())
    assert ok
    colour = np.zeros((20, 20, 3), np.uint8)
    colour[..., 2] = 200
    claim = bytearray(png.tobytes())
    claim[16:24] = (60000).to_bytes(4, "big") * 2
    for data, words in (
        (b"", "empty"), (b"hello", "other data"), (png.tobytes()[:200], "damaged"),
        (cv2.imencode(".png", colour)[1].tobytes(), "true colour"), (bytes(claim), "claim"),
    ):  # fmt: skip
        with pytest.raises(ExamError, match=words):
            decode_picture(data)
