"""The only place that reads the wall clock; and a clock for tests that moves when told."""

from __future__ import annotations

import sys
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path


def to_utc_text(moment: datetime) -> str:
    """Return ISO 8601 in UTC with milliseconds and Z, e.g. 2026-03-01T09:30:00.000Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_utc_text(text: str) -> datetime:
    """Read what ``to_utc_text`` wrote."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A moment on the calendar and on the count that a machine keeps since it was started, sleep included."""

    machine_boot: str  # one start of one machine
    uptime_ns: int
    utc: str  # ISO 8601


def ahead_s(earlier: Mark, later: Mark) -> float:
    """Return by how much the calendar went farther than the machine's own count between two moments, s.

    Above 0 = it was set forward, below = back; 0 where the two are of different starts and say nothing of each other.
    """
    if earlier.machine_boot != later.machine_boot:
        return 0.0
    calendar = (from_utc_text(later.utc) - from_utc_text(earlier.utc)).total_seconds()
    return calendar - (later.uptime_ns - earlier.uptime_ns) / 1e9


def _uptime_ns() -> int:
    """Nanoseconds since the machine was started, also while it slept: what ``monotonic_ns`` leaves out on Linux."""
    count = getattr(time, "CLOCK_BOOTTIME", None)
    if count is None and sys.platform == "darwin":
        count = getattr(time, "CLOCK_MONOTONIC", None)
    return time.monotonic_ns() if count is None else time.clock_gettime_ns(count)


def _machine_boot(otherwise: str) -> str:
    """The system's id of this start of the machine; ``otherwise`` where it has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() or otherwise
    except OSError:
        return otherwise


class SystemClock:
    """The machine's clocks. ``boot_id`` is new at every program start.

    A monotonic count says nothing across a restart, and the time between two program runs is no reading
    time; one id per run makes both impossible to add up by mistake.
    """

    def __init__(self) -> None:
        self._boot_id = uuid.uuid4().hex
        self._machine_boot = _machine_boot(self._boot_id)
        self._first = self.mark()

    @property
    def boot_id(self) -> str:
        return self._boot_id

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def utc_now(self) -> str:
        return (
            datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
        )  # as to_utc_text, in half the time

    def mark(self) -> Mark:
        return Mark(machine_boot=self._machine_boot, uptime_ns=_uptime_ns(), utc=self.utc_now())

    def first_mark(self) -> Mark:
        """Return the moment at which this program began."""
        return self._first


_MANUAL_BOOT = "2000-01-01T00:00:00.000Z"  # all manual clocks count on one machine


class ManualClock:
    """A clock that stands still until ``advance``; both clocks move together."""

    def __init__(self, start: str = "2026-01-05T08:00:00.000Z", boot_id: str = "boot-1") -> None:
        self._utc = from_utc_text(start)
        self._mono_ns = 1_000_000_000
        self._boot_id = boot_id
        self._set_by = timedelta(0)  # by how much the calendar was set
        self._first = self.mark()

    @property
    def boot_id(self) -> str:
        return self._boot_id

    def monotonic_ns(self) -> int:
        return self._mono_ns

    def utc_now(self) -> str:
        return to_utc_text(self._utc)

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass on both clocks."""
        if seconds < 0:
            raise ValueError(f"clock: expected 0 s or more, found {seconds}")
        self._mono_ns += round(seconds * 1e9)
        self._utc += timedelta(seconds=seconds)

    def jump(self, seconds: float) -> None:
        """Move the calendar past the monotonic count: a computer that slept (above 0), or was set back (below)."""
        self._utc += timedelta(seconds=seconds)
        self._set_by += min(timedelta(0), timedelta(seconds=seconds))

    def set_forward(self, seconds: float) -> None:
        """Move the calendar alone, as somebody who sets the computer's clock; the machine's own count stays."""
        self._utc += timedelta(seconds=seconds)
        self._set_by += timedelta(seconds=seconds)

    def mark(self) -> Mark:
        machine_ran = self._utc - self._set_by - from_utc_text(_MANUAL_BOOT)
        return Mark(
            machine_boot="manual",
            uptime_ns=round(machine_ran.total_seconds() * 1e9),
            utc=to_utc_text(self._utc),
        )

    def first_mark(self) -> Mark:
        return self._first

    def restart(self, boot_id: str) -> None:
        """Begin a new program run: new ``boot_id``, and a monotonic count that starts elsewhere."""
        self._boot_id = boot_id
        self._mono_ns = 500_000_000
        self._first = self.mark()
