"""Search, fetch and store against a real Orthanc, over DICOMweb and DIMSE, plain and encrypted."""

from __future__ import annotations

import hashlib

import pytest

from inference.exam.pacs.connections import ConnectionBook
from inference.exam.pacs.fetching import fetch_study
from inference.exam.pacs.model import Query, Retrieve
from inference.exam.pacs.peers import Receiver, open_peer
from inference.exam.sources import FolderSource


@pytest.fixture
def peer_of(book: ConnectionBook, listening, orthanc):
    """Open a peer as the program does, its password in the book."""

    def build(connection, *, secret="pässword", settings=None):
        book.keep(connection, secret=secret)
        receiver = Receiver(settings or listening(port=orthanc.own_port))
        return open_peer(book.connection(connection.name), book, receiver)

    return build


WAYS = ("web", "get", "move")


@pytest.fixture
def way(request, orthanc):
    """One of the three ways to fetch."""
    if request.param == "web":
        return orthanc.web()
    return orthanc.dimse(retrieve=Retrieve(request.param))


def datasets(files):
    """What follows the file meta group, which every archive writes anew."""
    return {hashlib.sha256(one[144 + int.from_bytes(one[140:144], "little") :]).hexdigest() for one in files}


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_pacs_a_study_is_found_and_fetched_byte_for_byte(orthanc, peer_of, way, make_exam, shelf):
    exam, other = make_exam(), make_exam(PatientID="OTHER", PatientName="Roe^Ann")
    for file in (*exam.files, *other.files):
        orthanc.add(file)
    peer = peer_of(way)
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
