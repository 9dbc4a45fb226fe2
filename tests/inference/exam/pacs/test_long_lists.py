"""Lists that are longer than a server hands out at once: all of it is read, or the user is told that it was cut."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
from urllib.parse import parse_qs, urlsplit

import pytest

from inference.exam.pacs.dicomweb_answers import all_pages, text_of
from inference.exam.pacs.fetching import fetch_study
from inference.exam.pacs.model import Connection, PacsError, Query, SeriesMatch
from tests.inference.exam.pacs.conftest import Orthanc

TAGS = {"studies": "0020000D", "series": "0020000E", "instances": "00080018"}


def entry(kind: str, number: int) -> dict[str, object]:
    return {
        TAGS[kind]: {"vr": "UI", "Value": [f"1.2.3.{number}"]},
        "00080060": {"vr": "CS", "Value": ["MG"]},
        "00080061": {"vr": "CS", "Value": ["MG"]},
        "00201209": {"vr": "IS", "Value": [250]},
    }


class PagingServer(http.server.BaseHTTPRequestHandler):
    """Holds 250 of everything and gives at most 100 at once, as some archives do by default."""

    heeds_offset = True
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        parts = urlsplit(self.path)
        kind = parts.path.rpartition("/")[2]
        query = parse_qs(parts.query)
        first = int(query.get("offset", ["0"])[0]) if self.heeds_offset else 0
        count = min(100, int(query.get("limit", ["100"])[0]))
        body = json.dumps([entry(kind, number) for number in range(250)][first : first + count]).encode()
        self.send_response(200 if first < 250 else 204)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(body) if first < 250 else 0))
        self.end_headers()
        if first < 250:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def paging(peer_of):
    made = []

    def start(**how: object):
        handler = type("Handler", (PagingServer,), {"asked": 0, **how})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        made.append((server, thread))
        link = Connection(name="web", url=f"http://127.0.0.1:{server.server_port}/dicom-web", timeout_s=10)
        return peer_of(link), handler

    yield start
    for server, thread in made:
        server.shutdown()
        server.server_close()
        thread.join()


def test_pacs_every_page_of_studies_series_and_images_is_read(paging):
    peer, handler = paging()
    found = peer.studies(Query())
    assert (len(found.studies), found.cut) == (250, False)
    assert len(peer.series("1.2.3")) == 250
    before = handler.asked
    series = SeriesMatch(study_uid="1.2.3", series_uid="1.2.3.4", instance_count=250)
    assert len({one.sop_uid for one in peer.instances(series)}) == 250
    assert handler.asked - before == 3, "the server said how many there are"


def test_pacs_a_limit_between_two_pages_is_kept_and_said(paging):
    found = paging()[0].studies(Query(limit=220))
    assert (len(found.studies), found.cut) == (220, True)
    assert found.sentence == "More than 220 studies match and the first 220 are shown; narrow the search."


def test_pacs_a_server_that_lists_fewer_images_than_it_says_is_told_after_the_fetch(
    paging, shelf, monkeypatch
):
    peer, _ = paging(heeds_offset=False)
    monkeypatch.setattr(type(peer), "series", lambda *_: (
        SeriesMatch(study_uid="1.2.3", series_uid="1.2.3.4", modality="MG", instance_count=250),
    ))  # fmt: skip
    monkeypatch.setattr(shelf, "holds", lambda *_uids: True)  # its images are of no interest here
    study = Query(study_uid="1.2.3")
    got = fetch_study(peer, study, shelf)
    assert got.total == 100
    assert got.sentence == (
        "web: the PACS says that there are 250 images and lists 100; its administrator can say why."
    )


def test_pacs_a_list_of_a_study_without_end_is_refused(paging, monkeypatch):
    import inference.exam.pacs.dicomweb as web
    from inference.exam.pacs import model

    for place in (web, model):
        monkeypatch.setattr(place, "MOST_LISTED", 150)
    with pytest.raises(PacsError, match=r"lists a part of this study only \(150 entries\)"):
        paging()[0].series("1.2.3")


def test_pacs_orthanc_is_read_page_by_page(orthanc, peer_of, tiny_study):
    for number in range(7):
        orthanc.add(tiny_study(number))
    with peer_of(orthanc.web())._client() as client:
        found = all_pages(
            lambda limit, offset: client.search_for_studies(limit=min(limit, 3), offset=offset),
            "StudyInstanceUID",
            most=100,
        )
    assert len({text_of(one, "StudyInstanceUID") for one in found}) == len(found) == 7


@pytest.fixture(scope="module")
def stingy(tmp_path_factory):
    """An Orthanc that gives at most four answers to a C-FIND."""
    if shutil.which("Orthanc") is None:
        pytest.skip("not run: orthanc is not installed")
    server = Orthanc(tmp_path_factory.mktemp("stingy"), LimitFindResults=4, LimitFindInstances=4, Plugins=[])
    server.start()
    yield server
    server.stop()


def test_pacs_a_pacs_that_ends_its_list_early_is_told_over_dimse(
    stingy, peer_of, tiny_study, make_exam, shelf
):
    for number in range(6):
        stingy.add(tiny_study(number))
    exam = make_exam(("RCC", "LCC", "RMLO", "LMLO", "RCC", "LCC"), AccessionNumber="LONG")
    for file in exam.files:
        stingy.add(file)
    peer = peer_of(stingy.dimse())
    found = peer.studies(Query())
    assert found.cut
    assert "More than 4 studies match and the first 4 are shown" in found.sentence
    study = peer.studies(Query(accession="LONG")).studies[0]
    with pytest.raises(PacsError, match=r"pacs: the PACS lists a part of this study only \(4 entries\)"):
        fetch_study(peer, study, shelf)
    assert shelf.used_bytes == 0
