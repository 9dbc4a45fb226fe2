"""One process's part of a run: claims exams, gives them to its workers, records what they hand in.

Decides what happens when a worker dies, another process holds an exam, or the user stops the run. Where workers live is
``inference.batch.pool``; what is on the disk is ``inference.batch.run_folder``.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from inference.batch.claims import Claims
from inference.batch.passing import is_full, is_passing
from inference.batch.pool import Died, Event, Finished, Hopeless, Pool, PutOff, Stopped
from inference.batch.public_words import nameless
from inference.batch.run_folder import BatchError, RunFolder
from inference.batch.units import Unit, as_recorded
from inference.batch.work import Product, failed
from inference.exam.pacs.model import PacsStopped
from resources.files import UserFacingError

_LOG = logging.getLogger(__name__)
_TICK_S = 0.2
_ELSEWHERE_S = 1.0  # how often exams that others hold are looked at
_STOP_S = 30.0  # what a worker gets to notice that it should stop
_ATTEMPTS = 2
_DEATHS_IN_A_ROW = 6
_PUT_OFF_IN_A_ROW = 3  # then it is the PACS or the disk, and the other exams need not be tried


class Reporter(Protocol):
    """Who is told how the run goes."""

    def total(self, done: int, known: int) -> None:
        """So many of the known exams are recorded, by anyone."""
        ...

    def exam(self, product: Product) -> None:
        """An exam was recorded by this process."""
        ...

    def note(self, sentence: str) -> None:
        """Something the user should know."""
        ...


@dataclass(slots=True)
class Summary:
    """What one process did: keys of exams by what became of them."""

    recorded: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: int = 0  # recorded before, or by another process
    put_off: dict[str, str] = field(default_factory=dict)  # case -> why it cannot be analysed at the moment
    ended_early: bool = False  # nothing could be analysed any more
    interrupted: bool = False


class Run:
    """The loop. ``extend`` adds units at any time; ``work`` returns when none is left, here or elsewhere.

    Parameters
    ----------
    prepare : brings a unit's files here (from a PACS); runs in threads, a few units ahead
    more : called between steps: new units, or None when no more will ever come
    stopping : true once the user wants to stop
    """

    def __init__(
        self,
        folder: RunFolder,
        claims: Claims,
        pool: Pool,
        reporter: Reporter,
        *,
        stopping: Callable[[], bool] = lambda: False,
        prepare: Callable[[Unit], Unit] | None = None,
        more: Callable[[], Iterable[Unit] | None] = lambda: None,
    ) -> None:
        self._folder, self._claims, self._pool, self._reporter = folder, claims, pool, reporter
        self._stopping, self._more = stopping, more
        self._done = folder.recorded()
        self._known: set[str] = set()
        self._pending: deque[Unit] = deque()
        self._elsewhere: list[Unit] = []
        self._ready: deque[Unit] = deque()
        self._working: dict[str, int] = {}  # key -> attempt
        self._prepare = prepare
        self._preparing: dict[Future[Unit], Unit] = {}
        self._threads = (
            ThreadPoolExecutor(max_workers=2, thread_name_prefix="batch-prepare") if prepare else None
        )
        self._looked_s = 0.0
        self._deaths = 0
        self._put_off_in_a_row: set[str] = set()  # exams: one that is watched for may wait again and again
        self._open = True
        self.summary = Summary()

    def extend(self, units: Iterable[Unit]) -> None:
        """Add units; those that are known or recorded already are not done again."""
        for listed in units:
            unit = as_recorded(listed, self._done)
            if unit.key in self._known:
                continue
            self._known.add(unit.key)
            if unit.key in self._done:
                self.summary.skipped += 1
            else:
                self._pending.append(unit)
        self._told()

    def work(self) -> Summary:
        """Work until nothing is left or the user stops.

        Raises
        ------
        BatchError
            The model cannot be made, workers die one after the other, or the folder cannot be written any more.
        """
        try:
            while (
                self._open
                or self._pending
                or self._elsewhere
                or self._ready
                or self._preparing
                or self._working
            ):
                if self._stopping():
                    self.summary.interrupted = True
                    self._give_up()
                    break
                self._take_more()
                self._hand_out()
                for event in self._pool.events(_TICK_S):
                    self._handle(event)
                self._look_elsewhere()
                if self.summary.ended_early:
                    self._give_up()
                    break
        except OSError as error:
            raise BatchError(
                f"{self._folder.root}: expected a folder that can be written, found: {error.strerror}; "
                "mend that and run the same command again, which goes on from here."
            ) from error
        finally:
            if self._threads is not None:
                self._threads.shutdown(wait=True, cancel_futures=True)
            for key in self._working:
                self._claims.release(key)
        return self.summary

    # ---- steps

    def _take_more(self) -> None:
        if self._open:
            more = self._more()
            if more is None:
                self._open = False
            else:
                self.extend(more)

    def _hand_out(self) -> None:
        for future in [one for one in self._preparing if one.done()]:
            unit = self._preparing.pop(future)
            try:
                ready = future.result()
            except PacsStopped:
                self._give_back(unit)  # the user stops the run
            except UserFacingError as error:
                words = nameless(str(error), otherwise="The study could not be fetched.")
                if is_passing(error):
                    self._put_off(PutOff(unit=unit, sentence=words, full=is_full(error)))
                else:
                    self._record(failed(unit, words, detail=str(error)), worker="")
            else:
                self._put_off_in_a_row.clear()
                self._ready.append(ready)
        ahead = 2 if self._threads is not None else 0
        while self._pending and len(self._ready) + len(self._preparing) < self._pool.idle + ahead:
            self._claim(self._pending.popleft())
        while self._ready and self._pool.idle:
            self._pool.give(self._ready.popleft())

    def _claim(self, unit: Unit) -> None:
        number = self._claims.take(unit.key)
        if number is None:
            self._elsewhere.append(unit)
            return
        if self._folder.has(unit.key):  # recorded by another process since
            self._claims.forget(unit.key)
            self._recorded_elsewhere(unit)
            return
        self._working[unit.key] = number
        if self._threads is not None and self._prepare is not None:
            self._preparing[self._threads.submit(self._prepare, unit)] = unit
        else:
            self._ready.append(unit)

    def _handle(self, event: Event) -> None:
        if isinstance(event, Finished):
            self._deaths = 0
            if (
                self._threads is None
            ):  # else it was fetched before: that it is analysed does not bring the PACS back
                self._put_off_in_a_row.clear()
            self._record(event.product, worker=event.worker)
        elif isinstance(event, Hopeless):
            raise BatchError(event.sentence)
        elif isinstance(event, Died):
            self._died(event.unit, event.reason)
        elif isinstance(event, PutOff):
            self._put_off(event)
        elif isinstance(event, Stopped):
            self._give_back(event.unit)

    def _give_back(self, unit: Unit) -> None:
        self._working.pop(unit.key, None)
        self._claims.release(unit.key)
        self._pending.appendleft(unit)

    def _put_off(self, event: PutOff) -> None:
        """Leave an exam to the next run: nothing is recorded, for nothing is known about it."""
        self._working.pop(event.unit.key, None)
        self._claims.release(event.unit.key)
        self.summary.put_off[event.unit.case_id] = event.sentence
        self._known.discard(event.unit.key)  # whoever watches a folder lists it again
        self._put_off_in_a_row.add(event.unit.key)
        if event.full or len(self._put_off_in_a_row) >= _PUT_OFF_IN_A_ROW:
            self.summary.ended_early = True

    def _died(self, unit: Unit, reason: str) -> None:
        self._deaths += 1
        if self._deaths >= _DEATHS_IN_A_ROW:
            raise BatchError(
                f"Workers: expected one that lives, found {self._deaths} that stopped one after the other ({reason}); "
                "look at memory and driver, and run the same command again with --retry-failed."
            )
        count = self._claims.note_death(unit.key, reason)
        if count < _ATTEMPTS:
            self._reporter.note(f"{unit.case_id}: its worker stopped unexpectedly ({reason}); tried again.")
            self._ready.appendleft(unit)
            return
        sentence = f"Its worker stopped unexpectedly {count} times; the last time {reason}. Not tried again."
        self._record(failed(unit, sentence), worker="")

    def _record(self, product: Product, *, worker: str) -> None:
        attempt = self._working.pop(product.key, 0)
        if self._folder.record(product, worker=worker, attempt=attempt + self._claims.deaths(product.key)):
            self._done.add(product.key)
            self.summary.put_off.pop(product.case_id, None)
            (self.summary.failed if product.failure else self.summary.recorded).append(product.key)
            self._reporter.exam(product)
        else:  # this machine slept so long that another took over and was first
            self._done.add(product.key)
            self.summary.skipped += 1
        self._claims.forget(product.key)
        self._told()

    def _look_elsewhere(self) -> None:
        now = time.monotonic()
        if not self._elsewhere or now - self._looked_s < _ELSEWHERE_S:
            return
        self._looked_s = now
        waiting, self._elsewhere = self._elsewhere, []
        for unit in waiting:
            if self._folder.has(unit.key):
                self._recorded_elsewhere(unit)
            elif len(self._ready) < self._pool.idle and not self._pending:
                self._claim(unit)
            else:
                self._elsewhere.append(unit)

    def _recorded_elsewhere(self, unit: Unit) -> None:
        self._done.add(unit.key)
        self.summary.skipped += 1
        self._told()

    def _give_up(self) -> None:
        self._pool.stop()
        given = {unit.key for unit in (*self._ready, *self._preparing.values())}
        busy = set(self._working) - given
        until = time.monotonic() + _STOP_S
        while busy and time.monotonic() < until:
            for event in self._pool.events(_TICK_S):
                if isinstance(event, Finished):  # it was done before it saw the flag
                    self._record(event.product, worker=event.worker)
                    busy.discard(event.product.key)
                else:
                    busy.discard(event.unit.key)

    def _told(self) -> None:
        self._reporter.total(len(self._done & self._known), len(self._known))
