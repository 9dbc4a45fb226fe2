"""DICOM objects of the exam on screen, outside studies: others' are loaded with it, ours are written off the UI thread.

A study never comes here: no CAD report is even opened while someone reads for one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from app.control.reading import LoadedExam, load_exam
from app.control.tasks import TaskRunner
from app.state.ai_view import AiView
from app.state.presentation import with_saved_windows
from inference.exam.objects.cad_sr_write import CadRun
from inference.exam.objects.document import read_headers, save
from inference.exam.objects.export import file_stem, write_run
from inference.exam.objects.key_object import key_object_documents
from inference.exam.objects.presentation_state import ShownImage, gsps
from inference.exam.sources import ExamSource, FolderSource
from inference.exam.types import Exam, ViewImage
from reader_study.ports import Clock
from resources.files import UserFacingError
from resources.translation import translate

log = logging.getLogger(__name__)

Say = Callable[[str], None]
Writing = Callable[[datetime], Sequence[Path]]


def _tr(text: str) -> str:
    return translate("objects", text)


def load_with_objects(source: ExamSource, exam_id: str) -> LoadedExam:
    """Load an exam and what lies beside it: CAD reports, saved displays (their windows included), key objects."""
    loaded = load_exam(source, exam_id)
    if not isinstance(source, FolderSource):
        return loaded
    objects = source.objects(loaded.exam)
    return replace(loaded, exam=with_saved_windows(loaded.exam, objects.states), objects=objects)


class ObjectWriter:
    """Writes DICOM objects of one source's exams, and says in a sentence what became of it."""

    def __init__(
        self,
        *,
        root: Path,
        runner: TaskRunner,
        clock: Clock,
        version: str,
        say: Say,
        refuse: Say | None = None,
    ) -> None:
        self._root, self._runner, self._clock = root, runner, clock
        self._version, self._say, self._refuse = version, say, refuse or say

    def save_ai(self, exam: Exam, ai: AiView, folder: Path, *, threshold: float) -> None:
        """Write the AI's answer, or its failure, as CAD SR with its heat maps (MG-34)."""
        if ai.result is None and ai.failure is None:
            self._refuse(_tr("The AI has not answered yet; save its result when it has."))
            return
        result = ai.result
        run = CadRun(
            exam=exam,
            model_id=result.model_id if result is not None else "AI",
            model_version=result.model_version if result is not None else "unknown",
            weights_digest=result.weights_digest if result is not None else "unknown",
            result=result,
            failure=ai.failure or "" if result is None else "",
            threshold=threshold,
        )
        self._write(
            lambda created: write_run(run, self._root, folder, created=created, version=self._version)
        )

    def save_displays(self, exam: Exam, shown: Sequence[ShownImage], folder: Path) -> None:
        """Write how the images are shown, one presentation state each (MG-35)."""

        def work(created: datetime) -> list[Path]:
            headers = read_headers(self._root, exam)
            stem = file_stem(exam.exam_id)
            made = [
                (gsps(s, headers, created=created, version=self._version), file_stem(s.image.key))
                for s in shown
            ]
            when = f"{created:%Y%m%d%H%M%S}"
            return [save(ds, folder, f"{stem}_display_{key}_{when}.dcm") for ds, key in made]

        self._write(work)

    def save_keys(self, exam: Exam, images: Sequence[ViewImage], folder: Path) -> None:
        """Write the key images as a Key Object Selection (MG-35)."""

        def work(created: datetime) -> list[Path]:
            headers = read_headers(self._root, exam)
            made = key_object_documents(images, headers, created=created, version=self._version)
            stem = f"{file_stem(exam.exam_id)}_key_{created:%Y%m%d%H%M%S}"
            return [save(ds, folder, f"{stem}{f'_{n}' if n else ''}.dcm") for n, ds in enumerate(made)]

        self._write(work)

    def _write(self, writing: Writing) -> None:
        # DICOM dates and times are local where nothing else is said.
        created = datetime.fromisoformat(self._clock.utc_now()).astimezone().replace(tzinfo=None)

        def done(paths: Sequence[Path]) -> None:
            first = paths[0]
            if len(paths) > 1:
                words = _tr("Saved {0} and {1} more in {2}.").format(
                    first.name, len(paths) - 1, first.parent.name
                )
            else:
                words = _tr("Saved {0} in {1}.").format(first.name, first.parent.name)
            self._say(words)

        def failed(error: Exception) -> None:
            if not isinstance(error, UserFacingError):
                log.error("writing failed", exc_info=error)
            self._refuse(str(error))

        self._runner.submit("objects", lambda _context: writing(created), done, failed)
