"""Our own storage service (SCP): takes what a modality or PACS pushes, and says politely what it does not take.

Owns admission (who, from where, how many, how large, how much in all) and a status to be shown. A lent one takes what
a C-MOVE asked for and nothing else. Where objects go is the shelf's business.
"""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.transport import ThreadedAssociationServer

from inference.exam.pacs.arriving import let_go, pieces_of
from inference.exam.pacs.classes import offered_to_listener
from inference.exam.pacs.connections import ListenerSettings
from inference.exam.pacs.errands import Errand, addresses_of, mammography, of_studies
from inference.exam.pacs.leftovers import INCOMING
from inference.exam.pacs.model import PacsError
from inference.exam.pacs.shelf import AnotherHere, NotWanted, Shelf, ShelfFull, Wanted
from inference.exam.pacs.tls import server_context
from inference.exam.pacs.transport import ClosingHandler
from resources.translation import translate

_VERIFY = "1.2.840.10008.1.1"
_IDLE_S = 60.0
_HANDSHAKE_S = 10.0
_REQUEST_S = 10.0  # a connection that asks for nothing costs two threads so long
_SUCCESS, _NO_ROOM, _NOT_THIS_KIND, _CANNOT = 0x0000, 0xA700, 0xA900, 0xC000  # PS3.4 table B.2-1
_ANOTHER_HERE, _NOT_ASKED_FOR = 0xC111, 0x0124
_PERMANENT, _TRANSIENT = 1, 2
_CALLING_UNKNOWN, _CONGESTION = (1, 3), (3, 1)
_MINUTE_S = 60.0
_MOST_ADDRESSES = 4096


def _tr(text: str) -> str:
    return translate("pacs", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerStatus:
    """What the service has done since it was started; no identity."""

    running: bool = False
    address: str = ""
    received: int = 0
    received_bytes: int = 0
    already_there: int = 0
    refused: int = 0
    last_refusal: str = ""


class Admission:
    """Decides who may open an association; pure but for the clock that is passed in."""

    def __init__(self, settings: ListenerSettings) -> None:
        self._peers: Mapping[str, tuple[str, ...]] = settings.peers or {}
        self._per_minute = settings.per_minute
        self._seen: dict[str, deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()

    def count(self, address: str, now_s: float) -> int:
        """Count a connection of an address; return how many it has had within a minute, this one included."""
        with self._lock:
            seen = self._seen[address]
            seen.append(now_s)
            if len(seen) > 4 * self._per_minute + 1:
                seen.popleft()
            if len(self._seen) > _MOST_ADDRESSES:
                for old in [a for a, times in self._seen.items() if now_s - times[-1] > _MINUTE_S]:
                    del self._seen[old]
            return self._recent(seen, now_s)

    def recent(self, address: str, now_s: float) -> int:
        """Return how many connections an address has had within a minute."""
        with self._lock:
            return self._recent(self._seen[address], now_s)

    @staticmethod
    def _recent(seen: deque[float], now_s: float) -> int:
        while seen and now_s - seen[0] > _MINUTE_S:
            seen.popleft()
        return len(seen)

    def is_known(self, ae_title: str, address: str) -> bool:
        """True when the AE title is on the list and comes from where it may."""
        hosts = self._peers.get(ae_title.strip())
        if hosts is None:
            return False
        return not hosts or address in {one for host in hosts for one in addresses_of(host)}


class Listener:
    """A storage service on one port; start and stop as often as wanted.

    Parameters
    ----------
    lent : takes only what an errand asks for, whoever is on the list of senders
    """

    def __init__(
        self,
        settings: ListenerSettings,
        shelf: Shelf,
        *,
        lent: bool = False,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._shelf, self._lent, self._now_s = settings, shelf, lent, now_s
        self._admission = Admission(settings)
        self._lock = threading.Lock()
        self._status = ListenerStatus()
        self._errands: tuple[Errand, ...] = ()
        self._arriving: dict[int, int] = defaultdict(int)
        self._cut: set[int] = set()  # associations that brought too large an object
        self._server: ThreadedAssociationServer | None = None
        self._ae: AE | None = None
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # its lines hold identifiers

    @property
    def ae_title(self) -> str:
        return self._settings.ae_title

    @property
    def port(self) -> int:
        """The port it listens on; 0 while it does not."""
        return int(self._server.server_address[1]) if self._server is not None else 0

    @property
    def shelf(self) -> Shelf:
        return self._shelf

    @property
    def status(self) -> ListenerStatus:
        with self._lock:
            return self._status

    @property
    def is_encrypted(self) -> bool:
        """True where it speaks TLS and nothing else."""
        return bool(self._settings.cert_file)

    def start(self) -> None:
        """Listen; PacsError when the port is taken or a certificate cannot be read."""
        if self._server is not None:
            return
        settings = self._settings
        tls = server_context(
            settings
        )  # before the port is taken: a certificate that cannot be read leaves nothing open
        ae = AE(ae_title=settings.ae_title)
        ae.require_called_aet = True
        ae.maximum_associations = settings.max_associations
        ae.network_timeout = ae.dimse_timeout = _IDLE_S
        ae.acse_timeout = _REQUEST_S
        ae.supported_contexts = [
            *offered_to_listener(mammography_only=settings.mammography_only),
        ]
        ae.add_supported_context(_VERIFY)
        handlers = [
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_DATA_RECV, self._on_data),
            (evt.EVT_DIMSE_RECV, self._on_message),
            (evt.EVT_CONN_CLOSE, self._on_closed),
            (evt.EVT_C_STORE, self._on_store),
        ]
        try:
            server = ae.make_server(
                (settings.host, settings.port),
                evt_handlers=cast(Any, handlers),
                server_class=_Server,
                request_handler=ClosingHandler,
            )
        except OSError as error:
            words = _tr(
                "Receiving: port {0} at {1} cannot be used ({2}); choose another port or end what uses it."
            )
            raise PacsError(
                words.format(settings.port, settings.host or "*", error.strerror or error)
            ) from error
        server.tls, server.admit, server.spool_folder = tls, self._admit, self._shelf.root / INCOMING
        self._ae, self._server = ae, server
        thread = threading.Thread(target=server.serve_forever, args=(0.2,), name="storage-scp", daemon=True)
        thread.start()
        ae._servers.append(server)
        self._change(running=True, address=f"{settings.host or '*'}:{self.port}")

    def stop(self) -> None:
        """Stop listening and hang up on everybody."""
        server, self._server = self._server, None
        if server is None:
            return
        for assoc in server.active_associations:
            if assoc.is_established:
                assoc.abort()
            else:
                assoc.dul.to_user_queue.put(None)  # it has asked for nothing yet: as if its time were up
        server.shutdown()
        self._change(running=False)

    @contextmanager
    def expecting(self, errand: Errand) -> Iterator[None]:
        """Take and tell of what an errand asks for while the block lasts."""
        with self._lock:
            self._errands = (*self._errands, errand)
        try:
            yield
        finally:
            with self._lock:
                self._errands = tuple(one for one in self._errands if one is not errand)

    # ---- who may come

    def _admit(self, address: str) -> bool:
        """Before a thread is spent on a connection: where politeness would be paid for with threads, hang up."""
        limits = self._settings
        active = len(self._server.active_associations) if self._server is not None else 0
        count = self._admission.count(address, self._now_s())
        if active <= 4 * limits.max_associations and count <= 4 * limits.per_minute:
            return True
        self._refuse(_tr("Too many connections; {0} was hung up on.").format(address))
        return False

    def _on_requested(self, event: evt.Event) -> None:
        assoc = event.assoc
        title = str(assoc.requestor.primitive.calling_ae_title).strip()
        address = str(assoc.requestor.address)
        if not self._is_known(title, address):
            self._refuse(_tr("{0} at {1} is not on the list of senders.").format(title, address))
            self._reject(assoc, _PERMANENT, _CALLING_UNKNOWN)
        elif self._admission.recent(address, self._now_s()) > self._settings.per_minute:
            words = _tr("{0} opened more than {1} connections a minute; it has to wait.")
            self._refuse(words.format(address, self._settings.per_minute))
            self._reject(assoc, _TRANSIENT, _CONGESTION)

    def _is_known(self, title: str, address: str) -> bool:
        errands = [one for one in self._errands if one.ae_title == title]
        if any(one.may_come_from(address) for one in errands):
            return True
        if self._may_push(title, address):
            return True
        words = _tr(
            "{0} wanted to deliver from {1}, which is not its host in the connection; enter it as a sender."
        )
        for one in errands:
            one.problems.append(PacsError(words.format(title, address)))
        return False

    @staticmethod
    def _reject(assoc: Association, result: int, reason: tuple[int, int]) -> None:
        assoc.acse.send_reject(result, *reason)
        evt.trigger(assoc, evt.EVT_REJECTED, {})
        assoc.kill()

    # ---- how much may come

    def _on_data(self, event: evt.Event) -> None:
        key = id(event.assoc)
        if key in self._cut:
            return
        self._arriving[key] += len(event.data)
        if self._arriving[key] > (self._settings.max_object_mb << 20) + (1 << 20):
            self._arriving.pop(key, None)
            self._cut.add(key)
            self._refuse(
                _tr("An object above {0} MB was refused while it arrived.").format(
                    self._settings.max_object_mb
                )
            )
            event.assoc.abort(block=False)

    def _on_message(self, event: evt.Event) -> None:
        self._arriving.pop(id(event.assoc), None)

    def _on_closed(self, event: evt.Event) -> None:
        self._cut.discard(id(event.assoc))
        self._arriving.pop(id(event.assoc), None)
        event.assoc.dimse.drop()

    # ---- what may come

    def _on_store(self, event: evt.Event) -> int:
        try:
            return self._store(event)
        finally:
            let_go(event)

    def _store(self, event: evt.Event) -> int:
        sop_uid = str(event.request.AffectedSOPInstanceUID)
        sender = str(event.assoc.requestor.primitive.calling_ae_title).strip()
        asking = [one for one in self._errands if one.ae_title == sender]
        errands = [one for one in asking if sop_uid in one.studies]
        pushes = self._may_push(sender, str(event.assoc.requestor.address))
        if not errands and not pushes:
            sentence = _tr("An object that was not asked for was refused.")
            for one in asking:
                one.problems.append(NotWanted(sentence))
            self._refuse(sentence)
            return _NOT_ASKED_FOR
        try:
            kept = self._shelf.put(
                pieces_of(event),
                sop_uid=sop_uid,
                max_bytes=self._settings.max_object_mb << 20,
                wanted=self._rule(sop_uid, errands, pushes=pushes),
            )
        except PacsError as error:
            for one in errands:
                one.problems.append(error)
            self._refuse(str(error))
            return _code_of(error)
        with self._lock:
            now = self._status
            self._status = replace(
                now,
                received=now.received + kept.is_new,
                received_bytes=now.received_bytes + (kept.size if kept.is_new else 0),
                already_there=now.already_there + (not kept.is_new),
            )
        for one in errands:
            if one.studies[sop_uid] == kept.study_uid:  # a sender may push it in another study meanwhile
                one.came(kept.sop_uid, kept.size)
        return _SUCCESS

    def _may_push(self, title: str, address: str) -> bool:
        """True for who may deliver unasked; a lent service takes what was asked for only."""
        return not self._lent and self._admission.is_known(title, address)

    def _rule(self, sop_uid: str, errands: Sequence[Errand], *, pushes: bool) -> Wanted:
        if not pushes:
            return of_studies({one.studies[sop_uid] for one in errands})
        return mammography if self._settings.mammography_only else lambda _header: None

    def _refuse(self, sentence: str) -> None:
        with self._lock:
            self._status = replace(self._status, refused=self._status.refused + 1, last_refusal=sentence)

    def _change(self, **what: Any) -> None:
        with self._lock:
            self._status = replace(self._status, **what)


def _code_of(error: PacsError) -> int:
    if isinstance(error, ShelfFull):
        return _NO_ROOM
    if isinstance(error, AnotherHere):
        return _ANOTHER_HERE
    return _NOT_THIS_KIND if isinstance(error, NotWanted) else _CANNOT


class _Server(ThreadedAssociationServer):  # type: ignore[misc]  # pynetdicom is untyped
    """Shakes hands in the connection's own thread, so that a silent caller keeps nobody waiting."""

    tls: ssl.SSLContext | None = None
    spool_folder: Path | None = None
    admit: Callable[[str], bool] = staticmethod(lambda _address: True)

    def verify_request(self, _request: Any, client_address: Any) -> bool:
        return self.admit(str(client_address[0]))

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        if self.tls is not None:
            request.settimeout(_HANDSHAKE_S)
            try:
                request = self.tls.wrap_socket(request, server_side=True)
            except OSError:
                self.shutdown_request(request)
                return
            request.settimeout(_IDLE_S)
        super().process_request_thread(request, client_address)

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """A connection that breaks off is the peer's matter: nothing is printed."""
