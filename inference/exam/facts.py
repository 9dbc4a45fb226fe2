"""Single facts of a DICOM header, for tables that are made without decoding or judging the file."""

from __future__ import annotations

from pathlib import Path

from pydicom.errors import InvalidDicomError

from inference.exam.container import opened, parse
from inference.exam.dicom import spacing_of
from inference.exam.types import ExamError


def read_spacing(source: Path) -> float | None:
    """Pixel size in the breast plane in mm that a file's header gives (MG-12), None where it gives none or two."""
    try:
        with opened(source) as stream:
            spacing, _ = spacing_of(parse(stream, whole=False)[0])
    except (ExamError, InvalidDicomError, OSError, EOFError, ValueError, KeyError, AttributeError):
        return None
    return spacing.row_mm if spacing is not None and spacing.row_mm == spacing.col_mm else None
