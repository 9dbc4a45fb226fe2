"""Who works on which exam, when several processes or machines share one run: lock files and heartbeats.

A claim is a numbered file that only one process can make; the highest number holds. A process that shows no new
heartbeat is gone, and the next number may be made. No machine's clock is compared with another's.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Collection
from pathlib import Path
from types import TracebackType

from inference.batch.durable import write_once

_LOG = logging.getLogger(__name__)
BEAT_S = 5.0
STALE_S = 60.0  # above what NFS may hold back (30 s of attributes and some)
_TRIES = 5


class Claims:
    """The claims of one run folder, as one process sees and makes them; a context manager that beats while open."""

    def __init__(self, folder: Path, *, stale_s: float = STALE_S, beat_s: float = BEAT_S) -> None:
        self._claims, self._beats = folder / "claims", folder / "processes"
        self._stale_s, self._beat_s = stale_s, min(beat_s, stale_s / 4)
        self._seen: dict[str, tuple[bytes, float]] = {}  # owner -> last beat, when it was first seen
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.owner = f"{_station()}-{os.getpid()}-{secrets.token_hex(3)}"

    def __enter__(self) -> Claims:
        self._claims.mkdir(parents=True, exist_ok=True)
        self._beats.mkdir(parents=True, exist_ok=True)
        self._beat_file.write_text("0", encoding="ascii")
        self._thread = threading.Thread(target=self._beat, name="batch-heartbeat", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with contextlib.suppress(OSError):
            self._beat_file.unlink()

    def take(self, key: str) -> int | None:
        """Claim an exam; the number of the claim, or None where a living process holds it."""
        place = self._place(key)
        for _ in range(_TRIES):
            place.mkdir(parents=True, exist_ok=True)
            numbers = _numbers(place)
            try:
                holder = _read(place / str(numbers[-1])) if numbers else None
            except OSError as error:  # the share is away for a moment: whose it is is not known
                _LOG.warning("a claim could not be read: %s", error.strerror)
                return None
            if holder == self.owner:
                return numbers[-1]
            if numbers and holder is not None and self.is_alive(holder):
                return None
            number = (numbers[-1] if numbers else 0) + 1
            with contextlib.suppress(FileNotFoundError):  # its folder was tidied away between two steps
                if write_once(place / str(number), self.owner.encode(), durable=False):
                    return number
        return None

    def holds(self, key: str) -> bool:
        """Whether the claim is still ours: a machine that slept too long loses its claims."""
        numbers = _numbers(self._place(key))
        return bool(numbers) and _text(self._place(key) / str(numbers[-1])) == self.owner

    def release(self, key: str) -> None:
        """Give a claim back, so that anybody may take the exam at once."""
        place = self._place(key)
        for number in _numbers(place):
            if _text(place / str(number)) == self.owner:
                (place / str(number)).unlink(missing_ok=True)

    def forget(self, key: str) -> None:
        """Tidy up after an exam whose result is recorded."""
        shutil.rmtree(self._place(key), ignore_errors=True)

    def tidy(self, recorded: Collection[str]) -> None:
        """Tidy up after exams that were recorded by processes killed right afterwards."""
        for place in self._claims.glob("*/*"):
            if place.name in recorded:
                shutil.rmtree(place, ignore_errors=True)

    def note_death(self, key: str, reason: str) -> int:
        """Record that a worker died on this exam; returns how many did so far, on any machine."""
        place = self._place(key)
        place.mkdir(parents=True, exist_ok=True)
        number = self.deaths(key) + 1
        while not write_once(place / f"death-{number}", reason.encode()):
            number += 1
        return number

    def deaths(self, key: str) -> int:
        """How many workers died on this exam."""
        return len(list(self._place(key).glob("death-*")))

    def is_alive(self, owner: str) -> bool:
        """Whether a process still works on this run, judged by its heartbeat (and its pid, on the same machine)."""
        if owner == self.owner:
            return True
        station, _, pid = owner.rpartition("-")[0].rpartition("-")
        if not pid.isdigit():  # no name of ours: the disk was at fault
            return False
        if station == _station() and os.name == "posix" and not _runs(int(pid)):
            return False
        try:
            beat = (self._beats / f"{owner}.beat").read_bytes()
        except FileNotFoundError:
            return False  # it left in order
        except OSError as error:
            _LOG.warning("a heartbeat could not be read: %s", error.strerror)
            return True
        now = time.monotonic()
        last, since = self._seen.get(owner, (b"", now))
        if beat != last:
            last, since = beat, now
        self._seen[owner] = (last, since)
        return now - since < self._stale_s

    def others(self) -> tuple[str, ...]:
        """The other processes that seem to work on this run."""
        names = [path.stem for path in sorted(self._beats.glob("*.beat"))]
        return tuple(name for name in names if name != self.owner and self.is_alive(name))

    def beats_now(self, owner: str) -> bool:
        """Whether a process shows a new beat within two of its intervals; waits for that long at most."""
        station, pid, _ = owner.rsplit("-", 2)
        if station == _station() and os.name == "posix":
            return _runs(int(pid))
        path = self._beats / f"{owner}.beat"
        first, until = _text(path), time.monotonic() + 2 * BEAT_S + 1
        while time.monotonic() < until:
            if _text(path) not in {first, None}:
                return True
            time.sleep(self._beat_s / 5)
        return False

    @property
    def _beat_file(self) -> Path:
        return self._beats / f"{self.owner}.beat"

    def _beat(self) -> None:
        count = 0
        while not self._stop.wait(self._beat_s):
            count += 1
            try:
                # written in place: a share shows an opened file's newest bytes, but may hold back a new name
                self._beat_file.write_text(str(count), encoding="ascii")
            except OSError as error:  # the share is away for a moment; the next beat tries again
                _LOG.warning("a heartbeat could not be written: %s", error.strerror)

    def _place(self, key: str) -> Path:
        return self._claims / key[:2] / key


def _numbers(place: Path) -> list[int]:
    try:
        return sorted(int(name) for name in (path.name for path in place.iterdir()) if name.isdigit())
    except FileNotFoundError:
        return []


def _read(path: Path) -> str | None:
    """Return a file's text, None where it is not there or empty."""
    try:
        return path.read_text(encoding="utf-8", errors="replace") or None
    except FileNotFoundError:
        return None


def _text(path: Path) -> str | None:
    try:
        return _read(path)
    except OSError:
        return None


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError):  # dead, but its parent has not looked yet (Linux)
        state = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
        return state[:1] not in (["Z"], ["X"])
    return True


def _station() -> str:
    """Name this machine, boot and process name space: pids may be compared within one only."""
    facts = [socket.gethostname()]
    for source in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        path = Path(source)
        with contextlib.suppress(OSError):
            facts.append(str(path.readlink()) if path.is_symlink() else path.read_text(encoding="ascii"))
    name = re.sub(r"[^A-Za-z0-9]+", "_", facts[0])[:24]
    return f"{name}_{hashlib.sha256('|'.join(facts).encode()).hexdigest()[:8]}"
