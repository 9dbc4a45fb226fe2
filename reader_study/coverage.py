"""How much of each image's tissue a reader had on screen at 1:1: what is recorded, required and exported.

Owns the JSON form and the rule; how it is seen and counted belongs to the screen. An attention measure, not a gaze
measure: shown for long enough does not mean looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reader_study.domain.events import Event, EventKind, mapping
from reader_study.domain.study import Scale
from reader_study.errors import StudyError


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenImage:
    """One image: share of its tissue shown at 1:1 or larger (0..1), and for how long any of it was so shown, ms."""

    image_key: str
    share: float
    dwell_ms: int

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0 or self.dwell_ms < 0:
            raise ValueError(
                f"coverage of {self.image_key}: expected share 0..1 and ms from 0, found {self.share}, {self.dwell_ms}"
            )


def coverage_to_json(seen: Iterable[SeenImage]) -> dict[str, object]:
    """Return the body of CoverageRecorded: by image key, share to a thousandth and ms."""
    return {one.image_key: {"share": round(one.share, 3), "dwell_ms": one.dwell_ms} for one in seen}


def require_coverage(seen: Sequence[SeenImage], scale: Scale) -> None:
    """Raise StudyError when the protocol asks for a least share at 1:1 and an image is below it."""
    if scale.min_coverage is None:
        return
    low = [one for one in seen if round(one.share, 3) < scale.min_coverage]
    if low or not seen:
        names = ", ".join(f"{one.image_key} {int(100 * one.share)} %" for one in low) or "no image"
        raise StudyError(
            f"Expected at least {100 * scale.min_coverage:.0f} % of the tissue of every image shown at 1:1, "
            f"found {names}; step through the quadrants (Q, E), then submit."
        )


def coverage_of(events: Iterable[Event]) -> tuple[SeenImage, ...]:
    """Read a reading's coverage back, by image key: the highest share of any opening, and the time of all together."""
    shares: dict[str, float] = {}
    times: dict[str, int] = {}
    for event in events:
        if event.kind is not EventKind.COVERAGE_RECORDED:
            continue
        for key, value in mapping(event.body, "images").items():
            if isinstance(value, Mapping):
                shares[key] = max(shares.get(key, 0.0), float(value["share"]))
                times[key] = times.get(key, 0) + int(value["dwell_ms"])
    return tuple(SeenImage(image_key=key, share=shares[key], dwell_ms=times[key]) for key in sorted(shares))
