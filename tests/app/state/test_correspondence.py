"""The nipple-distance arc and the linked cursor, against plain geometry."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from app.state.hanging_fill import partner_of
from app.state.linked_cursor import linked_point
from app.state.nipple_arc import arc, arc_targets, impossible_breast_mm, nipple_distance_mm
from inference.exam.types import Orientation, Presentation, Spacing, ViewImage, Voi, VoiFunction
from resources.vocabulary import ImageKind, ViewModifier, ViewName

VOI = Voi(label="", function=VoiFunction.LINEAR, center=2000, width=4000)


def image(
    name: str,
    *,
    kind: ImageKind = ImageKind.FFDM,
    size: tuple[int, int] = (400, 300),
    spacing: tuple[float, float] | None = (0.1, 0.1),
    orientation: Orientation | None = None,
    qualifier: str = "",
) -> ViewImage:
    return ViewImage(
        view=ViewName.parse(name),
        kind=kind,
        pixels=np.zeros(size, np.uint16),
        presentation=Presentation(vois=(VOI,)),
        orientation=orientation or Orientation(),
        spacing=None if spacing is None else Spacing(row_mm=spacing[0], col_mm=spacing[1], method="m"),
        source_id=name + qualifier,
        qualifier=qualifier,
    )


def test_beyond5_every_point_of_the_arc_is_at_the_same_distance_from_the_nipple() -> None:
    target = image("R-MLO", spacing=(0.1, 0.25))
    nipple = (200.0, 10.0)
    lines = arc(target, nipple, 12.0)
    points = [point for line in lines for point in line]
    assert len(points) > 30
    for row, col in points:
        assert math.hypot((row - 200.0) * 0.1, (col - 10.0) * 0.25) == pytest.approx(12.0)
        assert 0 <= row <= 400
        assert 0 <= col <= 300


def test_beyond5_the_arc_is_one_line_where_the_picture_does_not_cut_it() -> None:
    assert len(arc(image("R-CC"), (200.0, 150.0), 5.0)) == 1
    # Half of it lies beyond the left edge: still one piece, though it runs across the angle where counting began.
    assert len(arc(image("R-CC"), (200.0, 0.0), 5.0)) == 1


def test_beyond5_arcs_belong_to_other_views_and_priors_of_the_same_breast() -> None:
    rcc, rmlo, lmlo = image("R-CC"), image("R-MLO"), image("L-MLO")
    prior, partner = image("R-CC", qualifier="@P1"), image("R-CC", kind=ImageKind.CESM_LOW)
    found = arc_targets(rcc, (rcc, rmlo, lmlo, prior, partner))
    assert [one.key for one in found] == ["R-MLO", "R-CC@P1"]


def test_beyond5_the_arc_is_drawn_in_the_breast_only() -> None:
    lines = arc(image("R-MLO"), (200.0, 150.0), 8.0, lambda _row, col: col >= 160.0)
    assert len(lines) == 1
    assert min(col for _, col in lines[0]) >= 160.0
    assert max(col for _, col in lines[0]) == pytest.approx(230.0)


def test_beyond5_without_spacing_there_is_no_distance_and_no_arc() -> None:
    bare = image("R-CC", spacing=None)
    assert nipple_distance_mm(bare, (0, 0), (1, 1)) is None
    assert arc(bare, (100, 100), 10.0) == ()


def test_cem07_low_energy_and_recombined_share_the_very_pixel() -> None:
    low, recombined = (image("L-CC", kind=k) for k in (ImageKind.CESM_LOW, ImageKind.CESM_RECOMBINED))
    found = linked_point(low, recombined, (12.5, 99.5))
    assert found is not None
    assert (found.row, found.col, found.exact) == (12.5, 99.5, True)


def test_cem07_pictures_without_spacing_are_linked_but_never_called_registered() -> None:
    low, recombined = (
        image("L-CC", kind=k, spacing=None) for k in (ImageKind.CESM_LOW, ImageKind.CESM_RECOMBINED)
    )
    found = linked_point(low, recombined, (12.5, 99.5))
    assert found is not None
    assert not found.exact
    assert "not known" in found.method


ORIENTATIONS = [
    Orientation(transpose=t, flip_rows=r, flip_cols=c)
    for t, r, c in itertools.product((False, True), repeat=3)
]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_prior_of_other_spacing_and_orientation_is_linked_by_the_chest_wall(
    orientation: Orientation,
) -> None:
    # The right breast's chest wall is the hung picture's right edge; obliques share their upper edge.
    now = image("R-MLO")
    prior = image("R-MLO", size=(800, 700), spacing=(0.05, 0.05), orientation=orientation, qualifier="@P1")
    found = linked_point(now, prior, (100.0, 260.0))  # 10 mm below the top, 4 mm from the chest wall
    assert found is not None
    turned = np.zeros((800, 700), np.uint8)
    turned[int(found.row), int(found.col)] = 1
    hung = turned.T if orientation.transpose else turned
    hung = np.flipud(hung) if orientation.flip_rows else hung
    hung = np.fliplr(hung) if orientation.flip_cols else hung
    (row, col) = np.argwhere(hung)[0]
    assert row == pytest.approx(200, abs=1)  # 10 mm at 0.05 mm
    assert hung.shape[1] - col == pytest.approx(80, abs=1)  # 4 mm at 0.05 mm
    assert found.method == "same distance from chest wall"
    assert not found.exact


def test_a_prior_is_linked_by_the_nipples_once_both_are_marked() -> None:
    now, prior = image("L-CC"), image("L-CC", spacing=(0.2, 0.2), qualifier="@P1")
    found = linked_point(now, prior, (220.0, 240.0), nipples=((200.0, 280.0), (100.0, 150.0)))
    assert found is not None
    # 2 mm down and 4 mm towards the chest wall: 10 rows and 20 columns of the prior.
    assert (found.row, found.col) == pytest.approx((110.0, 130.0))
    assert found.method == "same distance from nipple"


def test_another_view_or_breast_is_not_linked_and_neither_is_a_place_beside_the_picture() -> None:
    assert linked_point(image("R-CC"), image("R-MLO"), (1, 1)) is None
    assert linked_point(image("R-CC"), image("L-CC"), (1, 1)) is None
    small = image("R-CC", size=(40, 30), qualifier="@P1")
    assert linked_point(image("R-CC"), small, (10.0, 10.0)) is None
    assert linked_point(image("R-CC"), replace(small, spacing=None), (200.0, 290.0)) is None


def test_cem07_values_are_read_from_the_exposure_that_belongs_to_the_recombined_image() -> None:
    began = datetime(2020, 1, 17, 10, 30)
    early = replace(image("R-CC", kind=ImageKind.CESM_LOW), acquired=began)
    late = replace(
        image("R-CC", kind=ImageKind.CESM_LOW, qualifier="#2"), acquired=began + timedelta(minutes=6)
    )
    recombined = replace(image("R-CC", kind=ImageKind.CESM_RECOMBINED), acquired=began + timedelta(minutes=6))
    images = (early, late, recombined)
    assert [partner_of(one, images) for one in images] == [None, recombined, late]
    same = linked_point(recombined, late, (100.0, 80.0))
    assert same is not None
    assert (same.row, same.col, same.exact) == (100.0, 80.0, True)
    other = linked_point(recombined, early, (100.0, 80.0))
    assert other is None or not other.exact


def test_cem07_partners_stored_the_other_way_round_are_not_called_the_same_pixels() -> None:
    low = image("R-CC", kind=ImageKind.CESM_LOW)
    turned = image("R-CC", kind=ImageKind.CESM_RECOMBINED, orientation=Orientation(flip_cols=True))
    place = linked_point(low, turned, (10.0, 20.0))
    assert place is not None
    assert not place.exact


@pytest.mark.parametrize(
    ("spacing", "extent", "expected"),
    [
        ((0.1, 0.1), (1500.0, 700.0), None),  # 150 x 70 mm
        ((0.1, 0.1), (3400.0, 700.0), (340.0, 70.0)),  # taller than the largest detector
        ((0.02, 0.02), (1500.0, 700.0), (30.0, 14.0)),  # smaller than any whole breast
        (None, (1500.0, 700.0), None),
        ((1.0, 1.0), None, None),  # the breast was not told: nothing speaks against the file
    ],
)
def test_beyond5_a_spacing_is_disbelieved_by_the_size_it_gives_the_breast(spacing, extent, expected) -> None:
    assert impossible_breast_mm(image("R-CC", spacing=spacing), extent) == pytest.approx(expected)


def test_beyond5_a_part_of_the_breast_may_be_as_small_as_it_likes() -> None:
    spot = replace(image("R-CC", spacing=(0.02, 0.02)), modifiers=(ViewModifier.SPOT,))
    assert impossible_breast_mm(spot, (1500.0, 700.0)) is None
    turned = image("R-CC", orientation=Orientation(transpose=True))
    assert impossible_breast_mm(turned, (700.0, 3400.0)) == pytest.approx((340.0, 70.0))
