"""Detections of a phantom exam get region, depth, nipple distance and their partner in the other view."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from inference.exam.phantom import PhantomExam, PhantomSpec, phantom_exam
from inference.lesion_places import describe, small_views
from inference.matching import Matcher, load_matcher, matching_weights
from inference.preprocessing.landmarks import find_landmarks, small_view
from inference.results import CC_REGIONS, MLO_REGIONS, Detection
from inference.training.places_data import load_views
from inference.training.places_inputs import respaced
from inference.training.places_matching import (
    breasts,
    fit_trees,
    matcher_score,
    matching_figures,
    nearest_score,
    pair_table,
)
from resources.vocabulary import FindingType, Pathology, Projection


@pytest.fixture(scope="module")
def exam() -> PhantomExam:
    return phantom_exam(
        PhantomSpec(
            seed=9_100_002,
            pixel_mm=0.3,
            lesions=2,
            pathology=Pathology.MALIGNANT,
            finding=FindingType.MASS,
        )
    )


@pytest.fixture(scope="module")
def matcher(tmp_path_factory: pytest.TempPathFactory) -> Matcher:
    """Trees from a handful of phantoms: enough to tell two lesions apart."""
    views = load_views(range(9_200_000, 9_200_010), tmp_path_factory.mktemp("places"))
    trees, _ = fit_trees(*pair_table(breasts(views, np.random.default_rng(0))))
    return Matcher(trees=trees, floor=0.05)


def _detections(exam: PhantomExam) -> list[Detection]:
    return [
        Detection(
            detection_id=f"{key}:{lesion.lesion_id}",
            image_key=key,
            box=view.box,
            score=0.9,
            finding=lesion.finding,
            malignancy=0.9 if lesion.malignant else 0.2,
        )
        for lesion in exam.lesions
        for key, view in lesion.views.items()
    ]


def test_each_detection_gets_its_place_in_words_of_its_projection(exam: PhantomExam) -> None:
    found = describe(exam.exam.images, _detections(exam), None)
    lesions = {x.lesion_id: x for x in exam.lesions}
    assert len(found.detections) == 2 * len(exam.lesions) >= 4
    for detection in found.detections:
        truth = lesions[detection.detection_id.rpartition(":")[2]].views[detection.image_key]
        assert detection.region in (CC_REGIONS if "CC" in detection.image_key else MLO_REGIONS)
        assert detection.depth == pytest.approx(truth.depth, abs=0.06)
        assert detection.nipple_distance_mm == pytest.approx(truth.nipple_distance_mm, abs=6.0)
        assert detection.group is None
        assert detection.match_probability is None
    assert set(found.nipples) == {image.key for image in exam.exam.images}


def test_the_two_views_of_a_lesion_share_a_group_and_two_lesions_do_not(
    exam: PhantomExam, matcher: Matcher
) -> None:
    found = describe(exam.exam.images, _detections(exam), matcher)
    groups: dict[str, list[Detection]] = {}
    for detection in found.detections:
        if detection.group is not None:
            groups.setdefault(detection.group, []).append(detection)
    assert groups
    for members in groups.values():
        assert len(members) == 2
        assert len({m.image_key for m in members}) == 2
        assert len({m.image_key[0] for m in members}) == 1, "a group stays in one breast"
        assert members[0].match_probability == members[1].match_probability
    right = [len({m.detection_id.rpartition(":")[2] for m in ms}) == 1 for ms in groups.values()]
    assert np.mean(right) >= 0.5


def test_a_lesion_with_nothing_in_the_other_view_stays_single(exam: PhantomExam, matcher: Matcher) -> None:
    only_cc = [d for d in _detections(exam) if "CC" in d.image_key]
    assert all(d.group is None for d in describe(exam.exam.images, only_cc, matcher).detections)
    images = [i for i in exam.exam.images if i.view.projection is Projection.CC]
    assert describe(images, only_cc, matcher).detections, "views may be missing"


def test_without_a_pixel_size_no_distance_is_said_but_region_and_depth_are(exam: PhantomExam) -> None:
    images = [replace(i, spacing=None) for i in exam.exam.images]
    for detection in describe(images, _detections(exam), None).detections:
        assert detection.nipple_distance_mm is None
        assert detection.region is not None
        assert detection.depth is not None


def test_with_a_pixel_size_four_times_too_large_no_false_distance_is_said(exam: PhantomExam) -> None:
    true = describe(exam.exam.images, _detections(exam), None).detections
    assert any(d.nipple_distance_mm is not None and d.nipple_distance_mm > 20 for d in true)
    wrong = [respaced(i, 4.0) for i in exam.exam.images]
    for detection, known in zip(describe(wrong, _detections(exam), None).detections, true, strict=True):
        assert detection.nipple_distance_mm is None
        assert detection.depth == pytest.approx(known.depth, abs=0.05)


def test_one_view_with_a_wrong_pixel_size_leaves_the_others_measured(exam: PhantomExam) -> None:
    images = [respaced(i, 4.0) if n == 0 else i for n, i in enumerate(exam.exam.images)]
    views = small_views(images)
    assert [views[i.key].measured for i in images] == [False, True, True, True]


def test_an_mlo_without_a_visible_muscle_is_said(exam: PhantomExam) -> None:
    image = next(i for i in exam.exam.images if i.view.projection is Projection.CC)
    as_mlo = replace(image, view=type(image.view)(image.view.laterality, Projection.MLO))
    found = describe([as_mlo], [], None)
    assert any("no pectoral muscle" in sentence for sentence in found.warnings)
    assert describe([image], [], None).warnings == ()


def test_the_shipped_trees_link_nearly_all_lesions_of_held_out_phantoms_despite_false_marks(
    tmp_path: Path,
) -> None:
    trees = load_matcher(safetensors.numpy.load_file(matching_weights()), prefix="")
    exams = load_views(range(9_250_000, 9_250_008), tmp_path)
    found = breasts(exams, np.random.default_rng(5))
    figures = matching_figures(found, matcher_score(trees), trees.floor)
    alone = matching_figures(found, nearest_score, 0.4)
    assert figures["lesions"] >= 20
    assert figures["lesions_right"] >= 0.8
    assert figures["lesions_right"] > alone["lesions_right"] + 0.1


def test_a_nipple_out_of_profile_is_said_once_and_only_where_a_lesion_needs_it(exam: PhantomExam) -> None:
    marks = {i.key: find_landmarks(small_view(i)) for i in exam.exam.images}
    hidden = {key: replace(mark, in_profile=False) for key, mark in marks.items()}
    detections = _detections(exam)
    said = describe(exam.exam.images, detections, None, landmarks=hidden).warnings
    assert sum("not seen in profile" in sentence for sentence in said) == 1
    side = detections[0].image_key[0]
    (sentence,) = [s for s in said if "not seen in profile" in s]
    labels = [i.view.label for i in exam.exam.images if i.key in {d.image_key for d in detections}]
    assert all(label in sentence for label in labels)
    assert side in sentence
    assert describe(exam.exam.images, [], None, landmarks=hidden).warnings == ()
