"""Search, fetch and store against a real Orthanc over DICOMweb and DIMSE: found, complete, and as it was stored."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from datetime import date

import imagecodecs
import pytest
from pydicom import dcmread, uid

from inference.exam.pacs.fetching import fetch_study
from inference.exam.pacs.model import PacsError, Query
from inference.exam.pacs.shelf import Shelf
from inference.exam.pacs.source import PacsSource
from inference.exam.sources import FolderSource

WAYS = ("web", "get", "move")
SYNTAXES = {
    uid.ExplicitVRLittleEndian: None,
    uid.ImplicitVRLittleEndian: None,
    uid.DeflatedExplicitVRLittleEndian: None,
    uid.JPEGLSLossless: imagecodecs.jpegls_encode,
    uid.JPEG2000Lossless: lambda p: imagecodecs.jpeg2k_encode(p, reversible=True, codecformat="j2k"),
    uid.JPEGLosslessSV1: lambda p: imagecodecs.jpeg8_encode(p, lossless=True, predictor=1, bitspersample=12),
}
every_way = pytest.mark.parametrize("way", WAYS, indirect=True)


@pytest.fixture
def reachable(peer_of, listening, orthanc):
    """Open a peer; what C-MOVE delivers goes to the port that Orthanc knows us by."""
    return lambda connection, **more: peer_of(connection, settings=listening(port=orthanc.own_port), **more)


def datasets(files):
    """Digests of what follows the file meta group, which every archive writes anew."""
    return {hashlib.sha256(one[144 + int.from_bytes(one[140:144], "little") :]).hexdigest() for one in files}


@every_way
def test_pacs_a_study_is_found_and_fetched_byte_for_byte(orthanc, reachable, way, make_exam, shelf):
    exam, other = make_exam(), make_exam(PatientID="OTHER", PatientName="Roe^Ann")
    for file in (*exam.files, *other.files):
        orthanc.add(file)
    peer = reachable(way)
    assert way.name in peer.echo()
    found = peer.studies(Query(patient_id="SECRET-17"))
    assert [one.study_uid for one in found.studies] == [exam.study_uid]
    study = found.studies[0]
    assert (study.patient_name, study.accession, f"{study.study_date}") == ("Doe^Jane", "A17", "2024-03-05")
    assert study.instance_count == 4
    seen = []
    got = fetch_study(peer, study, shelf, report=seen.append)
    assert (got.done, got.total) == (4, 4)
    assert [one.done for one in seen] == [0, 1, 2, 3, 4]
    folder = shelf.folder_of(exam.study_uid)
    assert datasets([path.read_bytes() for path in folder.glob("*.dcm")]) == datasets(exam.files)
    source = FolderSource(folder)
    assert len(source.load(source.list()[0].exam_id).images) == 4
    assert shelf.damaged() == ()


@every_way
@pytest.mark.parametrize("syntax", list(SYNTAXES), ids=lambda one: one.name)
def test_pacs_no_transfer_syntax_is_transcoded(
    orthanc, reachable, way, header, file_of, breast, shelf, syntax
):
    encode, pixels = SYNTAXES[syntax], breast()
    ds = header(StudyInstanceUID=uid.generate_uid(), StudyID="1", PatientID="P1")
    data = file_of(ds, pixels, syntax=syntax, stream=encode(pixels) if encode else None)
    orthanc.add(data)
    peer = reachable(way)
    fetch_study(peer, peer.studies(Query()).studies[0], shelf)
    (path,) = shelf.folder_of(ds.StudyInstanceUID).glob("*.dcm")
    assert dcmread(path).file_meta.TransferSyntaxUID == syntax
    assert datasets([path.read_bytes()]) == datasets([data])


@every_way
@pytest.mark.parametrize(("tool", "options"), [("dcmcrle", []), ("dcmcjpeg", ["+el"])])
def test_pacs_files_packed_by_dcmtk_come_as_they_are(
    orthanc, reachable, way, header, file_of, breast, shelf, tmp_path, tool, options
):
    program = shutil.which(tool)
    if program is None:
        pytest.skip(f"not run: {tool} of dcmtk is not installed")
    plain, packed = tmp_path / "plain.dcm", tmp_path / "packed.dcm"
    plain.write_bytes(file_of(header(StudyID="1", StudyInstanceUID=uid.generate_uid()), breast()))
    subprocess.run([program, *options, str(plain), str(packed)], check=True, capture_output=True)
    orthanc.add(packed.read_bytes())
    peer = reachable(way)
    study = peer.studies(Query()).studies[0]
    fetch_study(peer, study, shelf)
    (path,) = shelf.folder_of(study.study_uid).glob("*.dcm")
    assert datasets([path.read_bytes()]) == datasets([packed.read_bytes()])


@pytest.mark.parametrize("way", ["web", "get"], indirect=True)
@pytest.mark.parametrize(("query", "hits"), [
    (Query(patient_name="doe"), {"A"}),
    (Query(patient_name="D?e*"), {"A"}),
    (Query(accession="B2"), {"B"}),
    (Query(first=date(2024, 1, 1), last=date(2024, 12, 31)), {"A"}),
    (Query(last=date(2023, 12, 31), first=date(2020, 1, 1)), {"B"}),
    (Query(last=date(2020, 1, 1)), {"D"}),
    (Query(first=date(2022, 7, 1), last=date(2022, 7, 1)), {"B"}),
    (Query(), {"A", "B", "D"}),
    (Query(modality=""), {"A", "B", "C", "D"}),
    (Query(patient_name="Grün"), {"B"}),
    (Query(patient_name="王"), {"D"}),
    (Query(patient_id="nobody"), set()),
])  # fmt: skip
def test_pacs_searching_by_each_field_finds_what_matches(
    orthanc, reachable, way, header, file_of, breast, query, hits
):
    rows = {
        "A": {"PatientName": "Doe^Jane", "PatientID": "A1", "AccessionNumber": "A2", "StudyDate": "20240305"},
        "B": {"PatientName": "Grün^Eva", "PatientID": "B1", "AccessionNumber": "B2", "StudyDate": "20220701",
              "SpecificCharacterSet": "ISO_IR 192"},
        "C": {"PatientName": "Poe^Amy", "PatientID": "C1", "AccessionNumber": "C2", "StudyDate": "20240305",
              "Modality": "CT"},
        "D": {"PatientName": "王^小芳", "PatientID": "D1", "AccessionNumber": "D2", "StudyDate": "20190305",
              "SpecificCharacterSet": "ISO_IR 192"},
    }  # fmt: skip
    studies = {}
    for key, values in rows.items():
        studies[key] = uid.generate_uid()
        ds = header(
            StudyInstanceUID=studies[key], SeriesInstanceUID=uid.generate_uid(), StudyID="1", **values
        )
        orthanc.add(file_of(ds, breast()))
    found = reachable(way).studies(query)
    assert {one.study_uid for one in found.studies} == {studies[key] for key in hits}
    for one in found.studies:
        assert one.patient_name in {row["PatientName"] for row in rows.values()}
    assert ("Nothing found" in found.sentence) == (not hits)


@every_way
def test_pacs_only_mammography_is_fetched_unless_the_connection_allows_more(
    orthanc, reachable, way, make_exam, tmp_path
):
    exam = make_exam(("RCC",))
    ct = make_exam(
        ("LCC",), Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.7", StudyInstanceUID=exam.study_uid
    )
    for file in (*exam.files, *ct.files):
        orthanc.add(file)
    from dataclasses import replace

    narrow, wide = reachable(way), reachable(replace(way, name="wide", mammography_only=False))
    study = narrow.studies(Query()).studies[0]
    assert fetch_study(narrow, study, Shelf(tmp_path / "one")).total == 1
    if way.kind == "dimse" and way.retrieve == "move":
        return  # the listener's own rule applies too; see the tests of the listener
    assert fetch_study(wide, study, Shelf(tmp_path / "two")).total == 2


@pytest.mark.parametrize("way", ["web", "get"], indirect=True)
def test_pacs_a_study_without_mammography_is_refused_in_a_sentence(orthanc, reachable, way, make_exam, shelf):
    for file in make_exam(("RCC",), Modality="CT").files:
        orthanc.add(file)
    peer = reachable(way)
    study = peer.studies(Query(modality="")).studies[0]
    with pytest.raises(PacsError, match=r"expected mammography \(MG\) in this study, found CT"):
        fetch_study(peer, study, shelf)


@pytest.mark.parametrize("way", ["web", "get"], indirect=True)
def test_pacs_more_matches_than_the_limit_are_cut_and_said(orthanc, reachable, way, tiny_study):
    for number in range(12):
        orthanc.add(tiny_study(number))
    peer = reachable(way)
    cut = peer.studies(Query(limit=10))
    assert len(cut.studies) == 10
    assert cut.sentence == "More than 10 studies match and the first 10 are shown; narrow the search."
    whole = peer.studies(Query(limit=12))
    assert (len(whole.studies), whole.cut) == (12, False)


@every_way
def test_pacs_what_is_here_is_not_fetched_again(orthanc, reachable, way, make_exam, tmp_path):
    exam = make_exam()
    for file in exam.files:
        orthanc.add(file)
    peer = reachable(way)
    study = peer.studies(Query()).studies[0]
    first = Shelf(tmp_path / "shelf")
    assert fetch_study(peer, study, first).new_bytes > 0
    stamps = {path: path.stat().st_mtime_ns for path in first.folder_of(exam.study_uid).glob("*.dcm")}
    victim = next(iter(stamps))
    victim.unlink()
    again = Shelf(tmp_path / "shelf")  # as after a restart
    got = fetch_study(peer, study, again)
    assert (got.done, got.new_bytes) == (4, victim.stat().st_size)
    kept = {path: path.stat().st_mtime_ns for path in stamps if path != victim}
    assert kept == {path: stamp for path, stamp in stamps.items() if path != victim}


@every_way
def test_pacs_the_port_lists_and_loads_exams_as_a_folder_does(orthanc, reachable, way, make_exam, shelf):
    exam = make_exam()
    for file in exam.files:
        orthanc.add(file)
    source = PacsSource(reachable(way), shelf, Query(patient_id="SECRET-17"))
    (summary,) = source.list()
    assert summary.exam_id == exam.study_uid
    assert "Doe" not in summary.title
    assert "SECRET" not in summary.title
    loaded = source.load(summary.exam_id)
    assert sorted(image.view.key for image in loaded.images) == ["L-CC", "L-MLO", "R-CC", "R-MLO"]
    with pytest.raises(PacsError, match="search again"):
        source.load("1.2.3.999")


@pytest.mark.parametrize("way", ["web", "get"], indirect=True)
def test_pacs_files_sent_arrive_as_they_are_and_bad_ones_are_named(
    orthanc, reachable, way, make_exam, tmp_path
):
    exam = make_exam()
    paths = []
    for number, data in enumerate(exam.files):
        paths.append(tmp_path / f"{number}.dcm")
        paths[-1].write_bytes(data)
    bad = tmp_path / "bad.dcm"
    bad.write_bytes(b"no dicom at all" * 100)
    sizes = []
    sent = reachable(way).store([*paths, bad], arrived=sizes.append, cancelled=lambda: False)
    assert sent.stored == 4
    assert len(sent.refused) == 1
    assert sent.refused[0].startswith("bad.dcm")
    assert datasets(orthanc.files()) == datasets(exam.files)


def test_pacs_a_preview_is_a_picture_the_server_makes_or_none(orthanc, reachable, make_exam):
    for file in make_exam(("RCC",)).files:
        orthanc.add(file)
    peer = reachable(orthanc.web())
    study = peer.studies(Query()).studies[0]
    instance = peer.instances(peer.series(study.study_uid)[0])[0]
    picture = peer.preview(instance)
    assert picture is not None
    assert imagecodecs.jpeg8_decode(picture).shape[0] <= 360
    dimse = reachable(orthanc.dimse())
    assert dimse.preview(instance) is None
