"""Where the Grad-CAM of a lesion on a contrast pair comes to lie: on the place that it speaks of, on both images."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from inference.cesm_judged import Judged, Seen, heatmaps_of
from inference.cesm_lesions import Candidate
from inference.exam.contrast import ContrastPair
from inference.preprocessing.cesm import WORK_MM, PreparedPair

SHAPE = (400, 300)  # working pixels
LESION = (120, 60, 180, 100)  # rows 120 to 179, columns 60 to 99
CAM = 7


def made(cam: np.ndarray) -> list[Judged]:
    grey = np.full(SHAPE, 100, np.uint8)
    pair = PreparedPair(
        low_key="low",
        recombined_key="recombined",
        low=grey,
        recombined=grey,
        breast=np.ones(SHAPE, bool),
        scale=(0.5, 0.5),
        stored_shape=(800, 600),
    )
    mask = np.zeros(SHAPE, bool)
    mask[LESION[0] : LESION[2], LESION[1] : LESION[3]] = True
    seen = Seen(images=cast(ContrastPair, None), pair=pair, map=np.zeros(SHAPE, np.float32))
    candidate = Candidate(mask=mask, presence=0.8)
    return [Judged(seen=seen, candidate=candidate, presence=0.8, malignancy=0.5, map=cam)]


@pytest.mark.parametrize(("row", "col"), [(0, 1), (1, 6), (5, 2), (6, 5), (3, 3)])
def test_each_cell_of_the_map_is_drawn_over_its_own_part_of_the_crop(row: int, col: int) -> None:
    cam = np.zeros((CAM, CAM), np.float32)
    cam[row, col] = 1.0
    lesions = made(cam)
    low, recombined = heatmaps_of(lesions[0].seen, lesions)
    assert (low.image_key, recombined.image_key) == ("low", "recombined")
    np.testing.assert_array_equal(low.values, recombined.values)
    assert low.values.shape == SHAPE  # 512 or less: not reduced
    # The crop is a square 5 mm beyond the longer side of the lesion, in its middle; the map divides it evenly.
    side = (LESION[2] - LESION[0]) + 2 * 5.0 / WORK_MM
    top, left = (LESION[0] + LESION[2]) / 2 - side / 2, (LESION[1] + LESION[3]) / 2 - side / 2
    expected = (top + (row + 0.5) * side / CAM, left + (col + 0.5) * side / CAM)
    peak = np.unravel_index(int(np.argmax(low.values)), SHAPE)
    assert abs(peak[0] + 0.5 - expected[0]) <= 2.0  # half a millimetre
    assert abs(peak[1] + 0.5 - expected[1]) <= 2.0


def test_a_map_is_as_strong_as_the_lesion_is_likely_and_malignant() -> None:
    lesions = made(np.ones((CAM, CAM), np.float32))
    values = heatmaps_of(lesions[0].seen, lesions)[0].values
    assert values.max() == pytest.approx(0.8 * 0.5, abs=0.01)
    assert values[0, 0] == 0.0
