"""Writes an AI result as a Mammography CAD SR (TID 4000), with an honest processing state (MG-34).

Decides how our nouns become DICOM's. A detection is a Single Image Finding inside a Composite Feature, so that the
views of one lesion stay together; the heat map is an object of its own (``heat_map``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset, FileDataset

from inference.exam.objects import codes
from inference.exam.objects.codes import Code
from inference.exam.objects.content_write import (
    by_reference,
    code,
    container,
    item_of,
    num,
    related,
    scoord,
    text,
)
from inference.exam.objects.document import (
    Headers,
    code_item,
    evidence_of,
    new_object,
    patient_orientation,
    referable,
    reference_item,
)
from inference.exam.objects.model import CadState, Intent, Status
from inference.exam.types import Exam, ViewImage
from inference.results import Detection, ExamResult
from resources.vocabulary import FindingType, ImageKind, Laterality

CAD_SR_CLASS = "1.2.840.10008.5.1.4.1.1.88.50"
SERIES_NUMBER = 9001
_LEFT_OUT = frozenset({ImageKind.CESM_HIGH, ImageKind.CESM_RECOMBINED})


@dataclass(frozen=True, slots=True, kw_only=True)
class CadRun:
    """What is to be reported: a result, or why there is none.

    ``failure`` says what went wrong; ``attempted`` False with it means that the model was not run at all.
    Detections scoring below ``threshold`` (0..1) become Presentation Optional with CAD Operating Point 1.
    """

    exam: Exam
    model_id: str
    model_version: str
    weights_digest: str
    result: ExamResult | None = None
    failure: str = ""
    attempted: bool = True
    threshold: float = 0.0

    def __post_init__(self) -> None:
        if (self.result is None) != bool(self.failure):
            raise ValueError(
                f"CAD run: expected a result or a failure, found {self.result!r} and {self.failure!r}"
            )

    @property
    def algorithm_version(self) -> str:
        """Model version and weights digest, as Algorithm Version carries them."""
        return f"{self.model_version}; weights SHA-256 {self.weights_digest}"


def analysed(run: CadRun) -> tuple[tuple[ViewImage, ...], tuple[ViewImage, ...]]:
    """Split the exam's images into those the model answered for and those it should have.

    In neither are energies of contrast exams that it has no score for, and further images of a view it did read.
    """
    wanted = [i for i in run.exam.images if i.kind not in _LEFT_OUT]
    if run.result is None:
        return (), (tuple(wanted) if run.attempted else ())
    seen = set(run.result.view_scores) | {d.image_key for d in run.result.detections}
    done = tuple(image for image in run.exam.images if image.key in seen)
    read = {_view_key(image) for image in done}
    return done, tuple(image for image in wanted if _view_key(image) not in read)


def _view_key(image: ViewImage) -> str:
    return image.key.removesuffix(image.qualifier)


def state_of(run: CadRun) -> tuple[CadState, Status]:
    """Return the state of the whole and the status of detection (MG-30): failure never looks like "no findings"."""
    if run.result is None:
        return CadState.NONE_SUCCEEDED, Status.FAILED if run.attempted else Status.NOT_ATTEMPTED
    done, missing = analysed(run)
    if not done:
        return CadState.NONE_SUCCEEDED, Status.FAILED
    if missing:
        return (CadState.SOME_WITH if run.result.detections else CadState.SOME_WITHOUT), Status.PARTLY
    return (CadState.ALL_WITH if run.result.detections else CadState.ALL_WITHOUT), Status.SUCCEEDED


def cad_sr(run: CadRun, headers: Headers, *, created: datetime, version: str) -> FileDataset:
    """Make the report of one run.

    Parameters
    ----------
    headers : header of each image, by SOP Instance UID (``document.read_headers``)
    created : when the report is made, no time zone
    version : version of this program

    Raises
    ------
    ObjectError
        The exam holds pictures that are no DICOM, or a header is missing.
    """
    images = referable(run.exam, headers)
    first = images[0].reference
    assert first is not None
    ds = new_object(
        sop_class=CAD_SR_CLASS,
        modality="SR",
        source=headers[first.sop_instance_uid],
        key=f"cad-sr|{run.exam.digest}|{run.model_id}|{run.algorithm_version}|{created.isoformat()}",
        created=created,
        description=f"AI {run.model_id} (research use only)",
        series_number=SERIES_NUMBER,
        version=version,
    )
    ds.ReferencedPerformedProcedureStepSequence = []
    ds.PerformedProcedureCodeSequence = []
    ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", "UNVERIFIED"
    ds.CurrentRequestedProcedureEvidenceSequence = evidence_of(images)
    root = container(codes.REPORT)
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "4000"
    root.ContentTemplateSequence = [template]
    _fill_root(root, run, images, headers)
    ds.update(root)
    return ds


def _fill_root(root: Dataset, run: CadRun, images: Sequence[ViewImage], headers: Headers) -> None:
    state, status = state_of(run)
    places = {image.key: (1, 2, number) for number, image in enumerate(images, start=1)}
    library = container(codes.IMAGE_LIBRARY, [_library_entry(image, headers) for image in images])
    # The order is the template's, and by-reference addresses ("1.2.n") count on it.
    root.ContentSequence = [
        related("HAS CONCEPT MOD", code(codes.LANGUAGE, codes.ENGLISH)),
        related("CONTAINS", library),
        related("CONTAINS", _summary(run, state, places)),
        related("CONTAINS", _detections(run, status, places)),
        related("CONTAINS", _analyses(run, places)),
    ]


# ---- parts of the tree


def _library_entry(image: ViewImage, headers: Headers) -> Dataset:
    """TID 4020, relation included."""
    at = image.reference
    assert at is not None
    header = headers[at.sop_instance_uid]
    right = image.view.laterality is Laterality.RIGHT
    context: list[Dataset] = [
        code(codes.LATERALITY, codes.RIGHT_BREAST if right else codes.LEFT_BREAST),
    ]
    view = _view_code(header)
    if view is not None:
        context.append(view)
    orientation = patient_orientation(header)
    if orientation is not None:
        context += [
            text(codes.ORIENTATION_ROW, orientation[0]),
            text(codes.ORIENTATION_COLUMN, orientation[1]),
        ]
    for concept, kind, keyword in (
        (codes.STUDY_DATE, "DATE", "StudyDate"),
        (codes.STUDY_TIME, "TIME", "StudyTime"),
        (codes.CONTENT_DATE, "DATE", "ContentDate"),
        (codes.CONTENT_TIME, "TIME", "ContentTime"),
    ):
        if str(header.get(keyword, "") or ""):
            item = item_of(kind, concept)
            setattr(item, "Date" if kind == "DATE" else "Time", str(header.get(keyword)))
            context.append(item)
    if image.spacing is not None:
        context += [
            num(codes.HORIZONTAL_SPACING, image.spacing.col_mm * 1000, codes.MICROMETER),
            num(codes.VERTICAL_SPACING, image.spacing.row_mm * 1000, codes.MICROMETER),
        ]
    entry = Dataset()
    entry.ValueType = "IMAGE"
    entry.ReferencedSOPSequence = [reference_item(at.sop_class_uid, at.sop_instance_uid)]
    entry.ContentSequence = [related("HAS ACQ CONTEXT", item) for item in context]
    return related("CONTAINS", entry)


def _view_code(header: Dataset) -> Dataset | None:
    items = header.get("ViewCodeSequence")
    if not items:
        return None
    item = item_of("CODE", codes.IMAGE_VIEW)
    item.ConceptCodeSequence = [_plain_code(items[0])]
    modifiers = []
    for found in items[0].get("ViewModifierCodeSequence") or ():
        modifier = item_of("CODE", codes.VIEW_MODIFIER)
        modifier.ConceptCodeSequence = [_plain_code(found)]
        modifiers.append(related("HAS CONCEPT MOD", modifier))
    if modifiers:
        item.ContentSequence = modifiers
    return item


def _plain_code(item: Dataset) -> Dataset:
    value = str(item.get("CodeValue", "") or "")
    return code_item(
        Code(value, str(item.get("CodingSchemeDesignator", "")), str(item.get("CodeMeaning", "") or value))
    )


def _summary(run: CadRun, state: CadState, places: Mapping[str, tuple[int, ...]]) -> Dataset:
    node = code(codes.SUMMARY, Code(state.value, "DCM", _STATE_MEANINGS[state]))
    children = [related("HAS PROPERTIES", text(codes.IMPRESSION_DESCRIPTION, _impression(run)))]
    for members in _groups(run):
        weak = all(member.score < run.threshold for member in members)
        impression = container(codes.IMPRESSION)
        impression.ContentSequence = [
            related("HAS CONCEPT MOD", _intent(weak=weak)),
            related("CONTAINS", _composite(run, members, places, weak=weak)),
        ]
        children.append(related("INFERRED FROM", impression))
    node.ContentSequence = children
    return node


def _impression(run: CadRun) -> str:
    """Words and numbers for the whole exam; at most 1024 characters, as TEXT items of old readers allow."""
    if run.result is None:
        return f"{'AI failed' if run.attempted else 'AI not run'}: {run.failure}"[:1024]
    result = run.result
    said = [] if result.exam_score is None else [f"Exam score {result.exam_score:.3f}"]
    said += [f"{side.value} breast {score:.3f}" for side, score in sorted(result.breast_scores.items())]
    words = "; ".join(said) or "No scores"
    rest = [result.score_meaning, *result.warnings, "Research use only."]
    return " ".join([f"{words}.", *(part for part in rest if part)])[:1024]


def _groups(run: CadRun) -> list[list[Detection]]:
    """Detections of one lesion together, the strongest lesion first."""
    groups: dict[str, list[Detection]] = {}
    for found in run.result.detections if run.result is not None else ():
        groups.setdefault(f"group {found.group}" if found.group else f"one {found.detection_id}", []).append(
            found
        )
    return sorted(
        groups.values(), key=lambda members: (-max(m.score for m in members), members[0].detection_id)
    )


def _composite(
    run: CadRun, members: list[Detection], places: Mapping[str, tuple[int, ...]], *, weak: bool
) -> Dataset:
    """TID 4004 and 4005."""
    types = [member.finding for member in sorted(members, key=lambda m: -m.score)]
    feature = code(codes.COMPOSITE, codes.COMPOSED[types[0]])
    several = len({member.image_key for member in members}) > 1
    scope = codes.ON_SEVERAL if several else (codes.ON_ONE_OF if len(places) > 1 else codes.ON_ONLY_IMAGE)
    children = [
        related("HAS CONCEPT MOD", _intent(weak=weak)),
        related("HAS PROPERTIES", code(codes.COMPOSITE_TYPE, codes.RELATED_SPATIALLY)),
        related("HAS PROPERTIES", code(codes.SCOPE, scope)),
        *_algorithm(run),
        related(
            "HAS PROPERTIES",
            num(codes.CERTAINTY_OF_FEATURE, 100 * max(m.score for m in members), codes.PERCENT),
        ),
    ]
    children += [related("INFERRED FROM", _finding(run, member, places)) for member in members]
    feature.ContentSequence = children
    return feature


def _finding(run: CadRun, found: Detection, places: Mapping[str, tuple[int, ...]]) -> Dataset:
    """TID 4006."""
    node = code(codes.FINDING, codes.SINGLE_IMAGE[found.finding])
    box, place = found.box, places[found.image_key]
    (row, col) = box.center
    border = [(box.row0, box.col0), (box.row0, box.col1), (box.row1, box.col1), (box.row1, box.col0)]
    children = [
        related("HAS CONCEPT MOD", _intent(weak=found.score < run.threshold)),
        *_algorithm(run),
        related("HAS PROPERTIES", num(codes.CERTAINTY, 100 * found.score, codes.PERCENT)),
    ]
    if found.malignancy is not None:
        children.append(
            related("HAS PROPERTIES", num(codes.PROBABILITY, 100 * found.malignancy, codes.PERCENT))
        )
    children += [
        related("HAS PROPERTIES", scoord(codes.CENTER, "POINT", [(row, col)], place)),
        related("HAS PROPERTIES", scoord(codes.OUTLINE, "POLYLINE", [*border, border[0]], place)),
    ]
    if found.finding in {None, FindingType.ENHANCEMENT}:
        words = found.finding.value if found.finding is not None else "not typed by the model"
        children.append(related("HAS PROPERTIES", text(codes.REGION_DESCRIPTION, words)))
    node.ContentSequence = children
    return node


def _detections(run: CadRun, status: Status, places: Mapping[str, tuple[int, ...]]) -> Dataset:
    """Summary of Detections with TID 4015 and 4017: each kind of finding, on which images it went well or failed."""
    node = code(codes.DETECTIONS, Code(status.value, "DCM", _STATUS_MEANINGS[status]))
    if status is Status.NOT_ATTEMPTED:
        return node
    done, missing = analysed(run)
    children = []
    for kind, images in ((codes.SUCCESSFUL_DETECTIONS, done), (codes.FAILED_DETECTIONS, missing)):
        if not images:
            continue
        looked_for = code(codes.DETECTION_PERFORMED, codes.SELECTED_REGION)
        looked_for.ContentSequence = [
            *_algorithm(run),
            *(by_reference("HAS PROPERTIES", places[image.key]) for image in images),
        ]
        children.append(related("INFERRED FROM", container(kind, [related("CONTAINS", looked_for)])))
    if children:
        node.ContentSequence = children
    return node


def _analyses(run: CadRun, places: Mapping[str, tuple[int, ...]]) -> Dataset:
    """Summary of Analyses: matching views of one lesion, where the model did that."""
    matched = run.result is not None and any(d.group for d in run.result.detections)
    status = Status.SUCCEEDED if matched else Status.NOT_ATTEMPTED
    node = code(codes.ANALYSES, Code(status.value, "DCM", _STATUS_MEANINGS[status]))
    if matched:
        work = code(codes.ANALYSIS_PERFORMED, codes.SPATIAL_COLLOCATION)
        images = [image for image in analysed(run)[0] if image.key in places]
        work.ContentSequence = [
            *_algorithm(run),
            *(by_reference("HAS PROPERTIES", places[image.key]) for image in images),
        ]
        held = container(codes.SUCCESSFUL_ANALYSES, [related("CONTAINS", work)])
        node.ContentSequence = [related("INFERRED FROM", held)]
    return node


def _algorithm(run: CadRun) -> list[Dataset]:
    """TID 4019."""
    return [
        related("HAS PROPERTIES", text(codes.ALGORITHM_NAME, run.model_id)),
        related("HAS PROPERTIES", text(codes.ALGORITHM_VERSION, run.algorithm_version)),
    ]


def _intent(*, weak: bool) -> Dataset:
    intent = Intent.OPTIONAL if weak else Intent.REQUIRED
    item = code(codes.INTENT, Code(intent.value, "DCM", _INTENT_MEANINGS[intent]))
    if weak:
        item.ContentSequence = [related("HAS PROPERTIES", num(codes.OPERATING_POINT, 1, codes.NO_UNITS))]
    return item


_STATE_MEANINGS = {
    CadState.ALL_WITHOUT: "All algorithms succeeded; without findings",
    CadState.ALL_WITH: "All algorithms succeeded; with findings",
    CadState.SOME_WITHOUT: "Not all algorithms succeeded; without findings",
    CadState.SOME_WITH: "Not all algorithms succeeded; with findings",
    CadState.NONE_SUCCEEDED: "No algorithms succeeded; without findings",
}
_STATUS_MEANINGS = {
    Status.SUCCEEDED: "Succeeded",
    Status.PARTLY: "Partially Succeeded",
    Status.FAILED: "Failed",
    Status.NOT_ATTEMPTED: "Not Attempted",
}
_INTENT_MEANINGS = {
    Intent.REQUIRED: "Presentation Required: Rendering device is expected to present",
    Intent.OPTIONAL: "Presentation Optional: Rendering device may present",
    Intent.NEVER: "Not for Presentation: Rendering device expected not to present",
}
