"""A real Orthanc on free loopback ports, plain or over TLS, certificates made for the test, and exams to put into it."""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from inference.exam.pacs.connections import ConnectionBook, ListenerSettings
from inference.exam.pacs.model import Auth, Connection, Kind, Peer, Retrieve
from inference.exam.pacs.peers import Receiver, open_peer
from inference.exam.pacs.shelf import Shelf

USER, PASSWORD = "station", "pässword"
MG = "1.2.840.10008.5.1.4.1.1.1.2"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """An authority, a server's and a client's certificate of it, and a stranger's."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path
    stranger: Path
    stranger_key: Path


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    if shutil.which("openssl") is None:
        pytest.skip("not run: openssl is not installed")
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    def authority(name: str) -> None:
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.crt")  # fmt: skip

    authority("authority")
    authority("stranger")
    for name in ("server", "client"):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
                "-out", f"{name}.csr")  # fmt: skip
        (folder / "names.txt").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "authority.crt", "-CAkey", "authority.key",
                "-CAcreateserial", "-days", "30", "-extfile", "names.txt", "-out", f"{name}.crt")  # fmt: skip
    return Certificates(
        ca=folder / "authority.crt", server=folder / "server.crt", server_key=folder / "server.key",
        client=folder / "client.crt", client_key=folder / "client.key",
        stranger=folder / "stranger.crt", stranger_key=folder / "stranger.key",
    )  # fmt: skip


class Orthanc:
    """One Orthanc process; ``stop`` and ``start`` again keep what it stores."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.folder, self.http, self.dicom = folder, free_port(), free_port()
        self.own_port = free_port()  # where it sends what C-MOVE asks for
        self._process: subprocess.Popen[bytes] | None = None
        self.config: dict[str, Any] = {
            "StorageDirectory": str(folder / "storage"), "IndexDirectory": str(folder / "storage"),
            "HttpPort": self.http, "DicomPort": self.dicom, "DicomAet": "ORTHANC", "DicomCheckCalledAet": True,
            "RemoteAccessAllowed": True, "AuthenticationEnabled": True, "RegisteredUsers": {USER: PASSWORD},
            "DicomAlwaysAllowEcho": False, "DicomAlwaysAllowStore": False, "DicomAlwaysAllowFind": False,
            "DicomAlwaysAllowGet": False, "DicomAlwaysAllowMove": False, "TranscodeDicomProtocol": False,
            "DicomModalities": {"station": {"AET": "NEGATOSCOPE", "Host": "127.0.0.1", "Port": self.own_port,
                                            "AllowEcho": True, "AllowFind": True, "AllowGet": True,
                                            "AllowMove": True, "AllowStore": True}},
            "Plugins": ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"], "DicomWeb": {"Enable": True},
            "StableAge": 1, "ConcurrentJobs": 2, "DefaultEncoding": "Utf8", "Name": "test", "HttpTimeout": 10, "DicomScuTimeout": 10,
        } | more  # fmt: skip

    @property
    def url(self) -> str:
        return f"http://localhost:{self.http}"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(self.config))
        log = (self.folder / "orthanc.log").open("ab")
        self._process = subprocess.Popen(["Orthanc", str(path)], stdout=log, stderr=log)
        log.close()
        for port in (self.http, self.dicom):
            self._await(port)

    def _await(self, port: int) -> None:
        for _ in range(300):
            assert self._process is not None
            assert self._process.poll() is None, (self.folder / "orthanc.log").read_text()[-3000:]
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            threading.Event().wait(0.05)
        raise AssertionError("Orthanc did not start")

    def stop(self, *, kill: bool = False) -> None:
        if self._process is not None:
            (self._process.kill if kill else self._process.terminate)()
            self._process.wait(20)
            self._process = None

    def _call(self, method: str, path: str, **more: Any) -> Any:
        auth = (USER.encode(), PASSWORD.encode())
        with requests.request(method, f"{self.url}{path}", auth=auth, timeout=30, **more) as answer:
            answer.raise_for_status()
            return answer

    def add(self, data: bytes) -> None:
        self._call("POST", "/instances", data=data)

    def count(self) -> int:
        return int(self._call("GET", "/statistics").json()["CountInstances"])

    def files(self) -> list[bytes]:
        """What it stores, byte for byte."""
        ids = self._call("GET", "/instances").json()
        return [self._call("GET", f"/instances/{one}/file").content for one in ids]

    def clear(self) -> None:
        for one in self._call("GET", "/patients").json():
            self._call("DELETE", f"/patients/{one}")

    # ---- how the program is to reach it

    def web(self, **more: Any) -> Connection:
        return replace(
            Connection(name="web", url=f"{self.url}/dicom-web", auth=Auth.PASSWORD, user=USER, timeout_s=20),
            **more,
        )

    def dimse(self, **more: Any) -> Connection:
        return replace(
            Connection(
                name="pacs",
                kind=Kind.DIMSE,
                host="127.0.0.1",
                port=self.dicom,
                ae_title="ORTHANC",
                timeout_s=20,
            ),
            **more,
        )


@pytest.fixture(scope="session")
def _orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    if (
        shutil.which("Orthanc") is None
        or not Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so").exists()
    ):
        pytest.skip("not run: orthanc and orthanc-dicomweb are not installed")
    server = Orthanc(tmp_path_factory.mktemp("orthanc"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def orthanc(_orthanc: Orthanc) -> Orthanc:
    """A running Orthanc without images."""
    _orthanc.clear()
    return _orthanc


class _Front(http.server.BaseHTTPRequestHandler):
    """Hands each request on to a plain HTTP server, as a hospital's reverse proxy does."""

    target = ""
    protocol_version = "HTTP/1.1"

    def _hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kept = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        with requests.request(
            self.command, f"{self.target}{self.path}", headers=kept, data=body, timeout=30
        ) as answer:
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

    do_GET = do_POST = _hand_on

    def log_message(self, *_: Any) -> None:
        """Quiet."""


class _TlsServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, target: str, certificates: Certificates) -> None:
        super().__init__(("", 0), type("Front", (_Front,), {"target": target}))
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificates.server, certificates.server_key)

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self.tls.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)

    def handle_error(self, *_: Any) -> None:
        """A caller that does not like our certificate hangs up."""


class SecureOrthanc(Orthanc):
    """DICOM over TLS that wants a certificate of ours, and HTTPS at a reverse proxy.

    Debian's Orthanc 1.10.1 ends with a segmentation fault at the first request over its own HTTPS.
    """

    https = 0

    def web(self, **more: Any) -> Connection:
        return super().web(**({"url": f"https://localhost:{self.https}/dicom-web"} | more))


@pytest.fixture(scope="session")
def _secure(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[SecureOrthanc]:
    if shutil.which("Orthanc") is None:
        pytest.skip("not run: orthanc is not installed")
    server = SecureOrthanc(
        tmp_path_factory.mktemp("secure"), DicomTlsEnabled=True,
        DicomTlsCertificate=str(certificates.server), DicomTlsPrivateKey=str(certificates.server_key),
        DicomTlsTrustedCertificates=str(certificates.ca),
    )  # fmt: skip
    server.config["DicomModalities"]["station"]["UseDicomTls"] = True
    server.start()
    front = _TlsServer(server.url, certificates)
    server.https = front.server_port
    thread = threading.Thread(target=front.serve_forever, args=(0.05,))
    thread.start()
    yield server
    front.shutdown()
    front.server_close()
    thread.join()
    server.stop()


@pytest.fixture
def secure(_secure: SecureOrthanc) -> SecureOrthanc:
    """The encrypted one without images."""
    _secure.clear()
    return _secure


@dataclass(slots=True, kw_only=True)
class Exam:
    """Files of one study."""

    study_uid: str
    files: list[bytes] = field(default_factory=list)
    sop_uids: list[str] = field(default_factory=list)


@pytest.fixture
def make_exam(
    header: Callable[..., Dataset], breast: Any, file_of: Callable[..., bytes]
) -> Callable[..., Exam]:
    """Build the four views of an exam as DICOM files; keyword arguments replace attributes."""

    def build(
        views: tuple[str, ...] = ("RCC", "LCC", "RMLO", "LMLO"), *, rows: int = 120, **changes: Any
    ) -> Exam:
        study, series = generate_uid(), generate_uid()
        exam = Exam(study_uid=study)
        for view in views:
            side, projection = view[0], view[1:]
            pixels = breast(rows=rows, cols=rows * 3 // 4, chest_left=side == "L")
            values = {
                "StudyInstanceUID": study, "SeriesInstanceUID": series, "ImageLaterality": side,
                "ViewPosition": projection, "StudyDate": "20240305", "StudyTime": "101500", "AccessionNumber": "A17",
                "StudyID": "1", "PatientOrientation": ["A", "R" if projection == "CC" else "F"],
                "PatientBirthDate": "19700101", "PatientSex": "F", "StudyDescription": "Screening",
            }  # fmt: skip
            ds = header(**(values | changes))
            exam.sop_uids.append(str(ds.SOPInstanceUID))
            exam.files.append(file_of(ds, pixels))
        return exam

    return build


@pytest.fixture
def tiny_study() -> Callable[..., bytes]:
    """One object without pixels of a study of its own: enough to be found, quick to store by the dozen."""

    def build(number: int, modality: str = "MG") -> bytes:
        ds = Dataset()
        ds.SOPClassUID, ds.SOPInstanceUID = MG, generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
        ds.PatientName, ds.PatientID, ds.Modality = f"Many^{number:05d}", f"M{number:05d}", modality
        ds.StudyDate, ds.StudyID, ds.AccessionNumber = "20230101", "1", f"N{number}"
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = MG, ds.SOPInstanceUID
        out = io.BytesIO()
        dcmwrite(out, ds, enforce_file_format=True)
        return out.getvalue()

    return build


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


@pytest.fixture
def book(tmp_path: Path) -> ConnectionBook:
    return ConnectionBook(tmp_path / "settings")


@pytest.fixture
def noise() -> np.ndarray:
    """(1100, 900) uint16 noise of 12 bits: nothing can pack it, so a transfer lasts."""
    return np.random.default_rng(3).integers(0, 4096, (1100, 900)).astype(np.uint16)


class Proxy:
    """A TCP proxy that cuts every connection after so many bytes from the server, until it is mended."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.cut_after: int | None = None
        self.bytes = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        self._socket.settimeout(0.1)
        while not self._stop.is_set():
            try:
                client, _ = self._socket.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            for source, target, counted in ((client, server, False), (server, client, True)):
                thread = threading.Thread(target=self._pump, args=(source, target, counted), daemon=True)
                thread.start()
                self._threads.append(thread)

    def _pump(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if counted:
                    self.bytes += len(data)
                    if self.cut_after is not None and self.bytes > self.cut_after:
                        break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._stop.set()
        self._socket.close()
        deadline = time.monotonic() + 5
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))


@pytest.fixture
def proxy_to() -> Iterator[Callable[[int], Proxy]]:
    """Put a proxy before a port."""
    made: list[Proxy] = []

    def build(port: int) -> Proxy:
        made.append(Proxy(port))
        return made[-1]

    yield build
    for one in made:
        one.close()


@pytest.fixture
def listening() -> Callable[..., ListenerSettings]:
    """Settings of our own service on a free port that knows Orthanc."""

    def build(**more: Any) -> ListenerSettings:
        return replace(ListenerSettings(port=free_port(), peers={"ORTHANC": ("127.0.0.1",)}), **more)

    return build


@pytest.fixture
def peer_of(book: ConnectionBook, listening: Callable[..., ListenerSettings]) -> Callable[..., Peer]:
    """Open a peer as the program does, its password in the book."""

    def build(
        connection: Connection, *, secret: str = PASSWORD, settings: ListenerSettings | None = None
    ) -> Peer:
        book.keep(connection, secret=secret)
        receiver = Receiver(settings or listening())
        return open_peer(book.connection(connection.name), book, receiver)

    return build


@pytest.fixture
def way(request: pytest.FixtureRequest, orthanc: Orthanc) -> Connection:
    """One of the three ways to fetch: web, get, move."""
    if request.param == "web":
        return orthanc.web()
    return orthanc.dimse(retrieve=Retrieve(request.param))
