"""PostgreSQL's engine: synchronous commits, and no wait on a silent network longer than a step may take.

Owns the deadline: inside ``within`` every send and receive together end in time, whatever the network does.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError

_NOW = threading.local()  # .deadline: time.monotonic() at which the step under way gives up
PING_SHARE = 0.25  # of the busy timeout, for finding out whether a kept connection still answers


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let everything inside end after ``seconds``; an earlier end that is set already stays."""
    before: float | None = getattr(_NOW, "deadline", None)
    end = time.monotonic() + seconds
    _NOW.deadline = end if before is None else min(before, end)
    try:
        yield
    finally:
        _NOW.deadline = before


def _left(limit: float) -> float:
    deadline: float | None = getattr(_NOW, "deadline", None)
    if deadline is None:
        return limit
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time for this step is over")
    return min(limit, left)


class _LinkSocket(socket.socket):
    """A socket whose every wait ends with the step's deadline, and whose every failure the driver knows as one."""

    limit_s = 5.0
    failure: type[Exception] = OSError  # the driver's own; it lets most of the system's through as they are

    def recv_into(self, *arguments: Any, **named: Any) -> int:
        with self._failing():
            self.settimeout(_left(self.limit_s))
            return super().recv_into(*arguments, **named)

    def send(self, *arguments: Any, **named: Any) -> int:
        with self._failing():
            self.settimeout(_left(self.limit_s))
            return super().send(*arguments, **named)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self.failure(f"network error: {error}") from error

    def close(self) -> None:
        """Close at once, also where the driver still holds a file object on a line that is cut."""
        super().close()
        super(socket.socket, self).close()


def _link(host: str, port: int, limit_s: float, failure: type[Exception]) -> socket.socket:
    """Connect to the first address that answers."""
    failed: OSError | None = None
    for family, kind, number, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        link = _LinkSocket(family, kind, number)
        link.limit_s, link.failure = limit_s, failure
        try:
            link.settimeout(_left(limit_s))
            link.connect(address)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return link
        except OSError as error:
            link.close()
            failed = error
    raise failed or OSError(f"no address of {host}")


def postgresql_engine(url: URL, busy_timeout_s: float) -> Engine:
    """Return the engine of a server; ``busy_timeout_s`` is also its execution option of that name."""
    engine = create_engine(
        url.set(drivername="postgresql+pg8000"),
        pool_size=2,
        connect_args={"timeout": busy_timeout_s, "application_name": "negatoscope"},
    )
    engine.update_execution_options(busy_timeout_s=busy_timeout_s)

    @event.listens_for(engine, "do_connect")
    def _on_do_connect(dialect: Any, _record: object, _args: object, named: dict[str, Any]) -> Any:
        if "unix_sock" in named:
            return None
        host, port = str(named.get("host") or "localhost"), int(named.get("port") or 5432)
        driver = dialect.loaded_dbapi
        link: socket.socket | None = None
        try:
            link = _link(host, port, busy_timeout_s, driver.InterfaceError)
            return driver.Connection(**{**named, "host": host, "port": port}, sock=link)
        except BaseException as error:
            if link is not None:
                link.close()
            if isinstance(error, OSError):
                raise driver.InterfaceError(
                    f"network error: no connection to {host}, port {port} ({error})"
                ) from error
            raise

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        # a server set to faster must not lose a confirmed answer
        cursor.execute("SET synchronous_commit = on")
        cursor.execute(f"SET lock_timeout = {round(busy_timeout_s * 600)}")
        connection.commit()

    @event.listens_for(engine, "checkout")
    def _on_checkout(connection: Any, _record: object, _proxy: object) -> None:
        # a connection that the network cut while nobody wrote is replaced before the next step needs it
        try:
            with within(busy_timeout_s * PING_SHARE):
                connection.execute_simple(";")
        except (engine.dialect.loaded_dbapi.Error, OSError) as error:
            raise DisconnectionError("the kept connection does not answer") from error

    return engine
