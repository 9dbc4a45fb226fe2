"""Film is treated as film: its outline without pale air and labels, and no evidence from muscle or film edge."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.preprocessing.breast import find_breast
from inference.preprocessing.film import counted_area, film_breast
from inference.preprocessing.pipeline import dib_mg_small_film, dib_mg_small_spots

Grey = NDArray[np.float32]


def _film(air: float) -> tuple[Grey, NDArray[np.bool_]]:
    """An oblique view on pale film with a label that leans on the breast, black where there is no film."""
    rows, cols = np.mgrid[0:600, 0:420].astype(np.float32)
    breast = ((rows - 300) / 240) ** 2 + (cols / 210) ** 2 < 1
    film = np.random.default_rng(1).normal(air, 0.004, rows.shape).astype(np.float32)
    film[breast] = 0.55
    film[(rows < 330 - 2.2 * cols) & breast] = 0.8  # the muscle
    film[62:125, 120:190] = np.where(breast[62:125, 120:190], film[62:125, 120:190], 1.0)
    film[70:118, 132:136] = 0.1  # a letter
    film[:, 330:] = 0.0
    return np.clip(film, 0, 1), breast


@pytest.mark.parametrize("air", [0.03, 0.12])
def test_mg18_outline_on_film_leaves_out_pale_air_and_a_label_on_the_breast(air: float) -> None:
    film, breast = _film(air)
    found = film_breast(film)
    assert found.found
    assert 2 * (found.mask & breast).sum() / (found.mask.sum() + breast.sum()) > 0.96
    label = np.zeros_like(breast)
    label[62:125, 120:190] = True
    assert (found.mask & label & ~breast).sum() < 0.15 * (label & ~breast).sum()
    assert (found.row1 - found.row0, found.col1) == (pytest.approx(480, abs=16), pytest.approx(210, abs=12))


def test_mg18_outline_begins_at_the_films_edge_and_not_in_the_black_before_it() -> None:
    film, _ = _film(0.03)
    before = 40  # columns of black that a scanner leaves; the film's edge itself is half lit
    film = np.hstack([np.zeros((600, before), np.float32), 0.6 * film[:, :1], film])[:, :420]
    found = film_breast(np.ascontiguousarray(film))
    assert before + 1 <= found.col0 <= before + 5
    assert not found.mask[:, : before + 1].any()


def test_mg18_a_film_without_air_or_picture_is_answered_as_ever() -> None:
    assert not film_breast(np.zeros((120, 80), np.float32)).found
    full = np.full((120, 80), 0.5, np.float32)
    assert film_breast(full).mask.shape == (120, 80)


def test_b_evidence_in_muscle_rim_and_film_edge_does_not_count() -> None:
    film, breast = _film(0.03)
    muscle = np.zeros_like(breast)
    rows, cols = np.mgrid[0:600, 0:420]
    muscle[(rows < 330 - 2.2 * cols) & breast] = True
    counted = counted_area(film, breast, 0.45, oblique=True)
    assert not (counted & ~breast).any()
    assert (counted & muscle).sum() < 0.12 * muscle.sum()
    assert not counted[:, :5].any()
    inner = cv2.erode((breast & ~muscle).astype(np.uint8), np.ones((41, 41), np.uint8)) > 0
    assert counted[inner].mean() > 0.97
    axial = counted_area(film, breast, 0.45, oblique=False)
    assert axial[muscle].mean() > 0.5  # a CC view is not searched for one


def test_b_digital_views_are_prepared_as_before() -> None:
    for image in phantom_exam(PhantomSpec(seed=5, pixel_mm=0.4)).exam.images[:2]:
        old, new = dib_mg_small_spots(image), dib_mg_small_film(image)
        np.testing.assert_array_equal(old.planes, new.planes)
        assert new.evidence_mask is None


@pytest.mark.data
def test_b_real_films_are_no_longer_taken_for_breast_as_a_whole(data_root: Path) -> None:
    folder = data_root / "mammograms" / "mias" / "images"
    # seen by eye: the breast fills about half of these films, whose air is pale
    for name, most in (("mdb059", 0.25), ("mdb122", 0.4), ("mdb221", 0.32), ("mdb287", 0.18)):
        grey = cv2.imread(str(folder / f"{name}.png"), cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255
        grey = np.ascontiguousarray(grey[:, ::-1]) if int(name[3:]) % 2 else grey
        old, new = find_breast(grey), film_breast(grey)
        assert new.found
        assert 0.05 < new.mask.mean() < most < old.mask.mean(), name
