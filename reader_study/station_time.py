"""Whether this computer's calendar can be believed where a washout hangs on it (RS-D4).

Held against it: the database server's clock, the newest entry that any station wrote, and the time that the machine
itself counted since it was started, which no setting of the clock changes. What cannot be known is not refused: a
computer alone with its file that was set forward while it was switched off is found by the entry it leaves behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reader_study.clock import Mark, ahead_s, from_utc_text
from reader_study.domain.events import Event, EventKind
from reader_study.ports import Calendar, Clock, EventStore

TOLERANCE_S = 86_400.0  # time zones and slow clocks stay below; no washout is opened by less
_BEGINNINGS = (EventKind.SESSION_OPENED, EventKind.SESSION_RECOVERED)


def environment_mark(clock: Clock) -> dict[str, str]:
    """Return what the log keeps at a session's beginning of the machine's own count of time."""
    mark = clock.mark()
    return {"machine_boot": mark.machine_boot, "machine_uptime_s": f"{mark.uptime_ns / 1e9:.3f}"}


def trusted_utc(store: EventStore, clock: Clock) -> str:
    """Return the server's calendar time, or this computer's where there is no server; ISO 8601 UTC."""
    return store.calendar().server_utc or clock.utc_now()


def wrong_calendar(calendar: Calendar, clock: Clock) -> str | None:
    """Return why nothing may be read at this computer now, as the end of a sentence; None = nothing speaks against."""
    now = clock.utc_now()
    if calendar.server_utc is not None:
        apart = _seconds(calendar.server_utc, now)
        if abs(apart) > TOLERANCE_S:
            return _sentence(f"differs from the server's by {abs(apart) / 86_400:.1f} days")
    behind = 0.0 if calendar.latest_utc is None else _seconds(now, calendar.latest_utc)
    if behind > TOLERANCE_S:
        return _sentence(f"is {behind / 86_400:.1f} days behind the newest entry of the database")
    return None


def set_forward(store: EventStore, clock: Clock, session_ids: Sequence[str]) -> str | None:
    """Return why a washout that seems over is not believed: the calendar ran ahead of the machine's own count.

    Compared with the start of the program, and with the beginnings of a reader's sessions since the machine was started.
    """
    now = clock.mark()
    marks = [clock.first_mark(), *map(_mark, store.read_kinds(_BEGINNINGS, session_ids))]
    ahead = max((ahead_s(one, now) for one in marks if one is not None), default=0.0)
    if ahead <= TOLERANCE_S:
        return None
    return _sentence(f"was set forward by {ahead / 86_400:.1f} days, so the washout is not taken as over")


def _sentence(what: str) -> str:
    return f"this computer's clock {what}; set it right, or ask the coordinator for an override."


def _seconds(earlier: str, later: str) -> float:
    return (from_utc_text(later) - from_utc_text(earlier)).total_seconds()


def _mark(event: Event) -> Mark | None:
    environment = event.body.get("environment")
    if not isinstance(environment, Mapping):
        return None
    boot, uptime = environment.get("machine_boot"), environment.get("machine_uptime_s")
    if not isinstance(boot, str) or not isinstance(uptime, str):
        return None  # written before there were marks
    return Mark(machine_boot=boot, uptime_ns=round(float(uptime) * 1e9), utc=event.t_utc)
