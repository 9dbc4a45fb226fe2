"""The download queue: studies one after the other or two at once, with progress, cancel and resume.

What is unfinished is remembered beside the shelf (connection and study, no names), so that it goes on after a restart.
"""

from __future__ import annotations

import itertools
import json
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from inference.exam.pacs.fetching import BACKOFF_S, Fetched, fetch_study
from inference.exam.pacs.model import PacsError, PacsStopped, Peer, StudyMatch
from inference.exam.pacs.shelf import Shelf
from resources.files import UserFacingError
from resources.translation import translate

log = logging.getLogger(__name__)

QUEUE_FILE = "queue.json"
_NOTICE_S = 0.05
_QUEUES = itertools.count(1)  # of this process


def _tr(text: str) -> str:
    return translate("pacs", text)


class State(StrEnum):
    """Where a download is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        return self in {State.DONE, State.FAILED, State.CANCELLED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One study in the queue, as it is now; ``folder`` is where its images lie once it is done."""

    job_id: int
    connection: str
    study: StudyMatch = field(repr=False)
    objects: bool = False
    state: State = State.WAITING
    done: int = 0
    total: int = 0
    new_bytes: int = 0
    sentence: str = ""
    folder: Path | None = None


class DownloadQueue:
    """Fetches studies onto one shelf.

    Parameters
    ----------
    peer_of : opens a connection by its name
    at_once : studies at once; transfers within a study follow its connection
    """

    def __init__(
        self,
        shelf: Shelf,
        peer_of: Callable[[str], Peer],
        *,
        at_once: int = 2,
        backoff_s: tuple[float, ...] = BACKOFF_S,
    ) -> None:
        self._shelf, self._peer_of, self._backoff_s = shelf, peer_of, backoff_s
        self._lock = threading.RLock()
        self._jobs: dict[int, Job] = {}
        self._stops: dict[int, threading.Event] = {}
        self._numbers = itertools.count(1)
        self._pool = ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="pacs-queue")
        self._owner = f"{shelf.token}.{next(_QUEUES)}"
        self._take_up()

    def jobs(self) -> tuple[Job, ...]:
        """Return all jobs in the order they were added."""
        with self._lock:
            return tuple(self._jobs.values())

    def add(self, connection: str, study: StudyMatch, *, objects: bool = False) -> int:
        """Queue a study; one that waits or runs already is not queued twice."""
        with self._lock:
            for job in self._jobs.values():
                if job.study.study_uid == study.study_uid and not job.state.is_over:
                    return job.job_id
            job = Job(job_id=next(self._numbers), connection=connection, study=study, objects=objects)
            self._jobs[job.job_id] = job
            self._start(job.job_id)
        return job.job_id

    def cancel(self, job_id: int) -> None:
        """Stop a job; what came stays."""
        with self._lock:
            if job_id in self._stops:
                self._stops[job_id].set()
            if job_id in self._jobs and self._jobs[job_id].state is State.WAITING:
                self._set(job_id, state=State.CANCELLED, sentence=_tr("Stopped before it began."))

    def resume(self, job_id: int) -> None:
        """Go on with a job that failed or was stopped."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None or not job.state.is_over or job.state is State.DONE:
                return
            self._set(job_id, state=State.WAITING, sentence="")
            self._start(job_id)

    def forget(self) -> None:
        """Take what is over off the list; nothing is deleted from the shelf."""
        with self._lock:
            self._jobs = {number: job for number, job in self._jobs.items() if not job.state.is_over}
            self._remember()

    def close(self, *, patience_s: float = 5.0) -> None:
        """Stop everything; what is unfinished is taken up at the next start.

        Parameters
        ----------
        patience_s : how long to wait for transfers to notice; one that waits for a silent server ends by itself
        """
        with self._lock:
            self._remember(leaving=True)
            for stop in self._stops.values():
                stop.set()
            self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        for _ in range(round(patience_s / _NOTICE_S)):
            if not self._running:
                return
            threading.Event().wait(_NOTICE_S)

    # ---- work

    _closed = False
    _running = 0

    def _start(self, job_id: int) -> None:
        self._stops[job_id] = threading.Event()
        self._remember()
        self._pool.submit(self._run, job_id, self._stops[job_id])

    def _run(self, job_id: int, stop: threading.Event) -> None:
        self._running += 1
        try:
            self._work(job_id, stop)
        finally:
            self._running -= 1

    def _work(self, job_id: int, stop: threading.Event) -> None:
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None or job.state is not State.WAITING or stop.is_set():
                return
            self._set(job_id, state=State.RUNNING)
        try:
            got = self._fetch(job, stop)
        except PacsStopped as error:
            self._set(job_id, state=State.CANCELLED, sentence=str(error))
        except UserFacingError as error:
            self._set(job_id, state=State.FAILED, sentence=str(error))
        except Exception as error:
            log.error("a download ended by a defect: %s", type(error).__name__)  # its text may hold identity
            words = _tr("The download ended by a defect of this program ({0}); resume, or report it.")
            self._set(job_id, state=State.FAILED, sentence=words.format(type(error).__name__))
            raise
        else:
            folder = self._shelf.folder_of(job.study.study_uid)
            self._set(
                job_id, state=State.DONE, done=got.done, total=got.total, sentence=got.sentence, folder=folder
            )

    def _fetch(self, job: Job, stop: threading.Event) -> Fetched:
        got = fetch_study(
            self._peer_of(job.connection),
            job.study,
            self._shelf,
            objects=job.objects,
            report=lambda now: self._progress(job.job_id, now),
            cancelled=stop.is_set,
            wait=stop.wait,
            backoff_s=self._backoff_s,
        )
        if not got.total:
            raise PacsError(
                _tr("{0}: the study holds no images any more; search again.").format(job.connection)
            )
        return got

    def _progress(self, job_id: int, now: Fetched) -> None:
        self._set(job_id, done=now.done, total=now.total, new_bytes=now.new_bytes, sentence=now.sentence)

    def _set(self, job_id: int, **what: object) -> None:
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None:
                return
            self._jobs[job_id] = replace(job, **what)  # type: ignore[arg-type]
            if "state" in what and not self._closed:
                self._remember()

    # ---- what outlives the program, and is shared with other processes on the shelf

    def _remember(self, *, leaving: bool = False) -> None:
        """Write down what is unfinished here; what other processes wrote stays. ``leaving``: for whoever comes next."""
        mine = [
            {
                "connection": job.connection,
                "study": job.study.study_uid,
                "objects": job.objects,
                "owner": "" if leaving else self._owner,
            }
            for job in self._jobs.values()
            if job.state is not State.DONE and job.state is not State.CANCELLED
        ]
        try:
            with self._shelf.alone():
                self._write([*(one for one in self._read() if one.get("owner") != self._owner), *mine])
        except OSError as error:
            log.warning("the queue could not be remembered: %s", error.strerror)

    def _take_up(self) -> None:
        """List what a process that has ended left unfinished; it waits to be resumed, and is this one's from now on."""
        try:
            with self._shelf.alone():
                kept = self._read()
                left = [one for one in kept if not self._is_others(one)]
                for one in left:
                    one["owner"] = self._owner
                if left:
                    self._write(kept)
        except OSError as error:
            log.warning("the queue could not be read: %s", error.strerror)
            return
        for study, one in {str(one["study"]): one for one in left}.items():
            job = Job(
                job_id=next(self._numbers),
                connection=str(one.get("connection", "")),
                study=StudyMatch(study_uid=study),
                objects=one.get("objects") is True,
                state=State.FAILED,
                sentence=_tr("Not finished when the program ended; resume to fetch the rest."),
            )
            self._jobs[job.job_id] = job

    def _is_others(self, one: Mapping[str, object]) -> bool:
        owner = str(one.get("owner") or "")
        return bool(owner) and self._shelf.is_at_work(owner.partition(".")[0])

    def _read(self) -> list[dict[str, object]]:
        try:
            kept = json.loads((self._shelf.root / QUEUE_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return []
        found = kept if isinstance(kept, list) else []
        return [one for one in found if isinstance(one, dict) and isinstance(one.get("study"), str)]

    def _write(self, jobs: list[dict[str, object]]) -> None:
        scratch = self._shelf.root / f"{QUEUE_FILE}.new"
        scratch.write_text(json.dumps(jobs), encoding="utf-8")
        scratch.replace(self._shelf.root / QUEUE_FILE)
