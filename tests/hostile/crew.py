"""Worker processes that are reused from file to file, watched from outside, and replaced when they die or hang."""

from __future__ import annotations

import os
import pickle
import queue
import selectors
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, cast

from tests.hostile.importers import at_number
from tests.hostile.trial import Trial

PATIENCE_S = 60.0  # by the wall clock; what takes 5 s of processor time is a finding before that
REUSES = 2_000
ROOT = Path(__file__).resolve().parents[2]


class _Worker:
    def __init__(self, corpus: Path, seed: int) -> None:
        command = [sys.executable, "-m", "tests.hostile.worker", str(corpus), str(seed)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._in = cast(IO[bytes], self._process.stdin)
        self._out = cast(IO[bytes], self._process.stdout)
        self.count = 0

    def ask(self, number: int) -> Trial:
        """The trial of one file; a worker that dies or stays silent is the finding itself."""
        self.count += 1
        start = time.perf_counter()
        try:
            self._in.write(f"{number}\n".encode())
            self._in.flush()
            head = self._read(4, start)
            return cast(Trial, pickle.loads(self._read(struct.unpack("<L", head)[0], start)))
        except TimeoutError:
            self._process.kill()
            self._process.wait()
            return _lost(number, "hang", f"no answer within {PATIENCE_S:g} s", PATIENCE_S)
        except (EOFError, OSError):
            code = self._process.wait()
            return _lost(number, "died", f"the process ended with {code}", time.perf_counter() - start)

    def _read(self, count: int, start: float) -> bytes:
        data = b""
        with selectors.DefaultSelector() as chosen:
            chosen.register(self._out, selectors.EVENT_READ)
            while len(data) < count:
                left = start + PATIENCE_S - time.perf_counter()
                if left <= 0 or not chosen.select(left):
                    raise TimeoutError
                part = os.read(self._out.fileno(), count - len(data))
                if not part:
                    raise EOFError
                data += part
        return data

    @property
    def is_spent(self) -> bool:
        return self._process.poll() is not None or self.count >= REUSES

    def close(self) -> None:
        self._in.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._out.close()


def _lost(number: int, verdict: str, words: str, seconds: float) -> Trial:
    return Trial(importer=at_number(number).name, seed_file="", number=number, done="", verdict=verdict, words=words,
                 seconds=seconds)  # fmt: skip


def trials(corpus: Path, seed: int, numbers: Sequence[int], *, workers: int = 1) -> Iterator[Trial]:
    """Try the files of these numbers in worker processes, each of which takes every n-th; in no order."""
    done: queue.SimpleQueue[Trial | None] = queue.SimpleQueue()
    stop = threading.Event()

    def share(own: Sequence[int]) -> None:
        try:
            for trial in _one_by_one(corpus, seed, own):
                done.put(trial)
                if stop.is_set():
                    return
        finally:
            done.put(None)

    threads = [threading.Thread(target=share, args=(numbers[k::workers],)) for k in range(workers)]
    for thread in threads:
        thread.start()
    try:
        ended = 0
        while ended < workers:
            trial = done.get()
            if trial is None:
                ended += 1
            else:
                yield trial
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _one_by_one(corpus: Path, seed: int, numbers: Iterable[int]) -> Iterator[Trial]:
    worker: _Worker | None = None
    try:
        for number in numbers:
            if worker is None or worker.is_spent:
                if worker is not None:
                    worker.close()
                worker = _Worker(corpus, seed)
            yield worker.ask(number)
    finally:
        if worker is not None:
            worker.close()
