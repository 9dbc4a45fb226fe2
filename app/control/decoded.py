"""Decoded exams kept in memory, within a limit: those ahead, and those looked at last.

Owns what is dropped when room is short; when an exam is decoded is decided by the controllers.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from app.state.display import Pyramid

DEFAULT_BYTES = 2 * 2**30
MACHINE_SHARE = 0.25  # of the physical memory, however much the setting allows


class Decoded(Protocol):
    """An exam with its halved copies; the first level of a pyramid is the image itself."""

    @property
    def pyramids(self) -> Mapping[str, Pyramid]: ...


D = TypeVar("D", bound=Decoded)


def bytes_of(decoded: Decoded) -> int:
    """Memory of one decoded exam, bytes."""
    return sum(level.nbytes for pyramid in decoded.pyramids.values() for level in pyramid.levels)


def machine_bytes() -> int | None:
    """Share of this machine's memory that decoded exams may take, bytes; None where the system does not say."""
    try:
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * MACHINE_SHARE)
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


class DecodedExams(Generic[D]):
    """Exams by id, the least recently kept dropped first; the newest stays whatever the limit."""

    def __init__(self, limit_bytes: Callable[[], int] = lambda: DEFAULT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._exams: OrderedDict[str, D] = OrderedDict()

    def __contains__(self, exam_id: object) -> bool:
        return exam_id in self._exams

    def __iter__(self) -> Iterator[str]:
        return iter(self._exams)

    def __len__(self) -> int:
        return len(self._exams)

    @property
    def used_bytes(self) -> int:
        return sum(bytes_of(exam) for exam in self._exams.values())

    def get(self, exam_id: str) -> D | None:
        return self._exams.get(exam_id)

    def take(self, exam_id: str) -> D | None:
        """Hand an exam over and forget it."""
        return self._exams.pop(exam_id, None)

    def has_room(self) -> bool:
        """True when one more exam as large as the largest here fits; always when there is none."""
        largest = max((bytes_of(exam) for exam in self._exams.values()), default=0)
        return not self._exams or self.used_bytes + largest <= self._limit_bytes()

    def keep(self, exam_id: str, exam: D) -> None:
        """Keep an exam as the newest; older ones go until all fit."""
        self._exams[exam_id] = exam
        self._exams.move_to_end(exam_id)
        while len(self._exams) > 1 and self.used_bytes > self._limit_bytes():
            self._exams.popitem(last=False)

    def only(self, exam_ids: tuple[str, ...]) -> None:
        """Forget all but these."""
        for exam_id in [known for known in self._exams if known not in exam_ids]:
            del self._exams[exam_id]

    def clear(self) -> None:
        self._exams.clear()
