"""Region and depth of a lesion from two planes, the view and the lesion's mask: paper A's heads, made small.

Architecture, forward pass and the two planes only; training is ``training.places_location``'s. The rule of
``view_frame`` on found landmarks answers the same question without a network.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.exam.types import Box
from inference.preprocessing.landmarks import SmallView
from inference.results import CC_REGIONS, MLO_REGIONS

PLANE_MM = 3.0
PLANE_SHAPE = (80, 64)  # 240 x 192 mm
_WIDTHS = (12, 24, 32, 48)


class LesionLocation(nn.Module):
    """Two planes (n, 2, 80, 64) to region logits of both projections and depth.

    The last map is kept whole, not averaged: where a lesion lies is the question.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 2
        for width in _WIDTHS:
            layers += [
                nn.Conv2d(before, width, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            layers += [nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            before = width
        self.features = nn.Sequential(*layers)
        cells = (PLANE_SHAPE[0] // 16) * (PLANE_SHAPE[1] // 16)
        self.trunk = nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(before * cells, 96), nn.ReLU())
        self.oblique = nn.Linear(96, len(MLO_REGIONS))
        self.axial = nn.Linear(96, len(CC_REGIONS))
        self.depth = nn.Linear(96, 2)  # MLO, CC

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return MLO logits (n, 5), CC logits (n, 4), depths (n, 2) of MLO and CC, unbounded."""
        found = self.trunk(self.features(planes))
        return self.oblique(found), self.axial(found), self.depth(found)


def view_plane(view: SmallView) -> NDArray[np.float32]:
    """The view at 3 mm, chest wall at column 0, (80, 64) float32 in [0, 1]; what lies beyond is cut off."""
    scale = view.pixel_mm / PLANE_MM
    size = tuple(max(1, round(n * scale)) for n in view.grey.shape)
    small = cv2.resize(view.grey, size[::-1], interpolation=cv2.INTER_AREA)
    small = np.maximum(small, 0.05 * (cv2.resize(view.mask.astype(np.float32), size[::-1]) > 0.5))
    return _fitted(small.astype(np.float32))


def box_plane(view: SmallView, box: Box) -> NDArray[np.float32]:
    """The ellipse in a box of the small view's pixels, on the same grid as ``view_plane``."""
    scale = view.pixel_mm / PLANE_MM
    plane = np.zeros(
        (
            max(PLANE_SHAPE[0], round(view.grey.shape[0] * scale)),
            max(PLANE_SHAPE[1], round(view.grey.shape[1] * scale)),
        ),
        np.float32,
    )
    row, col = box.center
    axes = (max(0.75, 0.5 * (box.col1 - box.col0) * scale), max(0.75, 0.5 * (box.row1 - box.row0) * scale))
    cv2.ellipse(
        plane,
        (round((col * scale - 0.5) * 16), round((row * scale - 0.5) * 16)),
        (round(axes[0] * 16), round(axes[1] * 16)),
        0.0,
        0.0,
        360.0,
        (1.0,),
        -1,
        cv2.LINE_8,
        4,
    )
    return _fitted(plane)


def _fitted(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    out = np.zeros(PLANE_SHAPE, np.float32)
    rows, cols = (min(a, b) for a, b in zip(plane.shape, PLANE_SHAPE, strict=True))
    out[:rows, :cols] = plane[:rows, :cols]
    return out


def locate(network: LesionLocation, view: SmallView, boxes: list[Box]) -> list[tuple[str, float]]:
    """Region and depth in [0, 1] of boxes of one view, by the network in evaluation mode."""
    if not boxes:
        return []
    grey = view_plane(view)
    planes = torch.from_numpy(np.stack([np.stack([grey, box_plane(view, box)]) for box in boxes]))
    with torch.inference_mode():
        oblique, axial, depth = network(planes)
    names = CC_REGIONS if view.projection.is_axial else MLO_REGIONS
    logits = axial if view.projection.is_axial else oblique
    column = 1 if view.projection.is_axial else 0
    return [
        (names[int(k)], float(np.clip(float(d), 0.0, 1.0)))
        for k, d in zip(logits.argmax(dim=1), depth[:, column], strict=True)
    ]
