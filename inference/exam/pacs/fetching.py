"""Fetching one study: what of it is wanted, what is here already, several transfers at once, tries again after a cut."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from inference.exam.pacs.model import (
    Cancelled,
    Instance,
    PacsStopped,
    PacsUnreachable,
    Peer,
    StudyMatch,
    wanted_series,
)
from inference.exam.pacs.shelf import NotWanted, Shelf
from resources.translation import translate

BACKOFF_S = (1.0, 4.0, 15.0)

Report = Callable[["Fetched"], None]


def _tr(text: str) -> str:
    return translate("pacs", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """How far a study is: objects here of those wanted, bytes that came just now, and what else is to be said."""

    done: int
    total: int
    new_bytes: int = 0
    sentence: str = ""


def list_wanted(peer: Peer, study_uid: str, *, objects: bool) -> tuple[tuple[Instance, ...], str]:
    """List the objects of a study that are to be fetched.

    Returns
    -------
    The objects, and a sentence where the PACS lists fewer than it says there are.

    Raises
    ------
    NotWanted
        It has none of them.
    """
    series = peer.series(study_uid)
    chosen = wanted_series(series, mammography_only=peer.connection.mammography_only, objects=objects)
    if not chosen:
        found = ", ".join(sorted({one.modality for one in series if one.modality})) or _tr("nothing")
        words = _tr(
            "{0}: expected mammography (MG) in this study, found {1}; allow other images in the connection."
        )
        raise NotWanted(words.format(peer.connection.name, found))
    listed = [(one, peer.instances(one)) for one in chosen]
    wanted = tuple(instance for _one, instances in listed for instance in instances)
    said = sum(max(one.instance_count or 0, len(instances)) for one, instances in listed)
    if said == len(wanted):
        return wanted, ""
    words = _tr("{0}: the PACS says that there are {1} images and lists {2}; its administrator can say why.")
    return wanted, words.format(peer.connection.name, said, len(wanted))


def fetch_study(
    peer: Peer,
    study: StudyMatch,
    shelf: Shelf,
    *,
    objects: bool = False,
    report: Report = lambda _: None,
    cancelled: Cancelled = lambda: False,
    wait: Callable[[float], object] = time.sleep,
    backoff_s: Sequence[float] = BACKOFF_S,
) -> Fetched:
    """Bring a study onto the shelf; what is here whole is not fetched again.

    Parameters
    ----------
    objects : also CAD reports, saved displays and key objects
    wait : waits so many seconds between two tries; may return earlier
    backoff_s : seconds before the second, third, … try; a try that brought something begins the count anew

    Raises
    ------
    PacsStopped
        ``cancelled`` became true.
    PacsError
        It could not be fetched; what came stays on the shelf.
    """
    work = _Work(peer, shelf, report, cancelled)
    tries = 0
    while True:
        before = work.came
        try:
            wanted, note = list_wanted(peer, study.study_uid, objects=objects)
            return replace(work.fetch(wanted), sentence=note)
        except PacsUnreachable as error:
            tries = 1 if work.came > before else tries + 1
            if tries > len(backoff_s) or cancelled():
                raise
            pause = backoff_s[tries - 1]
            work.tell(_tr("{0}  Trying again in {1:.0f} s.").format(error, pause))
            wait(pause)
            if cancelled():
                raise PacsStopped(_tr("Stopped; resume to fetch the rest.")) from error


class _Work:
    def __init__(self, peer: Peer, shelf: Shelf, report: Report, cancelled: Cancelled) -> None:
        self._peer, self._shelf, self._report, self._cancelled = peer, shelf, report, cancelled
        self._lock = threading.Lock()
        self._failed = threading.Event()
        self._total = self._bytes = self._here = 0
        self.came = 0

    def fetch(self, wanted: Sequence[Instance]) -> Fetched:
        lacking = [one for one in wanted if not self._shelf.holds(one.sop_uid, one.study_uid)]
        self._total, self._here = len(wanted), len(wanted) - len(lacking)
        self._failed.clear()
        self.tell("")
        lanes = min(self._peer.parallel, len(lacking))
        if lanes:
            with ThreadPoolExecutor(max_workers=lanes, thread_name_prefix="pacs") as pool:
                results = [pool.submit(self._lane, lacking[lane::lanes]) for lane in range(lanes)]
            errors = [error for error in (one.exception() for one in results) if error is not None]
            if errors:
                raise self._foremost(errors)
        return Fetched(done=self._here, total=self._total, new_bytes=self._bytes)

    def _foremost(self, errors: Sequence[BaseException]) -> BaseException:
        """A refusal says more than the lanes that stopped because of it."""
        if self._cancelled():
            return PacsStopped(_tr("Stopped; resume to fetch the rest."))
        return next((error for error in errors if not isinstance(error, PacsStopped)), errors[0])

    def _lane(self, wanted: Sequence[Instance]) -> None:
        try:
            self._peer.fetch(
                wanted,
                self._shelf,
                arrived=self._arrived,
                cancelled=lambda: self._cancelled() or self._failed.is_set(),
            )
        except BaseException:
            self._failed.set()
            raise

    def _arrived(self, _instance: Instance, size: int) -> None:
        with self._lock:
            self._here += 1
            self.came += 1
            self._bytes += size
        self.tell("")

    def tell(self, sentence: str) -> None:
        with self._lock:
            now = Fetched(done=self._here, total=self._total, new_bytes=self._bytes, sentence=sentence)
        self._report(now)
