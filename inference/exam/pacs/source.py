"""A PACS behind the port ``ExamSource``: a search is the list, loading an exam fetches what of it is not here."""

from __future__ import annotations

from inference.exam.dicom import patient_key
from inference.exam.pacs.fetching import fetch_study
from inference.exam.pacs.model import Cancelled, PacsError, Peer, Query, StudyMatch
from inference.exam.pacs.shelf import Shelf
from inference.exam.sources import FolderSource
from inference.exam.types import Exam, ExamError, ExamSummary
from resources.translation import translate


def _tr(text: str) -> str:
    return translate("pacs", text)


class PacsSource:
    """Exams that match a search; an exam's id is its Study Instance UID."""

    def __init__(
        self, peer: Peer, shelf: Shelf, query: Query, *, cancelled: Cancelled = lambda: False
    ) -> None:
        self._peer, self._shelf, self._query, self._cancelled = peer, shelf, query, cancelled
        self._studies: dict[str, StudyMatch] | None = None
        self.note = ""  # what the last search or fetch said: how many, or that there are more

    def list(self) -> tuple[ExamSummary, ...]:
        """Search the PACS; one summary a study, without images."""
        matches = self._peer.studies(self._query)
        self.note = matches.sentence
        self._studies = {study.study_uid: study for study in matches.studies}
        return tuple(
            ExamSummary(
                exam_id=study.study_uid,
                title=f"{study.study_date.isoformat() if study.study_date else '?'} …{study.study_uid[-8:]}",
                view_keys=(),
                patient_key=patient_key(study.patient_id),
                study_date=study.study_date,
            )
            for study in matches.studies
        )

    def load(self, exam_id: str) -> Exam:
        """Fetch an exam where it is not here yet, and decode it; ExamError or PacsError in one sentence."""
        if self._studies is None:
            self.list()
        study = (self._studies or {}).get(exam_id)
        if study is None:
            raise PacsError(_tr("PACS: expected one of the studies found, found another; search again."))
        self.note = fetch_study(self._peer, study, self._shelf, cancelled=self._cancelled).sentence
        folder = self._shelf.folder_of(exam_id)
        if folder is None:
            raise ExamError(_tr("PACS: the study holds no images any more; search again."))
        source = FolderSource(folder)
        exams = sorted(source.list(), key=lambda one: len(one.view_keys), reverse=True)
        if not exams:
            said = source.report.entries[0].sentence if source.report.entries else ""
            raise ExamError(_tr("PACS: the study holds no image that can be read. {0}").format(said))
        return source.load(exams[0].exam_id)
