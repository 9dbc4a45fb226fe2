"""Grayscale attributes and VOI formulas against values worked by hand from PS3.3."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.pixels.processing import apply_voi_lut

from inference.exam.dicom import load_view
from inference.exam.grayscale import apply_voi, default_voi, presentation_of
from inference.exam.types import Voi, VoiFunction

AIR = np.zeros((40, 40), np.uint16)


def test_mg15_linear_window_follows_the_standards_formula():
    voi = Voi(label="", function=VoiFunction.LINEAR, center=2048, width=4096)
    x = np.array([-1, 0, 2047.5, 4095, 5000])
    assert apply_voi(x, voi, 255) == pytest.approx([0, 0, ((2047.5 - 2047.5) / 4095 + 0.5) * 255, 255, 255])
    narrow = Voi(label="", function=VoiFunction.LINEAR, center=100, width=1)
    assert apply_voi(np.array([99, 99.5, 99.6]), narrow).tolist() == [0, 0, 1]


def test_mg15_linear_exact_and_sigmoid_follow_their_formulas():
    exact = Voi(label="", function=VoiFunction.LINEAR_EXACT, center=100, width=50)
    assert apply_voi(np.array([75, 100, 110, 125]), exact) == pytest.approx([0, 0.5, 0.7, 1])
    sigmoid = Voi(label="", function=VoiFunction.SIGMOID, center=3415, width=900)
    assert apply_voi(np.array([3415, 3640, 0]), sigmoid) == pytest.approx(
        [0.5, 1 / (1 + math.exp(-1)), 0], abs=1e-6
    )


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_mg15_windows_agree_with_pydicom(header, function):
    ds = header(WindowCenter=900, WindowWidth=1100, VOILUTFunction=function, BitsStored=12)
    values = np.arange(4096, dtype=np.uint16)
    voi = presentation_of(ds, AIR).vois[0]
    assert voi.function == function
    expected = apply_voi_lut(values, ds, index=0)
    assert apply_voi(values, voi, 4095) == pytest.approx(expected, abs=1.0)


def test_mg15_absent_function_means_linear(header):
    assert presentation_of(header(WindowCenter=5, WindowWidth=9), AIR).vois[0].function is VoiFunction.LINEAR


def _lut(data: object, vr: str, descriptor: list[int], text: str) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if min(descriptor) < 0 else "US", descriptor)
    item.add_new("LUTExplanation", "LO", text)
    item.add_new("LUTData", vr, data)
    return item


def test_mg16_tables_read_as_ow_and_us_and_clamp_outside(header):
    table = [0, 100, 200, 4095]
    for data, vr in ((table, "US"), (np.array(table, "<u2").tobytes(), "OW")):
        ds = header(VOILUTSequence=[_lut(data, vr, [4, 10, 12], "HARDER")])
        voi = presentation_of(ds, AIR).vois[0]
        assert (voi.label, voi.first_value, voi.table_bits) == ("HARDER", 10, 12)
        assert apply_voi(np.array([0, 10, 11, 13, 99]), voi, 4095) == pytest.approx([0, 0, 100, 4095, 4095])


def test_mg16_zero_entries_mean_65536_and_first_value_can_be_signed(header):
    table = np.arange(65536, dtype="<u2").tobytes()
    ds = header(VOILUTSequence=[_lut(table, "OW", [0, -32768, 16], "")], PixelRepresentation=1)
    voi = presentation_of(ds, AIR, stored_offset=-2048).vois[0]
    assert voi.table is not None
    assert (len(voi.table), voi.first_value) == (65536, -32768)
    assert apply_voi(np.array([0]), voi, 65535)[0] == 32768


def test_mg17_every_alternative_is_kept_with_its_name(header):
    ds = header(
        WindowCenter=[3415, 3463, 3337], WindowWidth=[900, 750, 1050], VOILUTFunction="SIGMOID",
        WindowCenterWidthExplanation=["NORMAL", "HARDER", "SOFTER"],
        VOILUTSequence=[_lut([0, 1], "US", [2, 0, 12], "TABLE A")],
    )  # fmt: skip
    vois = presentation_of(ds, AIR).vois
    assert [v.label for v in vois] == ["NORMAL", "HARDER", "SOFTER", "TABLE A"]
    assert [v.center for v in vois[:3]] == [3415, 3463, 3337]


def test_mg17_unusable_window_is_passed_over_and_pixels_give_a_default(header, breast):
    pixels = breast()
    voi = presentation_of(header(WindowCenter=100, WindowWidth=0), pixels).vois[0]
    assert "Default" in voi.label
    shown = apply_voi(pixels, voi)
    assert shown[pixels > 0].max() == 1
    assert shown[pixels == 0].max() == 0


def test_mg18_padding_range_is_given_in_pixel_units(header):
    assert presentation_of(header(PixelPaddingValue=0, PixelPaddingRangeLimit=30), AIR).padding == (0, 30)
    signed = header(PixelRepresentation=1)
    signed.add_new("PixelPaddingValue", "US", 65536 - 2000)
    assert presentation_of(signed, AIR, stored_offset=-2048).padding == (48, 48)


def test_mg18_padding_is_left_out_of_the_automatic_window():
    pixels = np.zeros((100, 100), np.uint16)
    pixels[:, 50:] = np.linspace(1000, 2000, 5000).reshape(100, 50).astype(np.uint16)
    pixels[:, :40] = 30
    voi = default_voi(pixels, (0, 30))
    assert voi.center - voi.width / 2 > 900


def test_mg18_undeclared_constant_air_is_found_and_textured_film_is_not(header, breast):
    assert presentation_of(header(), breast()).padding == (0, 0)
    film = np.random.default_rng(1).integers(100, 4000, (90, 90)).astype(np.uint16)
    assert presentation_of(header(), film).padding is None


@pytest.mark.parametrize(("photometric", "shape", "inverse"), [
    ("MONOCHROME1", None, True), ("MONOCHROME2", "INVERSE", True), ("MONOCHROME2", "IDENTITY", False),
    ("MONOCHROME2", None, False), ("MONOCHROME1", "INVERSE", True),
])  # fmt: skip
def test_mg19_inversion_comes_from_photometric_interpretation_or_shape(header, photometric, shape, inverse):
    ds = header(PhotometricInterpretation=photometric, PresentationLUTShape=shape)
    assert presentation_of(ds, AIR).inverse is inverse


def test_modality_lut_is_applied_to_the_pixels(header, file_of):
    stored = np.tile(np.array([0, 1, 2, 3], np.uint16), (8, 4))
    lut = _lut([50, 40, 30, 20], "US", [4, 0, 12], "")
    lut.add_new("ModalityLUTType", "LO", "US")
    view = load_view(file_of(header(ModalityLUTSequence=[lut]), stored))
    assert view.pixels[0, :4].tolist() == [50, 40, 30, 20]
    assert (view.presentation.slope, view.presentation.intercept) == (1, 0)


def test_default_window_is_in_modality_units(header):
    pixels = np.random.default_rng(3).integers(0, 4000, (90, 90)).astype(np.uint16)
    voi = presentation_of(header(RescaleSlope=2, RescaleIntercept=-100), pixels).vois[0]
    low, high = np.percentile(pixels, (1, 99.8))
    assert voi.center == pytest.approx((low + high) - 100, rel=0.02)
    assert voi.width == pytest.approx((high - low) * 2, rel=0.02)
