"""Grayscale meaning of stored pixels: rescale, windows, VOI tables, inversion, padding.

Parses headers into ``Presentation`` and holds the VOI formulas as pure functions. The display table that
joins them for the screen belongs to the app.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from inference.exam.types import ExamError, Presentation, Voi, VoiFunction

_SAMPLE_STEP = 7  # pixels skipped when percentiles are taken; a prime, so it does not beat with detector rows
_MOST_RESCALE = 1e12  # not a number and infinity are beyond it too
_BACKGROUND_SHARE = 0.05  # a constant extreme value on this share of the pixels is air, not tissue


@dataclass(frozen=True, slots=True, kw_only=True)
class Lut:
    """A DICOM look-up table: ``table[i]`` is the output for input ``first_value + i``."""

    first_value: int
    table: NDArray[np.uint16]  # (entries,) uint16
    bits: int
    label: str


DEFAULT_VOI = "Default (from pixels)"  # label of the window of an image that declares none


def apply_voi(
    values: NDArray[np.floating | np.integer], voi: Voi, out_max: float = 1.0
) -> NDArray[np.float64]:
    """Turn modality values into shown values by one window or table.

    Parameters
    ----------
    values : array of any shape, modality units
    voi : the window or table
    out_max : shown value of full white; black is 0

    Returns
    -------
    float64 array of the same shape, in [0, out_max].

    Notes
    -----
    DICOM PS3.3 C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2 (LINEAR_EXACT), C.11.2.1.1
    (tables).
    """
    x = np.asarray(values, dtype=np.float64)
    if voi.function is VoiFunction.TABLE:
        assert voi.table is not None  # Voi's constructor sees to it
        index = np.clip(np.rint(x) - voi.first_value, 0, len(voi.table) - 1).astype(np.intp)
        shown = np.minimum(voi.table[index] / float((1 << voi.table_bits) - 1), 1.0)
        return np.asarray(shown * out_max, dtype=np.float64)
    if voi.function is VoiFunction.SIGMOID:
        power = np.clip(-4.0 * (x - voi.center) / voi.width, -700.0, 700.0)
        return np.asarray(out_max / (1.0 + np.exp(power)), dtype=np.float64)
    if voi.function is VoiFunction.LINEAR_EXACT:
        return np.asarray(np.clip((x - voi.center) / voi.width + 0.5, 0.0, 1.0) * out_max, dtype=np.float64)
    if voi.width <= 1.0:
        return np.where(x <= voi.center - 0.5, 0.0, out_max)
    return np.asarray(
        np.clip((x - (voi.center - 0.5)) / (voi.width - 1.0) + 0.5, 0.0, 1.0) * out_max, dtype=np.float64
    )


def presentation_of(ds: Dataset, pixels: NDArray[np.uint16], *, stored_offset: int = 0) -> Presentation:
    """Read all grayscale attributes of a header (MG-15..19).

    Parameters
    ----------
    ds : header, pixel data not needed
    pixels : (rows, cols) uint16, stored values minus ``stored_offset``; used where nothing is declared
    stored_offset : what turns ``pixels`` back to stored values

    Returns
    -------
    Presentation with at least one VOI. A Modality LUT is not in it: see :func:`modality_lut`.
    """
    inverse = str(ds.get("PhotometricInterpretation", "")) == "MONOCHROME1" or (
        str(ds.get("PresentationLUTShape", "")).upper() == "INVERSE"
    )
    padding = padding_range(ds, stored_offset=stored_offset)
    if padding is None:
        padding = background_range(pixels, inverse=inverse)
    slope, intercept = _rescale(ds)
    if "ModalityLUTSequence" in ds and len(ds.ModalityLUTSequence):
        slope, intercept = 1.0, 0.0
    vois = windows_of(ds) + tables_of(ds)
    if not vois:
        found = default_voi(pixels, padding)
        center = (found.center + stored_offset) * slope + intercept
        vois = (
            Voi(label=found.label, function=found.function, center=center, width=found.width * abs(slope)),
        )
    return Presentation(
        vois=vois,
        inverse=inverse,
        padding=padding,
        slope=slope,
        intercept=intercept,
        stored_offset=stored_offset,
        bits=int(ds.get("BitsStored", 0) or ds.get("BitsAllocated", 16)),
    )


def _rescale(ds: Dataset) -> tuple[float, float]:
    slope, intercept = float(ds.get("RescaleSlope", 1) or 1), float(ds.get("RescaleIntercept", 0) or 0)
    if not (abs(slope) <= _MOST_RESCALE and abs(intercept) <= _MOST_RESCALE):
        raise ExamError(
            f"expected Rescale Slope and Intercept to be numbers up to {_MOST_RESCALE:g}, found {slope} and {intercept}; "
            "the image is not shown."
        )
    return slope, intercept


def windows_of(ds: Dataset) -> tuple[Voi, ...]:
    """Return every usable window in file order, labelled by its explanation (MG-15, MG-17)."""
    centers, widths = _numbers(ds.get("WindowCenter")), _numbers(ds.get("WindowWidth"))
    labels = _texts(ds.get("WindowCenterWidthExplanation"))
    name = str(ds.get("VOILUTFunction", "") or "LINEAR").strip().upper()
    function = VoiFunction(name) if name in {"LINEAR", "LINEAR_EXACT", "SIGMOID"} else VoiFunction.LINEAR
    found = []
    for index, (center, width) in enumerate(zip(centers, widths, strict=False)):
        if (
            not np.isfinite(center)
            or not np.isfinite(width)
            or width < (1.0 if function is VoiFunction.LINEAR else 1e-9)
        ):
            continue
        label = labels[index] if index < len(labels) and labels[index] else f"Window {index + 1}"
        found.append(Voi(label=label, function=function, center=center, width=width))
    return tuple(found)


def tables_of(ds: Dataset) -> tuple[Voi, ...]:
    """Return every VOI LUT Sequence item in file order, labelled by LUT Explanation (MG-16, MG-17)."""
    found = []
    for index, item in enumerate(ds.get("VOILUTSequence") or ()):
        lut = _lut(item, signed=_is_signed(ds), little_endian=_is_little(ds), label=f"VOI LUT {index + 1}")
        if lut is not None:
            found.append(
                Voi(
                    label=lut.label,
                    function=VoiFunction.TABLE,
                    first_value=lut.first_value,
                    table=lut.table,
                    table_bits=lut.bits,
                )
            )
    return tuple(found)


def modality_lut(ds: Dataset) -> Lut | None:
    """Return the Modality LUT table, or None where rescale slope and intercept apply (PS3.3 C.11.1)."""
    items = list(ds.get("ModalityLUTSequence") or [])
    if not items:
        return None
    return _lut(items[0], signed=_is_signed(ds), little_endian=_is_little(ds), label="Modality LUT")


def apply_lut(stored: NDArray[np.integer], lut: Lut) -> NDArray[np.uint16]:
    """Look stored values of any shape up in a table; values outside take its first or last entry."""
    index = np.clip(stored.astype(np.int32) - lut.first_value, 0, len(lut.table) - 1).astype(np.intp)
    return np.asarray(lut.table[index], dtype=np.uint16)


def padding_range(ds: Dataset, *, stored_offset: int) -> tuple[int, int] | None:
    """Return the declared padding as an inclusive range of pixels (MG-18), or None when none is declared."""
    value = ds.get("PixelPaddingValue")
    if value is None or value == "":
        return None
    limit = ds.get("PixelPaddingRangeLimit")
    first = _as_stored(int(value), ds)
    last = first if limit is None or limit == "" else _as_stored(int(limit), ds)
    low, high = sorted((first - stored_offset, last - stored_offset))
    if high < 0 or low > 65535:
        return None
    return max(low, 0), min(high, 65535)


def background_range(pixels: NDArray[np.uint16], *, inverse: bool) -> tuple[int, int] | None:
    """Return the constant value of undeclared air, or None; 5 % of all pixels must share the extreme."""
    sample = pixels.reshape(-1)[::_SAMPLE_STEP]
    extreme = int(sample.max() if inverse else sample.min())
    if np.count_nonzero(sample == extreme) < _BACKGROUND_SHARE * sample.size or sample.min() == sample.max():
        return None
    return extreme, extreme


def default_voi(pixels: NDArray[np.uint16], padding: tuple[int, int] | None) -> Voi:
    """Window for an image that declares none, from the tissue's percentiles; centre and width in pixel units.

    Parameters
    ----------
    pixels : (rows, cols) uint16
    padding : inclusive range of values that is air and is left out (MG-18), or None
    """
    sample = pixels.reshape(-1)[::_SAMPLE_STEP]
    if padding is not None:
        tissue = sample[(sample < padding[0]) | (sample > padding[1])]
        sample = tissue if tissue.size else sample
    low, high = (float(v) for v in np.percentile(sample, (1.0, 99.8)))
    if high <= low:
        low, high = float(sample.min()), float(max(sample.max(), sample.min() + 1))
    return Voi(
        label=DEFAULT_VOI,
        function=VoiFunction.LINEAR,
        center=(low + high) / 2 + 0.5,
        width=high - low + 1.0,
    )


def _lut(item: Dataset, *, signed: bool, little_endian: bool, label: str) -> Lut | None:
    descriptor = item.get("LUTDescriptor")
    data = item.get("LUTData")
    if descriptor is None or data is None or len(descriptor) != 3:
        return None
    entries = int(descriptor[0]) & 0xFFFF or 65536  # 0 means 65536; SS writers turn large counts negative
    first = int(descriptor[1])
    if signed and first > 32767:
        first -= 65536
    elif not signed and first < 0:
        first += 65536
    bits = int(descriptor[2]) & 0xFFFF
    table = _lut_data(data, entries, little_endian=little_endian)
    if table is None or not 1 <= bits <= 16:
        return None
    text = str(item.get("LUTExplanation", "") or "").strip()
    return Lut(first_value=first, table=table, bits=bits, label=text or label)


def _lut_data(data: object, entries: int, *, little_endian: bool) -> NDArray[np.uint16] | None:
    if isinstance(data, bytes):
        if len(data) < 2 * entries:  # 8-bit entries, packed two to a word
            packed = np.frombuffer(data, np.uint8).astype(np.uint16)
            return packed[:entries] if len(packed) >= entries else None
        return np.frombuffer(data, "<u2" if little_endian else ">u2", entries).astype(np.uint16)
    values = [data] if isinstance(data, int) else list(data) if isinstance(data, Sequence) else None
    if values is None or len(values) < entries:
        return None
    return (np.asarray(values[:entries], dtype=np.int64) & 0xFFFF).astype(np.uint16)


def _numbers(value: object) -> list[float]:
    if value is None or value == "":
        return []
    items = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return [float(str(item)) for item in items if str(item).strip()]


def _texts(value: object) -> list[str]:
    if value is None:
        return []
    items = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return [str(item).strip() for item in items]


def _is_signed(ds: Dataset) -> bool:
    return int(ds.get("PixelRepresentation", 0) or 0) == 1


def _is_little(ds: Dataset) -> bool:
    return ds.original_encoding[1] is not False


def _as_stored(value: int, ds: Dataset) -> int:
    """Give a padding value the sign of the pixels, whatever VR its writer chose."""
    if _is_signed(ds):
        return value - 65536 if value > 32767 else value
    return value & 0xFFFF
