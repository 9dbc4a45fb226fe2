"""Real faults: a network that is cut at a chosen byte, disks that are full or read-only, and the server of the store tests."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.reader_study.store import conftest as servers

postgres = servers.postgres
postgres_url = servers.postgres_url


class Network:
    """A TCP proxy before the server that plays one fault when the client sends COMMIT.

    ``fault``: ``after`` = COMMIT is forwarded and done, its answer is swallowed, the line is cut; ``before`` = the line
    is cut and COMMIT never arrives; ``silent`` = as ``after``, but the line stays up and says nothing more; ``quiet``
    = as ``before``, but the line stays up. The server's end stays open where COMMIT did not arrive: a server does not
    notice that a cable was pulled. ``down``: new connections are refused; ``dead``: they are taken and never served.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self.fault: str | None = None
        self.down = self.dead = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._kept: list[socket.socket] = []
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            if not select.select([self._listener], [], [], 0.05)[0]:
                continue
            client, _ = self._listener.accept()
            if self.down:
                client.close()
            elif self.dead:
                self._kept.append(client)
            else:
                thread = threading.Thread(target=self._carry, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _carry(self, client: socket.socket) -> None:
        server = socket.create_connection(self._server)
        self._kept += [client, server]
        muted = named = False
        while not self._closing.is_set():
            for ready in select.select([client, server], [], [], 0.05)[0]:
                try:
                    data = ready.recv(65536)
                except OSError:
                    data = b""
                if not data:
                    client.close()
                    server.close()
                    return
                if ready is server:
                    if not muted:
                        client.sendall(data)
                    continue
                if self.fault is not None and b"commit\0" in data.lower():
                    named = True  # the driver first names the statement, and executes it with its next words
                elif named and self.fault is not None and b"E\0\0\0\x09" in data:
                    fault, self.fault = self.fault, None
                    if fault in {"after", "silent"}:
                        server.sendall(data)
                        server.recv(65536)  # the server has committed
                    if fault in {"after", "before"}:
                        client.close()
                        return
                    muted = True
                    continue
                if not muted:
                    server.sendall(data)

    def close(self) -> None:
        self._closing.set()
        for thread in self._threads:
            thread.join(5)
        for kept in (*self._kept, self._listener):
            kept.close()


@pytest.fixture
def network(postgres: servers.PostgresServer) -> Iterator[Network]:
    made = Network("127.0.0.1", postgres.port)
    yield made
    made.close()


@pytest.fixture
def through(network: Network, postgres_url: str) -> str:
    """The database's URL by way of the network that can be cut."""
    return make_url(postgres_url).set(port=network.port).render_as_string(hide_password=False)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Make real, small file systems: ``small_disk("2m")``; taken away afterwards."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    mounted: list[Path] = []

    def make(size: str, owner: int | None = None) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)],
            check=False,
            capture_output=True,
        )
        if done.returncode:
            pytest.skip("this machine does not let a test mount a small disk")
        mounted.append(place)
        return place

    yield make
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def stopwatch() -> Callable[[Callable[[], object]], float]:
    def measure(step: Callable[[], object]) -> float:
        begun = time.monotonic()
        step()
        return time.monotonic() - begun

    return measure


@pytest.fixture
def fill() -> Callable[[Path], Path]:
    """Leave not one free byte in a folder's file system; returns the file that takes the room."""
    return _fill


def _fill(folder: Path) -> Path:
    """Leave not one free byte."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as stream:
        for size in (65536, 4096, 1):
            try:
                while True:
                    stream.write(b"x" * size)
            except OSError:
                continue
    return ballast


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'study.sqlite'}"
    url: str = request.getfixturevalue("postgres_url")
    return url
