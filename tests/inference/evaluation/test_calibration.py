"""Calibration: scikit-learn's figures, known distortions found back, patients kept whole, plots that draw."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sk_log_loss

from inference.evaluation.calibration import (
    _folds,
    brier,
    choose,
    expected_calibration_error,
    fit,
    log_loss,
    logit,
    reliability_bins,
)
from inference.evaluation.reliability import reliability_plot


def data(
    n: int = 2000, slope: float = 2.5, shift: float = 1.0, seed: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.6, n)
    truth = rng.random(n) < 1 / (1 + np.exp(-z))
    return truth, 1 / (1 + np.exp(-(slope * z + shift)))


def test_brier_and_log_loss_equal_scikit_learn() -> None:
    truth, scores = data(300)
    assert brier(truth, scores) == pytest.approx(brier_score_loss(truth, scores))
    assert log_loss(truth, scores) == pytest.approx(sk_log_loss(truth, np.clip(scores, 1e-6, 1 - 1e-6)))


def test_platt_finds_the_distortion_back_and_agrees_with_logistic_regression() -> None:
    truth, scores = data(8000)
    made = fit("platt", truth, scores)
    assert made.slope == pytest.approx(1 / 2.5, abs=0.03)
    assert made.intercept == pytest.approx(-1 / 2.5, abs=0.06)
    plain = LogisticRegression(C=1e10).fit(logit(scores)[:, None], truth)  # without Platt's smoothed targets
    assert made.slope == pytest.approx(float(plain.coef_[0, 0]), rel=0.01)


def test_temperature_finds_a_pure_stretch_back() -> None:
    truth, scores = data(8000, slope=3.0, shift=0.0)
    assert fit("temperature", truth, scores).slope == pytest.approx(1 / 3, abs=0.02)


def test_isotonic_equals_scikit_learn_and_never_falls() -> None:
    truth, scores = data(400)
    scores = np.round(scores, 2)
    grid = np.linspace(0, 1, 201)
    mine = fit("isotonic", truth, scores).apply(grid)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(scores, truth).predict(grid)
    assert mine == pytest.approx(theirs, abs=1e-9)
    assert (np.diff(mine) >= -1e-12).all()


def test_a_distorted_score_is_mended_and_an_honest_one_is_not_made_worse() -> None:
    truth, scores = data(1200)
    choice = choose(truth, scores, np.arange(1200) // 2, seed=0)
    assert choice.calibration.method == "platt"
    assert choice.held_out["platt"]["log_loss"] < choice.held_out["none"]["log_loss"] - 0.05
    assert choice.held_out["platt"]["ece"] < choice.held_out["none"]["ece"] / 2
    honest, same = data(1200, slope=1.0, shift=0.0)
    kept = choose(honest, same, np.arange(1200), seed=0)
    assert kept.held_out[kept.calibration.method]["log_loss"] <= kept.held_out["none"]["log_loss"]


def test_folds_keep_a_patient_on_one_side() -> None:
    rng = np.random.default_rng(3)
    patients = rng.integers(0, 40, 200)
    truth = rng.random(200) < 0.3
    parts = _folds(truth, patients, rng, 5)
    for patient in np.unique(patients):
        assert len(set(parts[patients == patient].tolist())) == 1
    for k in range(5):
        assert truth[parts != k].any()
        assert not truth[parts != k].all()


def test_too_few_of_a_class_is_refused_with_a_sentence() -> None:
    with pytest.raises(ValueError, match="two or more patients with a positive"):
        choose(np.array([True, False, False]), np.array([0.5, 0.2, 0.1]), np.arange(3), seed=0)


def test_ece_and_bins_by_hand() -> None:
    truth = np.array([True, False, False, True])
    probability = np.array([0.95, 0.05, 0.05, 0.65])
    # 0.05 twice, 0 positive: gap 0.05; 0.65: gap 0.35; 0.95: gap 0.05
    assert expected_calibration_error(truth, probability) == pytest.approx((2 * 0.05 + 0.35 + 0.05) / 4)
    bins = reliability_bins(truth, probability)
    assert [b.count for b in bins] == [2, 1, 1]
    assert all(b.lo <= b.observed <= b.hi for b in bins)


def test_wilson_interval_equals_newcombes_published_figure() -> None:
    # Newcombe, Stat Med 1998;17:857, Table I: 81 of 263 -> 0.2553 to 0.3662
    truth = np.arange(263) < 81
    (found,) = reliability_bins(truth, np.full(263, 0.3))
    assert (round(found.lo, 4), round(found.hi, 4)) == (0.2553, 0.3662)


@pytest.mark.parametrize(("style", "ground"), [("dark", (0x16, 0x14, 0x12)), ("paper", (255, 255, 255))])
def test_reliability_plot_is_a_picture_in_the_ground_colour_of_its_style(
    tmp_path: Path, style: str, ground: tuple[int, int, int]
) -> None:
    truth, scores = data(200)
    path = reliability_plot(
        tmp_path / "plot.png", truth, scores, scores**0.5, style=style, title="t", method="platt"
    )
    picture = cv2.imread(str(path))
    assert picture is not None
    assert picture.shape[0] > 800
    assert tuple(int(v) for v in picture[2, 2]) == ground
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10
