"""The storage service under attack: slow, half open, endless and senseless connections; it serves on afterwards."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread, uid
from pynetdicom import build_context

from inference.exam.pacs.connections import ListenerSettings
from inference.exam.pacs.listener import Listener
from inference.exam.pacs.shelf import Shelf
from inference.exam.pacs.transport import Entity
from tests.hostile.seeds_images import Seed, dicom_file, images
from tests.hostile.trial import peak_bytes, reset_peak

MG = "1.2.840.10008.5.1.4.1.1.1.2"


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    settings = ListenerSettings(port=0, peers={"MODALITY": ("127.0.0.1",)}, ae_title="READER", per_minute=100)
    made = Listener(settings, Shelf(tmp_path / "shelf"))
    made.start()
    yield made
    made.stop()


def stores(listener: Listener, seed: Seed) -> int:
    """Push one image as a modality does; the status that comes back."""
    ae = Entity("MODALITY")
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = 20
    assoc = ae.associate(
        "127.0.0.1",
        listener.port,
        contexts=[build_context(MG, uid.ExplicitVRLittleEndian)],
        ae_title="READER",
    )
    assert assoc.is_established
    try:
        return int(assoc.send_c_store(dcmread(io.BytesIO(seed.data))).Status)
    finally:
        assoc.release()


def connect(listener: Listener) -> socket.socket:
    return socket.create_connection(("127.0.0.1", listener.port), timeout=10)


def request(length: int | None = None, *, called: bytes = b"READER", calling: bytes = b"MODALITY") -> bytes:
    """An A-ASSOCIATE-RQ PDU (PS3.8 9.3.2) for mammography, its length told truly or not."""

    def item(kind: int, content: bytes) -> bytes:
        return struct.pack(">BxH", kind, len(content)) + content

    context = b"\x01\0\0\0" + item(0x30, MG.encode()) + item(0x40, b"1.2.840.10008.1.2.1")
    user = item(0x51, struct.pack(">L", 16_384)) + item(0x52, b"1.2.3")
    body = struct.pack(">HH", 1, 0) + called.ljust(16) + calling.ljust(16) + b"\0" * 32
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, context) + item(0x50, user)
    return struct.pack(">BxL", 1, len(body) if length is None else length) + body


GARBAGE = (
    request(0xFFFFFFFF),
    request(0x7FFFFFFF),
    request(0),
    request(7),
    request()[:40],
    request(called=b"\xff" * 16, calling=b"\0" * 16),
    struct.pack(">BxL", 4, 0xFFFFFFFF),
    struct.pack(">BxL", 4, 12) + struct.pack(">LBB", 8, 1, 3) + b"\0" * 6,
    struct.pack(">BxL", 7, 4) + b"\0\0\0\0",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\0\x01\0",
    b"\0" * 4_096,
    np.random.default_rng(3).bytes(65_536),
)


@pytest.mark.parametrize("number", range(len(GARBAGE)))
def test_hostile_senseless_bytes_on_the_port_end_that_connection_only(
    listener: Listener, number: int
) -> None:
    reset_peak()
    before = peak_bytes()
    with connect(listener) as one, contextlib.suppress(OSError):
        one.sendall(GARBAGE[number])
        one.settimeout(0.5)
        one.recv(1_024)
    assert stores(listener, images()[1]) == 0
    assert peak_bytes() - before < 300 << 20  # a PDU that says 4 GB takes none


def test_hostile_slow_and_half_open_connections_keep_nobody_out(listener: Listener) -> None:
    slow = [connect(listener) for _ in range(6)]
    stop = threading.Event()

    def drip() -> None:  # one byte at a time, as a slow loris does
        for at in range(40):
            for one in slow[:3]:
                with contextlib.suppress(OSError):
                    one.sendall(request()[at : at + 1])
            if stop.wait(0.05):
                return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        slow[3].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        slow[3].close()  # a reset in place of a farewell
        slow[4].shutdown(socket.SHUT_WR)
        start = time.perf_counter()
        assert stores(listener, images()[1]) == 0
        assert time.perf_counter() - start < 20
    finally:
        stop.set()
        thread.join()
        for one in slow:
            one.close()


def test_hostile_an_association_left_half_way_through_an_object_leaves_nothing_behind(
    listener: Listener, tmp_path: Path
) -> None:
    with connect(listener) as one:
        one.sendall(request())
        assert one.recv(1)[0] == 2  # A-ASSOCIATE-AC
        pdv = struct.pack(">LBB", 60_000, 1, 0) + b"\0" * 1_000  # says 60 000 bytes, brings 1 000
        one.sendall(struct.pack(">BxL", 4, 60_004) + pdv)
    assert stores(listener, images()[1]) == 0
    assert list((tmp_path / "shelf").rglob("*.part")) == []
    assert listener.status.received == 1


def test_hostile_an_object_of_a_frame_no_detector_has_is_kept_and_refused_by_its_reader(
    listener: Listener, tmp_path: Path
) -> None:
    """The service keeps what is well formed; whoever opens it is safe by its own checks."""
    from tests.hostile.seeds_images import _header
    from tests.hostile.trial import try_bytes

    ds = dcmread(io.BytesIO(dicom_file(_header(5), np.zeros((8, 8), np.uint16), uid.ExplicitVRLittleEndian)))
    ds.Rows = ds.Columns = 65_535
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    assert stores(listener, Seed(name="x.dcm", data=out.getvalue())) == 0
    assert try_bytes("dicom", "x.dcm", out.getvalue()).verdict == "refusal"
