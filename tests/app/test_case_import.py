"""Cases brought into a study: no identifier is left in any byte, what readers need is still there."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from app.case_import import FileRow, ImportOutcome, LinkRow, import_cases
from app.import_reports import add_links, read_links, write_report
from inference.engine import FakeEngine
from inference.exam.deidentification.site_key import SiteKey, open_key
from inference.exam.objects.cad_sr_read import read_cad_sr
from inference.exam.objects.cad_sr_write import CadRun, cad_sr
from inference.exam.objects.document import read_headers, save
from inference.exam.objects.key_object import key_object_documents
from inference.exam.objects.model import Graphic, Turn
from inference.exam.objects.presentation_state import ShownImage, gsps
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.sources import FolderSource
from reader_study.case_import import CaseStore, only_import, open_store, protocol_cases
from reader_study.errors import StudyError
from reader_study.protocol_file import read_protocol

KEY = SiteKey(secret=bytes(range(32)))
OTHER_KEY = SiteKey(secret=bytes(range(1, 33)))
CREATED = datetime(2024, 5, 6, 9, 8, 7)
# Planted into headers, sequences, private blocks, file meta, the preamble, reports and drawings.
SECRETS = (
    "Zephyrine", "Quackenbush", "MRN-889911", "ACC-556677", "Sacred Larch Hospital", "Dept of Larches",
    "Operator Ottoline", "Ottoline", "LARCHSTN4", "SERIAL-42-XY", "12 Larchwood Avenue", "19510203", "20240506",
    "20220304", "Dr Wimbledon", "LARCHAE", "PRIVATESECRET", "Procedure 77 for Z.Q.", "HL7-9988", "larch.example",
)  # fmt: skip


def _plant(ds: Dataset, day: str) -> None:
    """Fill a header with identity wherever an archive might have put it."""
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = "Quackenbush^Zephyrine^^Ms", "MRN-889911", "19510203"
    ds.IssuerOfPatientID, ds.OtherPatientIDs = "Sacred Larch Hospital", ["HL7-9988", "MRN-889911"]
    ds.PatientAddress, ds.PatientSex = "12 Larchwood Avenue", "F"
    if "PatientAge" in ds:
        del ds.PatientAge
    ds.AccessionNumber, ds.StudyID = "ACC-556677", "ACC-556677"
    ds.InstitutionName, ds.InstitutionalDepartmentName = "Sacred Larch Hospital", "Dept of Larches"
    ds.OperatorsName, ds.ReferringPhysicianName = "Operator Ottoline", "Dr Wimbledon"
    ds.StationName, ds.DeviceSerialNumber, ds.DetectorID = "LARCHSTN4", "SERIAL-42-XY", "SERIAL-42-XY"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = day
    ds.AcquisitionDateTime = f"{day}101112.5+0100"
    ds.StudyDescription, ds.ImageComments = "Screening of Zephyrine", "seen by Ottoline\r\nmalignant mass"
    ds.SoftwareVersions = ["V4", "LARCHSTN4"]  # kept by the profile, but it repeats the station's name
    request = Dataset()
    request.RequestedProcedureDescription = "Procedure 77 for Z.Q."
    request.ScheduledProcedureStepID = "ACC-556677"
    ds.RequestAttributesSequence = [request]
    deep = Dataset()
    deep.PersonName, deep.CodeMeaning = "Quackenbush^Zephyrine", "Ottoline"
    deep.InstitutionName = "Sacred Larch Hospital"
    deeper = Dataset()
    deeper.RetrieveURL, deeper.PersonAddress = "https://larch.example/MRN-889911", "12 Larchwood Avenue"
    deep.RequestingServiceCodeSequence = [deeper]
    ds.AnatomicRegionSequence = [*(ds.get("AnatomicRegionSequence") or ()), deep]
    block = ds.private_block(0x0009, "LARCH PRIVATE", create=True)
    block.add_new(0x01, "LO", "PRIVATESECRET")
    inner = Dataset()
    inner.PatientName = "Quackenbush^Zephyrine"
    block.add_new(0x02, "SQ", [inner])
    ds.file_meta.SourceApplicationEntityTitle = "LARCHAE"
    ds.file_meta.PrivateInformationCreatorUID, ds.file_meta.PrivateInformation = "1.2.3.9", b"PRIVATESECRET "
    ds.preamble = b"Zephyrine Quackenbush".ljust(128, b"\0")


def _exam_folder(folder: Path, seed: int, day: str, *, cesm: bool = False) -> None:
    for path in write_phantom_dicom(phantom_exam(PhantomSpec(seed=seed, pixel_mm=0.8, cesm=cesm)), folder):
        ds = dcmread(path)
        _plant(ds, day)
        if cesm:
            ds.ContrastBolusAgent, ds.ContrastBolusStartTime = "Iohexol", "100900"
            ds.AcquisitionTime = "101112.5"
        ds.save_as(path, enforce_file_format=True)


def _objects(folder: Path) -> None:
    """A CAD report, a presentation state and key objects of the exam there, with identity written into them."""
    source = FolderSource(folder)
    exam = source.load(source.list()[0].exam_id)
    headers = read_headers(folder, exam)
    result = FakeEngine().analyse(exam, lambda _f, _t: None, lambda: False)
    run = CadRun(exam=exam, model_id="dib-mg", model_version="1.0.0", weights_digest="5f" * 32, result=result)
    report = cad_sr(run, headers, created=CREATED, version="0.1.0")
    report.ContentSequence.append(_text_item("Quackenbush, Zephyrine was seen on 20240506 by Ottoline"))
    save(report, folder, "cad of Quackenbush.dcm")
    note = Graphic(kind="TEXT", points=((10.0, 10.0), (20.0, 40.0)), text="call Dr Wimbledon, MRN-889911")
    measure = Graphic(kind="TEXT", points=((30.0, 10.0), (40.0, 40.0)), text="12.3 mm")
    image = exam.images[0]
    shown = ShownImage(
        image=image, voi=image.presentation.vois[0], inverse=False, turn=Turn(), corners=((0, 0), (99, 99)),
        graphics=(note, measure),
    )  # fmt: skip
    save(gsps(shown, headers, created=CREATED, version="0.1.0", label="OTTOLINE"), folder, "pr.dcm")
    for ds in key_object_documents(exam.images[:2], headers, created=CREATED, version="0.1.0",
                                   description="for Dr Wimbledon"):  # fmt: skip
        save(ds, folder, "ko.dcm")


def _text_item(words: str) -> Dataset:
    concept = Dataset()
    concept.CodeValue, concept.CodingSchemeDesignator, concept.CodeMeaning = "121106", "DCM", "Comment"
    item = Dataset()
    item.RelationshipType, item.ValueType, item.TextValue = "CONTAINS", "TEXT", words
    item.ConceptNameCodeSequence = [concept]
    return item


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One woman, two exams (the newer has objects), and a For Processing image that is not for readers."""
    folder = tmp_path_factory.mktemp("archive")
    _exam_folder(folder / "Quackenbush 2022", 4, "20220304")
    _exam_folder(folder / "Quackenbush 2024", 5, "20240506")
    _objects(folder / "Quackenbush 2024")
    return folder


@pytest.fixture(scope="module")
def imported(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[CaseStore, ImportOutcome]:
    store = CaseStore(root=tmp_path_factory.mktemp("study") / "cases")
    return store, import_cases(source, store, KEY)


def _files(store: CaseStore) -> list[Path]:
    found = (path for path in store.root.rglob("*") if path.is_file())
    return sorted(path for path in found if path.name != ".import.lock")


def test_rsr2_no_identifier_is_left_in_any_byte_or_name_of_the_case_folder(
    source: Path, imported: tuple[CaseStore, ImportOutcome]
) -> None:
    store, _ = imported
    originals = list(source.rglob("*.dcm"))
    uids = {
        str(element.value)
        for path in originals
        for element in dcmread(path, stop_before_pixels=True).iterall()
        if element.VR == "UI" and not str(element.value).startswith("1.2.840.10008")
    }
    before = b"".join(path.read_bytes() for path in originals)
    for secret in SECRETS:  # the test can fail: every one of them is in the originals
        assert secret.encode() in before, secret
    assert len(uids) > 12
    assert len(_files(store)) > 10
    for path in _files(store):
        data = path.read_bytes()
        for secret in (*SECRETS, *uids):
            for form in (secret, secret.upper(), secret.lower()):
                assert form.encode() not in data, f"{secret} in {path.name}"
                assert form.encode("utf-16-le") not in data, f"{secret} in {path.name}"
        assert not any(secret.lower() in path.as_posix().lower() for secret in SECRETS)


def test_rsr2_descriptions_that_tell_the_finding_are_gone(imported: tuple[CaseStore, ImportOutcome]) -> None:
    store, _ = imported
    for path in store.exams.rglob("*.dcm"):
        text = str(dcmread(path, stop_before_pixels=True)).lower()
        assert "malignant" not in text
        assert "seen by" not in text


def test_rsa6_every_output_says_how_it_was_deidentified(imported: tuple[CaseStore, ImportOutcome]) -> None:
    """PS3.15 E.1.1: Patient Identity Removed, method and codes of CID 7050; PS3.3 C.12.1.1.7 for dates."""
    store, _ = imported
    for path in store.exams.rglob("*.dcm"):
        ds = dcmread(path)
        assert ds.PatientIdentityRemoved == "YES"
        codes = {item.CodeValue for item in ds.DeidentificationMethodCodeSequence}
        assert {"113100", "113107", "113108"} <= codes
        assert ds.LongitudinalTemporalInformationModified == "MODIFIED"
        assert ds.preamble == b"\0" * 128
        assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
        assert not any(element.tag.is_private for element in ds.iterall())
        assert (ds.PatientName, ds.PatientID, ds.PatientBirthDate) == ("C0001", "C0001", "")


def test_rsa6_age_order_of_priors_and_intervals_stay_usable(
    imported: tuple[CaseStore, ImportOutcome],
) -> None:
    store, _ = imported
    (case,) = store.cases
    assert len(case.priors) == 1
    assert case.age_years == 73  # from the birth date, which is gone
    assert case.manufacturer == "Negatoscope"  # of the phantom; PS3.15 table E.1-1 does not name (0008,0070)
    assert open_store(store.root).cases == store.cases
    assert protocol_cases(store)[0].manufacturer == "Negatoscope"
    source = FolderSource(store.exams)
    exams = {summary.exam_id: summary for summary in source.list()}
    current, prior = exams[case.exam.exam_id], exams[case.priors[0].exam_id]
    assert current.patient_key == prior.patient_key != ""
    assert current.study_date is not None
    assert prior.study_date is not None
    assert (current.study_date - prior.study_date).days == (datetime(2024, 5, 6) - datetime(2022, 3, 4)).days
    ages = {str(dcmread(path).PatientAge) for path in (store.exams / "C0001/current").glob("*.dcm")}
    assert ages == {"073Y"}  # born 1951-02-03, examined 2024-05-06
    assert source.load(case.exam.exam_id).digest == case.exam.digest


def test_rsa6_contrast_timing_and_energy_survive(tmp_path: Path) -> None:
    _exam_folder(tmp_path / "in", 6, "20240506", cesm=True)
    store = CaseStore(root=tmp_path / "cases")
    import_cases(tmp_path / "in", store, KEY)
    exam = FolderSource(store.exams).load(store.cases[0].exam.exam_id)
    assert {image.kind.value for image in exam.images} == {"cesm_low", "cesm_recombined"}
    for image in exam.images:
        assert image.acquired is not None
        assert image.injected is not None
        assert (image.acquired - image.injected).total_seconds() == pytest.approx(132.5)
        assert image.header["ContrastBolusAgent"] == "Iohexol"


def test_rsa6_reports_states_and_key_objects_still_point_at_their_images(
    imported: tuple[CaseStore, ImportOutcome],
) -> None:
    store, outcome = imported
    source = FolderSource(store.exams)
    exam = source.load(store.cases[0].exam.exam_id)
    objects = source.objects(exam)
    assert (len(objects.cad), len(objects.states), len(objects.keys)) == (1, 1, 1)
    uids = {image.reference.sop_instance_uid for image in exam.images if image.reference}
    assert set(objects.cad[0].image_uids) == uids
    assert {image.image_uid for image in objects.states[0].images} <= uids
    assert set(objects.keys[0].image_uids) <= uids
    assert "dib-mg" in objects.cad[0].algorithms[0].name  # what the program is called names nobody
    texts = {g.text for image in objects.states[0].images for g in image.graphics if g.kind == "TEXT"}
    assert texts == {"12.3 mm", "REMOVED"}
    assert outcome.count("refused") == 0


def test_rsa6_dciodvfy_finds_no_error_that_was_not_there_before(
    source: Path, imported: tuple[CaseStore, ImportOutcome]
) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("not run: dciodvfy is not installed")
    store, outcome = imported

    def errors(path: Path) -> set[str]:
        said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        return {line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")}

    pairs = [row for row in outcome.rows if row.outcome == "imported"]
    assert len(pairs) == 11
    for row in pairs:
        (after,) = store.exams.rglob(row.file)
        assert errors(after) <= errors(source / row.source), row.source


def test_rsa6_the_same_key_gives_the_same_files_and_another_key_others(
    source: Path, imported: tuple[CaseStore, ImportOutcome], tmp_path: Path
) -> None:
    store, _ = imported
    again, other = CaseStore(root=tmp_path / "again"), CaseStore(root=tmp_path / "other")
    import_cases(source, again, KEY)
    assert [(p.relative_to(again.root), p.read_bytes()) for p in _files(again)] == [
        (p.relative_to(store.root), p.read_bytes()) for p in _files(store)
    ]
    import_cases(source, other, OTHER_KEY)
    mine = {str(dcmread(p).SOPInstanceUID) for p in store.exams.rglob("*.dcm")}
    theirs = {str(dcmread(p).SOPInstanceUID) for p in other.exams.rglob("*.dcm")}
    assert not mine & theirs


def test_rsa6_an_import_repeated_changes_nothing(
    source: Path, imported: tuple[CaseStore, ImportOutcome]
) -> None:
    store, _ = imported
    before = [(path, path.stat().st_mtime_ns) for path in _files(store)]
    outcome = import_cases(source, open_store(store.root), KEY)
    assert outcome.cases == []
    assert {row.outcome for row in outcome.rows} == {"already there"}
    assert [(path, path.stat().st_mtime_ns) for path in _files(store)] == before


def test_rsa6_a_frozen_case_takes_no_other_exams(source: Path, tmp_path: Path) -> None:
    store = CaseStore(root=tmp_path / "cases")
    import_cases(source / "Quackenbush 2022", store, KEY)
    outcome = import_cases(source, store, KEY)
    assert {row.outcome for row in outcome.rows} == {"refused"}
    assert "frozen" in outcome.rows[0].sentence
    assert len(store.cases) == 1


def test_rsa6_an_import_cut_off_goes_on_where_it_stopped(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _exam_folder(tmp_path / "in" / "a", 7, "20240506")
    for path in (tmp_path / "in" / "a").glob("*.dcm"):
        ds = dcmread(path)
        ds.PatientID = "MRN-2"
        ds.save_as(path)
    shutil.copytree(source / "Quackenbush 2022", tmp_path / "in" / "b")
    store = CaseStore(root=tmp_path / "cases")
    real, calls = CaseStore.publish, []

    def cut(self: CaseStore, case: object) -> None:
        calls.append(case)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(self, case)  # type: ignore[arg-type]

    monkeypatch.setattr(CaseStore, "publish", cut)
    with pytest.raises(KeyboardInterrupt):
        import_cases(tmp_path / "in", store, KEY)
    monkeypatch.setattr(CaseStore, "publish", real)
    assert not store.staging.exists()
    (store.exams / "C0002").mkdir()  # as after a power cut between moving a case and entering it
    (store.exams / "C0002" / "rest.dcm").write_bytes(b"half")
    fresh = open_store(store.root)
    assert [case.case_id for case in fresh.cases] == ["C0001"]
    outcome = import_cases(tmp_path / "in", fresh, KEY)
    assert [case.case_id for case in outcome.cases] == ["C0002"]
    assert not (store.exams / "C0002" / "rest.dcm").exists()
    assert len(FolderSource(fresh.exams).list()) == 2


def test_rsa6_two_imports_into_one_folder_do_not_run_at_once(source: Path, tmp_path: Path) -> None:
    store = CaseStore(root=tmp_path / "cases")
    with only_import(store), pytest.raises(StudyError, match="one import at a time"):
        import_cases(source / "Quackenbush 2022", store, KEY)
    import_cases(source / "Quackenbush 2022", store, KEY)
    assert len(store.cases) == 1


def test_rsa6_a_manifest_beside_dicom_files_keeps_what_it_declares(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    shutil.copytree(source / "Quackenbush 2022", folder)
    rows = [f"Q1,R,CC,{name},0.123,C" for name in ("R-CC.dcm",)]
    (folder / "images.csv").write_text(
        "case_id,laterality,view,path,spacing_mm,density\n" + "\n".join(rows) + "\n"
    )
    for path in folder.glob("*.dcm"):
        if path.name != "R-CC.dcm":
            path.unlink()
    store = CaseStore(root=tmp_path / "cases")
    import_cases(folder, store, KEY)
    exam = FolderSource(store.exams).load(store.cases[0].exam.exam_id)
    assert exam.images[0].spacing is not None
    assert exam.images[0].spacing.row_mm == 0.123
    assert store.cases[0].exam.images["R-CC"].spacing_mm == (0.123, 0.123)
    assert store.cases[0].density == "c"


def test_rsa6_a_full_disk_is_a_sentence_and_leaves_nothing_half(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CaseStore(root=tmp_path / "cases")
    real = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.name == "C0001_003.dcm":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StudyError, match="full disk"):
        import_cases(source, store, KEY)
    assert _files(store) == []


def test_rsa6_a_disk_that_fills_at_the_last_step_leaves_no_case_without_entry(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CaseStore(root=tmp_path / "cases")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StudyError, match="full disk"):
        import_cases(source / "Quackenbush 2022", store, KEY)
    assert _files(store) == []
    assert store.cases == []


def test_rsa6_a_case_folder_below_a_file_is_refused_in_a_sentence(source: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file")
    with pytest.raises(StudyError, match="blocked"):
        import_cases(source / "Quackenbush 2022", CaseStore(root=blocked / "cases"), KEY)


def test_rsa6_a_read_only_folder_is_refused_in_a_sentence(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(self: Path, *args: object, **more: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    monkeypatch.setattr(
        Path, "mkdir", denied
    )  # root ignores the rights of folders, so the system call is faked
    with pytest.raises(StudyError, match="read-only"):
        import_cases(source / "Quackenbush 2022", CaseStore(root=tmp_path / "cases"), KEY)


def test_rsa6_a_zip_and_broken_files_are_imported_and_told(source: Path, tmp_path: Path) -> None:
    packed = tmp_path / "in.zip"
    with zipfile.ZipFile(packed, "w") as bundle:
        for path in (source / "Quackenbush 2022").iterdir():
            bundle.write(path, path.name)
        bundle.writestr("broken.dcm", b"\0" * 128 + b"DICM" + b"rubbish" * 9)
        bundle.writestr("letter.pdf", b"%PDF Zephyrine")
    outcome = import_cases(packed, CaseStore(root=tmp_path / "cases"), KEY)
    by_name = {row.source: row for row in outcome.rows}
    assert by_name["broken.dcm"].outcome == "refused"
    assert by_name["broken.dcm"].sentence
    assert by_name["letter.pdf"].outcome == "refused"
    assert outcome.count("imported") == 4


def test_rsa6_pictures_with_a_manifest_come_in_without_their_metadata(tmp_path: Path) -> None:
    import cv2
    import numpy as np
    from PIL import Image, PngImagePlugin

    folder = tmp_path / "in"
    folder.mkdir()
    y, x = np.mgrid[0:120, 0:90]
    grey = np.where(((y - 60) / 50) ** 2 + (x / 60) ** 2 < 1, 150, 0).astype(np.uint8)
    for name in ("r.png", "l.png"):
        info = PngImagePlugin.PngInfo()
        info.add_text("Author", "Zephyrine Quackenbush")
        Image.fromarray(grey if name == "l.png" else grey[:, ::-1].copy()).save(folder / name, pnginfo=info)
    (folder / "images.csv").write_text(
        "case_id,patient_id,laterality,view,kind,path,spacing_mm,age,study_date\n"
        "Q1,MRN-889911,R,CC,ffdm,r.png,0.1,95,20240506\nQ1,MRN-889911,L,CC,ffdm,l.png,0.1,95,20240506\n"
    )
    assert b"Zephyrine" in (folder / "r.png").read_bytes()
    store = CaseStore(root=tmp_path / "cases")
    outcome = import_cases(folder, store, KEY)
    (case,) = outcome.cases
    assert case.age_years == 90  # 90 and older are told as 90
    exam = FolderSource(store.exams).load(case.exam.exam_id)
    assert {image.key for image in exam.images} == {"R-CC", "L-CC"}
    assert exam.images[0].spacing is not None
    for path in _files(store):
        assert b"Zephyrine" not in path.read_bytes()
        assert b"MRN-889911" not in path.read_bytes()
        assert b"20240506" not in path.read_bytes()
    stored = cv2.imread(str(next(store.exams.rglob("*_001.png"))), cv2.IMREAD_UNCHANGED)
    assert sorted(set(np.asarray(stored).ravel().tolist())) == [0, 150]


def test_rsa6_report_and_links_lie_apart_and_are_private(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "site_links.csv"
    first = LinkRow(
        case_id="C0001", role="current", patient_id="MRN-1", study_uid="1.2", study_date="20240506"
    )
    add_links([first], path)
    add_links([replace(first, case_id="C0002", patient_id="MRN-2")], path)
    add_links([replace(first, patient_id="MRN-3")], path)
    assert read_links(path) == {"MRN-3": ("C0001",), "MRN-2": ("C0002",)}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    report = tmp_path / "keys" / "report.csv"
    write_report([FileRow(source="a,b.dcm", outcome="refused", sentence='says "no"')], report)
    assert (
        report.read_text()
        == 'source,outcome,case_id,file,done,sentence\n"a,b.dcm",refused,,,,"says ""no"""\n'
    )
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


def test_rsa6_the_key_is_private_stays_apart_and_is_never_written_over(tmp_path: Path) -> None:
    path, cases = tmp_path / "keys" / "site.key", tmp_path / "cases"
    key = open_key(path, away_from=cases)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert open_key(path, away_from=cases) == key
    assert key.secret.hex() not in repr(key)
    with pytest.raises(Exception, match="kept apart"):
        open_key(cases / "site.key", away_from=cases)
    path.chmod(0o644)
    with pytest.raises(Exception, match="chmod 600"):
        open_key(path, away_from=cases)
    path.chmod(0o600)
    path.write_text('{"secret": "abcd"}')
    with pytest.raises(Exception, match="backup"):
        open_key(path, away_from=cases)


def test_rsa6_the_cases_written_for_a_protocol_are_read_by_it(
    imported: tuple[CaseStore, ImportOutcome], tmp_path: Path
) -> None:
    from reader_study.case_import import write_protocol_cases

    store, _ = imported
    rows = write_protocol_cases(store).read_text()
    protocol = tmp_path / "study.yaml"
    protocol.write_text(
        "study_id: s\ntitle: t\nprotocol_version: '1'\nseed: 1\n"
        "arms:\n- {arm_id: u, title: Unaided, ai: {shown: false}}\n- {arm_id: a, title: Aided, ai: {shown: true}}\n"
        "readers:\n- {reader_id: R1, name: One}\n" + rows
    )
    study = read_protocol(protocol)
    assert [(c.case_id, c.exam_digest, c.priors, c.age_years) for c in study.cases] == [
        (c.case_id, c.exam_digest, c.priors, c.age_years) for c in protocol_cases(store)
    ]


def test_rsa6_the_command_imports_and_says_where_everything_is(source: Path, tmp_path: Path) -> None:
    words = [
        sys.executable, "-m", "app", "study", "import-cases", str(source / "Quackenbush 2022"),
        "--store", str(tmp_path / "cases"), "--key", str(tmp_path / "keys" / "s.key"),
    ]  # fmt: skip
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=120, check=False, cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "HOME": str(tmp_path), "QT_QPA_PLATFORM": "offscreen"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "New cases: 1, 1 in all" in done.stdout
    assert json.loads((tmp_path / "cases" / "cases.json").read_text())["cases"][0]["case_id"] == "C0001"
    assert read_links(tmp_path / "keys" / "s_links.csv") == {"MRN-889911": ("C0001",)}


@pytest.mark.data
def test_rsa6_real_compressed_films_keep_their_pixels(data_root: Path, tmp_path: Path) -> None:
    folder = data_root / "mammograms" / "nema_wg04"
    before = FolderSource(folder)
    digests = {before.load(summary.exam_id).digest for summary in before.list()}
    store = CaseStore(root=tmp_path / "cases")
    import_cases(folder, store, KEY)
    assert {case.exam.digest for case in store.cases} == digests
    for path in store.exams.rglob("*.dcm"):
        data = path.read_bytes()
        for secret in (
            b"CompressedSamples",
            b"3MG1",
            b"CLUNIE1",
            b"20040826",
            b"Digital Database",
            b"1.3.6.1.4.1.5962",
        ):
            assert secret not in data, f"{secret!r} in {path.name}"
        assert b"USF" not in data[: data.index(b"\xe0\x7f\x10\x00")]  # three letters are found in any pixels
        assert (
            dcmread(path).file_meta.TransferSyntaxUID != ExplicitVRLittleEndian
        )  # not decoded and packed anew


def test_rsa6_read_back_reports_are_unchanged_in_what_they_found(
    source: Path, imported: tuple[CaseStore, ImportOutcome]
) -> None:
    store, outcome = imported
    (name,) = [row.file for row in outcome.rows if row.source.endswith("cad of Quackenbush.dcm")]
    before = read_cad_sr(source / "Quackenbush 2024" / "cad of Quackenbush.dcm")
    (path,) = store.exams.rglob(name)
    after = read_cad_sr(path)
    assert after.state is before.state
    assert [(m.finding, m.probability) for m in after.marks] == [
        (m.finding, m.probability) for m in before.marks
    ]
    assert KEY.uid(before.uid) == after.uid


def test_rsa6_film_sets_that_group_by_names_stay_one_exam_without_the_names(tmp_path: Path) -> None:
    """CBIS-DDSM gives each image its own patient and study; only the patient id's text joins them."""
    folder = tmp_path / "in"
    sides = {"L": "LEFT", "R": "RIGHT"}
    for path in write_phantom_dicom(phantom_exam(PhantomSpec(seed=11, pixel_mm=0.8)), folder):
        ds = dcmread(path)
        side, view = path.stem.split("-")
        ds.PatientID = ds.PatientName = f"Calc-Training_P_00005_{sides[side]}_{view}"
        ds.StudyInstanceUID = f"1.2.3.4.5.{len(view)}.{ord(side)}"
        ds.save_as(path, enforce_file_format=True)
    before = FolderSource(folder)
    (summary,) = before.list()
    digest = before.load(summary.exam_id).digest
    store = CaseStore(root=tmp_path / "cases")
    outcome = import_cases(folder, store, KEY)
    assert outcome.count("imported") == 4
    assert [case.exam.digest for case in store.cases] == [digest]
    for path in _files(store):
        assert b"P_00005" not in path.read_bytes()
        assert b"1.2.3.4.5." not in path.read_bytes()
