"""mini-MIAS: 322 film MLO views, 1024 x 1024 pixels of 0.2 mm, lesions as circles.

Layout after the set's own README (peipa.essex.ac.uk/info/mias.html; Suckling et al. 1994): ``mdb001.pgm`` and so on
beside ``Info.txt`` with reference, tissue, abnormality, severity, x, y, radius, where y counts from the bottom. The
same table as ``labels.csv`` and the images as PNG are taken too. Odd numbers are right, even ones left breasts of
one woman.
"""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from inference.datasets.layout import (
    Choices,
    Dataset,
    DatasetError,
    Prepared,
    Row,
    Shelf,
    csv_rows,
    named,
    root_with,
)

SIZE = 1024
SPACING_MM = 0.2
_TYPES = {
    "CALC": "calcification", "CIRC": "mass", "SPIC": "mass", "MISC": "mass", "ARCH": "distortion", "ASYM": "asymmetry",
}  # fmt: skip
_MARGINS = {"CIRC": "circumscribed", "SPIC": "spiculated"}
_TISSUES = {"F": "fatty", "G": "glandular", "D": "dense"}
_TABLES = ("Info.txt", "labels.csv", "info.csv")


def prepare(folder: Path, shelf: Shelf, choices: Choices) -> Prepared:  # noqa: ARG001 - all adapters are asked alike
    """Read a mini-MIAS folder."""
    root = root_with(folder, [_TABLES], DATASET.title)
    table = named(root, _TABLES)
    assert table is not None
    files = {
        path.stem.lower(): path
        for path in sorted(root.rglob("mdb*"))
        if path.suffix.lower() in {".pgm", ".png"} and path.is_file()
    }
    if not files:
        raise DatasetError(
            f"{root.name}: expected mdb001.pgm and so on beside {table.name}, found no such image."
        )
    out = Prepared()
    records: dict[str, list[dict[str, str]]] = {}
    for number, record in _records(table):
        if not re.fullmatch(r"mdb\d{3}", record["name"]):
            out.skip(
                f"{table.name}, row {number}", f"expected mdb and three digits, found {record['name']!r}"
            )
            continue
        records.setdefault(record["name"], []).append(record)
    for name, rows in records.items():
        path = files.pop(name, None)
        if path is None:
            out.skip(name, f"named in {table.name}, but its image is not there")
            continue
        _image(name, rows, path, shelf, out)
    for name, path in files.items():
        out.skip(path.name, f"no row of {table.name} names {name}")
    return out


def _records(table: Path) -> list[tuple[int, dict[str, str]]]:
    columns = ("name", "tissue", "class", "severity", "x", "y", "r")
    if table.suffix.lower() == ".csv":
        theirs = ("Name", "Background Tissue", "Abnormality", "Type", "x", "y", "r")
        return [
            (number, {mine: row.get(their, "") for mine, their in zip(columns, theirs, strict=True)})
            for number, row in csv_rows(table, theirs)
        ]
    out = []
    for number, line in enumerate(table.read_text(encoding="latin-1").splitlines(), start=1):
        words = line.split()
        if words and words[0].lower().startswith("mdb"):
            cells = [*words, *[""] * 7][:7]
            out.append((number, dict(zip(columns, cells, strict=True)) | {"name": words[0].lower()}))
    return out


def _image(name: str, rows: list[dict[str, str]], path: Path, shelf: Shelf, out: Prepared) -> None:
    number = int(name[3:])
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.shape[:2] != (SIZE, SIZE):
        found = "no picture" if pixels is None else f"{pixels.shape[0]} x {pixels.shape[1]}"
        out.skip(path.name, f"expected {SIZE} x {SIZE} pixels, found {found}")
        return
    severities = {row["severity"] for row in rows}
    case = f"mias-{(number + 1) // 2:03d}"
    view: Row = {"case_id": case, "laterality": "R" if number % 2 else "L", "view": "MLO", "kind": "film"}
    out.images.append(
        {
            **view,
            "patient_id": case,
            "path": shelf.image(path)
            if path.suffix.lower() == ".png"
            else shelf.picture(name, pixels.astype(np.uint8)),
            "spacing_mm": SPACING_MM,
            "bits": 8,
            "density": _TISSUES.get(rows[0]["tissue"], ""),
            "pathology": "malignant" if "M" in severities else "benign" if "B" in severities else "normal",
        }
    )
    for k, row in enumerate(rows, start=1):
        if row["class"] == "NORM":
            continue
        if row["class"] not in _TYPES:
            expected = f"{', '.join(_TYPES)} or NORM"
            out.skip(f"{name}, lesion {k}", f"expected a class of {expected}, found {row['class']!r}")
            continue
        numbers = [row[key] for key in ("x", "y", "r")]
        if not all(text.isdigit() for text in numbers):
            out.skip(f"{name}, lesion {k}", "the set gives no place for it")
            continue
        x, y, radius = (int(text) for text in numbers)
        out.lesions.append(
            {
                **view,
                "lesion_id": str(k),
                "type": _TYPES[row["class"]],
                "malignant": int(row["severity"] == "M"),
                "x": x,
                "y": SIZE - y,
                "radius": radius,
                "margin": _MARGINS.get(row["class"], ""),
                "mias_class": row["class"],
            }
        )


DATASET = Dataset(
    name="mias",
    title="mini-MIAS",
    terms="Research use only, by the MIAS licence agreement; not to be passed on, and no model trained on it is shipped.",
    source="http://peipa.essex.ac.uk/info/mias.html",
    layout="Info.txt and mdb001.pgm to mdb322.pgm",
    prepare=prepare,
)
