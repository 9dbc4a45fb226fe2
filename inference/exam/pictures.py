"""PNG, TIFF and JPEG bytes to gray pixels, with claimed sizes checked before anything is decoded."""

from __future__ import annotations

from typing import Literal

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from inference.exam.codecs import jpeg_size
from inference.exam.types import ExamError

MAX_PICTURE_PIXELS = 64 * 1024 * 1024  # as of a DICOM frame


def decode_picture(data: bytes) -> NDArray[np.uint16]:
    """Decode a grayscale PNG, TIFF or JPEG.

    Returns
    -------
    (rows, cols) uint16, stored values.

    Raises
    ------
    ExamError
        Empty, damaged, huge or coloured picture.
    """
    if not data:
        raise ExamError("expected a picture, found an empty file of 0 bytes.")
    size = _claimed_size(data)
    if size is None:
        raise ExamError("expected a PNG, TIFF or JPEG picture, found other data; convert the file.")
    if size[0] * size[1] > MAX_PICTURE_PIXELS or size[0] * size[1] > 2000 * len(data) + 1_000_000:
        raise ExamError(
            f"expected a picture that fits its {len(data)} bytes, "
            f"found a claim of {size[0]} x {size[1]} pixels."
        )
    try:
        if data[:4] in {b"II*\0", b"MM\0*"}:
            pixels = _decode_tiff(data)
        elif data[:2] == b"\xff\xd8":
            pixels = imagecodecs.jpeg8_decode(data)
        else:
            pixels = imagecodecs.png_decode(data)
    except (RuntimeError, ValueError, TypeError, cv2.error) as error:
        raise ExamError(
            f"expected a whole picture, found damaged data ({str(error).splitlines()[0]})."
        ) from error
    return _gray(np.asarray(pixels))


def _decode_tiff(data: bytes) -> NDArray[np.generic]:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("the TIFF decoder refused it")
    return np.asarray(pixels)


def _gray(pixels: NDArray[np.generic]) -> NDArray[np.uint16]:
    if pixels.ndim == 3:
        first = pixels[..., 0]
        channels = range(1, min(pixels.shape[2], 3) if pixels.shape[2] != 2 else 1)
        if any(not np.array_equal(pixels[..., c], first) for c in channels):
            raise ExamError("expected a grayscale picture, found a coloured one; true colour is not read.")
        pixels = first
    if pixels.ndim != 2 or pixels.dtype not in {np.dtype(np.uint8), np.dtype(np.uint16)}:
        raise ExamError(f"expected 8 or 16 bits of gray, found {pixels.dtype} of shape {pixels.shape}.")
    return np.ascontiguousarray(pixels, dtype=np.uint16)


def _claimed_size(data: bytes) -> tuple[int, int] | None:
    """Rows and columns that the file claims, without decoding it; None when it is no picture."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
    if data[:2] == b"\xff\xd8":
        found = jpeg_size(data[: 1 << 18])
        return (found[0], found[1]) if found else None
    if data[:4] in {b"II*\0", b"MM\0*"}:
        return _tiff_size(data)
    return None


def _tiff_size(data: bytes) -> tuple[int, int] | None:
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"

    def number(at: int, length: int) -> int:
        return int.from_bytes(data[at : at + length], order)

    at = number(4, 4)
    sizes: dict[int, int] = {}
    for index in range(number(at, 2)):
        entry = at + 2 + 12 * index
        if entry + 12 > len(data):
            return None
        sizes[number(entry, 2)] = number(entry + 8, 2 if number(entry + 2, 2) == 3 else 4)
    return (sizes[257], sizes[256]) if {256, 257} <= sizes.keys() else None
