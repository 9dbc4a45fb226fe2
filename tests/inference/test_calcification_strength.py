"""How strong the calcification ensemble's heat map is: as strong as each group is likely to be there and malignant."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from inference.calcification_engine import CalcificationEngine
from inference.preprocessing.calcification import prepare_view
from inference.registry import load_card
from inference.training.calcification_phantoms import group_view


def test_a_group_of_little_suspicion_lies_faintly_on_the_heat_map() -> None:
    """The same place and Grad-CAM: chance 0.5 and malignancy 0.4 are shown at 0.2 of a certain cancer's strength."""
    engine = CalcificationEngine(load_card("calcification-ensemble").folder, "cpu")
    view = prepare_view(group_view(2_000_041).image)
    groups = engine._groups(view)[:1]
    sure, faint = (
        engine._map(view, [replace(g, score=score, malignancy=malignancy) for g in groups]).values
        for score, malignancy in ((1.0, 1.0), (0.5, 0.4))
    )
    assert sure.max() > 0.3
    np.testing.assert_allclose(faint, 0.2 * sure, atol=1e-3)
