"""Outlines from boxes: on drawn discs, on phantoms against the ellipse, and how Dice is counted."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Box, Orientation, Presentation, Spacing, ViewImage, Voi, VoiFunction
from inference.outlines import METHODS, outline_of
from inference.training.places_outlines import dice, dice_by_finding, drawn_by
from resources.vocabulary import FindingType, ImageKind, Laterality, Pathology, Projection, ViewName


def _picture(pixels: np.ndarray) -> ViewImage:
    voi = Voi(label="all", function=VoiFunction.LINEAR_EXACT, center=2047.5, width=4095.0)
    return ViewImage(
        view=ViewName(Laterality.LEFT, Projection.CC),
        kind=ImageKind.FFDM,
        pixels=pixels.astype(np.uint16),
        presentation=Presentation(vois=(voi,)),
        orientation=Orientation(),
        spacing=Spacing(row_mm=0.1, col_mm=0.1, method="made"),
        source_id="drawn",
    )


def _disc(noise: float = 60.0) -> ViewImage:
    """A disc of 8 mm radius about (300, 320), brighter by 1000 of 4095."""
    canvas = np.full((600, 600), 1500.0, np.float32)
    cv2.circle(canvas, (320, 300), 80, (2500.0,), -1)
    canvas = cv2.GaussianBlur(canvas, (0, 0), 4.0)
    return _picture(np.clip(canvas + np.random.default_rng(0).normal(0, noise, canvas.shape), 0, 4095))


CIRCLE = [(300 + 80 * np.sin(t), 320 + 80 * np.cos(t)) for t in np.linspace(0, 2 * np.pi, 90)]


def test_dice_of_squares_is_as_worked_by_hand() -> None:
    square = np.array([[0, 0], [0, 10], [10, 10], [10, 0]], float)
    assert dice(square, square) == pytest.approx(1.0)
    assert dice(square, square + np.array([0, 5])) == pytest.approx(0.5, abs=0.02)  # 2 * 50 / 200
    assert dice(square, square + np.array([0, 20])) == 0.0


@pytest.mark.parametrize("method", ["edge path", "level set", "GrabCut"])
def test_a_disc_in_a_box_that_is_off_is_outlined_better_than_by_the_ellipse(method: str) -> None:
    image, box = _disc(), Box(row0=230, col0=225, row1=395, col1=385)  # the true box is 220..380, 240..400
    by_ellipse = dice(outline_of(image, box, FindingType.MASS, "ellipse"), np.array(CIRCLE))
    by_method = dice(outline_of(image, box, FindingType.MASS, method), np.array(CIRCLE))
    assert by_method > max(by_ellipse, 0.93)


def test_every_method_gives_a_closed_line_inside_the_picture_even_of_a_blank_one() -> None:
    blank, box = _picture(np.full((300, 300), 900)), Box(row0=-5.0, col0=200.0, row1=90.0, col1=320.0)
    inside = Box(row0=0.0, col0=200.0, row1=90.0, col1=300.0)
    for method in METHODS:
        for asked in (inside, box):
            line = np.array(outline_of(blank, asked, None, method))
            assert len(line) >= 3
            assert line.min() >= 0
            assert line.max() <= 300


def test_spots_are_enclosed_by_the_hull_and_a_far_one_is_not() -> None:
    canvas = np.full((400, 400), 1500.0, np.float32)
    spots = [(150, 150), (150, 230), (220, 160), (230, 235), (190, 190)]
    for row, col in spots:
        cv2.circle(canvas, (col, row), 2, (3500.0,), -1)
    cv2.circle(canvas, (380, 20), 2, (3500.0,), -1)
    image = _picture(canvas + np.random.default_rng(1).normal(0, 40, canvas.shape))
    line = np.array(outline_of(image, Box(row0=140, col0=140, row1=245, col1=245), FindingType.CALCIFICATION))
    for row, col in spots:
        assert cv2.pointPolygonTest(line[:, ::-1].astype(np.float32), (col + 0.5, row + 0.5), False) >= 0
    assert line[:, 1].max() < 270


def test_on_phantoms_the_chosen_methods_are_no_worse_than_the_ellipse_and_better_for_masses() -> None:
    exams = [
        phantom_exam(
            PhantomSpec(seed=9_300_000 + k, pixel_mm=0.2, lesions=2, finding=finding, pathology=state)
        )
        for k, (finding, state) in enumerate(
            (f, s)
            for f in (FindingType.MASS, FindingType.CALCIFICATION)
            for s in (Pathology.MALIGNANT, Pathology.BENIGN)
        )
    ]
    found = dice_by_finding(
        exams, {"chosen": drawn_by(None), "ellipse": drawn_by("ellipse")}, np.random.default_rng(2)
    )
    for finding in ("mass", "calcification"):
        assert np.mean(found["chosen"][finding]) > np.mean(found["ellipse"][finding])


def test_an_outline_does_not_depend_on_how_the_file_is_turned() -> None:
    image, box = _disc(), Box(row0=230, col0=225, row1=395, col1=385)
    turned = replace(image, orientation=Orientation(flip_cols=True))
    assert outline_of(image, box, FindingType.MASS) == outline_of(turned, box, FindingType.MASS)
