"""pynetdicom's sockets, closed also where the connection failed or the peer left first, which it forgets."""

from __future__ import annotations

import socket
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket, RequestHandler

_PATIENCE_S = 2.0


class ClosingSocket(AssociationSocket):  # type: ignore[misc]  # pynetdicom is untyped
    """A socket that is closed whatever its state is."""

    def _shutdown_socket(self) -> None:
        super()._shutdown_socket()
        if self.socket is not None:
            self.socket.close()


class Entity(AE):  # type: ignore[misc]  # pynetdicom is untyped
    """An application entity whose calls leave no socket open."""

    def _create_socket(self, assoc: Association, address: Any, tls_args: Any) -> AssociationSocket:
        made = ClosingSocket(assoc, address=address)
        made.tls_args = tls_args
        return made


class ClosingHandler(RequestHandler):  # type: ignore[misc]  # pynetdicom is untyped
    """Takes up an incoming connection with a socket of this kind."""

    def _create_association(self) -> Association:
        made = super()._create_association()
        made.dul.socket.__class__ = ClosingSocket  # a second one would tell the state machine twice
        return made


def close_socket(assoc: Association, raw: socket.socket | None) -> None:
    """Close an association's socket once its thread is done with it, also where the peer hung up first."""
    if assoc.dul.is_alive():
        assoc.dul.join(_PATIENCE_S)
    if raw is not None:
        raw.close()
