"""DICOMweb: QIDO-RS to search, WADO-RS to fetch as stored, STOW-RS to store.

Searching uses dicomweb-client; objects are streamed by us so that bytes stay as stored and a cut is noticed.
"""

from __future__ import annotations

import fnmatch
import logging
import re
import ssl
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests
from dicomweb_client.web import DICOMwebClient
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth

from inference.exam.pacs.dicomweb_answers import all_pages, count_of, study_of, text_of
from inference.exam.pacs.dicomweb_errors import store_failure, told
from inference.exam.pacs.errands import of_studies
from inference.exam.pacs.model import (
    MOST_LISTED,
    Arrived,
    Auth,
    Cancelled,
    Connection,
    Instance,
    Matches,
    PacsStopped,
    Query,
    Sent,
    SeriesMatch,
    StudyMatch,
    check_whole,
    checked_uid,
)
from inference.exam.pacs.multipart import UploadBody, boundary_of, first_part
from inference.exam.pacs.shelf import Shelf
from inference.exam.pacs.tls import client_context
from resources.translation import translate

_CHUNK = 1 << 18
_CONNECT_S = 10.0
_PREVIEW_PX = 360
_MOST_PREVIEW = 16 << 20
# Unpacked: squeezing images that hardly shrink costs a server four times what sending them does.
_AS_STORED = {
    "Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*',
    "Accept-Encoding": "identity",
}
_STUDY_FIELDS = (
    "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "PatientName", "PatientID", "PatientBirthDate",
    "StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
)  # fmt: skip


def _tr(text: str) -> str:
    return translate("pacs", text)


class _Token(AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _NoAuth(AuthBase):
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request  # nothing of ~/.netrc either


class _Session(requests.Session):
    """Leaves ``*`` ``,`` ``^`` ``?`` in queries as they are: allowed there, and some servers do not decode them."""

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        made = super().prepare_request(request)
        head, mark, query = (made.url or "").partition("?")
        for code, plain in (("%2A", "*"), ("%2C", ","), ("%5E", "^"), ("%3F", "?")):
            query = query.replace(code, plain)
        made.url = f"{head}{mark}{query}"
        return made


class _TlsAdapter(HTTPAdapter):
    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> Any:
        kwargs |= {"ssl_context": self._context}
        if not self._context.check_hostname:
            kwargs["assert_hostname"] = False
        return super().init_poolmanager(*args, **kwargs)


class DicomWebPeer:
    """A DICOMweb server; safe for several threads, each call has a session of its own."""

    def __init__(self, connection: Connection, secret: str = "") -> None:
        self._connection, self._secret = connection, secret
        self._root = connection.url.rstrip("/")
        for noisy in ("dicomweb_client", "urllib3", "retrying"):  # their lines hold what was searched for
            logging.getLogger(noisy).setLevel(logging.CRITICAL)

    @property
    def connection(self) -> Connection:
        return self._connection

    @property
    def parallel(self) -> int:
        return self._connection.parallel

    def echo(self) -> str:
        """Search for one study at most, for DICOMweb has no echo: address, certificate and password are right."""
        with self._client() as client:
            client.search_for_studies(limit=1)
        return _tr("{0}: the server answers a search.").format(self._connection.name)

    def studies(self, query: Query) -> Matches:
        found = self._search(query, query.name_pattern)
        if not found and not query.patient_name.isascii():
            # Some servers do not decode what is not ASCII: ask for its ASCII part and choose among the answers.
            pattern = re.sub(r"[^\x00-\x7f]+", "*", query.name_pattern)
            wanted = re.compile(fnmatch.translate(query.name_pattern), re.IGNORECASE)
            found = [one for one in self._search(query, pattern) if wanted.match(one.patient_name)]
        kept = query.of_modality(found)
        return Matches(studies=tuple(kept[: query.limit]), cut=len(found) > query.limit)

    def _search(self, query: Query, name_pattern: str) -> list[StudyMatch]:
        filters = {
            "PatientID": query.patient_id,
            "PatientName": name_pattern,
            "AccessionNumber": query.accession,
            "StudyDate": query.dates,
            "StudyInstanceUID": query.study_uid,
            "ModalitiesInStudy": query.modality,
        }
        with self._client() as client:
            search = partial(
                client.search_for_studies,
                fields=list(_STUDY_FIELDS),
                search_filters={name: value for name, value in filters.items() if value},
            )
            return [study_of(one) for one in all_pages(search, "StudyInstanceUID", most=query.limit + 1)]

    def series(self, study_uid: str) -> tuple[SeriesMatch, ...]:
        with self._client() as client:
            search = partial(
                client.search_for_series,
                checked_uid(study_uid),
                fields=["Modality", "SeriesDescription", "NumberOfSeriesRelatedInstances"],
            )
            found = all_pages(search, "SeriesInstanceUID", most=MOST_LISTED + 1)
            check_whole(self._connection.name, len(found))
            return tuple(
                SeriesMatch(
                    study_uid=study_uid,
                    series_uid=text_of(one, "SeriesInstanceUID"),
                    modality=text_of(one, "Modality"),
                    description=text_of(one, "SeriesDescription"),
                    instance_count=count_of(one, "NumberOfSeriesRelatedInstances"),
                )
                for one in found
            )

    def instances(self, series: SeriesMatch) -> tuple[Instance, ...]:
        with self._client() as client:
            search = partial(
                client.search_for_instances,
                checked_uid(series.study_uid),
                checked_uid(series.series_uid),
                fields=["SOPClassUID", "ImageLaterality", "ViewPosition"],
            )
            found = all_pages(search, "SOPInstanceUID", most=MOST_LISTED + 1, told=series.instance_count)
            check_whole(self._connection.name, len(found))
            return tuple(
                Instance(
                    study_uid=series.study_uid,
                    series_uid=series.series_uid,
                    sop_uid=text_of(one, "SOPInstanceUID"),
                    sop_class=text_of(one, "SOPClassUID"),
                    view=f"{text_of(one, 'ImageLaterality')} {text_of(one, 'ViewPosition')}".strip(),
                )
                for one in found
            )

    def fetch(
        self, wanted: Sequence[Instance], shelf: Shelf, *, arrived: Arrived, cancelled: Cancelled
    ) -> None:
        with self._session() as session:
            for instance in wanted:
                if cancelled():
                    raise PacsStopped(_tr("Stopped; resume to fetch the rest."))
                with closing(self._object(session, instance, cancelled)) as chunks:
                    kept = shelf.put(
                        chunks, sop_uid=instance.sop_uid, wanted=of_studies({instance.study_uid})
                    )
                arrived(instance, kept.size)

    def _object(
        self, session: requests.Session, instance: Instance, cancelled: Cancelled
    ) -> Generator[bytes, None, None]:
        response = session.get(
            self._url_of(instance), headers=_AS_STORED, stream=True, timeout=self._timeouts
        )
        with response, self._sentences():
            response.raise_for_status()
            kind = response.headers.get("Content-Type", "")
            chunks = _watched(response.iter_content(_CHUNK), cancelled)
            if kind.lower().startswith("application/dicom") and "json" not in kind:
                yield from chunks
            else:
                yield from first_part(chunks, boundary_of(kind))

    def store(self, files: Sequence[Path], *, arrived: Callable[[int], None], cancelled: Cancelled) -> Sent:
        stored, refused = 0, []
        with self._session() as session:
            for path in files:
                if cancelled():
                    raise PacsStopped(_tr("Stopped; {0} of {1} files were sent.").format(stored, len(files)))
                problem = self._send(session, path)
                stored += not problem
                refused += [problem] if problem else []
                arrived(path.stat().st_size)
        return Sent(stored=stored, refused=tuple(refused))

    def _send(self, session: requests.Session, path: Path) -> str:
        with path.open("rb") as file:
            body = UploadBody(path, file)
            response = session.post(
                f"{self._root}/studies",
                data=body,
                headers={"Content-Type": body.content_type, "Accept": "application/dicom+json"},
                timeout=self._timeouts,
            )
        said = store_failure(response)
        if said:
            return _tr("{0}: refused by {1} ({2}).").format(path.name, self._connection.name, said)
        response.raise_for_status()
        return ""

    def preview(self, instance: Instance) -> bytes | None:
        with self._session() as session:
            response = session.get(
                f"{self._url_of(instance)}/rendered",
                params={"viewport": f"{_PREVIEW_PX},{_PREVIEW_PX}"},
                headers={"Accept": "image/jpeg"},
                stream=True,
                timeout=self._timeouts,
            )
            with response:
                is_picture = response.headers.get("Content-Type", "").startswith("image/")
                if response.status_code != HTTPStatus.OK or not is_picture:
                    return None  # many servers cannot render lossless syntaxes: the caller decodes by itself
                return response.raw.read(_MOST_PREVIEW, decode_content=True) or None

    # ---- how the server is asked

    def _url_of(self, instance: Instance) -> str:
        study, series, sop = (
            checked_uid(uid) for uid in (instance.study_uid, instance.series_uid, instance.sop_uid)
        )
        return f"{self._root}/studies/{study}/series/{series}/instances/{sop}"

    @property
    def _timeouts(self) -> tuple[float, float]:
        return min(_CONNECT_S, self._connection.timeout_s), self._connection.timeout_s

    @contextmanager
    def _client(self) -> Iterator[DICOMwebClient]:
        with self._session() as session:
            client = DICOMwebClient(self._root, session=session, timeout=self._timeouts, permissive_uid=True)
            client.set_http_retry_params(retry=False)
            yield client

    @contextmanager
    def _session(self) -> Iterator[requests.Session]:
        with self._sentences(), _Session() as session:
            session.trust_env = False  # an intranet server: no proxy and no netrc of the environment
            session.auth = self._auth()
            if self._root.startswith("https://"):
                session.mount("https://", _TlsAdapter(client_context(self._connection)))
                session.verify = self._connection.ca_file or True
            yield session

    def _auth(self) -> AuthBase:
        if self._connection.auth is Auth.PASSWORD:
            return HTTPBasicAuth(self._connection.user.encode(), self._secret.encode())
        return _Token(self._secret) if self._connection.auth is Auth.TOKEN else _NoAuth()

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except (requests.RequestException, ValueError) as error:
            raise told(error, self._connection) from error


def _watched(chunks: Iterator[bytes], cancelled: Cancelled) -> Iterator[bytes]:
    for chunk in chunks:
        if cancelled():
            raise PacsStopped(_tr("Stopped; resume to fetch the rest."))
        yield chunk
