"""Greys against pydicom, sampling against numpy."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_voi_lut

from app.state.display import (
    BLACK,
    Change,
    Operation,
    Pyramid,
    ViewportState,
    ZoomMode,
    air_range,
    auto_window,
    compose_lut,
    plan_crop,
    to_grey,
    warp,
    window_of,
)
from app.state.geometry import ViewGeometry, geometry_of
from app.state.gsdf import DisplayTable, identity_table
from app.state.operations import applied
from app.state.sizing import breast_extent, fitted, placed, same_size_scale, wall_inset
from inference.exam.types import Orientation, Presentation, Spacing, ViewImage, Voi, VoiFunction
from resources.vocabulary import ImageKind, ViewName

VALUES = np.arange(4096)


def _voi(function: VoiFunction, center: float = 1800, width: float = 1200) -> Voi:
    return Voi(label="test", function=function, center=center, width=width)


def _greys(presentation: Presentation, **more: object) -> np.ndarray:
    table = compose_lut(presentation, value_range=(0, 4095), **more)  # type: ignore[arg-type]
    return (table[:4096] & 0xFF).astype(int)


def _image(
    key: str = "R-CC", *, padding: tuple[int, int] | None = (0, 0), mm: float | None = 0.1
) -> ViewImage:
    """A half disc of tissue against the chest wall, air elsewhere."""
    rows, cols = np.mgrid[0:600, 0:400]
    radius = np.hypot((rows - 300) / 200, cols / 250)
    pixels = np.where(radius < 1, 1000 + (1 - radius) * 2000, 0).astype(np.uint16)
    if key.startswith("R"):
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    return ViewImage(
        view=ViewName.parse(key),
        kind=ImageKind.FFDM,
        pixels=pixels,
        presentation=Presentation(vois=(_voi(VoiFunction.LINEAR, 1500, 3000),), padding=padding),
        orientation=Orientation(),
        spacing=None if mm is None else Spacing(row_mm=mm, col_mm=mm, method="test"),
        source_id=key,
    )


@pytest.mark.parametrize("function", [VoiFunction.LINEAR, VoiFunction.LINEAR_EXACT, VoiFunction.SIGMOID])
@pytest.mark.parametrize(("center", "width"), [(1800, 1200), (400.5, 70), (2048, 30.5)])
def test_mg15_windows_agree_with_pydicom(function: VoiFunction, center: float, width: float) -> None:
    header = Dataset()
    header.WindowCenter, header.WindowWidth = center, width
    header.VOILUTFunction = function.value
    header.BitsStored, header.PixelRepresentation = 12, 0
    header.PhotometricInterpretation = "MONOCHROME2"
    theirs = apply_voi_lut(VALUES.astype(np.uint16), header, prefer_lut=False) / 4095.0 * 255.0
    ours = _greys(Presentation(vois=(_voi(function, center, width),)))
    assert np.abs(ours - theirs).max() <= 0.5 + 1e-6


def test_mg16_a_voi_table_agrees_with_pydicom() -> None:
    entries = (np.sqrt(np.linspace(0, 1, 1000)) * 4095).astype(np.uint16)
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [1000, 500, 12], entries.tolist()
    header = Dataset()
    header.VOILUTSequence = [item]
    header.BitsStored, header.PixelRepresentation = 12, 0
    theirs = apply_voi_lut(VALUES.astype(np.uint16), header) / 4095.0 * 255.0
    voi = Voi(label="t", function=VoiFunction.TABLE, first_value=500, table=entries, table_bits=12)
    assert np.abs(_greys(Presentation(vois=(voi,))) - theirs).max() <= 0.5 + 1e-6


def test_mg19_inversion_comes_after_the_window_and_twice_is_none() -> None:
    plain = Presentation(vois=(_voi(VoiFunction.SIGMOID),))
    assert np.array_equal(_greys(replace(plain, inverse=True)), 255 - _greys(plain))
    assert np.array_equal(_greys(plain, inverted=True), 255 - _greys(plain))
    assert np.array_equal(_greys(replace(plain, inverse=True), inverted=True), _greys(plain))


def test_rescale_and_offset_come_before_the_window() -> None:
    shown = Presentation(
        vois=(_voi(VoiFunction.LINEAR_EXACT, 0, 200),), slope=2.0, intercept=-100, stored_offset=-50
    )
    greys = _greys(shown)
    assert greys[50] == 0  # (50 - 50) * 2 - 100 = -100, the lower end
    assert greys[150] == 255
    assert greys[100] in {127, 128}


def test_mg18_air_stays_black_under_window_and_inversion() -> None:
    shown = Presentation(vois=(_voi(VoiFunction.LINEAR),), padding=(10, 20))
    for inverted, center in itertools.product((False, True), (None, -500.0, 9000.0)):
        table = compose_lut(shown, inverted=inverted, center=center)
        assert set(table[10:21]) == {BLACK}
    assert compose_lut(shown, inverted=True)[9] != BLACK


@pytest.mark.parametrize("scale", [0.4, 0.83, 2.7])
def test_mg18_no_rim_lights_up_between_tissue_and_air_when_inverted(scale: float) -> None:
    image = _image()
    pyramid = Pyramid(image.pixels)
    crop = plan_crop(geometry_of(image), pyramid, scale=scale, top=0, left=0, height=900, width=600)
    assert crop is not None
    values = warp(pyramid, crop, air=(0, 0))
    assert not ((values > 0) & (values < 900)).any()
    assert (
        (warp(pyramid, crop) > 0) & (warp(pyramid, crop) < 900)
    ).any()  # the rim is there without the rule


def test_mg18_a_speck_of_the_air_value_inside_tissue_does_not_turn_black_when_inverted() -> None:
    pixels = _image("L-CC").pixels.copy()
    pixels[300:303, 60:63] = 0
    pyramid = Pyramid(pixels)
    geometry = ViewGeometry(rows=600, cols=400)
    crop = plan_crop(geometry, pyramid, scale=1.0, top=0, left=0, height=600, width=400)
    assert crop is not None
    values = warp(pyramid, crop, air=(0, 0))
    assert (values[300:303, 60:63] == 1).all()
    assert values[5, 5] == 0


def test_mg18_air_is_told_without_padding_and_left_out_of_the_auto_window() -> None:
    image = _image(padding=None)
    air = air_range(image)
    assert air == (0, 0)
    center, width = auto_window(image, air)
    assert center - width / 2 > 900
    assert auto_window(image, None)[0] < center


@pytest.mark.parametrize("flips", list(itertools.product((False, True), repeat=3)))
def test_mg11_actual_pixels_are_the_stored_values_in_every_orientation(
    flips: tuple[bool, bool, bool],
) -> None:
    rng = np.random.default_rng(7)
    pixels = rng.integers(0, 4096, (300, 420)).astype(np.uint16)
    orientation = Orientation(transpose=flips[0], flip_rows=flips[1], flip_cols=flips[2])
    geometry = ViewGeometry(rows=300, cols=420, orientation=orientation)
    pyramid = Pyramid(pixels)
    crop = plan_crop(geometry, pyramid, scale=1.0, top=-20, left=-30, height=200, width=150)
    assert crop is not None
    assert np.array_equal(warp(pyramid, crop), geometry.orient(pixels)[20:220, 30:180])


def test_mg14_a_fine_grating_does_not_alias_when_made_small() -> None:
    pixels = np.tile(np.array([0, 4000], np.uint16), (1024, 512))
    pyramid = Pyramid(pixels)
    for scale in (0.11, 0.2, 0.3, 0.4):
        side = int(1024 * scale)
        crop = plan_crop(
            ViewGeometry(rows=1024, cols=1024), pyramid, scale=scale, top=0, left=0, height=side, width=side
        )
        assert crop is not None
        assert np.ptp(warp(pyramid, crop).astype(int)) <= 2


def test_table_lookup_is_exact() -> None:
    values = np.random.default_rng(1).integers(0, 65536, (50, 70)).astype(np.uint16)
    table = np.random.default_rng(2).integers(0, 2**32, 65536, dtype=np.uint64).astype(np.uint32)
    assert np.array_equal(to_grey(values, table).view(np.uint32), table[values])


def test_mg09_one_mm_is_as_many_screen_pixels_in_every_viewport() -> None:
    images = [_image("R-CC", mm=0.1), _image("L-CC", mm=0.05)]
    extents = {image.key: breast_extent(image, Pyramid(image.pixels), (0, 0)) for image in images}
    same = same_size_scale(images, extents, {image.key: (500, 400) for image in images})
    assert same.scales["R-CC"] / 0.1 == pytest.approx(same.scales["L-CC"] / 0.05)
    assert same.mm_per_px == pytest.approx(0.1 / same.scales["R-CC"])


def test_mg09_estimated_size_says_so() -> None:
    images = [_image("R-CC", mm=0.1), _image("L-CC", mm=None)]
    extents = {image.key: breast_extent(image, Pyramid(image.pixels), (0, 0)) for image in images}
    same = same_size_scale(images, extents, {image.key: (500, 400) for image in images})
    assert same.mm_per_px is None
    assert "estimated from breast extent: L CC" in same.reason


def test_the_breast_is_found_within_a_few_percent() -> None:
    extent = breast_extent(_image("L-CC"), Pyramid(_image("L-CC").pixels), (0, 0))
    assert extent.row0 == pytest.approx(100, abs=12)
    assert extent.row1 == pytest.approx(500, abs=12)
    assert extent.col1 == pytest.approx(250, abs=12)


def test_mg06_chest_walls_lie_on_the_inner_edges() -> None:
    right, left = _image("R-MLO"), _image("L-MLO")
    for image, edge in ((right, 400.0), (left, 0.0)):
        state = fitted(ViewportState(), image, height=300, width=900)
        half = 900 / state.scale / 2
        assert state.pan_col + (half if image is right else -half) == pytest.approx(edge)
        assert state.pan_row - 300 / state.scale / 2 == pytest.approx(0)  # the axilla at the top


def test_mg06_columns_of_nothing_but_air_at_the_chest_wall_are_left_outside() -> None:
    image = _image("L-CC")
    shifted = replace(image, pixels=np.ascontiguousarray(np.roll(image.pixels, 64, axis=1)))
    inset = wall_inset(shifted, Pyramid(shifted.pixels), (0, 0))
    assert 56 <= inset <= 64  # never cuts tissue
    assert wall_inset(image, Pyramid(image.pixels), (0, 0)) == 0
    state = placed(
        ViewportState(), shifted, height=300, width=300, scale=1.0, mode=ZoomMode.SAME, inset=inset
    )
    assert state.pan_col - 150 == inset


def test_mg21_linked_windows_move_relative_to_their_own_width() -> None:
    image = _image()
    other = replace(image, presentation=Presentation(vois=(_voi(VoiFunction.LINEAR, 100, 50),)))
    operation = Operation(change=Change.WINDOW, first=0.1, second=0.2)
    for item, center, width in ((image, 1500 + 300, 3600), (other, 105, 60)):
        state = applied(ViewportState(), operation, item, height=10, width=10)
        assert window_of(item.presentation, state) == pytest.approx((center, width))


def test_mg17_reset_returns_to_the_files_own_window() -> None:
    image = _image()
    state = ViewportState(center=3.0, width=9.0, inverted=True, flipped_h=True)
    back = applied(state, Operation(change=Change.RESET), image, height=10, width=10)
    assert window_of(image.presentation, back) == (1500, 3000)
    assert not back.inverted
    assert not back.flipped_h


def test_mg10_true_size_needs_a_calibrated_monitor() -> None:
    state, true = ViewportState(), Operation(change=Change.TRUE)
    assert applied(state, true, _image(), height=9, width=9) == state
    assert applied(state, true, _image(mm=0.1), height=9, width=9, pitch_mm=0.2).scale == pytest.approx(0.5)


def test_mg20_the_table_of_the_monitor_comes_last_in_the_grey_table() -> None:
    levels = np.array([5, 9, 30, 200], dtype=np.uint16)
    presentation = Presentation(vois=(_voi(VoiFunction.LINEAR, 2.0, 4.0),))
    display = DisplayTable(levels=levels)
    table = compose_lut(presentation, value_range=(0, 4), display=display)
    # LINEAR, c = 2, w = 4: (x - 1.5) / 3 + 0.5 takes 0, 1, 2, 3 to 0, 1/3, 2/3, 1 (PS3.3 C.11.2.1.2.1).
    assert [int(v) & 0xFF for v in table[:5]] == [5, 9, 30, 200, 200]
    flipped = compose_lut(presentation, value_range=(0, 4), inverted=True, air=(0, 0), display=display)
    assert int(flipped[4]) & 0xFF == 5
    assert int(flipped[0]) & 0xFF == 5  # air keeps the lowest driving level of this monitor (MG-18)


def test_mg20_a_ten_bit_surface_gets_1024_greys() -> None:
    presentation = Presentation(vois=(_voi(VoiFunction.LINEAR, 512.0, 1024.0),))
    table = compose_lut(presentation, value_range=(0, 1023), display=identity_table(10))
    assert len(np.unique(table)) == 1024
    red, green, blue = (table >> 20) & 0x3FF, (table >> 10) & 0x3FF, table & 0x3FF
    assert np.array_equal(red, green)
    assert np.array_equal(green, blue)
    assert (int(blue[0]), int(blue[1023])) == (0, 1023)
