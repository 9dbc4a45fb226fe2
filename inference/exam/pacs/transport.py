"""pynetdicom's sockets, closed also where the connection failed or the peer left first, which it forgets.

Entities and handlers that are given a folder let arriving objects go there instead of into memory.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket, RequestHandler

from inference.exam.pacs.arriving import spool

_PATIENCE_S = 2.0


class ClosingSocket(AssociationSocket):  # type: ignore[misc]  # pynetdicom is untyped
    """A socket that is closed whatever its state is."""

    def _shutdown_socket(self) -> None:
        super()._shutdown_socket()
        if self.socket is not None:
            self.socket.close()


class Entity(AE):  # type: ignore[misc]  # pynetdicom is untyped
    """An application entity whose calls leave no socket open."""

    spool_folder: Path | None = None

    def _create_socket(self, assoc: Association, address: Any, tls_args: Any) -> AssociationSocket:
        if self.spool_folder is not None:
            spool(assoc, self.spool_folder)
        made = ClosingSocket(assoc, address=address)
        made.tls_args = tls_args
        return made


class ClosingHandler(RequestHandler):  # type: ignore[misc]  # pynetdicom is untyped
    """Takes up an incoming connection with a socket of this kind."""

    def _create_association(self) -> Association:
        made = super()._create_association()
        made.dul.socket.__class__ = ClosingSocket  # a second one would tell the state machine twice
        folder = getattr(self.server, "spool_folder", None)
        if folder is not None:
            spool(made, folder)
        return made


def close_socket(assoc: Association, raw: socket.socket | None) -> None:
    """Close an association's socket once its thread is done with it, also where the peer hung up first."""
    if assoc.dul.is_alive():
        assoc.dul.join(_PATIENCE_S)
    if raw is not None:
        raw.close()
