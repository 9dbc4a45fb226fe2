"""INbreast: 410 FFDM images of 115 women, contours of every finding, BI-RADS per image.

Layout after Moreira et al. 2012 (Acad Radiol 19:236) and its release 1.0: ``INbreast.csv`` (semicolons; File Name is
the image's number), ``AllDICOMs/<number>_<woman>_MG_<side>_<view>_ANON.dcm`` and ``AllXML/<number>.xml`` (OsiriX plist).
Specks within 10 mm of each other make one calcification lesion, for the set outlines each speck.
"""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.datasets.contours import Contour, osirix_contours
from inference.datasets.layout import (
    Choices,
    Dataset,
    DatasetError,
    Prepared,
    Row,
    Shelf,
    birads_pathology,
    box_cells,
    csv_rows,
    root_with,
)
from inference.exam.dicom import read_header
from inference.exam.facts import read_spacing

SPACING_MM = 0.07  # of the paper, where the file does not say
CLUSTER_MM = 10.0
_COLUMNS = ("Laterality", "View", "Acquisition date", "File Name", "ACR", "Bi-Rads")
_NAME = re.compile(r"(\d+)_([0-9a-f]+)_MG_([LR])_(CC|MLO|ML|FB)_ANON\.dcm", re.IGNORECASE)
_SPECKS = {"calcification", "calcifications"}
_TYPES = {
    "mass": "mass", "cluster": "calcification", "distortion": "distortion",
    "asymmetry": "asymmetry", "assymetry": "asymmetry",
}  # fmt: skip
_DENSITIES = {"1": "a", "2": "b", "3": "c", "4": "d"}


def prepare(folder: Path, shelf: Shelf, choices: Choices) -> Prepared:
    """Read an INbreast folder."""
    root = root_with(folder, [("INbreast.csv",), ("AllDICOMs",), ("AllXML",)], DATASET.title)
    files = {
        m[1]: (path, m)
        for path in sorted((root / "AllDICOMs").iterdir())
        if (m := _NAME.fullmatch(path.name))
    }
    out = Prepared()
    for number, row in csv_rows(root / "INbreast.csv", _COLUMNS, delimiter=";"):
        name = row["File Name"].strip()
        found = files.pop(name, None)
        if found is None:
            out.skip(f"INbreast.csv, row {number}", f"its image AllDICOMs/{name}_..._ANON.dcm is not there")
            continue
        path, parts = found
        header = read_header(path, path.name)
        if not (header.rows and header.cols):
            out.skip(path.name, header.sentence)
            continue
        spacing = read_spacing(path) or SPACING_MM
        age = row.get("Patient age", "")
        view: Row = {
            "case_id": f"{parts[2]}-{row['Acquisition date']}", "laterality": parts[3].upper(),
            "view": parts[4].upper(), "kind": "ffdm",
        }  # fmt: skip
        birads = row["Bi-Rads"].upper()
        out.images.append(
            {
                **view,
                "patient_id": parts[2],
                "path": shelf.image(path),
                "spacing_mm": spacing,
                "age": age if age.isdigit() else "",
                "density": _DENSITIES.get(row["ACR"], ""),
                "manufacturer": "Siemens",
                "birads": birads,
                "pathology": birads_pathology(birads, choices),
                "study_date": row["Acquisition date"],
            }
        )
        _lesions(root, name, view, (header.rows, header.cols), spacing, birads, choices, shelf, out)
    for path, _ in files.values():
        out.skip(path.name, "no row of INbreast.csv names it")
    for path in sorted((root / "AllDICOMs").iterdir()):
        if not _NAME.fullmatch(path.name):
            out.skip(path.name, "expected a name such as 20586908_6c613a14b80a8591_MG_R_CC_ANON.dcm")
    return out


def _lesions(
    root: Path,
    name: str,
    view: Row,
    size: tuple[int, int],
    spacing: float,
    birads: str,
    choices: Choices,
    shelf: Shelf,
    out: Prepared,
) -> None:
    path = root / "AllXML" / f"{name}.xml"
    if not path.is_file():
        return  # an image without findings has no file
    try:
        contours = osirix_contours(path)
    except DatasetError as error:
        out.skip(path.name, str(error))
        return
    graded = birads_pathology(birads, choices)
    made: list[tuple[str, NDArray[np.bool_]]] = []
    for contour in contours:
        kind = _TYPES.get(contour.name.lower())
        if kind is not None:
            made.append((kind, contour.mask(size)))
        elif contour.name.lower() not in _SPECKS:
            out.skip(f"{path.name}, {contour.name or 'unnamed'}", "no lesion type of the manifest")
    clusters = np.any(
        [mask for kind, mask in made if kind == "calcification"] or [np.zeros(size, bool)], axis=0
    )
    specks = [c for c in contours if c.name.lower() in _SPECKS]
    made += [("calcification", mask) for mask in speck_groups(specks, clusters, CLUSTER_MM / spacing)]
    for k, (kind, mask) in enumerate(made, start=1):
        if not mask.any():
            out.skip(f"{path.name}, lesion {k}", "its contour lies outside the image")
            continue
        out.lesions.append(
            {
                **view,
                "lesion_id": f"{name}-{k}",
                "type": kind,
                "malignant": "" if not graded else int(graded == "malignant"),
                **box_cells(mask),
                "mask_path": shelf.mask(f"{name}_{k}", mask),
                "birads": birads,
            }
        )


def speck_groups(
    specks: list[Contour], clusters: NDArray[np.bool_], reach_px: float
) -> list[NDArray[np.bool_]]:
    """Join specks that lie within a reach of each other; those inside an outlined cluster belong to it.

    Parameters
    ----------
    specks
        One contour each.
    clusters
        (rows, cols) bool, the clusters that the set outlines itself.
    reach_px
        Greatest distance of neighbours, centre to centre.

    Returns
    -------
    (rows, cols) bool masks, the specks of each group.
    """
    left = []
    for speck in specks:
        row, col = np.clip(np.floor(speck.corners.mean(axis=0)).astype(int), 0, np.array(clusters.shape) - 1)
        if not clusters[row, col]:
            left.append(speck)
    if not left:
        return []
    centres = np.array([speck.corners.mean(axis=0) for speck in left])
    near = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1)) <= reach_px
    group = np.arange(len(left))
    for k in range(len(left)):  # joins by the smallest number, in as many rounds as it takes
        for other in np.flatnonzero(near[k]):
            group[group == max(group[k], group[other])] = min(group[k], group[other])
    out = []
    for name in sorted(set(group.tolist())):
        mask = np.zeros(clusters.shape, np.uint8)
        for member in np.flatnonzero(group == name).tolist():
            mask |= left[member].mask(clusters.shape).astype(np.uint8)
        if cv2.countNonZero(mask):
            out.append(mask.astype(bool))
    return out


DATASET = Dataset(
    name="inbreast",
    title="INbreast",
    terms="For research, by agreement with its authors (INESC Porto): not to be passed on.",
    source="https://doi.org/10.1016/j.acra.2011.09.014",
    layout="INbreast.csv, AllDICOMs, AllXML",
    prepare=prepare,
)
