"""The first look at JPEG 2000 and HTJ2K: same place, same greys, and only where the stream allows it."""

from __future__ import annotations

import os
import struct
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
from pydicom import uid

from inference.exam.codecs import DECODER_NICE, FrameFormat, stand_back
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.preview import decode_preview, reduced_codestream
from inference.exam.sources import FolderSource

ROWS, COLS = 517, 390  # no multiples of four


def _frame() -> np.ndarray:
    rng = np.random.default_rng(5)
    rough = rng.normal(0, 1, (ROWS, COLS)).astype(np.float32)
    return np.clip(2000 + 2500 * cv2.GaussianBlur(rough, (0, 0), 9), 0, 4095).astype(np.uint16)


def _format(syntax: uid.UID, **changes: object) -> FrameFormat:
    plain = {"bits_allocated": 16, "bits_stored": 12, "high_bit": 11, "signed": False}
    return FrameFormat(transfer_syntax=str(syntax), rows=ROWS, cols=COLS, **(plain | changes))


def _j2k(pixels: np.ndarray) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(pixels, reversible=True, codecformat="j2k"))


def _htj2k(pixels: np.ndarray) -> bytes:
    return bytes(imagecodecs.htj2k_encode(pixels, reversible=True))


CODECS = [(uid.JPEG2000Lossless, _j2k), (uid.HTJ2KLossless, _htj2k)]


@pytest.mark.parametrize(("syntax", "encode"), CODECS, ids=["J2K", "HTJ2K"])
def test_the_first_look_lies_where_the_picture_lies(syntax, encode):
    pixels = _frame()
    look = decode_preview(encode(pixels), _format(syntax))
    assert look is not None
    assert look.shape == pixels.shape
    assert look.dtype == np.uint16
    wanted, found = pixels.astype(np.float32), look.astype(np.float32)
    shift, _ = cv2.phaseCorrelate(wanted[:512, :384], found[:512, :384])
    assert np.hypot(*shift) < 0.15  # without the correction of (f - 1) / 2 it is 2.1 pixels
    assert np.abs(found - wanted).mean() < 12


@pytest.mark.parametrize(("syntax", "encode"), CODECS, ids=["J2K", "HTJ2K"])
def test_undershoot_beside_air_stays_black(syntax, encode):
    pixels = np.zeros((ROWS, COLS), np.uint16)
    pixels[100:400, 100:300] = 4095
    look = decode_preview(encode(pixels), _format(syntax))
    assert look is not None
    assert look.max() <= 4095
    assert look[:80].max() < 40  # an unsigned wrap would be 65535 here


def test_both_codecs_give_the_same_first_look_of_the_same_frame():
    # One wavelet, two decoders: the rewritten head of the J2K stream against OpenJPH's own reduction.
    one, other = (decode_preview(encode(_frame()), _format(syntax)) for syntax, encode in CODECS)
    assert np.abs(one.astype(int) - other.astype(int)).max() <= 1


def test_a_rewritten_head_decodes_to_the_size_the_standard_gives():
    small = imagecodecs.jpeg2k_decode(reduced_codestream(_j2k(_frame())))
    assert small.shape == (-(-ROWS // 4), -(-COLS // 4))


def test_streams_in_another_order_have_no_first_look():
    data = bytearray(_j2k(_frame()))
    at = data.index(b"\xff\x52")
    for order, layers, levels in ((3, 1, 5), (4, 1, 5), (0, 2, 5), (0, 1, 2)):
        changed = bytearray(data)
        changed[at + 5] = order
        changed[at + 6 : at + 8] = struct.pack(">H", layers)
        changed[at + 9] = levels
        assert reduced_codestream(bytes(changed)) is None


def test_damage_and_other_syntaxes_have_no_first_look():
    data = _htj2k(_frame())
    assert decode_preview(data[:60], _format(uid.HTJ2KLossless)) is None
    assert decode_preview(data, _format(uid.JPEGLSLossless)) is None
    assert decode_preview(data, _format(uid.HTJ2KLossless, bits_stored=16, high_bit=15)) is None
    assert reduced_codestream(b"") is None


def test_an_exam_offers_a_first_look_only_when_all_its_images_do(tmp_path: Path) -> None:
    import pydicom
    from pydicom.encaps import encapsulate

    write_phantom_dicom(phantom_exam(PhantomSpec(seed=22, pixel_mm=0.3)), tmp_path / "one")
    files = sorted((tmp_path / "one").rglob("*.dcm"))
    for file in files[:-1]:
        _compress(pydicom.dcmread(file), encapsulate, file)
    source = FolderSource(tmp_path)
    exam_id = source.list()[0].exam_id
    assert source.preview(exam_id) is None
    _compress(pydicom.dcmread(files[-1]), encapsulate, files[-1])
    look, full = source.preview(exam_id), source.load(exam_id)
    assert look is not None
    assert look.digest == ""
    assert [i.key for i in look.images] == [i.key for i in full.images]
    for blurred, sharp in zip(look.images, full.images, strict=True):
        assert blurred.pixels.shape == sharp.pixels.shape
        assert blurred.orientation == sharp.orientation
        assert blurred.spacing == sharp.spacing


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority of single threads")
def test_decoding_threads_stand_back_and_their_caller_does_not():
    def nice() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = nice()
    with ThreadPoolExecutor(1, initializer=stand_back) as pool:
        assert pool.submit(nice).result() == max(before, DECODER_NICE)
    assert nice() == before


def _compress(ds, encapsulate, file: Path) -> None:
    ds.PixelData = encapsulate([_j2k(ds.pixel_array)])
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = uid.JPEG2000Lossless
    ds.save_as(file, enforce_file_format=True)
