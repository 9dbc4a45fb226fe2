"""The secret that pseudonyms come from: new UIDs, the shift of dates, neutral fingerprints of women.

One file per site or study, readable by its owner only, kept apart from cases, databases and exports.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from inference.exam.deidentification.profile import is_standard_uid
from inference.exam.types import ExamError

_BYTES = 32
_MOST_BYTES = 4096  # of the key file, which is one short line
_LEAST_DAYS, _MOST_DAYS = 366, 3650  # back in time: no shifted date lies in the future


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteKey:
    """The secret itself; the same secret gives the same pseudonyms, in any order and on any machine."""

    secret: bytes = field(repr=False)

    def uid(self, original: str) -> str:
        """Return the UID (PS3.5 B.2, 128 bits below 2.25) that stands for ``original``; standard UIDs stay."""
        if not original or is_standard_uid(original):
            return original
        return f"2.25.{int.from_bytes(self._digest('uid', original)[:16], 'big')}"

    def shift_days(self, woman: str) -> int:
        """Return by how many days a woman's dates move, -3650..-366: intervals and order stay, calendars do not."""
        span = _MOST_DAYS - _LEAST_DAYS + 1
        return -(_LEAST_DAYS + int.from_bytes(self._digest("shift", woman)[:8], "big") % span)

    def fingerprint(self, what: str, value: str) -> str:
        """Return 32 hex digits that tell values apart and lead nowhere without the secret."""
        return self._digest(what, value).hex()[:32]

    def _digest(self, what: str, value: str) -> bytes:
        return hmac.new(self.secret, f"{what}|{value}".encode(), hashlib.sha256).digest()


def open_key(path: Path, *, away_from: Path) -> SiteKey:
    """Read the key file, or make it (mode 0600) when there is none.

    Parameters
    ----------
    away_from : folder of the cases; the key may not lie in it

    Raises
    ------
    ExamError
        The file lies with the cases, others can read it, it is damaged, or it cannot be written.
    """
    if path.resolve().is_relative_to(away_from.resolve()):
        raise ExamError(
            f"{path}: expected a key file kept apart from the cases, found it in their folder; move it."
        )
    if not path.exists():
        return _made(path)
    try:
        if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ExamError(
                f"{path}: expected a key that only its owner can read, found open rights; chmod 600 it."
            )
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"{path.stat().st_size} bytes of text")
        value = json.loads(path.read_text(encoding="utf-8"))
        secret = bytes.fromhex(value["secret"])
        if len(secret) != _BYTES:
            raise ValueError(f"{len(secret)} bytes")
    except OSError as error:
        raise ExamError(f"{path}: the key could not be read ({error.strerror}); check its rights.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ExamError(
            f"{path}: expected a key of {_BYTES} bytes, found damage ({error}); bring it back from its backup."
        ) from error
    return SiteKey(secret=secret)


def _made(path: Path) -> SiteKey:
    secret = secrets.token_bytes(_BYTES)
    text = json.dumps({"format": "negatoscope site key", "version": 1, "secret": secret.hex()}) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # O_EXCL: two imports that start together never overwrite each other's secret.
        with os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
        ) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ExamError(
            f"{path}: the key could not be written ({error.strerror}); choose another place."
        ) from error
    return SiteKey(secret=secret)
