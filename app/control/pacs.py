"""What the PACS screen asks for: search, look, fetch, open, import, receive. Knows no Qt and no protocol.

Long work goes through the task runner or the download queue; answers come back on the caller's thread. What is fetched
holds identity and stays on the station's shelf; a study's cases get it de-identified only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.control.coordination_ports import CaseImport
from app.control.pacs_previews import local_thumbnails, rendered_thumbnail
from app.control.pacs_return import Outcome, send_outcome
from app.control.tasks import TaskContext, TaskRunner
from app.state.thumbnails import Thumbnail
from inference.exam.pacs.connections import ConnectionBook, ListenerSettings
from inference.exam.pacs.model import (
    MAMMOGRAPHY,
    Connection,
    Matches,
    PacsError,
    Peer,
    Query,
    SeriesMatch,
    StudyMatch,
)
from inference.exam.pacs.queue import DownloadQueue, Job, State
from inference.exam.pacs.shelf import Shelf
from resources.files import UserFacingError
from resources.translation import translate

if TYPE_CHECKING:
    from inference.exam.pacs.listener import ListenerStatus
    from inference.exam.pacs.peers import Receiver

log = logging.getLogger(__name__)

_ORDER = {"R CC": 0, "L CC": 1, "R MLO": 2, "L MLO": 3}  # as they hang
PREVIEWS = 4  # of one study: the usual exam
Say = Callable[[str], None]
Importer = Callable[[Path, TaskContext], CaseImport]


def _tr(text: str) -> str:
    return translate("pacs_screen", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Studies that go into a reader study together, once all of them are here."""

    jobs: tuple[int, ...]
    importer: Importer
    done: Callable[[CaseImport], None] = field(repr=False)
    failed: Say = field(repr=False)
    progress: Callable[[float, str], None] = field(repr=False)


class PacsDesk:
    """The PACS of one station, made by ``app.pacs_station``."""

    def __init__(
        self,
        *,
        book: ConnectionBook,
        shelf: Shelf,
        peer_of: Callable[[Connection], Peer],
        receiver: Receiver,
        runner: TaskRunner,
    ) -> None:
        self.book, self.shelf, self._runner, self._receiver = book, shelf, runner, receiver
        self._peer_of = peer_of
        self.queue = DownloadQueue(shelf, lambda name: peer_of(book.connection(name)))
        self._batches: list[Batch] = []

    # ---- connections

    def check(self, connection: Connection, secret: str | None, done: Say, failed: Say) -> None:
        """Keep a connection, then ask it for a sign of life off the UI thread."""

        def work(_context: TaskContext) -> str:
            return self._peer_of(connection).echo()

        try:
            self.book.keep(connection, secret=secret)
        except UserFacingError as error:
            failed(str(error))
            return
        self._runner.submit("pacs.check", work, done, _told(failed))

    # ---- search

    def search(self, name: str, query: Query, done: Callable[[Matches], None], failed: Say) -> None:
        """Search off the UI thread; a newer search drops an older one."""
        self._runner.submit(
            "pacs.search",
            lambda _context: self._peer_of(self.book.connection(name)).studies(query),
            done,
            _told(failed),
        )

    def here(self, study: StudyMatch) -> int:
        """Return how many of a study's objects are on the shelf."""
        return self.shelf.count_of(study.study_uid)

    def preview(
        self, name: str, study: StudyMatch, done: Callable[[str, tuple[Thumbnail, ...]], None]
    ) -> None:
        """Hand over small pictures: decoded where the study is here, else as the PACS renders them.

        A PACS that renders nothing gives one image, which is fetched and kept.
        """

        def work(context: TaskContext) -> tuple[Thumbnail, ...]:
            folder = self.shelf.folder_of(study.study_uid)
            if folder is not None:
                return local_thumbnails(folder)
            return self._remote_thumbnails(name, study, context)

        def failed(error: Exception) -> None:
            log.warning("no preview: %s", type(error).__name__)
            done(study.study_uid, ())

        self._runner.submit("pacs.preview", work, lambda made: done(study.study_uid, made), failed)

    def _remote_thumbnails(self, name: str, study: StudyMatch, context: TaskContext) -> tuple[Thumbnail, ...]:
        peer = self._peer_of(self.book.connection(name))
        series = [one for one in peer.series(study.study_uid) if one.modality == MAMMOGRAPHY]
        found: list[Thumbnail] = []
        for one in series[:PREVIEWS]:
            for instance in peer.instances(one)[: PREVIEWS - len(found)]:
                if context.cancelled():
                    return ()
                picture = peer.preview(instance)
                if picture is None:
                    return self._one_fetched(peer, one, context)
                found.append(
                    rendered_thumbnail(instance.sop_uid, picture, instance.view or str(len(found) + 1))
                )
        return tuple(sorted(found, key=lambda one: _ORDER.get(one.label, len(_ORDER))))

    def _one_fetched(self, peer: Peer, series: SeriesMatch, context: TaskContext) -> tuple[Thumbnail, ...]:
        first = peer.instances(series)[:1]
        peer.fetch(first, self.shelf, arrived=lambda *_: None, cancelled=context.cancelled)
        folder = self.shelf.folder_of(series.study_uid)
        return local_thumbnails(folder) if folder is not None else ()

    # ---- fetch

    def fetch(self, name: str, studies: Sequence[StudyMatch], *, objects: bool) -> tuple[int, ...]:
        """Queue studies; returns their numbers."""
        return tuple(self.queue.add(name, study, objects=objects) for study in studies)

    def fetch_with_earlier(
        self,
        name: str,
        studies: Sequence[StudyMatch],
        *,
        objects: bool,
        done: Callable[[tuple[int, ...]], None],
        failed: Say,
    ) -> None:
        """Queue studies and the same women's earlier mammograms, which the PACS is asked for first."""

        def work(_context: TaskContext) -> tuple[StudyMatch, ...]:
            peer = self._peer_of(self.book.connection(name))
            found = {study.study_uid: study for study in studies}
            for study in studies:
                if study.patient_id:
                    for other in peer.studies(Query(patient_id=study.patient_id)).studies:
                        if _is_earlier(other, study):
                            found.setdefault(other.study_uid, other)
            return tuple(found.values())

        self._runner.submit(
            "pacs.earlier", work, lambda all_: done(self.fetch(name, all_, objects=objects)), _told(failed)
        )

    def folder_to_open(self, job: Job) -> Path | None:
        """The folder of the woman's exams that are here, so that earlier ones hang as priors."""
        folder = job.folder or self.shelf.folder_of(job.study.study_uid)
        return folder.parent if folder is not None else None

    # ---- into a study

    def import_when_here(self, batch: Batch) -> None:
        """Import the studies of some jobs, de-identified, when the last of them is here."""
        self._batches.append(batch)

    @property
    def is_busy(self) -> bool:
        """True while something is fetched or waits to be imported."""
        return bool(self._batches) or any(not job.state.is_over for job in self.queue.jobs())

    def tick(self) -> tuple[Job, ...]:
        """Start what waits for downloads; returns the jobs. Called by the screen a few times a second."""
        jobs = {job.job_id: job for job in self.queue.jobs()}
        for batch in tuple(self._batches):
            own = [jobs[number] for number in batch.jobs if number in jobs]
            if all(job.state.is_over for job in own):
                self._batches.remove(batch)
                self._import(batch, [job for job in own if job.state is State.DONE])
        return tuple(jobs.values())

    def _import(self, batch: Batch, done: Sequence[Job]) -> None:
        if len(done) < len(batch.jobs):
            words = _tr(
                "Nothing was imported: {0} of {1} studies did not come. Resume them, then import again."
            )
            batch.failed(words.format(len(batch.jobs) - len(done), len(batch.jobs)))
            return
        studies = [job.study for job in done]

        def work(context: TaskContext) -> CaseImport:
            with self.shelf.staged(studies) as folder:
                made = batch.importer(folder, context)
            for study in studies:  # what is in the study needs no copy with her name any more
                self.shelf.remove(study.study_uid)
            return replace(made, sentence=f"{made.sentence} {_tr('The copies with names were deleted.')}")

        self._runner.submit("pacs.import", work, batch.done, _told(batch.failed), batch.progress)

    # ---- receive

    @property
    def listener_status(self) -> ListenerStatus | None:
        """What the receiving service has done; None while it does not run."""
        running = self._receiver.running
        return running.status if running is not None else None

    def receive(self, *, on: bool) -> None:
        """Start or stop the receiving service; PacsError when the port cannot be used or nobody is on the list."""
        if not on:
            self._receiver.stop()
            return
        if not self.listener_settings.peers:
            raise PacsError(
                _tr("Receiving: no sender is on the list; enter AE titles under Connections, Receiving.")
            )
        self._receiver.start(self.shelf)

    @property
    def listener_settings(self) -> ListenerSettings:
        """How our own service is set up; PacsError when the file cannot be read."""
        return self.book.listener()

    def keep_listener(self, settings: ListenerSettings) -> None:
        """Keep the set-up; a running service is started anew with it."""
        self.book.keep_listener(settings)
        running = self._receiver.running is not None
        self._receiver.change(settings)
        if running:
            self._receiver.start(self.shelf)

    # ---- back to the PACS

    def send(self, name: str, files: Sequence[Path], cancelled: Callable[[], bool]) -> str:
        """Send files (AI report, display, key images) and return a sentence; PacsError when one did not arrive."""
        sent = self._peer_of(self.book.connection(name)).store(
            files, arrived=lambda _size: None, cancelled=cancelled
        )
        if sent.refused:
            words = _tr("{0} of {1} objects were sent to {2}. {3}")
            raise PacsError(words.format(sent.stored, len(files), name, sent.refused[0]))
        return _tr("{0} objects were sent to {1}.").format(sent.stored, name)

    def give_back(self, name: str, outcome: Outcome, say: Say) -> None:
        """Write what was made of an exam and send it off the UI thread; says in a sentence what became of it."""
        self._runner.submit(
            "pacs.send",
            lambda context: send_outcome(
                outcome, lambda files, cancelled: self.send(name, files, cancelled), context.cancelled
            ),
            say,
            _told(say),
        )

    def close(self) -> None:
        """Stop downloads and the receiving service; what is unfinished is taken up at the next start."""
        self.queue.close()
        self._receiver.stop()


def _is_earlier(other: StudyMatch, than: StudyMatch) -> bool:
    if other.study_uid == than.study_uid or other.patient_id != than.patient_id:
        return False
    return (
        other.study_date is not None and than.study_date is not None and other.study_date <= than.study_date
    )


def _told(say: Say) -> Callable[[Exception], None]:
    def told(error: Exception) -> None:
        if isinstance(error, UserFacingError):
            say(str(error))
            return
        log.error("the PACS screen failed: %s", type(error).__name__)  # its text may hold identity
        say(
            _tr("This failed by a defect of the program ({0}); try again, or report it.").format(
                type(error).__name__
            )
        )

    return told
