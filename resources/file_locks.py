"""What processes tell each other by files: whose turn it is (``locked``), and who still lives (``SignOfLife``).

The system lets go of both when a process is killed. Knows nothing of what the files guard.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_HELD = {errno.EAGAIN, errno.EACCES, errno.EDEADLK}
_AGAIN_S = 0.05
_OURS: set[Path] = set()  # signs of this process: on some shares looking at one would let it go


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file while the block lasts; other threads and processes wait. The empty file stays.

    A file system that knows no locks is used without one.

    Raises
    ------
    OSError
        The file cannot be made.
    """
    with path.open("ab") as file:
        while not _taken(file):
            time.sleep(_AGAIN_S)
        yield  # the file stays: taking it away would let two others hold two locks


@contextmanager
def held_now(path: Path) -> Iterator[bool]:
    """Hold a file while the block lasts, without waiting; False = somebody else holds it. The empty file stays.

    A file system that knows no locks is used without one.

    Raises
    ------
    OSError
        The file cannot be made.
    """
    with path.open("ab") as file:
        yield _taken(file)


class SignOfLife:
    """A file that is held as long as this object and its process live; ``end`` or their death gives it free.

    Raises
    ------
    OSError
        The file is there already, or cannot be made.
    """

    def __init__(self, path: Path) -> None:
        if sys.platform == "win32":  # an open file cannot be removed there: that is the sign
            file = path.open("xb")
        else:
            scratch = path.with_name(f"{path.name}.new")
            file = scratch.open("xb")
            _taken(file)
            scratch.rename(path)  # nobody sees it without its lock
        _OURS.add(path)
        self._end = weakref.finalize(self, _ended, file, path)

    def end(self) -> None:
        """Give it free and take it away."""
        self._end()


def is_alive(path: Path) -> bool:
    """Whether whoever made a sign of life still lives; True where the file system cannot tell."""
    if path in _OURS:
        return True
    try:
        if sys.platform == "win32":
            path.unlink()
            return False
        with path.open("r+b") as file:
            return not _taken(file, unsure=False)
    except FileNotFoundError:
        return False
    except OSError:
        return True


def sync_folder(folder: Path) -> None:
    """Wait until the disk knows the names in a folder; a no-op where folders cannot be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _ended(file: BinaryIO, path: Path) -> None:
    _OURS.discard(path)
    if sys.platform == "win32":
        file.close()
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
    file.close()


def _taken(file: BinaryIO, *, unsure: bool = True) -> bool:
    """Try to lock; ``unsure`` is the answer of a file system that knows no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return unsure
        if error.errno in _HELD:
            return False
        raise
    return True
