"""The DICOM file as a container: preamble, deflate, where the frame's bytes lie.

Checks every claimed length against what is there. What the attributes mean is not decided here.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import imagecodecs
import numpy as np
import pydicom
from pydicom import config, uid
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag

from inference.exam.types import ExamError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

# Values that break their VR's rules are common in real archives and harmless here: no warnings.
config.settings.reading_validation_mode = config.IGNORE

UNKNOWN_SIZE = 1 << 62  # only a prefix of the file was inflated
INFLATE_LIMIT = 136 << 20  # the largest frame and its header
FIRST_PREFIX = 1 << 16  # nearly every header ends within it
HEADER_PREFIX = 1 << 22
PIXEL_TAG = b"\xe0\x7f\x10\x00"
_LARGE = 1 << 16


class Bounded(io.BufferedReader):
    """Asks for no more than is there: memory for a length that lies would be taken before it is read."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _LARGE:
            at = self.tell()
            size = min(size, self.seek(0, io.SEEK_END) - at)
            self.seek(at)
        return super().read(size)


def opened(source: Path | bytes) -> BinaryIO:
    stream: BinaryIO = io.BytesIO(source) if isinstance(source, bytes) else Bounded(io.FileIO(source))
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    if size == 0:
        stream.close()
        raise ExamError("expected a DICOM image, found an empty file of 0 bytes.")
    return stream


def parse(stream: BinaryIO, *, whole: bool) -> tuple[Dataset, str, BinaryIO, int]:
    """Header, transfer syntax and the stream that stands at Pixel Data, with its size."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    head = stream.read(132)
    stream.seek(0)
    if head[128:132] != b"DICM" and not _looks_like_bare_dicom(head):
        kind = "text" if head[:64].isascii() and b"\0" not in head else "data"
        raise ExamError(
            f"expected a DICOM file, found {kind} without the DICM mark; remove or convert the file."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        syntax = ""
        if head[128:132] == b"DICM":
            stream.seek(132)
            meta = read_dataset(stream, False, True, stop_when=_after_meta)
            syntax = str(meta.get("TransferSyntaxUID", ""))
            stream.seek(0)
        if syntax == uid.DeflatedExplicitVRLittleEndian:
            stream, size = _inflated(stream, whole=whole)
        ds = pydicom.dcmread(stream, stop_before_pixels=True, force=True)
    if not len(ds):
        raise ExamError("expected a DICOM data set, found no attributes; the file is damaged or cut off.")
    if not syntax:
        implicit, little = ds.original_encoding
        syntax = str(uid.ImplicitVRLittleEndian if implicit else
                     uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian)  # fmt: skip
    return ds, syntax, stream, size


def _looks_like_bare_dicom(head: bytes) -> bool:
    """True when a data set starts at once (no preamble): group 8, a small element, a plausible VR."""
    if len(head) < 16 or head[:2] not in {b"\x08\x00", b"\x02\x00"}:
        return False
    element, length = struct.unpack("<HL", head[2:8])
    return element < 0x20 and (head[4:6].isalpha() or length < 256)


def _inflated(stream: BinaryIO, *, whole: bool) -> tuple[BinaryIO, int]:
    """Rewrite a deflated file as an explicit one in memory; a prefix is enough for a header."""
    stream.seek(132)
    head = stream.read(12)
    if head[:4] != b"\x02\x00\x00\x00":
        raise ExamError("expected a file meta group length, found none.")
    meta_end = 144 + int(struct.unpack("<L", head[8:12])[0])
    stream.seek(0)
    deflated, explicit = (
        str(u).encode() for u in (uid.DeflatedExplicitVRLittleEndian, uid.ExplicitVRLittleEndian)
    )
    meta = stream.read(meta_end).replace(deflated, explicit.ljust(len(deflated), b"\0"))
    packed = stream.read()
    if not whole:
        return io.BytesIO(meta + zlib.decompressobj(-15).decompress(packed, HEADER_PREFIX)), UNKNOWN_SIZE
    size = _inflated_size(meta, packed)
    if size > 1100 * len(packed) + 1024 or size > INFLATE_LIMIT:  # deflate cannot expand more than 1:1032
        raise ExamError(f"expected deflated data that can fill {size} bytes, found {len(packed)} bytes.")
    # One buffer for all, never copied again: at 27 MB each copy costs as much as a quarter of the inflating.
    memory = np.empty(len(meta) + size, np.uint8)
    memory[: len(meta)] = np.frombuffer(meta, np.uint8)
    body = memory.data[len(meta) :]
    try:
        found = len(imagecodecs.deflate_decode(packed, raw=True, out=body))
    except RuntimeError:  # more attributes follow the pixels, or damage: zlib stops at the size wanted
        part = zlib.decompressobj(-15).decompress(packed, size)
        found = len(part)
        body[:found] = part
    end = len(meta) + found
    return Bounded(Memory(memory.data[:end])), end


def refuse_swelling(data: bytes, limit: int = INFLATE_LIMIT) -> None:
    """Refuse (ExamError) a deflated file that inflates beyond ``limit`` bytes; nothing of it is kept."""
    if data[128:132] != b"DICM":
        return
    stream = io.BytesIO(data)
    stream.seek(132)
    meta = read_dataset(stream, False, True, stop_when=_after_meta)
    if str(meta.get("TransferSyntaxUID", "")) != uid.DeflatedExplicitVRLittleEndian:
        return
    inflating, rest, size = zlib.decompressobj(-15), stream.read(), 0
    while rest and not inflating.eof:
        size += len(inflating.decompress(rest, FIRST_PREFIX))
        rest = inflating.unconsumed_tail
        if size > limit:
            raise ExamError(f"expected deflated data of at most {limit >> 20} MB, found more; leave it out.")


class Memory(io.RawIOBase):
    """A stream over bytes in memory that hands out views, not copies."""

    name = ""  # pydicom asks a buffered stream for its file

    def __init__(self, memory: memoryview) -> None:
        super().__init__()
        self.memory = memory
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self.memory)}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Buffer) -> int:
        target = memoryview(buffer).cast("B")
        part = self.memory[self._at : self._at + len(target)]
        target[: len(part)] = part
        self._at += len(part)
        return len(part)


def _inflated_size(meta: bytes, packed: bytes) -> int:
    """Bytes up to the end of Pixel Data, from an inflated prefix that grows until Pixel Data is in it."""
    wanted = FIRST_PREFIX
    while True:
        prefix = zlib.decompressobj(-15).decompress(packed, wanted)
        whole = len(prefix) < wanted or wanted >= HEADER_PREFIX
        at = _pixels_at(meta, prefix)
        if at is not None:
            return at + 12 + int(struct.unpack("<L", prefix[at + 8 : at + 12])[0])
        if whole:
            return max(len(prefix), 1)
        wanted *= 8


def _pixels_at(meta: bytes, prefix: bytes) -> int | None:
    """Where the Pixel Data element begins in ``prefix``, None when it is not there whole."""
    stream = io.BytesIO(meta + prefix)
    try:
        pydicom.dcmread(stream, stop_before_pixels=True, force=True)
    except (EOFError, ValueError, KeyError, struct.error):  # cut off inside an attribute
        return None
    at = stream.tell() - len(meta)
    return at if prefix[at : at + 4] == PIXEL_TAG and len(prefix) >= at + 12 else None


def _after_meta(tag: BaseTag, vr: str | None, length: int) -> bool:  # noqa: ARG001 - pydicom's signature
    return tag.group != 2


def locate_frame(stream: BinaryIO, size: int, syntax: str) -> tuple[tuple[int, int], ...]:
    """Find the pieces of the frame behind a stream that stands at Pixel Data.

    Parameters
    ----------
    stream : positioned by :func:`parse`
    size : bytes in the stream, or UNKNOWN_SIZE when only a prefix is there
    syntax : transfer syntax UID

    Returns
    -------
    (offset, length) of each piece, in order.

    Raises
    ------
    ExamError
        No pixel data, or less than its header claims.
    """
    little = syntax != uid.ExplicitVRBigEndian
    head = stream.read(8)
    if head[:4] != (PIXEL_TAG if little else b"\x7f\xe0\x00\x10"):
        raise ExamError("expected Pixel Data, found none; the file holds a header only or is cut off.")
    order = "<" if little else ">"
    if syntax == uid.ImplicitVRLittleEndian:
        length = struct.unpack("<L", head[4:8])[0]
    else:
        length = struct.unpack(order + "L", stream.read(4))[0]
    at = stream.tell()
    if length != 0xFFFFFFFF:
        if size != UNKNOWN_SIZE and at + length > size:
            raise ExamError(
                f"expected {length} bytes of pixel data, found {max(size - at, 0)}; the file is cut off."
            )
        return ((at, length),)
    return _fragments(stream, size)


def _fragments(stream: BinaryIO, size: int) -> tuple[tuple[int, int], ...]:
    """Pieces of an encapsulated frame; the first item is the offset table and carries no pixels."""
    pieces: list[tuple[int, int]] = []
    while True:
        head = stream.read(8)
        if head[:4] == b"\xfe\xff\xdd\xe0":
            break
        if len(head) < 8 or head[:4] != b"\xfe\xff\x00\xe0":
            raise ExamError(
                "expected the end mark of the compressed pixel data, found none; the file is cut off."
            )
        length = struct.unpack("<L", head[4:8])[0]
        at = stream.tell()
        if at + length > size:
            raise ExamError(
                f"expected {length} bytes of compressed data, found {size - at}; the file is cut off."
            )
        pieces.append((at, length))
        stream.seek(length, io.SEEK_CUR)
    if len(pieces) < 2:
        raise ExamError("expected compressed pixel data, found an empty frame.")
    return tuple(pieces[1:])


def pixel_vr(stream: BinaryIO, syntax: str) -> str:
    """VR of the Pixel Data element that the stream stands at; the stream stays there."""
    at = stream.tell()
    head = stream.read(6)
    stream.seek(at)
    return "OW" if syntax == uid.ImplicitVRLittleEndian else head[4:6].decode("ascii", "replace")


def read_pieces(stream: BinaryIO, pieces: tuple[tuple[int, int], ...]) -> bytes | memoryview:
    """Read the bytes of a frame; ExamError when the stream ends early."""
    raw = getattr(stream, "raw", None)
    parts: list[bytes | memoryview] = []
    for at, length in pieces:
        if isinstance(raw, Memory):
            part: bytes | memoryview = raw.memory[at : at + length]
        else:
            stream.seek(at)
            part = stream.read(length)
        if len(part) != length:
            raise ExamError(f"expected {length} bytes of pixel data, found {len(part)}; the file is cut off.")
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
