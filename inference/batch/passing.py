"""Tells trouble that passes (a PACS that is away, a full disk) from trouble with an exam: the first is never recorded."""

from __future__ import annotations

import errno

from inference.exam.pacs.model import PacsError
from inference.exam.pacs.shelf import AnotherHere, NotWanted, ShelfFull
from inference.exam.types import InferenceError

_PASSING = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.EMFILE,
    errno.ENFILE, errno.ENOMEM, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH,
    errno.ENETDOWN, errno.ENETUNREACH, errno.ECONNRESET, errno.ECONNREFUSED,
}  # fmt: skip
_FULL = {errno.ENOSPC, errno.EDQUOT}


class NotNow(InferenceError):
    """An exam could not be analysed at the moment; the next run tries it again."""


def is_passing(error: BaseException) -> bool:
    """True where the same exam may be analysed later: nothing is said about the exam itself."""
    if isinstance(error, PacsError):
        return not isinstance(error, NotWanted | AnotherHere)
    return any(isinstance(one, OSError) and one.errno in _PASSING for one in _chain(error))


def is_full(error: BaseException) -> bool:
    """True where nothing can be done before somebody frees space."""
    return isinstance(error, ShelfFull) or any(
        isinstance(one, OSError) and one.errno in _FULL for one in _chain(error)
    )


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in found:
        found.append(at)
        at = at.__cause__ or at.__context__
    return found
