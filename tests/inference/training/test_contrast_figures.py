"""Figures of the contrast model worked by hand: two small exams end to end, and which hand-made features stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from inference.models.crop_classifier import CropClassifier
from inference.training.cesm_baselines import selected
from inference.training.cesm_cases import CesmCase, FoundLesion, TrueLesion
from inference.training.cesm_evaluation import case_figures


class Brightness(nn.Module):
    """A network whose probability is the crop's mean grey."""

    def forward(self, crops: Tensor) -> Tensor:
        return torch.logit(crops.mean((1, 2, 3)))


def listed(side: str, name: str, malignant: bool) -> TrueLesion:
    return TrueLesion(
        side=side, view="CC", lesion_id=name, finding="mass", malignant=malignant, diameter_mm=10.0, enhancement=1.0
    )  # fmt: skip


def mark(side: str, presence: float, hits: str, dice: float, *, harmless: bool = False) -> FoundLesion:
    return FoundLesion(
        side=side, view="CC", group=f"{side}{presence}", presence=presence, hits=hits, harmless=harmless,
        dice=dice, malignancy=0.0,
    )  # fmt: skip


def crops(*probabilities: float) -> np.ndarray:
    greys = np.rint(np.array(probabilities) * 255).astype(np.uint8)
    return np.broadcast_to(greys[:, None, None, None], (len(greys), 3, 8, 8)).copy()


@pytest.fixture(scope="module")
def two_exams() -> list[CesmCase]:
    """In each a cancer right and a benign lesion left, in one view; B's cancer is missed.

    With true masks the cancers are judged 0.8 and 0.6, the benign ones 0.4 and 0.2; by the segmenter's masks
    the cancer that is found 0.6 and the benign ones 0.8 and 0.2.
    """
    a = CesmCase(
        case_id="A",
        cancer={"R": True, "L": False},
        lesions=(listed("R", "1", True), listed("L", "2", False)),
        found=(mark("R", 0.9, "1", 0.9), mark("L", 0.6, "2", 0.5), mark("L", 0.7, "", 0.0)),
        lesion_crops=crops(0.8, 0.4),
        found_crops=crops(0.6, 0.8, 0.4),
        picture_dice=(0.9, 0.3),
        views=2,
    )
    b = CesmCase(
        case_id="B",
        cancer={"R": True, "L": False},
        lesions=(listed("R", "1", True), listed("L", "2", False)),
        found=(mark("L", 0.5, "2", 0.8), mark("R", 0.95, "", 0.0, harmless=True)),
        lesion_crops=crops(0.6, 0.2),
        found_crops=crops(0.2, 0.2),
        picture_dice=(0.6, 0.4),
        views=2,
    )
    return [a, b]


@pytest.fixture(scope="module")
def figures(two_exams: list[CesmCase]) -> dict[str, dict[str, object]]:
    members: list[CropClassifier] = [Brightness()]  # type: ignore[list-item]
    return case_figures(two_exams, members, (1.0, 0.0), (1.0, 0.0))


def value(found: dict[str, dict[str, object]], part: str, name: str) -> object:
    entry = found[part][name]
    assert isinstance(entry, dict)
    return entry["value"]


def test_automatic_masks_lose_what_they_miss_and_misjudge(figures: dict[str, dict[str, object]]) -> None:
    assert value(figures, "masks", "true_mask") == 1.0  # 0.8 and 0.6 above 0.4 and 0.2
    # the missed cancer counts as 0: of 0.6 and 0 against 0.8 and 0.2 one pair of four is in order
    assert value(figures, "masks", "automatic_all") == 0.25
    assert value(figures, "masks", "loss_all") == 0.75
    assert (figures["masks"]["found"], figures["masks"]["lesions"]) == (3, 4)
    assert value(figures, "masks", "true_mask_found") == 1.0
    assert value(figures, "masks", "automatic_found") == 0.5  # 0.6 against 0.8 and 0.2
    assert value(figures, "masks", "loss_found") == 0.5


def test_lesions_are_found_at_the_false_marks_that_are_allowed(figures: dict[str, dict[str, object]]) -> None:
    froc = figures["froc"]
    assert (froc["n_lesions"], froc["n_malignant"]) == (4, 2)
    # Four pairs with one false mark of 0.7; the harmless structure of 0.95 counts as nothing. At 0.2 a pair none is
    # allowed: above 0.7 lies the first cancer alone. At 0.3 one is: all candidates count.
    assert [froc["all"][rate] for rate in ("0.2", "0.3")] == [0.25, 0.75]  # type: ignore[index]
    assert [froc["malignant"][rate] for rate in ("0.2", "0.3")] == [0.5, 0.5]  # type: ignore[index]
    assert [froc["benign"][rate] for rate in ("0.2", "0.3")] == [0.0, 1.0]  # type: ignore[index]
    assert figures["dice"] == {"pictures_median": 0.5, "found_median": 0.8, "pictures": 4, "found": 3}


def test_breasts_are_ranked_by_their_worst_lesion_of_the_views_asked(
    figures: dict[str, dict[str, object]],
) -> None:
    # R of A 0.9 * 0.6 = 0.54, of B 0.95 * 0.2 = 0.19; L of A the greater of 0.6 * 0.8 = 0.48 and 0.7 * 0.4 = 0.28, of
    # B 0.5 * 0.2 = 0.1: three of four pairs are in order. The MLO views hold no mark, so all breasts are alike there.
    assert value(figures, "breast", "fused") == value(figures, "breast", "CC") == 0.75
    assert value(figures, "breast", "MLO") == 0.5
    assert value(figures, "breast", "fused less MLO") == 0.25


def test_a_feature_must_pass_analysis_of_variance_and_lasso_both() -> None:
    """Of exactly orthogonal e and n, y + e tells the truth y; e only with it; y + e + n nothing beyond it.

    e is alike in both kinds (F = 0) and goes by analysis of variance, though LASSO would keep it, as y is the
    difference of the first two. y + e + n differs between the kinds (r = 0.58) but is never chosen by LASSO beside
    y + e: what the latter leaves unexplained has no part along n.
    """
    truth = np.arange(200) % 2 == 0
    free = np.random.default_rng(3).normal(size=(200, 2))
    basis = np.column_stack([np.ones(200), np.where(truth, 1.0, -1.0), free])
    y, e, n = (np.linalg.qr(basis)[0] * np.sqrt(200.0)).T[1:]
    y *= np.sign(y[0])
    table = np.column_stack([y + e, e, y + e + n])
    table /= table.std(axis=0)
    assert selected(["tells", "same in both", "adds nothing"], table, truth, 1) == [0]
