"""What a header says beside side and view: identity, times, flags, references, all tags (MG-22..27, 36, 38, CEM-06)."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import date, datetime

import pytest
from pydicom import Dataset
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr.codedict import codes

from app.state.priors import priors_of
from inference.exam import header as header_facts
from inference.exam.dicom import load_view, patient_key, read_header, read_tags
from inference.exam.sources import FolderSource
from inference.exam.types import ExamError
from resources.code_tables import mammography_codes


def _code(value: str, meaning: str, scheme: str = "SCT") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def test_mg22_identity_and_technique_lie_in_mappings_of_their_own(header, file_of, breast):
    ds = header(
        PatientBirthDate="19560213", PatientSex="F", AccessionNumber="A17", InstanceNumber="3",
        InstitutionName="City Hospital", OperatorsName="Roe^R", DeviceSerialNumber="SN1", DetectorID="DET9",
        AcquisitionDate="20200117", AcquisitionTime="103312.5",
    )  # fmt: skip
    view = load_view(file_of(ds, breast()))
    assert view.identity["PatientName"] == "Doe^Jane"
    assert view.identity["PatientID"] == "SECRET-17"
    expected = {
        "PatientBirthDate": "19560213",
        "AccessionNumber": "A17",
        "DetectorID": "DET9",
        "InstanceNumber": "3",
    }
    assert expected.items() <= view.identity.items()
    assert not set(view.identity) & set(view.header)
    assert view.header["KVP"] == "29"
    everything = repr(view) + repr(dict(view.header)) + repr(view.evidence)
    for secret in ("Doe", "SECRET-17", "1956", "A17", "City", "Roe", "SN1", "DET9"):
        assert secret not in everything


def test_mg25_manufacturer_and_model_stay_when_identity_is_taken_away(header, file_of, breast):
    view = load_view(file_of(header(ManufacturerModelName="Model One", DetectorID="D1"), breast()))
    assert view.header["ManufacturerModelName"] == "Model One"
    assert "DetectorID" not in view.header


@pytest.mark.parametrize(("changes", "expected"), [
    ({"AcquisitionDateTime": "20200117103312.500000+0100"}, datetime(2020, 1, 17, 10, 33, 12, 500000)),
    ({"AcquisitionDate": "20200117", "AcquisitionTime": "1033"}, datetime(2020, 1, 17, 10, 33)),
    ({"AcquisitionDate": "2020.01.17", "AcquisitionTime": "10:33:12"}, datetime(2020, 1, 17, 10, 33, 12)),
    ({"ContentDate": "20200117", "ContentTime": "103312"}, datetime(2020, 1, 17, 10, 33, 12)),
    ({"AcquisitionDate": "20201332", "AcquisitionTime": "103312"}, None),
    ({"AcquisitionDate": "20200117"}, None),
    ({}, None),
])  # fmt: skip
def test_cem06_acquisition_time_is_read_as_ps3_5_writes_it(header, changes, expected):
    found, said = header_facts.acquired_of(header(**changes))
    assert found == expected
    assert bool(said) == ("ContentDate" in changes)


def test_cem06_injection_is_on_the_day_of_the_image_or_before_midnight(header):
    taken = datetime(2020, 1, 17, 10, 33)
    assert header_facts.injected_of(header(ContrastBolusStartTime="103030"), taken) == datetime(
        2020, 1, 17, 10, 30, 30
    )
    past_midnight = datetime(2020, 1, 17, 0, 2)
    found = header_facts.injected_of(header(ContrastBolusStartTime="2358"), past_midnight)
    assert found == datetime(2020, 1, 16, 23, 58)
    profile = Dataset()
    profile.ContrastBolusStartTime = "103100"
    ds = header(ContrastAdministrationProfileSequence=[profile])
    assert header_facts.injected_of(ds, taken) == datetime(2020, 1, 17, 10, 31)
    assert header_facts.injected_of(header(), taken) is None
    assert header_facts.injected_of(header(ContrastBolusStartTime="103030"), None) is None


def test_mg26_flags_are_false_where_the_header_is_silent(header):
    found = header_facts.flags_of(header())
    assert found == header_facts.ImageFlags()


@pytest.mark.parametrize("keyword", cid_concepts[4005]["SCT"])
def test_mg36_partial_views_carry_each_section_of_cid_4005(header, keyword):
    code = getattr(codes.cid4005, keyword)
    assert code.value in {word.sct for word in mammography_codes().partial_view_sections}
    ds = header(PartialView="YES", PartialViewCodeSequence=[_code(code.value, code.meaning)])
    found = header_facts.flags_of(ds)
    assert found.partial
    assert found.partial_region == (code.meaning,)


def test_mg36_two_sections_of_a_mosaic_are_both_told(header):
    ds = header(
        PartialView="YES",
        PartialViewCodeSequence=[_code("255549009", "Anterior"), _code("R-404D5", "", "SRT")],
    )
    assert header_facts.flags_of(ds).partial_region == ("Anterior", "Medial")


def test_mg38_breast_implant_present_is_a_flag(header):
    assert header_facts.flags_of(header(BreastImplantPresent="YES")).implant
    assert not header_facts.flags_of(header(BreastImplantPresent="NO")).implant


def test_mg26_lossy_compression_is_told_by_attribute_or_by_a_syntax_that_always_loses(header):
    found = header_facts.flags_of(
        header(LossyImageCompression="01", LossyImageCompressionRatio=["4", "12.5"])
    )
    assert (found.lossy, found.lossy_ratio) == (True, 12.5)
    assert header_facts.flags_of(header(), "1.2.840.10008.1.2.4.51").lossy
    assert not header_facts.flags_of(header(LossyImageCompression="00", LossyImageCompressionRatio="4")).lossy


def test_mg26_for_processing_and_quality_control_are_flags(header):
    assert header_facts.flags_of(header(PresentationIntentType="FOR PROCESSING")).for_processing
    assert header_facts.flags_of(header(SOPClassUID="1.2.840.10008.5.1.4.1.1.1.2.1")).for_processing
    assert header_facts.flags_of(header(QualityControlImage="YES")).quality_control


def test_mg31_reference_names_the_uids_and_the_source_images(header, file_of, breast):
    source = Dataset()
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.2.1", "1.9.9"
    source.SpatialLocationsPreserved = "YES"
    ds = header(SourceImageSequence=[source])
    found = load_view(file_of(ds, breast())).reference
    assert found is not None
    assert (found.study_uid, found.series_uid) == ("1.2.3.4", "1.2.3.4.5")
    assert found.sop_instance_uid == ds.SOPInstanceUID
    assert found.transfer_syntax_uid == "1.2.840.10008.1.2.1"
    assert found.sources == (("1.9.9", "YES"),)
    assert header_facts.reference_of(header(StudyInstanceUID=None)) is None


def test_mg41_patient_key_links_a_womans_exams_and_does_not_name_her(header, file_of, breast):
    first, second = (
        read_header(file_of(header(StudyInstanceUID=f"1.{n}", StudyDate=f"20{n}0117"), breast()))
        for n in (18, 20)
    )
    assert first.patient_key == second.patient_key != ""
    assert "SECRET" not in repr(first)
    assert (first.study_date, second.study_date) == (date(2018, 1, 17), date(2020, 1, 17))
    other = read_header(file_of(header(PatientID="SECRET-18"), breast()))
    assert other.patient_key != first.patient_key
    assert patient_key("") == ""


@pytest.mark.parametrize("patient", ["", "Anonymous", "ANON", "0", "unknown"])
def test_mg41_ids_that_stand_for_nobody_link_no_exams(header, file_of, breast, patient):
    assert read_header(file_of(header(PatientID=patient), breast())).patient_key == ""


def test_mg41_the_same_id_of_two_hospitals_is_two_women(header):
    assert header_facts.patient_id_of(header(IssuerOfPatientID="A")) != header_facts.patient_id_of(
        header(IssuerOfPatientID="B")
    )


def test_mg41_an_exam_of_the_list_and_loaded_carries_key_and_date(tmp_path, header, file_of, breast):
    (tmp_path / "a.dcm").write_bytes(file_of(header(StudyDate="20200117"), breast()))
    source = FolderSource(tmp_path)
    (summary,) = source.list()
    exam = source.load(summary.exam_id)
    assert summary.patient_key == exam.patient_key != ""
    assert summary.study_date == exam.study_date == date(2020, 1, 17)


def test_mg03_a_laterality_conflict_is_in_the_list_and_in_the_exam(tmp_path, header, file_of, breast):
    (tmp_path / "a.dcm").write_bytes(file_of(header(ImageLaterality="L", Laterality="R"), breast()))
    source = FolderSource(tmp_path)
    (summary,) = source.list()
    for notes in (summary.notes, source.load(summary.exam_id).notes):
        assert sum("Side conflict: Laterality of the series says R" in note for note in notes) == 1


def test_mg01_mg04_an_exam_says_what_of_its_study_is_not_hung_and_why(tmp_path, header, file_of, breast):
    for name, changes in {
        "hung": {},
        "raw1": {"PresentationIntentType": "FOR PROCESSING"},
        "raw2": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2.1"},
        "qc": {"QualityControlImage": "YES"},
        "dbt": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.13.1.3"},
        "bpx": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.13.1.4"},
        "other": {"StudyInstanceUID": "9.9", "QualityControlImage": "YES"},
    }.items():
        (tmp_path / f"{name}.dcm").write_bytes(file_of(header(**changes), breast()))
    source = FolderSource(tmp_path)
    (summary,) = source.list()
    assert {note for note in summary.notes if note.startswith("Not hung")} == {
        "Not hung: 2 × For Processing image, not for reading.",
        "Not hung: 1 × quality control image.",
        "Not hung: 1 × breast tomosynthesis, not read yet.",
        "Not hung: 1 × a breast projection image (for presentation), not read yet.",
    }
    assert set(summary.notes) <= set(source.load(summary.exam_id).notes)
    listed = {entry.path for entry in source.report.entries if entry.listed}
    assert listed == {"raw1.dcm", "raw2.dcm", "qc.dcm", "other.dcm"}


def test_mg41_two_patient_ids_in_one_study_are_two_exams_and_link_no_priors(
    tmp_path, header, file_of, breast
):
    for patient, side in (("A1", "L"), ("A1", "R"), ("B2", "L")):
        ds = header(PatientID=patient, ImageLaterality=side)
        (tmp_path / f"{patient}{side}.dcm").write_bytes(file_of(ds, breast()))
    source = FolderSource(tmp_path)
    exams = source.list()
    assert sorted(len(source.load(exam.exam_id).images) for exam in exams) == [1, 2]
    for exam in exams:
        women = {image.identity["PatientID"] for image in source.load(exam.exam_id).images}
        assert len(women) == 1
        assert exam.patient_key == ""
        assert any("2 patient ids in one study" in note for note in exam.notes)
        assert "A1" not in " ".join(exam.notes)


@pytest.mark.parametrize(
    ("births", "linked"),
    [(("19600101", "19600101"), True), (("19600101", ""), True), (("19600101", "19710202"), False)],
)
def test_mg41_one_patient_id_with_two_birth_dates_is_two_women(
    tmp_path, header, file_of, breast, births, linked
):
    for k, birth in enumerate(births):
        ds = header(StudyInstanceUID=f"1.2.{k}", StudyDate=f"20{18 + k}0101", PatientBirthDate=birth)
        (tmp_path / f"{k}.dcm").write_bytes(file_of(ds, breast()))
    exams = FolderSource(tmp_path).list()
    assert len(exams) == 2
    newest = max(exams, key=lambda exam: str(exam.study_date))
    assert bool(priors_of(exams, newest)) is linked
    assert any("birth dates" in note for note in newest.notes) is not linked
    assert "1960" not in " ".join(newest.notes)


# ---- all tags


def test_all_tags_of_a_file_are_those_that_dcmdump_lists(tmp_path, header, file_of, breast):
    """dcmtk is the judge: same tags in the same order, sequences opened, private ones included."""
    if shutil.which("dcmdump") is None:
        pytest.skip("not run: no dcmdump (dcmtk)")
    view = _code("399368009", "medio-lateral oblique")
    view.ViewModifierCodeSequence = [_code("399163009", "Magnification")]
    ds = header(ViewCodeSequence=[view])
    block = ds.private_block(0x0019, "MAKER", create=True)
    block.add_new(0x01, "LO", "secret sauce")
    path = tmp_path / "a.dcm"
    path.write_bytes(file_of(ds, breast()))
    dumped = subprocess.run(["dcmdump", "-q", str(path)], capture_output=True, text=True, check=True).stdout
    expected = [tag.upper() for tag in re.findall(r"^ *\(([0-9a-f]{4},[0-9a-f]{4})\)", dumped, re.MULTILINE)]
    expected = [tag for tag in expected if not tag.startswith(("FFFE", "7FE0"))]
    rows = read_tags(path)
    assert [row.tag.strip("()") for row in rows] == expected
    found = {row.keyword: row for row in rows}
    assert (found["KVP"].vr, found["KVP"].value) == ("DS", "29")
    assert found["ViewModifierCodeSequence"].depth == 1
    assert found["PatientName"].value == "Doe^Jane"
    assert "private: MAKER" in found


def test_tags_are_read_without_pixels_and_long_values_are_cut(header, file_of, breast):
    ds = header(ImageComments="x" * 5000)
    ds.add_new(0x00091001, "OB", b"\0" * 3000)
    rows = {row.tag: row.value for row in read_tags(file_of(ds, breast()))}
    assert len(rows["(0020,4000)"]) < 500
    assert rows["(0009,1001)"] == "3000 bytes"
    assert "(7FE0,0010)" not in rows


@pytest.mark.parametrize("data", [b"no dicom at all, just words " * 20, b"\0" * 400])
def test_tags_of_what_is_no_dicom_file_are_refused_in_one_sentence(data):
    with pytest.raises(ExamError) as caught:
        read_tags(data)
    assert "\n" not in str(caught.value)


def test_tags_are_found_by_the_images_path_in_folder_and_zip_alike(tmp_path, header, file_of, breast):
    import zipfile

    data = file_of(header(), breast())
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "a.dcm").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as bundle:
        bundle.writestr("a.dcm", data)
    for root in ("f", "z.zip"):
        source = FolderSource(tmp_path / root)
        (image,) = source.load(source.list()[0].exam_id).images
        assert any(row.keyword == "PatientName" for row in source.tags(image.path))
        with pytest.raises(ExamError, match="found none"):
            source.tags("b.dcm")


@pytest.mark.data
def test_mg26_real_nema_images_say_that_they_lost_by_compression(data_root):
    source = FolderSource(data_root / "mammograms" / "nema_wg04")
    images = [image for exam in source.list() for image in source.load(exam.exam_id).images]
    assert images
    for image in images:
        assert image.flags.lossy
        assert image.flags.lossy_ratio == 10.0
        assert image.identity["PatientName"] == "CompressedSamples^MG1"
        assert len(source.tags(image.path)) > 30
