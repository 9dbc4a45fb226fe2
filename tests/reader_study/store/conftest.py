"""A real PostgreSQL server started for the tests, and every store test on SQLite and on it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text


def _tool(name: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    tool = str(found[-1]) if found else shutil.which(name)
    if tool is None:
        pytest.fail(f"not run: {name} is missing; install Debian's package postgresql")
    return tool


@dataclass
class PostgresServer:
    """One server on a free port of this machine; ``stop`` and ``start`` play the cut network."""

    folder: Path
    port: int
    user: list[str]

    def run(self, *command: str) -> None:
        subprocess.run([*self.user, *command], check=True, capture_output=True, cwd=self.folder, timeout=60)

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self.run(_tool("pg_ctl"), "-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-w", "-o", options, "start")  # fmt: skip

    def stop(self) -> None:
        self.run(_tool("pg_ctl"), "-D", str(self.folder / "data"), "-w", "-m", "immediate", "stop")

    def url(self, database: str) -> str:
        return f"postgresql://study:secret@127.0.0.1:{self.port}/{database}"

    def make_database(self, name: str) -> str:
        admin = create_engine(self.url("postgres").replace("postgresql:", "postgresql+pg8000:"), isolation_level="AUTOCOMMIT")  # fmt: skip
        with admin.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{name}"'))
        admin.dispose()
        return self.url(name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    folder = Path(tempfile.mkdtemp(prefix="negatoscope-pg-", dir="/tmp"))
    user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        account = pwd.getpwnam("postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
        user = ["runuser", "-u", "postgres", "--"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = PostgresServer(folder=folder, port=port, user=user)
    password = folder / "password"
    password.write_text("secret\n")
    password.chmod(0o644)
    server.run(_tool("initdb"), "-D", str(folder / "data"), "-U", "study", "-A", "scram-sha-256", "--pwfile", str(password), "-E", "UTF8", "--no-sync")  # fmt: skip
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


_COUNTER = iter(range(1_000_000))


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """A new, empty database."""
    return postgres.make_database(f"study_{next(_COUNTER)}_{time.monotonic_ns()}")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'study.sqlite'}"
    url: str = request.getfixturevalue("postgres_url")
    return url
