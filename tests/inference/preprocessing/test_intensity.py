"""Greys under the first VOI, against values worked out by hand from PS3.3 C.11.2."""

from __future__ import annotations

import numpy as np
import pytest

from inference.exam.types import Presentation, Voi, VoiFunction
from inference.preprocessing.intensity import first_voi_table, voi_values


def _voi(function: VoiFunction, center: float, width: float) -> Voi:
    return Voi(label="x", function=function, center=center, width=width)


def test_mg15_linear_window_follows_the_standards_half_pixel_formula() -> None:
    values = voi_values(np.array([0.0, 1999.5, 2000.0, 4095.0]), _voi(VoiFunction.LINEAR, 2000, 1001))
    assert values == pytest.approx([0.0, 0.5, 0.5005, 1.0])


def test_mg15_sigmoid_is_half_at_its_centre_and_known_one_width_away() -> None:
    values = voi_values(np.array([2000.0, 2500.0]), _voi(VoiFunction.SIGMOID, 2000, 1000))
    assert values == pytest.approx([0.5, 1 / (1 + np.exp(-2.0))])


def test_mg16_table_clamps_below_and_above_its_ends() -> None:
    table = np.array([0, 100, 4095], dtype=np.uint16)
    voi = Voi(label="t", function=VoiFunction.TABLE, first_value=10, table=table, table_bits=12)
    values = voi_values(np.array([0.0, 10.0, 11.0, 12.0, 99.0]), voi)
    assert values == pytest.approx([0, 0, 100 / 4095, 1, 1])


def test_mg18_mg19_air_stays_black_when_the_image_is_inverted() -> None:
    voi = _voi(VoiFunction.LINEAR_EXACT, 2048, 4096)
    table = first_voi_table(Presentation(vois=(voi,), inverse=True, padding=(0, 30)))
    assert (table[:31] == 0).all()
    assert table[31] == pytest.approx(1 - 31 / 4096, abs=1e-6)
    assert table[4095] == pytest.approx(1 / 4096, abs=1e-6)
