"""The port through which a run gives units to workers, and the workers that are processes of this machine."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event as Flag
from typing import Protocol

from inference.batch.passing import NotNow, is_full
from inference.batch.units import Unit
from inference.batch.work import Analyst, EngineNotMade, Product, WorkSpec, broken
from inference.engine import InferenceCancelled
from resources import log_lines

_LOG = logging.getLogger(__name__)
_CLOSE_S = 5.0
NOT_NOW, NO_ROOM = "not now", "no room"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A worker handed in its product."""

    product: Product
    worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Died:
    """A worker was lost with its unit; ``reason`` is the rest of a sentence."""

    unit: Unit
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A worker gave its unit up because it was asked to."""

    unit: Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class PutOff:
    """A unit that cannot be analysed at the moment: the disk is full, or its files are away."""

    unit: Unit
    sentence: str
    full: bool = False  # nothing else can be done either


@dataclass(frozen=True, slots=True, kw_only=True)
class Hopeless:
    """The model cannot be made: no unit can be analysed."""

    unit: Unit
    sentence: str


Event = Finished | Died | Stopped | PutOff | Hopeless


class Pool(Protocol):
    """Workers that each take one unit at a time."""

    @property
    def idle(self) -> int:
        """How many units could be given now."""
        ...

    def give(self, unit: Unit) -> None:
        """Let an idle worker begin; a lost worker is made anew first."""
        ...

    def events(self, timeout_s: float) -> Sequence[Event]:
        """What happened, waiting at most so long for something to happen."""
        ...

    def stop(self) -> None:
        """Ask all workers to give up what they do; they answer by events."""
        ...

    def close(self) -> None:
        """End all workers at once."""
        ...


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    pipe: Connection
    flag: Flag
    name: str
    unit: Unit | None = None


class LocalPool:
    """Worker processes of this machine, one a device or core.

    Parameters
    ----------
    devices : one worker each, by the name that torch knows
    threads : CPU threads of each worker
    """

    def __init__(self, spec: WorkSpec, devices: Sequence[str], *, threads: int = 1) -> None:
        self._spec, self._devices, self._threads = spec, tuple(devices), threads
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker | None] = [None] * len(self._devices)

    @property
    def idle(self) -> int:
        return sum(worker is None or worker.unit is None for worker in self._workers)

    def give(self, unit: Unit) -> None:
        for index, worker in enumerate(self._workers):
            if worker is None or worker.unit is None:
                ready = self._ready(index)
                ready.unit = unit
                with contextlib.suppress(OSError):  # it died while idle: the event says so
                    ready.pipe.send(unit)
                return
        raise AssertionError("no worker is idle")

    def events(self, timeout_s: float) -> Sequence[Event]:
        busy = {
            worker.pipe: worker for worker in self._workers if worker is not None and worker.unit is not None
        }
        if not busy:
            time.sleep(timeout_s)
            return []
        found = []
        for ready in wait(list(busy), timeout_s):
            assert isinstance(ready, Connection)
            worker = busy[ready]
            unit, worker.unit = worker.unit, None
            assert unit is not None
            found.append(self._event(worker, unit))
        return found

    def stop(self) -> None:
        for worker in self._workers:
            if worker is not None:
                worker.flag.set()

    def close(self) -> None:
        for index, worker in enumerate(self._workers):
            if worker is not None:
                if worker.unit is None:
                    with contextlib.suppress(OSError):
                        worker.pipe.send(None)
                    worker.process.join(_CLOSE_S)
                self._end(index)

    def _event(self, worker: _Worker, unit: Unit) -> Event:
        try:
            kind, content = worker.pipe.recv()
        except (EOFError, OSError):
            code = self._end(self._workers.index(worker))
            return Died(unit=unit, reason=_why(code))
        if kind == "product":
            return Finished(product=content, worker=worker.name)
        if kind == "stopped":
            return Stopped(unit=unit)
        return put_off_or_hopeless(kind, unit, content)

    def _ready(self, index: int) -> _Worker:
        worker = self._workers[index]
        if worker is not None and worker.process.is_alive():
            return worker
        if worker is not None:
            self._end(index)
        pipe, far_end = self._context.Pipe()
        flag = self._context.Event()
        spec = replace(self._spec, engine=replace(self._spec.engine, device=self._devices[index]))
        process = self._context.Process(
            target=_serve,
            args=(spec, far_end, flag, self._threads),
            name=f"negatoscope-batch-{index}",
            daemon=True,
        )
        process.start()
        far_end.close()
        made = _Worker(process=process, pipe=pipe, flag=flag, name=f"{index}:{process.pid}")
        self._workers[index] = made
        return made

    def _end(self, index: int) -> int | None:
        worker, self._workers[index] = self._workers[index], None
        assert worker is not None
        worker.pipe.close()
        if worker.process.is_alive():
            worker.process.terminate()
            worker.process.join(_CLOSE_S)
        if worker.process.is_alive():
            worker.process.kill()
        worker.process.join(_CLOSE_S)
        code = worker.process.exitcode
        worker.process.close()
        return code


def put_off_or_hopeless(kind: str, unit: Unit, content: object) -> PutOff | Hopeless:
    """Read a worker's answer that is no product."""
    if kind in {NOT_NOW, NO_ROOM}:
        return PutOff(unit=unit, sentence=str(content), full=kind == NO_ROOM)
    return Hopeless(unit=unit, sentence=str(content))


def answer_to(error: NotNow) -> tuple[str, str]:
    """What a worker answers for a unit that must wait."""
    return (NO_ROOM if is_full(error) else NOT_NOW), str(error)


def _why(code: int | None) -> str:
    if code is not None and code < 0:
        return f"it was killed by signal {-code} ({signal.strsignal(-code) or 'unknown'}; often too little memory)"
    return f"it ended with exit code {code}"


def _serve(spec: WorkSpec, pipe: Connection, flag: Flag, threads: int) -> None:
    """A worker's life: units in, products out, until told None or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    log_lines.start_child("batch")
    os.environ["OMP_NUM_THREADS"] = str(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    analyst = Analyst(spec)
    while True:
        try:
            unit = pipe.recv()
        except (EOFError, OSError):
            return
        if unit is None:
            return
        answer = _answer(analyst, unit, flag)
        with contextlib.suppress(OSError):  # the parent is gone; the next recv ends this life
            pipe.send(answer)


def _answer(analyst: Analyst, unit: Unit, flag: Flag) -> tuple[str, object]:
    if flag.is_set():
        return "stopped", None
    try:
        return "product", analyst.analyse(unit, flag.is_set)
    except InferenceCancelled:
        return "stopped", None
    except EngineNotMade as error:
        return "hopeless", str(error)
    except NotNow as error:
        return answer_to(error)
    except Exception as error:  # noqa: BLE001 - one exam's trouble must not end an archive's run
        _LOG.exception("a unit of the batch failed")
        return "product", broken(unit, error)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # a worker in the middle of a long exam would go on for nobody
