"""Decoding: every transfer syntax bit for bit, and claims that the data does not back."""

from __future__ import annotations

import io
import shutil
import subprocess

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate

from inference.exam import codecs
from inference.exam.dicom import load_view, read_header
from inference.exam.types import ExamError

RAW = [
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
]
LOSSLESS = {
    uid.JPEGLSLossless: imagecodecs.jpegls_encode,
    uid.JPEG2000Lossless: lambda p: imagecodecs.jpeg2k_encode(p, reversible=True, codecformat="j2k"),
    uid.HTJ2KLossless: lambda p: imagecodecs.htj2k_encode(p, reversible=True),
    uid.HTJ2KLosslessRPCL: lambda p: imagecodecs.htj2k_encode(p, reversible=True),
    uid.HTJ2K: lambda p: imagecodecs.htj2k_encode(p, reversible=True),
    uid.JPEG2000: lambda p: imagecodecs.jpeg2k_encode(p, reversible=True, codecformat="j2k"),
    uid.JPEGLossless: lambda p: imagecodecs.jpeg8_encode(p, lossless=True, predictor=6, bitspersample=12),
}


@pytest.mark.parametrize("syntax", RAW, ids=lambda s: s.name)
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_raw_syntaxes_give_the_stored_values(header, file_of, breast, syntax, bits):
    pixels = breast(bits=bits)
    stored = pixels.astype(np.uint8) if bits == 8 else pixels
    if bits == 8 and syntax == uid.ExplicitVRBigEndian:
        stored = stored.reshape(-1, 2)[:, ::-1].reshape(stored.shape)  # bytes of an OW word swap
    ds = header(BitsAllocated=8 if bits == 8 else 16, BitsStored=bits, HighBit=bits - 1)
    data = file_of(ds, stored, syntax=syntax)
    assert read_header(data).standing == "hung"
    assert np.array_equal(load_view(data).pixels, pixels)


@pytest.mark.parametrize("syntax", list(LOSSLESS), ids=lambda s: s.name)
def test_lossless_streams_are_bit_exact(header, file_of, breast, syntax):
    pixels = breast()
    data = file_of(header(), pixels, syntax=syntax, stream=LOSSLESS[syntax](pixels))
    assert np.array_equal(load_view(data).pixels, pixels)


@pytest.mark.parametrize(("tool", "options", "exact"), [
    ("dcmcrle", [], True),
    ("dcmcjpeg", ["+e1"], True),
    ("dcmcjpeg", ["+el"], True),
    ("dcmcjpls", ["+el"], True),
    ("dcmcjpeg", ["+ee", "+q", "95"], False),
])  # fmt: skip
def test_files_written_by_dcmtk_decode(header, file_of, breast, tmp_path, tool, options, exact):
    program = shutil.which(tool)
    if program is None:
        pytest.skip(f"not run: {tool} of dcmtk is not installed")
    pixels = breast(bits=12)
    plain, packed = tmp_path / "plain.dcm", tmp_path / "packed.dcm"
    plain.write_bytes(file_of(header(), pixels))
    subprocess.run([program, *options, str(plain), str(packed)], check=True, capture_output=True)
    found = load_view(packed).pixels.astype(int)
    assert pydicom.dcmread(packed).file_meta.TransferSyntaxUID != uid.ExplicitVRLittleEndian
    assert np.abs(found - pixels).max() <= (0 if exact else 200)
    assert np.abs(found - pixels).mean() <= (0 if exact else 40)


def test_near_lossless_jpeg_ls_stays_within_its_bound(header, file_of, breast):
    pixels = breast()
    stream = imagecodecs.jpegls_encode(pixels, level=3)
    found = load_view(file_of(header(), pixels, syntax=uid.JPEGLSNearLossless, stream=stream)).pixels
    difference = np.abs(found.astype(int) - pixels)
    assert 0 < difference.max() <= 3


def test_baseline_jpeg_of_8_bits_decodes_like_its_encoder(header, file_of, breast):
    pixels = breast(bits=8).astype(np.uint8)
    stream = imagecodecs.jpeg8_encode(pixels, level=95)
    ds = header(BitsAllocated=8, BitsStored=8, HighBit=7)
    found = load_view(file_of(ds, pixels, syntax=uid.JPEGBaseline8Bit, stream=stream)).pixels
    assert np.abs(found.astype(int) - pixels).mean() < 3


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.JPEGLSLossless], ids=lambda s: s.name)
def test_signed_pixels_keep_their_value_through_the_offset(header, file_of, breast, syntax):
    signed = breast().astype(np.int16) - 1000
    stream = imagecodecs.jpegls_encode((signed & 0xFFF).astype(np.uint16)) if syntax != RAW[1] else None
    view = load_view(file_of(header(PixelRepresentation=1), signed, syntax=syntax, stream=stream))
    assert signed.min() < 0
    assert np.array_equal(view.pixels.astype(int) + view.presentation.stored_offset, signed)


def test_overlay_bits_above_the_stored_bits_are_dropped(header, file_of, breast):
    pixels = breast()
    view = load_view(file_of(header(), pixels | 0x8000))
    assert np.array_equal(view.pixels, pixels)


def test_frame_in_two_fragments_is_joined(header, file_of, breast):
    pixels = breast()
    stream = imagecodecs.jpegls_encode(pixels)
    ds = header()
    whole = file_of(ds, pixels, syntax=uid.JPEGLSLossless, stream=stream)
    ds.add_new("PixelData", "OB", encapsulate([stream], fragments_per_frame=2, has_bot=False))
    out = io.BytesIO()
    pydicom.dcmwrite(out, ds, enforce_file_format=True)
    assert len(out.getvalue()) != len(whole)
    assert np.array_equal(load_view(out.getvalue()).pixels, pixels)


def test_claim_of_two_gigabytes_in_a_kilobyte_is_refused_before_allocation(header, file_of, breast):
    data = file_of(header(), breast(20, 20))
    ds = pydicom.dcmread(io.BytesIO(data))
    ds.Rows, ds.Columns = 32768, 32767
    out = io.BytesIO()
    ds.save_as(out)
    assert len(out.getvalue()) < 4096
    with pytest.raises(ExamError, match="expected an image of at most 128 MB"):
        load_view(out.getvalue())


@pytest.mark.parametrize("syntax", [*LOSSLESS, uid.RLELossless], ids=lambda s: s.name)
def test_compressed_claim_that_the_stream_does_not_back_is_refused(header, file_of, breast, syntax):
    small = breast(16, 16)
    stream = LOSSLESS[syntax](small) if syntax in LOSSLESS else imagecodecs.packbits_encode(small.tobytes())
    claimed = np.broadcast_to(np.uint16(0), (9000, 8000))
    ds = header()
    data = file_of(ds, claimed, syntax=syntax, stream=stream)
    with pytest.raises(ExamError, match="expected"):
        load_view(data)


@pytest.mark.parametrize("syntax", [uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.HTJ2KLossless, uid.JPEGLossless],
                         ids=lambda s: s.name)  # fmt: skip
def test_stream_of_another_size_than_the_header_is_refused(header, file_of, breast, syntax):
    stream = LOSSLESS[syntax](breast(60, 50))
    with pytest.raises(ExamError, match="60 x 50"):
        load_view(file_of(header(), breast(120, 90), syntax=syntax, stream=stream))


def test_pydicom_reads_what_the_direct_codec_refuses(header, breast, monkeypatch):
    pixels = breast()
    fmt = codecs.FrameFormat(transfer_syntax=str(uid.RLELossless), rows=120, cols=90, bits_allocated=16, bits_stored=12,
                             high_bit=11, signed=False)  # fmt: skip
    ds = header()
    ds.Rows, ds.Columns = pixels.shape
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds.add_new("PixelData", "OW", pixels.tobytes())
    ds.compress(uid.RLELossless, generate_instance_uid=False)
    assert np.array_equal(codecs.decode_frame(ds), pixels)

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(codecs, "_decode_rle", broken)
    frame = next(pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=1))
    assert np.array_equal(codecs.decode_bytes(frame, fmt), pixels)
