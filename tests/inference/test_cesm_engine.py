"""The contrast-mammography engine end to end: from DICOM files to outlined lesions and scores, untrained weights."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from inference.cesm_engine import CesmEngine
from inference.cesm_lesions import candidates, inner_breast, stored_box, stored_outline
from inference.engine import AiUnavailable, InferenceCancelled
from inference.exam.phantom import PhantomExam, PhantomSpec, phantom_exam
from inference.exam.types import Exam, InferenceError, exam_digest
from inference.lesions import GivenLesion, LesionEngine
from inference.model_card import file_sha256, write_card
from inference.models.crop_classifier import CropClassifier, CropConfig
from inference.models.lesion_segmenter import LesionSegmenter, SegmenterConfig
from inference.preprocessing.cesm import CESM_PAIR
from inference.training.cesm_data import stored_mask
from inference.worker import EngineSpec, make_engine
from resources.vocabulary import FindingType, ImageKind, Laterality, Pathology

SEGMENTER = SegmenterConfig(widths=(4, 6, 8, 10))
NETWORK = CropConfig(level=3, size=64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose segmenter answers with the recombined image's brightness, so that its marks are known."""
    made = tmp_path_factory.mktemp("cesm")
    torch.manual_seed(0)
    segmenter = LesionSegmenter(SEGMENTER)
    with torch.no_grad():
        for parameter in segmenter.parameters():
            parameter.zero_()
        segmenter.stem[0].weight[0, 1, 2, 2] = 1.0  # the recombined image, at half size, passed on unchanged
        segmenter.stem[1].weight.fill_(1.0)
        for block in (segmenter.down[0], segmenter.up[-1]):
            shift = 6 if block is segmenter.up[-1] else 0
            block[0].weight[0, shift, 1, 1] = 1.0
            block[3].weight[0, 0, 1, 1] = 1.0
            block[1].weight.fill_(1.0)
            block[4].weight.fill_(1.0)
        segmenter.head.weight[0, 0] = 60.0
        segmenter.head.bias.fill_(-33.0)
    state = {f"segmenter.{k}": v for k, v in segmenter.state_dict().items()}
    for member in range(2):
        torch.manual_seed(member)
        state |= {f"member{member}.{k}": v for k, v in CropClassifier(NETWORK).state_dict().items()}
    safetensors.torch.save_file(state, made / "weights.safetensors")
    write_card(
        made,
        {
            "schema_version": 1, "id": "cesm-test", "name": "test", "version": "0", "task": "test",
            "architecture": {
                "family": "cesm_cbam", "floor": 0.05,
                "network": asdict(NETWORK), "segmenter": json.loads(json.dumps(asdict(SEGMENTER))),
            },
            "inputs": ["pair"], "preprocessing": CESM_PAIR,
            "outputs": [{"name": "a", "unit": "1", "meaning": "b"}], "operating_points": [],
            "score_meaning": "none", "training_data": "none", "licence": "Apache-2.0", "known_limits": ["all"],
            "intended_use": "Research use only.",
            "weights": {"file": "weights.safetensors", "sha256": file_sha256(made / "weights.safetensors")},
        },
    )  # fmt: skip
    return made


@pytest.fixture(scope="module")
def phantom() -> PhantomExam:
    return phantom_exam(
        PhantomSpec(
            seed=8,
            cesm=True,
            pixel_mm=0.4,
            pathology=Pathology.MALIGNANT,
            finding=FindingType.MASS,
            lesions=1,
        )
    )


def _analyse(engine: CesmEngine, exam: Exam):  # type: ignore[no-untyped-def]
    return engine.analyse(exam, lambda _fraction, _text: None, lambda: False)


def test_the_card_makes_the_contrast_engine_and_it_scores_given_lesions(folder: Path) -> None:
    engine = make_engine(EngineSpec(model_folder=folder, device="cpu", floor=0.2))
    assert isinstance(engine, CesmEngine)
    assert isinstance(engine, LesionEngine)


def test_a_lesion_is_outlined_on_both_images_of_each_pair_in_stored_pixels(
    folder: Path, phantom: PhantomExam
) -> None:
    result = _analyse(CesmEngine(folder, "cpu"), phantom.exam)
    lesion = phantom.lesions[0]
    for key, truth in lesion.views.items():
        mine = [d for d in result.detections if d.image_key == key]
        hit = [
            d
            for d in mine
            if truth.box.row0 <= d.box.center[0] < truth.box.row1
            and truth.box.col0 <= d.box.center[1] < truth.box.col1
        ]
        assert hit, key
        assert len(hit[0].outline) > 5
        assert set(hit[0].energy_scores) == {"low", "recombined", "both"}
        assert hit[0].energy_scores["both"] == hit[0].malignancy
        rows = [r for r, _ in hit[0].outline]
        assert truth.box.row0 - 6 <= min(rows) and max(rows) <= truth.box.row1 + 6  # noqa: PT018
    keys = {d.image_key for d in result.detections}
    assert {k.rpartition("/")[2] for k in keys} == {"cesm_low", "cesm_recombined"}
    assert set(result.view_scores) == {image.key for image in phantom.exam.images}
    assert set(result.breast_scores) == set(Laterality)


def test_both_images_carry_the_map_and_it_lies_on_the_lesion(folder: Path, phantom: PhantomExam) -> None:
    result = _analyse(CesmEngine(folder, "cpu"), phantom.exam)
    assert len(result.heatmaps) == len(phantom.exam.images)
    by_key = {h.image_key: h.values for h in result.heatmaps}
    image = phantom.exam.images[0]
    other = image.key.replace("cesm_low", "cesm_recombined")
    np.testing.assert_array_equal(by_key[image.key], by_key[other])
    assert by_key[image.key].shape[0] / by_key[image.key].shape[1] == pytest.approx(
        image.pixels.shape[0] / image.pixels.shape[1], rel=0.01
    )


def test_a_given_lesion_gets_one_score_for_both_images_whatever_the_case_of_its_box(
    folder: Path, phantom: PhantomExam
) -> None:
    engine = CesmEngine(folder, "cpu")
    lesion = phantom.lesions[0]
    shapes = {image.key: image.pixels.shape for image in phantom.exam.images}
    given = [
        GivenLesion(
            lesion_id="L1",
            laterality=lesion.laterality,
            image_key=key,
            box=truth.box,
            finding=lesion.finding,
            mask=stored_mask(truth.contour, shapes[key]) if masked else None,
        )
        for key, truth in lesion.views.items()
        for masked in (True, False)
    ]
    scores = engine.score_lesions(phantom.exam, given, lambda _fraction, _text: None, lambda: False)
    assert len(scores) == len(given)
    for view in {s.view for s in scores}:
        for kind in (ImageKind.CESM_LOW, ImageKind.CESM_RECOMBINED):
            pair = [s.score for s in scores if s.view is view and s.kind is kind]
            assert len(pair) == 2
        low, recombined = (
            sorted(s.score for s in scores if s.view is view and s.kind is kind)
            for kind in (ImageKind.CESM_LOW, ImageKind.CESM_RECOMBINED)
        )
        assert low == pytest.approx(recombined)


def test_an_exam_without_a_pair_is_refused_in_one_sentence(folder: Path, phantom: PhantomExam) -> None:
    low = tuple(i for i in phantom.exam.images if i.kind is ImageKind.CESM_LOW)
    bare = replace(phantom.exam, images=low, digest=exam_digest(low))
    with pytest.raises(AiUnavailable, match="expected a low-energy and a recombined image"):
        _analyse(CesmEngine(folder, "cpu"), bare)


def test_one_pair_alone_is_read_and_the_rest_is_said_to_be_unread(folder: Path, phantom: PhantomExam) -> None:
    images = phantom.exam.images[:3]  # the third has no partner
    result = _analyse(
        CesmEngine(folder, "cpu"), replace(phantom.exam, images=images, digest=exam_digest(images))
    )
    assert set(result.unread) == {images[2].key}
    assert set(result.view_scores) == {images[0].key, images[1].key}


def test_the_analysis_stops_when_it_is_cancelled(folder: Path, phantom: PhantomExam) -> None:
    with pytest.raises(InferenceCancelled):
        CesmEngine(folder, "cpu").analyse(phantom.exam, lambda _fraction, _text: None, lambda: True)


def test_candidates_are_the_peaks_with_what_is_above_half_of_them(phantom: PhantomExam) -> None:
    from inference.exam.contrast import contrast_pairs
    from inference.preprocessing.cesm import prepare_pair

    pair = prepare_pair(contrast_pairs(phantom.exam.images)[0])
    inside = np.argwhere(pair.breast)
    row, col = inside.mean(axis=0)
    r, c = np.mgrid[: pair.low.shape[0], : pair.low.shape[1]]
    probability = (
        0.9 * ((r - row) ** 2 + (c - col) ** 2 < 40**2)
        + 0.3 * ((r - row - 120) ** 2 + (c - col) ** 2 < 25**2)
    ).astype(np.float32)
    found = candidates(pair, probability)
    assert [round(x.presence, 1) for x in found] == [0.9, 0.3]
    box = stored_box(pair, found[0].mask)
    assert box.center == pytest.approx(pair.to_stored(row + 0.5, col + 0.5), abs=1.0)
    assert box.row1 - box.row0 == pytest.approx(80 / pair.scale[0], abs=2.5)
    assert len(stored_outline(pair, found[0].mask)) > 8


def test_lesions_are_looked_for_under_the_skin_and_not_in_the_nipple() -> None:
    from inference.preprocessing.cesm import PreparedPair

    r, c = np.mgrid[:640, :480]
    body = ((r - 320) / 300.0) ** 2 + (c / 400.0) ** 2 < 1  # chest wall at the left edge
    nipple = (np.abs(r - 320) < 16) & (c < 430)  # 8 mm wide, stands out 7.5 mm
    grey = np.where(body | nipple, 128, 0).astype(np.uint8)
    pair = PreparedPair(
        low_key="L", recombined_key="R", low=grey, recombined=grey, breast=body | nipple, scale=(1.0, 1.0),
        stored_shape=grey.shape,
    )  # fmt: skip
    inner = inner_breast(pair) > 0
    assert not inner[:, 405:].any()
    assert inner[320, 0]
    assert inner[320, 372]  # 7 mm under the skin
    assert not inner[320, 392]  # 2 mm
    assert 0.75 < inner.sum() / body.sum() < 0.97


def test_a_blank_or_negative_pair_is_not_read_and_none_left_is_refused(
    folder: Path, phantom: PhantomExam
) -> None:
    low, recombined, *rest = phantom.exam.images
    assert low.view == recombined.view
    blank = replace(recombined, pixels=np.full_like(recombined.pixels, 1500))
    engine = CesmEngine(folder, "cpu")
    result = _analyse(engine, replace(phantom.exam, images=(low, blank, *rest)))
    assert set(result.unread) == {low.key, recombined.key}
    assert "blank" in result.unread[low.key]
    assert not any(d.image_key in result.unread for d in result.detections)
    negative = [
        replace(i, pixels=(i.pixels.max() - i.pixels).astype(i.pixels.dtype)) for i in phantom.exam.images
    ]
    with pytest.raises(InferenceError, match="found none"):
        _analyse(engine, replace(phantom.exam, images=tuple(negative)))
