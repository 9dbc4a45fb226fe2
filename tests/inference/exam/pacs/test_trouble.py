"""What goes wrong on a hospital's network, each told in one clear sentence: against a real Orthanc and real sockets."""

from __future__ import annotations

import http.server
import json
import logging
import socket
import threading
from dataclasses import replace
from typing import ClassVar

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

from inference.exam.pacs.fetching import fetch_study
from inference.exam.pacs.model import (
    Auth,
    Connection,
    Kind,
    PacsError,
    PacsUnreachable,
    Query,
    Retrieve,
    StudyMatch,
)


def sentence(action, *, kind=PacsError):
    """What the user reads: one sentence, ending as one."""
    with pytest.raises(kind) as caught:
        action()
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    assert "Traceback" not in text
    return text


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def silent():
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_pacs_a_wrong_password_is_said(orthanc, peer_of):
    said = sentence(lambda: peer_of(orthanc.web(), secret="wrong").studies(Query()))
    assert said == "web: the server refused user or password (HTTP 401); correct them in the connection."
    no_user = replace(orthanc.web(), auth=Auth.NONE)
    assert "HTTP 401" in sentence(lambda: peer_of(no_user).echo())


def test_pacs_a_wrong_ae_title_is_said_for_either_side(orthanc, peer_of):
    said = sentence(lambda: peer_of(orthanc.dimse(ae_title="OTHER")).echo())
    assert said == "pacs: the PACS is not called OTHER; correct its AE title in the connection."
    said = sentence(lambda: peer_of(orthanc.dimse(own_ae_title="STRANGER")).studies(Query()))
    assert "STRANGER" in said
    assert "administrator" in said


def test_pacs_a_station_that_the_pacs_cannot_send_to_is_said(orthanc, peer_of, make_exam, shelf, listening):
    for file in make_exam(("RCC",)).files:
        orthanc.add(file)
    peer = peer_of(
        orthanc.dimse(retrieve=Retrieve.MOVE), settings=listening()
    )  # a port Orthanc does not know
    study = peer.studies(Query()).studies[0]
    said = sentence(lambda: fetch_study(peer, study, shelf, backoff_s=()))
    assert "1 of 1 images did not come" in said or "could not do what was asked" in said


def test_pacs_nothing_listening_is_said(peer_of):
    port = closed_port()
    web = Connection(name="web", url=f"http://127.0.0.1:{port}/dicom-web")
    assert "nothing listens" in sentence(lambda: peer_of(web).echo(), kind=PacsUnreachable)
    dimse = Connection(name="pacs", kind=Kind.DIMSE, host="127.0.0.1", port=port, ae_title="X")
    said = sentence(lambda: peer_of(dimse).echo(), kind=PacsUnreachable)
    assert (
        said == f"pacs: nothing listens at 127.0.0.1:{port}; check address and port, and that the PACS runs."
    )


def test_pacs_an_unknown_host_is_said(peer_of):
    web = Connection(name="web", url="http://no-such-host.invalid/dicom-web", timeout_s=5)
    assert "not known" in sentence(lambda: peer_of(web).echo())
    dimse = Connection(name="pacs", kind=Kind.DIMSE, host="no-such-host.invalid", ae_title="X", timeout_s=5)
    assert "not known" in sentence(lambda: peer_of(dimse).echo())


def test_pacs_no_answer_in_time_is_said(peer_of, silent):
    web = Connection(name="web", url=f"http://127.0.0.1:{silent}/dicom-web", timeout_s=1)
    said = sentence(lambda: peer_of(web).echo(), kind=PacsUnreachable)
    assert said == "web: no answer within 1 s; try again or allow more time in the connection."
    dimse = Connection(name="pacs", kind=Kind.DIMSE, host="127.0.0.1", port=silent, ae_title="X", timeout_s=1)
    assert "answer" in sentence(lambda: peer_of(dimse).echo(), kind=PacsUnreachable)


def test_pacs_a_wrong_path_and_a_web_page_are_said(orthanc, peer_of):
    lost = replace(orthanc.web(), url=f"{orthanc.url}/nothing-here")
    assert "HTTP 404" in sentence(lambda: peer_of(lost).echo())
    page = replace(orthanc.web(), url=f"{orthanc.url}/app/explorer.html#")
    said = sentence(lambda: peer_of(page).echo())
    assert "expected a DICOMweb answer" in said or "HTTP 4" in said


def test_pacs_tls_with_the_right_certificates_works_both_ways(
    secure, peer_of, make_exam, shelf, certificates, listening
):
    exam = make_exam()
    for file in exam.files:
        secure.add(file)
    ca, own, key = str(certificates.ca), str(certificates.client), str(certificates.client_key)
    web = peer_of(secure.web(ca_file=ca))
    study = web.studies(Query()).studies[0]
    assert fetch_study(web, study, shelf).total == 4
    shelf.remove(exam.study_uid)
    link = secure.dimse(tls=True, ca_file=ca, cert_file=own, key_file=key)
    assert fetch_study(peer_of(link), study, shelf).new_bytes > 0
    shelf.remove(exam.study_uid)
    # C-MOVE comes back over TLS too: our listener shows a certificate and wants one.
    settings = listening(port=secure.own_port, cert_file=own, key_file=key, ca_file=ca)
    back = peer_of(replace(link, retrieve=Retrieve.MOVE), settings=settings)
    assert fetch_study(back, study, shelf).new_bytes > 0


def test_pacs_a_certificate_of_a_stranger_is_said(secure, peer_of, certificates):
    stranger, ca = str(certificates.stranger), str(certificates.ca)
    for link in (secure.web(ca_file=stranger), secure.web(), secure.dimse(tls=True, ca_file=stranger)):
        said = sentence(lambda link=link: peer_of(link).echo())
        assert "was not signed by a trusted authority" in said, link
    bad = {"cert_file": stranger, "key_file": str(certificates.stranger_key)}
    said = sentence(lambda: peer_of(secure.dimse(tls=True, ca_file=ca, **bad)).echo())
    assert "certificate" in said
    said = sentence(lambda: peer_of(secure.dimse(tls=True, ca_file=ca)).echo())
    assert "certificate" in said


def test_pacs_a_certificate_for_another_name_is_said_and_can_be_allowed(secure, peer_of, certificates):
    elsewhere = {"ca_file": str(certificates.ca), "url": f"https://127.0.0.2:{secure.https}/dicom-web"}
    said = sentence(lambda: peer_of(secure.web(**elsewhere)).echo())
    assert "another host name" in said
    assert "answers" in peer_of(secure.web(**elsewhere, check_host=False)).echo()


def test_pacs_tls_where_there_is_none_and_none_where_there_is_are_said(
    orthanc, secure, peer_of, certificates
):
    plain = orthanc.dimse(tls=True, ca_file=str(certificates.ca))
    assert "TLS" in sentence(lambda: peer_of(plain).echo())
    web = replace(
        orthanc.web(), url=orthanc.web().url.replace("http:", "https:"), ca_file=str(certificates.ca)
    )
    assert "TLS" in sentence(lambda: peer_of(web).echo())
    assert "TLS" in sentence(lambda: peer_of(secure.dimse()).echo())


def test_pacs_certificate_files_that_are_none_are_said(secure, peer_of, tmp_path):
    nothing = tmp_path / "no.pem"
    said = sentence(lambda: peer_of(secure.dimse(tls=True, ca_file=str(nothing))).echo())
    assert said.startswith("no.pem: expected certificates of authorities")
    nothing.write_text("words")
    own = {"cert_file": str(nothing), "key_file": str(nothing)}
    assert "expected our certificate" in sentence(lambda: peer_of(secure.dimse(tls=True, **own)).echo())


class _Web(http.server.BaseHTTPRequestHandler):
    answer: bytes = b"[]"
    status = 200
    asked: ClassVar[list[str]] = []

    def do_GET(self):
        self.asked.append(self.path)
        self.send_response(self.status)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def web_server():
    """A server that answers everything with the same; call it with body and status."""
    made = []

    def build(answer: bytes, status: int = 200):
        handler = type("Handler", (_Web,), {"answer": answer, "status": status, "asked": []})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        made.append((server, thread))
        return Connection(
            name="web", url=f"http://127.0.0.1:{server.server_port}/dicom-web", timeout_s=10
        ), handler

    yield build
    for server, thread in made:
        server.shutdown()
        server.server_close()
        thread.join()


def json_study(number):
    return {"0020000D": {"vr": "UI", "Value": [f"1.2.3.{number}"]},
            "00100020": {"vr": "LO", "Value": [f"P{number}"]},
            "00080061": {"vr": "CS", "Value": ["MG"]}}  # fmt: skip


def test_pacs_ten_thousand_matches_of_a_web_server_that_heeds_no_limit_are_cut(peer_of, web_server):
    link, handler = web_server(json.dumps([json_study(n) for n in range(10_000)]).encode())
    found = peer_of(link).studies(Query())
    assert len(found.studies) == 500
    assert found.sentence == "More than 500 studies match and the first 500 are shown; narrow the search."
    assert "limit=501" in handler.asked[0]


def test_pacs_ten_thousand_matches_of_a_dimse_peer_are_cut(peer_of):
    sent = []

    def answer(event):
        for number in range(10_000):
            if event.is_cancelled:
                yield 0xFE00, None
                return
            one = Dataset()
            one.QueryRetrieveLevel, one.StudyInstanceUID, one.ModalitiesInStudy = (
                "STUDY",
                f"1.2.3.{number}",
                "MG",
            )
            sent.append(number)
            yield 0xFF00, one
        yield 0x0000, None

    ae = AE("MANY")
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, answer)])
    link = Connection(
        name="many", kind=Kind.DIMSE, host="127.0.0.1", port=server.server_address[1], ae_title="MANY"
    )
    found = peer_of(link).studies(Query(limit=500))
    server.shutdown()
    assert (len(found.studies), found.cut) == (500, True)
    assert "More than 500 studies match" in found.sentence


def test_pacs_an_empty_answer_says_what_to_do(peer_of, web_server):
    found = peer_of(web_server(b"")[0]).studies(Query())
    assert found.studies == ()
    assert found.sentence.startswith("Nothing found; search with fewer letters")


@pytest.mark.parametrize(("body", "status", "words"), [
    (b"<html>Welcome</html>", 200, "expected a DICOMweb answer"),
    (b'{"00080018": 3}', 200, "Nothing found|studies found"),
    (b'[1, 2, "x"]', 200, "expected a DICOMweb answer"),
    (b"", 503, "in trouble"),
    (b"", 403, "refused user or password"),
    (b"", 406, "cannot hand the images over"),
    (b"", 418, "refused the request"),
])  # fmt: skip
def test_pacs_odd_answers_are_said(peer_of, web_server, body, status, words):
    peer = peer_of(web_server(body, status)[0])
    try:
        said = peer.studies(Query()).sentence
    except PacsError as error:
        said = str(error)
    import re

    assert re.search(words, said), said


def test_pacs_a_peer_without_get_is_said(peer_of, shelf):
    ae = AE("BARE")
    ae.add_supported_context(Verification)
    server = ae.start_server(("127.0.0.1", 0), block=False)
    link = Connection(
        name="bare", kind=Kind.DIMSE, host="127.0.0.1", port=server.server_address[1], ae_title="BARE"
    )
    peer = peer_of(link)
    assert "answers" in peer.echo()
    assert "neither search nor fetch" in sentence(lambda: peer.studies(Query()))
    from inference.exam.pacs.model import Instance

    one = Instance(study_uid="1.2", series_uid="1.3", sop_uid="1.4", sop_class="1.2.840.10008.5.1.4.1.1.1.2")
    with pytest.raises(PacsError, match="choose C-MOVE"):
        peer.fetch([one], shelf, arrived=lambda *_: None, cancelled=lambda: False)
    server.shutdown()


def test_pacs_nothing_of_a_patient_is_in_the_log(orthanc, peer_of, make_exam, shelf, listening, caplog):
    caplog.set_level(logging.DEBUG)
    for file in make_exam(("RCC", "LCC")).files:
        orthanc.add(file)
    for link in (orthanc.web(), orthanc.dimse(), orthanc.dimse(name="move", retrieve=Retrieve.MOVE)):
        peer = peer_of(link, settings=listening(port=orthanc.own_port))
        study = peer.studies(Query(patient_name="Doe", patient_id="SECRET-17")).studies[0]
        fetch_study(peer, study, shelf)
        shelf.remove(study.study_uid)
        for word in ("Doe", "SECRET", "A17", study.study_uid):
            assert word not in caplog.text
    assert "Doe" not in repr(study)
    assert "SECRET" not in repr(study)


def test_pacs_a_uid_that_is_none_never_reaches_a_url_or_a_peer(orthanc, peer_of):
    for link in (orthanc.web(), orthanc.dimse()):
        with pytest.raises(PacsError, match="UID of digits"):
            peer_of(link).series("../../patients")


def test_pacs_an_unknown_study_is_said(orthanc, peer_of, shelf):
    for link in (orthanc.web(), orthanc.dimse()):
        said = sentence(
            lambda link=link: fetch_study(
                peer_of(link), StudyMatch(study_uid="1.2.3.4.5"), shelf, backoff_s=()
            )
        )
        assert "found nothing" in said or "not found" in said
