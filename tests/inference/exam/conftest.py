"""Builders of small DICOM files: a real-looking half breast, any header, any transfer syntax."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

MG_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"
Builder = Callable[..., Dataset]


def _breast(rows: int, cols: int, bits: int, *, chest_left: bool) -> NDArray[np.uint16]:
    y, x = np.mgrid[0:rows, 0:cols].astype(np.float64)
    inside = ((y - rows / 2) / (0.42 * rows)) ** 2 + (x / (0.7 * cols)) ** 2 < 1
    texture = np.random.default_rng(7).integers(0, 1 << (bits - 3), (rows, cols))
    pixels = np.where(inside, (1 << (bits - 1)) + texture, 0).astype(np.uint16)
    return pixels if chest_left else pixels[:, ::-1].copy()


@pytest.fixture
def breast() -> Callable[..., NDArray[np.uint16]]:
    """(rows, cols) uint16 half disc of texture on black, chest wall at the left edge unless told otherwise."""

    def build(
        rows: int = 120, cols: int = 90, bits: int = 12, *, chest_left: bool = True
    ) -> NDArray[np.uint16]:
        return _breast(rows, cols, bits, chest_left=chest_left)

    return build


@pytest.fixture
def header() -> Builder:
    """A valid L MLO header without pixels; keyword arguments replace attributes, None removes them."""

    def build(**changes: Any) -> Dataset:
        ds = Dataset()
        ds.SOPClassUID, ds.SOPInstanceUID = MG_FOR_PRESENTATION, generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3.4", "1.2.3.4.5"
        ds.Modality, ds.PresentationIntentType = "MG", "FOR PRESENTATION"
        ds.PatientName, ds.PatientID, ds.PatientAge = "Doe^Jane", "SECRET-17", "052Y"
        ds.ImageLaterality, ds.ViewPosition = "L", "MLO"
        ds.PatientOrientation = ["A", "F"]
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
        ds.ImagerPixelSpacing, ds.KVP, ds.Manufacturer = [0.1, 0.1], "29", "Test Works"
        for key, value in changes.items():
            if value is None:
                if key in ds:
                    delattr(ds, key)
            else:
                setattr(ds, key, value)
        return ds

    return build


@pytest.fixture
def file_of() -> Callable[..., bytes]:
    """Write a header and its pixels as a DICOM file; ``stream`` is an encoded frame for a compressed syntax."""

    def build(
        ds: Dataset,
        pixels: NDArray[Any],
        *,
        syntax: str = ExplicitVRLittleEndian,
        stream: bytes | None = None,
    ) -> bytes:
        ds.Rows, ds.Columns = pixels.shape
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = syntax
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        big = syntax == "1.2.840.10008.1.2.2"
        data = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")).tobytes()
        if stream is not None:
            ds.add_new("PixelData", "OB", encapsulate([stream]))
        else:
            ds.add_new("PixelData", "OW", data + b"\0" * (len(data) % 2))
        out = io.BytesIO()
        dcmwrite(out, ds, enforce_file_format=True)
        return out.getvalue()

    return build


@pytest.fixture
def deflate() -> Callable[[bytes], bytes]:
    """Raw deflate, as the deflated transfer syntax wants it."""

    def build(data: bytes) -> bytes:
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        return packer.compress(data) + packer.flush()

    return build
