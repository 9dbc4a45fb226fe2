"""A quarter-size first look at JPEG 2000 and HTJ2K frames, brought to full size so that geometry does not change.

For looking only: it is blurred by a factor of four, and nobody may judge it or be timed on it. Decoding what is read
is ``inference.exam.codecs``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from inference.exam import dicom
from inference.exam.codecs import HTJ2K, J2K, Array, Bytes, FrameFormat, check_codestream, stand_back
from inference.exam.types import ExamError, ViewImage

FACTOR_LOG2 = 2
FACTOR = 1 << FACTOR_LOG2
_SIZ, _COD, _SOT, _SOC = 0xFF51, 0xFF52, 0xFF90, b"\xff\x4f\xff\x51"
_LENGTHS = frozenset({0xFF55, 0xFF57})  # TLM, PLM: tables of lengths, which no longer hold and are optional
_KEPT = frozenset({0xFF5C, 0xFF63, 0xFF64})  # QCD (more step sizes than subbands do no harm), CRG, comment
_LRCP, _RLCP, _RPCL = 0, 1, 2
_DECODERS = 4
_MAX_BITS = 15  # OpenJPH does not clip at reduced resolution: an undershoot is told by its sign


class _NoPreviewError(ExamError):
    """The file offers no lower resolution."""


def load_previews(files: Iterable[tuple[Path, str]]) -> tuple[ViewImage, ...] | None:
    """First looks of the files of one exam, (path, name) each; None where one of them offers none.

    All or nothing: sharp and blurred views side by side invite a comparison that means nothing.
    """

    listed = list(files)
    if not listed or dicom.read_header(listed[0][0]).transfer_syntax not in HTJ2K | J2K:
        return None  # told by one header, so that other exams do not wait for it

    def one(file: tuple[Path, str]) -> ViewImage | None:
        try:
            return dicom.load_view(*file, decode=_decode)
        except ExamError:
            return None  # the full loading says what is wrong

    with ThreadPoolExecutor(
        max_workers=_DECODERS, thread_name_prefix="preview", initializer=stand_back
    ) as pool:
        found = list(pool.map(one, listed))
    images = tuple(image for image in found if image is not None)
    return images if images and len(images) == len(found) else None


def _decode(data: Bytes, fmt: FrameFormat) -> Array:
    pixels = decode_preview(data, fmt)
    if pixels is None:
        raise _NoPreviewError("expected a stream with lower resolutions, found none.")
    return pixels


def decode_preview(data: Bytes, fmt: FrameFormat) -> NDArray[np.uint16] | None:
    """Decode a frame at a quarter of its resolution and enlarge it to its full size.

    Parameters
    ----------
    data : compressed frame
    fmt : what the header says of it

    Returns
    -------
    (rows, cols) uint16 of stored values, blurred; None where the syntax or the stream offers no lower resolution.

    Notes
    -----
    A reduced-resolution sample k lies on pixel ``FACTOR * k`` of the full grid (ITU-T T.800, B.5: subband coordinates
    are ceilings of multiples), not in the middle of a block of FACTOR pixels; enlarging it as a plain resize does
    would shift the picture by (FACTOR - 1) / 2 pixels.
    """
    syntax = fmt.transfer_syntax
    if fmt.signed or fmt.bits_stored > _MAX_BITS or fmt.bits_allocated != 16 or syntax not in HTJ2K | J2K:
        return None
    data = bytes(data)
    try:
        check_codestream(data[: 1 << 16], fmt)
        if syntax in HTJ2K:
            small = np.asarray(imagecodecs.htj2k_decode(data, skipres=FACTOR_LOG2))
        else:
            reduced = reduced_codestream(data)
            if reduced is None:
                return None
            small = np.asarray(imagecodecs.jpeg2k_decode(reduced, numthreads=2))
    except (ExamError, RuntimeError, ValueError, TypeError, struct.error):
        return None  # the full decoding says what is wrong
    expected = (-(-fmt.rows // FACTOR), -(-fmt.cols // FACTOR))
    if small.shape != expected or small.dtype.itemsize != 2:
        return None
    clipped = np.clip(small.view(np.int16), 0, (1 << fmt.bits_stored) - 1).view(np.uint16)
    return _enlarged(clipped, fmt.rows, fmt.cols)


def _enlarged(small: NDArray[np.uint16], rows: int, cols: int) -> NDArray[np.uint16]:
    """Put sample k on pixel FACTOR * k, bilinear between; the last sample holds to the edge."""
    matrix = np.array([[1 / FACTOR, 0.0, 0.0], [0.0, 1 / FACTOR, 0.0]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    found = cv2.warpAffine(small, matrix, (cols, rows), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.uint16)


def reduced_codestream(data: bytes) -> bytes | None:
    """Rewrite the head of a JPEG 2000 codestream so that a decoder sees only its lower resolutions.

    OpenJPEG can leave resolutions out, imagecodecs does not let it. In a stream of one tile that stores resolution by
    resolution, the packets of the lower ones come first; with fewer decomposition levels and a smaller size in the
    head it is the valid stream of the smaller picture, and what follows is not looked at (ITU-T T.800, A.5, A.6, B.12).

    Returns
    -------
    None where the stream is in another order, has several tiles or layers before resolutions, or too few levels.
    """
    at = data.find(_SOC)
    if at < 0:
        return None
    at += 2
    parts = [b"\xff\x4f"]
    levels = 0
    while at + 4 <= len(data):
        marker, length = struct.unpack(">HH", data[at : at + 4])
        segment = data[at : at + 2 + length]
        if marker == _SOT:
            return b"".join([*parts, data[at:]]) if levels else None
        if marker == _SIZ:
            changed = _smaller(segment)
        elif marker == _COD:
            levels = segment[9]
            changed = _fewer_levels(segment)
        elif marker in _LENGTHS:
            changed = b""
        elif marker in _KEPT:
            changed = segment
        else:
            return None  # regions, other orders, packed headers: not worth following for a first look
        if changed is None:
            return None
        parts.append(changed)
        at += 2 + length
    return None


def _smaller(siz: bytes) -> bytes | None:
    x1, y1, x0, y0, tile_w, tile_h, tile_x, tile_y = struct.unpack(">8L", siz[6:38])
    if (x0, y0, tile_x, tile_y) != (0, 0, 0, 0) or tile_w < x1 or tile_h < y1:
        return None
    w, h = -(-x1 // FACTOR), -(-y1 // FACTOR)
    return siz[:6] + struct.pack(">8L", w, h, 0, 0, w, h, 0, 0) + siz[38:]


def _fewer_levels(cod: bytes) -> bytes | None:
    style, order, layers, levels = cod[4], cod[5], struct.unpack(">H", cod[6:8])[0], cod[9]
    by_resolution = order in {_RLCP, _RPCL} or (order == _LRCP and layers == 1)
    if not by_resolution or levels <= FACTOR_LOG2:
        return None
    body = cod[4:9] + bytes([levels - FACTOR_LOG2]) + cod[10:]
    if style & 1:  # precinct sizes, one byte a resolution, lowest first
        body = body[:-FACTOR_LOG2]
    return cod[:2] + struct.pack(">H", len(body) + 2) + body
