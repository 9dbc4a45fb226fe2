"""multipart/related as DICOMweb uses it (PS3.18 8.6): one object out of an answer, one object into a request.

Streams; an object is never held in memory whole.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from inference.exam.pacs.model import PacsError, PacsUnreachable
from resources.translation import translate

_MOST_HEADER = 1 << 14


def _tr(text: str) -> str:
    return translate("pacs", text)


def boundary_of(content_type: str) -> bytes:
    """Return the boundary of a content type; PacsError when it has none."""
    found = re.search(r'boundary="?([^";]+)"?', content_type, re.IGNORECASE)
    if found is None:
        raise PacsError(
            _tr("PACS: expected a multipart answer with DICOM objects, found another kind of answer.")
        )
    return found.group(1).strip().encode()


def first_part(chunks: Iterable[bytes], boundary: bytes) -> Iterator[bytes]:
    """Yield the content of the first part; PacsUnreachable when the answer ends before the part does."""
    mark = b"\r\n--" + boundary
    buffer, in_part = b"\r\n", False  # the first boundary may lack its line break
    for chunk in chunks:
        buffer += chunk
        if not in_part:
            start = buffer.find(mark)
            end = buffer.find(b"\r\n\r\n", start + len(mark)) if start >= 0 else -1
            if end < 0:
                if len(buffer) > _MOST_HEADER:
                    raise PacsError(_tr("PACS: expected the head of a DICOM object, found other data."))
                continue
            buffer, in_part = buffer[end + 4 :], True
        stop = buffer.find(mark)
        if stop >= 0:
            yield buffer[:stop]
            return
        keep = len(mark) - 1
        if len(buffer) > keep:
            yield buffer[:-keep]
            buffer = buffer[-keep:]
    raise PacsUnreachable(_tr("The connection was cut in the middle of an image; resume to fetch the rest."))


class UploadBody:
    """The body of a store request with one file, read in pieces; its length is known beforehand."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.boundary = secrets.token_hex(16)
        self._file = file
        self._head = f"--{self.boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        self._tail = f"\r\n--{self.boundary}--\r\n".encode()
        self._length = len(self._head) + path.stat().st_size + len(self._tail)

    def __len__(self) -> int:
        return self._length

    @property
    def content_type(self) -> str:
        return f'multipart/related; type="application/dicom"; boundary={self.boundary}'

    def read(self, size: int = -1) -> bytes:
        """Return the next piece, b'' at the end."""
        if self._head:
            piece, self._head = self._head, b""
            return piece
        piece = self._file.read(size if size > 0 else 1 << 20)
        if piece:
            return piece
        piece, self._tail = self._tail, b""
        return piece
