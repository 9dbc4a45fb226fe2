"""An object while it arrives on an association: kept in an unnamed file, handed on in pieces.

pynetdicom would hold it in memory, or in a named file that a crash leaves behind. Who may send and what is kept is not decided here.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dsutils import encode_file_meta
from pynetdicom.pdu_primitives import P_DATA

_IN_MEMORY = 1 << 20  # a smaller object costs no file
_CHUNK = 1 << 20


class Spool(io.BytesIO):
    """The data set of one message: that of a C-STORE goes to a file without a name, which ends with this object."""

    def __init__(self, message: DIMSEMessage, folder: Path) -> None:
        super().__init__()
        self._message, self._folder = message, folder
        self._file: Any = None
        self._problem: OSError | None = None

    def write(self, data: Any) -> int:
        if self._file is None:
            if not isinstance(self._message, C_STORE_RQ):  # known once its command has arrived
                return super().write(data)
            self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(self._folder))  # noqa: SIM115
        if self._problem is None:
            try:
                return int(self._file.write(data))
            except OSError as error:  # said when the object is whole: raised here it would end the thread
                self._problem = error
        return len(data)

    def pieces(self) -> Iterator[bytes]:
        """Yield what has arrived.

        Raises
        ------
        OSError
            It could not be written while it arrived: the disk is full.
        """
        if self._problem is not None:
            raise self._problem
        if self._file is None:
            yield self.getvalue()
            return
        self._file.seek(0)
        while piece := self._file.read(_CHUNK):
            yield piece

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()

    def __del__(self) -> None:
        self.close()


class SpoolingProvider(DIMSEServiceProvider):  # type: ignore[misc]  # pynetdicom is untyped
    """Gives every incoming message a spool for its data set."""

    spool_folder: Path
    message: DIMSEMessage | None

    def receive_primitive(self, primitive: P_DATA) -> None:
        if self.message is None:
            message = DIMSEMessage()
            message.data_set = Spool(message, self.spool_folder)
            self.message = message
        super().receive_primitive(primitive)

    def drop(self) -> None:
        """Let go of an object that stopped in the middle."""
        message, self.message = self.message, None
        if message is not None and isinstance(message.data_set, Spool):
            message.data_set.close()


def spool(assoc: Association, folder: Path) -> None:
    """Let what an association brings arrive in ``folder`` instead of in memory."""
    assoc.dimse.__class__ = SpoolingProvider  # as the sockets: it is made deep inside pynetdicom
    assoc.dimse.spool_folder = folder


def pieces_of(event: evt.Event) -> Iterator[bytes]:
    """Yield a C-STORE's object as a DICOM file (PS3.10), as it was sent."""
    yield b"\0" * 128 + b"DICM" + encode_file_meta(event.file_meta)
    data = event.request.DataSet
    if isinstance(data, Spool):
        yield from data.pieces()
    else:
        yield data.getvalue()


def let_go(event: evt.Event) -> None:
    """Free what a served C-STORE took."""
    event.request.DataSet.close()
