"""A folder that studies keep arriving in: what is in it now and has stopped growing.

A file that neither grew nor changed for a while is complete; an exam is complete when all its files are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from inference.batch.units import Listing, Unit, files_of, list_units

State = tuple[int, int]  # size in bytes, time of change in ns as the file system tells it


class Watch:
    """Looks at a folder again and again.

    Parameters
    ----------
    settle_s : how long a file must stay as it is
    now : seconds that only ever grow
    """

    def __init__(self, root: Path, *, settle_s: float, now: Callable[[], float]) -> None:
        self._root, self._settle_s, self._now = root, settle_s, now
        self._states: dict[Path, tuple[State, float]] = {}
        self._listed: dict[Path, State] = {}
        self.listing = Listing()

    def look(self) -> tuple[Unit, ...]:
        """Return the exams that are complete; headers are read again only when a file has newly settled.

        Raises
        ------
        ExamError
            The folder is not there.
        """
        now = self._now()
        present = dict(_files(self._root))
        self._states = {
            path: (state, self._states[path][1] if self._states.get(path, (None,))[0] == state else now)
            for path, state in present.items()
        }
        settled = {
            path: state for path, (state, since) in self._states.items() if now - since >= self._settle_s
        }
        if settled != self._listed:
            self.listing, self._listed = list_units(self._root), settled
        return tuple(unit for unit in self.listing.units if all(path in settled for path in files_of(unit)))

    @property
    def unsettled(self) -> int:
        """How many files may still be growing."""
        return len(self._states) - len(self._listed)


def _files(root: Path) -> Iterator[tuple[Path, State]]:
    if root.is_file():
        found = root.stat()
        yield root, (found.st_size, found.st_mtime_ns)
        return
    for folder, _folders, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            try:
                found = path.stat()
            except OSError:  # moved away between the two looks
                continue
            yield path, (found.st_size, found.st_mtime_ns)
