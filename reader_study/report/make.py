"""Makes and writes a report: from inputs to report.html with its CSV and SVG files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from reader_study.report import (
    ai_section,
    error_section,
    localisation_section,
    methods_section,
    multireader,
    paper_tables,
    primary_section,
    sections,
    subgroup_section,
    time_section,
)
from reader_study.report.analysis import Choice
from reader_study.report.inputs import ReportInputs
from reader_study.report.page import Absent, Report, Section, Table, write
from reader_study.statistics.provenance import software_versions

WARNING = (
    "Research use only. The figures describe the readings in this study; they do not show that a program is fit for"
    " diagnosis. A p-value belongs to its method: each table says what was random, which covariance and which degrees of"
    " freedom were used, and on which data."
)
Progress = Callable[[float, str], None]


def _silent(_fraction: float, _text: str) -> None:
    """Nobody watches."""


def make_report(inputs: ReportInputs, choice: Choice | None = None, progress: Progress = _silent) -> Report:
    """Compute every section; ``choice`` is the primary analysis, ``progress`` hears each section's title."""
    choice = choice or Choice(cut=inputs.cut)
    steps: tuple[tuple[str, Callable[[], Section]], ...] = (
        (primary_section.PRIMARY, lambda: primary_section.primary(inputs, choice)),
        (sections.DESIGN, lambda: sections.design(inputs)),
        (multireader.ACCURACY, lambda: multireader.accuracy(inputs, choice)),
        (sections.BINARY, lambda: sections.binary(inputs)),
        (ai_section.AI, lambda: ai_section.ai_and_readers(inputs)),
        (localisation_section.LOCALISATION, lambda: localisation_section.localisation(inputs)),
        (subgroup_section.SUBGROUPS, lambda: subgroup_section.subgroups(inputs)),
        (time_section.TIMES, lambda: time_section.reading_times(inputs)),
        (sections.AGREEMENT, lambda: sections.agreement(inputs)),
        (error_section.ERRORS, lambda: error_section.errors(inputs)),
        (paper_tables.PAPERS, lambda: paper_tables.paper_tables(inputs)),
        (methods_section.METHODS, lambda: methods_section.methods(inputs, choice)),
    )
    made: list[Section] = []
    for k, (title, make) in enumerate(steps):
        progress(k / len(steps), title)
        made.append(_with_source(make(), inputs))
    present = {s.title: any(not isinstance(p, Absent) for p in s.parts) or not s.parts for s in made}
    made.append(_with_source(methods_section.checklists(present), inputs))
    progress(1.0, "")
    arms = " and ".join(inputs.ratings.modalities)
    count = f"{len(inputs.ratings.readers)} readers, {len(inputs.ratings.cases)} cases, {arms}"
    return Report(title=inputs.title, subtitle=count, warning=WARNING, sections=tuple(made))


def _with_source(section: Section, inputs: ReportInputs) -> Section:
    """Every table says on which data and by which software it was made (RS-S11)."""
    software = ", ".join(f"{name} {version}" for name, version in software_versions())
    left_out = "; ".join(inputs.exclusions) or "none"
    source = f"{len(inputs.ratings.readers)} readers, {len(inputs.ratings.cases)} cases; excluded: {left_out}; {software}; data SHA-256 {inputs.ratings.digest()}."
    parts = tuple(
        replace(part, note=f"{part.note} {source}".strip())
        if isinstance(part, Table) and "data SHA-256" not in part.note
        else part
        for part in section.parts
    )
    return replace(section, parts=parts)


def write_report(
    inputs: ReportInputs, folder: Path, choice: Choice | None = None, progress: Progress = _silent
) -> tuple[Path, ...]:
    """Compute and write; returns the files, the page first."""
    return write(make_report(inputs, choice, progress), folder)
