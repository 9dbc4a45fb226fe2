"""Synthetic mammograms whose right display is known before anything of ours has looked at them.

A "true" picture is drawn as it must hang; the file is made from it by the inverse turn and labelled by the definition
of Patient Orientation (PS3.3 C.7.6.1.1.1: direction of the rows, then of the columns). Nothing here imports the program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

MG_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"
MG_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2.1"
OPPOSITE = {"A": "P", "P": "A", "H": "F", "F": "H", "L": "R", "R": "L"}
VIEW_CODES = {  # SNOMED CT, CID 4014
    "CC": ("399162004", "cranio-caudal"),
    "MLO": ("399368009", "medio-lateral oblique"),
    "ML": ("399260004", "medio-lateral"),
    "LM": ("399352003", "latero-medial"),
    "LMO": ("399099002", "latero-medial oblique"),
    "XCCL": ("399192008", "cranio-caudal exaggerated laterally"),
    "XCCM": ("399101009", "cranio-caudal exaggerated medially"),
    "FB": ("399196006", "caudo-cranial"),
}
AXIAL = frozenset({"CC", "XCCL", "XCCM", "FB"})


def true_letters(side: str, view: str) -> tuple[str, str]:
    """Directions of the rows and columns of the picture as it must hang.

    Chest wall towards the middle of the screen (the right breast's rows run to posterior, the left one's to anterior);
    feet at the bottom; in axial views the outer side is at the top, so columns run away from the breast's own side.
    """
    row = "P" if side == "R" else "A"
    return row, (OPPOSITE[side] if view in AXIAL else "F")


def true_picture(side: str, rows: int = 96, cols: int = 72, bits: int = 12) -> NDArray[np.uint16]:
    """A half disc of texture on the chest wall, one bright dot near the top and the nipple: no symmetry is left."""
    y, x = np.mgrid[0:rows, 0:cols].astype(float)
    if side == "R":
        x = cols - 1 - x
    inside = ((y - rows / 2) / (0.45 * rows)) ** 2 + (x / (0.75 * cols)) ** 2 < 1
    full = (1 << bits) - 1
    picture = np.where(inside, full * (0.25 + 0.4 * x / cols + 0.2 * y / rows), 0.0)
    picture[(y > 0.2 * rows) & (y < 0.28 * rows) & (x > 0.3 * cols) & (x < 0.38 * cols)] = full
    return np.rint(picture).astype(np.uint16)


@dataclass(frozen=True)
class Turn:
    """How the stored file differs from the hung picture: flips of the hung picture, then a transpose."""

    flip_rows: bool
    flip_cols: bool
    transpose: bool

    @property
    def name(self) -> str:
        return (
            "".join(
                word
                for word, on in (("V", self.flip_rows), ("H", self.flip_cols), ("T", self.transpose))
                if on
            )
            or "as hung"
        )

    def store(self, picture: NDArray[np.uint16]) -> NDArray[np.uint16]:
        stored = picture[::-1] if self.flip_rows else picture
        stored = stored[:, ::-1] if self.flip_cols else stored
        return np.ascontiguousarray(stored.T if self.transpose else stored)

    def letters(self, row: str, col: str) -> list[str]:
        row = OPPOSITE[row] if self.flip_cols else row
        col = OPPOSITE[col] if self.flip_rows else col
        return [col, row] if self.transpose else [row, col]


TURNS = tuple(Turn(v, h, t) for v in (False, True) for h in (False, True) for t in (False, True))


def code_item(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def mammogram_header(side: str = "R", view: str = "MLO", **changes: Any) -> Dataset:
    """A For Presentation header; keyword arguments replace attributes, None removes one."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = MG_FOR_PRESENTATION, generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.Modality, ds.PresentationIntentType = "MG", "FOR PRESENTATION"
    ds.PatientName, ds.PatientID, ds.PatientSex, ds.PatientAge = "Synthetic^Case", "SYN-1", "F", "056Y"
    ds.PatientBirthDate = "19600101"
    ds.StudyDate, ds.StudyTime, ds.AccessionNumber = "20200102", "101500", "ACC-7"
    ds.AcquisitionDate, ds.AcquisitionTime = "20200102", "101530"
    ds.ImageLaterality = side
    ds.ViewPosition = view if view in {"CC", "MLO", "ML", "LM", "LMO", "XCCL", "XCCM", "FB"} else None
    value, meaning = VIEW_CODES[view]
    item = code_item(value, "SCT", meaning)
    item.ViewModifierCodeSequence = []
    ds.ViewCodeSequence = [item]
    ds.PatientOrientation = list(true_letters(side, view))
    ds.ImagerPixelSpacing = [0.1, 0.1]
    ds.Manufacturer, ds.ManufacturerModelName = "Synthetic", "Suite"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.WindowCenter, ds.WindowWidth = 2048, 4096
    ds.PresentationLUTShape = "IDENTITY"
    for key, changed in changes.items():
        if changed is None:
            if key in ds:
                delattr(ds, key)
        else:
            setattr(ds, key, changed)
    return ds


def write(ds: Dataset, pixels: NDArray[Any], path: Path) -> Path:
    ds.Rows, ds.Columns = pixels.shape
    ds.PixelData = np.ascontiguousarray(pixels).tobytes()
    ds["PixelData"].VR = "OW"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    dcmwrite(path, ds, enforce_file_format=True)
    return path


@dataclass(frozen=True)
class Suite:
    """The builders, handed to tests in one fixture."""

    folder: Path
    turns: tuple[Turn, ...] = TURNS
    views: tuple[str, ...] = tuple(VIEW_CODES)
    header: Callable[..., Dataset] = mammogram_header
    picture: Callable[..., NDArray[np.uint16]] = true_picture
    letters: Callable[[str, str], tuple[str, str]] = true_letters
    code: Callable[[str, str, str], Dataset] = code_item
    opposite: Mapping[str, str] = field(default_factory=lambda: dict(OPPOSITE))

    def write(self, ds: Dataset, pixels: NDArray[Any], name: str = "image.dcm") -> Path:
        return write(ds, pixels, self.folder / name)

    def view(self, side: str = "R", view: str = "MLO", turn: Turn = TURNS[0], name: str = "image.dcm",
             pixels: NDArray[Any] | None = None, **changes: Any) -> tuple[Path, NDArray[np.uint16]]:  # fmt: skip
        """Write one view stored by ``turn``; returns its path and the picture as it must hang."""
        picture = self.picture(side) if pixels is None else pixels
        changes.setdefault("PatientOrientation", turn.letters(*self.letters(side, view)))
        return self.write(self.header(side, view, **changes), turn.store(picture), name), picture


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(folder=tmp_path)


def implant_displaced() -> Code:
    return Code("399209000", "SCT", "implant displaced")
