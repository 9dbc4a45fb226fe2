"""Reads the truth a coordinator wrote as CSV, checks every cell against the imported cases, and says what is lacking.

Columns and rules are in ``docs/case-import.md``. Owns the file's form; the nouns are in ``domain.truth``, outlines
from masks in ``truth_shapes``. Readers' screens never import this.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from reader_study.case_import import CaseStore, StoredImage, written
from reader_study.domain.truth import TrueLesion, Truth
from reader_study.errors import StudyError
from reader_study.truth_shapes import Shape, ShapeError, circle, mask, polygon
from resources.files import one_sentence
from resources.vocabulary import Density, FindingType, Laterality, Pathology

COLUMNS = (
    "case_id", "patient_id", "side", "pathology", "lesion_id", "image_key", "type", "malignant", "polygon", "row",
    "col", "radius_mm", "mask", "density",
)  # fmt: skip
_LESION = ("image_key", "type", "malignant", "polygon", "row", "col", "radius_mm", "mask")
Links = Mapping[str, tuple[str, ...]]  # cases of a patient id; several = the id was given out twice
_YES_NO = {"1": True, "yes": True, "true": True, "0": False, "no": False, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthImport:
    """What a truth file says. ``problems`` are sentences that name line and column; with any, nothing is to be used."""

    truths: tuple[Truth, ...]
    problems: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()  # cases of the store without a row
    half: tuple[str, ...] = ()  # "C0003 L": imaged breasts that nothing is said of


class _CellError(Exception):
    """What is wrong in one cell: (column, sentence)."""

    def __init__(self, column: str, sentence: str) -> None:
        super().__init__(sentence)
        self.column, self.sentence = column, sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    line: int
    case_id: str
    side: Laterality
    pathology: Pathology | None
    lesion: TrueLesion | None
    density: Density | None = None


def read_truth_csv(path: Path, store: CaseStore, links: Links | None = None) -> TruthImport:
    """Read a truth file; all its errors at once.

    Parameters
    ----------
    store : the imported cases, whose ids, image keys and sizes the file must fit
    links : case ids by patient id, for files that name patients; None = only case ids are known

    Raises
    ------
    StudyError
        The file cannot be read as CSV, or its header lacks a column or has an unknown one.
    """
    problems: list[str] = []
    rows: list[_Row] = []
    images = {case.case_id: case.exam.images for case in store.cases}
    for line, cells in _lines(path):
        try:
            rows.append(_row(line, cells, images, links, path.parent))
        except _CellError as error:
            problems.append(
                one_sentence(f"{path.name}, line {line}, column {error.column}: {error.sentence}")
            )
    problems += [f"{path.name}, {words}" for words in _contradictions(rows)]
    truths = tuple(_truth(case_id, rows) for case_id in sorted({row.case_id for row in rows}))
    said = {truth.case_id: set(truth.breasts) for truth in truths}
    half = [
        f"{case_id} {side}"
        for case_id, keys in sorted(images.items())
        if case_id in said
        for side in sorted({key[0] for key in keys})
        if Laterality(side) not in said[case_id]
    ]
    return TruthImport(
        truths=truths,
        problems=tuple(problems),
        lacking=tuple(sorted(set(images) - set(said))),
        half=tuple(half),
    )


def write_truth(truths: tuple[Truth, ...], path: Path) -> None:
    """Write truth as the file ``domain.truth.read_truth`` reads, for its owner only.

    Raises
    ------
    StudyError
        The file cannot be written; an older one stays.
    """
    cases = [
        {
            "case_id": truth.case_id,
            "breasts": {side.value: truth.breasts[side].value for side in sorted(truth.breasts)},
            "lesions": [asdict(lesion) for lesion in truth.lesions],
            **({} if truth.density is None else {"density": truth.density.value}),
        }
        for truth in sorted(truths, key=lambda one: one.case_id)
    ]
    partial = path.with_suffix(".part")
    with written(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"cases": cases}, file, indent=1)
            file.write("\n")
        partial.replace(path)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise StudyError(
            f"{path}: the truth could not be read ({error.strerror}); check the path."
        ) from error
    except UnicodeDecodeError as error:
        raise StudyError(
            f"{path.name}: expected CSV text in UTF-8, found another encoding; save it as UTF-8."
        ) from error
    head = text.split("\n", 1)[0]
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=";" if head.count(";") > head.count(",") else ","
    )
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(path.name, header)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise StudyError(
                    f"{path.name}, line {reader.line_num}: expected {len(header)} cells as the header has,"
                    f" found {len(cells)}; quote cells that hold the separator."
                )
            yield reader.line_num, {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    except csv.Error as error:
        raise StudyError(
            f"{path.name}, line {reader.line_num}: expected CSV, found an error ({error})."
        ) from error


def _check_header(name: str, header: list[str]) -> None:
    unknown = [column or "(no name)" for column in header if column not in COLUMNS]
    twice = sorted({column for column in header if header.count(column) > 1})
    if unknown or twice:
        found = f"{', '.join(unknown)}" if unknown else f"{', '.join(twice)} twice"
        raise StudyError(f"{name}, line 1: expected columns of {', '.join(COLUMNS)}; found {found}.")
    if "side" not in header or not {"case_id", "patient_id"} & set(header):
        raise StudyError(
            f"{name}, line 1: expected the columns case_id (or patient_id) and side, found {', '.join(header)}."
        )


def _row(
    line: int,
    cells: Mapping[str, str],
    images: Mapping[str, Mapping[str, StoredImage]],
    links: Links | None,
    folder: Path,
) -> _Row:
    case_id = _case_id(cells, images, links)
    try:
        side = Laterality(cells["side"].upper())
    except ValueError as error:
        raise _CellError("side", f"expected R or L, found {cells['side']!r}.") from error
    said = cells.get("pathology", "").lower()
    if said and said not in {one.value for one in Pathology}:
        raise _CellError("pathology", f"expected normal, benign, malignant or nothing, found {said!r}.")
    pathology = Pathology(said) if said else None
    density = _density(cells.get("density", "").lower())
    if not cells.get("lesion_id"):
        full = next((column for column in _LESION if cells.get(column)), None)
        if full is not None:
            raise _CellError("lesion_id", f"expected an id, for {full} describes a lesion; found none.")
        if pathology is None:
            raise _CellError(
                "pathology", "expected normal, benign or malignant in a row without a lesion, found none."
            )
        return _Row(line=line, case_id=case_id, side=side, pathology=pathology, lesion=None, density=density)
    lesion = _lesion(cells, images[case_id], side, folder)
    return _Row(line=line, case_id=case_id, side=side, pathology=pathology, lesion=lesion, density=density)


def _density(said: str) -> Density | None:
    if said and said not in {one.value for one in Density}:
        raise _CellError("density", f"expected a, b, c, d or nothing, found {said!r}.")
    return Density(said) if said else None


def _case_id(cells: Mapping[str, str], images: Mapping[str, object], links: Links | None) -> str:
    case_id = cells.get("case_id", "")
    if not case_id and cells.get("patient_id"):
        if links is None:
            raise _CellError(
                "patient_id", "expected the table of links to look patients up, found none; name it."
            )
        found = links.get(cells["patient_id"], ())
        if not found:
            raise _CellError("patient_id", "expected a patient of the table of links, found another.")
        if len(found) > 1:
            raise _CellError(
                "patient_id",
                f"expected an id of one woman, found it in {', '.join(found)}; write case_id instead.",
            )
        case_id = found[0]
    if not case_id:
        raise _CellError("case_id", "expected a case, found none.")
    if case_id not in images:
        raise _CellError("case_id", f"expected an imported case, found {case_id!r}; import its images first.")
    return case_id


def _lesion(
    cells: Mapping[str, str], images: Mapping[str, StoredImage], side: Laterality, folder: Path
) -> TrueLesion:
    key = cells.get("image_key", "")
    if key not in images:
        raise _CellError("image_key", f"expected one of {', '.join(sorted(images))}, found {key!r}.")
    if not key.startswith(f"{side.value}-"):
        raise _CellError("side", f"expected {key[0]} as the image {key} says, found {side.value}.")
    kind, malignant = cells.get("type", "").lower(), cells.get("malignant", "").lower()
    if kind not in {one.value for one in FindingType}:
        raise _CellError("type", f"expected {', '.join(one.value for one in FindingType)}, found {kind!r}.")
    if malignant not in _YES_NO:
        raise _CellError("malignant", f"expected 1, 0, yes or no, found {malignant!r}.")
    shape = _shape(cells, images[key], folder)
    return TrueLesion(
        lesion_id=cells["lesion_id"],
        image_key=key,
        row=shape.row,
        col=shape.col,
        finding=FindingType(kind),
        malignant=_YES_NO[malignant],
        contour=shape.contour,
        radius_mm=shape.radius_mm,
        spacing_mm=images[key].spacing_mm,
    )


def _shape(cells: Mapping[str, str], image: StoredImage, folder: Path) -> Shape:
    corners, outline = cells.get("polygon", ""), cells.get("mask", "")
    point = [cells.get(column, "") for column in ("row", "col", "radius_mm")]
    if sum((bool(corners), bool(outline), any(point))) != 1:
        raise _CellError(
            "polygon", "expected a polygon, or row, col and radius_mm, or a mask; found none or several."
        )
    column = "polygon" if corners else "mask" if outline else "radius_mm"
    try:
        if corners:
            return polygon(corners, image)
        if outline:
            return mask(folder, outline, image)
        return circle(point[0], point[1], point[2], image)
    except ShapeError as error:
        raise _CellError(error.column or column, str(error)) from error


def _contradictions(rows: list[_Row]) -> list[str]:
    found: list[str] = []
    breasts: dict[tuple[str, Laterality], tuple[int, Pathology]] = {}
    lesions: dict[tuple[str, str], tuple[int, TrueLesion]] = {}
    drawn: dict[tuple[str, str, str], int] = {}
    dense: dict[str, tuple[int, Density]] = {}
    for row in rows:
        if row.pathology is not None:
            line, said = breasts.setdefault((row.case_id, row.side), (row.line, row.pathology))
            if said is not row.pathology:
                found.append(
                    f"line {row.line}, column pathology: expected {said.value} as line {line} says of this breast,"
                    f" found {row.pathology.value}."
                )
        if row.density is not None:
            line, given = dense.setdefault(row.case_id, (row.line, row.density))
            if given is not row.density:
                found.append(
                    f"line {row.line}, column density: expected {given.value} as line {line} says of this case,"
                    f" found {row.density.value}."
                )
        if row.lesion is None:
            continue
        one = row.lesion
        line, first = lesions.setdefault((row.case_id, one.lesion_id), (row.line, one))
        for column, before, now in (
            ("type", first.finding.value, one.finding.value),
            ("malignant", str(int(first.malignant)), str(int(one.malignant))),
            ("side", first.image_key[0], one.image_key[0]),
        ):
            if before != now:
                found.append(
                    f"line {row.line}, column {column}: expected {before} as line {line} says of lesion"
                    f" {one.lesion_id}, found {now}."
                )
        twice = drawn.setdefault((row.case_id, one.lesion_id, one.image_key), row.line)
        if twice != row.line:
            found.append(
                f"line {row.line}, column lesion_id: expected {one.lesion_id} once in {one.image_key}, found it in"
                f" line {twice} too."
            )
    for row in rows:
        known = breasts.get((row.case_id, row.side))
        if row.lesion is None or known is None:
            continue
        if known[1] is Pathology.NORMAL or (row.lesion.malignant and known[1] is not Pathology.MALIGNANT):
            kind = "malignant" if row.lesion.malignant else "benign"
            found.append(
                f"line {row.line}, column malignant: expected no {kind} lesion in a breast that line {known[0]} calls"
                f" {known[1].value}, found one."
            )
    return found


def _truth(case_id: str, rows: list[_Row]) -> Truth:
    own = [row for row in rows if row.case_id == case_id]
    breasts: dict[Laterality, Pathology] = {}
    for side in Laterality:
        here = [row for row in own if row.side is side]
        if not here:
            continue
        stated = next((row.pathology for row in here if row.pathology is not None), None)
        malignant = any(row.lesion is not None and row.lesion.malignant for row in here)
        breasts[side] = stated or (Pathology.MALIGNANT if malignant else Pathology.BENIGN)
    return Truth(
        case_id=case_id,
        breasts=breasts,
        lesions=tuple(row.lesion for row in own if row.lesion is not None),
        density=next((row.density for row in own if row.density is not None), None),
    )
