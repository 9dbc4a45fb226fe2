"""Contrast mammography for the lesion classifier: one pair on a working grid, lesion crops, the segmenter's canvas.

"cesm-pair/1": the low-energy image equalised over the breast, the recombined one in robust units of the breast's
own background, so that the amount of enhancement survives. "cesm-paper/1": as published (Mao et al. 2023), grey
0..255 and histogram equalisation of each crop alone. Places come back as stored-file pixels. No torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.exam.contrast import ContrastPair
from inference.exam.types import Box, InferenceError, ViewImage
from inference.preprocessing.breast import BreastRegion, find_breast
from inference.preprocessing.intensity import displayed_grey
from inference.preprocessing.pixel_size import believed_stored_mm, disbelieved_words

_T = TypeVar("_T", np.uint8, np.float32)
CESM_PAIR, CESM_PAPER = "cesm-pair/1", "cesm-paper/1"
CESM_CHAINS = (CESM_PAIR, CESM_PAPER)
WORK_MM = 0.25  # pixel of the working grid; a finer file is averaged down to it
MARGIN_MM = 5.0  # the paper's, about the lesion on every side
CANVAS = (256, 192)  # rows and columns of the segmenter's picture
ASSUMED_HEIGHT_MM = 240.0  # of the longer side of a picture when nothing says how large a pixel is
_SMOOTH_MM = 1.0  # the recombined image's background is judged at this scale, below it is noise
_GREY_AT_ZERO, _GREY_PER_UNIT, _KNEE = 64.0, 45.0, 2.0  # asinh: linear near the background, open upwards


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedPair:
    """One view's two images on the working grid, uint8 (rows, cols), air 0, and how to get back."""

    low_key: str
    recombined_key: str
    low: NDArray[np.uint8] = field(compare=False, repr=False)
    recombined: NDArray[np.uint8] = field(compare=False, repr=False)
    breast: NDArray[np.bool_] = field(compare=False, repr=False)
    scale: tuple[float, float]  # working pixels per stored pixel: rows, columns
    stored_shape: tuple[int, int]
    warnings: tuple[str, ...] = ()

    def canvas_frame(self) -> tuple[int, int, int, int]:
        """The breast's bounding box on the working grid, row0, col0, row1, col1: what the canvas shows."""
        rows, cols = np.flatnonzero(self.breast.any(axis=1)), np.flatnonzero(self.breast.any(axis=0))
        return int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1

    def canvas_size(self) -> tuple[int, int]:
        """Rows and columns of the canvas that the frame fills, from its top left corner."""
        row0, col0, row1, col1 = self.canvas_frame()
        scale = min(CANVAS[0] / (row1 - row0), CANVAS[1] / (col1 - col0))
        return max(1, round((row1 - row0) * scale)), max(1, round((col1 - col0) * scale))

    def to_stored(self, row: float, col: float) -> tuple[float, float]:
        """Working grid, pixel edges at whole numbers, to stored pixels."""
        return row / self.scale[0], col / self.scale[1]


def prepare_pair(pair: ContrastPair, preprocessing_id: str = CESM_PAIR) -> PreparedPair:
    """Bring the two images of one compression to the working grid and its greys.

    Raises
    ------
    InferenceError
        The two images differ in shape, or the chain's name is not known.
    """
    if preprocessing_id not in CESM_CHAINS:
        raise InferenceError(
            f"Preprocessing {preprocessing_id!r}: expected one of {', '.join(CESM_CHAINS)}; install a program "
            "version that has it."
        )
    low, recombined = pair.low, pair.recombined
    if low.pixels.shape != recombined.pixels.shape:
        raise InferenceError(
            f"{low.view.label}: expected a low-energy and a recombined image of one size, found "
            f"{low.pixels.shape} and {recombined.pixels.shape}; choose the matching pair."
        )
    rows, cols = low.pixels.shape
    region = find_breast(displayed_grey(low))
    breast = region.mask
    (mm_row, mm_col), warnings = _pixel_mm(low, region)
    shape = (max(8, round(rows * (mm_row / WORK_MM))), max(8, round(cols * (mm_col / WORK_MM))))
    mask = _resized(breast.astype(np.float32), shape) >= 0.5
    if not mask.any():
        mask[:] = True
    tones = (_resized(_values(low), shape), _resized(_values(recombined), shape))
    if preprocessing_id == CESM_PAPER:
        greys = tuple(np.where(mask, stretched(tone, mask), 0).astype(np.uint8) for tone in tones)
    else:
        greys = (equalised(tones[0], mask), in_robust_units(tones[1], mask))
    return PreparedPair(
        low_key=low.key,
        recombined_key=recombined.key,
        low=greys[0],
        recombined=greys[1],
        breast=mask,
        scale=(shape[0] / rows, shape[1] / cols),
        stored_shape=(rows, cols),
        warnings=warnings,
    )


def _pixel_mm(low: ViewImage, region: BreastRegion) -> tuple[tuple[float, float], tuple[str, ...]]:
    """Millimetres along the file's rows and columns, and what must be said where they are assumed."""
    believed = believed_stored_mm(low, region)
    if believed is not None:
        return believed, ()
    mm = ASSUMED_HEIGHT_MM / max(low.pixels.shape)
    if low.spacing is None:
        sentence = (
            f"{low.view.label}: no pixel size is recorded; {ASSUMED_HEIGHT_MM:.0f} mm were assumed for the picture's "
            "longer side, so the 5 mm margin about a lesion is approximate."
        )
    else:
        made = (region.shape[0] * low.spacing.row_mm, region.shape[1] * low.spacing.col_mm)
        made = made[::-1] if low.orientation.transpose else made
        end = (
            f"from the picture's longer side ({ASSUMED_HEIGHT_MM:.0f} mm), so the 5 mm margin about a lesion is "
            "approximate."
        )
        sentence = disbelieved_words(low, made, f"{mm:.3f}", end)
    return (mm, mm), (sentence,)


def _values(image: ViewImage) -> NDArray[np.float32]:
    """Modality values, dense tissue and iodine bright."""
    p = image.presentation
    values = (image.pixels.astype(np.float32) + np.float32(p.stored_offset)) * np.float32(p.slope)
    return np.asarray(-values if p.inverse else values, np.float32)


def _resized(values: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    if values.shape == shape:
        return values
    shrinks = shape[0] < values.shape[0]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, (shape[1], shape[0]), interpolation=way), np.float32)


def stretched(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Map values linearly so that the least in the mask becomes 0 and the greatest 255."""
    inside = values[mask]
    low, high = float(inside.min()), float(inside.max())
    grey = np.clip(np.rint((values - low) * (255.0 / max(high - low, 1e-6))), 0, 255)
    return np.asarray(grey, np.uint8)


def equalised(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Histogram equalisation over the mask: a grey is the share of the mask's values below it, 1..255; air 0."""
    order = np.sort(values[mask])
    share = np.searchsorted(order, values, side="right") / len(order)
    return np.where(mask, np.clip(np.rint(share * 255.0), 1, 255), 0).astype(np.uint8)


def in_robust_units(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Grey of a recombined image: 64 at the breast's median, then asinh of robust deviations; 1..255, air 0.

    Notes
    -----
    The unit is 1.4826 times the median absolute deviation of the image smoothed over 1 mm: vendors' scales and
    offsets drop out, and enhancement counts against the breast's own background enhancement.
    """
    weight = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), _SMOOTH_MM / WORK_MM)
    smooth = cv2.GaussianBlur(np.where(mask, values, 0).astype(np.float32), (0, 0), _SMOOTH_MM / WORK_MM)
    inside = (smooth / np.maximum(weight, 1e-3))[mask]
    middle = float(np.median(inside))
    unit = max(1.4826 * float(np.median(np.abs(inside - middle))), 1e-6)
    grey = _GREY_AT_ZERO + _GREY_PER_UNIT * np.arcsinh(
        (values - np.float32(middle)) / np.float32(unit * _KNEE)
    )
    return np.where(mask, np.clip(np.rint(grey), 1, 255), 0).astype(np.uint8)


def crop_box(mask: NDArray[np.bool_], margin_mm: float = MARGIN_MM) -> tuple[float, float, float]:
    """Square about a lesion on the working grid: centre row, centre column, side; 5 mm beyond the longer side.

    Raises
    ------
    ValueError
        The mask is empty.
    """
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise ValueError("lesion mask: expected at least one pixel set, found none")
    side = max(rows[-1] + 1 - rows[0], cols[-1] + 1 - cols[0]) + 2.0 * margin_mm / WORK_MM
    return (rows[0] + rows[-1] + 1) / 2.0, (cols[0] + cols[-1] + 1) / 2.0, float(side)


def lesion_crop(
    pair: PreparedPair, mask: NDArray[np.bool_], size: int, *, reach: float = 1.0, equalise: bool = False
) -> NDArray[np.uint8]:
    """Cut a lesion: low energy, recombined and mask as three channels.

    Parameters
    ----------
    mask
        (rows, cols) bool on the working grid.
    size
        Rows and columns of the crop.
    reach
        How many times the lesion's square is cut out; over 1 leaves room to turn and shift it.
    equalise
        Equalise each grey channel over this crop alone, as published.

    Returns
    -------
    (3, size, size) uint8; beyond the image 0; the mask is 0 or 255 but for its smoothed edge.
    """
    affine = crop_affine(crop_box(mask), size, reach)
    planes = (pair.low, pair.recombined, mask.astype(np.uint8) * 255)
    shrink = 1.0 / affine[0, 0]
    out = []
    for number, plane in enumerate(planes):
        soft = cv2.GaussianBlur(plane, (0, 0), 0.45 * shrink) if shrink > 1.2 else plane  # no aliasing
        cut = cv2.warpAffine(soft, affine, (size, size), flags=cv2.INTER_LINEAR)
        out.append(cv2.equalizeHist(cut) if equalise and number < 2 else cut)
    return np.stack(out).astype(np.uint8)


def crop_affine(square: tuple[float, float, float], size: int, reach: float = 1.0) -> NDArray[np.float64]:
    """OpenCV affine (2, 3), x before y, from the working grid's pixel centres to the crop's."""
    row, col, side = square
    scale = size / (side * reach)
    x = (size - 1) / 2.0 - scale * (col - 0.5)
    y = (size - 1) / 2.0 - scale * (row - 0.5)
    return np.array([[scale, 0.0, x], [0.0, scale, y]])


def segmenter_canvas(pair: PreparedPair) -> NDArray[np.uint8]:
    """The pair for the segmenter: (2, 256, 192) uint8, low energy and recombined, breast top left, air 0."""
    return np.stack([_on_canvas(pair, plane) for plane in (pair.low, pair.recombined)])


def mask_on_canvas(pair: PreparedPair, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A working-grid mask on the segmenter's canvas, (256, 192) bool."""
    return np.asarray(_on_canvas(pair, mask.astype(np.float32)) >= 0.5, bool)


def _on_canvas(pair: PreparedPair, plane: NDArray[_T]) -> NDArray[_T]:
    row0, col0, row1, col1 = pair.canvas_frame()
    height, width = pair.canvas_size()
    out = np.zeros(CANVAS, plane.dtype)
    part = np.ascontiguousarray(plane[row0:row1, col0:col1])
    out[:height, :width] = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
    return out


def from_canvas(pair: PreparedPair, canvas: NDArray[np.float32]) -> NDArray[np.float32]:
    """A map on the canvas back on the working grid, (rows, cols) float32, 0 beside the breast's box."""
    row0, col0, row1, col1 = pair.canvas_frame()
    height, width = pair.canvas_size()
    part = np.ascontiguousarray(canvas[:height, :width])
    out = np.zeros(pair.low.shape, np.float32)
    out[row0:row1, col0:col1] = cv2.resize(part, (col1 - col0, row1 - row0), interpolation=cv2.INTER_LINEAR)
    return out


def mask_on_grid(pair: PreparedPair, stored: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A stored-pixel mask on the working grid; one that would vanish keeps its central pixel."""
    rows, cols = pair.low.shape
    out = cv2.resize(stored.astype(np.float32), (cols, rows), interpolation=cv2.INTER_AREA) >= 0.5
    if not out.any() and stored.any():
        at = np.argwhere(stored).mean(axis=0) * np.array(pair.scale)
        out[min(rows - 1, int(at[0])), min(cols - 1, int(at[1]))] = True
    return np.asarray(out, bool)


def box_on_grid(pair: PreparedPair, box: Box) -> NDArray[np.bool_]:
    """The ellipse that fills a stored-pixel box, on the working grid: a lesion known by its box only."""
    rows, cols = pair.low.shape
    center = ((box.row0 + box.row1) / 2 * pair.scale[0], (box.col0 + box.col1) / 2 * pair.scale[1])
    half = ((box.row1 - box.row0) / 2 * pair.scale[0], (box.col1 - box.col0) / 2 * pair.scale[1])
    r, c = np.arange(rows)[:, None] + 0.5, np.arange(cols)[None, :] + 0.5
    out = ((r - center[0]) / max(half[0], 0.6)) ** 2 + ((c - center[1]) / max(half[1], 0.6)) ** 2 <= 1.0
    if not out.any():
        out[min(rows - 1, int(center[0])), min(cols - 1, int(center[1]))] = True
    return np.asarray(out, bool)
