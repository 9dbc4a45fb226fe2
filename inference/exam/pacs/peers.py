"""Opens a peer by its kind, and lends C-MOVE the listener that it delivers to.

What is lent takes the objects asked for from the PACS that was asked, and is encrypted where the connection is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from inference.exam.pacs.connections import ConnectionBook, ListenerSettings
from inference.exam.pacs.dicomweb import DicomWebPeer
from inference.exam.pacs.dimse import DimsePeer
from inference.exam.pacs.errands import Errand
from inference.exam.pacs.listener import Listener
from inference.exam.pacs.model import Connection, Kind, PacsError, Peer
from inference.exam.pacs.shelf import Shelf
from resources.translation import translate


def _tr(text: str) -> str:
    return translate("pacs", text)


_Key = tuple[str, bool, Path]  # our AE title, encrypted, where it puts what comes


class Receiver:
    """The listener of this station: the one that runs, or one for as long as a C-MOVE lasts."""

    def __init__(self, settings: ListenerSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._running: Listener | None = None
        self._lent: dict[_Key, tuple[Listener, int]] = {}  # the listener and how many use it

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
    def __call__(
        self,
        connection: Connection,
        shelf: Shelf,
        studies: Mapping[str, str],
        came: Callable[[str, int], None],
    ) -> Iterator[Errand]:
        """Lend a listener that takes what a C-MOVE asks ``connection`` for, onto ``shelf``.

        Parameters
        ----------
        studies : SOP Instance UID of each object that will be asked for -> its study
        came : told of each that came: UID and bytes

        Raises
        ------
        PacsError
            The images would come back unencrypted though the connection is encrypted; or the port is taken.
        """
        running = self._running
        if running is not None and running.shelf.root == shelf.root:
            _must_match(connection, encrypted=running.is_encrypted)
            errand = self._errand(connection, running.ae_title, studies, came)
            with running.expecting(errand):
                yield errand
            return
        _must_match(connection, encrypted=bool(self._settings.cert_file))
        errand = self._errand(connection, connection.own_ae_title, studies, came)
        with self._lend(connection, shelf) as listener, listener.expecting(errand):
            yield errand

    @contextmanager
    def _lend(self, connection: Connection, shelf: Shelf) -> Iterator[Listener]:
        key = (connection.own_ae_title, connection.tls, shelf.root)
        with self._lock:
            listener, users = self._lent.get(key, (None, 0))
            if listener is None:
                listener = Listener(self._for(connection), shelf, lent=True)
                listener.start()
            self._lent[key] = (listener, users + 1)
        try:
            yield listener
        finally:
            with self._lock:
                listener, users = self._lent.pop(key)
                if users > 1:
                    self._lent[key] = (listener, users - 1)
                else:
                    listener.stop()  # before the next one begins, for that needs the same port

    def _for(self, connection: Connection) -> ListenerSettings:
        return replace(
            self._settings,
            ae_title=connection.own_ae_title,
            peers={},  # whoever is asked, as long as it is asked
            mammography_only=False,  # what was asked for has been chosen already
            cert_file=self._settings.cert_file if connection.tls else "",
        )

    def _errand(
        self,
        connection: Connection,
        destination: str,
        studies: Mapping[str, str],
        came: Callable[[str, int], None],
    ) -> Errand:
        named = (self._settings.peers or {}).get(connection.ae_title)
        return Errand(
            destination=destination,
            ae_title=connection.ae_title,
            # a PACS may send from other hosts than it answers at: those are on the list of senders
            hosts=() if named == () else (connection.host, *(named or ())),
            studies=studies,
            came=came,
        )


def _must_match(connection: Connection, *, encrypted: bool) -> None:
    if connection.tls and not encrypted:
        words = _tr(
            "{0}: by C-MOVE the images would come back unencrypted, for our storage service has no certificate; give "
            "it one under Receiving, or choose C-GET."
        )
        raise PacsError(words.format(connection.name))


def open_peer(connection: Connection, book: ConnectionBook, receiver: Receiver) -> Peer:
    """Return what speaks to a connection; nothing is sent yet."""
    if connection.kind is Kind.DICOMWEB:
        return DicomWebPeer(connection, book.secret(connection))
    return DimsePeer(connection, receiver)
