"""Finds groups of calcifications in a prepared view: spots that stand out of the grain, gathered where dense.

Nothing here is learnt. It offers places with a strength; whether one holds calcifications and whether they
are suspicious is the network's to say.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from inference.exam.types import Box
from inference.preprocessing.calcification import WORK_MM, CalcificationView

_GRAIN_MM = 12.0  # neighbourhood whose grain a spot must exceed
_TIMES_GRAIN = 6.0  # how many times the typical height of the local maxima there; noise alone rarely does
_LEAST_HEIGHT = 0.05  # of the breast's grey range; below it nobody sees a spot
_LEAST_COARSE = 0.025  # the same where file pixels are coarse and blur a speck; set by looking at mini-MIAS
_REACH_MM = 3.5  # spots of a group lie within so much of another one
_RADIUS_MM = 10.0  # and within so much of the densest place
_CORE_MM = 4.0  # scale of the density by which groups are found
_LEAST_SPOTS = 3
_RIM_MM = 1.0
MOST = 8  # groups of one view, strongest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A group of spots in canvas pixels; ``strength`` grows with number and height of its spots."""

    box: Box
    center: tuple[float, float]  # row, column: middle of the spots, the tall ones weighing more
    spots: NDArray[np.float32]  # (n, 3): row, column, height in times of the local grain
    strength: float

    def __post_init__(self) -> None:
        self.spots.setflags(write=False)


def find_spots(view: CalcificationView) -> NDArray[np.float32]:
    """Return the spots of a view that exceed the grain around them.

    Returns
    -------
    (n, 3) float32: row, column (canvas pixels, edge coordinates), height in times of the local grain.
    """
    height = view.spots
    top = cv2.dilate(height, np.ones((5, 5), np.uint8))
    peak = (height >= top) & (height > 0)
    # grain: mean height of the local maxima hereabouts, each counted up to a limit so that a group does not hide itself
    limit = np.float32(2.0) * np.median(height[peak]) if peak.any() else np.float32(1.0)
    side = 2 * round(_GRAIN_MM / WORK_MM / 2) + 1
    total = cv2.blur(np.where(peak, np.minimum(height, limit), 0).astype(np.float32), (side, side))
    count = cv2.blur(peak.astype(np.float32), (side, side))
    grain = np.maximum(total / np.maximum(count, 1e-6), 1e-4)
    least = _LEAST_COARSE if view.coarse else _LEAST_HEIGHT
    found = peak & (height > least) & (height > _TIMES_GRAIN * grain)
    rows, cols = np.nonzero(found)
    return np.stack([rows + 0.5, cols + 0.5, (height / grain)[found]], axis=1).astype(np.float32)


def find_candidates(view: CalcificationView, most: int = MOST) -> list[Candidate]:
    """Gather the spots of a view into groups, strongest first.

    Greedy: the densest place takes the spots that hang together around it, then the densest of what is left.
    A group has at least three spots.
    """
    left = find_spots(view)
    out: list[Candidate] = []
    while len(left) >= _LEAST_SPOTS and len(out) < 2 * most:
        places = left[:, :2] * WORK_MM
        tree = cKDTree(places)
        weights = _weights(left)
        density = _density(tree, places, weights)
        members = _gathered(tree, places, int(np.argmax(density)))
        if members.sum() >= _LEAST_SPOTS:
            out.append(_candidate(left[members], view.inside.shape, float(density.max())))
        left = left[~members]
    return sorted(out, key=lambda c: -c.strength)[:most]


def _weights(spots: NDArray[np.float32]) -> NDArray[np.float32]:
    """What each spot counts: about 0.2 where it barely passes, 2 where it stands out of the grain 30 times."""
    return np.asarray(np.log(spots[:, 2] / (0.8 * _TIMES_GRAIN)), np.float32)


def _density(tree: cKDTree, places: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sum of the weights around each spot, falling off with the distance."""
    near = tree.sparse_distance_matrix(tree, 3 * _CORE_MM, output_type="coo_matrix")
    share = np.exp(-0.5 * (near.data / _CORE_MM) ** 2) * weights[near.col]
    return np.asarray(np.bincount(near.row, share, minlength=len(places)) + weights, np.float64)


def _gathered(tree: cKDTree, places: NDArray[np.float32], start: int) -> NDArray[np.bool_]:
    """Spots that hang together with the first one, none farther from it than the radius."""
    within = np.linalg.norm(places - places[start], axis=1) <= _RADIUS_MM
    taken = np.zeros(len(places), bool)
    taken[start] = True
    waiting = [start]
    while waiting:
        for other in tree.query_ball_point(places[waiting.pop()], _REACH_MM):
            if within[other] and not taken[other]:
                taken[other] = True
                waiting.append(other)
    return taken


def _candidate(spots: NDArray[np.float32], shape: tuple[int, ...], strength: float) -> Candidate:
    rim = _RIM_MM / WORK_MM
    low, high = spots[:, :2].min(axis=0) - rim, spots[:, :2].max(axis=0) + rim
    middle = np.average(spots[:, :2], axis=0, weights=_weights(spots))
    return Candidate(
        box=Box(
            row0=float(max(0.0, low[0])),
            col0=float(max(0.0, low[1])),
            row1=float(min(shape[0], high[0])),
            col1=float(min(shape[1], high[1])),
        ),
        center=(float(middle[0]), float(middle[1])),
        spots=spots,
        strength=strength,
    )
