"""Training data of places, the network of region and depth, the rule beside it, and the page's words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.view_frame import place_of
from inference.models.lesion_location import PLANE_SHAPE, LesionLocation, box_plane, locate, view_plane
from inference.results import CC_REGIONS, MLO_REGIONS
from inference.training.places_data import TrueView, load_views, places_spec, simulated_detections
from inference.training.places_inputs import MADE, input_rates
from inference.training.places_location import judged, location_figures, train_location
from inference.training.places_matching import breasts
from inference.training.places_page import document

SEEDS = range(9_500_000, 9_500_004)


@pytest.fixture(scope="module")
def exams(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[TrueView, ...]]:
    folder = tmp_path_factory.mktemp("cache")
    load_views(SEEDS, folder)
    return load_views(SEEDS, folder)  # the second time from the files


def test_truth_on_the_small_picture_is_the_phantoms_own(exams: list[tuple[TrueView, ...]]) -> None:
    phantom = phantom_exam(places_spec(SEEDS[0]))
    for item in exams[0]:
        truth = {
            x.lesion_id: x.views[item.view.image_key]
            for x in phantom.lesions
            if item.view.image_key in x.views
        }
        assert {x.lesion_id for x in item.lesions} == set(truth)
        for lesion in item.lesions:
            place = place_of(item.frame, *lesion.box.center)
            assert place.depth == pytest.approx(truth[lesion.lesion_id].depth, abs=0.04)


def test_simulated_detections_miss_add_and_jitter_but_keep_most(exams: list[tuple[TrueView, ...]]) -> None:
    rng = np.random.default_rng(0)
    true = found = false = 0
    for _ in range(20):
        for exam in exams:
            for item in exam:
                true += len(item.lesions)
                drawn = simulated_detections(item, rng)
                found += sum(t is not None for _, t in drawn)
                false += sum(t is None for _, t in drawn)
    assert 0.8 < found / true < 0.95
    assert 0.6 < false / (20 * 4 * len(exams)) < 1.0


def test_candidates_of_a_breast_know_their_true_pairs(exams: list[tuple[TrueView, ...]]) -> None:
    found = breasts(exams, np.random.default_rng(1), runs=2)
    assert len(found) == 2 * 2 * len(exams)
    for breast in found:
        for i, j in breast.pairs:
            assert breast.axial_truth[i] == breast.oblique_truth[j] is not None


def test_the_rule_places_held_out_lesions_and_boxes_anywhere(exams: list[tuple[TrueView, ...]]) -> None:
    figures = location_figures(judged(exams, None, np.random.default_rng(2)), "rule")
    assert figures["lesions region"] >= 0.75
    assert figures["lesions depth"] <= 0.05
    assert figures["anywhere depth"] <= 0.05


def test_the_network_takes_two_planes_is_small_and_learns_a_little(
    exams: list[tuple[TrueView, ...]], tmp_path: Path
) -> None:
    network = LesionLocation()
    oblique, axial, depth = network.eval()(torch.zeros(2, 2, *PLANE_SHAPE))
    assert oblique.shape == (2, len(MLO_REGIONS))
    assert axial.shape == (2, len(CC_REGIONS))
    assert depth.shape == (2, 2)
    trained = train_location(exams, epochs=2, batch=8)
    before, after = (
        location_figures(judged(exams, n, np.random.default_rng(3)), "network") for n in (network, trained)
    )
    assert after["anywhere depth"] < before["anywhere depth"]
    path = tmp_path / "location.safetensors"
    safetensors.torch.save_file(
        {k: v.half().contiguous() for k, v in trained.state_dict().items() if v.is_floating_point()}, path
    )
    assert path.stat().st_size < 1_000_000


def test_the_mask_plane_marks_the_box_and_answers_are_of_the_projection(
    exams: list[tuple[TrueView, ...]],
) -> None:
    item = next(i for exam in exams for i in exam if i.lesions)
    plane = box_plane(item.view, item.lesions[0].box)
    assert plane.shape == view_plane(item.view).shape == PLANE_SHAPE
    rows, cols = np.nonzero(plane)
    scale = item.view.pixel_mm / 3.0
    centre = np.array(item.lesions[0].box.center) * scale
    assert np.hypot(rows.mean() + 0.5 - centre[0], cols.mean() + 0.5 - centre[1]) < 1.0
    ((region, depth),) = locate(LesionLocation().eval(), item.view, [item.lesions[0].box])
    assert region in (CC_REGIONS if item.frame.projection.is_axial else MLO_REGIONS)
    assert 0.0 <= depth <= 1.0


def test_rates_of_input_checks_count_sound_and_faulty_images_apart() -> None:
    images = phantom_exam(PhantomSpec(seed=9_600_000, pixel_mm=0.5)).exam.images[:2]
    rates = input_rates({"two": images})["two"]
    assert rates["images"] == 2.0
    assert all(rates[f"caught {name}"] == 1.0 for name in MADE)
    assert not [key for key in rates if key.startswith("false") and rates[key]]


def test_the_page_says_its_figures_and_which_method_was_chosen() -> None:
    location = {
        f"{g} {k}": 0.9
        for g in ("lesions", "lesions CC", "lesions MLO", "anywhere")
        for k in ("region", "count")
    }
    depth = {f"{g} depth": 0.02 for g in ("lesions", "lesions CC", "lesions MLO", "anywhere")}
    match = {
        "lesions_right": 0.93,
        "links_right": 0.9,
        "candidates_right": 0.91,
        "lesions": 10.0,
        "candidates": 40.0,
        "floor": 0.1,
    }
    page = document(
        {
            "train_exams": 4,
            "test_exams": 2,
            "landmarks": dict.fromkeys(
                (
                    "views",
                    "nipple_median_mm",
                    "nipple_p95_mm",
                    "nipple_over_10_mm",
                    "muscle_seen",
                    "muscle_mean_mm",
                    "nipple_line_mean_mm",
                ),
                0.5,
            ),
            "location": {
                "rule": {**location, **depth},
                "network": {**location, **dict.fromkeys(depth, 0.04)},
            },
            "location_kb": 200,
            "matching_kb": 90,
            "matching": {"trees": match, "nipple distance alone": {**match, "lesions_right": 0.51}},
            "outlines": {"ellipse": {"mass": (0.8, 4)}},
            "inputs": {"phantoms": {"images": 4.0, "caught blank": 1.0}},
        }
    )
    for part in ("the rule is the default", "0.930", "0.510", "0.800 (4)", "100.0%"):
        assert part in page
