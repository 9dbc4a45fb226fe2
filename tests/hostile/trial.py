"""One spoiled file before one importer: what came of it, how long it took, how much memory.

Runs inside a worker process; also makes a finding again from seed and number alone.
"""

from __future__ import annotations

import os
import pickle
import re
import tempfile
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from resources.files import UserFacingError
from tests.hostile.importers import BY_NAME, Importer, NoSentence, at_number
from tests.hostile.mutations import generator, spoiled
from tests.hostile.seeds_images import Seed, Seeds

LONGEST_SENTENCE = 1_200  # characters
MOST_SECONDS = 5.0
LARGEST = 64 << 20  # two spoilers that multiply, one after the other, make gigabytes
MOST_BYTES = 1 << 30
MORE_BYTES = 700 << 20  # beyond what a process that holds more than that already may still take


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """``verdict``: load, refusal, or what is wrong: crash, sentence, hang, memory, died."""

    importer: str
    seed_file: str
    number: int
    done: str  # the mutations
    verdict: str
    words: str = ""
    seconds: float = 0.0  # the lesser of wall clock and processor time: a busy machine hangs nobody
    peak_bytes: int = 0

    @property
    def failed(self) -> bool:
        return self.verdict not in {"load", "refusal"}


def make_corpus(folder: Path) -> Path:
    """Write all good files into one file that workers load."""
    from tests.hostile.seeds_images import image_seeds
    from tests.hostile.seeds_study import study_seeds

    made: Seeds = {}
    for number, maker in enumerate((image_seeds, study_seeds)):
        work = folder / f"made{number}"
        work.mkdir(parents=True)
        made |= maker(work)
    made["dataset sheet"] = made["exchange xlsx"]
    path = folder / "corpus.pickle"
    path.write_bytes(pickle.dumps(made))
    return path


def spoiled_file(corpus: Seeds, seed: int, number: int) -> tuple[Importer, Seed, bytes, str]:
    """Importer, good file, spoiled bytes and what was done, from the run's seed and the file's number."""
    importer, rng = at_number(number), generator(seed, number)
    seeds = corpus[importer.name]
    good = seeds[int(rng.integers(0, len(seeds)))]
    data, done = spoiled(good.data, importer.families, rng)
    return importer, good, data[:LARGEST], done


def peak_bytes() -> int:
    """Most memory this process has held since ``reset_peak``."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(found[1]) * 1024 if found else 0


def reset_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return  # no such file, or not ours to write: the peak is that of the whole process


def try_file(importer: Importer, good: Seed, data: bytes, *, number: int = 0, done: str = "") -> Trial:
    """Put the bytes before the importer and judge what comes."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "in" / good.name
        for name, content in {**good.beside, good.name: data}.items():
            (path.parent / name).parent.mkdir(parents=True, exist_ok=True)
            (path.parent / name).write_bytes(content)
        reset_peak()
        most = max(MOST_BYTES, peak_bytes() + MORE_BYTES)  # a test's process may hold a gigabyte already
        wall, cpu, threads = time.perf_counter(), time.process_time(), threading.active_count()
        verdict, words = _outcome(importer, path)
        seconds = min(time.perf_counter() - wall, time.process_time() - cpu)
        peak = peak_bytes()
    if verdict in {"load", "refusal"}:
        if seconds > MOST_SECONDS:
            verdict, words = "hang", f"{seconds:.1f} s"
        elif peak > most:
            verdict, words = "memory", f"{peak >> 20} MB"
        elif threading.active_count() > threads + 2:
            verdict, words = "crash", f"{threading.active_count() - threads} threads are left"
    return Trial(importer=importer.name, seed_file=good.name, number=number, done=done, verdict=verdict, words=words,
                 seconds=seconds, peak_bytes=peak)  # fmt: skip


def _outcome(importer: Importer, path: Path) -> tuple[str, str]:
    try:
        told = list(importer.read(path))
    except NoSentence:
        return "refusal", ""
    except UserFacingError as error:
        wrong = wrong_with(str(error), path.name if importer.names_file else "")
        return ("sentence", f"{wrong}: {str(error)[:300]!r}") if wrong else ("refusal", str(error)[:300])
    except Exception as error:
        return "crash", _where(error)
    wrong = next(filter(None, (wrong_with(one, "") for one in told)), "")
    return ("sentence", wrong) if wrong else ("load", "")


def wrong_with(sentence: str, name: str) -> str:
    """Say what keeps a text from being one sentence that names the file, '' when nothing does."""
    if not sentence.strip():
        return "empty"
    if len(sentence) > LONGEST_SENTENCE:
        return f"{len(sentence)} characters: {sentence[:200]!r}"
    if re.search(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]", sentence):
        return f"control characters: {sentence[:300]!r}"
    if name and name not in sentence and Path(name).stem not in sentence:
        return f"does not name {name}"
    return ""


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [
        one for one in frames if "site-packages" not in one.filename and "/lib/python" not in one.filename
    ]
    at = ours[-1] if ours else frames[-1]
    place = f"{os.path.relpath(at.filename)}:{at.lineno}"
    return f"{type(error).__name__} at {place}: {' '.join(str(error).split())[:160]}"


def try_number(corpus: Seeds, seed: int, number: int) -> Trial:
    """Make the file of this number and try it."""
    importer, good, data, done = spoiled_file(corpus, seed, number)
    return try_file(importer, good, data, number=number, done=done)


def try_bytes(name: str, file: str, data: bytes, beside: dict[str, bytes] | None = None) -> Trial:
    """Try hand-made bytes under a file name before one importer."""
    return try_file(BY_NAME[name], Seed(name=file, data=data, beside=beside or {}), data, done="by hand")
