"""What was asked for and from whom, and the checks of what comes against it. Nothing here listens or writes."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from inference.exam.pacs.model import MAMMOGRAPHY, OBJECT_MODALITIES, PacsError
from inference.exam.pacs.shelf import NotWanted, Wanted
from resources.translation import translate


def _tr(text: str) -> str:
    return translate("pacs", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What one C-MOVE asked a PACS to deliver.

    Attributes
    ----------
    destination : our AE title that the PACS delivers to.
    ae_title, hosts : who may deliver it and from where; () = any address.
    studies : SOP Instance UID of each object -> its study.
    came : told of each object (SOP Instance UID, bytes).
    problems : what went wrong on our side, in sentences.
    """

    destination: str
    ae_title: str
    hosts: tuple[str, ...]
    studies: Mapping[str, str] = field(repr=False)
    came: Callable[[str, int], None] = field(repr=False)
    problems: list[PacsError] = field(default_factory=list, repr=False)

    def may_come_from(self, address: str) -> bool:
        """True when the PACS may deliver from an address."""
        return not self.hosts or address in {one for host in self.hosts for one in addresses_of(host)}


def of_studies(studies: Collection[str]) -> Wanted:
    """Return a check that takes objects of these studies only."""

    def check(header: Mapping[str, str]) -> None:
        if header["StudyInstanceUID"] not in studies:
            raise NotWanted(
                _tr("PACS: expected an object of the study asked for, found one of another; it was not kept.")
            )

    return check


def mammography(header: Mapping[str, str]) -> None:
    """Take mammograms, their reports and saved displays only."""
    if header["Modality"] not in {MAMMOGRAPHY, *OBJECT_MODALITIES}:
        raise NotWanted(_tr("An object that is no mammography was refused."))


def addresses_of(host: str) -> set[str]:
    """Return a host and the addresses that its name leads to."""
    try:
        return {host, *(str(row[4][0]) for row in socket.getaddrinfo(host, None))}
    except OSError:
        return {host}
