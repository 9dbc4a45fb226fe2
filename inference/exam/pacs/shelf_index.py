"""The list of what is on a shelf, kept by all processes that use it: what one writes the others see.

A line an object, appended under a lock; what another process appended or rewrote is taken up by looking at the file.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from inference.exam.pacs.leftovers import LOCKS
from inference.exam.pacs.model import PacsError
from resources.file_locks import locked, sync_folder
from resources.translation import translate

INDEX = "index.jsonl"

_HEAD = 80  # bytes by which a list that was rewritten is told from one that grew


def _tr(text: str) -> str:
    return translate("pacs", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One object: its file below the shelf, size in bytes, SHA-256, and the hash of its study."""

    file: str
    size: int
    sha256: str
    study: str


@dataclass(slots=True)
class _Held:
    """What the list says: objects by key, their number by study, and their bytes."""

    entries: dict[str, Entry] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    used: int = 0

    def take(self, key: str, entry: Entry) -> None:
        old = self.entries.get(key)  # its file was lost
        if old is not None:
            self.used -= old.size
            self.counts[old.study] -= 1
        self.entries[key] = entry
        self.used += entry.size
        self.counts[entry.study] += 1


class Index:
    """The list of one shelf; safe for several threads and processes."""

    def __init__(self, root: Path) -> None:
        self._root, self._path = root, root / INDEX
        self._threads = threading.RLock()
        self._held = _Held()
        self._at, self._head = 0, b""
        self._seen: tuple[int, ...] = ()
        self.refresh()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the list against all other processes; it is as it lies on the disk when the block begins."""
        with self._threads, locked(self._root / LOCKS / "shelf"):
            self._refresh()
            yield

    def get(self, key: str) -> Entry | None:
        """Return an object's entry as this process last saw it."""
        return self._held.entries.get(key)

    def entries(self) -> dict[str, Entry]:
        """Return all entries by their objects' keys."""
        self.refresh()
        return dict(self._held.entries)

    def count(self, study: str) -> int:
        """How many objects of a study are here."""
        self.refresh()
        return self._held.counts[study]

    @property
    def used(self) -> int:
        """Bytes of all objects, as this process last saw them."""
        return self._held.used

    def add(self, key: str, entry: Entry) -> None:
        """Write an object down, and wait until the disk has it; within ``changing``."""
        data = _line(key, entry)
        with self._path.open("ab+") as file:
            end = file.seek(0, os.SEEK_END)
            if end:
                file.seek(end - 1)
                if file.read(1) != b"\n":  # a crash cut the last line off: this one must not be joined to it
                    data = b"\n" + data
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self.refresh()

    def drop(self, study: str) -> None:
        """Take all objects of a study off the list; within ``changing``."""
        kept = {key: entry for key, entry in self._held.entries.items() if entry.study != study}
        scratch = self._root / f"{INDEX}.new"
        with scratch.open("wb") as file:
            file.write(json.dumps({"rewritten": uuid.uuid4().hex}).encode() + b"\n")
            file.writelines(_line(key, entry) for key, entry in sorted(kept.items()))
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self._path)
        sync_folder(self._root)
        self.refresh()

    def refresh(self) -> None:
        """Take up what was written since; an entry whose file is gone or of another length counts as not fetched.

        Whoever only looks (a screen) does not wait for a thread that writes: it sees what was there before.

        Raises
        ------
        PacsError
            The list cannot be read.
        """
        if self._threads.acquire(blocking=False):
            try:
                self._refresh()
            finally:
                self._threads.release()

    def _refresh(self) -> None:
        try:
            now = self._path.stat()
            seen = (now.st_ino, now.st_size, now.st_mtime_ns)
            if seen != self._seen:
                self._read()
                self._seen = seen
        except FileNotFoundError:
            self._forget()
        except OSError as error:
            words = _tr("{0}: the list of fetched images cannot be read ({1}).")
            raise PacsError(words.format(self._root, error.strerror)) from error

    def _read(self) -> None:
        with self._path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            anew = size < self._at or file.read(len(self._head)) != self._head
            # A list that was rewritten is shown when it is whole: whoever only looks sees no half of the shelf.
            held, start = (_Held(), 0) if anew else (self._held, self._at)
            file.seek(start)
            new = file.read()
            whole = new[: new.rfind(b"\n") + 1]  # the rest is being written, or was cut off by a crash
            for line in whole.splitlines():
                self._take(line, held)
            at = start + len(whole)
            file.seek(0)
            head = file.read(min(_HEAD, at))
        self._held, self._at, self._head = held, at, head

    def _take(self, line: bytes, held: _Held) -> None:
        try:
            one = json.loads(line.decode("utf-8", "replace"))
            entry = Entry(
                file=one["file"], size=int(one["size"]), sha256=one["sha256"], study=str(one["study"])
            )
            path, key = (self._root / entry.file).resolve(), str(one["sop"])
            if not path.is_relative_to(self._root.resolve()) or path.stat().st_size != entry.size:
                return
        except (ValueError, KeyError, TypeError, OSError, RecursionError, OverflowError):
            return  # damage: its object is fetched again
        held.take(key, entry)

    def _forget(self) -> None:
        self._held = _Held()
        self._at, self._head, self._seen = 0, b"", ()


def _line(key: str, entry: Entry) -> bytes:
    return json.dumps({"sop": key, **asdict(entry)}).encode() + b"\n"
