"""What the workstation lends to ``negatoscope analyse``: a printer for PDF. Qt is imported when it is used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reader_study.report_command import Edges

if TYPE_CHECKING:
    from reader_study.report.page import Report


def _pdf(report: Report, path: Path) -> Path:
    from app.views.report_pdf import write_pdf

    return write_pdf(report, path)


EDGES = Edges(pdf=_pdf)
