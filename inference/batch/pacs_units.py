"""The units of a PACS search: which connection, what to ask for, and fetching each study before it is analysed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from platformdirs import user_config_path, user_data_path

from inference.batch.units import Listing, Unit, fetched, list_pacs
from inference.exam.pacs.connections import ConnectionBook
from inference.exam.pacs.model import Query
from inference.exam.pacs.peers import Receiver, open_peer
from inference.exam.pacs.shelf import Shelf
from inference.exam.types import InferenceError

_LIMIT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PacsOrder:
    """What to search for; '' = any."""

    patient_id: str = ""
    accession: str = ""
    since: str = ""
    until: str = ""
    shelf: Path | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of what is searched for; where the images are kept is no part of it."""
        asked = (self.patient_id, self.accession, self.since, self.until)
        return hashlib.sha256(json.dumps(asked).encode("utf-8")).hexdigest()


def open_pacs(
    name: str, order: PacsOrder, cancelled: Callable[[], bool], note: Callable[[str], None]
) -> tuple[Listing, Callable[[Unit], Unit]]:
    """Search a connection of this station; returns its studies and what fetches one.

    Raises
    ------
    PacsError
        No such connection, or it does not answer.
    InferenceError
        A date is none.
    """
    named = os.environ.get("NEGATOSCOPE_HOME")  # as the rest of the program finds its folders
    config = Path(named) / "config" if named else user_config_path("negatoscope", appauthor=False)
    home = Path(named) if named else user_data_path("negatoscope", appauthor=False)
    book = ConnectionBook(config)
    peer = open_peer(book.connection(name), book, Receiver(book.listener()))
    place = order.shelf or home / "pacs"
    place.mkdir(parents=True, exist_ok=True)
    shelf = Shelf(place, quota_bytes=round(book.listener().quota_gb * 1e9))
    query = Query(
        patient_id=order.patient_id,
        accession=order.accession,
        first=_day(order.since),
        last=_day(order.until),
        limit=_LIMIT,
    )
    listing = list_pacs(peer, query, name)
    return listing, lambda unit: fetched(unit, peer, shelf, cancelled, note)


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InferenceError(f"Date: expected yyyy-mm-dd, found {text!r}.") from error
