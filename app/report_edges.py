"""What the workstation lends to ``negatoscope analyse``: a printer for PDF and pictures of the cases read wrongly.

Qt and the decoders are imported when they are used.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from reader_study.errors import StudyError
from reader_study.report_command import Edges

if TYPE_CHECKING:
    from app.state.case_pictures import CaseLesion, CaseMark
    from reader_study.report.inputs import ReportInputs
    from reader_study.report.page import Report

log = logging.getLogger(__name__)


def print_pdf(report: Report, path: Path) -> Path:
    """Write the report as PDF."""
    from app.views.report_pdf import write_pdf

    return write_pdf(report, path)


def pictures_of_errors(inputs: ReportInputs, export: Path, exams: Path) -> dict[str, bytes]:
    """Return case -> JPEG for the cases that the error section pictures.

    Parameters
    ----------
    export
        export folder: cases.csv tells the exam of each case, findings.csv the marks.
    exams
        folder, zip or manifest of the exams.

    Raises
    ------
    StudyError
        The export has no cases.csv, or none of the cases' exams is in ``exams``.
    """
    from app.state.case_pictures import small_views
    from app.views.case_pictures import case_picture
    from inference.exam.sources import FolderSource
    from reader_study.report.error_section import pictured_cases

    cases = {row["case_id"]: row for row in _rows(export / "cases.csv")}
    if not cases:
        raise StudyError(f"{export / 'cases.csv'}: expected the exams of the cases, found none; export the study again.")  # fmt: skip
    source = FolderSource(exams)
    there = {summary.exam_id for summary in source.list()}
    wanted = [case for case in pictured_cases(inputs) if case in cases]
    marks, lesions = _marks(inputs, _rows(export / "findings.csv")), _lesions(inputs)
    made: dict[str, bytes] = {}
    for case in wanted:
        if cases[case]["exam_id"] not in there:
            continue
        exam = source.load(cases[case]["exam_id"])
        if exam.digest != cases[case]["exam_digest"]:
            log.warning("case %s: its exam has other pixels than those that were read; no picture", case)
            continue
        views = small_views(exam, lesions.get(case, ()), marks.get(case, ()))
        if views:
            made[case] = case_picture(views)
    if wanted and not made:
        raise StudyError(
            f"{exams}: expected the exams that were read, found none of them; name their folder."
        )
    return made


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8-sig") as stream:
        return list(csv.DictReader(stream))


def _marks(inputs: ReportInputs, rows: Iterable[Mapping[str, str]]) -> dict[str, list[CaseMark]]:
    """Marks that were kept, by case; the arm's number is its place in the report."""
    from app.state.case_pictures import CaseMark

    arms = {arm: k for k, arm in enumerate(inputs.ratings.modalities)}
    found: dict[str, list[CaseMark]] = {}
    for row in rows:
        if (
            row.get("status", "kept") != "kept"
            or row.get("period") == "0"
            or row["arm_id"] not in arms
            or not row["row"]
        ):
            continue  # fmt: skip
        mark = CaseMark(
            image_key=row["image_key"], at=(float(row["row"]), float(row["col"])), arm=arms[row["arm_id"]], reader=row["reader_id"]
        )  # fmt: skip
        found.setdefault(row["case_id"], []).append(mark)
    return found


def _lesions(inputs: ReportInputs) -> dict[str, list[CaseLesion]]:
    """Outlines of the truth by case: the contour where one was drawn, else the ellipse in its box."""
    from app.state.case_pictures import CaseLesion, box_corners

    found: dict[str, list[CaseLesion]] = {}
    for one in inputs.localised.outlines if inputs.localised is not None else ():
        corners = tuple(one.contour) or box_corners(one.box)
        found.setdefault(one.case, []).append(CaseLesion(image_key=one.view, corners=corners))
    return found


EDGES = Edges(pdf=print_pdf, pictures=pictures_of_errors)
