"""The calcification ensemble's thresholds come from validation views, and the test views have no say in them."""

from __future__ import annotations

import numpy as np
import pytest

from inference.models.calcification import Answers
from inference.training.calcification_data import STORED_PX, Crops
from inference.training.calcification_evaluation import Judged, own_thresholds, table


def groups(malignant: list[float], benign: list[float]) -> Judged:
    """Given groups with these chances of malignancy by one member, each of a view of its own."""
    count = len(malignant) + len(benign)
    crops = Crops(
        pixels=np.zeros((count, 3, STORED_PX, STORED_PX), np.uint8),
        kind=np.array([1] * len(malignant) + [0] * len(benign)),
        given=np.ones(count, bool),
        strength=np.ones(count, np.float32),
        features=np.zeros((count, 3), np.float32),
        case=np.arange(count),
        views=count,
    )
    said = np.array([malignant + benign])
    return Judged(crops=crops, said=Answers(group=said, malignant=said))


def test_the_threshold_of_calcifications_is_that_of_validation_views_whatever_the_test_views_are() -> None:
    """Validation: Youden's point is 0.9, settled half way on odds to 0.5, that is odds 3, 0.75.

    Of the test groups 0.8 alone is called at 0.75: one malignant of three, no benign one of four. The test views'
    own point, 0.6, would call all three.
    """
    validation = groups([0.9, 0.95, 0.97], [0.5, 0.3, 0.2])
    test = groups([0.6, 0.7, 0.8], [0.1, 0.2, 0.3, 0.4])
    rows = table(["one"], own_thresholds(["one"], validation), test, np.random.default_rng(0))
    assert [row["name"] for row in rows] == ["one", "ensemble"]
    for row in rows:
        assert row["threshold"] == pytest.approx(0.75, abs=1e-4)
        assert row["sensitivity"]["value"] == pytest.approx(1 / 3, abs=1e-4)
        assert row["specificity"]["value"] == 1.0
        assert row["auc"]["value"] == 1.0
