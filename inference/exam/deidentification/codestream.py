"""Comments inside compressed images: JPEG, JPEG-LS and JPEG 2000 streams may carry texts of their own.

Blanks them in place, so that no length, table or pixel changes.
"""

from __future__ import annotations

import struct

_ITEM = b"\xfe\xff\x00\xe0"
_J2K_START, _J2K_TILE, _J2K_COMMENT = 0xFF4F, 0xFF90, 0xFF64
_JPEG_SCAN, _JPEG_COMMENT = 0xFFDA, 0xFFFE
# APP8 (SPIFF) and APP14 (Adobe) decide how colours decode; APP0 is JFIF's own, without text.
_JPEG_TEXTS = frozenset(range(0xFFE1, 0xFFF0)) - {0xFFE8, 0xFFEE}
_MAX_SEGMENTS = 4096


def blank_comments(pixel_data: bytes) -> tuple[bytes, int]:
    """Blank the comments of every fragment of encapsulated Pixel Data.

    Returns
    -------
    The bytes, as many as before, and how many comment segments were blanked.
    """
    out = bytearray(pixel_data)
    blanked, at = 0, 0
    while at + 8 <= len(out) and out[at : at + 4] == _ITEM:
        length = int(struct.unpack_from("<I", out, at + 4)[0])
        begin, end = at + 8, min(at + 8 + length, len(out))
        blanked += _blank_stream(out, begin, end)
        at = end
    return bytes(out), blanked


def _blank_stream(out: bytearray, begin: int, end: int) -> int:
    if end - begin < 4:
        return 0
    if out[begin : begin + 2] == b"\xff\xd8":
        return _blank_segments(
            out, begin + 2, end, stop=_JPEG_SCAN, texts=_JPEG_TEXTS | {_JPEG_COMMENT}, skip=0
        )
    if struct.unpack_from(">H", out, begin)[0] == _J2K_START:
        # A J2K comment begins with two bytes that say what kind of text it is.
        return _blank_segments(out, begin + 2, end, stop=_J2K_TILE, texts=frozenset({_J2K_COMMENT}), skip=2)
    return 0


def _blank_segments(out: bytearray, at: int, end: int, *, stop: int, texts: frozenset[int], skip: int) -> int:
    blanked = 0
    for _ in range(_MAX_SEGMENTS):
        if at + 4 > end:
            break
        marker, length = struct.unpack_from(">HH", out, at)
        if marker == stop or marker < 0xFF00 or length < 2:
            break
        if marker in texts:
            first, last = at + 4 + skip, min(at + 2 + length, end)
            if last > first:
                out[first:last] = b" " * (last - first)
                blanked += 1
        at += 2 + length
    return blanked
