"""Each public set from a tiny folder in its published layout, made here; two of them also from real files."""

from __future__ import annotations

import csv
import json
import plistlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from openpyxl import Workbook
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

from inference.__main__ import main
from inference.datasets.catalogue import DATASETS
from inference.datasets.cesm import lesion_type
from inference.datasets.contours import Contour, via_mask
from inference.datasets.inbreast import speck_groups
from inference.datasets.terms import birads_term, finding_of_shape
from inference.evaluation.truth import read_truth
from inference.exam.manifest import exams_of, load_case, read_manifest
from inference.training.four_view_data import TERMS

Rows = list[dict[str, str]]


def write_dicom(path: Path, pixels: np.ndarray, **tags: object) -> None:
    """A mammogram as the sets hold them; no View Code where ``tags`` give none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = generate_uid(), generate_uid(), "MG"
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    bits = 8 * pixels.dtype.itemsize
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = bits, bits, bits - 1
    ds.PixelData = pixels.tobytes()
    for name, value in tags.items():
        setattr(ds, name, value)
    ds.save_as(path, enforce_file_format=True)


def breast(rows: int = 60, cols: int = 40, dtype: type[np.generic] = np.uint16) -> np.ndarray:
    pixels: np.ndarray = np.zeros((rows, cols), dtype)
    pixels[5:-5, : cols // 2] = 200
    return pixels


def write_csv(path: Path, rows: Sequence[Mapping[str, object]], delimiter: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), restval="", delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def prepared(name: str, folder: Path, out: Path, *options: str) -> tuple[Rows, Rows, Rows]:
    """Run the command; images, lesions and skipped. The manifest is read back and every image decoded."""
    assert main(["datasets", "prepare", name, str(folder), "--out", str(out), *options]) == 0
    manifest = read_manifest(out / "images.csv", out / "lesions.csv")
    assert manifest.problems == ()
    for case, rows in exams_of(manifest):
        assert len(load_case(case, rows, out).images) == len(rows)
    assert not [
        s for s in read_truth(out / "images.csv", out / "lesions.csv").notes if "mask" in s or "left out" in s
    ]
    return read_rows(out / "images.csv"), read_rows(out / "lesions.csv"), read_rows(out / "skipped.csv")


def read_rows(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, Path]:
    folder = tmp_path / "set"
    folder.mkdir()
    return folder, tmp_path / "out"


def vindr(folder: Path) -> None:
    shared = {"study_id": "s1", "series_id": "x", "height": 60, "width": 40, "breast_density": "DENSITY C"}
    breasts = []
    for k, (side, view) in enumerate([("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO")]):
        birads, split = ("BI-RADS 5", "training") if side == "L" else ("BI-RADS 1", "training")
        breasts.append({**shared, "image_id": f"image{k}", "laterality": side, "view_position": view,
                        "breast_birads": birads, "split": split})  # fmt: skip
        if k < 3:
            write_dicom(folder / "images" / "s1" / f"image{k}.dicom", breast())
    write_csv(folder / "breast-level_annotations.csv", breasts)
    finding = {
        **breasts[0],
        "finding_birads": "BI-RADS 5",
        "xmin": 3.5,
        "ymin": 10,
        "xmax": 15,
        "ymax": 30.25,
    }
    write_csv(
        folder / "finding_annotations.csv",
        [
            {**finding, "finding_categories": "['Mass', 'Skin Retraction']"},
            {**finding, "finding_categories": "['Suspicious Calcification']", "finding_birads": "BI-RADS 3"},
            {**finding, "finding_categories": "['Skin Thickening']"},
            {**breasts[2], "finding_categories": "['No Finding']"},
        ],
    )
    write_csv(
        folder / "metadata.csv",
        [{"SOP Instance UID": "image0", "Patient's Age": "053Y", "Manufacturer": "SIEMENS",
          "Manufacturer's Model Name": "Mammomat Inspiration", "Imager Pixel Spacing": "[0.085, 0.085]"}],
    )  # fmt: skip


def test_vindr_mammo_gives_boxes_types_split_and_leaves_pathology_open(place: tuple[Path, Path]) -> None:
    vindr(place[0])
    images, lesions, skipped = prepared("vindr-mammo", *place)
    assert len(images) == 3
    first = images[0]
    assert (first["case_id"], first["laterality"], first["view"], first["split"]) == (
        "s1",
        "L",
        "CC",
        "train",
    )
    assert (first["birads"], first["density"], first["age"], first["spacing_mm"]) == ("5", "c", "53", "0.085")
    assert {row["pathology"] for row in images} == {""}
    assert [(row["type"], row["x0"], row["y1"], row["malignant"]) for row in lesions] == [
        ("mass", "3.5", "30.25", ""),
        ("calcification", "3.5", "30.25", ""),
    ]
    assert [row["file"] for row in skipped] == [
        "breast-level_annotations.csv, row 5",
        "finding_annotations.csv, row 4",
    ]


def test_birads_serve_as_pathology_only_where_the_user_says_so(
    place: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    vindr(place[0])
    images, lesions, _ = prepared("VinDr", *place, "--birads-as-pathology")
    assert [row["pathology"] for row in images] == ["malignant", "malignant", "normal"]
    assert [row["malignant"] for row in lesions] == ["1", "0"]
    assert "an opinion, not a truth" in capsys.readouterr().out


def cbis(folder: Path) -> None:
    row = {
        "patient_id": "P_00001", "breast_density": 3, "left or right breast": "LEFT", "image view": "CC",
        "abnormality id": 1, "abnormality type": "mass", "mass shape": "IRREGULAR", "mass margins": "SPICULATED",
        "assessment": 5, "pathology": "MALIGNANT", "subtlety": 4,
        "image file path": "Mass-Training_P_00001_LEFT_CC/1.3.6/1.3.7/000000.dcm",
        "cropped image file path": "Mass-Training_P_00001_LEFT_CC_1/1.3.6/1.3.8/000000.dcm\n",
        "ROI mask file path": "Mass-Training_P_00001_LEFT_CC_1/1.3.6/1.3.8/000001.dcm\n",
    }  # fmt: skip
    mlo = {**row, "image view": "MLO", "image file path": "Mass-Training_P_00001_LEFT_MLO/a/b/000000.dcm"}
    write_csv(folder / "mass_case_description_train_set.csv", [row, mlo])
    calc = {
        "patient_id": "P_00001", "breast density": 3, "left or right breast": "LEFT", "image view": "CC",
        "abnormality id": 1, "abnormality type": "calcification", "calc type": "PLEOMORPHIC",
        "calc distribution": "CLUSTERED", "assessment": 2, "pathology": "BENIGN_WITHOUT_CALLBACK", "subtlety": 3,
        "image file path": "Calc-Test_P_00001_LEFT_CC/1/2/000000.dcm",
    }  # fmt: skip
    write_csv(folder / "calc_case_description_test_set.csv", [calc])
    deep = folder / "CBIS-DDSM"
    for name in ("Mass-Training_P_00001_LEFT_CC", "Calc-Test_P_00001_LEFT_CC"):
        film = deep / name / "07-20-2016-DDSM-30612" / "1.000000-full mammogram images-1" / "1-1.dcm"
        write_dicom(film, breast(), PatientOrientation="CC", Laterality="L")
        mask = np.zeros((60, 40), np.uint8)
        mask[20:30, 4:12] = 255
        inside = deep / f"{name}_1" / "07-20-2016" / "1.000000-ROI mask images-1"
        crop = np.arange(80, dtype=np.uint16).reshape(10, 8)
        first, second = ("1-1.dcm", "1-2.dcm") if name.startswith("Mass") else ("1-2.dcm", "1-1.dcm")
        write_dicom(inside / first, crop)  # mask and crop are swapped between the two
        write_dicom(inside / second, mask)
    ics = "ics_version 1.0\nDIGITIZER LUMISYS\nLEFT_CC LINES 60 PIXELS_PER_LINE 40 BITS_PER_PIXEL 12 RESOLUTION 50 OVERLAY\n"
    (folder / "C-0001-1.ics").write_text(ics, encoding="ascii")


def test_cbis_ddsm_finds_masks_by_size_joins_the_films_and_takes_the_scanners_pixel_size(
    place: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    cbis(place[0])
    images, lesions, skipped = prepared("cbis-ddsm", *place)
    assert [(row["case_id"], row["kind"], row["pathology"], row["density"]) for row in images] == [
        ("P_00001", "film", "malignant", "c")
    ]
    assert images[0]["spacing_mm"] == "0.05"
    assert images[0]["split"] == "train"
    assert [row["lesion_id"] for row in lesions] == ["calc-1", "mass-1"]
    calc, mass = lesions
    assert (mass["x0"], mass["y0"], mass["x1"], mass["y1"]) == ("4", "20", "12", "30")
    assert (mass["type"], mass["malignant"], mass["margin"]) == ("mass", "1", "spiculated")
    assert (calc["type"], calc["malignant"]) == ("calcification", "0")
    assert (calc["morphology"], calc["distribution"]) == ("fine pleomorphic", "grouped")
    assert calc["cbis_terms"] == "PLEOMORPHIC; CLUSTERED"
    assert [row["file"] for row in skipped] == ["mass_case_description_train_set.csv, row 7"]
    assert "Mass-Training_P_00001_LEFT_MLO of its film is not there" in skipped[0]["why"]
    said = capsys.readouterr().out
    assert "Creative Commons Attribution 3.0" in said
    assert "1 women are in train and in test" in said
    assert "P_00001" in said
    assert {(row["split"], row["published_split"]) for row in lesions} == {
        ("train", "train"),
        ("train", "test"),
    }


@pytest.mark.parametrize(
    "lost",
    [
        ("Mass-Training_P_00001_LEFT_CC_1",),
        ("Mass-Training_P_00001_LEFT_CC_1", "Calc-Test_P_00001_LEFT_CC_1"),
    ],
)
def test_cbis_ddsm_knows_a_cancer_whose_mask_is_not_there(
    place: tuple[Path, Path], lost: tuple[str, ...]
) -> None:
    cbis(place[0])
    for name in lost:
        shutil.rmtree(place[0] / "CBIS-DDSM" / name)
    images, lesions, skipped = prepared("cbis-ddsm", *place)
    assert [row["pathology"] for row in images] == ["malignant"]
    assert len(lesions) == 2 - len(lost)
    assert sum("of its mask is not there" in row["why"] for row in skipped) == len(lost)


@pytest.mark.parametrize(
    ("name", "text", "term"),
    [
        ("morphology", "PLEOMORPHIC", "fine pleomorphic"),
        ("morphology", "AMORPHOUS-PLEOMORPHIC", "fine pleomorphic"),
        ("morphology", "ROUND_AND_REGULAR-PUNCTATE", "punctate"),
        ("morphology", "VASCULAR", ""),
        ("distribution", "CLUSTERED", "grouped"),
        ("distribution", "CLUSTERED-SEGMENTAL", "segmental"),
        ("distribution", "N/A", ""),
        ("shape", "LOBULATED", "oval"),
        ("shape", "IRREGULAR-ARCHITECTURAL_DISTORTION", "irregular"),
        ("margin", "CIRCUMSCRIBED-ILL_DEFINED", "indistinct"),
        ("margin", "SPICULATED-ILL_DEFINED", "spiculated"),
    ],
)
def test_older_descriptors_become_terms_of_the_lexicon(name: str, text: str, term: str) -> None:
    assert birads_term(name, text) == term


def test_a_shape_column_that_names_no_shape_tells_the_finding() -> None:
    assert finding_of_shape("ARCHITECTURAL_DISTORTION") == "distortion"
    assert finding_of_shape("FOCAL_ASYMMETRIC_DENSITY") == "asymmetry"
    assert finding_of_shape("IRREGULAR-ARCHITECTURAL_DISTORTION") == ""
    assert finding_of_shape("LYMPH_NODE") == ""


@pytest.mark.parametrize("name", TERMS)
def test_every_term_that_the_detector_learns_is_one_that_a_set_can_give(name: str) -> None:
    assert {term for term in TERMS[name] if birads_term(name, term) != term} == set()


def test_cbis_ddsm_without_the_scanners_files_leaves_the_pixel_size_open_and_says_so(
    place: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    cbis(place[0])
    (place[0] / "C-0001-1.ics").unlink()
    images, _, _ = prepared("cbis-ddsm", *place)
    assert images[0]["spacing_mm"] == ""
    assert "spacing_mm is empty" in capsys.readouterr().out


def inbreast(folder: Path) -> None:
    release = folder / "INbreast Release 1.0"
    names = {
        "20586908": "20586908_6c613a14b80a8591_MG_R_CC_ANON.dcm",
        "20586934": "20586934_6c613a14b80a8591_MG_L_CC_ANON.dcm",
    }
    for name in names.values():
        write_dicom(release / "AllDICOMs" / name, breast(400, 300))
    (release / "AllDICOMs" / "Thumbs.db").write_bytes(b"")
    row = {"Patient ID": "removed", "Patient age": "removed", "Laterality": "R", "View": "CC",
           "Acquisition date": "201001", "File Name": "20586908", "ACR": "2", "Bi-Rads": "4c"}  # fmt: skip
    rows = [
        row,
        {**row, "File Name": "20586934", "Laterality": "L", "Bi-Rads": "1"},
        {**row, "File Name": "1"},
    ]
    write_csv(release / "INbreast.csv", rows, delimiter=";")

    def region(name: str, points: list[tuple[float, float]]) -> dict[str, object]:
        return {
            "Name": name,
            "NumberOfPoints": len(points),
            "Point_px": [f"({x:.6f}, {y:.6f})" for x, y in points],
        }

    specks = [region("Calcification", [(x, y)]) for x, y in [(20.2, 300.7), (60.0, 310.0), (250.5, 30.5)]]
    square = [(50.0, 100.0), (90.0, 100.0), (90.0, 120.0), (50.0, 120.0)]
    regions = [region("Mass", square), region("Espiculated Region", square), *specks]
    (release / "AllXML").mkdir()
    with (release / "AllXML" / "20586908.xml").open("wb") as stream:
        plistlib.dump({"Images": [{"ImageIndex": 0, "NumberOfROIs": len(regions), "ROIs": regions}]}, stream)


def test_inbreast_turns_contours_into_masks_and_specks_into_groups(place: tuple[Path, Path]) -> None:
    inbreast(place[0])
    images, lesions, skipped = prepared("inbreast", *place)
    assert [(row["case_id"], row["laterality"], row["birads"], row["density"]) for row in images] == [
        ("6c613a14b80a8591-201001", "L", "1", "b"),
        ("6c613a14b80a8591-201001", "R", "4C", "b"),
    ]
    assert {row["spacing_mm"] for row in images} == {"0.07"}
    assert [(row["type"], row["x0"], row["y0"], row["x1"], row["y1"]) for row in lesions] == [
        ("mass", "50", "100", "90", "120"),
        ("calcification", "20", "300", "61", "311"),  # two specks 3 mm apart
        ("calcification", "250", "30", "251", "31"),
    ]
    whys = {row["file"]: row["why"] for row in skipped}
    assert set(whys) == {"INbreast.csv, row 4", "20586908.xml, Espiculated Region", "Thumbs.db"}


def test_inbreast_spacing_of_the_header_goes_before_the_papers(place: tuple[Path, Path]) -> None:
    inbreast(place[0])
    name = "20586934_6c613a14b80a8591_MG_L_CC_ANON.dcm"
    path = place[0] / "INbreast Release 1.0" / "AllDICOMs" / name
    write_dicom(path, breast(400, 300), ImagerPixelSpacing=["0.085", "0.085"])
    images, _, _ = prepared("inbreast", *place)
    assert [row["spacing_mm"] for row in images] == ["0.085", "0.07"]


def cmmd(folder: Path) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["ID1", "LeftRight", "Age", "number", "abnormality", "classification", "subtype"])
    sheet.append(["D1-0001", "R", 44, 2, "calcification", "Benign", None])
    sheet.append(["D2-0002", "L", 61, 2, "both", "Malignant", "Luminal A"])
    sheet.append(["D2-0003", "L", 50, 2, "mass", "Malignant", "HER2-enriched"])
    book.save(folder / "CMMD_clinicaldata_revision.xlsx")
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "399162004", "SCT", "cranio-caudal"
    for patient, side in (("D1-0001", "R"), ("D2-0002", "L"), ("D2-0002", "R")):
        path = folder / "CMMD" / patient / "07-18-2010-NA-NA-79377" / "1.000000-NA-70244" / f"1-{side}.dcm"
        write_dicom(path, breast(), ImageLaterality=side, ViewCodeSequence=[code], PatientID=patient, PatientAge="061Y",
                    ImagerPixelSpacing=["0.094", "0.094"])  # fmt: skip
    write_dicom(folder / "CMMD" / "D2-0002" / "a" / "b" / "odd.dcm", breast())


def test_cmmd_reads_side_and_view_from_headers_and_truth_from_the_workbook(place: tuple[Path, Path]) -> None:
    cmmd(place[0])
    images, lesions, skipped = prepared("cmmd", *place)
    assert lesions == []
    assert [
        (row["case_id"], row["laterality"], row["view"], row["pathology"], row["age"]) for row in images
    ] == [
        ("D1-0001", "R", "CC", "benign", "44"),
        ("D2-0002", "L", "CC", "malignant", "61"),
        ("D2-0002", "R", "CC", "", "61"),
    ]
    assert images[1]["subtype"] == "Luminal A"
    assert images[0]["spacing_mm"] == "0.094"
    assert [row["file"] for row in skipped] == ["CMMD/D2-0002/a/b/odd.dcm", "D2-0003 L"]


def test_a_mias_class_that_the_set_does_not_have_is_skipped_with_a_sentence(place: tuple[Path, Path]) -> None:
    folder, out = place
    for number in (1, 2):
        cv2.imwrite(str(folder / f"mdb{number:03d}.pgm"), np.zeros((1024, 1024), np.uint8))
    rows = "mdb001 G LUMP B 535 425 197\nmdb002 G CIRC B 535 425 197\n"
    (folder / "Info.txt").write_text(rows, encoding="ascii")
    images, lesions, skipped = prepared("mias", folder, out)
    assert len(images) == 2
    assert [row["mias_class"] for row in lesions] == ["CIRC"]
    (why,) = [row["why"] for row in skipped if row["file"] == "mdb001, lesion 1"]
    assert why == "expected a class of CALC, CIRC, SPIC, MISC, ARCH, ASYM or NORM, found 'LUMP'"


def test_mias_turns_the_origin_over_and_pairs_the_breasts(place: tuple[Path, Path]) -> None:
    folder, out = place
    pixels = np.zeros((1024, 1024), np.uint8)
    for number in (1, 2, 3, 9):
        cv2.imwrite(str(folder / f"mdb{number:03d}.pgm"), pixels)
    (folder / "Info.txt").write_text(
        "INFORMATION:\n\nmdb001 G CIRC B 535 425 197\nmdb002 G NORM\n"
        "mdb003 D CALC M 100 24 10\nmdb003 D SPIC M *NOTE 3*\nmdb004 F NORM\n",
        encoding="ascii",
    )
    images, lesions, skipped = prepared("mias", folder, out)
    assert [(row["case_id"], row["laterality"], row["pathology"]) for row in images] == [
        ("mias-001", "L", "normal"),
        ("mias-001", "R", "benign"),
        ("mias-002", "R", "malignant"),
    ]
    assert {(row["spacing_mm"], row["kind"], row["view"]) for row in images} == {("0.2", "film", "MLO")}
    assert [(row["x"], row["y"], row["radius"], row["type"]) for row in lesions] == [
        ("535", "599", "197", "mass"),
        ("100", "1000", "10", "calcification"),
    ]
    assert [row["file"] for row in skipped] == ["mdb003, lesion 2", "mdb004", "mdb009.pgm"]


def test_cdd_cesm_reads_the_workbook_and_the_hand_drawn_outlines(place: tuple[Path, Path]) -> None:
    folder, out = place
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Image_name", "Patient_ID", "Side", "Type", "Age", "Breast density (ACR)", "BIRADS", "Findings",
                  "View", "Tags", "Machine", "Pathology Classification/ Follow up"])  # fmt: skip
    shared = ["x", "CC", "suspicious mass, irregular", 1, "Benign"]
    sheet.append(["P1_L_DM_CC", 1, "L", "DM", 50, "C", "4$2", *shared])
    sheet.append(
        ["P1_L_CM_CC", 1, "L", "CESM", 50, "_", 4, "x", "CC", "suspicious non mass, linear", 1, "Benign"]
    )
    sheet.append(["P1_R_DM_CC", 1, "R", "DM", 50, "C", 1, "x", "CC", "normal", 1, "Normal"])
    sheet.append(["P2_R_DM_CC", 2, "R", "DM", 60, "B", 5, *shared])
    book.save(folder / "Radiology-manual-annotations.xlsx")
    picture = breast(100, 80, np.uint8)
    for place_name, names in {"Low energy images of CDD-CESM": ("P1_L_DM_CC", "P1_R_DM_CC"),
                              "Subtracted images of CDD-CESM": ("P1_L_CM_CC", "P9_L_CM_CC")}.items():  # fmt: skip
        (folder / place_name).mkdir()
        for name in names:
            cv2.imwrite(str(folder / place_name / f"{name}.jpg"), picture)
    polygon = {"name": "polygon", "all_points_x": [10, 30, 30, 10], "all_points_y": [20, 20, 50, 50]}
    ellipse = {"name": "ellipse", "cx": 20, "cy": 40, "rx": 10, "ry": 5, "theta": 0}
    write_csv(
        folder / "Radiology_hand_drawn_segmentations_v2.csv",
        [
            {"#filename": f"{name}.jpg", "file_size": 1, "file_attributes": "{}", "region_count": 1, "region_id": 0,
             "region_shape_attributes": json.dumps(shape), "region_attributes": "{}"}
            for name, shape in [("P1_L_DM_CC", polygon), ("P1_L_CM_CC", ellipse), ("P1_L_CM_CC", {"name": "point", "cx": 1, "cy": 2})]
        ],
    )  # fmt: skip
    images, lesions, skipped = prepared("cdd-cesm", folder, out)
    assert [
        (row["case_id"], row["kind"], row["density"], row["birads"], row["pathology"]) for row in images
    ] == [
        ("P1", "cesm_low", "c", "4/2", "benign"),
        ("P1", "cesm_recombined", "", "4", "benign"),
        ("P1", "cesm_low", "c", "1", "normal"),
    ]
    assert [(row["kind"], row["lesion_id"], row["type"], row["malignant"]) for row in lesions] == [
        ("cesm_low", "L1", "mass", "0"),
        ("cesm_recombined", "L1", "enhancement", "0"),
    ]
    assert [lesions[0][name] for name in ("x0", "y0", "x1", "y1")] == ["10", "20", "30", "50"]
    assert [row["file"] for row in skipped] == [
        "P1_L_CM_CC.jpg, region 2", "Radiology-manual-annotations.xlsx, row 5", "P9_L_CM_CC.jpg",
    ]  # fmt: skip


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_a_wrong_folder_is_one_sentence_with_what_was_expected_and_found(
    name: str, place: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (place[0] / "holiday.jpg").write_bytes(b"x")
    assert main(["datasets", "prepare", name, str(place[0]), "--out", str(place[1])]) == 1
    said = capsys.readouterr().out.strip()
    assert len(said.splitlines()) == 1
    assert said.startswith("set: expected ")
    assert said.endswith("found holiday.jpg; name the folder that holds them.")
    assert not place[1].exists()


def test_an_output_folder_inside_the_set_is_refused(
    place: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    vindr(place[0])
    assert main(["datasets", "prepare", "vindr-mammo", str(place[0]), "--out", str(place[0] / "out")]) == 1
    assert "found one inside it" in capsys.readouterr().out


def test_preparing_twice_gives_the_same_tables_and_leaves_the_set_alone(place: tuple[Path, Path]) -> None:
    cbis(place[0])
    before = {path: path.read_bytes() for path in sorted(place[0].rglob("*")) if path.is_file()}
    prepared("cbis-ddsm", *place)
    first = {path.name: path.read_bytes() for path in place[1].glob("*.csv")}
    prepared("cbis-ddsm", *place)
    assert {path.name: path.read_bytes() for path in place[1].glob("*.csv")} == first
    assert {path: path.read_bytes() for path in sorted(place[0].rglob("*")) if path.is_file()} == before


def test_the_list_names_layout_and_terms_of_every_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "list"]) == 0
    out = capsys.readouterr().out
    for entry in DATASETS.values():
        assert entry.terms in out
        assert entry.source in out


def test_an_unknown_set_names_those_there_are(
    place: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["datasets", "prepare", "ddsm", str(place[0]), "--out", str(place[1])]) == 1
    assert "expected vindr-mammo, cbis-ddsm" in capsys.readouterr().out


def test_specks_inside_an_outlined_cluster_belong_to_it() -> None:
    clusters = np.zeros((50, 50), bool)
    clusters[10:20, 10:20] = True
    specks = [
        Contour(name="Calcification", corners=np.array([[row, col]]))
        for row, col in [(12.0, 12.0), (40.0, 40.0), (44.0, 40.0), (5.0, 45.0)]
    ]
    groups = speck_groups(specks, clusters, reach_px=6)
    assert sorted(int(group.sum()) for group in groups) == [1, 2]


def test_via_rectangle_circle_and_nonsense() -> None:
    rect = via_mask({"name": "rect", "x": 2, "y": 3, "width": 4, "height": 5}, (20, 20))
    assert rect is not None
    assert int(rect.sum()) == 20
    circle = via_mask({"name": "circle", "cx": 10, "cy": 10, "r": 5}, (20, 20))
    assert circle is not None
    assert int(circle.sum()) == pytest.approx(np.pi * 25, rel=0.15)
    for shape in (
        {"name": "point", "cx": 1, "cy": 1},
        {"name": "polygon"},
        {"name": "rect", "x": 90, "y": 3, "width": 4, "height": 5},
    ):
        assert via_mask(shape, (20, 20)) is None


@pytest.mark.parametrize(
    ("tags", "recombined", "expected"),
    [
        ("malignant mass, irregular", False, ("mass", True)),
        ("malignant non mass, regional", True, ("enhancement", True)),
        ("suspicious architectural distortion, edema", False, ("distortion", True)),
        ("suspicious, asymmetry, microcalcifications", False, ("calcification", True)),
        ("focal asymmetry", False, ("asymmetry", True)),
        ("edema", False, ("asymmetry", False)),
        ("suspicious, faint ", True, ("enhancement", False)),
    ],
)
def test_cesm_tags_name_the_lesion_type(tags: str, recombined: bool, expected: tuple[str, bool]) -> None:
    assert lesion_type(tags, recombined=recombined) == expected


@pytest.mark.data
def test_the_real_mias_files_give_their_known_counts(data_root: Path, tmp_path: Path) -> None:
    folder = data_root / "mammograms" / "mias"
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    out = tmp_path / "out"
    assert main(["datasets", "prepare", "mias", str(folder), "--out", str(out)]) == 0
    images, lesions, skipped = (read_rows(out / f"{name}.csv") for name in ("images", "lesions", "skipped"))
    assert read_manifest(out / "images.csv", out / "lesions.csv").problems == ()
    assert len(images) == len(list((folder / "images").glob("*.png"))) == 240
    assert len(lesions) == sum(row["x"].isdigit() for row in rows)
    assert sum(row["malignant"] == "1" for row in lesions) == sum(
        row["Type"] == "M" and row["x"].isdigit() for row in rows
    )
    assert all("no place" in row["why"] for row in skipped)
    by_name = {Path(row["path"]).stem: row for row in images}
    assert by_name["mdb001"]["laterality"] == "R"


@pytest.mark.data
def test_the_real_cesm_files_pair_low_and_recombined_images_and_their_masks(
    data_root: Path, tmp_path: Path
) -> None:
    source, folder = data_root / "mammograms" / "cdd_cesm_512", tmp_path / "set"
    chosen = sorted(path.name for path in (source / "images").glob("*.jpg"))[:40]
    for place in ("images", "masks"):
        (folder / place).mkdir(parents=True)
        for name in chosen:
            (folder / place / name).write_bytes((source / place / name).read_bytes())
    (folder / "annotations.csv").write_bytes((source / "annotations.csv").read_bytes())
    out = tmp_path / "out"
    assert main(["datasets", "prepare", "cdd-cesm", str(folder), "--out", str(out)]) == 0
    truth = read_truth(out / "images.csv", out / "lesions.csv")
    assert len(truth.images) == 40
    assert {image.entry.pathology for image in truth.images} == {"malignant"}
    assert all(image.lesions for image in truth.images)  # every visible image has its mask
    assert not [s for s in truth.notes if "mask" in s]
    assert len(read_rows(out / "skipped.csv")) == 444  # the table's rows whose images are not here
    # the islands of an image's mask file are its lesions, no pixel lost but the JPEG's specks
    name = Path(truth.images[0].entry.path).name
    whole = cv2.imread(str(source / "masks" / name), cv2.IMREAD_GRAYSCALE)
    assert whole is not None
    parts = sum(
        int(x.region.outlined.sum()) for x in truth.images[0].lesions if x.region.outlined is not None
    )
    assert parts == pytest.approx(int((whole >= 128).sum()), rel=0.01)
