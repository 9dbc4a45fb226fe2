"""Pixel decoding: one compressed or raw frame in, one array of stored values out.

imagecodecs does the work because it releases the GIL; pydicom's own decoders are the fallback. Sizes that a
header claims are checked against the data before anything is allocated. Grayscale meaning is not here.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.utils import pixel_array

from inference.exam.types import ExamError

MAX_FRAME_BYTES = 128 * 1024 * 1024  # twice the largest detector; a display needs four times as much memory
MAX_EXPANSION = 1000  # a compressed frame of tissue never reaches 1:1000
DECODER_NICE = 3
FREE_BYTES = 32 * 1024 * 1024  # below this a huge ratio harms nobody (plain test images)

Array = NDArray[np.generic]
Bytes = bytes | memoryview

RAW = frozenset(
    {
        str(uid.ImplicitVRLittleEndian),
        str(uid.ExplicitVRLittleEndian),
        str(uid.ExplicitVRBigEndian),
        str(uid.DeflatedExplicitVRLittleEndian),
    }
)
JPEG_DCT = frozenset({str(uid.JPEGBaseline8Bit), str(uid.JPEGExtended12Bit)})
JPEG_LOSSLESS = frozenset({str(uid.JPEGLossless), str(uid.JPEGLosslessSV1)})
JPEG_LS = frozenset({str(uid.JPEGLSLossless), str(uid.JPEGLSNearLossless)})
J2K = frozenset({str(uid.JPEG2000Lossless), str(uid.JPEG2000)})
HTJ2K = frozenset({str(uid.HTJ2KLossless), str(uid.HTJ2KLosslessRPCL), str(uid.HTJ2K)})
RLE = str(uid.RLELossless)
SUPPORTED = RAW | JPEG_DCT | JPEG_LOSSLESS | JPEG_LS | J2K | HTJ2K | {RLE}

_CODEC_ERRORS = (
    RuntimeError,
    ValueError,
    TypeError,
    IndexError,
    struct.error,
    MemoryError,
    NotImplementedError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFormat:
    """What the header says about one frame; sizes in pixels and bits."""

    transfer_syntax: str
    rows: int
    cols: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool

    @property
    def frame_bytes(self) -> int:
        return self.rows * self.cols * (self.bits_allocated // 8)


def stand_back() -> None:
    """Let the window's thread go first: decoding fills every core, and a busy core draws no frame in time.

    For threads that do nothing but decode; where the system has no priority of single threads, nothing happens.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        if os.getpriority(os.PRIO_PROCESS, thread) < DECODER_NICE:  # nobody may raise one
            os.setpriority(os.PRIO_PROCESS, thread, DECODER_NICE)


def frame_format(ds: Dataset, transfer_syntax: str) -> FrameFormat:
    """Read and check the image pixel attributes of a header.

    Raises
    ------
    ExamError
        Missing size, true colour, several frames, more than 16 bits, or a size no mammogram has.
    """
    missing = [name for name in ("Rows", "Columns", "BitsAllocated") if not ds.get(name)]
    if missing:
        raise ExamError(
            f"expected {', '.join(missing)} in the header, found none; the file holds no readable image."
        )
    samples = int(ds.get("SamplesPerPixel", 1) or 1)
    photometric = str(ds.get("PhotometricInterpretation", "MONOCHROME2"))
    if samples != 1 or not photometric.startswith("MONOCHROME"):
        raise ExamError(
            f"expected a grayscale image, found {samples} sample(s) {photometric}; true colour is not read."
        )
    frames = int(ds.get("NumberOfFrames", 1) or 1)
    if frames != 1:
        raise ExamError(f"expected one frame, found {frames}; multi-frame images are not read.")
    rows, cols, allocated = int(ds.Rows), int(ds.Columns), int(ds.BitsAllocated)
    if allocated not in {8, 16}:
        raise ExamError(
            f"expected 8 or 16 bits allocated, found {allocated}; export the image again with 16 bits."
        )
    stored = int(ds.get("BitsStored", allocated) or allocated)
    high = int(ds.get("HighBit", stored - 1) or stored - 1)
    if not 1 <= stored <= allocated or not stored - 1 <= high < allocated:
        raise ExamError(f"expected 1..{allocated} bits stored, found {stored} with high bit {high}.")
    found = FrameFormat(
        transfer_syntax=transfer_syntax,
        rows=rows,
        cols=cols,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high,
        signed=int(ds.get("PixelRepresentation", 0) or 0) == 1,
    )
    if rows < 1 or cols < 1 or found.frame_bytes > MAX_FRAME_BYTES:
        raise ExamError(
            f"expected an image of at most {MAX_FRAME_BYTES >> 20} MB, "
            f"found {rows} x {cols} pixels of {allocated} bits."
        )
    if transfer_syntax not in SUPPORTED:
        raise ExamError(
            f"transfer syntax {uid.UID(transfer_syntax).name} is not read; convert the file first."
        )
    return found


def decode_frame(ds: Dataset) -> Array:
    """Decode the only frame of a data set that has its pixel data.

    Returns
    -------
    (rows, cols) uint8, int8, uint16 or int16 array of stored values.

    Raises
    ------
    ExamError
        One sentence: what was expected of the pixel data and what was found.
    """
    syntax = str(ds.file_meta.TransferSyntaxUID)
    fmt = frame_format(ds, syntax)
    if "PixelData" not in ds:
        raise ExamError("expected Pixel Data, found none; the file holds a header only.")
    data = unswapped(ds["PixelData"].value, vr=ds["PixelData"].VR, fmt=fmt)
    if syntax not in RAW:
        try:
            data = next(generate_frames(bytes(data), number_of_frames=1))
        except (*_CODEC_ERRORS, StopIteration, EOFError) as error:
            raise ExamError(
                f"expected one encapsulated frame, found damaged pixel data ({error})."
            ) from error
    return decode_bytes(data, fmt)


def decode_bytes(data: Bytes, fmt: FrameFormat) -> Array:
    """Decode one frame's bytes; shape, dtype and errors as :func:`decode_frame`."""
    if fmt.transfer_syntax in RAW:
        return _stored_values(_decode_raw(data, fmt), fmt)
    data = bytes(data)
    if len(data) < 4:
        raise ExamError(f"expected compressed pixel data, found {len(data)} bytes.")
    _refuse_expansion(len(data), fmt)
    if fmt.transfer_syntax != RLE:
        check_codestream(data[: 1 << 16], fmt)
    try:
        pixels = _decoder(fmt)(data, fmt)
    except _CODEC_ERRORS as error:
        pixels = _fallback(data, fmt, error)
    if pixels.shape != (fmt.rows, fmt.cols):
        raise ExamError(
            f"expected {fmt.rows} x {fmt.cols} pixels, found {pixels.shape} in the compressed data."
        )
    return _stored_values(pixels, fmt)


def unswapped(data: Bytes, *, vr: str, fmt: FrameFormat) -> Bytes:
    """Put 8-bit samples in order that travelled as big-endian 16-bit words (VR OW); other data is left as it is."""
    if vr != "OW" or fmt.bits_allocated != 8 or fmt.transfer_syntax != uid.ExplicitVRBigEndian:
        return data
    return np.frombuffer(bytes(data) + b"\0" * (len(data) % 2), ">u2").astype("<u2").tobytes()


def check_length(found: int, fmt: FrameFormat) -> None:
    """Refuse raw pixel data whose length does not fit rows x columns; ``found`` in bytes."""
    if fmt.transfer_syntax in RAW and found < fmt.frame_bytes:
        raise ExamError(
            f"expected {fmt.frame_bytes} bytes of pixel data for {fmt.rows} x {fmt.cols} pixels, "
            f"found {found}; the file is cut off or its header is wrong."
        )


def _refuse_expansion(found: int, fmt: FrameFormat) -> None:
    if fmt.frame_bytes > FREE_BYTES and fmt.frame_bytes > MAX_EXPANSION * found:
        raise ExamError(
            f"expected pixel data that can fill {fmt.rows} x {fmt.cols} pixels, found {found} bytes."
        )


def _decode_raw(data: Bytes, fmt: FrameFormat) -> Array:
    check_length(len(data), fmt)
    if len(data) > fmt.frame_bytes + 1:
        raise ExamError(
            f"expected {fmt.frame_bytes} bytes of pixel data for {fmt.rows} x {fmt.cols} pixels, "
            f"found {len(data)}."
        )
    big = fmt.transfer_syntax == uid.ExplicitVRBigEndian
    dtype = np.dtype(f"{'>' if big else '<'}u{fmt.bits_allocated // 8}")
    pixels = np.frombuffer(data, dtype, fmt.rows * fmt.cols).reshape(fmt.rows, fmt.cols)
    return pixels.astype(dtype.newbyteorder("="), copy=False)


def _decoder(fmt: FrameFormat) -> Callable[[bytes, FrameFormat], Array]:
    syntax = fmt.transfer_syntax
    if syntax == RLE:
        return _decode_rle
    if syntax in JPEG_DCT | JPEG_LOSSLESS:
        return lambda data, _: np.asarray(imagecodecs.jpeg8_decode(data))
    if syntax in JPEG_LS:
        return lambda data, _: np.asarray(imagecodecs.jpegls_decode(data))
    if syntax in HTJ2K:
        return lambda data, _: np.asarray(imagecodecs.htj2k_decode(data))
    return lambda data, _: np.asarray(imagecodecs.jpeg2k_decode(data, numthreads=2))


def _decode_rle(data: bytes, fmt: FrameFormat) -> Array:
    wanted = fmt.bits_allocated // 8
    if len(data) < 64:
        raise ExamError(f"expected an RLE header of 64 bytes, found {len(data)} bytes.")
    header = struct.unpack("<16L", bytes(data[:64]))
    if header[0] != wanted or any(not 64 <= at <= len(data) for at in header[1 : wanted + 1]):
        raise ExamError(f"expected {wanted} RLE segments inside {len(data)} bytes, found {header[0]}.")
    if len(data) * 64 < fmt.frame_bytes:  # two bytes give at most 128
        raise ExamError(
            f"expected RLE data that can fill {fmt.rows} x {fmt.cols} pixels, found {len(data)} bytes."
        )
    dtype = np.dtype(f"u{wanted}")
    # Not a bytearray: it is filled with zeros under the GIL, which froze the window for 10-25 ms a frame.
    out = np.empty(fmt.frame_bytes, np.uint8)
    decoded = imagecodecs.dicomrle_decode(data, dtype.newbyteorder("<"), out=out.data)
    if len(decoded) != fmt.frame_bytes:
        raise ExamError(f"expected {fmt.frame_bytes} bytes out of the RLE data, found {len(decoded)}.")
    return out.view(dtype).reshape(fmt.rows, fmt.cols)


def _fallback(data: bytes, fmt: FrameFormat, first: Exception) -> Array:
    """pydicom's own decoders, for what imagecodecs refuses; the first error is the one that is told."""
    refusal = ExamError(
        f"expected {fmt.rows} x {fmt.cols} pixels as {uid.UID(fmt.transfer_syntax).name}, found "
        f"data that no decoder reads ({(str(first) or type(first).__name__).splitlines()[0]}); "
        "the file is damaged or cut off."
    )
    try:
        return np.asarray(pixel_array(_bare(data, fmt), raw=True))
    except (*_CODEC_ERRORS, OSError, AttributeError) as error:
        raise refusal from error


def _bare(data: bytes, fmt: FrameFormat) -> Dataset:
    """Smallest data set that pydicom decodes."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid.UID(fmt.transfer_syntax)
    ds.Rows, ds.Columns, ds.SamplesPerPixel = fmt.rows, fmt.cols, 1
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = fmt.bits_allocated, fmt.bits_stored, fmt.high_bit
    ds.PixelRepresentation, ds.PhotometricInterpretation = int(fmt.signed), "MONOCHROME2"
    ds.add_new("PixelData", "OB", encapsulate([data]))
    return ds


def _stored_values(pixels: Array, fmt: FrameFormat) -> Array:
    """Keep the stored bits only (older files put overlays above them) and give them their sign."""
    raw = _sized(pixels.view(np.dtype(f"u{pixels.dtype.itemsize}")), fmt)
    shift = fmt.high_bit + 1 - fmt.bits_stored
    if shift and fmt.transfer_syntax in RAW | {RLE}:
        raw = np.right_shift(raw, shift)
    if fmt.signed:
        spare = fmt.bits_allocated - fmt.bits_stored
        signed = np.left_shift(raw, spare).view(np.dtype(f"i{raw.dtype.itemsize}"))
        return np.asarray(np.right_shift(signed, spare))
    limit = (1 << fmt.bits_stored) - 1
    if fmt.bits_stored < fmt.bits_allocated and int(raw.max()) > limit:
        return np.asarray(np.bitwise_and(raw, raw.dtype.type(limit)))
    return raw


def _sized(raw: NDArray[np.unsignedinteger], fmt: FrameFormat) -> NDArray[np.unsignedinteger]:
    """Bring a decoder's word size to the one that the header allocates."""
    if raw.dtype.itemsize * 8 == fmt.bits_allocated:
        return raw
    if fmt.bits_allocated == 8 and int(raw.max()) > 255 and not fmt.signed:
        raise ExamError(f"expected 8-bit pixels, found values up to {int(raw.max())}.")
    return raw.astype(np.uint16 if fmt.bits_allocated == 16 else np.uint8)


def check_codestream(head: bytes, fmt: FrameFormat) -> None:
    """Compare the size inside a JPEG or JPEG 2000 stream with the header's before a decoder allocates."""
    size = _jpeg2000_size(head) if fmt.transfer_syntax in J2K | HTJ2K else jpeg_size(head)
    if size is None:
        raise ExamError(
            f"expected a {uid.UID(fmt.transfer_syntax).name} stream, found other or damaged data."
        )
    rows, cols, components = size
    if components != 1:
        raise ExamError(
            f"expected a grayscale image, found {components} components; true colour is not read."
        )
    if (rows, cols) != (fmt.rows, fmt.cols):
        raise ExamError(
            f"expected {fmt.rows} x {fmt.cols} pixels as the header says, "
            f"found {rows} x {cols} in the compressed data."
        )


def jpeg_size(head: bytes) -> tuple[int, int, int] | None:
    at = 2
    if head[:2] != b"\xff\xd8":
        return None
    while at + 10 <= len(head):
        if head[at] != 0xFF:
            return None
        marker = head[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}):
            rows, cols = struct.unpack(">HH", head[at + 5 : at + 9])
            return rows, cols, head[at + 9]
        at += 2 + struct.unpack(">H", head[at + 2 : at + 4])[0]
    return None


def _jpeg2000_size(head: bytes) -> tuple[int, int, int] | None:
    at = head.find(b"\xff\x4f\xff\x51")  # SOC then SIZ; some writers wrap the stream in JP2 boxes
    if at < 0 or at + 42 > len(head):
        return None
    x1, y1, x0, y0 = struct.unpack(">4L", head[at + 8 : at + 24])
    return y1 - y0, x1 - x0, struct.unpack(">H", head[at + 40 : at + 42])[0]
