"""What a reader measured or wrote on the images of a case, and what became of it (RS-C5).

Points are kept as they are set, in stored pixels; no length is worked out here, because spacing belongs to the exam.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from reader_study.domain.events import Event, EventKind, canonical
from reader_study.table_columns import KEY, Column, Value


def _c(name: str, kind: str, meaning: str, unit: str = "", values: str = "") -> Column:
    return Column(name=name, type=kind, unit=unit, range=values, meaning=meaning)


MEASUREMENTS = (
    *KEY,
    _c("measurement_id", "text", "Id within the case."),
    _c("status", "text", "Whether it was there in the end.", values="kept, removed"),
    _c("image_key", "text", "Image it lies on, e.g. R-CC."),
    _c("kind", "text", "What was drawn.", values="ruler, angle, ellipse, text, nipple"),
    _c("points", "text", "Its points as last set, [[row, column], ...].", "pixels of the stored image"),
    _c("text", "text", "Words of a text."),
    _c("changes", "integer", "How often it was changed after it was set.", values="0.."),
    _c("set_utc", "text", "When it was first set.", "ISO 8601 UTC"),
)


def measurement_values(events: Sequence[Event]) -> Iterator[tuple[Value, ...]]:
    """Yield one row a measurement of one reading, in the order of setting; one set again by undo goes on."""
    last: dict[str, Mapping[str, object]] = {}
    facts: dict[str, tuple[str, int, str]] = {}  # by id: status, changes, when set
    for event in events:
        if event.kind is not EventKind.MEASUREMENT_CHANGED:
            continue
        old, new = event.body["old"], event.body["measurement"]
        if isinstance(new, Mapping):
            name = str(new["measurement_id"])
            status, changes, when = facts.get(name, ("", -1, event.t_utc))
            last[name], facts[name] = new, ("kept", changes + (status != "removed"), when)
        elif isinstance(old, Mapping) and str(old["measurement_id"]) in facts:
            name = str(old["measurement_id"])
            facts[name] = ("removed", *facts[name][1:])
    for name, (status, changes, when) in facts.items():
        one = last[name]
        yield (
            name,
            status,
            str(one["image_key"]),
            str(one["kind"]),
            canonical(one["points"]),
            str(one["text"]) or None,
            changes,
            when,
        )
