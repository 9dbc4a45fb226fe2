"""CMMD, the Chinese Mammography Database: 1,775 women, FFDM, biopsy truth per breast, no places of lesions.

Layout after its page at TCIA (doi.org/10.7937/tcia.eqde-4b16; Cai et al. 2023, Sci Data 10:48):
``CMMD_clinicaldata_revision.xlsx`` (ID1, LeftRight, Age, number, abnormality, classification, subtype) and
``CMMD/D1-0001/.../1-1.dcm``; side and view are in the headers.
"""

from __future__ import annotations

import re
from pathlib import Path

from inference.datasets.layout import Choices, Dataset, Prepared, Row, Shelf, named, root_with, sheet_rows
from inference.exam.dicom import read_header
from inference.exam.facts import read_spacing

_TABLES = ("CMMD_clinicaldata_revision.xlsx", "CMMD_clinicaldata_revision.csv")
_COLUMNS = ("ID1", "LeftRight", "Age", "abnormality", "classification")
_PATIENT = re.compile(r"D[12]-\d{4}")
_PATHOLOGY = {"benign": "benign", "malignant": "malignant"}


def prepare(folder: Path, shelf: Shelf, choices: Choices) -> Prepared:  # noqa: ARG001 - all adapters are asked alike
    """Read a CMMD folder."""
    root = root_with(folder, [_TABLES], DATASET.title)
    table = named(root, _TABLES)
    assert table is not None
    out = Prepared()
    breasts: dict[tuple[str, str], Row] = {}
    for number, row in sheet_rows(table, _COLUMNS):
        pathology = _PATHOLOGY.get(row["classification"].lower())
        if not _PATIENT.fullmatch(row["ID1"]) or row["LeftRight"] not in {"L", "R"} or pathology is None:
            out.skip(
                f"{table.name}, row {number}", "expected an ID such as D1-0001, L or R, Benign or Malignant"
            )
            continue
        key = (row["ID1"], row["LeftRight"])
        if key in breasts and breasts[key]["pathology"] == "malignant":
            continue  # a breast with several rows keeps the worst
        breasts[key] = {
            "age": row["Age"] if row["Age"].isdigit() else "",
            "pathology": pathology,
            "abnormality": row["abnormality"].lower(),
            "subtype": row.get("subtype", ""),
        }
    seen = set()
    for path in sorted(root.rglob("*.dcm")):
        patient = next((part for part in path.relative_to(root).parts if _PATIENT.fullmatch(part)), "")
        label = path.relative_to(root).as_posix()
        header = read_header(path, label)
        patient = patient or header.patient_id
        if header.view is None or not _PATIENT.fullmatch(patient):
            out.skip(
                label,
                header.sentence if header.view is None else "no patient such as D1-0001 in path or header",
            )
            continue
        side = header.view.laterality.value
        seen.add((patient, side))
        known = breasts.get((patient, side), {})
        age = (
            next((row["age"] for (who, _), row in breasts.items() if who == patient), "")
            if not known
            else known["age"]
        )
        out.images.append(
            {
                "case_id": patient,
                "patient_id": patient,
                "laterality": side,
                "view": header.view.projection.value,
                "kind": "ffdm",
                "path": shelf.image(path),
                "spacing_mm": read_spacing(path) or "",
                **known,
                "age": age or header.age or "",
            }
        )
    for patient, side in sorted(set(breasts) - seen):
        out.skip(f"{patient} {side}", f"in {table.name}, but no image of it is there")
    bare = sum(not image.get("pathology") for image in out.images)
    if bare:
        out.notes.append(
            f"{bare} images are of breasts without a row in {table.name}: their pathology is not known."
        )
    out.notes.append("CMMD gives no places of lesions: lesions.csv has no rows.")
    return out


DATASET = Dataset(
    name="cmmd",
    title="CMMD",
    terms="Creative Commons Attribution 4.0 (TCIA): free to use and to pass on with the citation.",
    source="https://doi.org/10.7937/tcia.eqde-4b16",
    layout="CMMD_clinicaldata_revision.xlsx and CMMD/D1-0001",
    prepare=prepare,
)
