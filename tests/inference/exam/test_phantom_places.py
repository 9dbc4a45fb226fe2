"""Truth of the places in a phantom's views, and of calcification terms; that adding them changed no pixel."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from inference.exam.phantom import PhantomExam, PhantomSpec, phantom_exam
from inference.exam.types import ViewImage
from inference.exam.view_frame import CHEST_WALL_EDGE, ViewFrame, WallLine, place_of, straight_line
from inference.results import CC_REGIONS, MLO_REGIONS
from resources.vocabulary import FindingType, Laterality, Pathology, Projection

# Of the generator before this truth was added: pixels (exam digest), then line integrals and contours.
BEFORE = [
    ({"seed": 11}, "fecc770cb590b7b7", "7b03ec8b88b4542a", FindingType.MASS, Pathology.MALIGNANT),
    ({"seed": 12}, "deea94a0fa086813", "b0fbd4e19b6e977a", FindingType.CALCIFICATION, Pathology.MALIGNANT),
    ({"seed": 13}, "de1569082a6464c4", "f720c4ba9c98335c", FindingType.CALCIFICATION, Pathology.BENIGN),
    ({"seed": 14}, "e51f001062ed36ac", "363f60e003bfff03", FindingType.MASS, Pathology.BENIGN),
    ({"seed": 15, "cesm": True}, "992ee3ac8bed93a7", "3ec977e84f834b28", None, Pathology.MALIGNANT),
    ({"seed": 16}, "3a24e0b60efe8c9c", "70b6fd7b19c13b0c", FindingType.DISTORTION, Pathology.MALIGNANT),
    (
        {"seed": 17, "lesions": 2},
        "cbf4f81eb135fbc4",
        "d90c9883e8cb6ef7",
        FindingType.ASYMMETRY,
        Pathology.MALIGNANT,
    ),
]


@pytest.mark.parametrize(("asked", "pixels", "rest", "finding", "pathology"), BEFORE)
def test_place_truth_changed_no_pixel_line_integral_or_contour_of_a_seed(
    asked: dict[str, int], pixels: str, rest: str, finding: FindingType | None, pathology: Pathology
) -> None:
    spec = PhantomSpec(pixel_mm=0.2, finding=finding, pathology=pathology, **asked)  # type: ignore[arg-type]
    exam = phantom_exam(spec)
    found = hashlib.sha256()
    for key in sorted(exam.line_integrals):
        found.update(exam.line_integrals[key].tobytes())
    for lesion in exam.lesions:
        for key in sorted(lesion.views):
            found.update(lesion.views[key].contour.tobytes())
    assert exam.exam.digest.startswith(pixels)
    assert found.hexdigest().startswith(rest)


def _exams(count: int, **asked: object) -> list[PhantomExam]:
    return [phantom_exam(PhantomSpec(seed=s, pixel_mm=0.5, **asked)) for s in range(count)]  # type: ignore[arg-type]


def _canonical(image: ViewImage, row: float, col: float) -> tuple[float, float]:
    """Stored pixel centre to the picture with the chest wall at column 0, by hand."""
    wall_right = (image.view.laterality is Laterality.RIGHT) != image.orientation.flip_cols
    return row, (image.pixels.shape[1] - 1 - col if wall_right else col)


def test_only_calcifications_have_morphology_and_only_masses_shape_and_margin() -> None:
    for finding in (FindingType.MASS, FindingType.CALCIFICATION, FindingType.ASYMMETRY):
        for exam in _exams(4, finding=finding, pathology=Pathology.MALIGNANT):
            for lesion in exam.lesions:
                calcified = lesion.finding is FindingType.CALCIFICATION
                assert bool(lesion.morphology) == bool(lesion.distribution) == calcified
                assert bool(lesion.shape) == bool(lesion.margin) == (lesion.finding is FindingType.MASS)


def test_linear_calcifications_are_long_towards_the_nipple_and_grouped_ones_are_not() -> None:
    ratio: dict[str, list[float]] = {"linear": [], "grouped": []}
    for exam in _exams(40, finding=FindingType.CALCIFICATION, pathology=Pathology.MALIGNANT):
        for lesion in exam.lesions:
            if lesion.finding is not FindingType.CALCIFICATION:
                continue  # a benign one of another type in the other breast
            if not lesion.malignant:
                assert (lesion.morphology, lesion.distribution) == ("round", "grouped")
                continue
            assert lesion.morphology == "fine pleomorphic"
            contours = [view.contour for view in lesion.views.values()]
            ratio[lesion.distribution] += [float(np.ptp(c[:, 1]) / np.ptp(c[:, 0])) for c in contours]
    assert len(ratio["linear"]) >= 20
    assert len(ratio["grouped"]) >= 20
    assert np.median(ratio["linear"]) > 1.6
    assert 0.8 < np.median(ratio["grouped"]) < 1.2


def test_the_pectoral_edge_lies_between_bright_muscle_and_darker_breast_in_every_mlo() -> None:
    for exam in _exams(6):
        for image in exam.exam.images:
            edge = exam.pectoral_edges[image.key]
            if image.view.projection is Projection.CC:
                assert edge.shape == (0, 2)
                continue
            middle = edge[len(edge) // 6 : len(edge) // 2]
            line = exam.line_integrals[image.key]
            wall = -1 if _canonical(image, 0, 0)[1] > 0 else 1  # columns grow away from the chest wall?
            reach = int(5 / 0.5)
            inside = [line[int(r), int(c) - wall * reach] for r, c in middle]
            before = [line[int(r), min(max(int(c) + wall * reach, 0), line.shape[1] - 1)] for r, c in middle]
            assert np.median(inside) > np.median(before) + 0.15


def test_depth_region_and_distance_follow_from_nipple_and_muscle_by_the_written_rule() -> None:
    regions: set[str] = set()
    for exam in _exams(25, pathology=Pathology.MALIGNANT):
        for lesion in exam.lesions:
            for image in exam.exam.images:
                if image.view.laterality is not lesion.laterality:
                    continue
                view = lesion.views[image.key]
                row, col = _canonical(image, *view.center)
                tip_row, tip_col = _canonical(image, *exam.nipples[image.key])
                away = 0.5 * np.hypot(row - tip_row, col - tip_col)
                assert view.nipple_distance_mm == pytest.approx(away, abs=0.01)
                allowed = CC_REGIONS if image.view.projection is Projection.CC else MLO_REGIONS
                assert view.region in allowed
                assert (view.region == "areola") == (away < 28)
                above = 0.5 * (tip_row - row)
                assert (view.region == "middle") == (away >= 28 and abs(above) <= 10)
                if image.view.projection is Projection.CC:
                    assert view.depth == pytest.approx(1 - col / tip_col, abs=1e-3)
                    if away >= 28 and abs(above) > 10:
                        assert view.region == ("outer" if above > 0 else "inner")
                else:
                    assert 0 <= view.depth <= 1
                    if view.region in {"upper", "axillary tail", "lower"}:
                        assert (view.region == "lower") == (above < 0)
                regions.add(view.region)
    assert {"upper", "lower", "outer", "inner", "areola", "middle"} <= regions


def test_upper_and_outer_in_the_views_agree_with_the_quadrant_in_the_breast() -> None:
    agree = []
    for exam in _exams(40, pathology=Pathology.MALIGNANT):
        for lesion in exam.lesions:
            for key, view in lesion.views.items():
                if lesion.quadrant == "central" or view.region in {"areola", "middle"}:
                    continue
                said = {"upper": "U", "axillary tail": "U", "lower": "L", "outer": "O", "inner": "I"}[
                    view.region
                ]
                # the oblique view sees lateral as up: only UO and LI are sure there
                if "CC" in key or lesion.quadrant in {"UO", "LI"}:
                    agree.append(said in lesion.quadrant)
    assert len(agree) > 40
    assert np.mean(agree) > 0.95


def test_a_frame_worked_by_hand_gives_depth_and_region() -> None:
    # 3-4-5 triangle: the muscle's line through (0, 50) and (200/3, 0) has the normal (0.6, 0.8)
    wall = WallLine(point=(0.0, 50.0), normal=(0.6, 0.8))
    frame = ViewFrame(projection=Projection.MLO, nipple=(100.0, 100.0), wall=wall, pixel_mm=1.0)
    assert frame.nipple_line_mm == pytest.approx(60 + 40)
    half = place_of(frame, 100 - 0.6 * 50, 100 - 0.8 * 50)
    assert (half.depth, half.region, half.above_mm) == (pytest.approx(0.5), "upper", pytest.approx(30))
    tail = place_of(frame, 100 - 0.6 * 90 - 0.8 * 60, 100 - 0.8 * 90 + 0.6 * 60)
    assert tail.above_mm == pytest.approx(102)
    assert tail.depth == pytest.approx(0.9)
    assert tail.region == "axillary tail"
    assert place_of(frame, 105.0, 60.0).region == "middle"
    assert place_of(frame, 130.0, 80.0).region == "lower"
    axial = ViewFrame(projection=Projection.CC, nipple=(100.0, 80.0), wall=CHEST_WALL_EDGE, pixel_mm=1.0)
    assert place_of(axial, 60.0, 20.0).region == "outer"
    assert place_of(axial, 60.0, 20.0).depth == pytest.approx(0.75)


def test_the_line_through_points_is_found_whatever_their_order() -> None:
    points = np.array([[0.0, 50.0], [40.0, 20.0], [20.0, 35.0]])
    line = straight_line(points)
    assert line.normal == (pytest.approx(0.6), pytest.approx(0.8))
    assert line.distance(40.0, 20.0) == pytest.approx(0.0, abs=1e-9)
    assert line.distance(100.0, 100.0) > 0
