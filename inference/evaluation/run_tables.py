"""Reads back what ``infer`` wrote: scores.csv, detections.csv and run.json of one run's folder.

Checks each cell and names file, row and column of the first that is wrong. What the rows mean beside a
manifest is ``inference.evaluation.truth`` and ``.units``.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from inference.exam.types import Box, InferenceError
from resources.table_limits import within_limits
from resources.vocabulary import FindingType, ImageKind, Laterality, Projection

LEVELS = ("view", "breast", "exam", "lesion")
_FAR_PX = 65536  # no stored image is larger; a corner out there would ask for a canvas of that size
_SCORE_REQUIRED = ("case_id", "level", "laterality", "view", "kind", "lesion_id", "score")
_FOUND_REQUIRED = ("case_id", "path", "laterality", "view", "x0", "y0", "x1", "y1", "score")


_Word = TypeVar("_Word", bound=StrEnum)


class EvaluationError(InferenceError):
    """A run cannot be judged; the text names file, row and column, what was expected and what was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """One row of scores.csv; empty cells are None."""

    row: int
    case_id: str
    level: str
    score: float  # 0..1
    laterality: Laterality | None = None
    view: Projection | None = None
    kind: ImageKind | None = None
    lesion_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRow:
    """One row of detections.csv; box and outline in stored-file pixels."""

    row: int
    case_id: str
    path: str
    laterality: Laterality
    view: Projection
    kind: ImageKind | None
    box: Box
    score: float  # 0..1
    finding: FindingType | None = None
    outline: tuple[tuple[float, float], ...] = ()  # (row, column) corners


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTables:
    """A run as its folder holds it; ``notes`` are sentences on rows that were left out."""

    folder: Path
    scores: tuple[ScoreRow, ...]
    found: tuple[FoundRow, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)  # run.json
    notes: tuple[str, ...] = ()


def read_run(folder: Path) -> RunTables:
    """Read the folder that ``infer --out`` wrote.

    Raises
    ------
    EvaluationError
        A file is absent or no CSV, a column is absent, or a cell is wrong (a score outside 0..1, a level that
        does not exist, a box without area).
    """
    notes: list[str] = []
    scores = []
    for number, row in _rows(folder / "scores.csv", _SCORE_REQUIRED):
        if not row["score"]:
            notes.append(f"scores.csv, row {number}, score: expected 0..1, found none; the row was left out.")
            continue
        scores.append(_score(row, number))
    found = [_found(row, number) for number, row in _rows(folder / "detections.csv", _FOUND_REQUIRED)]
    return RunTables(
        folder=folder, scores=tuple(scores), found=tuple(found), facts=_facts(folder), notes=tuple(notes)
    )


def _rows(path: Path, required: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise EvaluationError(
            f"{path.name}: expected it in the run's folder {path.parent.name}, found none "
            f"({error.strerror}); name the folder that infer wrote."
        ) from error
    except UnicodeDecodeError as error:
        raise EvaluationError(f"{path.name}: expected a CSV file in UTF-8, found other bytes.") from error
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""))
        columns = [(name or "").strip() for name in reader.fieldnames or ()]
        missing = [name for name in required if name not in columns]
        if missing:
            raise EvaluationError(
                f"{path.name}, row 1: expected the columns {', '.join(missing)}, "
                f"found {', '.join(columns) or 'none'}."
            )
        return [
            (
                reader.line_num,
                {str(k).strip(): (v or "").strip() for k, v in row.items() if k and not isinstance(v, list)},
            )
            for row in within_limits(reader)
        ]
    except csv.Error as error:
        raise EvaluationError(f"{path.name}: expected a CSV file, could not be read ({error}).") from error


def _score(row: dict[str, str], number: int) -> ScoreRow:
    where = f"scores.csv, row {number}"
    if row["level"] not in LEVELS:
        raise EvaluationError(f"{where}, level: expected {', '.join(LEVELS)}, found {row['level']!r}.")
    needed = {"view": ("laterality", "view"), "breast": ("laterality",), "lesion": ("lesion_id",)}
    for column in ("case_id", *needed.get(row["level"], ())):
        if not row[column]:
            raise EvaluationError(f"{where}, {column}: expected a value, found none.")
    return ScoreRow(
        row=number,
        case_id=row["case_id"],
        level=row["level"],
        score=unit_number(row["score"], f"{where}, score"),
        laterality=_member(Laterality, row["laterality"].upper(), f"{where}, laterality"),
        view=_member(Projection, row["view"].upper(), f"{where}, view"),
        kind=_member(ImageKind, row["kind"].lower(), f"{where}, kind"),
        lesion_id=row["lesion_id"] or None,
    )


def _found(row: dict[str, str], number: int) -> FoundRow:
    where = f"detections.csv, row {number}"
    side = _member(Laterality, row["laterality"].upper(), f"{where}, laterality")
    view = _member(Projection, row["view"].upper(), f"{where}, view")
    for column, value in (("case_id", row["case_id"]), ("laterality", side), ("view", view)):
        if not value:
            raise EvaluationError(f"{where}, {column}: expected a value, found none.")
    assert side is not None
    assert view is not None
    x0, y0, x1, y1 = (_number(row[name], f"{where}, {name}") for name in ("x0", "y0", "x1", "y1"))
    if not (x1 > x0 and y1 > y0):
        raise EvaluationError(
            f"{where}, x1: expected x1 > x0 and y1 > y0, found {x0:g}, {y0:g}, {x1:g}, {y1:g}."
        )
    return FoundRow(
        row=number,
        case_id=row["case_id"],
        path=row["path"].replace("\\", "/"),
        laterality=side,
        view=view,
        kind=_member(ImageKind, row.get("kind", "").lower(), f"{where}, kind"),
        box=Box(row0=y0, col0=x0, row1=y1, col1=x1),
        score=unit_number(row["score"], f"{where}, score"),
        finding=_member(FindingType, row.get("type", "").lower(), f"{where}, type"),
        outline=outline_of(row.get("outline", ""), f"{where}, outline"),
    )


def outline_of(text: str, where: str) -> tuple[tuple[float, float], ...]:
    """Read an outline cell, "x,y x,y ...", into (row, column) corners; empty text = no outline.

    Raises
    ------
    EvaluationError
        A corner is no pair of numbers, or there are fewer than three.
    """
    if not text:
        return ()
    corners = []
    for pair in text.split():
        parts = pair.split(",")
        if len(parts) != 2:
            raise EvaluationError(f"{where}: expected corners as x,y, found {pair!r}.")
        x, y = (_number(part, where) for part in parts)
        if max(abs(x), abs(y)) > _FAR_PX:
            raise EvaluationError(f"{where}: expected corners in or near the image, found {pair!r}.")
        corners.append((y, x))
    if len(corners) < 3:
        raise EvaluationError(f"{where}: expected three corners or more, found {len(corners)}.")
    return tuple(corners)


def unit_number(text: str, where: str) -> float:
    """Read a number in 0..1; EvaluationError names where it stands."""
    value = _number(text, where, expected="0..1")
    if not 0.0 <= value <= 1.0:
        raise EvaluationError(f"{where}: expected 0..1, found {text}.")
    return value


def _number(text: str, where: str, expected: str = "a number") -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise EvaluationError(f"{where}: expected {expected}, found {text or 'none'!r}.") from error
    if not math.isfinite(value):
        raise EvaluationError(f"{where}: expected {expected}, found {text!r}.")
    return value


def _member(kind: type[_Word], text: str, where: str) -> _Word | None:
    if not text:
        return None
    try:
        return kind(text)
    except ValueError as error:
        names = ", ".join(member.value for member in kind)
        raise EvaluationError(f"{where}: expected {names} or nothing, found {text!r}.") from error


def _facts(folder: Path) -> dict[str, Any]:
    path = folder / "run.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise EvaluationError(f"run.json: expected JSON, could not be read ({error}).") from error
    if not isinstance(facts, dict):
        raise EvaluationError("run.json: expected an object, found something else.")
    return facts
