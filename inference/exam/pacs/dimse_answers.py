"""What goes to and comes from a DIMSE peer: identifiers, and what a status or a refusal means in one sentence."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pydicom.dataset import Dataset
from pynetdicom.association import Association

from inference.exam.pacs.dicomweb_answers import day_of
from inference.exam.pacs.model import (
    Connection,
    Instance,
    PacsError,
    PacsUnreachable,
    StudyMatch,
    checked_uid,
)
from inference.exam.pacs.tls import diagnose
from resources.translation import translate

VERIFY = "1.2.840.10008.1.1"
FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{n}" for n in (1, 2, 3))  # Study Root Query/Retrieve
SUCCESS, CANCEL, PART_FAILED = 0x0000, 0xFE00, 0xA702
PENDING = frozenset({0xFF00, 0xFF01})
WARNINGS = frozenset({0xB000, 0xB006, 0xB007})
_MOVE_UNKNOWN = 0xA801
_REJECTED = {(1, 7): "called", (1, 3): "calling", (3, 1): "busy", (3, 2): "busy"}  # PS3.8 9.3.4


def _tr(text: str) -> str:
    return translate("pacs", text)


def check_accepted(connection: Connection, assoc: Association, needed: str) -> None:
    """PacsError when no association came about, or one without the service that is needed."""
    answer = assoc.acceptor.primitive
    # Where a peer takes the association and none of its services, pynetdicom has hung up by itself.
    if not assoc.is_established and (answer is None or answer.result != 0):
        raise _refused(connection, assoc)
    if any(str(context.abstract_syntax) == needed for context in assoc.accepted_contexts):
        return
    name = connection.name
    if needed == GET:
        raise PacsError(_tr("{0}: the PACS does not hand images over by C-GET; choose C-MOVE.").format(name))
    if needed in {FIND, MOVE}:
        words = _tr("{0}: the PACS lets us ({1}) neither search nor fetch; its administrator must allow it.")
        raise PacsError(words.format(name, connection.own_ae_title))
    if needed == VERIFY:
        raise PacsError(
            _tr("{0}: the PACS does not answer C-ECHO; its administrator must allow it.").format(name)
        )


def _refused(connection: Connection, assoc: Association) -> PacsError:
    name, answer = connection.name, assoc.acceptor.primitive
    if answer is None:
        return PacsUnreachable(diagnose(connection))
    why = _REJECTED.get((answer.result_source, answer.diagnostic))
    if why == "called":
        words = _tr("{0}: the PACS is not called {1}; correct its AE title in the connection.")
        return PacsError(words.format(name, connection.ae_title))
    if why == "calling":
        words = _tr(
            "{0}: the PACS does not know us as {1}; its administrator must enter our AE title and address."
        )
        return PacsError(words.format(name, connection.own_ae_title))
    if why == "busy":
        return PacsUnreachable(_tr("{0}: the PACS is busy; try again later.").format(name))
    words = _tr("{0}: the PACS refused the connection of {1}; its administrator can see why.")
    return PacsError(words.format(name, connection.own_ae_title))


def check_status(
    connection: Connection,
    status: Dataset,
    *,
    allowed: Collection[int] = (),
    problems: Sequence[PacsError] = (),
    destination: str = "",
) -> int:
    """Return a status code that is a success or ``allowed``.

    Parameters
    ----------
    problems : what went wrong on our side meanwhile: said rather than the peer's code
    destination : AE title that a C-MOVE was to deliver to

    Raises
    ------
    PacsError
        Any other status; PacsUnreachable when none came.
    """
    name = connection.name
    if "Status" not in status:
        if problems:
            raise problems[-1]
        words = _tr("{0}: the connection was cut or no answer came within {1:g} s; try again or resume.")
        raise PacsUnreachable(words.format(name, connection.timeout_s))
    code = int(status.Status)
    if code == SUCCESS or code in allowed:
        return code
    if problems:
        raise problems[-1]
    if code == _MOVE_UNKNOWN:
        words = _tr(
            "{0}: the PACS does not know {1} as a place to send to; its administrator must enter our AE title, address "
            "and port."
        )
        raise PacsError(words.format(name, destination))
    if code & 0xF000 == 0xC000 or code in {0x0110, 0x0122, 0x0124, 0xA900}:
        words = _tr("{0}: the PACS could not do what was asked (status 0x{1:04X}); ask its administrator.")
    elif code & 0xFF00 == 0xA700:
        words = _tr("{0}: the PACS has no room or is overloaded (status 0x{1:04X}); try again later.")
        raise PacsUnreachable(words.format(name, code))
    else:
        words = _tr("{0}: the PACS refused (status 0x{1:04X}); ask its administrator.")
    raise PacsError(words.format(name, code))


def asked(level: str, **keys: str) -> Dataset:
    """Make the identifier of a search; a value of \'\' asks for the attribute."""
    made = Dataset()
    made.QueryRetrieveLevel = level
    if any(not value.isascii() for value in keys.values()):
        made.SpecificCharacterSet = "ISO_IR 192"
    for name, value in keys.items():
        setattr(made, name, value)
    return made


def of_instances(wanted: Sequence[Instance]) -> Dataset:
    """Make the identifier that fetches these objects of one series."""
    first = wanted[0]
    made = Dataset()
    made.QueryRetrieveLevel = "IMAGE"
    made.StudyInstanceUID = checked_uid(first.study_uid)
    made.SeriesInstanceUID = checked_uid(first.series_uid)
    made.SOPInstanceUID = [checked_uid(one.sop_uid) for one in wanted]
    return made


def text_of(one: Dataset, keyword: str) -> str:
    """Return a value as text, '' where there is none."""
    value = one.get(keyword)
    return "" if value is None else str(value).strip()


def count_of(one: Dataset, keyword: str) -> int | None:
    """Return a number of things, None where the PACS does not tell."""
    text = text_of(one, keyword)
    return int(text) if text.isdigit() else None


def study_of(one: Dataset) -> StudyMatch:
    """Read one study of a search."""
    modalities = one.get("ModalitiesInStudy") or ()
    return StudyMatch(
        study_uid=text_of(one, "StudyInstanceUID"),
        patient_name=text_of(one, "PatientName"),
        patient_id=text_of(one, "PatientID"),
        birth_date=text_of(one, "PatientBirthDate"),
        accession=text_of(one, "AccessionNumber"),
        study_date=day_of(text_of(one, "StudyDate")),
        study_time=text_of(one, "StudyTime"),
        description=text_of(one, "StudyDescription"),
        modalities=(modalities,) if isinstance(modalities, str) else tuple(str(m) for m in modalities),
        series_count=count_of(one, "NumberOfStudyRelatedSeries"),
        instance_count=count_of(one, "NumberOfStudyRelatedInstances"),
    )
