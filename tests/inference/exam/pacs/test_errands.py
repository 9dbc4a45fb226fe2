"""What comes to our service: for a C-MOVE what was asked for from whom was asked; of two objects under one UID the first."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.uid import generate_uid
from pynetdicom import AE, build_context, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove

from inference.exam.pacs.connections import ListenerSettings
from inference.exam.pacs.fetching import fetch_study
from inference.exam.pacs.listener import Listener
from inference.exam.pacs.model import Connection, Instance, Kind, PacsError, Query, Retrieve
from inference.exam.pacs.peers import Receiver, open_peer
from inference.exam.pacs.transport import Entity

MG = "1.2.840.10008.5.1.4.1.1.1.2"
ROOT = Path(__file__).resolve().parents[4]


def as_dataset(data: bytes) -> Dataset:
    return dcmread(DicomBytesIO(data))


@contextlib.contextmanager
def sender(port: int, *, title: str = "MODALITY", called: str = "READER", at: str = "127.0.0.1"):
    ae = Entity(title)
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = 10
    assoc = ae.associate(
        "127.0.0.1", port, contexts=[build_context(MG)], ae_title=called, bind_address=(at, 0)
    )
    yield assoc
    if assoc.is_established:
        assoc.release()


def store(port: int, data: bytes, **who: str) -> int | str:
    """Push one object; the status, or that the association was refused."""
    with sender(port, **who) as assoc:
        return int(assoc.send_c_store(as_dataset(data)).Status) if assoc.is_established else "rejected"


def instance_of(data: bytes) -> Instance:
    ds = as_dataset(data)
    return Instance(
        study_uid=ds.StudyInstanceUID,
        series_uid=ds.SeriesInstanceUID,
        sop_uid=ds.SOPInstanceUID,
        sop_class=MG,
    )


class MovingPacs:
    """A PACS that on each C-MOVE first lets ``before`` do something, then delivers ``objects`` as asked."""

    def __init__(self) -> None:
        self.objects: list[bytes] = []
        self.before = lambda: None
        self.own_port = 0
        ae = AE("PACS")
        ae.add_supported_context(StudyRootQueryRetrieveInformationModelMove)
        ae.add_requested_context(MG)
        self.server = ae.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_MOVE, self._move)]
        )

    def _move(self, event):
        self.before()
        yield "127.0.0.1", self.own_port, {"contexts": [build_context(MG)]}
        yield len(self.objects)
        for data in self.objects:
            yield 0xFF00, as_dataset(data)

    def connection(self, **more: object) -> Connection:
        return replace(
            Connection(name="pacs", kind=Kind.DIMSE, host="127.0.0.1", port=self.server.server_address[1],
                       ae_title="PACS", retrieve=Retrieve.MOVE, timeout_s=20),
            **more,
        )  # fmt: skip


@pytest.fixture
def pacs():
    made = MovingPacs()
    yield made
    made.server.shutdown()


@pytest.fixture
def fetch_from(pacs, listening, book, shelf):
    """Fetch objects from the moving PACS as the program does."""

    def fetch(*files: bytes, connection: Connection | None = None, **settings: object) -> None:
        own = listening(**settings)
        pacs.own_port = own.port
        peer = open_peer(connection or pacs.connection(), book, Receiver(own))
        wanted = [instance_of(one) for one in files]
        peer.fetch(wanted, shelf, arrived=lambda *_: None, cancelled=lambda: False)

    return fetch


def test_pacs_a_c_move_lets_nobody_in_but_the_pacs_that_was_asked(pacs, fetch_from, make_exam, shelf):
    exam, foreign = make_exam(("RCC",)), make_exam(("LCC",)).files[0]
    said = []

    def intrude() -> None:
        for who in ({"title": "MODALITY"}, {"title": "PACS", "at": "127.0.0.2"}):
            said.append(store(pacs.own_port, foreign, called="NEGATOSCOPE", **who))

    pacs.before, pacs.objects = intrude, exam.files
    fetch_from(
        *exam.files, peers={"MODALITY": ()}
    )  # who may push to a running service may not at this moment
    assert said == ["rejected", "rejected"]
    assert shelf.holds(exam.sop_uids[0])
    assert len(list(shelf.root.rglob("*.dcm"))) == 1


def test_pacs_a_c_move_keeps_nothing_that_was_not_asked_for(pacs, fetch_from, make_exam, shelf):
    exam = make_exam(("RCC", "LCC"))
    foreign = make_exam(("LCC",)).files[0]
    odd = as_dataset(exam.files[0])
    odd.StudyInstanceUID = generate_uid()  # the UID that was asked for, in another study
    said = []

    def more() -> None:
        for data in (foreign, exam.files[1]):
            said.append(store(pacs.own_port, data, title="PACS", called="NEGATOSCOPE"))
        with sender(pacs.own_port, title="PACS", called="NEGATOSCOPE") as assoc:
            said.append(assoc.send_c_store(odd).Status)

    pacs.before, pacs.objects = more, exam.files[:1]
    fetch_from(exam.files[0])
    assert said == [0x0124, 0x0124, 0xA900]
    assert shelf.count_of(exam.study_uid) == 1
    assert len(list(shelf.root.rglob("*.dcm"))) == 1


def test_pacs_a_running_service_takes_from_a_pacs_that_is_no_sender_what_was_asked_for_only(
    pacs, listening, book, make_exam, shelf
):
    exam = make_exam(("RCC", "LCC"))
    odd = as_dataset(exam.files[0])
    odd.StudyInstanceUID = generate_uid()
    receiver = Receiver(listening(peers={"MODALITY": ()}))
    running = receiver.start(shelf)
    pacs.own_port, pacs.objects, said = running.port, exam.files[:1], []

    def more() -> None:
        who = {"title": "PACS", "called": "NEGATOSCOPE"}
        said.append(store(pacs.own_port, exam.files[1], **who))
        with sender(pacs.own_port, **who) as assoc:
            said.append(assoc.send_c_store(odd).Status)
        said.append(store(pacs.own_port, exam.files[1], title="MODALITY", called="NEGATOSCOPE"))

    pacs.before = more
    try:
        wanted = [instance_of(exam.files[0])]
        came: list[str] = []
        peer = open_peer(pacs.connection(), book, receiver)
        peer.fetch(
            wanted, shelf, arrived=lambda one, _size: came.append(one.sop_uid), cancelled=lambda: False
        )
    finally:
        receiver.stop()
    assert said == [0x0124, 0xA900, 0], "whoever is a sender may push meanwhile"
    assert came == [exam.sop_uids[0]]
    assert shelf.count_of(exam.study_uid) == 2
    assert len(list(shelf.root.rglob("*.dcm"))) == 2


def test_pacs_an_image_that_the_pacs_has_moved_to_another_study_is_not_taken_for_fetched(
    pacs, fetch_from, make_exam, shelf
):
    """A technician corrects a wrong patient: the same object, now in the right woman's study."""
    exam = make_exam(("RCC",))
    shelf.put([exam.files[0]])
    moved = as_dataset(exam.files[0])
    moved.StudyInstanceUID, moved.PatientID = generate_uid(), "the-right-one"
    stream = DicomBytesIO()
    moved.save_as(stream)
    pacs.objects = [stream.getvalue()]
    assert not shelf.holds(exam.sop_uids[0], moved.StudyInstanceUID)
    with pytest.raises(PacsError, match="another object is here under this object's UID"):
        fetch_from(*pacs.objects)
    shelf.remove(exam.study_uid)
    fetch_from(*pacs.objects)
    assert shelf.count_of(moved.StudyInstanceUID) == 1


def test_pacs_a_pacs_that_delivers_from_another_host_is_let_in_once_it_is_a_known_sender(
    pacs, fetch_from, make_exam, shelf
):
    exam = make_exam(("RCC",))
    elsewhere = {"title": "PACS", "called": "NEGATOSCOPE", "at": "127.0.0.2"}
    pacs.before = lambda: store(pacs.own_port, exam.files[0], **elsewhere)
    with pytest.raises(
        PacsError, match=r"PACS wanted to deliver from 127\.0\.0\.2, .* enter it as a sender\."
    ):
        fetch_from(*exam.files)
    assert not shelf.holds(exam.sop_uids[0])
    fetch_from(*exam.files, peers={"PACS": ("127.0.0.2",)})
    assert shelf.holds(exam.sop_uids[0])


def test_pacs_fetches_that_end_and_begin_at_once_do_not_take_the_port_from_each_other(pacs, listening, shelf):
    """Two studies at once by C-MOVE: the port is lent again the moment it is given back."""
    receiver, refused = Receiver(listening()), []

    def fetch_often() -> None:
        for _ in range(12):
            try:
                with receiver(pacs.connection(), shelf, {}, lambda *_: None):
                    threading.Event().wait(0.01)
            except PacsError as error:
                refused.append(str(error))
            threading.Event().wait(0.01)

    threads = [threading.Thread(target=fetch_often) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == []


@pytest.mark.parametrize("runs", [False, True], ids=["lent", "running"])
def test_pacs_an_encrypted_connection_is_not_answered_in_clear_by_c_move(
    secure, peer_of, listening, make_exam, shelf, certificates, book, runs
):
    for file in make_exam(("RCC",)).files:
        secure.add(file)
    secure.config["DicomModalities"]["station"]["UseDicomTls"] = True
    ca, own, key = str(certificates.ca), str(certificates.client), str(certificates.client_key)
    link = secure.dimse(tls=True, ca_file=ca, cert_file=own, key_file=key, retrieve=Retrieve.MOVE)
    study = peer_of(replace(link, retrieve=Retrieve.GET)).studies(Query()).studies[0]
    receiver = Receiver(listening(port=secure.own_port))
    if runs:
        receiver.start(shelf)
    with pytest.raises(
        PacsError, match=r"by C-MOVE the images would come back unencrypted.* or choose C-GET\."
    ):
        fetch_study(open_peer(link, book, receiver), study, shelf, backoff_s=())
    receiver.stop()
    assert shelf.used_bytes == 0


@pytest.fixture
def listener(shelf):
    made = Listener(ListenerSettings(port=0, peers={"MODALITY": ()}, ae_title="READER"), shelf)
    made.start()
    yield made
    made.stop()


def test_pacs_another_object_under_a_held_uid_is_refused_and_the_first_is_kept(listener, make_exam, shelf):
    exam = make_exam(("RCC",))
    other = as_dataset(exam.files[0])
    other.PixelData = bytes(len(other.PixelData))
    assert store(listener.port, exam.files[0]) == 0
    (path,) = shelf.root.rglob("*.dcm")
    kept = path.read_bytes()
    with sender(listener.port) as assoc:
        assert assoc.send_c_store(other).Status & 0xF000 == 0xC000
    assert "another object is here under this object's UID" in listener.status.last_refusal
    assert (path.read_bytes(), listener.status.already_there) == (kept, 0)
    assert store(listener.port, exam.files[0]) == 0, "the same once more is no other"
    assert (shelf.damaged(), listener.status.already_there) == ((), 1)


def test_pacs_success_is_answered_once_object_name_and_index_are_on_the_disk(
    listener, make_exam, shelf, monkeypatch
):
    """Every fsync of the service is noted; after the answer, what was synced is looked at."""
    synced, real = [], os.fsync

    def note(handle: int) -> None:
        real(handle)
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))

    monkeypatch.setattr(os, "fsync", note)
    exam = make_exam(("RCC",))
    with sender(listener.port) as assoc:
        assert assoc.send_c_store(as_dataset(exam.files[0])).Status == 0
        then = list(synced)
    folder = shelf.folder_of(exam.study_uid)
    assert any(".part" in one for one in then), "its bytes"
    assert str(folder) in then, "its name"
    assert str(shelf.root / "index.jsonl") in then


SERVICE = """
import sys
from pathlib import Path
from inference.exam.pacs.connections import ListenerSettings
from inference.exam.pacs.listener import Listener
from inference.exam.pacs.shelf import Shelf
listener = Listener(ListenerSettings(port=0, peers={"MODALITY": ()}, ae_title="READER"), Shelf(Path(sys.argv[1])))
listener.start()
def peak_kb():  # ru_maxrss would be the parent's at first
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
before = peak_kb()
print(listener.port, flush=True)
sys.stdin.readline()
print(listener.status.received, peak_kb() - before, flush=True)
listener.stop()
"""


@pytest.fixture
def service(tmp_path):
    """Start our service in a process of its own; gives the process and its port, 0 where it does not start."""
    made = []

    def start(*before: str) -> tuple[subprocess.Popen[str], int]:
        script = tmp_path / "service.py"
        script.write_text(SERVICE)
        made.append(subprocess.Popen(
            [*before, sys.executable, str(script), str(tmp_path / "shelf")], cwd=ROOT, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ))  # fmt: skip
        return made[-1], int(made[-1].stdout.readline() or 0)

    yield start
    for process in made:
        process.kill()
        process.communicate()


def test_pacs_objects_that_arrive_at_once_are_not_held_in_memory(service, header, file_of):
    pixels = np.zeros((4000, 3000), np.uint16)  # 24 MB, as a large mammogram
    files = [file_of(header(StudyInstanceUID=generate_uid()), pixels) for _ in range(3)]
    process, port = service()
    codes: list[int | str] = []
    threads = [threading.Thread(target=lambda one=one: codes.append(store(port, one))) for one in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said, _ = process.communicate("\n", timeout=30)
    received, grown_kb = map(int, said.split())
    assert (codes, received) == ([0, 0, 0], 3)
    print(f"peak grew by {grown_kb} kB")
    assert grown_kb < 40_000, f"{grown_kb} kB for three objects of 24 MB"


def test_pacs_a_disk_that_fills_while_objects_arrive_is_answered_with_out_of_resources(
    service, header, file_of, tmp_path
):
    """A file system of 8 MB in memory, in a name space of its own."""
    place = tmp_path / "shelf"
    place.mkdir()
    mount = f'mount -t tmpfs -o size=8m none {place} && exec "$@"'
    process, port = service("unshare", "-rm", "sh", "-c", mount, "sh")
    if not port:
        pytest.skip("not run: no name space with a file system of its own is allowed here")
    small, large = (
        file_of(header(StudyInstanceUID=generate_uid()), np.zeros(shape, np.uint16))
        for shape in ((100, 80), (4000, 3000))
    )
    assert [store(port, one) for one in (large, small)] == [0xA700, 0]
    said, _ = process.communicate("\n", timeout=30)
    assert said.split()[0] == "1"


def test_pacs_a_service_whose_certificate_cannot_be_read_leaves_its_port_free(shelf, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = ListenerSettings(port=port, peers={}, cert_file=str(tmp_path / "none.pem"))
    with pytest.raises(PacsError, match="expected our certificate"):
        Listener(settings, shelf).start()
    good = Listener(replace(settings, cert_file=""), shelf)
    good.start()
    assert good.port == port
    good.stop()
