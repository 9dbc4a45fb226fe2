"""Make docs/images/phantoms.jpg: six synthetic exams, four images each, two exams a row.

Run from the root of the repository: ``python docs/make_phantom_sheet.py``.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import ViewImage
from resources.vocabulary import Density, FindingType, Pathology

HEIGHT = 360
SHEET = Path(__file__).resolve().parent / "images" / "phantoms.jpg"
EXAMS = (
    PhantomSpec(seed=101, pixel_mm=0.2, density=Density.FATTY, pathology=Pathology.NORMAL),
    PhantomSpec(
        seed=102,
        pixel_mm=0.2,
        density=Density.SCATTERED,
        pathology=Pathology.MALIGNANT,
        finding=FindingType.MASS,
    ),
    PhantomSpec(
        seed=103,
        pixel_mm=0.2,
        density=Density.HETEROGENEOUS,
        pathology=Pathology.BENIGN,
        finding=FindingType.MASS,
    ),
    PhantomSpec(
        seed=104,
        pixel_mm=0.2,
        density=Density.DENSE,
        pathology=Pathology.MALIGNANT,
        finding=FindingType.CALCIFICATION,
    ),
    PhantomSpec(
        seed=105,
        pixel_mm=0.2,
        density=Density.SCATTERED,
        pathology=Pathology.MALIGNANT,
        finding=FindingType.DISTORTION,
    ),
    PhantomSpec(
        seed=106, pixel_mm=0.2, cesm=True, density=Density.HETEROGENEOUS, pathology=Pathology.MALIGNANT
    ),
)


def shown(image: ViewImage) -> np.ndarray:
    """The image through its first window, hung, HEIGHT rows high."""
    voi = image.presentation.vois[0]
    grey = 255 / (1 + np.exp(-4 * (image.pixels.astype(np.float64) - voi.center) / voi.width))
    grey[image.pixels <= 30] = 0
    if image.orientation.flip_cols:
        grey = grey[:, ::-1]
    width = round(HEIGHT * grey.shape[1] / grey.shape[0])
    return cv2.resize(grey.astype(np.uint8), (width, HEIGHT), interpolation=cv2.INTER_AREA)


def strip(spec: PhantomSpec) -> np.ndarray:
    """Four views in a row; a contrast exam shows low energy and recombined of the CC pair."""
    images = phantom_exam(spec).exam.images
    return np.hstack([shown(image) for image in images[:4]])


def main() -> None:
    strips = [strip(spec) for spec in EXAMS]
    rows = [np.hstack(strips[i : i + 2]) for i in range(0, len(strips), 2)]
    SHEET.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(SHEET), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 82])


if __name__ == "__main__":
    main()
