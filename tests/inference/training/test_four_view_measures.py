"""Figures of the four-view detector on cases small enough to count by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Orientation
from inference.preprocessing.four_view import PreparedView
from inference.preprocessing.layout import Placement
from inference.training.four_view_evaluation import (
    OutlineCheck,
    PhantomCase,
    PlaceCheck,
    blob_marks,
    image_result,
)
from inference.training.four_view_figures import Variant, compared, figures, outline_figures
from inference.training.four_view_measures import (
    ImageResult,
    Mark,
    Truth,
    incidental_marks,
    is_hit,
    malignancy_pairs,
    overlap,
    sensitivity,
    strict,
    summary,
    threshold_at,
)
from inference.training.four_view_reliability import uncalibrated
from resources.vocabulary import FindingType

MASS, CALC = FindingType.MASS, FindingType.CALCIFICATION


def _mark(row: float, col: float, score: float, malignancy: float = 0.5, size: float = 10.0) -> Mark:
    return Mark(box=(row, col, row + size, col + size), score=score, finding=MASS, malignancy=malignancy)


def _lesion(row: float, col: float, malignant: bool, finding: FindingType = MASS) -> Truth:
    return Truth(box=(row, col, row + 10, col + 10), finding=finding, malignant=malignant)


def _images() -> list[ImageResult]:
    return [
        ImageResult(
            case_id="a",
            lesions=(_lesion(0, 0, True), _lesion(50, 50, False, CALC)),
            marks=(_mark(1, 1, 0.9, 0.8), _mark(52, 50, 0.4, 0.3), _mark(80, 80, 0.6)),
        ),
        ImageResult(case_id="b", lesions=(_lesion(0, 0, False),), marks=(_mark(70, 0, 0.3),)),
    ]


def test_overlap_of_half_shifted_squares_is_one_third() -> None:
    assert overlap((0, 0, 10, 10), (0, 5, 10, 15)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 10, 10), (20, 20, 30, 30)) == 0.0


def test_a_large_mark_hits_by_its_centre_but_not_by_overlap() -> None:
    mark = Mark(box=(-20, -20, 30, 30), score=1.0, finding=MASS, malignancy=1.0)
    assert is_hit(mark, _lesion(0, 0, True), "centre")
    assert not is_hit(mark, _lesion(0, 0, True), "iou")  # 100 of 2500


def test_sensitivity_at_a_rate_counts_marks_from_the_threshold_upwards() -> None:
    images = _images()  # false marks 0.6 and 0.3 in two images
    assert sensitivity(images, threshold_at(images, 0.0))[0] == pytest.approx(1 / 3)  # only 0.9 is over 0.6
    assert sensitivity(images, threshold_at(images, 0.5))[0] == pytest.approx(2 / 3)
    assert threshold_at(images, 1.0) == 0.0
    assert sensitivity(images, 0.5, finding=CALC) == (0.0, 1)
    assert sensitivity(images, 0.5, malignant=True) == (1.0, 1)
    assert math.isnan(sensitivity(images, 0.5, finding=FindingType.DISTORTION)[0])


def test_a_mark_on_a_harmless_structure_is_neither_a_hit_nor_false_and_strictly_false() -> None:
    image = ImageResult(
        case_id="a",
        lesions=(_lesion(0, 0, False),),
        marks=(_mark(1, 1, 0.5), _mark(41, 41, 0.9), _mark(80, 80, 0.3)),
        incidental=(_lesion(40, 40, False, CALC),),
    )
    assert threshold_at([image], 0.0) == np.nextafter(0.3, 1.0)  # the mark of 0.9 is not false
    assert sensitivity([image], threshold_at([image], 0.0)) == (1.0, 1)  # nor a hit: one lesion, found by 0.5
    assert sensitivity(strict([image]), threshold_at(strict([image]), 0.0)) == (0.0, 1)
    assert incidental_marks([image], 0.5) == 1
    assert incidental_marks([image], 0.95) == 0


def test_a_mark_on_lesion_and_harmless_structure_alike_is_a_hit() -> None:
    image = ImageResult(
        case_id="a",
        lesions=(_lesion(0, 0, True),),
        marks=(_mark(0, 0, 0.9),),
        incidental=(_lesion(2, 2, False, CALC),),
    )
    assert sensitivity([image], 0.9) == (1.0, 1)
    assert incidental_marks([image], 0.0) == 0


def test_the_harmless_structures_of_a_phantom_reach_the_image_results() -> None:
    seeds = (s for s in range(40) if phantom_exam(PhantomSpec(seed=s, pixel_mm=0.6)).incidental)
    phantom = phantom_exam(PhantomSpec(seed=next(seeds), pixel_mm=0.6))
    found = [image_result(phantom, image.key, ()) for image in phantom.exam.images]
    told = sum(len(lesion.views) for lesion in phantom.incidental)
    assert told > 0
    assert sum(len(image.incidental) for image in found) == told


def test_outlines_are_compared_type_by_type_on_the_lesions_found() -> None:
    checks = [(MASS, 0.9, 0.8), (MASS, 0.7, 0.9), (MASS, 0.8, 0.85), (CALC, 0.5, 0.6)]
    case = replace(
        _cases()[0],
        outlines=tuple(OutlineCheck(finding=f, mask_head=m, picture=p) for f, m, p in checks),
    )
    assert outline_figures([case]) == {
        "mass": {"mask_head": 0.8, "picture": 0.85, "n": 3},
        "calcification": {"mask_head": 0.5, "picture": 0.6, "n": 1},
    }


def test_calibration_is_taken_back_exactly() -> None:
    raw = np.array([0.02, 0.3, 0.9])
    logit = 1.2 * np.log(raw / (1 - raw)) - 0.7
    np.testing.assert_allclose(uncalibrated(1 / (1 + np.exp(-logit)), (1.2, -0.7)), raw, rtol=1e-9)


def test_malignancy_is_judged_on_lesions_that_were_found() -> None:
    assert malignancy_pairs(_images()) == ([True, False], [0.8, 0.3])
    assert summary(_images())["malignancy_auc"] == 1.0


def test_paired_comparison_of_a_variant_with_itself_has_no_difference_and_a_worse_one_has() -> None:
    good = [
        (ImageResult(case_id=str(n), lesions=(_lesion(0, 0, True),), marks=(_mark(0, 0, 0.9),)),)
        for n in range(30)
    ]
    bad = [(ImageResult(case_id=str(n), lesions=(_lesion(0, 0, True),), marks=()),) for n in range(30)]
    same = compared([Variant(name="x", exams=tuple(good)), Variant(name="y", exams=tuple(good))], rounds=50)
    assert (same[0]["difference"], same[0]["lo"], same[0]["hi"]) == (0.0, None, None)
    worse = compared(
        [Variant(name="x", exams=tuple(good)), Variant(name="y", exams=(*good[:6], *bad[6:]))], rounds=50
    )
    assert worse[0]["difference"] == pytest.approx(24 / 30)
    assert worse[0]["lo"] > 0


def _cases() -> list[PhantomCase]:
    """Two exams of one image each: a cancer that is found, and a benign lesion that is not."""
    first = ImageResult(
        case_id="a", lesions=(_lesion(0, 0, True),), marks=(_mark(1, 1, 0.9, 0.8), _mark(60, 60, 0.2, 0.1))
    )
    second = ImageResult(case_id="b", lesions=(_lesion(0, 0, False, CALC),), marks=(_mark(1, 1, 0.1, 0.3),))
    return [
        PhantomCase(
            seed=number,
            images=(image,),
            blobs=(ImageResult(case_id=image.case_id, lesions=image.lesions, marks=()),),
            breasts=((number == 0, 0.9 - number / 2), (False, 0.2)),
            grey=((number == 0, 0.5), (False, 0.6)),
            seconds=1.0,
            places=(PlaceCheck(region_right=number == 0, depth_error=0.02 + 0.04 * number),),
            pairs=(True, False),
            wrong_pairs=number,
        )
        for number, image in enumerate((first, second))
    ]


def test_figures_of_two_exams_are_those_counted_by_hand() -> None:
    found = figures(_cases())
    assert found["at_0.2"]["centre"]["all"]["value"] == 0.5  # the false mark of 0.2 hides the benign lesion
    assert found["at_0.2"]["centre"]["mass malignant"] | {"lo": 0, "hi": 0} == {
        "value": 1.0,
        "lo": 0,
        "hi": 0,
        "n": 1,
    }
    assert found["froc"]["centre"]["all"]["0.5"] == 1.0
    assert found["at_0.2_blob_detector"]["all"]["value"] == 0.0
    assert found["breast_auc"]["value"] == 1.0
    assert found["breast_auc_mean_grey"]["value"] == pytest.approx(
        1 / 6, abs=1e-3
    )  # 0.5 ties one of three, loses to two
    assert found["malignancy_auc"]["value"] == 1.0
    assert found["region_right"] == {"value": 0.5, "n": 2}
    assert found["depth_error"]["mean"] == pytest.approx(0.04)
    assert found["pairs_right"] == {"value": 0.5, "n": 4, "wrong_pairs": 1}


def test_the_blob_baseline_marks_a_bright_disc() -> None:
    rows, cols = np.mgrid[0:128, 0:96]
    planes = np.full((3, 128, 96), 60, np.uint8)
    planes[0][(rows - 70) ** 2 + (cols - 40) ** 2 < 12**2] = 200
    view = PreparedView(
        image_key="L-CC",
        planes=planes,
        mask=np.ones((128, 96), bool),
        used_rows=128,
        placement=Placement(
            stored_shape=(128, 96), orientation=Orientation(), mirror=False, origin=(0.0, 0.0),
            extent=(128.0, 96.0), scale=(1.0, 1.0), offset=(0.0, 0.0), canvas_shape=(128, 96),
        ),
    )  # fmt: skip
    best = blob_marks(view)[0]
    assert abs((best.box[0] + best.box[2]) / 2 - 70) < 4
    assert abs((best.box[1] + best.box[3]) / 2 - 40) < 4
