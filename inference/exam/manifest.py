"""The image manifest: how any set of images enters, as CSV files or a ``case.json`` beside the images.

Reads and checks rows and loads what they name; pictures are decoded in ``inference.exam.pictures``, DICOM in
``inference.exam.dicom``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from inference.exam import dicom, grayscale, views
from inference.exam.pictures import decode_picture
from inference.exam.types import (
    Exam,
    ExamError,
    Presentation,
    Spacing,
    ViewImage,
    exam_digest,
    with_unique_keys,
)
from resources.table_limits import within_limits
from resources.vocabulary import FindingType, ImageKind, Laterality, Pathology, Projection, ViewName

PICTURE_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".jpg", ".jpeg"})
_REQUIRED = ("case_id", "laterality", "view", "path")
_TEXTS = (
    "patient_id",
    "density",
    "manufacturer",
    "birads",
    "study_date",
    "medical_history",
    "family_history",
    "prior_of",
    "mask_path",
)
_OPTIONAL = (*_TEXTS, "kind", "spacing_mm", "bits", "age", "pathology")
_LESION_REQUIRED = ("case_id", "laterality", "view", "lesion_id", "type")
_LESION_OPTIONAL = ("kind", "malignant", "x0", "y0", "x1", "y1", "x", "y", "radius", "mask_path")


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestImage:
    """One row of the images table; None means not recorded. ``path`` is relative to the manifest's folder."""

    case_id: str
    view: ViewName
    kind: ImageKind
    path: str
    row: int
    patient_id: str | None = None
    spacing_mm: float | None = None
    bits: int | None = None
    age: int | None = None
    density: str | None = None
    manufacturer: str | None = None
    birads: str | None = None
    pathology: Pathology | None = None
    study_date: str | None = None
    medical_history: str | None = None
    family_history: str | None = None
    prior_of: str | None = None
    mask_path: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)  # unknown columns, kept


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestLesion:
    """One row of the lesions table; x is a column and y a row of the stored file, from its top left."""

    case_id: str
    view: ViewName
    kind: ImageKind | None  # None = every kind of that view
    lesion_id: str
    type: FindingType
    row: int
    malignant: bool | None = None
    box: tuple[float, float, float, float] | None = None  # row0, col0, row1, col1, half-open
    circle: tuple[float, float, float] | None = None  # row, col, radius
    mask_path: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Both tables and what was wrong in them; bad rows are left out and named in ``problems``."""

    folder: Path
    images: tuple[ManifestImage, ...]
    lesions: tuple[ManifestLesion, ...] = ()
    problems: tuple[str, ...] = ()


def read_manifest(path: Path, lesions: Path | None = None) -> Manifest:
    """Read an images CSV (or ``case.json``) and, when given, its lesions CSV.

    Raises
    ------
    ExamError
        The file cannot be read or lacks a required column. Bad rows do not raise: see ``Manifest.problems``.
    """
    data = _bytes_of(path)
    table = parse_manifest(data, path.name, folder=path.parent, case_id=path.parent.name)
    marks, problems = _read_lesions(lesions) if lesions else ([], [])
    return replace(table, lesions=tuple(marks), problems=(*table.problems, *problems))


def parse_manifest(data: bytes, name: str, *, folder: Path, case_id: str) -> Manifest:
    """Read the bytes of a manifest, from a disk and from a zip alike; errors as ``read_manifest``.

    ``name`` has no folders (``.json`` = a case file), ``case_id`` is the case of a case file that names none.
    """
    if name.lower().endswith(".json"):
        return _parse_case(data, name, folder, case_id)
    problems: list[str] = []
    images = []
    for number, row in _rows(data, name, _REQUIRED):
        try:
            images.append(_image(row, number, name))
        except ExamError as error:
            problems.append(str(error))
    return Manifest(folder=folder, images=tuple(images), problems=tuple(problems))


def _parse_case(data: bytes, name: str, folder: Path, case_id: str) -> Manifest:
    """Read ``{"case_id", "kind", "images": [{"path", ...}]}``; what the case says holds where an image is silent."""
    try:
        text = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ExamError(f"{name}: expected a JSON case file, found {error}.") from error
    if not isinstance(text, dict) or not isinstance(text.get("images"), list):
        raise ExamError(f"{name}: expected an object with a list 'images', found none.")
    shared = {"case_id": case_id} | {
        str(k): str(v) for k, v in text.items() if k != "images" and v is not None
    }
    images, problems = [], []
    for number, item in enumerate(text["images"], start=1):
        row = {
            **shared,
            **({str(k): str(v) for k, v in item.items() if v is not None} if isinstance(item, dict) else {}),
        }
        try:
            missing = [column for column in _REQUIRED if not row.get(column)]
            if missing:
                raise ExamError(f"{name}, image {number}, {missing[0]}: expected a value, found none.")
            images.append(_image(row, number, name))
        except ExamError as error:
            problems.append(str(error))
    return Manifest(folder=folder, images=tuple(images), problems=tuple(problems))


def read_lesion_table(path: Path) -> tuple[tuple[ManifestLesion, ...], tuple[str, ...]]:
    """Read a lesions CSV alone: its rows, and one sentence for each bad one; errors as ``read_manifest``."""
    marks, problems = _read_lesions(path)
    return tuple(marks), tuple(problems)


def _read_lesions(path: Path) -> tuple[list[ManifestLesion], list[str]]:
    marks, problems = [], []
    for number, row in _rows(_bytes_of(path), path.name, _LESION_REQUIRED):
        try:
            marks.append(_lesion(row, number, path.name))
        except ExamError as error:
            problems.append(str(error))
    return marks, problems


def exams_of(manifest: Manifest) -> tuple[tuple[str, tuple[ManifestImage, ...]], ...]:
    """Group the rows by case, cases and rows in file order."""
    cases: dict[str, list[ManifestImage]] = {}
    for image in manifest.images:
        cases.setdefault(image.case_id, []).append(image)
    return tuple((case, tuple(rows)) for case, rows in cases.items())


def load_row(image: ManifestImage, folder: Path) -> ViewImage:
    """Read and decode the image of one row; ExamError names the file."""
    target = resolve_inside(folder, image.path)
    if target.suffix.lower() in PICTURE_SUFFIXES:
        try:
            data = target.read_bytes()
        except OSError as error:
            raise ExamError(f"{image.path}: could not be read ({error.strerror}).") from error
        return load_picture(data, image)
    if not target.is_file():
        raise ExamError(f"{image.path}: expected a file, found none; correct the path in the manifest.")
    return dicom.load_view(target, image.path, view=image.view, kind=image.kind, spacing_mm=image.spacing_mm)


def load_case(case_id: str, rows: tuple[ManifestImage, ...], folder: Path) -> Exam:
    """Load all images of one case; ExamError names the first file that cannot be read."""
    images = with_unique_keys(load_row(row, folder) for row in rows)
    ages = [row.age for row in rows if row.age is not None]
    return Exam(exam_id=case_id, images=images, digest=exam_digest(images), age=ages[0] if ages else None)


def load_picture(data: bytes, image: ManifestImage) -> ViewImage:
    """Turn the bytes of a PNG, TIFF or JPEG file (8 or 16 bits, grayscale) into a ``ViewImage``.

    The side of the chest wall is detected, for such files declare no orientation; the VOI is by percentiles.
    """
    try:
        pixels = decode_picture(data)
    except ExamError as error:
        raise ExamError(f"{image.path}: {error}") from error
    turned = views.orientation_from_pixels(pixels, image.view.laterality)
    assert turned.value is not None  # the pixel rule always answers
    padding = grayscale.background_range(pixels, inverse=False)
    spacing = None
    if image.spacing_mm is not None:
        spacing = Spacing(row_mm=image.spacing_mm, col_mm=image.spacing_mm, method="declared in manifest")
    presentation = Presentation(
        vois=(grayscale.default_voi(pixels, padding),),
        padding=padding,
        bits=image.bits or max(8, int(pixels.max()).bit_length()),
    )
    said = (
        f"Spacing {image.spacing_mm:g} mm declared."
        if image.spacing_mm is not None
        else "Spacing not recorded."
    )
    return ViewImage(
        view=image.view,
        kind=image.kind,
        pixels=pixels,
        presentation=presentation,
        orientation=turned.value,
        spacing=spacing,
        source_id=image.path,
        path=image.path,
        header={"Manufacturer": image.manufacturer} if image.manufacturer else {},
        evidence=(
            f"{image.view.label} and kind {image.kind.value} from the manifest or name.",
            *turned.evidence,
            said,
        ),
    )


def resolve_inside(folder: Path, relative: str) -> Path:
    """Join a manifest path to its folder; ExamError when it leads out of it."""
    root = folder.resolve()
    target = (root / relative.replace("\\", "/").replace("\0", "?")).resolve()  # a NUL ends no path
    if not target.is_relative_to(root):
        raise outside(relative)
    return target


def outside(relative: str) -> ExamError:
    """Return the error of a manifest path that leads out of the manifest's folder."""
    return ExamError(
        f"{relative}: expected a path inside the manifest's folder, found one that leads out of it."
    )


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ExamError(f"{path.name}: expected a manifest, could not be read ({error.strerror}).") from error


def _rows(data: bytes, name: str, required: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        columns = [column.strip() for column in reader.fieldnames or ()]
        missing = [column for column in required if column not in columns]
        if missing:
            raise ExamError(
                f"{name}, row 1: expected the columns {', '.join(missing)}, found {', '.join(columns)}."
            )
        return [
            (
                reader.line_num,
                {str(k).strip(): (v or "").strip() for k, v in row.items() if k and not isinstance(v, list)},
            )
            for row in within_limits(reader)
        ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ExamError(f"{name}: expected a CSV file in UTF-8, could not be read ({error}).") from error


def _image(row: dict[str, str], number: int, file: str) -> ManifestImage:
    where = f"{file}, row {number}"
    pathology = row.get("pathology", "").lower()
    if pathology and pathology not in {p.value for p in Pathology}:
        raise ExamError(
            f"{where}, pathology: expected normal, benign or malignant, found {row['pathology']!r}."
        )
    return ManifestImage(
        case_id=_text(row, "case_id", where),
        view=_view(row, where),
        kind=_kind(row, where) or ImageKind.FFDM,
        path=_text(row, "path", where),
        row=number,
        spacing_mm=_number(row, "spacing_mm", where, 0.001, 10.0),
        bits=_whole(row, "bits", where, 1, 16),
        age=_whole(row, "age", where, 0, 130),
        pathology=Pathology(pathology) if pathology else None,
        extra={k: v for k, v in row.items() if k not in {*_REQUIRED, *_OPTIONAL}},
        **{name: row.get(name) or None for name in _TEXTS},
    )


def _lesion(row: dict[str, str], number: int, file: str) -> ManifestLesion:
    where = f"{file}, row {number}"
    type_name = row.get("type", "").lower()
    if type_name not in {t.value for t in FindingType}:
        raise ExamError(
            f"{where}, type: expected {', '.join(t.value for t in FindingType)}, found {row.get('type')!r}."
        )
    malignant = row.get("malignant", "")
    if malignant not in {"", "0", "1"}:
        raise ExamError(f"{where}, malignant: expected 0, 1 or nothing, found {malignant!r}.")
    box, circle = _box(row, where), _circle(row, where)
    if box is None and circle is None and not row.get("mask_path"):
        raise ExamError(f"{where}, x0: expected x0, y0, x1, y1 or x, y, radius or mask_path, found none.")
    return ManifestLesion(
        case_id=_text(row, "case_id", where),
        view=_view(row, where),
        kind=_kind(row, where),
        lesion_id=_text(row, "lesion_id", where),
        type=FindingType(type_name),
        row=number,
        malignant=None if malignant == "" else malignant == "1",
        box=box,
        circle=circle,
        mask_path=row.get("mask_path") or None,
        extra={k: v for k, v in row.items() if k not in {*_LESION_REQUIRED, *_LESION_OPTIONAL}},
    )


def _box(row: dict[str, str], where: str) -> tuple[float, float, float, float] | None:
    x0, y0, x1, y1 = (_number(row, name, where, -1e6, 1e6) for name in ("x0", "y0", "x1", "y1"))
    if x0 is None or y0 is None or x1 is None or y1 is None:
        return None
    if x1 <= x0 or y1 <= y0:
        raise ExamError(f"{where}, x1: expected x1 > x0 and y1 > y0, found {x0:g}, {y0:g}, {x1:g}, {y1:g}.")
    return y0, x0, y1, x1


def _circle(row: dict[str, str], where: str) -> tuple[float, float, float] | None:
    x, y, radius = (_number(row, name, where, -1e6, 1e6) for name in ("x", "y", "radius"))
    if x is None or y is None or radius is None:
        return None
    if radius <= 0:
        raise ExamError(f"{where}, radius: expected more than 0, found {radius:g}.")
    return y, x, radius


def _text(row: dict[str, str], column: str, where: str) -> str:
    if not row.get(column):
        raise ExamError(f"{where}, {column}: expected a value, found none.")
    return row[column]


def _view(row: dict[str, str], where: str) -> ViewName:
    side, projection = row.get("laterality", "").upper(), row.get("view", "").upper()
    if side not in {"L", "R"}:
        raise ExamError(f"{where}, laterality: expected L or R, found {row.get('laterality')!r}.")
    if projection not in {p.value for p in Projection}:
        raise ExamError(
            f"{where}, view: expected CC, MLO or another view's abbreviation, found {row.get('view')!r}."
        )
    return ViewName(Laterality(side), Projection(projection))


def _kind(row: dict[str, str], where: str) -> ImageKind | None:
    text = row.get("kind", "").lower()
    if not text:
        return None
    if text not in {k.value for k in ImageKind}:
        raise ExamError(
            f"{where}, kind: expected {', '.join(k.value for k in ImageKind)}, found {row['kind']!r}."
        )
    return ImageKind(text)


def _number(row: dict[str, str], column: str, where: str, low: float, high: float) -> float | None:
    text = row.get(column, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise ExamError(f"{where}, {column}: expected a number, found {text!r}.") from error
    if not low <= value <= high:
        raise ExamError(f"{where}, {column}: expected {low:g}..{high:g}, found {text}.")
    return value


def _whole(row: dict[str, str], column: str, where: str, low: int, high: int) -> int | None:
    value = _number(row, column, where, low, high)
    return None if value is None else int(value)
