"""DIMSE: C-ECHO, C-FIND, C-GET or C-MOVE, C-STORE with pynetdicom, plain or over TLS.

Objects go to the shelf, and files go out, as they are encoded: nothing is transcoded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pynetdicom import _config, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context, build_role

from inference.exam.pacs.arriving import let_go, pieces_of
from inference.exam.pacs.classes import asked_of_getter
from inference.exam.pacs.dimse_answers import (
    CANCEL,
    FIND,
    GET,
    MOVE,
    PART_FAILED,
    PENDING,
    SUCCESS,
    VERIFY,
    WARNINGS,
    asked,
    check_accepted,
    check_status,
    count_of,
    of_instances,
    study_of,
    text_of,
)
from inference.exam.pacs.errands import Errand, of_studies
from inference.exam.pacs.leftovers import INCOMING
from inference.exam.pacs.model import (
    MOST_LISTED,
    Arrived,
    Cancelled,
    Connection,
    Instance,
    Matches,
    PacsError,
    PacsStopped,
    PacsUnreachable,
    Query,
    Retrieve,
    Sent,
    SeriesMatch,
    check_whole,
    checked_uid,
)
from inference.exam.pacs.shelf import Shelf
from inference.exam.pacs.tls import client_context, diagnose
from inference.exam.pacs.transport import Entity, close_socket
from resources.translation import translate

_MOVING = frozenset({*PENDING, *WARNINGS, PART_FAILED, CANCEL})
_MOVE_BATCH = 50  # UIDs of one C-MOVE: a longer list may not fit what peers read

_NOT_ASKED_FOR = 0x0124

# Listens while the block lasts for what a peer delivers for a C-MOVE: objects by UID with their study; who is told.
Receiving = Callable[
    [Connection, Shelf, Mapping[str, str], Callable[[str, int], None]], AbstractContextManager[Errand]
]


def _tr(text: str) -> str:
    return translate("pacs", text)


class DimsePeer:
    """A DIMSE peer; every call opens an association of its own.

    Parameters
    ----------
    receiving : gives the listener that C-MOVE delivers to
    """

    def __init__(self, connection: Connection, receiving: Receiving) -> None:
        self._connection, self._receiving = connection, receiving
        _config.STORE_SEND_CHUNKED_DATASET = True  # files go out byte for byte
        for noisy in ("pynetdicom", "pydicom"):  # their debug lines hold identifiers
            logging.getLogger(noisy).setLevel(logging.CRITICAL)

    @property
    def connection(self) -> Connection:
        return self._connection

    @property
    def parallel(self) -> int:
        return 1 if self._connection.retrieve is Retrieve.MOVE else self._connection.parallel

    def echo(self) -> str:
        with self._association([build_context(VERIFY)]) as assoc:
            check_status(self._connection, assoc.send_c_echo())
        return _tr("{0}: the PACS answers.").format(self._connection.name)

    # ---- search

    def studies(self, query: Query) -> Matches:
        keys = asked("STUDY", StudyDate=query.dates, StudyTime="", AccessionNumber=query.accession,
                       PatientName=query.name_pattern, PatientID=query.patient_id, PatientBirthDate="",
                       StudyInstanceUID=query.study_uid, StudyDescription="", ModalitiesInStudy=query.modality,
                       NumberOfStudyRelatedSeries="", NumberOfStudyRelatedInstances="")  # fmt: skip
        found, cut = self._find(keys, query.limit)
        studies = query.of_modality([study_of(one) for one in found])
        return Matches(studies=tuple(studies), cut=cut)

    def series(self, study_uid: str) -> tuple[SeriesMatch, ...]:
        keys = asked("SERIES", StudyInstanceUID=checked_uid(study_uid), SeriesInstanceUID="", Modality="",
                       SeriesDescription="", NumberOfSeriesRelatedInstances="")  # fmt: skip
        return tuple(
            SeriesMatch(
                study_uid=study_uid,
                series_uid=text_of(one, "SeriesInstanceUID"),
                modality=text_of(one, "Modality"),
                description=text_of(one, "SeriesDescription"),
                instance_count=count_of(one, "NumberOfSeriesRelatedInstances"),
            )
            for one in self._find_all(keys)
        )

    def instances(self, series: SeriesMatch) -> tuple[Instance, ...]:
        keys = asked("IMAGE", StudyInstanceUID=checked_uid(series.study_uid),
                       SeriesInstanceUID=checked_uid(series.series_uid), SOPInstanceUID="", SOPClassUID="")  # fmt: skip
        return tuple(
            Instance(
                study_uid=series.study_uid,
                series_uid=series.series_uid,
                sop_uid=text_of(one, "SOPInstanceUID"),
                sop_class=text_of(one, "SOPClassUID"),
            )
            for one in self._find_all(keys)
        )

    def _find_all(self, asked: Dataset) -> list[Dataset]:
        """Return a whole list; PacsError where the PACS gives a part of it."""
        found, cut = self._find(asked, MOST_LISTED)
        check_whole(self._connection.name, len(found), cut=cut)
        return found

    def _find(self, asked: Dataset, limit: int) -> tuple[list[Dataset], bool]:
        found: list[Dataset] = []
        cut = False
        with self._association([build_context(FIND)]) as assoc:
            for status, identifier in assoc.send_c_find(asked, FIND):
                code = check_status(self._connection, status, allowed={*PENDING, CANCEL})
                cut |= code == CANCEL  # nobody cancelled: so a PACS ends a list that is longer than it gives
                if code not in PENDING or identifier is None:
                    continue
                if len(found) == limit:
                    # A peer may pour out ten thousand answers before it heeds a cancel: hang up instead.
                    assoc.abort()
                    return found, True
                found.append(identifier)
        return found, cut

    # ---- fetch

    def fetch(
        self, wanted: Sequence[Instance], shelf: Shelf, *, arrived: Arrived, cancelled: Cancelled
    ) -> None:
        if not wanted:
            return
        if self._connection.retrieve is Retrieve.MOVE:
            self._move(wanted, shelf, arrived=arrived, cancelled=cancelled)
        else:
            self._get(wanted, shelf, arrived=arrived, cancelled=cancelled)

    def _get(
        self, wanted: Sequence[Instance], shelf: Shelf, *, arrived: Arrived, cancelled: Cancelled
    ) -> None:
        problems: list[PacsError] = []
        sizes: dict[str, int] = {}

        studies = {one.sop_uid: one.study_uid for one in wanted}

        def keep(event: evt.Event) -> int:
            sop_uid = str(event.request.AffectedSOPInstanceUID)
            if sop_uid not in studies:
                return _NOT_ASKED_FOR
            try:
                kept = shelf.put(pieces_of(event), sop_uid=sop_uid, wanted=of_studies({studies[sop_uid]}))
            except PacsError as error:
                problems.append(error)
                return 0xA700
            finally:
                let_go(event)
            sizes[kept.sop_uid] = kept.size
            return SUCCESS

        storage = asked_of_getter([one.sop_class for one in wanted])
        roles = [
            build_role(uid, scp_role=True) for uid in dict.fromkeys(str(c.abstract_syntax) for c in storage)
        ]
        contexts = [build_context(GET), *storage]
        with self._association(
            contexts, roles=roles, handlers=[(evt.EVT_C_STORE, keep)], needed=GET, spool=shelf.root / INCOMING
        ) as assoc:
            for instance in wanted:
                if cancelled():
                    raise PacsStopped(_tr("Stopped; resume to fetch the rest."))
                code = SUCCESS
                for status, _identifier in assoc.send_c_get(of_instances([instance]), GET):
                    code = check_status(
                        self._connection,
                        status,
                        allowed={*PENDING, *WARNINGS, PART_FAILED, CANCEL},
                        problems=problems,
                    )
                self._expect(shelf, [instance], code, problems)
                arrived(instance, sizes.get(instance.sop_uid, 0))

    def _move(
        self, wanted: Sequence[Instance], shelf: Shelf, *, arrived: Arrived, cancelled: Cancelled
    ) -> None:
        awaited = {instance.sop_uid: instance for instance in wanted}
        studies = {instance.sop_uid: instance.study_uid for instance in wanted}

        def came(sop_uid: str, size: int) -> None:
            if sop_uid in awaited:
                arrived(awaited.pop(sop_uid), size)

        with (
            self._receiving(self._connection, shelf, studies, came) as errand,
            self._association([build_context(MOVE)]) as assoc,
        ):
            for series in dict.fromkeys(one.series_uid for one in wanted):
                own = [one for one in wanted if one.series_uid == series]
                for start in range(0, len(own), _MOVE_BATCH):
                    batch = own[start : start + _MOVE_BATCH]
                    code = self._move_batch(assoc, batch, errand, cancelled)
                    self._expect(shelf, batch, code, errand.problems)

    def _move_batch(
        self, assoc: Association, batch: Sequence[Instance], errand: Errand, cancelled: Cancelled
    ) -> int:
        code = SUCCESS
        for status, _identifier in assoc.send_c_move(of_instances(batch), errand.destination, MOVE):
            if cancelled():
                assoc.abort()
                raise PacsStopped(_tr("Stopped; resume to fetch the rest."))
            code = check_status(
                self._connection,
                status,
                allowed=_MOVING,
                problems=errand.problems,
                destination=errand.destination,
            )
        return code

    def _expect(
        self, shelf: Shelf, wanted: Sequence[Instance], code: int, problems: Sequence[PacsError]
    ) -> None:
        lacking = sum(not shelf.holds(one.sop_uid, one.study_uid) for one in wanted)
        if not lacking:
            return
        if problems:
            raise problems[-1]
        words = _tr(
            "{0}: {1} of {2} images did not come (status 0x{3:04X}); ask the administrator of the PACS."
        )
        raise PacsError(words.format(self._connection.name, lacking, len(wanted), code))

    # ---- store

    def store(self, files: Sequence[Path], *, arrived: Callable[[int], None], cancelled: Cancelled) -> Sent:
        contexts, refused, good = self._contexts_of(files)
        stored = 0
        if not good:
            return Sent(stored=0, refused=tuple(refused))
        with self._association(contexts) as assoc:
            for path in good:
                if cancelled():
                    raise PacsStopped(_tr("Stopped; {0} of {1} files were sent.").format(stored, len(files)))
                try:
                    status = assoc.send_c_store(path)
                except ValueError:  # no context was accepted for its class and encoding
                    words = _tr("{0}: {1} does not take this kind of object or its encoding.")
                    refused.append(words.format(path.name, self._connection.name))
                    continue
                code = check_status(self._connection, status, allowed=range(0x10000))
                if code == SUCCESS or code in WARNINGS:
                    stored += 1
                else:
                    said = f"0x{code:04X}"
                    refused.append(
                        _tr("{0}: refused by {1} ({2}).").format(path.name, self._connection.name, said)
                    )
                arrived(path.stat().st_size)
        return Sent(stored=stored, refused=tuple(refused))

    def _contexts_of(self, files: Sequence[Path]) -> tuple[list[PresentationContext], list[str], list[Path]]:
        pairs: dict[tuple[str, str], None] = {}
        refused, good = [], []
        for path in files:
            try:
                meta = read_file_meta_info(path)
                pairs[str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)] = None
            except (OSError, AttributeError, InvalidDicomError) as error:
                words = _tr("{0}: expected a DICOM file, found none ({1}); it was not sent.")
                refused.append(words.format(path.name, type(error).__name__))
                continue
            good.append(path)
        return [build_context(one, syntax) for one, syntax in list(pairs)[:128]], refused, good

    def preview(self, instance: Instance) -> bytes | None:  # noqa: ARG002 - DIMSE has no rendered images
        return None

    # ---- association

    @contextmanager
    def _association(
        self,
        contexts: list[PresentationContext],
        *,
        roles: Sequence[Any] = (),
        handlers: Sequence[Any] = (),
        needed: str = "",
        spool: Path | None = None,
    ) -> Iterator[Association]:
        link = self._connection
        ae = Entity(ae_title=link.own_ae_title)
        ae.spool_folder = spool
        ae.acse_timeout = ae.dimse_timeout = link.timeout_s
        ae.network_timeout = 2 * link.timeout_s
        ae.connection_timeout = min(10.0, link.timeout_s)
        tls = (client_context(link), link.host) if link.tls else None
        try:
            assoc = ae.associate(
                link.host, link.port, contexts=contexts, ae_title=link.ae_title, ext_neg=list(roles),
                tls_args=tls, evt_handlers=list(handlers),
            )  # fmt: skip
        except OSError as error:  # the host's name leads nowhere
            raise PacsUnreachable(diagnose(link)) from error
        raw = assoc.dul.socket.socket if assoc.dul.socket is not None else None
        try:
            check_accepted(link, assoc, needed or str(contexts[0].abstract_syntax))
            yield assoc
        except BaseException:
            if assoc.is_established:
                assoc.abort()  # the peer may be in the middle of handing images over: nothing to release politely
            raise
        finally:
            if assoc.is_established:
                assoc.release()
            close_socket(assoc, raw)
