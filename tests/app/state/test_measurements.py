"""Lengths, angles and ROI statistics, against arithmetic by hand and the standard library."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import numpy as np
import pytest

from app.state.measurements import (
    Measurement,
    MeasurementKind,
    angle_degrees,
    ellipse_mask,
    modality_value,
    roi_stats,
    ruler_length,
    shifted,
    with_point,
)
from inference.exam.types import Orientation, Presentation, Spacing, ViewImage, Voi, VoiFunction
from resources.vocabulary import ImageKind, ViewName


def image(pixels: np.ndarray, spacing: Spacing | None = None, **presentation: float) -> ViewImage:
    voi = Voi(label="", function=VoiFunction.LINEAR, center=2000, width=4000)
    return ViewImage(
        view=ViewName.parse("R-CC"),
        kind=ImageKind.FFDM,
        pixels=pixels,
        presentation=Presentation(vois=(voi,), **presentation),
        orientation=Orientation(),
        spacing=spacing,
        source_id="1",
    )


def measured(kind: MeasurementKind, *points: tuple[float, float], text: str = "") -> Measurement:
    return Measurement(measurement_id="m1", kind=kind, image_key="R-CC", points=points, text=text)


FLAT = np.zeros((40, 50), np.uint16)


def test_mg12_a_ruler_is_in_millimetres_by_row_and_column_spacing_and_names_the_method() -> None:
    # Detector 0.11 x 0.22 mm, ERMF 1.1: 0.1 x 0.2 mm in the breast plane. 30 rows = 3 mm, 20 columns = 4 mm.
    spacing = Spacing(row_mm=0.11 / 1.1, col_mm=0.22 / 1.1, method="imager spacing / ERMF")
    length = ruler_length(measured(MeasurementKind.RULER, (5, 5), (35, 25)), image(FLAT, spacing))
    assert length.value == pytest.approx(5.0)
    assert (length.unit, length.method) == ("mm", "imager spacing / ERMF")


def test_mg12_a_ruler_without_spacing_stays_in_pixels() -> None:
    length = ruler_length(measured(MeasurementKind.RULER, (5, 5), (35, 45)), image(FLAT))
    assert (length.value, length.unit, length.method) == (50.0, "px", "")


@pytest.mark.parametrize(
    ("last", "degrees"), [((10, 30), 90.0), ((10, 10), 0.0), ((30, 30), 135.0), ((50, 20), 180.0)]
)
def test_an_angle_is_that_at_its_vertex(last: tuple[float, float], degrees: float) -> None:
    arms = {
        90.0: ((0, 20), (10, 20)),
        0.0: ((10, 0), (10, 20)),
        135.0: ((10, 20), (20, 20)),
        180.0: ((10, 20), (20, 20)),
    }
    angle = measured(MeasurementKind.ANGLE, *arms[degrees], last)
    assert angle_degrees(angle, image(FLAT)) == pytest.approx(degrees, abs=1e-6)


def test_an_angle_is_in_the_breast_plane_where_pixels_are_not_square() -> None:
    # 10 rows of 0.2 mm against 10 columns of 0.1 mm: atan(2 / 1), where square pixels would give 45 degrees.
    spacing = Spacing(row_mm=0.2, col_mm=0.1, method="test")
    angle = measured(MeasurementKind.ANGLE, (20, 30), (20, 20), (30, 30))
    assert angle_degrees(angle, image(FLAT, spacing)) == pytest.approx(math.degrees(math.atan(2)))


def test_roi_statistics_equal_the_standard_librarys_over_the_pixels_inside() -> None:
    pixels = np.random.default_rng(1).integers(0, 4096, (40, 50)).astype(np.uint16)
    roi = measured(MeasurementKind.ELLIPSE, (5.3, 30.2), (28.1, 8.4))
    row, col, down, across = (5.3 + 28.1) / 2, (30.2 + 8.4) / 2, (28.1 - 5.3) / 2, (30.2 - 8.4) / 2
    inside = [
        int(pixels[r, c]) * 2.0 - 100.0
        for r in range(40)
        for c in range(50)
        if ((r + 0.5 - row) / down) ** 2 + ((c + 0.5 - col) / across) ** 2 <= 1
    ]
    found = roi_stats(
        roi, image(pixels, Spacing(row_mm=0.1, col_mm=0.2, method="m"), slope=2.0, intercept=-100.0)
    )
    assert found is not None
    assert found.pixels == len(inside)
    assert found.mean == pytest.approx(statistics.fmean(inside))
    assert found.deviation == pytest.approx(statistics.pstdev(inside))
    assert (found.lowest, found.highest) == (min(inside), max(inside))
    assert found.area.value == pytest.approx(math.pi * (down * 0.1) * (across * 0.2))
    assert (found.area.unit, found.area.method) == ("mm²", "m")


def test_roi_with_a_falling_rescale_keeps_lowest_below_highest() -> None:
    pixels = np.arange(2000, dtype=np.uint16).reshape(40, 50)
    found = roi_stats(
        measured(MeasurementKind.ELLIPSE, (0, 0), (40, 50)), image(pixels, slope=-1.0, intercept=4095.0)
    )
    assert found is not None
    assert found.lowest < found.mean < found.highest
    assert found.area.unit == "px²"


def test_an_ellipse_beside_the_picture_has_no_statistics() -> None:
    assert roi_stats(measured(MeasurementKind.ELLIPSE, (50, 60), (70, 80)), image(FLAT)) is None


def test_an_ellipse_over_the_edge_counts_only_pixels_of_the_picture() -> None:
    row, col, inside = ellipse_mask(measured(MeasurementKind.ELLIPSE, (-10, -10), (10, 10)), (40, 50))
    assert (row, col) == (0, 0)
    assert inside.shape == (10, 10)
    assert inside[0, 0]
    assert not inside[9, 9]


def test_the_value_under_a_point_is_the_pixel_that_covers_it() -> None:
    pixels = np.arange(2000, dtype=np.uint16).reshape(40, 50)
    assert modality_value(image(pixels), 3.99, 7.01) == pixels[3, 7]
    assert modality_value(image(pixels), 40.0, 7.0) is None
    assert modality_value(image(pixels), 3.0, -0.1) is None


def test_a_measurement_refuses_a_wrong_number_of_points_and_points_that_are_nowhere() -> None:
    with pytest.raises(ValueError, match="expected 2 points, found 1"):
        measured(MeasurementKind.RULER, (1, 1))
    with pytest.raises(ValueError, match="finite"):
        measured(MeasurementKind.NIPPLE, (float("nan"), 1))


def test_handles_and_whole_measurements_move_by_stored_pixels() -> None:
    ruler = measured(MeasurementKind.RULER, (1, 2), (3, 4))
    assert with_point(ruler, 1, (9, 9)).points == ((1, 2), (9, 9))
    assert shifted(ruler, 10, -1).points == ((11, 1), (13, 3))
    assert replace(ruler, text="x").points == ruler.points
