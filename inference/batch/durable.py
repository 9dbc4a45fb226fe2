"""Files that are either there whole or not at all, and that only one process can be the first to make.

Works on a local disk and on a share, with hard links or without; knows nothing of exams.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from pathlib import Path

from resources.file_locks import sync_folder

# What systems say where a file cannot have two names: exFAT, FAT, many SMB shares, FUSE.
_NO_LINKS = {
    errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES, errno.EINVAL,
}  # fmt: skip
_CONTENT = "content"
_PUBLISHED_WITHIN_S = 2.0  # the elected needs milliseconds from its election to the file


def write_once(path: Path, data: bytes, *, durable: bool = True) -> bool:
    """Make a file that must not exist yet; nobody ever sees a part of it.

    Parameters
    ----------
    durable : wait until the disk has it

    Returns
    -------
    False where the file exists already: another process was first, and its file is left as it is.

    Raises
    ------
    OSError
        The disk refuses, or the folder is not there.
    """
    part = _part_of(path)
    try:
        _write(part, data, durable=durable)
        try:
            os.link(part, path)  # atomic and exclusive, on NFS too
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if not _elect(path, data, durable=durable):
                return False
    finally:
        part.unlink(missing_ok=True)
    if durable:
        sync_folder(path.parent)
    return True


def replace_file(path: Path, data: bytes) -> None:
    """Write a file anew: a reader sees the old one or the new one, never a part."""
    part = _part_of(path)
    try:
        _write(part, data, durable=True)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)


def set_aside(path: Path, suffix: str) -> None:
    """Give a file another suffix, so that :func:`write_once` may make it anew."""
    shutil.rmtree(_election_of(path), ignore_errors=True)  # what a killed process may have left
    path.replace(path.with_suffix(suffix))


# ---- without hard links


def _elect(path: Path, data: bytes, *, durable: bool) -> bool:
    """Make a file where links are refused: a folder with content cannot be renamed onto another one.

    The first to rename its folder is elected. Its content is in that folder whole, so that whoever finds the folder
    and not the file publishes it on behalf of a process that was killed in between.
    """
    if path.exists():
        return False
    election, ballot = _election_of(path), _part_of(path)
    try:
        ballot.mkdir()
        _write(ballot / _CONTENT, data, durable=durable)
        try:
            ballot.rename(election)
        except OSError:
            if not election.is_dir() and not path.exists():
                raise
            elected = False
            _wait_for(path)  # the elected publishes at once; only where it was killed do others do it
        else:
            # An earlier first one may have tidied its election away before ours; or, after a wait, another has
            # published ours.
            elected = not path.exists() or path.read_bytes() == data
        _publish(election, path, durable=durable)
        if elected or not ballot.exists():
            _tidy_away(election)
    finally:
        shutil.rmtree(ballot, ignore_errors=True)
    return elected


def _tidy_away(election: Path) -> None:
    """Remove an election that is over; one that came too late may be moved into its place meanwhile."""
    for _ in range(20):
        shutil.rmtree(election, ignore_errors=True)
        if not election.exists():
            return
        time.sleep(0.01)


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + _PUBLISHED_WITHIN_S
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.005)


def _publish(election: Path, path: Path, *, durable: bool) -> None:
    """Give the elected content its name; done twice it changes nothing."""
    try:
        data = (election / _CONTENT).read_bytes()
    except OSError:  # published and tidied away by the elected
        return
    part = _part_of(path)
    try:
        _write(part, data, durable=durable)
        if not path.exists() and election.exists():
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _election_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.first")


def _part_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")


def _write(path: Path, data: bytes, *, durable: bool) -> None:
    with path.open("wb") as stream:
        stream.write(data)
        if durable:
            stream.flush()
            os.fsync(stream.fileno())
