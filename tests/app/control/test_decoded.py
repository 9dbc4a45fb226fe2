"""Decoded exams stay within their memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from app.control.decoded import DecodedExams, bytes_of, machine_bytes
from app.state.display import Pyramid


@dataclass
class Exam:
    pyramids: Mapping[str, Pyramid]


def exam(side: int = 512) -> Exam:
    return Exam({"R-CC": Pyramid(np.zeros((side, side), np.uint16))})


def test_an_exam_counts_its_pixels_and_their_halvings() -> None:
    # 512 and 256 and 128 squared, two bytes each.
    assert bytes_of(exam()) == 2 * (512**2 + 256**2 + 128**2)


def test_the_oldest_goes_when_the_limit_is_reached_and_the_newest_never() -> None:
    size = bytes_of(exam())
    kept: DecodedExams[Exam] = DecodedExams(lambda: 2 * size)
    for name in "abc":
        kept.keep(name, exam())
    assert list(kept) == ["b", "c"]
    assert not kept.has_room()
    kept.keep("large", exam(2048))
    assert list(kept) == ["large"]


def test_a_lower_limit_holds_from_the_next_exam_on() -> None:
    limit = [10 * bytes_of(exam())]
    kept: DecodedExams[Exam] = DecodedExams(lambda: limit[0])
    for name in "abcd":
        kept.keep(name, exam())
    assert kept.has_room()
    limit[0] = 2 * bytes_of(exam())
    kept.keep("e", exam())
    assert list(kept) == ["d", "e"]


def test_what_is_taken_or_not_wanted_is_forgotten() -> None:
    kept: DecodedExams[Exam] = DecodedExams()
    for name in "abc":
        kept.keep(name, exam())
    assert kept.take("a") is not None
    assert kept.take("a") is None
    kept.only(("c",))
    assert list(kept) == ["c"]
    share = machine_bytes()
    assert share is None or share > 2**20
