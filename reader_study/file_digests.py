"""SHA-256 of written files, as the audit keeps them of exports and backups."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from reader_study.errors import StudyError


def digests(written: Sequence[Path], folder: Path) -> dict[str, str]:
    """Return the SHA-256 (hex) of each written file, by its place in the folder: what the audit keeps of an export."""
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in written}


def file_digest(path: Path) -> str:
    """Return a file's SHA-256 (hex); StudyError when it cannot be read back."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise StudyError(
            f"{path.name}: was written and could not be read back ({error.strerror}); write it to another place."
        ) from error
