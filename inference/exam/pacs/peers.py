"""Opens a peer by its kind, and lends C-MOVE the listener that it delivers to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from inference.exam.pacs.connections import ConnectionBook, ListenerSettings
from inference.exam.pacs.dicomweb import DicomWebPeer
from inference.exam.pacs.dimse import DimsePeer
from inference.exam.pacs.listener import Listener
from inference.exam.pacs.model import Connection, Kind, Peer
from inference.exam.pacs.shelf import Shelf


class Receiver:
    """The listener of this station: the one that runs, or one for as long as a C-MOVE lasts."""

    def __init__(self, settings: ListenerSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._running: Listener | None = None
        self._lent: dict[str, tuple[Listener, int]] = {}  # by our AE title: the listener and how many use it

    @property
    def running(self) -> Listener | None:
        """The listener that the user started, None when there is none."""
        return self._running

    def start(self, shelf: Shelf) -> Listener:
        """Listen for senders until :meth:`stop`; PacsError when the port cannot be used."""
        with self._lock:
            if self._running is None:
                listener = Listener(self._settings, shelf)
                listener.start()
                self._running = listener
            return self._running

    def change(self, settings: ListenerSettings) -> None:
        """Use other settings from now on; what runs is stopped."""
        self.stop()
        self._settings = settings

    def stop(self) -> None:
        """Listen no more."""
        with self._lock:
            listener, self._running = self._running, None
        if listener is not None:
            listener.stop()

    @contextmanager
    def __call__(self, connection: Connection, shelf: Shelf) -> Iterator[Listener]:
        """Lend a listener that takes what ``connection`` sends, onto ``shelf``."""
        running = self._running
        if running is not None and running.shelf.root == shelf.root:
            yield running
            return
        title = connection.own_ae_title
        with self._lock:
            listener, users = self._lent.get(title, (None, 0))
            if listener is None:
                listener = Listener(self._for(connection), shelf)
                listener.start()
            self._lent[title] = (listener, users + 1)
        try:
            yield listener
        finally:
            with self._lock:
                listener, users = self._lent.pop(title)
                if users > 1:
                    self._lent[title] = (listener, users - 1)
            if users == 1:
                listener.stop()

    def _for(self, connection: Connection) -> ListenerSettings:
        peers = dict(self._settings.peers or {})
        peers.setdefault(connection.ae_title, ())  # a PACS may send from another of its addresses
        return replace(
            self._settings,
            ae_title=connection.own_ae_title,
            peers=peers,
            mammography_only=self._settings.mammography_only and connection.mammography_only,
            cert_file=self._settings.cert_file if connection.tls else "",
        )


def open_peer(connection: Connection, book: ConnectionBook, receiver: Receiver) -> Peer:
    """Return what speaks to a connection; nothing is sent yet."""
    if connection.kind is Kind.DICOMWEB:
        return DicomWebPeer(connection, book.secret(connection))
    return DimsePeer(connection, receiver)
