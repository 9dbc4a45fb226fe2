"""What an import must not take at its word: copies, its own files, reports of another woman, half exams, links."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from app.case_import import ImportOutcome, LinkRow, import_cases
from app.import_reports import add_links, read_links
from inference.engine import FakeEngine
from inference.exam.deidentification.site_key import SiteKey
from inference.exam.objects.cad_sr_write import CadRun, cad_sr
from inference.exam.objects.document import read_headers, save
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.sources import FolderSource
from inference.exam.types import ExamError
from reader_study.case_import import CaseStore, open_store

KEY = SiteKey(secret=bytes(range(32)))


def _exam(folder: Path, seed: int, **facts: str) -> list[Path]:
    paths = list(write_phantom_dicom(phantom_exam(PhantomSpec(seed=seed, pixel_mm=1.0)), folder))
    for path in paths:
        _change(path, lambda ds: [setattr(ds, name, value) for name, value in facts.items()])
    return paths


def _change(path: Path, edit: Callable[[Dataset], object]) -> None:
    ds = dcmread(path)
    edit(ds)
    ds.save_as(path, enforce_file_format=True)


def _report_of(folder: Path) -> Path:
    """Write a CAD report of the first exam in a folder beside it, as a CAD server would."""
    source = FolderSource(folder)
    exam = source.load(source.list()[0].exam_id)
    result = FakeEngine().analyse(exam, lambda _f, _t: None, lambda: False)
    run = CadRun(exam=exam, model_id="m", model_version="1", weights_digest="5f" * 32, result=result)
    save(cad_sr(run, read_headers(folder, exam), created=datetime(2024, 1, 1), version="1"), folder, "sr.dcm")
    return folder / "sr.dcm"


def _import(source: Path, root: Path) -> ImportOutcome:
    return import_cases(source, open_store(root), KEY)


def _rows(outcome: ImportOutcome) -> dict[str, str]:
    return {row.source: row.outcome for row in outcome.rows}


def test_rsa6_an_image_that_lies_there_twice_is_one_image_of_the_case(tmp_path: Path) -> None:
    _exam(tmp_path / "in" / "a", 12)
    _report_of(tmp_path / "in" / "a")
    shutil.copytree(tmp_path / "in" / "a", tmp_path / "in" / "b")
    outcome = _import(tmp_path / "in", tmp_path / "cases")
    (case,) = outcome.cases
    assert sorted(case.exam.images) == ["L-CC", "L-MLO", "R-CC", "R-MLO"]
    assert outcome.count("imported") == 5
    copies = [row for row in outcome.rows if row.outcome == "left out"]
    assert sorted(row.source for row in copies) == sorted(
        f"b/{name}" for name in ("L-CC.dcm", "L-MLO.dcm", "R-CC.dcm", "R-MLO.dcm", "sr.dcm")
    )
    assert "a copy of a/L-CC.dcm" in next(row.sentence for row in copies if row.source == "b/L-CC.dcm")


def test_rsa6_two_contents_of_one_instance_are_told_and_the_first_is_taken(tmp_path: Path) -> None:
    _exam(tmp_path / "in" / "a", 12)
    (tmp_path / "in" / "b").mkdir()
    shutil.copy(tmp_path / "in" / "a" / "R-CC.dcm", tmp_path / "in" / "b" / "R-CC.dcm")
    _change(tmp_path / "in" / "b" / "R-CC.dcm", lambda ds: setattr(ds, "KVP", 31))
    outcome = _import(tmp_path / "in", tmp_path / "cases")
    assert _rows(outcome)["b/R-CC.dcm"] == "refused"
    assert len(outcome.cases[0].exam.images) == 4


def test_rsr2_a_report_comes_only_to_the_woman_that_it_names(tmp_path: Path) -> None:
    """Two women in one study, as after a mix-up in the archive: the report of one is no part of the other's case."""
    paths = _exam(tmp_path / "in", 21, PatientID="A1")
    _report_of(tmp_path / "in")
    for path in paths:
        if path.name.startswith("L"):
            _change(path, lambda ds: setattr(ds, "PatientID", "B2"))
    outcome = _import(tmp_path / "in", tmp_path / "cases")
    assert len(outcome.cases) == 2
    assert _rows(outcome)["sr.dcm"] == "left out"
    assert len(list((tmp_path / "cases").rglob("*.dcm"))) == 4
    _change(tmp_path / "in" / "sr.dcm", lambda ds: setattr(ds, "PatientID", "C3"))
    for path in paths:
        _change(path, lambda ds: setattr(ds, "PatientID", "A1"))
    assert _rows(_import(tmp_path / "in", tmp_path / "others"))["sr.dcm"] == "left out"


def test_rsa6_the_studys_own_files_are_not_imported_again(tmp_path: Path) -> None:
    """Database and case folder often lie beside the exams; the folder above both is what gets chosen."""
    _exam(tmp_path / "in", 28)
    root = tmp_path / "in" / "study-cases"
    first = _import(tmp_path / "in", root)
    assert len(first.cases) == 1
    again = _import(tmp_path / "in", root)
    assert again.cases == []
    assert set(_rows(again).values()) == {"already there"}
    with pytest.raises(ExamError, match="own case folder"):
        _import(root / "exams", root)


def test_rsa6_half_an_exam_is_no_case_and_comes_in_when_its_file_is_mended(tmp_path: Path) -> None:
    paths = _exam(tmp_path / "in", 30)
    whole = next(path for path in paths if path.name == "R-CC.dcm")
    good = whole.read_bytes()
    _change(whole, lambda ds: setattr(ds, "PixelData", ds.PixelData + b"\0" * 20))
    outcome = _import(tmp_path / "in", tmp_path / "cases")
    assert outcome.cases == []
    sentences = {row.source: row.sentence for row in outcome.rows}
    assert sentences["R-CC.dcm"].startswith("R-CC.dcm: expected")
    assert "left out with the rest of the case. R-CC.dcm" in sentences["L-CC.dcm"]
    whole.write_bytes(good)
    assert len(_import(tmp_path / "in", tmp_path / "cases").cases) == 1


def test_rsa6_a_view_that_comes_later_is_not_called_already_there(tmp_path: Path) -> None:
    paths = _exam(tmp_path / "in", 30)
    late = next(path for path in paths if path.name == "R-CC.dcm")
    good = late.read_bytes()
    late.write_bytes(good[:4000])
    first = _import(tmp_path / "in", tmp_path / "cases")
    noted = [row.sentence for row in first.rows if row.outcome == "noted"]
    assert noted == ["Current exam: Missing of the four standard views: R CC."]
    late.write_bytes(good)
    again = _import(tmp_path / "in", tmp_path / "cases")
    assert set(_rows(again).values()) == {"refused"}
    assert "frozen" in again.rows[0].sentence


def test_mg41_an_order_of_priors_that_is_a_guess_is_said(tmp_path: Path) -> None:
    for number, seed in enumerate((31, 32)):
        _exam(tmp_path / "in" / str(number), seed, PatientID="P", StudyDate="", PatientBirthDate="19600101")
    outcome = _import(tmp_path / "in", tmp_path / "cases")
    (case,) = outcome.cases
    assert len(case.priors) == 1
    assert any("which is the newest is a guess" in row.sentence for row in outcome.rows)


@pytest.mark.skipif(os.name != "posix", reason="links and pipes are made as POSIX has them")
def test_rsa6_every_entry_of_a_folder_is_in_the_report_links_and_pipes_too(tmp_path: Path) -> None:
    _exam(tmp_path / "in", 13)
    _exam(tmp_path / "outside", 14)
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "outside")
    (tmp_path / "in" / "image.dcm").symlink_to(tmp_path / "outside" / "R-CC.dcm")
    (tmp_path / "in" / "nothing.dcm").symlink_to(tmp_path / "gone.dcm")
    os.mkfifo(tmp_path / "in" / "pipe.dcm")
    rows = _rows(_import(tmp_path / "in", tmp_path / "cases"))
    assert len(rows) == 8
    assert {name for name, word in rows.items() if word == "refused"} == {
        "folder", "image.dcm", "nothing.dcm", "pipe.dcm",
    }  # fmt: skip


def test_rsa6_an_import_takes_note_of_one_that_ended_meanwhile(tmp_path: Path) -> None:
    """Both opened the folder while it was empty; the second must not write the first one's cases out of the list."""
    _exam(tmp_path / "a", 15)
    _exam(tmp_path / "b", 16)
    one, two = open_store(tmp_path / "cases"), open_store(tmp_path / "cases")
    import_cases(tmp_path / "a", one, KEY)
    import_cases(tmp_path / "b", two, KEY)
    assert [case.case_id for case in open_store(tmp_path / "cases").cases] == ["C0001", "C0002"]


def test_rsa6_the_links_tell_a_patient_id_of_two_women_apart(tmp_path: Path) -> None:
    for name, seed, born in (("a", 22, "19500101"), ("b", 23, "19710202")):
        _exam(tmp_path / "in" / name, seed, PatientID="P1", PatientBirthDate=born)
    links: list[LinkRow] = []
    import_cases(tmp_path / "in", CaseStore(root=tmp_path / "cases"), KEY, linked=links.extend)
    add_links(links, tmp_path / "links.csv")
    assert read_links(tmp_path / "links.csv") == {"P1": ("C0001", "C0002")}


def test_rsa6_one_key_gives_one_uid_across_two_imports(tmp_path: Path) -> None:
    """A report that is imported later, elsewhere, still points at the images that were imported before."""
    _exam(tmp_path / "in", 17)
    _report_of(tmp_path / "in")
    for name in ("one", "two"):
        import_cases(tmp_path / "in", open_store(tmp_path / name), KEY, images_only=name == "one")
    images = {dcmread(path).SOPInstanceUID for path in (tmp_path / "one").rglob("*.dcm")}
    reports = [ds for path in (tmp_path / "two").rglob("*.dcm") if (ds := dcmread(path)).Modality == "SR"]
    assert len(reports) == 1
    named = {
        item.ReferencedSOPInstanceUID
        for step in reports[0].CurrentRequestedProcedureEvidenceSequence
        for series in step.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert len(named) == 4
    assert named == images
