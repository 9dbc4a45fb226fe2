"""CBIS-DDSM: digitised film with biopsy truth, one mask for each abnormality.

Layout after its page at TCIA (cancerimagingarchive.net/collection/cbis-ddsm; Lee et al. 2017, Sci Data 4:170177): four
tables ``{mass,calc}_case_description_{train,test}_set.csv`` and folders of DICOM files such as
``Mass-Training_P_00001_LEFT_CC`` (the film) and ``Mass-Training_P_00001_LEFT_CC_1`` (mask and crop of abnormality 1).
The tables' file names below that folder do not hold for today's downloads and mask and crop are often swapped, so
files are told apart by size. The pixel size depends on the scanner and is in the .ics files of the original DDSM only.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.datasets.layout import (
    Choices,
    Dataset,
    DatasetError,
    Prepared,
    Row,
    Shelf,
    box_cells,
    csv_rows,
    root_with,
)
from inference.datasets.terms import birads_term, finding_of_shape
from inference.exam.dicom import load_view, read_header
from inference.exam.types import ExamError
from resources.vocabulary import Laterality, Projection, ViewName

_TABLES = tuple(
    f"{kind}_case_description_{split}_set.csv" for kind in ("mass", "calc") for split in ("train", "test")
)
_COLUMNS = (
    "patient_id", "left or right breast", "image view", "abnormality id", "assessment", "pathology", "image file path",
)  # fmt: skip
_PATHOLOGY = {"MALIGNANT": "malignant", "BENIGN": "benign", "BENIGN_WITHOUT_CALLBACK": "benign"}
_DESCRIPTORS = {
    "shape": "mass shape", "margin": "mass margins", "morphology": "calc type", "distribution": "calc distribution",
}  # fmt: skip
_DENSITIES = {"1": "a", "2": "b", "3": "c", "4": "d"}
_ICS_VIEW = re.compile(
    r"^(LEFT|RIGHT)_(CC|MLO)\s+LINES\s+(\d+)\s+PIXELS_PER_LINE\s+(\d+)\s.*RESOLUTION\s+([\d.]+)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Film:
    path: Path
    shape: tuple[int, int]
    row: Row


def prepare(folder: Path, shelf: Shelf, choices: Choices) -> Prepared:  # noqa: ARG001 - all adapters are asked alike
    """Read a CBIS-DDSM folder."""
    root = root_with(folder, [_TABLES], DATASET.title)
    tables = [path for name in _TABLES if (path := root / name).is_file()]
    places = _folders(folder)
    spacings = _scanner_spacings(folder)
    out = Prepared()
    films: dict[tuple[str, ...], _Film] = {}
    worst: dict[tuple[str, str], str] = {}
    for table in tables:
        for number, row in csv_rows(table, _COLUMNS):
            _abnormality(
                row, f"{table.name}, row {number}", table.name, places, spacings, films, worst, shelf, out
            )
    for film in films.values():
        key = (str(film.row["case_id"]), str(film.row["laterality"]))
        out.images.append({**film.row, "pathology": worst[key]})
    _part_women(out)
    if not spacings:
        out.notes.append(
            "The pixel size of CBIS-DDSM is not in its files (42 to 50 micrometres by scanner): spacing_mm is empty. "
            "With the .ics files of the original DDSM anywhere below the folder it is filled in."
        )
    return out


def _folders(root: Path) -> dict[str, Path]:
    """The folders of films and masks by name, wherever they lie."""
    found: dict[str, Path] = {}
    for place, names, _ in os.walk(root):
        for name in list(names):
            if re.match(r"(Mass|Calc)-(Training|Test)_P_\d+", name):
                found.setdefault(name, Path(place) / name)
                names.remove(name)
    return found


def _abnormality(
    row: dict[str, str],
    where: str,
    table: str,
    places: dict[str, Path],
    spacings: dict[tuple[str, str, tuple[int, int]], float],
    films: dict[tuple[str, ...], _Film],
    worst: dict[tuple[str, str], str],
    shelf: Shelf,
    out: Prepared,
) -> None:
    side, view = row["left or right breast"][:1].upper(), row["image view"].upper()
    pathology = _PATHOLOGY.get(row["pathology"].upper())
    if side not in {"L", "R"} or view not in {"CC", "MLO"} or pathology is None:
        out.skip(where, "expected LEFT or RIGHT, CC or MLO and a pathology, found another word")
        return
    name = row["image file path"].replace("\\", "/").split("/")[0].strip()
    try:
        film = _film(name, row, side, view, table, places, spacings, films, shelf)
        key = (row["patient_id"], side)
        if worst.get(key) != "malignant":
            worst[key] = pathology  # of the breast, even where the lesion cannot be placed
        lesion = _lesion(film, name, row, table, places, shelf)
    except (DatasetError, ExamError) as error:
        out.skip(where, str(error))
        return
    out.lesions.append({**lesion, "malignant": int(pathology == "malignant")})


def _film(
    name: str,
    row: dict[str, str],
    side: str,
    view: str,
    table: str,
    places: dict[str, Path],
    spacings: dict[tuple[str, str, tuple[int, int]], float],
    films: dict[tuple[str, ...], _Film],
    shelf: Shelf,
) -> _Film:
    """The film of a row. Mass and calcification tables hold the same film twice: it enters once."""
    if name not in places:
        raise DatasetError(f"the folder {name} of its film is not there")
    known = films.get((row["patient_id"], side, view))
    files = sorted(places[name].rglob("*.dcm"))
    if not files:
        raise DatasetError(f"{name}: expected a DICOM file, found none")
    header = read_header(files[0], name)
    shape = (header.rows, header.cols)
    if not all(shape):
        raise DatasetError(header.sentence)
    if known is not None:
        if known.shape != shape:
            raise DatasetError(
                f"{name}: a second film of this view with {shape[0]} x {shape[1]} pixels beside one of "
                f"{known.shape[0]} x {known.shape[1]}"
            )
        return known
    density = row.get("breast_density") or row.get("breast density") or ""
    made = _Film(
        path=files[0],
        shape=shape,
        row={
            "case_id": row["patient_id"],
            "patient_id": row["patient_id"],
            "laterality": side,
            "view": view,
            "kind": "film",
            "path": shelf.image(files[0]),
            "spacing_mm": spacings.get((row["patient_id"], f"{side}{view}", shape), ""),
            "bits": 16,
            "density": _DENSITIES.get(density, ""),
            "birads": row["assessment"],
            "published_split": _split(table),
        },
    )
    films[row["patient_id"], side, view] = made
    return made


def _split(table: str) -> str:
    return "train" if "train" in table else "test"


def _lesion(
    film: _Film, name: str, row: dict[str, str], table: str, places: dict[str, Path], shelf: Shelf
) -> Row:
    number = row["abnormality id"]
    folder = places.get(f"{name}_{number}")
    if folder is None:
        raise DatasetError(f"the folder {name}_{number} of its mask is not there")
    view = ViewName(Laterality(str(film.row["laterality"])), Projection(str(film.row["view"])))
    mask = _mask(folder, film.shape, view)
    calcification = table.startswith("calc")
    keys = ("case_id", "laterality", "view", "kind")
    return {
        **{key: film.row[key] for key in keys},
        "published_split": _split(table),
        "lesion_id": f"{'calc' if calcification else 'mass'}-{number}",
        "type": "calcification" if calcification else finding_of_shape(row.get("mass shape", "")) or "mass",
        **box_cells(mask),
        "mask_path": shelf.mask(f"{name}_{number}", mask),
        **{name: birads_term(name, row.get(column, "")) for name, column in _DESCRIPTORS.items()},
        "cbis_terms": "; ".join(row[c] for c in _DESCRIPTORS.values() if row.get(c)),
        "birads": row["assessment"],
        "subtlety": row.get("subtlety", ""),
    }


def _mask(folder: Path, shape: tuple[int, int], view: ViewName) -> NDArray[np.bool_]:
    """The mask among mask and crop: the file of the film's size, which holds two values only."""
    sizes = []
    for path in sorted(folder.rglob("*.dcm")):
        header = read_header(path, path.name)
        sizes.append(f"{header.rows} x {header.cols}")
        if (header.rows, header.cols) != shape:
            continue
        pixels = load_view(path, path.name, view=view).pixels
        top = int(pixels.max())
        if top > 0 and bool(np.isin(pixels, (0, top)).all()):
            return np.asarray(pixels == top)
    raise DatasetError(
        f"{folder.name}: expected a mask of {shape[0]} x {shape[1]} pixels as the film, "
        f"found {', '.join(sizes) or 'no DICOM file'}"
    )


def _scanner_spacings(root: Path) -> dict[tuple[str, str, tuple[int, int]], float]:
    """Pixel size in mm by patient, view and film size, of the DDSM's .ics files (RESOLUTION in micrometres)."""
    out: dict[tuple[str, str, tuple[int, int]], float] = {}
    for path in root.rglob("*.ics"):
        found = re.search(r"[A-D]-(\d{4})-\d", path.name)
        if found is None:
            continue
        for line in path.read_text(encoding="latin-1").splitlines():
            seen = _ICS_VIEW.match(line.strip())
            if seen is not None:
                shape = (int(seen[3]), int(seen[4]))
                out[f"P_0{found[1]}", f"{seen[1][0]}{seen[2]}", shape] = float(seen[5]) / 1000
    return out


def _part_women(out: Prepared) -> None:
    """Keep each woman in one split: mass and calcification sets were split apart, so some are in both.

    All rows of such a woman become train, so that nothing learnt from her is tested on her; the set's own word
    stays in ``published_split``.
    """
    splits: dict[str, set[str]] = {}
    for row in (*out.images, *out.lesions):
        splits.setdefault(str(row["case_id"]), set()).add(str(row["published_split"]))
    both = sorted(woman for woman, found in splits.items() if len(found) > 1)
    for row in (*out.images, *out.lesions):
        row["split"] = "train" if row["case_id"] in both else row["published_split"]
    if both:
        named = ", ".join(both[:5]) + (f" and {len(both) - 5} more" if len(both) > 5 else "")
        out.notes.append(
            f"{len(both)} women are in train and in test of the published tables, which were split apart for masses and "
            f"calcifications ({named}): all their rows were put into train; published_split has the set's own word."
        )


DATASET = Dataset(
    name="cbis-ddsm",
    title="CBIS-DDSM",
    terms="Creative Commons Attribution 3.0 (TCIA): free to use and to pass on with the citation.",
    source="https://www.cancerimagingarchive.net/collection/cbis-ddsm/",
    layout="mass_case_description_train_set.csv (and its three companions) and folders Mass-Training_P_00001_LEFT_CC",
    prepare=prepare,
)
