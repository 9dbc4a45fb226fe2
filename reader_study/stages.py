"""How long each hanging step was on screen, and where the computer itself slept or its clock was set (RS-M2, C5).

Pure functions over one reading's events. Durations come from the monotonic clock of one program run; the calendar is
looked at only to find what that clock cannot know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from reader_study.clock import from_utc_text
from reader_study.domain.events import Event, EventKind, integer, text
from reader_study.table_columns import Value

_K = EventKind
_ENDS = {_K.ASSESSMENT_SUBMITTED: "submitted", _K.PAUSED: "paused"}
FIRST_STEP = "first"  # the step that a case opens with, which nobody called up
GAP_S = 2.0  # calendar and monotonic clock drift and are read one after the other; more than this is no drift


def stage_dwell(events: Sequence[Event]) -> Iterator[tuple[Value, ...]]:
    """Yield one row each time a hanging step was on screen: step, from when, seconds after the first paint, s, its end.

    A pause blanks the screen: the step ends with it, and begins again when the reading is resumed. A run that was cut
    off ends with its last event.
    """
    on: tuple[str, str, int] | None = None  # step, UTC and monotonic ns of its coming
    step, painted, paused = FIRST_STEP, None, False
    last: Event | None = None
    for event in events:
        at = event.t_mono_ns
        if last is not None and (event.boot_id != last.boot_id or event.kind is _K.CASE_OPENED):
            cut = "cut off" if event.boot_id != last.boot_id else "left"
            yield from _row(on, painted, last.t_mono_ns, cut)
            on, painted, paused, step = None, None, False, FIRST_STEP
        if event.kind is _K.FRAME_PAINTED and painted is None:
            painted = integer(event.body, "painted_mono_ns")
            on = (step, event.t_utc, painted)
        elif event.kind is _K.STAGE_CHANGED:
            yield from _row(on, painted, at, "changed")
            step = text(event.body, "stage")
            on = (step, event.t_utc, at)
        elif event.kind in _ENDS:
            yield from _row(on, painted, at, _ENDS[event.kind])
            on, paused = None, event.kind is _K.PAUSED
        elif event.kind is _K.RESUMED and paused:
            on, paused = (step, event.t_utc, at), False
        last = event
    if last is not None:
        yield from _row(on, painted, last.t_mono_ns, "cut off")


def _row(
    on: tuple[str, str, int] | None, painted: int | None, end: int, how: str
) -> Iterator[tuple[Value, ...]]:
    if on is not None and painted is not None:
        step, utc, since = on
        yield step, utc, (since - painted) / 1e9, (end - since) / 1e9, how


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockGap:
    """Between two events of one run the calendar went on by ``seconds`` more than the monotonic clock.

    Positive: the computer slept, or its clock was set forward. Negative: its clock was set back. Reading times hold
    neither: they are monotonic, and on the systems of the readers' stations that clock stands still in sleep.
    """

    after_seq: int
    seconds: float


def clock_gaps(events: Sequence[Event]) -> tuple[ClockGap, ...]:
    """Return where calendar and monotonic clock part by more than 2 s, in log order."""
    found: list[ClockGap] = []
    for one, next_one in pairwise(events):
        if one.boot_id != next_one.boot_id:
            continue
        calendar = (from_utc_text(next_one.t_utc) - from_utc_text(one.t_utc)).total_seconds()
        gap = calendar - (next_one.t_mono_ns - one.t_mono_ns) / 1e9
        if abs(gap) > GAP_S:
            found.append(ClockGap(after_seq=one.seq, seconds=gap))
    return tuple(found)
