"""What of the AI was on screen, from when, for how long, and what ended it (RS-C5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reader_study.domain.events import Event, EventKind, canonical, integer, mapping, text
from reader_study.table_columns import Value

_K = EventKind
_ENDS = {_K.ASSESSMENT_SUBMITTED: "submitted", _K.PAUSED: "paused"}


def exposures(events: Sequence[Event]) -> Iterator[tuple[Value, ...]]:
    """Yield one row each time a layer came on screen or what it held changed, in the order in which they ended.

    A layer that is revealed while it is on screen holds something else from then on (another threshold, another
    model, another chosen finding): the row of what it held before ends as "changed".

    Durations come from the monotonic clock of one program run; a run that was cut off ends with its last event. A
    pause blanks the screen: the layer ends with it, and begins again when the reading is resumed.
    """
    shown: dict[str, tuple[Event, int]] = {}  # by layer: what brought it, and from when it counts
    paused: tuple[str, ...] = ()
    painted: int | None = None
    last: Event | None = None
    for event in events:
        if last is not None and event.boot_id != last.boot_id:
            yield from _end(shown, painted, last, "cut off", tuple(shown))
        if event.kind is _K.CASE_OPENED:
            yield from _end(shown, painted, last or event, "left", tuple(shown))
            painted, paused = None, ()
        elif event.kind is _K.FRAME_PAINTED and painted is None:
            painted = integer(event.body, "painted_mono_ns")
        elif event.kind is _K.AI_REVEALED:
            yield from _end(shown, painted, event, "changed", (text(event.body, "layer"),))
            shown[text(event.body, "layer")] = (event, event.t_mono_ns)
        elif event.kind is _K.AI_HIDDEN:
            yield from _end(shown, painted, event, "hidden", (text(event.body, "layer"),))
        elif event.kind in _ENDS:
            paused = tuple(shown)
            kept = dict(shown)
            yield from _end(shown, painted, event, _ENDS[event.kind], tuple(shown))
            if event.kind is _K.PAUSED:
                resting = kept
        elif event.kind is _K.RESUMED and paused:
            shown.update({layer: (resting[layer][0], event.t_mono_ns) for layer in paused})
        last = event
    if last is not None:
        yield from _end(shown, painted, last, "cut off", tuple(shown))


def _end(
    shown: dict[str, tuple[Event, int]], painted: int | None, event: Event, how: str, layers: tuple[str, ...]
) -> Iterator[tuple[Value, ...]]:
    for layer in layers:
        if layer not in shown:
            continue
        came, since = shown.pop(layer)
        yield (
            layer,
            came.t_utc,
            None if painted is None else max(0.0, (since - painted) / 1e9),
            max(0.0, (event.t_mono_ns - since) / 1e9),
            how,
            canonical(mapping(came.body, "shown")),
        )
