"""VOI x padding x photometric x bits: our greys against pydicom's windowing and dcmtk's renderer."""

from __future__ import annotations

import itertools
import subprocess

import cv2
import numpy as np
import pytest
from pydicom import DataElement, dcmread
from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing

from app.state.display import compose_lut
from inference.exam.dicom import load_view
from inference.exam.types import ExamError

WINDOWS = ((2048, 4096), (1500, 1200), (900, 300), (3000, 2), (2047.5, 1))


def ours(path, *, voi_index=0, inverted=False, air=(1, 0)):
    """8-bit greys as the screen gets them; ``air`` empty = no padding rule, to compare with renderers that have none."""
    image = load_view(path)
    table = compose_lut(
        image.presentation,
        voi_index=voi_index,
        inverted=inverted,
        air=air,
        value_range=(int(image.pixels.min()), int(image.pixels.max())),
    )
    return (table[image.pixels] & 0xFF).astype(int)


def dcmtk(path, *options):
    """The same picture by dcmtk's dcm2pnm, an independent implementation."""
    target = path.with_suffix(".pgm")
    done = subprocess.run(
        ["dcm2pnm", *options, "+op", str(path), str(target)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return cv2.imread(str(target), cv2.IMREAD_UNCHANGED).astype(int)


def by_pydicom(path, index=0):
    ds = dcmread(path)
    return np.rint(
        np.asarray(apply_windowing(apply_modality_lut(ds.pixel_array, ds), ds, index), dtype=float)
    )


@pytest.mark.parametrize(
    ("function", "window"), list(itertools.product(("LINEAR", "LINEAR_EXACT", "SIGMOID", None), WINDOWS[:3]))
)
def test_mg15_every_function_gives_pydicoms_greys(suite, function, window):
    path, _ = suite.view(WindowCenter=window[0], WindowWidth=window[1], VOILUTFunction=function)
    ds = dcmread(path)
    wide = np.asarray(apply_windowing(ds.pixel_array, ds), dtype=float)
    top = float(2**ds.BitsStored - 1)
    assert np.abs(ours(path) - wide / top * 255).max() <= 0.51


@pytest.mark.parametrize(
    ("window", "slope", "intercept"), list(itertools.product(WINDOWS, (1, 2), (0, -1000)))
)
def test_mg15_linear_windows_give_dcmtks_greys_after_rescale(suite, window, slope, intercept):
    center = window[0] * slope + intercept
    path, _ = suite.view(
        WindowCenter=center, WindowWidth=max(1, window[1] * slope), RescaleSlope=slope, RescaleIntercept=intercept,
        RescaleType="US",
    )  # fmt: skip
    assert np.abs(ours(path) - dcmtk(path, "+Wi", "1")).max() <= 1


@pytest.mark.parametrize("window", WINDOWS[:3])
def test_mg15_sigmoid_gives_dcmtks_greys(suite, window):
    path, _ = suite.view(WindowCenter=window[0], WindowWidth=window[1], VOILUTFunction="SIGMOID")
    assert np.abs(ours(path) - dcmtk(path, "+Wi", "1", "+Wfs")).max() <= 1


def _table_item(suite, label, entries, first, bits, vr):
    item = type(suite.header())()
    item.LUTDescriptor = [len(entries), first, bits]
    item.LUTExplanation = label
    data = np.asarray(entries, dtype="<u2")
    if vr == "US":
        item.add_new(0x00283006, "US", [int(v) for v in data])
    else:
        item.add_new(0x00283006, "OW", data.tobytes())
    return item


@pytest.mark.parametrize(
    ("vr", "bits", "first"), list(itertools.product(("OW", "US"), (8, 10, 12, 16), (0, 500)))
)
def test_mg16_tables_give_pydicoms_greys(suite, vr, bits, first):
    top = 2**bits - 1
    entries = np.rint(np.linspace(0, 1, 3000) ** 0.6 * top).astype(int)
    item = _table_item(suite, "CURVE", entries, first, bits, vr)
    path, _ = suite.view(VOILUTSequence=[item], WindowCenter=None, WindowWidth=None)
    ds = dcmread(path)
    # PS3.3 C.11.2.1.1: values below the first take the first entry, values beyond the last the last
    wanted = entries[np.clip(ds.pixel_array.astype(int) - first, 0, len(entries) - 1)] / top * 255
    assert np.abs(ours(path) - wanted).max() <= 0.51
    if bits > 8:  # pydicom 3.0.2 keeps the index in 8 bits with an 8-bit table and so wraps it
        by_library = np.asarray(apply_voi(ds.pixel_array, ds), dtype=float) / top * 255
        assert np.abs(ours(path) - by_library).max() <= 0.51
    assert np.abs(ours(path) - dcmtk(path, "+Wl", "1")).max() <= 1


def test_mg17_all_alternatives_are_selectable_by_name(suite):
    item = _table_item(suite, "HARDER", np.arange(4096) // 2, 0, 12, "OW")
    path, _ = suite.view(
        VOILUTSequence=[item],
        WindowCenter=[2048, 1500, 1000],
        WindowWidth=[4096, 2000, 800],
        WindowCenterWidthExplanation=["NORMAL", "HARDER WIN", "SOFTER"],
    )
    image = load_view(path)
    labels = [voi.label for voi in image.presentation.vois]
    assert {"NORMAL", "HARDER WIN", "SOFTER", "HARDER"} <= set(labels)
    for index in range(3):
        at = labels.index(("NORMAL", "HARDER WIN", "SOFTER")[index])
        wanted = by_pydicom(path, index) / 4095 * 255
        assert np.abs(ours(path, voi_index=at) - wanted).max() <= 0.6


@pytest.mark.parametrize(
    ("photometric", "shape"),
    [("MONOCHROME2", "IDENTITY"), ("MONOCHROME1", "INVERSE"), ("MONOCHROME1", None), ("MONOCHROME2", None)],
)
def test_mg19_inversion_comes_after_the_voi_as_dcmtk_has_it(suite, photometric, shape):
    path, _ = suite.view(
        PhotometricInterpretation=photometric, PresentationLUTShape=shape, WindowCenter=1500, WindowWidth=1200
    )
    assert np.abs(ours(path) - dcmtk(path, "+Wi", "1")).max() <= 1


@pytest.mark.parametrize(("bits", "signed"), list(itertools.product((8, 10, 12, 14, 16), (False, True))))
def test_mg15_all_depths_and_signed_pixels_give_dcmtks_greys(suite, bits, signed):
    picture = suite.picture("R", bits=bits)
    middle, allocated = 1 << (bits - 1), 8 if bits == 8 else 16
    stored = picture.astype(np.int64) - (middle if signed else 0)
    kind = {8: "1", 16: "2"}[allocated]
    path, _ = suite.view(
        pixels=stored.astype(("<i" if signed else "<u") + kind),
        BitsAllocated=allocated, BitsStored=bits, HighBit=bits - 1, PixelRepresentation=int(signed),
        WindowCenter=0 if signed else middle, WindowWidth=middle,
    )  # fmt: skip
    assert np.abs(ours(path) - dcmtk(path, "+Wi", "1")).max() <= 1


@pytest.mark.parametrize(
    ("photometric", "inverted", "limit"),
    list(itertools.product(("MONOCHROME1", "MONOCHROME2"), (False, True), (None, 40))),
)
def test_mg18_padding_is_black_under_every_window_polarity_and_inversion(suite, photometric, inverted, limit):
    padding = 4095 if photometric == "MONOCHROME1" else 0
    picture = suite.picture("R").copy()
    if photometric == "MONOCHROME1":
        picture = (4095 - picture).astype(np.uint16)
    air = picture == padding
    if limit is not None:
        limit = padding - limit if padding else limit
        picture[air] = np.linspace(min(padding, limit), max(padding, limit), int(air.sum())).astype(np.uint16)
    path, _ = suite.view(
        pixels=picture, PhotometricInterpretation=photometric, PixelPaddingValue=padding,
        PixelPaddingRangeLimit=limit, PresentationLUTShape=None,
    )  # fmt: skip
    image = load_view(path)
    for center, width in ((100, 50), (2048, 4096), (4000, 10)):
        table = compose_lut(image.presentation, center=center, width=width, inverted=inverted)
        greys = table[image.pixels] & 0xFF
        assert greys[air].max() == 0, f"window {center}/{width}"
        assert width != 4096 or greys[~air].max() > 0


@pytest.mark.parametrize(
    ("slope", "intercept"), [("nan", "0"), ("1", "inf"), ("1e300", "0"), ("1", "-1e300")]
)
def test_mg15_a_rescale_that_is_no_number_gives_a_sentence_and_no_picture(suite, slope, intercept):
    path, _ = suite.view(RescaleSlope=1, RescaleIntercept=0, RescaleType="US")
    ds = dcmread(path)
    for keyword, value in (("RescaleSlope", slope), ("RescaleIntercept", intercept)):
        ds[keyword] = DataElement(keyword, "LO", value)  # as a hostile or broken writer leaves it
    ds.save_as(path)
    with pytest.raises(ExamError, match="Rescale Slope and Intercept"):
        load_view(path)
