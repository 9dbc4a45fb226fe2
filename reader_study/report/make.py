"""Makes and writes a report: from inputs to report.html with its CSV and SVG files."""

from __future__ import annotations

from pathlib import Path

from reader_study.report.analysis import Choice
from reader_study.report.inputs import ReportInputs
from reader_study.report.page import Report, write
from reader_study.report.sections import write_up

WARNING = (
    "Research use only. The figures describe the readings in this study; they do not show that a program is fit for"
    " diagnosis. A p-value belongs to its method: each table says what was random, which covariance and which degrees of"
    " freedom were used, and on which data."
)


def make_report(inputs: ReportInputs, choice: Choice | None = None) -> Report:
    """Compute every section; ``choice`` is the primary analysis."""
    choice = choice or Choice(cut=inputs.cut)
    arms = " and ".join(inputs.ratings.modalities)
    count = f"{len(inputs.ratings.readers)} readers, {len(inputs.ratings.cases)} cases, {arms}"
    return Report(title=inputs.title, subtitle=count, warning=WARNING, sections=write_up(inputs))


def write_report(inputs: ReportInputs, folder: Path, choice: Choice | None = None) -> tuple[Path, ...]:
    """Compute and write; returns the files, the page first."""
    return write(make_report(inputs, choice), folder)
