"""What every adapter shares: rows, skipped files, the set's own words, and the way files come into the manifest.

Owns the output folder (images.csv, lesions.csv, skipped.csv, masks). What a set's files mean is its module's.
"""

from __future__ import annotations

import csv
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.exam.types import InferenceError
from resources.table_limits import within_limits

IMAGE_COLUMNS = (
    "case_id", "patient_id", "laterality", "view", "kind", "path", "spacing_mm", "bits", "age", "density",
    "manufacturer", "birads", "pathology", "study_date", "split",
)  # fmt: skip
LESION_COLUMNS = (
    "case_id", "laterality", "view", "kind", "lesion_id", "type", "malignant", "x0", "y0", "x1", "y1",
    "x", "y", "radius", "mask_path", "shape", "margin", "morphology", "distribution", "birads", "split",
)  # fmt: skip
_SPARE_BYTES = 1 << 30  # left free on the disk when images are copied
_MAX_UNPACKED = 128 << 20
_MAX_COLUMNS = 256  # of a sheet, looked at: a cell in column XFD would make each row 16 384 wide
_BROKEN_BOOK = (
    zipfile.BadZipFile, zlib.error, SyntaxError, OSError, ValueError, LookupError, TypeError, AttributeError,
    EOFError, RuntimeError, NotImplementedError, OverflowError, AssertionError,
)  # fmt: skip  # XML that is none is a SyntaxError; openpyxl meets the rest in workbooks that no program writes
_DEPTH = 2  # a set may lie so many folders below the one that was named
Row = dict[str, object]


class DatasetError(InferenceError):
    """A folder is not the set it was called, or its tables cannot be read; one sentence says what was expected."""


@dataclass(slots=True)
class Prepared:
    """What an adapter made of a folder."""

    images: list[Row] = field(default_factory=list)
    lesions: list[Row] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)  # file or row, why
    notes: list[str] = field(default_factory=list)

    def skip(self, what: str, why: str) -> None:
        """Note a file or row that is not in the manifest."""
        self.skipped.append((what, why))


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the user decides where a set leaves it open."""

    birads_as_pathology: bool = (
        False  # of sets without biopsy: 1 normal, 2 and 3 benign, 4 and above malignant
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """One public set."""

    name: str
    title: str
    terms: str  # one sentence: who may use it for what
    source: str  # page that describes the layout
    layout: str  # the names that its folder holds, for sentences
    prepare: Callable[[Path, Shelf, Choices], Prepared]


class Shelf:
    """The output folder: brings images into it and writes masks.

    A manifest names only files inside its own folder. So an image elsewhere is linked (it takes no room, where
    both lie on one disk) or else copied.
    """

    def __init__(self, folder: Path, out: Path) -> None:
        self._folder = folder.resolve()
        self._out = out.resolve()
        if self._out != self._folder and self._out.is_relative_to(self._folder):
            raise DatasetError(
                f"--out {out.name}: expected a folder beside or above the set, found one inside it; "
                "its files would be read as the set's own."
            )
        self.copied = 0
        self._made: dict[Path, str] = {}

    def image(self, path: Path) -> str:
        """Path of an image for the manifest; it is linked or copied into the output folder where it lies outside.

        Raises
        ------
        DatasetError
            The disk has no room for a copy, or the folder cannot be written.
        """
        source = path.resolve()
        if source.is_relative_to(self._out):
            return source.relative_to(self._out).as_posix()
        if source in self._made:
            return self._made[source]
        inside = (
            source.relative_to(self._folder) if source.is_relative_to(self._folder) else Path(source.name)
        )
        target = self._out / "images" / inside
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            try:
                os.link(source, target)
            except OSError:  # another disk, or a file system without links
                self._copy(source, target)
        except OSError as error:
            raise DatasetError(
                f"{target.name}: expected a folder that can be written, found {error.strerror}."
            ) from error
        self._made[source] = target.relative_to(self._out).as_posix()
        return self._made[source]

    def _copy(self, source: Path, target: Path) -> None:
        size, free = source.stat().st_size, shutil.disk_usage(target.parent).free
        if size + _SPARE_BYTES > free:
            raise DatasetError(
                f"{source.name}: expected {(size + _SPARE_BYTES) >> 20} MB free for a copy, found {free >> 20} MB; "
                "choose --out on the disk that holds the set, where files are linked and take no room."
            )
        shutil.copyfile(source, target)
        self.copied += 1

    def picture(self, name: str, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> str:
        """Write an image of a format that manifests do not take as PNG; its path for the manifest."""
        return self._png(f"images/{name}.png", pixels)

    def mask(self, name: str, mask: NDArray[np.bool_]) -> str:
        """Write a lesion's mask (rows, cols) bool of its image's shape; its path for the manifest."""
        return self._png(f"masks/{name}.png", mask.astype(np.uint8) * np.uint8(255))

    def _png(self, relative: str, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> str:
        done, data = cv2.imencode(".png", pixels)
        assert done
        target = self._out / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_bytes(data.tobytes())
        return relative


def root_with(folder: Path, groups: Sequence[tuple[str, ...]], title: str) -> Path:
    """Find the folder, the named one or one a little below, that holds one name of each group.

    Parameters
    ----------
    groups
        Names of files or folders; of each group one is enough. Case does not matter.

    Raises
    ------
    DatasetError
        There is none: the sentence lists what was expected and the names that were found.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder.name}: expected the folder of {title}, found none there.")
    level = [folder]
    for _ in range(_DEPTH + 1):
        for place in level:
            if all(named(place, group) is not None for group in groups):
                return place
        level = [child for place in level for child in sorted(place.iterdir()) if child.is_dir()][:500]
    found = sorted(child.name for child in folder.iterdir())
    expected = ", ".join(" or ".join(group) for group in groups)
    listed = ", ".join(found[:6]) + (f" and {len(found) - 6} more" if len(found) > 6 else "")
    raise DatasetError(
        f"{folder.name}: expected {expected} of {title}, found {listed or 'an empty folder'}; "
        "name the folder that holds them."
    )


def named(folder: Path, names: Iterable[str]) -> Path | None:
    """The first of several names that a folder holds, whatever its case; None when it holds none."""
    present = {child.name.lower(): child for child in folder.iterdir()}
    return next((present[name.lower()] for name in names if name.lower() in present), None)


def csv_rows(path: Path, columns: Sequence[str], delimiter: str = ",") -> list[tuple[int, dict[str, str]]]:
    """Rows of a set's table with their numbers; column names and cells are stripped.

    Raises
    ------
    DatasetError
        The file is no such table.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, delimiter=delimiter)
            rows = [
                (
                    reader.line_num,
                    {str(k).strip(): v.strip() for k, v in row.items() if k and isinstance(v, str)},
                )
                for row in within_limits(reader)
            ]
            found = [str(name).strip() for name in reader.fieldnames or ()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path.name}: expected a CSV table, could not be read ({error}).") from error
    missing = [name for name in columns if name not in found]
    if missing:
        raise DatasetError(
            f"{path.name}, row 1: expected the columns {', '.join(missing)}, found {', '.join(found) or 'none'}."
        )
    return rows


def sheet_rows(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Rows of the first sheet of an xlsx workbook that has the columns (or of a CSV), as ``csv_rows``."""
    if path.suffix.lower() == ".csv":
        return csv_rows(path, columns)
    from openpyxl import load_workbook

    seen: list[str] = []
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(info.file_size for info in packed.infolist())
        if size > _MAX_UNPACKED:
            raise DatasetError(
                f"{path.name}: expected a workbook of at most {_MAX_UNPACKED >> 20} MB unpacked, found {size >> 20} MB."
            )
        book = load_workbook(path, read_only=True, data_only=True)
        try:
            for sheet in book.worksheets:
                lines = sheet.iter_rows(max_col=_MAX_COLUMNS, values_only=True)
                head = [_cell(value) for value in next(lines, ())]
                seen.append(f"{sheet.title}: {', '.join(head)}")
                if all(name in head for name in columns):
                    return [
                        (number, dict(zip(head, map(_cell, line), strict=False)))
                        for number, line in enumerate(lines, start=2)
                        if any(value is not None for value in line)
                    ]
        finally:
            book.close()
    except _BROKEN_BOOK as error:
        raise DatasetError(f"{path.name}: expected an xlsx workbook, could not be read ({error}).") from error
    raise DatasetError(
        f"{path.name}, row 1: expected the columns {', '.join(columns)}, found {'; '.join(seen) or 'no sheet'}."
    )


def _cell(value: object) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def birads_pathology(birads: str, choices: Choices) -> str:
    """Pathology of a BI-RADS category where the user asked for it, else nothing: a category is no biopsy."""
    if not choices.birads_as_pathology or not birads[:1].isdigit():
        return ""
    return {"1": "normal", "2": "benign", "3": "benign"}.get(
        birads[0], "malignant" if birads[0] in "456" else ""
    )


def box_cells(mask: NDArray[np.bool_]) -> Row:
    """The box of a mask as cells of the lesions table, x1 and y1 exclusive."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return {"x0": int(cols[0]), "y0": int(rows[0]), "x1": int(cols[-1]) + 1, "y1": int(rows[-1]) + 1}


def write_tables(prepared: Prepared, out: Path) -> Mapping[str, Path]:
    """Write images.csv, lesions.csv and skipped.csv; columns beyond the contract's follow it."""
    tables: dict[str, tuple[tuple[str, ...], list[Row]]] = {
        "images": (IMAGE_COLUMNS, sorted(prepared.images, key=_order)),
        "lesions": (LESION_COLUMNS, sorted(prepared.lesions, key=_order)),
        "skipped": (("file", "why"), [{"file": what, "why": why} for what, why in prepared.skipped]),
    }
    paths = {}
    out.mkdir(parents=True, exist_ok=True)
    for name, (columns, rows) in tables.items():
        extra = dict.fromkeys(key for row in rows for key in row if key not in columns)
        paths[name] = out / f"{name}.csv"
        with paths[name].open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, (*columns, *extra), restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return paths


def _order(row: Row) -> tuple[str, ...]:
    return tuple(
        str(row.get(key, "")) for key in ("case_id", "laterality", "view", "kind", "path", "lesion_id")
    )
