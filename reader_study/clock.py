"""The only place that reads the wall clock; and a clock for tests that moves when told."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta


def to_utc_text(moment: datetime) -> str:
    """Return ISO 8601 in UTC with milliseconds and Z, e.g. 2026-03-01T09:30:00.000Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_utc_text(text: str) -> datetime:
    """Read what ``to_utc_text`` wrote."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


class SystemClock:
    """The machine's clocks. ``boot_id`` is new at every program start.

    A monotonic count says nothing across a restart, and the time between two program runs is no reading
    time; one id per run makes both impossible to add up by mistake.
    """

    def __init__(self) -> None:
        self._boot_id = uuid.uuid4().hex

    @property
    def boot_id(self) -> str:
        return self._boot_id

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def utc_now(self) -> str:
        return (
            datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
        )  # as to_utc_text, in half the time


class ManualClock:
    """A clock that stands still until ``advance``; both clocks move together."""

    def __init__(self, start: str = "2026-01-05T08:00:00.000Z", boot_id: str = "boot-1") -> None:
        self._utc = from_utc_text(start)
        self._mono_ns = 1_000_000_000
        self._boot_id = boot_id

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
        """Move the calendar only: a computer that slept (above 0), or a clock that was set (either way)."""
        self._utc += timedelta(seconds=seconds)

    def restart(self, boot_id: str) -> None:
        """Begin a new program run: new ``boot_id``, and a monotonic count that starts elsewhere."""
        self._boot_id = boot_id
        self._mono_ns = 500_000_000
