"""Every time measure of a reading, defined once, in words and in code (RS-M1, M2, M3).

Durations come from ``t_mono_ns`` inside one ``boot_id`` only. An *opening* runs from CaseOpened until the
case leaves the screen: by ReadingLocked, or cut off by the end of the sitting or a crash.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reader_study.domain.events import Event, EventKind, integer

_NS = 1e9
_K = EventKind

Span = tuple[int, int]  # ns on one monotonic clock, start <= end


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Times of one reading, s. Sums over openings; None = nothing was painted."""

    load_s: float | None  # CaseOpened -> first paint of all views, first opening
    raw_s: float | None  # first paint -> submit; of a cut opening, until its last event
    paused_s: float  # inside Paused -> Resumed, from the first paint on
    idle_s: float  # no input, as IdleDetected reports it, outside of pauses
    unfocused_s: float  # another window in front, outside of pauses and idle time
    active_s: float | None  # raw less paused, idle and unfocused
    opened_to_submit_s: float | None  # CaseOpened -> submit; the definition of papers that time the request
    openings: int
    interrupted: bool  # more than one opening, or a cut one: raw_s is then a lower bound


def provisional_times(events: Sequence[Event]) -> Times:
    """Measure the part of a sequential reading that ends with its provisional answer."""
    end = next(i for i, event in enumerate(events) if event.kind is _K.PROVISIONAL_SUBMITTED)
    return _times(events[: end + 1], _K.PROVISIONAL_SUBMITTED)


def reading_times(events: Sequence[Event]) -> Times:
    """Measure one reading from its events in log order (all of one case; session ends may be among them)."""
    return _times(events, _K.ASSESSMENT_SUBMITTED)


def _times(events: Sequence[Event], submitted: EventKind) -> Times:
    openings = _openings(events)
    measured = [_measure(opening) for opening in openings]
    painted = [one for one in measured if one is not None]
    locked = any(event.kind is submitted for event in events)
    raw = sum(one.raw for one in painted)
    paused = sum(one.paused for one in painted)
    idle = sum(one.idle for one in painted)
    unfocused = sum(one.unfocused for one in painted)
    return Times(
        load_s=painted[0].load / _NS if painted else None,
        raw_s=raw / _NS if painted else None,
        paused_s=paused / _NS,
        idle_s=idle / _NS,
        unfocused_s=unfocused / _NS,
        active_s=(raw - paused - idle - unfocused) / _NS if painted else None,
        opened_to_submit_s=sum(_last(o) - o[0].t_mono_ns for o in openings) / _NS if locked else None,
        openings=len(openings),
        interrupted=len(openings) > 1 or (bool(openings) and not locked),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measure:
    load: int
    raw: int
    paused: int
    idle: int
    unfocused: int


def _openings(events: Iterable[Event]) -> list[list[Event]]:
    found: list[list[Event]] = []
    for event in events:
        if event.kind is _K.CASE_OPENED:
            found.append([event])
        elif found and event.boot_id == found[-1][0].boot_id and event.kind is not _K.READING_LOCKED:
            found[-1].append(event)
    return found


def _last(opening: Sequence[Event]) -> int:
    submitted = [event.t_mono_ns for event in opening if event.kind is _K.ASSESSMENT_SUBMITTED]
    return submitted[0] if submitted else opening[-1].t_mono_ns


def _measure(opening: Sequence[Event]) -> _Measure | None:
    paints = [integer(e.body, "painted_mono_ns") for e in opening if e.kind is _K.FRAME_PAINTED]
    if not paints:
        return None
    start, end = paints[0], _last(opening)
    paused = _clip(_pairs(opening, _K.PAUSED, _K.RESUMED, end), start, end)
    idle = _clip([_idle_span(e) for e in opening if e.kind is _K.IDLE_DETECTED], start, end)
    unfocused = _clip(_pairs(opening, _K.FOCUS_LOST, _K.FOCUS_REGAINED, end), start, end)
    to_idle, to_unfocused = _union(paused + idle), _union(paused + idle + unfocused)
    return _Measure(
        load=start - opening[0].t_mono_ns,
        raw=end - start,
        paused=_length(_union(paused)),
        idle=_length(to_idle) - _length(_union(paused)),
        unfocused=_length(to_unfocused) - _length(to_idle),
    )


def break_seconds(events: Iterable[Event]) -> float:
    """Return how long suggested breaks were, s, from the offer to going on; one that a crash cut off is not counted."""
    total, offered = 0, None
    for event in events:
        if event.kind is _K.BREAK_OFFERED:
            offered = event
        elif event.kind is _K.BREAK_ENDED and offered is not None and offered.boot_id == event.boot_id:
            total, offered = total + event.t_mono_ns - offered.t_mono_ns, None
    return total / _NS


def _pairs(events: Iterable[Event], begin: EventKind, finish: EventKind, end: int) -> list[Span]:
    spans: list[Span] = []
    since: int | None = None
    for event in events:
        if event.kind is begin and since is None:
            since = event.t_mono_ns
        elif event.kind is finish and since is not None:
            spans.append((since, event.t_mono_ns))
            since = None
    if since is not None:
        spans.append((since, max(since, end)))
    return spans


def _idle_span(event: Event) -> Span:
    seconds = event.body["seconds"]
    assert isinstance(seconds, int | float)
    return event.t_mono_ns - round(seconds * _NS), event.t_mono_ns


def _clip(spans: Iterable[Span], start: int, end: int) -> list[Span]:
    cut = ((max(first, start), min(last, end)) for first, last in spans)
    return [(first, last) for first, last in cut if first < last]


def _union(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined


def _length(spans: Iterable[Span]) -> int:
    return sum(last - first for first, last in spans)
