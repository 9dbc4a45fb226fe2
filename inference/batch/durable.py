"""Files that are either there whole or not at all, and that only one process can be the first to make.

Works on a local disk and on a share; knows nothing of exams.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}


def write_once(path: Path, data: bytes, *, durable: bool = True) -> bool:
    """Make a file that must not exist yet.

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
    part = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        _write(part, data, durable=durable)
        try:
            os.link(part, path)  # atomic and exclusive, on NFS too
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if not _write_exclusive(path, data, durable=durable):  # a share without hard links
                return False
    finally:
        part.unlink(missing_ok=True)
    if durable:
        sync_folder(path.parent)
    return True


def replace_file(path: Path, data: bytes) -> None:
    """Write a file anew: a reader sees the old one or the new one, never a part."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        _write(part, data, durable=True)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the disk knows the names in a folder; a no-op where folders cannot be opened (Windows, shares)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _write(path: Path, data: bytes, *, durable: bool) -> None:
    with path.open("wb") as stream:
        stream.write(data)
        if durable:
            stream.flush()
            os.fsync(stream.fileno())


def _write_exclusive(path: Path, data: bytes, *, durable: bool) -> bool:
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
        if durable:
            stream.flush()
            os.fsync(stream.fileno())
    return True
