"""What a worker does with one unit: load, analyse, and hand back all that is to be written, as bytes.

A worker writes nothing itself; whoever gave it the unit records the product once (``inference.batch.run_folder``).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inference.batch.passing import NotNow, is_passing
from inference.batch.public_words import HINT, nameless, reason, row_note
from inference.batch.units import ManifestCase, Unit, load_unit
from inference.engine import Cancelled, InferenceCancelled, InferenceEngine
from inference.exam.manifest import ManifestLesion
from inference.exam.objects.cad_sr_write import CadRun
from inference.exam.objects.export import write_run
from inference.exam.types import Exam, ExamError, InferenceError
from inference.lesions import LesionEngine, LesionsNotRead, given_lesions
from inference.model_card import read_card
from inference.results import ExamResult
from inference.run_output import RunOutput
from inference.worker import EngineSpec, make_engine
from resources.files import UserFacingError
from resources.scratch import scratch_folder

LEFT_OUT = "An image of this exam was left out"
LESIONS_UNUSED = "The model scores no given lesions; the lesions table was not used."


class EngineNotMade(InferenceError):
    """The model cannot be made here: no exam of the run could be analysed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkSpec:
    """What is asked of every unit of a run."""

    engine: EngineSpec
    heatmaps: bool = False
    objects: bool = False  # also make the DICOM objects
    lesions: tuple[ManifestLesion, ...] = ()
    lesions_folder: Path = Path()
    version: str = ""  # of this program, for the DICOM objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """All that one unit came to.

    Attributes
    ----------
    record : rows and facts as ``inference.run_output`` writes them; plain JSON.
    files : what else is to be written, by ``heatmaps/NAME`` or ``sr/NAME``.
    said : lines for the user.
    detail : what went wrong in full; it may name persons and is never recorded.
    """

    case_id: str
    key: str
    record: Mapping[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    said: tuple[str, ...] = ()
    detail: str = field(default="", repr=False)

    @property
    def failure(self) -> str:
        """Why the exam could not be analysed, '' where it was."""
        return str(self.record.get("failure", ""))


def failed(unit: Unit, sentence: str, *, detail: str = "") -> Product:
    """The product of a unit that could not be analysed; the sentence holds nothing that was found in its files."""
    return Product(case_id=unit.case_id, key=unit.key, record={"failure": sentence}, detail=detail)


def broken(unit: Unit, error: Exception) -> Product:
    """The product of a unit that met a defect; of the error its class only."""
    kind = type(error).__name__
    return failed(unit, f"The analysis failed ({kind}); report this.", detail=f"{kind}: {error}")


class Analyst:
    """Works on one unit after the other with one engine, which is made at the first."""

    def __init__(self, spec: WorkSpec) -> None:
        self._spec = spec
        self._engine: InferenceEngine | None = None

    def analyse(self, unit: Unit, cancelled: Cancelled = lambda: False) -> Product:
        """Analyse one unit.

        Raises
        ------
        EngineNotMade
            The model cannot be made; every other unit would end likewise.
        InferenceCancelled
            ``cancelled()`` became true.
        NotNow
            The disk is full, or the files are away: it can be analysed later.
        """
        engine = self._made_engine()
        try:
            return self._analyse(engine, unit, cancelled)
        except OSError as error:
            if not is_passing(error):
                raise
            words = f"exam {unit.case_id}: expected a disk that works, found: {error.strerror}; mend that."
            raise NotNow(words) from error

    def _analyse(self, engine: InferenceEngine, unit: Unit, cancelled: Cancelled) -> Product:
        lost: list[ExamError] = []
        try:
            exam = load_unit(unit, lost.append)
            for one in lost:  # an image that is away now is no reason to record the exam without it
                if is_passing(one):
                    raise one
        except UserFacingError as error:
            if is_passing(error):
                words = f"exam {unit.case_id}: its images cannot be read now ({reason(str(error))})."
                raise NotNow(words) from error
            if not unit.root.exists():
                words = f"exam {unit.case_id}: expected its files where they were listed, found the whole source gone."
                raise NotNow(words) from error
            why = f"The images of this exam: {reason(str(error))}. {HINT}"
            return failed(unit, why, detail=str(error))
        details = [str(one) for one in lost]
        left_out = [f"{LEFT_OUT}: {reason(text)}. {HINT}" for text in details]
        with scratch_folder("batch") as scratch:
            # a manifest's paths are its key to the truth; those of a folder may name the woman
            output = RunOutput(scratch, self._spec.heatmaps, paths=isinstance(unit.content, ManifestCase))
            said, result, failure = self._result(engine, unit, exam, output, cancelled, details)
            if left_out:
                output.warnings[unit.case_id] = [*left_out, *output.warnings.get(unit.case_id, [])]
                said += [f"{unit.case_id}: {words}" for words in left_out]
            if self._spec.objects:
                said += self._objects(unit, exam, output, details, result=result, failure=failure)
            files = {
                path.relative_to(scratch).as_posix(): path.read_bytes()
                for path in sorted(scratch.rglob("*"))
                if path.is_file()
            }
        record = {
            "failure": failure,
            "seconds": output.seconds.get(unit.case_id),
            "device": "" if result is None else result.device,
            "scores": output.scores,
            "detections": output.detections,
            "warnings": output.warnings,
            "unread": output.unread.get(unit.case_id, {}),
        }
        return Product(
            case_id=unit.case_id,
            key=unit.key,
            record=record,
            files=files,
            said=tuple(said),
            detail=" ".join(details),
        )

    def _made_engine(self) -> InferenceEngine:
        if self._engine is None:
            try:
                self._engine = make_engine(self._spec.engine)
            except UserFacingError as error:
                raise EngineNotMade(str(error)) from error
        return self._engine

    def _result(
        self,
        engine: InferenceEngine,
        unit: Unit,
        exam: Exam,
        output: RunOutput,
        cancelled: Cancelled,
        details: list[str],
    ) -> tuple[list[str], ExamResult | None, str]:
        """Let the engine say all it can: lines for the user, the result or None, and why not."""
        try:
            result = engine.analyse(exam, lambda _fraction, _text: None, cancelled)
        except InferenceCancelled:
            raise
        except UserFacingError as error:
            details.append(str(error))
            words = _of_the_engine(error, exam)
            if is_passing(error):
                raise NotNow(words) from error
            return [], None, words
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug in a model must not end an archive's run
            details.append(f"{type(error).__name__}: {error}")
            return [], None, f"The analysis failed inside the model ({type(error).__name__}); report this."
        output.add(unit.case_id, exam, result)
        score = "none" if result.exam_score is None else f"{result.exam_score:.3f}"
        said = [
            f"{unit.case_id}: exam score {score}, {len(result.detections)} boxes, {result.seconds:.2f} s",
            *self._lesions(engine, unit, exam, output, cancelled, details),
        ]
        return said, result, ""

    def _lesions(
        self,
        engine: InferenceEngine,
        unit: Unit,
        exam: Exam,
        output: RunOutput,
        cancelled: Cancelled,
        details: list[str],
    ) -> list[str]:
        if not self._spec.lesions:
            return []
        if not isinstance(engine, LesionEngine):
            output.warnings["--lesions"] = [LESIONS_UNUSED]
            return []
        lesions, notes = given_lesions(exam, unit.case_id, self._spec.lesions, self._spec.lesions_folder)
        if notes:
            details += notes
            output.warnings.setdefault(unit.case_id, []).extend(row_note("Lesions", note) for note in notes)
        if not lesions:
            return []
        try:
            scores = engine.score_lesions(exam, lesions, lambda _fraction, _text: None, cancelled)
        except InferenceCancelled:
            raise
        except LesionsNotRead:
            output.warnings["--lesions"] = [LESIONS_UNUSED]
            return []
        except UserFacingError as error:
            details.append(str(error))
            why = _of_the_engine(error, exam)
            output.warnings.setdefault(unit.case_id, []).append(f"Lesions not scored: {why}")
            return [f"{unit.case_id}: lesions not scored: {why}"]
        output.add_lesions(unit.case_id, scores)
        return []

    def _objects(
        self,
        unit: Unit,
        exam: Exam,
        output: RunOutput,
        details: list[str],
        *,
        result: ExamResult | None,
        failure: str,
    ) -> list[str]:
        """Make an exam's DICOM objects, also where the model failed; what cannot be made is said once an exam."""
        if self._spec.engine.model_folder is None:
            return []
        card = read_card(self._spec.engine.model_folder)
        run = CadRun(
            exam=exam,
            model_id=card.model_id,
            model_version=card.version,
            weights_digest=card.weights_sha256,
            result=result,
            failure=failure,
            threshold=card.threshold("box"),
        )
        folder = output.folder / "sr"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # The file system's clock: the program's own belongs to reading sessions.
            with tempfile.NamedTemporaryFile(dir=folder) as stamp:
                written = datetime.fromtimestamp(Path(stamp.name).stat().st_mtime, tz=UTC)
            # DICOM times are local where nothing else is said
            created = written.astimezone().replace(tzinfo=None)
            paths = write_run(run, unit.root, folder, created=created, version=self._spec.version)
        except (UserFacingError, OSError) as error:
            details.append(f"CAD SR not written: {error}")
            output.warnings.setdefault(unit.case_id, []).append(f"CAD SR not written. {HINT}")
            return [f"{unit.case_id}: CAD SR not written. {HINT}"]
        return [f"{unit.case_id}: {paths[0].name} and {len(paths) - 1} heat maps"]


def _of_the_engine(error: UserFacingError, exam: Exam) -> str:
    """What an engine says of an exam, without the names of its files."""
    paths = [image.path for image in exam.images]
    return nameless(str(error), paths, otherwise="The model could not analyse this exam.")
