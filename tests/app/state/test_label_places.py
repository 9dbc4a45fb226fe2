"""Labels of findings: in the air beside the breast where there is room, never over each other."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.state.label_places import Ground, Rect, place_labels

HEIGHT = 16.0


def breast(width: float = 640.0, height: float = 520.0, *, air_left: bool = True) -> Ground:
    """A half-moon of tissue on the chest wall's side."""
    ys = np.arange(4.0, height, 8.0)
    reach = 0.6 * width * np.sqrt(np.clip(1 - ((ys - height / 2) / (height / 2)) ** 2, 0, 1))
    free = tuple(float(width - x) for x in reach)
    return Ground(width=width, height=height, air_left=air_left, free=free, taken=(20.0,) * len(free))


def _boxes(seed: int, count: int, ground: Ground) -> list[Rect]:
    rng = np.random.default_rng(seed)
    boxes = []
    for _ in range(count):
        side = float(rng.uniform(14, 60))
        x = float(rng.uniform(0.45, 0.9)) * ground.width
        x = x if ground.air_left else ground.width - x
        y = float(rng.uniform(0.1, 0.9)) * ground.height
        boxes.append(Rect(left=x - side / 2, top=y - side / 2, right=x + side / 2, bottom=y + side / 2))
    return boxes


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 30), air_left=st.booleans())
def test_no_two_labels_ever_overlap_and_all_are_inside(seed: int, count: int, air_left: bool) -> None:
    ground = breast(air_left=air_left)
    boxes = _boxes(seed, count, ground)
    placed = place_labels(boxes, [120.0] * count, HEIGHT, ground)
    rects = [one.rect for one in placed if one is not None]
    assert not any(one.meets(other) for one, other in combinations(rects, 2))
    for rect in rects:
        assert rect.left >= 0
        assert rect.right <= ground.width
        assert rect.top >= 0
        assert rect.bottom <= ground.height


@pytest.mark.parametrize("air_left", [True, False])
def test_thirty_labels_all_stand_off_the_tissue(air_left: bool) -> None:
    ground = breast(air_left=air_left)
    placed = place_labels(_boxes(7, 30, ground), [120.0] * 30, HEIGHT, ground)
    assert all(one is not None and one.in_air for one in placed)
    for one in placed:
        assert one is not None
        inner = one.rect.right if air_left else ground.width - one.rect.left
        bands = range(int(one.rect.top / ground.step), math.ceil(one.rect.bottom / ground.step))
        assert inner <= min(ground.free[band] for band in bands)
        outer = one.rect.left if air_left else ground.width - one.rect.right
        assert outer >= 20.0  # clear of the words at the edge


def test_the_first_box_gets_the_height_it_wants() -> None:
    ground = breast()
    box = Rect(left=400, top=200, right=440, bottom=240)
    first, second = place_labels([box, box], [100.0, 100.0], HEIGHT, ground)
    assert first is not None
    assert second is not None
    wanted = 220.0
    assert abs((first.rect.top + first.rect.bottom) / 2 - wanted) <= HEIGHT / 2
    assert abs((second.rect.top + second.rect.bottom) / 2 - wanted) > HEIGHT / 2


def test_without_air_a_label_stands_beside_its_box_and_covers_no_other_box() -> None:
    ground = Ground(width=640, height=520, air_left=True)
    upper = Rect(left=200, top=200, right=260, bottom=240)
    lower = Rect(left=200, top=260, right=260, bottom=300)
    for place in place_labels([lower, upper], [90.0, 90.0], HEIGHT, ground):
        assert place is not None
        assert not place.in_air
        assert not place.rect.meets(upper)
        assert not place.rect.meets(lower)


def test_a_box_that_is_not_on_screen_gets_no_label() -> None:
    ground = breast()
    off = Rect(left=-80, top=10, right=-20, bottom=60)
    assert place_labels([off], [90.0], HEIGHT, ground) == (None,)


@pytest.mark.parametrize("air_left", [True, False])
def test_a_label_stands_beyond_a_box_that_reaches_into_the_air(air_left: bool) -> None:
    ground = breast(air_left=air_left)
    inner = 0.42 * ground.width  # the skin lies at 0.4 of the width from the chest wall's side at this height
    wide = Rect(left=ground.width - 1.05 * ground.width * 0.62, top=200, right=ground.width - 20, bottom=330)
    small = Rect(left=ground.width - inner, top=250, right=ground.width - inner + 30, bottom=280)
    boxes = [wide, small]
    if not air_left:
        boxes = [
            Rect(left=ground.width - b.right, top=b.top, right=ground.width - b.left, bottom=b.bottom)
            for b in boxes
        ]
    placed = place_labels(boxes, [120.0, 120.0], HEIGHT, ground)
    assert all(one is not None and one.in_air for one in placed)
    assert not any(one.rect.meets(box) for one in placed if one is not None for box in boxes)
