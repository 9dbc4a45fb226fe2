"""What the contrast engine makes of its networks' answers: malignancy by image, and how views fuse to a breast."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import cast

import numpy as np
import pytest
import safetensors.torch
from torch import Tensor, nn

from inference.cesm_engine import CesmEngine
from inference.cesm_judged import Judged, Seen
from inference.cesm_lesions import Candidate
from inference.exam.contrast import ContrastPair
from inference.exam.types import Box
from inference.model_card import file_sha256, write_card
from inference.models.crop_classifier import CropClassifier, CropConfig
from inference.models.lesion_segmenter import LesionSegmenter, SegmenterConfig
from inference.preprocessing.cesm import CESM_PAIR, PreparedPair
from inference.results import Detection
from inference.training.cesm_cases import CesmCase, FoundLesion
from inference.training.cesm_evaluation import breast_scores

NETWORK = CropConfig(backbone="mobilenetv3_small_050", level=2, size=32, cbam=False)
SEGMENTER = SegmenterConfig(widths=(4, 4, 4, 4))
SHAPE = (300, 240)


class Weighed(nn.Module):
    """Logit = 4 times the mean of the low-energy channel, less 2 times that of the recombined one."""

    def __init__(self) -> None:
        super().__init__()
        self.config = NETWORK
        self.attention = nn.Identity()

    def forward(self, crops: Tensor) -> Tensor:
        seen: Tensor = self.attention(crops)
        means = seen.mean((2, 3))
        return 4.0 * means[:, 0] - 2.0 * means[:, 1]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> CesmEngine:
    """An engine of untrained networks and no calibration, so that scores can be worked by hand."""
    made = tmp_path_factory.mktemp("contrast")
    state = {f"segmenter.{k}": v for k, v in LesionSegmenter(SEGMENTER).state_dict().items()}
    state |= {f"member0.{k}": v for k, v in CropClassifier(NETWORK).state_dict().items()}
    safetensors.torch.save_file(state, made / "weights.safetensors")
    write_card(
        made,
        {
            "schema_version": 1, "id": "contrast-test", "name": "test", "version": "0", "task": "test",
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
    return CesmEngine(made, "cpu")


def pair_of_white() -> PreparedPair:
    white = np.full(SHAPE, 255, np.uint8)
    return PreparedPair(
        low_key="low", recombined_key="recombined", low=white, recombined=white, breast=np.ones(SHAPE, bool),
        scale=(1.0, 1.0), stored_shape=SHAPE,
    )  # fmt: skip


def test_malignancy_from_one_image_is_what_the_network_says_of_that_image(
    engine: CesmEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A white crop of both images has the logit 4 - 2 = 2; of the low-energy one alone 4, of the other alone -2."""
    monkeypatch.setattr(engine, "members", [Weighed()])
    found = np.zeros(SHAPE, np.float32)
    found[120:180, 90:150] = 0.9
    seen = Seen(images=cast(ContrastPair, None), pair=pair_of_white(), map=found)
    (lesion,) = engine.judged(seen)
    assert lesion.by_image["both"] == pytest.approx(0.8808, abs=1e-3)
    assert lesion.by_image["low"] == pytest.approx(0.9820, abs=1e-3)
    assert lesion.by_image["recombined"] == pytest.approx(0.1192, abs=1e-3)
    assert lesion.malignancy == lesion.by_image["both"]


# (group, view, chance that it is there, malignancy)
MARKS = [
    ("1", "CC", 0.9, 0.8),
    ("1", "MLO", 0.5, 0.4),  # with the first 0.9 * (0.8 + 0.4) / 2 = 0.54; its worst view alone would be 0.72
    ("2", "CC", 0.8, 0.5),  # 0.40
    ("", "MLO", 0.25, 0.96),  # in no group: 0.24
]


@pytest.mark.parametrize(("chosen", "expected"), [(MARKS, 0.54), (MARKS[2:], 0.40), (MARKS[3:], 0.24)])
def test_a_breast_is_its_worst_lesion_by_the_mean_of_its_views_in_engine_and_evaluation_alike(
    engine: CesmEngine, chosen: list[tuple[str, str, float, float]], expected: float
) -> None:
    seen = Seen(images=cast(ContrastPair, None), pair=pair_of_white(), map=np.zeros(SHAPE, np.float32))
    lesions, found = [], []
    for number, (group, view, presence, malignancy) in enumerate(chosen):
        detection = Detection(
            detection_id=f"{view}#{number}", image_key=view, box=Box(row0=0, col0=0, row1=9, col1=9),
            score=presence, finding=None, malignancy=malignancy, group=group,
        )  # fmt: skip
        lesion = Judged(
            seen=seen, candidate=Candidate(mask=np.ones(SHAPE, bool), presence=presence), presence=presence,
            malignancy=malignancy, map=np.zeros((0, 0), np.float32),
        )  # fmt: skip
        lesions.append((lesion, detection))
        found.append(
            FoundLesion(
                side="R", view=view, group=group or detection.detection_id, presence=presence, hits="",
                harmless=False, dice=0.0, malignancy=malignancy,
            )
        )  # fmt: skip
    none = np.zeros((0, 3, 8, 8), np.uint8)
    case = CesmCase(
        case_id="x", cancer={"R": True}, lesions=(), found=tuple(found), lesion_crops=none, found_crops=none
    )
    judged = np.array([malignancy for *_, malignancy in chosen])
    assert engine.breast_score(lesions) == pytest.approx(expected, abs=1e-6)
    assert breast_scores(case, judged, (1.0, 0.0)) == {"R": pytest.approx(expected, abs=1e-6)}


def test_a_breast_without_a_lesion_scores_nothing(engine: CesmEngine) -> None:
    assert engine.breast_score([]) == pytest.approx(0.0, abs=1e-5)
