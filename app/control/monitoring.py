"""Figures of a running study beyond its progress: reading times, quick again and again because only news is read.

What a session's progress is stands in ``reader_study.monitor``; exact times of every kind are in ``timing``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reader_study.domain.events import Event, EventKind, integer, text
from reader_study.monitor import MonitorRow
from reader_study.ports import EventStore

_KINDS = (EventKind.FRAME_PAINTED, EventKind.ASSESSMENT_SUBMITTED)


class ReadingTimes:
    """Reading times by session, s: from the last first paint to the submission. Keeps what it has read.

    For watching only: pauses and idle time are inside, and a reading that was cut off counts from its last opening.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, tuple[float, ...]]] = {}

    def update(self, rows: Sequence[MonitorRow], store: EventStore) -> Mapping[str, tuple[float, ...]]:
        """Return the times of every session of ``rows``; only sessions that went on are read again."""
        news = [row for row in rows if self._known.get(row.session_id, (0, ()))[0] != row.n_done]
        if news:
            events: dict[str, list[Event]] = {}
            for event in store.read_kinds(_KINDS, [row.session_id for row in news]):
                events.setdefault(event.session_id, []).append(event)
            for row in news:
                self._known[row.session_id] = (row.n_done, _times(events.get(row.session_id, [])))
        return {row.session_id: self._known.get(row.session_id, (0, ()))[1] for row in rows}


def _times(events: Sequence[Event]) -> tuple[float, ...]:
    painted: dict[str, Event] = {}
    seconds: list[float] = []
    for event in events:
        case_id = text(event.body, "case_id")
        if event.kind is EventKind.FRAME_PAINTED:
            painted[case_id] = event
        elif case_id in painted and painted[case_id].boot_id == event.boot_id:
            seconds.append((event.t_mono_ns - integer(painted[case_id].body, "painted_mono_ns")) / 1e9)
    return tuple(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxOfTimes:
    """What a box plot draws, s: quartiles, whiskers (farthest value within 1.5 interquartile ranges), outliers."""

    n: int
    low: float
    first: float
    median: float
    third: float
    high: float
    outliers: tuple[float, ...]


def box_of(seconds: Sequence[float]) -> BoxOfTimes | None:
    """Return Tukey's box of some times; None when there are none. Quartiles by linear interpolation."""
    if not seconds:
        return None
    values = np.sort(np.asarray(seconds, dtype=np.float64))
    first, median, third = (float(value) for value in np.percentile(values, (25, 50, 75)))
    reach = 1.5 * (third - first)
    inside = values[(values >= first - reach) & (values <= third + reach)]
    return BoxOfTimes(
        n=len(values),
        low=float(inside[0]),
        first=first,
        median=median,
        third=third,
        high=float(inside[-1]),
        outliers=tuple(float(v) for v in values[(values < inside[0]) | (values > inside[-1])]),
    )
