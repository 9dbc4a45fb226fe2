"""The nouns of the PACS: how one is reached, what is asked, what it holds, and what can go wrong.

Nothing here opens a connection. Identity (names, ids) is in these objects and is never logged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from inference.exam.types import InferenceError
from resources.translation import translate

if TYPE_CHECKING:
    from inference.exam.pacs.shelf import Shelf

MAMMOGRAPHY = "MG"
OBJECT_MODALITIES = ("SR", "PR", "KO")  # CAD reports, saved displays, key objects
MATCH_LIMIT = 500
MOST_LISTED = 10_000  # series of a study, objects of a series
_AE_TITLE = re.compile(
    r"[\x21-\x5b\x5d-\x7e](?:[\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?"
)  # PS3.5 6.2
_UID = re.compile(r"[0-9.]{1,64}")


def _tr(text: str) -> str:
    return translate("pacs", text)


class PacsError(InferenceError):
    """A PACS cannot be asked, or said no; the text is one sentence for the user."""


class PacsUnreachable(PacsError):
    """The connection failed or was cut: trying again may help."""


class PacsStopped(PacsError):
    """The user cancelled."""


class Kind(StrEnum):
    """How a PACS is spoken to."""

    DICOMWEB = "dicomweb"
    DIMSE = "dimse"


class Retrieve(StrEnum):
    """How a DIMSE peer hands images over."""

    GET = "get"  # on our own association
    MOVE = "move"  # the peer opens one to our listener


class Auth(StrEnum):
    """How a DICOMweb server knows us."""

    NONE = "none"
    PASSWORD = "password"
    TOKEN = "token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One PACS as the settings keep it; the password or token lies elsewhere.

    Attributes
    ----------
    name : what the user calls it; unique among the connections.
    url : DICOMweb root, e.g. ``https://pacs.example.org/dicom-web``.
    ae_title, host, port : the DIMSE peer.
    own_ae_title : how we call ourselves to a DIMSE peer.
    tls : DIMSE over TLS; DICOMweb takes it from the URL.
    ca_file : PEM of the authority that signed the peer's certificate; '' = the system's authorities.
    cert_file, key_file : our certificate and its key (PEM, key without password) where the peer wants one.
    check_host : the certificate must bear the peer's host name; off where hospital certificates bear an AE title.
    timeout_s : how long an answer may take, 1..600 s.
    parallel : transfers at once, 1..8.
    mammography_only : ask for modality MG only.
    """

    name: str
    kind: Kind = Kind.DICOMWEB
    url: str = ""
    auth: Auth = Auth.NONE
    user: str = ""
    ae_title: str = ""
    host: str = ""
    port: int = 104
    own_ae_title: str = "NEGATOSCOPE"
    retrieve: Retrieve = Retrieve.GET
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    check_host: bool = True
    timeout_s: float = 30.0
    parallel: int = 3
    mammography_only: bool = True

    def __post_init__(self) -> None:
        if not self.name.strip() or len(self.name) > 64:
            raise ValueError(_tr("name: expected 1 to 64 characters, found {0!r}").format(self.name))
        if not 1 <= self.timeout_s <= 600:
            raise ValueError(_tr("timeout_s: expected 1 to 600, found {0}").format(self.timeout_s))
        if not 1 <= self.parallel <= 8:
            raise ValueError(_tr("parallel: expected 1 to 8, found {0}").format(self.parallel))
        if self.kind is Kind.DICOMWEB:
            if not re.match(r"https?://[^/\s]+", self.url):
                words = _tr("url: expected http:// or https:// with a host, found {0!r}")
                raise ValueError(words.format(self.url))
            return
        for title in (self.ae_title, self.own_ae_title):
            if not _AE_TITLE.fullmatch(title):
                words = _tr("AE title: expected 1 to 16 plain characters without backslash, found {0!r}")
                raise ValueError(words.format(title))
        if not self.host.strip() or not 1 <= self.port <= 65535:
            words = _tr("host and port: expected a host and 1 to 65535, found {0!r} and {1}")
            raise ValueError(words.format(self.host, self.port))

    @property
    def is_encrypted(self) -> bool:
        """True where nobody on the way can read passwords and images."""
        return self.url.startswith("https://") if self.kind is Kind.DICOMWEB else self.tls


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to search for; empty means any. ``*`` and ``?`` stand for any text and any character."""

    patient_id: str = ""
    patient_name: str = ""
    accession: str = ""
    first: date | None = None  # study dates, both ends included; None = open
    last: date | None = None
    study_uid: str = ""
    modality: str = MAMMOGRAPHY  # "" = any
    limit: int = MATCH_LIMIT

    @property
    def dates(self) -> str:
        """The range as DICOM writes it (PS3.4 C.2.2.2.5), '' for any date."""
        if self.first is None and self.last is None:
            return ""
        first, last = (f"{day:%Y%m%d}" if day else "" for day in (self.first, self.last))
        return first if first == last else f"{first}-{last}"

    @property
    def name_pattern(self) -> str:
        """The name as a PACS matches it: what was typed is its beginning."""
        name = self.patient_name.strip()
        return name if not name or "*" in name or "?" in name else f"{name}*"

    def of_modality(self, found: Sequence[StudyMatch]) -> list[StudyMatch]:
        """Return the studies of the wanted modality; one that tells none is kept. Servers may ignore the key."""
        return [
            one for one in found if not (self.modality and one.modalities) or self.modality in one.modalities
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyMatch:
    """A study that the PACS holds; counts are None where it does not tell."""

    study_uid: str
    patient_name: str = field(default="", repr=False)
    patient_id: str = field(default="", repr=False)
    birth_date: str = field(default="", repr=False)
    accession: str = field(default="", repr=False)
    study_date: date | None = None
    study_time: str = ""
    description: str = ""
    modalities: tuple[str, ...] = ()
    series_count: int | None = None
    instance_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """Answer of a search; ``cut`` tells that the PACS holds more than was asked for."""

    studies: tuple[StudyMatch, ...]
    cut: bool = False

    @property
    def sentence(self) -> str:
        """What the search found, in one sentence."""
        if not self.studies and self.cut:
            return _tr(
                "More studies match than the PACS lists, and none of those listed is shown; narrow the search."
            )
        if not self.studies:
            return _tr(
                "Nothing found; search with fewer letters, a wider range of dates, or another connection."
            )
        if self.cut:
            words = _tr("More than {0} studies match and the first {0} are shown; narrow the search.")
            return words.format(len(self.studies))
        return _tr("{0} studies found.").format(len(self.studies))


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesMatch:
    """A series of a study."""

    study_uid: str
    series_uid: str
    modality: str = ""
    description: str = ""
    instance_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One object of a series, as much as is needed to fetch it."""

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str = ""
    view: str = ""  # e.g. "R CC", where the PACS tells


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of files sent: how many arrived, and a sentence for each that did not."""

    stored: int
    refused: tuple[str, ...] = ()


Arrived = Callable[[Instance, int], None]  # an object lies on the shelf; its size in bytes
Cancelled = Callable[[], bool]


class Peer(Protocol):
    """A PACS that answers. Every method raises PacsError with one sentence, PacsUnreachable where retrying may help."""

    @property
    def connection(self) -> Connection:
        """How it is reached."""
        ...

    @property
    def parallel(self) -> int:
        """How many transfers may run at once."""
        ...

    def echo(self) -> str:
        """Check address, certificate and password; return a sentence."""
        ...

    def studies(self, query: Query) -> Matches:
        """Search."""
        ...

    def series(self, study_uid: str) -> tuple[SeriesMatch, ...]:
        """List all series of a study."""
        ...

    def instances(self, series: SeriesMatch) -> tuple[Instance, ...]:
        """List the objects of a series."""
        ...

    def fetch(
        self, wanted: Sequence[Instance], shelf: Shelf, *, arrived: Arrived, cancelled: Cancelled
    ) -> None:
        """Bring objects onto the shelf as they are stored in the PACS, without transcoding."""
        ...

    def store(self, files: Sequence[Path], *, arrived: Callable[[int], None], cancelled: Cancelled) -> Sent:
        """Send files."""
        ...

    def preview(self, instance: Instance) -> bytes | None:
        """Return a small picture (PNG or JPEG) that the PACS makes; None where it makes none."""
        ...


def checked_uid(uid: str) -> str:
    """Return a UID that may go into a query or URL; PacsError when it is none."""
    if not _UID.fullmatch(uid):
        raise PacsError(_tr("PACS: expected a UID of digits and dots, found another value; search again."))
    return uid


def check_whole(name: str, count: int, *, cut: bool = False) -> None:
    """PacsError where the list of what a study holds is not whole: a part would be taken for the exam."""
    if cut or count > MOST_LISTED:
        words = _tr(
            "{0}: the PACS lists a part of this study only ({1} entries); its administrator can allow longer lists."
        )
        raise PacsError(words.format(name, min(count, MOST_LISTED)))


def wanted_series(
    series: Sequence[SeriesMatch], *, mammography_only: bool, objects: bool
) -> tuple[SeriesMatch, ...]:
    """Choose what of a study is fetched: mammography, and reports and saved displays where asked for."""
    if not mammography_only:
        return tuple(series)
    kept = {MAMMOGRAPHY, *(OBJECT_MODALITIES if objects else ())}
    return tuple(one for one in series if one.modality in kept)
