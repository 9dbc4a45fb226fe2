"""Hand-made image features of a lesion, after the Image Biomarker Standardisation Initiative (Zwanenburg et al. 2020).

First-order statistics, the grey-level co-occurrence matrix in two dimensions, and shape. They are the published
baseline that a network is held against; nothing here learns.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

PIXEL_MM = 0.25  # of every lesion that is measured, whatever it was stored at
_BINS = 32
_STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))  # distance 1; the matrices are symmetric


def first_order(values: NDArray[np.float64]) -> dict[str, float]:
    """Statistics of the grey values of a region (n,), IBSI section 3.3.

    Raises
    ------
    ValueError
        There is no value.
    """
    if not len(values):
        raise ValueError("region: expected at least one pixel, found none")
    mean, sd = float(values.mean()), float(values.std())
    p10, p25, median, p75, p90 = (float(v) for v in np.percentile(values, [10, 25, 50, 75, 90]))
    middle = values[(values >= p10) & (values <= p90)]
    around = values - mean
    return {
        "mean": mean,
        "variance": sd**2,
        "skewness": float((around**3).mean() / sd**3) if sd > 0 else 0.0,
        "kurtosis": float((around**4).mean() / sd**4) - 3.0 if sd > 0 else 0.0,
        "median": median,
        "minimum": float(values.min()),
        "p10": p10,
        "p90": p90,
        "maximum": float(values.max()),
        "interquartile range": p75 - p25,
        "range": float(values.max() - values.min()),
        "mean absolute deviation": float(np.abs(around).mean()),
        "robust mean absolute deviation": float(np.abs(middle - middle.mean()).mean()),
        "median absolute deviation": float(np.abs(values - median).mean()),
        "coefficient of variation": sd / mean if mean else 0.0,
        "quartile coefficient of dispersion": (p75 - p25) / (p75 + p25) if p75 + p25 else 0.0,
        "energy": float((values**2).sum()),
        "root mean square": float(np.sqrt((values**2).mean())),
    }


def levels_of(values: NDArray[np.float64], mask: NDArray[np.bool_], bins: int = _BINS) -> NDArray[np.int64]:
    """Grey levels 1..bins of equal width between the region's least and greatest value; 0 outside it."""
    low, high = float(values[mask].min()), float(values[mask].max())
    share = (values - low) / max(high - low, 1e-12)
    return np.where(mask, np.minimum(bins, np.floor(share * bins).astype(np.int64) + 1), 0)


def cooccurrence(levels: NDArray[np.int64]) -> dict[str, float]:
    """Features of the co-occurrence matrices of one region, IBSI section 3.6, the mean over the four directions.

    Parameters
    ----------
    levels
        (rows, cols) grey levels from 1, 0 outside the region.
    """
    found = [_glcm_features(m) for step in _STEPS if (m := _glcm(levels, step)) is not None]
    if not found:
        return dict.fromkeys(_glcm_features(np.ones((1, 1))), 0.0)
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def _glcm(levels: NDArray[np.int64], step: tuple[int, int]) -> NDArray[np.float64] | None:
    down, right = step
    rows, cols = levels.shape
    a = levels[: rows - down, max(0, -right) : cols - max(0, right)]
    b = levels[down:, max(0, right) : cols - max(0, -right)]
    both = (a > 0) & (b > 0)
    if not both.any():
        return None
    count = int(levels.max())
    flat = (a[both] - 1) * count + (b[both] - 1)
    matrix = np.bincount(flat, minlength=count * count).reshape(count, count).astype(np.float64)
    matrix += matrix.T
    return np.asarray(matrix / matrix.sum())


def _glcm_features(p: NDArray[np.float64]) -> dict[str, float]:
    grid = np.arange(1, len(p) + 1, dtype=np.float64)
    i, j = np.meshgrid(grid, grid, indexing="ij")
    apart = np.abs(i - j)
    average = float((i * p).sum())
    variance = float(((i - average) ** 2 * p).sum())
    joined = i + j - 2 * average
    some = p[p > 0]
    return {
        "joint maximum": float(p.max()),
        "joint average": average,
        "joint variance": variance,
        "joint entropy": float(-(some * np.log2(some)).sum()),
        "angular second moment": float((p**2).sum()),
        "contrast": float((apart**2 * p).sum()),
        "dissimilarity": float((apart * p).sum()),
        "inverse difference": float((p / (1 + apart)).sum()),
        "inverse difference moment": float((p / (1 + apart**2)).sum()),
        "correlation": float((((i - average) * (j - average) * p).sum()) / variance) if variance > 0 else 1.0,
        "autocorrelation": float((i * j * p).sum()),
        "cluster tendency": float((joined**2 * p).sum()),
        "cluster shade": float((joined**3 * p).sum()),
        "cluster prominence": float((joined**4 * p).sum()),
    }


def shape_features(mask: NDArray[np.bool_], pixel_mm: float) -> dict[str, float]:
    """Size and form of a region in the plane; lengths in mm, areas in mm2.

    Parameters
    ----------
    mask
        (rows, cols) with at least one pixel set.

    Notes
    -----
    As IBSI section 3.1 in two dimensions: area, perimeter and hull are those of one mesh, the line half-way between
    a pixel inside and its neighbour outside (marching squares), so that circularity and solidity cannot exceed 1
    however small the region is. Several parts count together; pixels that touch at a corner are joined. The axes
    are 4 times the root of the eigenvalues of the pixel centres' population covariance.
    """
    area, perimeter = (value * pixel_mm**power for value, power in zip(_mesh(mask), (2, 1), strict=True))
    inside = np.argwhere(mask).astype(np.float64)
    # every corner of the mesh lies half a pixel above, below or beside a pixel's centre
    around = inside[:, None] + 0.5 * np.array([(1, 0), (-1, 0), (0, 1), (0, -1)])
    hull = cv2.convexHull(around.reshape(-1, 2).astype(np.float32))[:, 0]
    spread = (
        np.sort(np.linalg.eigvalsh(np.cov(inside.T, bias=True)))[::-1] if len(inside) > 1 else np.zeros(2)
    )
    major, minor = (4.0 * float(np.sqrt(max(v, 0.0))) * pixel_mm for v in spread)
    return {
        "area": area,
        "perimeter": perimeter,
        "greatest diameter": float(pdist(hull.astype(np.float64)).max()) * pixel_mm,
        "major axis": major,
        "minor axis": minor,
        "elongation": minor / major if major > 0 else 1.0,
        "circularity": 4 * np.pi * area / perimeter**2,
        "solidity": area / (float(cv2.contourArea(hull)) * pixel_mm**2),
    }


def _mesh(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Area and length of the line half-way between pixels inside and outside, in pixels; holes are left out."""
    set_ = np.pad(mask, 1).astype(np.int64)
    # the four pixels round each corner: how many are inside, and whether two stand across from each other
    of_four = set_[:-1, :-1] + set_[:-1, 1:] + set_[1:, :-1] + set_[1:, 1:]
    across = (of_four == 2) & (set_[:-1, :-1] == set_[1:, 1:])
    count = np.bincount(of_four.ravel(), minlength=5)
    diagonal = int(across.sum())
    area = count[1] / 8 + (count[2] - diagonal) / 2 + diagonal * 0.75 + count[3] * 0.875 + count[4]
    length = (count[1] + count[3] + 2 * diagonal) * np.sqrt(0.5) + (count[2] - diagonal)
    return float(area), float(length)


def lesion_features(
    images: dict[str, NDArray[np.float64]], mask: NDArray[np.bool_], pixel_mm: float
) -> dict[str, float]:
    """All features of a lesion: shape once, first-order and co-occurrence of each named image.

    Images and mask are brought to pixels of ``PIXEL_MM`` first (IBSI section 2.4): texture at distance 1 means the
    same only where a pixel is of one size for all lesions.

    Raises
    ------
    ValueError
        The mask is empty.
    """
    images = {title: resampled(image, pixel_mm) for title, image in images.items()}
    mask = resampled_mask(mask, pixel_mm)
    out = {f"shape {name}": value for name, value in shape_features(mask, PIXEL_MM).items()}
    for title, image in images.items():
        out |= {f"{title} {name}": value for name, value in first_order(image[mask]).items()}
        out |= {f"{title} glcm {name}": value for name, value in cooccurrence(levels_of(image, mask)).items()}
    return out


def resampled(image: NDArray[np.float64], pixel_mm: float) -> NDArray[np.float64]:
    """An image of pixels of ``pixel_mm`` at pixels of ``PIXEL_MM``: averaged down, or interpolated up."""
    scale = pixel_mm / PIXEL_MM
    rows, cols = (max(1, round(n * scale)) for n in image.shape)
    if (rows, cols) == image.shape:
        return image
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (cols, rows), interpolation=way), np.float64)


def resampled_mask(mask: NDArray[np.bool_], pixel_mm: float) -> NDArray[np.bool_]:
    """A mask at pixels of ``PIXEL_MM``, half covered is inside; one that would vanish keeps its fullest pixel.

    Raises
    ------
    ValueError
        The mask is empty.
    """
    if not mask.any():
        raise ValueError("region: expected at least one pixel, found none")
    share = resampled(mask.astype(np.float64), pixel_mm)
    return np.asarray(share >= min(0.5, float(share.max())), bool)
