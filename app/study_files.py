"""The concrete work on a study's files for the coordinator: images, truth, exports, backups, the log on disk.

Behind the port ``app.control.coordination_ports.StudyFiles``; who may ask for what is decided before it is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from app.case_import import import_cases
from app.control.coordination_ports import CaseImport, Exported, Row, TruthCoverage, TruthRefused, Verdict
from app.control.tasks import TaskContext
from app.files import program_folders
from app.import_reports import add_links, link_path, read_links, report_path, write_report
from inference.exam.deidentification.site_key import open_key
from reader_study.case_import import open_store, protocol_cases, write_protocol_cases
from reader_study.domain.study import Case, Study
from reader_study.domain.truth import Truth, read_truth
from reader_study.errors import StudyError
from reader_study.exchange_export import export_study
from reader_study.ports import EventStore
from reader_study.store.database import shown
from reader_study.store.transfer import TransferReport, backup, restore
from reader_study.truth_import import read_truth_csv, write_truth
from reader_study.verify import verify_log
from resources.translation import translate


def _tr(text: str) -> str:
    return translate("coordinating", text)


class ImportStopped(StudyError):
    """The person at the screen stopped an import between two cases."""


def folder_beside(database: str | Path) -> Path:
    """Return the case folder of a database: beside an SQLite file, among the program's data for a server."""
    words = str(database)
    if "://" in words and not words.startswith("sqlite:///"):
        return program_folders("coordinator").home / f"{shown(words).rsplit('/', 1)[-1]}-cases"
    file = Path(words.removeprefix("sqlite:///"))
    return file.with_name(f"{file.stem}-cases")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStudyFiles:
    """Files of one study database; ``key`` and ``truth`` lie apart from the cases that readers' stations see."""

    database: str | Path
    cases_folder: Path
    key: Path
    truth: Path
    anchor: Path | None = None

    def import_cases(self, source: Path, context: TaskContext) -> CaseImport:
        def told(words: str) -> None:
            if context.cancelled():
                raise ImportStopped(
                    _tr("Import stopped at case {0}; what is in stays, and importing again goes on.").format(
                        words
                    )
                )
            at, _, of = words.partition("/")
            context.report((int(at) - 1) / max(int(of), 1), _tr("case {0} of {1}").format(at, of))

        store = open_store(self.cases_folder)
        context.report(0.0, _tr("reading headers"))
        outcome = import_cases(
            source, store, open_key(self.key, away_from=self.cases_folder), told=told,
            linked=lambda rows: add_links(rows, link_path(self.key)),
        )  # fmt: skip
        report = report_path(self.key)
        write_report(outcome.rows, report)
        write_protocol_cases(store)
        sentence = _tr(
            "{0} new cases, {1} in all; files: {2} imported, {3} already there, {4} left out, {5} refused."
        )
        words = ("imported", "already there", "left out", "refused")
        return CaseImport(
            sentence=sentence.format(
                len(outcome.cases), len(store.cases), *(outcome.count(word) for word in words)
            ),
            rows=tuple(astuple(row) for row in outcome.rows),
            new_cases=len(outcome.cases),
        )

    def stored_cases(self) -> tuple[Case, ...]:
        return protocol_cases(open_store(self.cases_folder))

    def case_rows(self) -> tuple[Row, ...]:
        """Case, images, priors, age, exam id, digest."""
        return tuple(
            (case.case_id, len(case.exam.images), len(case.priors), case.age_years, case.exam.exam_id, case.exam.digest)
            for case in sorted(open_store(self.cases_folder).cases, key=lambda one: one.case_id)
        )  # fmt: skip

    def import_truth(self, csv: Path) -> TruthCoverage:
        store = open_store(self.cases_folder)
        links = link_path(self.key)
        found = read_truth_csv(csv, store, read_links(links) if links.is_file() else None)
        if found.problems:
            raise TruthRefused(found.problems)
        # A second file adds to the first: a case that it speaks of is replaced, every other one stays.
        known = {truth.case_id: truth for truth in self._truths()} | {
            one.case_id: one for one in found.truths
        }
        write_truth(tuple(known.values()), self.truth)
        return replace(self.truth_coverage(), half=found.half)

    def truth_coverage(self) -> TruthCoverage:
        cases = {case.case_id for case in open_store(self.cases_folder).cases}
        known = {truth.case_id for truth in self._truths()}
        return TruthCoverage(
            cases=len(cases), covered=len(cases & known), lacking=tuple(sorted(cases - known))
        )

    def truth_rows(self) -> tuple[Row, ...]:
        """Case, right, left, lesions, malignant."""
        rows: list[Row] = []
        for truth in self._truths():
            sides = {side.value: found.value for side, found in truth.breasts.items()}
            lesions = len({lesion.lesion_id for lesion in truth.lesions})
            rows.append((truth.case_id, sides.get("R", ""), sides.get("L", ""), lesions, truth.malignant))
        return tuple(rows)

    def strata(self) -> Mapping[str, str]:
        """Label of each case: alike in what is worst in it, under names that lead nowhere without the key."""
        truths = self._truths()
        if not truths:
            raise StudyError(
                _tr("Strata: expected the truth of the cases, found none; import the truth first.")
            )
        key = open_key(self.key, away_from=self.cases_folder)
        kinds = {truth.case_id: _worst(truth) for truth in truths}
        order = sorted(set(kinds.values()), key=lambda kind: key.fingerprint("stratum", kind))
        return {case_id: f"s{order.index(kind) + 1}" for case_id, kind in kinds.items()}

    def _truths(self) -> tuple[Truth, ...]:
        if not self.truth.is_file():
            return ()
        return read_truth(self.truth)

    def export(self, study: Study, events: EventStore, folder: Path, context: TaskContext) -> Exported:
        if folder.exists() and any(folder.iterdir()):
            raise StudyError(
                _tr(
                    "{0}: expected an empty folder for the export, found files in it; choose another."
                ).format(folder.name)
            )
        context.report(0.1, _tr("tables from the log"))
        truth = {one.case_id: one for one in self._truths()}
        report = export_study(study, events, folder, truth=truth or None)
        return Exported(written=report.written, left_out=report.left_out)

    def backup(self, file: Path) -> str:
        return _said(backup(self.database, file))

    def restore(self, file: Path) -> str:
        return _said(restore(file, self.database))

    def verify(self) -> Verdict:
        report = verify_log(self.database, self.anchor)
        return Verdict(
            ok=report.ok,
            problems=report.problems,
            notes=report.notes,
            sessions=report.sessions,
            events=report.events,
        )


def _worst(truth: Truth) -> str:
    found = {pathology.value for pathology in truth.breasts.values()}
    return next((kind for kind in ("malignant", "benign") if kind in found), "normal")


def _said(report: TransferReport) -> str:
    return _tr("{0} studies, {1} sessions, {2} events").format(
        len(report.studies), len(report.sessions), report.events
    )
