"""Detector spacing x magnification x detectors: millimetres, same size, actual and true size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from app.state.annotation import annotation
from app.state.display import Change, Operation, Pyramid, ViewportState, ZoomMode, plan_crop, warp
from app.state.geometry import geometry_of
from app.state.operations import applied
from app.state.sizing import breast_extent, same_size_scale
from inference.exam.dicom import load_view
from inference.exam.types import Exam


@pytest.mark.parametrize(("spacing", "factor"), list(itertools.product((0.05, 0.07, 0.1), (1.0, 1.08, 1.8))))
def test_mg12_spacing_is_imager_spacing_over_the_magnification_and_never_pixel_spacing(
    suite, spacing, factor
):
    path, _ = suite.view(
        ImagerPixelSpacing=[spacing, spacing],
        EstimatedRadiographicMagnificationFactor=factor,
        PixelSpacing=[0.5, 0.5],
    )
    found = load_view(path).spacing
    assert found is not None
    assert (found.row_mm, found.col_mm) == pytest.approx((spacing / factor, spacing / factor), rel=1e-6)
    assert "ERMF" in found.method


@pytest.mark.parametrize("turn_index", range(8))
def test_mg12_oblong_pixels_keep_their_millimetres_in_every_orientation(suite, turn_index):
    path, _ = suite.view(turn=suite.turns[turn_index], ImagerPixelSpacing=[0.1, 0.2])
    geometry = geometry_of(load_view(path))
    start, end = (10.0, 10.0), (13.0, 14.0)  # 3 rows of 0.1 mm and 4 columns of 0.2 mm
    assert geometry.distance_mm(start, end) == pytest.approx((0.3**2 + 0.8**2) ** 0.5)


def test_mg12_oblong_pixels_are_flagged_because_the_picture_is_drawn_with_square_ones(suite):
    for spacing, told in (([0.1, 0.1], False), ([0.1, 0.1002], False), ([0.1, 0.2], True)):
        path, _ = suite.view(ImagerPixelSpacing=spacing)
        image = load_view(path)
        words = annotation(
            image, Exam(exam_id="E", images=(image,), digest="0"), blinded=True, technique=False
        )
        assert ("PIXELS NOT SQUARE" in words.flags) is told


def test_mg09_a_centimetre_is_as_long_in_every_viewport_whatever_the_detector(suite):
    images = []
    for k, (side, spacing, factor) in enumerate((("R", 0.1, 1.0), ("L", 0.05, 1.0), ("R", 0.07, 1.1))):
        scale = round(0.1 / spacing * 96), round(0.1 / spacing * 72)
        path, _ = suite.view(
            side, ("MLO", "MLO", "CC")[k], name=f"{k}.dcm", pixels=suite.picture(side, *scale),
            ImagerPixelSpacing=[spacing, spacing], EstimatedRadiographicMagnificationFactor=factor,
        )  # fmt: skip
        images.append(load_view(path))
    extents = {image.key: breast_extent(image, Pyramid(image.pixels)) for image in images}
    same = same_size_scale(images, extents, dict.fromkeys(extents, (800, 600)))
    per_mm = {image.key: same.scales[image.key] / image.spacing.row_mm for image in images if image.spacing}
    assert len(per_mm) == 3
    assert max(per_mm.values()) == pytest.approx(min(per_mm.values()))


def test_mg10_true_size_needs_the_monitors_pitch_and_then_is_exact(suite):
    path, _ = suite.view(ImagerPixelSpacing=[0.1, 0.1], EstimatedRadiographicMagnificationFactor=1.0)
    image, true = load_view(path), Operation(change=Change.TRUE)
    state = ViewportState(image_key=image.key, scale=0.5)
    shown = applied(state, true, image, height=400, width=300, pitch_mm=0.2)
    assert (shown.scale, shown.zoom_mode) == (pytest.approx(0.5), ZoomMode.TRUE)  # 0.1 mm on 0.2 mm pixels
    assert applied(state, true, image, height=400, width=300, pitch_mm=None) == state
    path, _ = suite.view(ImagerPixelSpacing=[0.1, 0.2])
    assert (
        applied(state, true, load_view(path), height=400, width=300, pitch_mm=0.2) == state
    )  # never nearly true


def test_mg11_actual_pixels_are_the_files_pixels_one_to_one(suite):
    for turn in suite.turns:
        path, picture = suite.view("L", "MLO", turn)
        image = load_view(path)
        pyramid = Pyramid(image.pixels)
        state = ViewportState(image_key=image.key)
        shown = applied(state, Operation(change=Change.ACTUAL), image, height=96, width=72)
        assert (shown.scale, shown.zoom_mode) == (1.0, ZoomMode.ACTUAL)
        crop = plan_crop(geometry_of(image), pyramid, scale=1.0, top=0, left=0, height=96, width=72)
        assert crop is not None
        assert np.array_equal(warp(pyramid, crop), picture), turn.name


def test_mg14_fine_lines_do_not_alias_when_made_small(suite):
    lines = np.zeros((960, 720), np.uint16)
    lines[:, ::2] = 4000
    path, _ = suite.view("L", "MLO", pixels=lines)
    image = load_view(path)
    crop = plan_crop(
        geometry_of(image), Pyramid(image.pixels), scale=0.13, top=0, left=0, height=120, width=90
    )
    assert crop is not None
    small = warp(Pyramid(image.pixels), crop)[5:-5, 5:-5]
    assert abs(float(small.mean()) - 2000) < 40
    assert float(small.std()) < 60  # nearest-neighbour or unfiltered bilinear sampling gives > 1000
