"""CDD-CESM: contrast mammography of 326 women, low-energy (DM) and recombined (CM) JPEG, outlines drawn by hand.

Layout after its page at TCIA (doi.org/10.7937/29kw-ae92; Khaled et al. 2022, Sci Data 9:122): folders ``Low energy
images of CDD-CESM`` and ``Subtracted images of CDD-CESM`` with ``P1_L_DM_MLO.jpg``, the workbook
``Radiology-manual-annotations.xlsx`` and ``Radiology_hand_drawn_segmentations_v2.csv`` (VGG Image Annotator). The same
table as ``annotations.csv`` with folders ``images`` and ``masks`` of JPEG masks is taken too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.datasets.contours import via_mask
from inference.datasets.layout import (
    Choices,
    Dataset,
    Prepared,
    Row,
    Shelf,
    box_cells,
    csv_rows,
    named,
    root_with,
    sheet_rows,
)
from inference.evaluation.truth import stored_shape
from inference.exam.types import ExamError
from inference.lesions import read_mask

_TABLES = (
    "Radiology-manual-annotations.xlsx", "Radiology manual annotations.xlsx", "Radiology_manual_annotations.xlsx",
    "Radiology-manual-annotations.csv", "annotations.csv",
)  # fmt: skip
_OUTLINES = ("Radiology_hand_drawn_segmentations_v2.csv",)
_COLUMNS = (
    "Image_name", "Patient_ID", "Side", "Type", "Age", "View", "Tags", "Pathology Classification/ Follow up",
)  # fmt: skip
_NAME = re.compile(r"P(\d+)_([LR])_(DM|CM)_(CC|MLO)(\d*)", re.IGNORECASE)
_KINDS = {"DM": "cesm_low", "CM": "cesm_recombined"}
_LEAST_PX = 20  # smaller islands of a JPEG mask are its noise


def prepare(folder: Path, shelf: Shelf, choices: Choices) -> Prepared:  # noqa: ARG001 - all adapters are asked alike
    """Read a CDD-CESM folder."""
    root = root_with(folder, [_TABLES], DATASET.title)
    table = named(root, _TABLES)
    assert table is not None
    pictures = {
        path.stem.strip().upper(): path
        for path in sorted(root.rglob("*.jpg"))
        if path.parent.name.lower() != "masks" and _NAME.fullmatch(path.stem.strip())
    }
    outlines = _outlines(root)
    out = Prepared()
    found: dict[str, tuple[Row, list[NDArray[np.bool_]], str]] = {}
    seen = set()
    for number, row in sheet_rows(table, _COLUMNS):
        name = row["Image_name"].strip().upper().removesuffix(".JPG")
        parts = _NAME.fullmatch(name)
        where = f"{table.name}, row {number}"
        if parts is None or name not in pictures:
            why = "expected a name such as P1_L_DM_MLO" if parts is None else "its image is not there"
            out.skip(where, f"{why} ({row['Image_name']!r})")
            continue
        if name in seen:
            out.skip(where, f"a second row of {name}")
            continue
        seen.add(name)
        view = _view(parts)
        out.images.append(_image(row, view, pictures[name], shelf))
        masks = _masks(root, pictures[name], outlines.get(name, []), out)
        if masks:
            found[name] = ({**view, **_graded(row)}, masks, row["Tags"].lower())
    _lesions(found, shelf, out)
    for name in sorted(set(pictures) - seen):
        out.skip(pictures[name].name, f"no row of {table.name} names it")
    return out


def _view(parts: re.Match[str]) -> Row:
    return {
        "case_id": f"P{parts[1]}",
        "laterality": parts[2].upper(),
        "view": parts[4].upper(),
        "kind": _KINDS[parts[3].upper()],
    }


def _graded(row: Mapping[str, str]) -> Row:
    word = row["Pathology Classification/ Follow up"].strip().lower()
    return {"malignant": {"malignant": 1, "benign": 0}.get(word, "")}


def _image(row: Mapping[str, str], view: Row, path: Path, shelf: Shelf) -> Row:
    density = row.get("Breast density (ACR)", "").strip().lower()
    word = row["Pathology Classification/ Follow up"].strip().lower()
    return {
        **view,
        "patient_id": view["case_id"],
        "path": shelf.image(path),
        "bits": 8,
        "age": row["Age"] if row["Age"].isdigit() else "",
        "density": density if density in {"a", "b", "c", "d"} else "",
        "birads": row.get("BIRADS", "").replace("$", "/").strip("_"),
        "pathology": word if word in {"normal", "benign", "malignant"} else "",
        "machine": row.get("Machine", ""),
        "findings": row.get("Findings", ""),
        "tags": row["Tags"].strip(),
    }


def _outlines(root: Path) -> dict[str, list[Mapping[str, object]]]:
    path = named(root, _OUTLINES)
    if path is None:
        return {}
    out: dict[str, list[Mapping[str, object]]] = {}
    for _, row in csv_rows(path, ("#filename", "region_shape_attributes")):
        try:
            shape = json.loads(row["region_shape_attributes"] or "{}")
        except (ValueError, RecursionError):
            shape = {"name": "not legible"}
        if shape:
            out.setdefault(Path(row["#filename"].strip()).stem.strip().upper(), []).append(shape)
    return out


def _masks(
    root: Path, picture: Path, shapes: list[Mapping[str, object]], out: Prepared
) -> list[NDArray[np.bool_]]:
    """One mask for each lesion: of its outline, or of an island of the mask file."""
    drawn = root / "masks" / picture.name
    if not shapes and not drawn.is_file():
        return []
    try:
        size = stored_shape(picture)
        if drawn.is_file():
            return _islands(read_mask(drawn.name, size, drawn.parent))
    except ExamError as error:
        out.skip(picture.name, str(error))
        return []
    made = []
    for k, shape in enumerate(shapes, start=1):
        mask = via_mask(shape, size)
        if mask is None:
            out.skip(f"{picture.name}, region {k}", f"{shape.get('name', 'no shape')}: it encloses no pixel")
        else:
            made.append(mask)
    return made


def _islands(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return [labels == k for k in range(1, count) if int(stats[k][cv2.CC_STAT_AREA]) >= _LEAST_PX]


def _lesions(
    found: Mapping[str, tuple[Row, list[NDArray[np.bool_]], str]], shelf: Shelf, out: Prepared
) -> None:
    """Rows of the lesions; where every image of a breast shows one lesion, it is the same one."""
    counts: dict[tuple[object, object], set[int]] = {}
    for view, masks, _ in found.values():
        counts.setdefault((view["case_id"], view["laterality"]), set()).add(len(masks))
    guessed = 0
    for name, (view, masks, tags) in found.items():
        single = counts[view["case_id"], view["laterality"]] == {1}
        kind, sure = lesion_type(tags, recombined=view["kind"] == "cesm_recombined")
        guessed += not sure
        for k, mask in enumerate(masks, start=1):
            out.lesions.append(
                {
                    **view,
                    "lesion_id": f"{view['laterality']}1" if single else f"{name}-{k}",
                    "type": kind,
                    **box_cells(mask),
                    "mask_path": shelf.mask(f"{name}_{k}", mask),
                    "tags": tags.strip(),
                }
            )
    if guessed:
        out.notes.append(
            f"The tags of {guessed} images name no lesion type: enhancement was written for recombined and asymmetry "
            "for low-energy ones."
        )


def lesion_type(tags: str, *, recombined: bool) -> tuple[str, bool]:
    """Lesion type of an image's tags, and whether the tags name it. Non-mass enhancement goes before mass."""
    rules = [
        ("enhancement", r"non.?mass|enhanc" if recombined else r"(?!)"),
        ("mass", r"(?<!non )(?<!non-)\bmass|nodul|cyst"),
        ("distortion", r"distortion"),
        ("calcification", r"suspicious\w*,? (micro)?calcification|microcalcification"),
        ("asymmetry", r"asym+etr|density"),
        ("calcification", r"calcification"),
    ]
    found = next((kind for kind, rule in rules if re.search(rule, tags)), None)
    return (found, True) if found else ("enhancement" if recombined else "asymmetry", False)


DATASET = Dataset(
    name="cdd-cesm",
    title="CDD-CESM",
    terms="By the TCIA Data Usage Policy (attribution; copies of other hands may be non-commercial only): cite the data and the paper.",
    source="https://doi.org/10.7937/29kw-ae92",
    layout="Radiology-manual-annotations.xlsx, Radiology_hand_drawn_segmentations_v2.csv and two folders of JPEG images",
    prepare=prepare,
)
