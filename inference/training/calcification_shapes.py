"""What plain measuring sees of a group's specks in the spot plane of a crop: the harder baselines of the ensemble.

Number, height and extent of the specks are drawn alike for benign and malignant groups; their shapes are not, and a
fair comparison must let a plain rule see these too. No network.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SHAPES = ("mean elongation of specks", "spread of their areas", "spread of their heights", "longest speck")
BRIGHT = 90  # byte of the spot plane from which a pixel belongs to a speck
_LEAST_PX = 3  # smaller blobs have no shape


def shape_features(planes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Measure the specks of crops.

    Parameters
    ----------
    planes
        (n, rows, columns) spot planes, bytes.

    Returns
    -------
    (n, 4): SHAPES. Elongation is the ratio of the axes of the ellipse with a blob's second moments, 1 or more;
    spreads are standard deviation over mean. Fewer than two blobs give 1, 0, 0 and 1.
    """
    return np.array([_measured(plane) for plane in planes], np.float64).reshape(-1, len(SHAPES))


def _measured(plane: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        (plane >= BRIGHT).astype(np.uint8), connectivity=8
    )
    elongations, areas, heights = [], [], []
    for k in range(1, count):
        if stats[k, cv2.CC_STAT_AREA] < _LEAST_PX:
            continue
        rows, columns = np.nonzero(labels == k)
        # A twelfth: the variance of a pixel itself, so that a line one pixel wide is not infinitely long.
        moments = np.linalg.eigvalsh(np.cov(np.stack([rows, columns])) + np.eye(2) / 12)
        elongations.append(float(np.sqrt(moments[1] / moments[0])))
        areas.append(len(rows))
        heights.append(int(plane[rows, columns].max()))
    if len(areas) < 2:
        return 1.0, 0.0, 0.0, 1.0
    return (
        float(np.mean(elongations)),
        float(np.std(areas) / np.mean(areas)),
        float(np.std(heights) / np.mean(heights)),
        max(elongations),
    )
