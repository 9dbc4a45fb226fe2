"""VinDr-Mammo: 5,000 four-view FFDM exams, BI-RADS and density per breast, boxes of findings.

Layout after its page on PhysioNet (physionet.org/content/vindr-mammo/1.0.0; Nguyen et al. 2023, Sci Data 10:277):
``breast-level_annotations.csv``, ``finding_annotations.csv``, ``metadata.csv`` and
``images/<study_id>/<image_id>.dicom``. There is no biopsy and no patient id: a study counts as a patient.
"""

from __future__ import annotations

import ast
from pathlib import Path

from inference.datasets.layout import (
    Choices,
    Dataset,
    Prepared,
    Row,
    Shelf,
    birads_pathology,
    csv_rows,
    named,
    root_with,
)

_BREASTS, _FINDINGS, _META = "breast-level_annotations.csv", "finding_annotations.csv", "metadata.csv"
_BREAST_COLUMNS = (
    "study_id", "image_id", "laterality", "view_position", "breast_birads", "breast_density", "split",
)  # fmt: skip
_FINDING_COLUMNS = ("image_id", "finding_categories", "finding_birads", "xmin", "ymin", "xmax", "ymax")
# In the order of preference where a box bears several words.
_TYPES = {
    "mass": "mass",
    "suspicious calcification": "calcification",
    "architectural distortion": "distortion",
    "focal asymmetry": "asymmetry",
    "global asymmetry": "asymmetry",
    "asymmetry": "asymmetry",
}
_SPLITS = {"training": "train", "test": "test"}


def prepare(folder: Path, shelf: Shelf, choices: Choices) -> Prepared:
    """Read a VinDr-Mammo folder."""
    root = root_with(folder, [(_BREASTS,), (_FINDINGS,), ("images",)], DATASET.title)
    meta = _metadata(root)
    out = Prepared()
    views: dict[str, Row] = {}
    for number, row in csv_rows(root / _BREASTS, _BREAST_COLUMNS):
        path = root / "images" / row["study_id"] / f"{row['image_id']}.dicom"
        where = f"{_BREASTS}, row {number}"
        if row["laterality"] not in {"L", "R"} or row["view_position"] not in {"CC", "MLO"}:
            out.skip(
                where,
                f"expected L or R and CC or MLO, found {row['laterality']!r} and {row['view_position']!r}",
            )
            continue
        if not path.is_file():
            out.skip(where, f"its image images/{row['study_id']}/{row['image_id']}.dicom is not there")
            continue
        view: Row = {
            "case_id": row["study_id"], "laterality": row["laterality"], "view": row["view_position"],
            "kind": "ffdm", "split": _SPLITS.get(row["split"], row["split"]),
        }  # fmt: skip
        views[row["image_id"]] = view
        birads = row["breast_birads"].removeprefix("BI-RADS").strip()
        said = meta.get(row["image_id"], {})
        out.images.append(
            {
                **view,
                "patient_id": row["study_id"],
                "path": shelf.image(path),
                "birads": birads,
                "density": row["breast_density"].removeprefix("DENSITY").strip().lower(),
                "pathology": birads_pathology(birads, choices),
                **said,
            }
        )
    _findings(root, views, choices, out)
    return out


def _metadata(root: Path) -> dict[str, Row]:
    """Age, maker and pixel size of each image, where the table is there."""
    path = named(root, (_META,))
    if path is None:
        return {}
    out: dict[str, Row] = {}
    for _, row in csv_rows(path, ("SOP Instance UID",)):
        age = row.get("Patient's Age", "").strip("Yy ").lstrip("0")
        spacing = row.get("Imager Pixel Spacing", "").strip("[] ").split(",")[0].strip("' ")
        out[row["SOP Instance UID"]] = {
            "age": age if age.isdigit() else "",
            "manufacturer": row.get("Manufacturer", ""),
            "model": row.get("Manufacturer's Model Name", ""),
            "spacing_mm": spacing if spacing.replace(".", "", 1).isdigit() else "",
        }
    return out


def _findings(root: Path, views: dict[str, Row], choices: Choices, out: Prepared) -> None:
    counts: dict[str, int] = {}
    for number, row in csv_rows(root / _FINDINGS, _FINDING_COLUMNS):
        where = f"{_FINDINGS}, row {number}"
        words = _categories(row["finding_categories"])
        if not words or words == ["no finding"]:
            continue
        finding = next((kind for word, kind in _TYPES.items() if word in words), None)
        if finding is None:
            out.skip(where, f"{', '.join(words)}: no lesion type of the manifest")
            continue
        if row["image_id"] not in views:
            out.skip(where, "its image is not in the manifest")
            continue
        if not all(row[name] for name in ("xmin", "ymin", "xmax", "ymax")):
            out.skip(where, "it has no box")
            continue
        count = counts[row["image_id"]] = counts.get(row["image_id"], 0) + 1
        birads = row["finding_birads"].removeprefix("BI-RADS").strip()
        graded = birads_pathology(birads, choices)
        out.lesions.append(
            {
                **views[row["image_id"]],
                "lesion_id": f"{row['image_id'][:8]}-{count}",
                "type": finding,
                "malignant": "" if not graded else int(graded == "malignant"),
                "x0": row["xmin"], "y0": row["ymin"], "x1": row["xmax"], "y1": row["ymax"],
                "birads": birads,
                "categories": "; ".join(words),
            }
        )  # fmt: skip


def _categories(text: str) -> list[str]:
    try:
        words = ast.literal_eval(text) if text.startswith("[") else [text]
    except (ValueError, SyntaxError):
        return [text.lower()] if text else []
    return [str(word).strip().lower() for word in words if str(word).strip()]


DATASET = Dataset(
    name="vindr-mammo",
    title="VinDr-Mammo",
    terms="PhysioNet Restricted Health Data License 1.5.0: for those who signed it, for lawful research, not to be passed on.",
    source="https://physionet.org/content/vindr-mammo/1.0.0/",
    layout=f"{_BREASTS}, {_FINDINGS}, {_META}, images",
    prepare=prepare,
)
