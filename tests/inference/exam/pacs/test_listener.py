"""Our storage service: a real sender (pynetdicom, Orthanc, dcmtk) pushes; strangers, floods and giants are sent away."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLSLossless,
)
from pynetdicom import build_context
from pynetdicom.sop_class import Verification

from inference.exam.dicom import load_view
from inference.exam.pacs.connections import ListenerSettings
from inference.exam.pacs.dimse import DimsePeer
from inference.exam.pacs.listener import Admission, Listener
from inference.exam.pacs.model import Connection, Kind, PacsError
from inference.exam.pacs.shelf import Shelf
from inference.exam.pacs.transport import Entity
from inference.exam.sources import FolderSource

MG = "1.2.840.10008.5.1.4.1.1.1.2"
CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture
def listening_at(shelf):
    """Start the service; the sender MODALITY may come from this machine."""
    made = []

    def build(target=None, **more):
        values = {"port": 0, "peers": {"MODALITY": ("127.0.0.1",)}, "ae_title": "READER"} | more
        made.append(Listener(ListenerSettings(**values), target or shelf))
        made[-1].start()
        return made[-1]

    yield build
    for listener in made:
        listener.stop()


@contextlib.contextmanager
def sender(listener, *, title="MODALITY", called="READER", contexts=((MG, None),)):
    ae = Entity(title)
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = 10
    wanted = [build_context(one, syntax) if syntax else build_context(one) for one, syntax in contexts]
    assoc = ae.associate("127.0.0.1", listener.port, contexts=wanted, ae_title=called)
    yield assoc
    if assoc.is_established:
        assoc.release()


def as_dataset(data):
    return dcmread(DicomBytesIO(data))


def await_(condition):
    for _ in range(500):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not happen in time")


def test_pacs_a_modality_pushes_an_exam_and_it_can_be_read(listening_at, make_exam, shelf):
    listener, exam = listening_at(), make_exam()
    with sender(listener) as assoc:
        for data in exam.files:
            assert assoc.send_c_store(as_dataset(data)).Status == 0
    status = listener.status
    assert (status.received, status.refused, status.running) == (4, 0, True)
    assert status.received_bytes == shelf.used_bytes
    source = FolderSource(shelf.folder_of(exam.study_uid))
    assert len(source.load(source.list()[0].exam_id).images) == 4
    with sender(listener) as assoc:  # pushed twice, kept once
        assert assoc.send_c_store(as_dataset(exam.files[0])).Status == 0
    assert (listener.status.received, listener.status.already_there) == (4, 1)


@pytest.mark.parametrize("syntax", [HTJ2KLossless, JPEGLSLossless, JPEG2000Lossless, DeflatedExplicitVRLittleEndian,
                                    ExplicitVRBigEndian], ids=lambda one: one.name)  # fmt: skip
def test_pacs_every_encoding_arrives_as_it_was_sent(
    listening_at, header, file_of, breast, tmp_path, shelf, syntax
):
    encode = {
        HTJ2KLossless: lambda p: imagecodecs.htj2k_encode(p, reversible=True),
        JPEGLSLossless: imagecodecs.jpegls_encode,
        JPEG2000Lossless: lambda p: imagecodecs.jpeg2k_encode(p, reversible=True, codecformat="j2k"),
    }.get(syntax)
    pixels, ds = breast(), header()
    path = tmp_path / "sent.dcm"
    path.write_bytes(file_of(ds, pixels, syntax=syntax, stream=encode(pixels) if encode else None))
    listener = listening_at()
    link = Connection(name="us", kind=Kind.DIMSE, host="127.0.0.1", port=listener.port, ae_title="READER",
                      own_ae_title="MODALITY")  # fmt: skip
    peer = DimsePeer(link, lambda *_: contextlib.nullcontext(listener))
    sent = peer.store([path], arrived=lambda _size: None, cancelled=lambda: False)
    assert (sent.stored, sent.refused) == (1, ())
    (kept,) = shelf.root.rglob("*.dcm")
    assert dcmread(kept).file_meta.TransferSyntaxUID == syntax

    def after_meta(data):
        return data[144 + int.from_bytes(data[140:144], "little") :]

    assert after_meta(kept.read_bytes()) == after_meta(path.read_bytes())
    assert np.array_equal(load_view(kept).pixels, pixels)


def test_pacs_an_echo_is_answered(listening_at):
    with sender(listening_at(), contexts=((Verification, None),)) as assoc:
        assert assoc.send_c_echo().Status == 0


@pytest.mark.parametrize(("peers", "title", "called", "reason"), [
    ({"MODALITY": ("127.0.0.1",)}, "STRANGER", "READER", (1, 3)),
    ({"MODALITY": ("192.0.2.7",)}, "MODALITY", "READER", (1, 3)),
    ({}, "MODALITY", "READER", (1, 3)),
    ({"MODALITY": ()}, "MODALITY", "SOMEBODY", (1, 7)),
])  # fmt: skip
def test_pacs_strangers_are_refused_by_the_standards_reason(listening_at, peers, title, called, reason):
    listener = listening_at(peers=peers)
    with sender(listener, title=title, called=called) as assoc:
        assert assoc.is_rejected
        answer = assoc.acceptor.primitive
        assert (answer.result_source, answer.diagnostic) == reason
    if reason == (1, 3):
        await_(lambda: listener.status.refused == 1)
        assert f"{title} at 127.0.0.1 is not on the list of senders." == listener.status.last_refusal


def test_pacs_images_that_are_no_mammography_are_refused_unless_allowed(listening_at, make_exam, tmp_path):
    listener = listening_at()
    odd = make_exam(("RCC",), Modality="CT")  # in a mammography class, and yet none
    with sender(listener, contexts=((MG, None), (CT, None))) as assoc:
        assert [str(c.abstract_syntax) for c in assoc.accepted_contexts] == [MG]
        assert assoc.send_c_store(as_dataset(odd.files[0])).Status == 0xA900
    assert listener.status.last_refusal == "An object that is no mammography was refused."
    wide = listening_at(Shelf(tmp_path / "wide"), mammography_only=False)
    with sender(wide) as assoc:
        assert assoc.send_c_store(as_dataset(odd.files[0])).Status == 0


def test_pacs_an_oversized_object_is_cut_off_while_it_arrives(listening_at, header, file_of, shelf):
    listener = listening_at(max_object_mb=1)
    giant = file_of(header(), np.zeros((4000, 3000), np.uint16))
    with sender(listener) as assoc:
        answer = assoc.send_c_store(as_dataset(giant))
        assert "Status" not in answer
    await_(lambda: listener.status.refused == 1)
    assert listener.status.last_refusal == "An object above 1 MB was refused while it arrived."
    assert shelf.used_bytes == 0
    assert list((shelf.root / ".incoming").iterdir()) == []


def test_pacs_a_full_quota_is_answered_with_out_of_resources(listening_at, make_exam, tmp_path):
    small = Shelf(tmp_path / "small", quota_bytes=60_000)
    listener, exam = listening_at(small), make_exam()
    with sender(listener) as assoc:
        codes = [assoc.send_c_store(as_dataset(data)).Status for data in exam.files]
    assert codes[0] == 0
    assert codes[-1] == 0xA700
    assert "quota" in listener.status.last_refusal
    assert small.used_bytes <= 60_000


def test_pacs_a_flood_of_associations_has_to_wait(listening_at):
    listener = listening_at(per_minute=5)
    codes = []
    for _ in range(12):
        with sender(listener, contexts=((Verification, None),)) as assoc:
            codes.append(assoc.is_established)
            if not assoc.is_established:
                answer = assoc.acceptor.primitive
                assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 1)  # come later
    assert codes == [True] * 5 + [False] * 7
    assert "more than 5 connections a minute" in listener.status.last_refusal


def test_pacs_a_storm_of_bare_connections_is_hung_up_on_before_it_costs_threads(listening_at):
    listener = listening_at(per_minute=5)
    opened = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(60)]
    await_(lambda: listener.status.refused >= 40)
    assert sum(thread.name.startswith("AcceptorThread") for thread in threading.enumerate()) <= 20
    for one in opened:
        one.close()


def test_pacs_too_many_at_once_are_told_to_come_later(listening_at):
    listener = listening_at(max_associations=2)
    with sender(listener) as one, sender(listener) as two, sender(listener) as three:
        assert one.is_established
        assert two.is_established
        assert three.is_rejected
        answer = three.acceptor.primitive
        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)  # transient
    await_(lambda: not any(thread.name.startswith("AcceptorThread") for thread in threading.enumerate()))
    with sender(listener) as again:
        assert again.is_established


def test_pacs_silent_and_babbling_connections_keep_nobody_out(listening_at, make_exam, certificates):
    tls = {"cert_file": str(certificates.server), "key_file": str(certificates.server_key)}
    for more in ({}, tls):
        listener = listening_at(**more)
        silent = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(5)]
        babble = socket.create_connection(("127.0.0.1", listener.port))
        babble.sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(range(256)) * 40)
        if not more:
            with sender(listener, contexts=((Verification, None),)) as assoc:
                assert assoc.send_c_echo().Status == 0
        else:
            import ssl

            context = ssl.create_default_context(cafile=str(certificates.ca))
            ae = Entity("MODALITY")
            assoc = ae.associate("127.0.0.1", listener.port, contexts=[build_context(Verification)],
                                 ae_title="READER", tls_args=(context, "localhost"))  # fmt: skip
            assert assoc.send_c_echo().Status == 0
            assoc.release()
        for one in (*silent, babble):
            one.close()
        listener.stop()


def test_pacs_damaged_data_sets_are_refused_and_the_service_lives(listening_at, make_exam, shelf, header):
    listener = listening_at()
    good = make_exam(("RCC",))
    with sender(listener) as assoc:
        ds = header(SOPInstanceUID="1.2.3.4", StudyInstanceUID=None)
        from pydicom.dataset import FileMetaDataset

        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
        ds.file_meta.MediaStorageSOPInstanceUID, ds.file_meta.MediaStorageSOPClassUID = "1.2.3.4", MG
        assert assoc.send_c_store(ds).Status == 0xA900
        assert assoc.send_c_store(as_dataset(good.files[0])).Status == 0
    assert listener.status.received == 1
    assert "damaged data" in listener.status.last_refusal


def test_pacs_a_port_in_use_is_one_sentence(listening_at, shelf):
    first = listening_at()
    with pytest.raises(PacsError, match=r"port \d+ at 127.0.0.1 cannot be used .*choose another port"):
        Listener(ListenerSettings(port=first.port), shelf).start()


def test_pacs_the_service_stops_and_starts_again(listening_at):
    listener = listening_at()
    port = listener.port
    listener.stop()
    assert not listener.status.running
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    listener.start()
    with sender(listener) as assoc:
        assert assoc.is_established


def test_pacs_orthanc_pushes_to_us(orthanc, listening_at, make_exam, shelf):
    listener = listening_at(port=orthanc.own_port, ae_title="NEGATOSCOPE", peers={"ORTHANC": ()})
    exam = make_exam()
    for data in exam.files:
        orthanc.add(data)
    ids = orthanc._call("GET", "/instances").json()
    orthanc._call("POST", "/modalities/station/store", json=ids)
    assert listener.status.received == 4
    assert shelf.count_of(exam.study_uid) == 4


def test_pacs_dcmtks_storescu_and_echoscu_are_served(listening_at, make_exam, tmp_path, shelf):
    if shutil.which("storescu") is None:
        pytest.skip("not run: storescu of dcmtk is not installed")
    listener, exam = listening_at(), make_exam()
    paths = []
    for number, data in enumerate(exam.files):
        paths.append(tmp_path / f"{number}.dcm")
        paths[-1].write_bytes(data)
    where = ["-aet", "MODALITY", "-aec", "READER", "127.0.0.1", str(listener.port)]
    subprocess.run(["echoscu", *where], check=True, capture_output=True)
    done = subprocess.run(["storescu", *where, *map(str, paths)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert shelf.count_of(exam.study_uid) == 4


def test_pacs_admission_counts_a_minute_by_address():
    gate = Admission(ListenerSettings(per_minute=2, peers={"A": ()}))
    assert [gate.count("10.0.0.1", t) for t in (0, 1, 2)] == [1, 2, 3]
    assert gate.count("10.0.0.2", 2) == 1
    assert gate.recent("10.0.0.1", 61.5) == 1
    assert gate.is_known("A ", "anywhere")
    assert not gate.is_known("B", "anywhere")


def test_pacs_listener_settings_refuse_what_makes_no_sense():
    for wrong in (
        {"port": -1},
        {"max_object_mb": 0},
        {"per_minute": 0},
        {"quota_gb": 0},
        {"ae_title": "A\\B"},
    ):
        with pytest.raises(ValueError, match="expected"):
            replace(ListenerSettings(), **wrong)
