"""AUC, FROC, pointing game: by hand, by another program's formula, by symmetry."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from inference.exam.types import Box
from inference.metrics import ImageMarks, bootstrap_interval, delong_auc, froc, pointing_hit, youden_threshold


def test_auc_by_hand_with_a_tie() -> None:
    truth = np.array([True, True, False, False])
    found = delong_auc(truth, np.array([3.0, 2.0, 2.0, 1.0]))
    assert found.value == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert (found.n_pos, found.n_neg) == (2, 2)


def test_delong_interval_equals_the_placement_values_written_out() -> None:
    rng = np.random.default_rng(3)
    truth = np.arange(60) % 3 == 0
    scores = np.round(rng.normal(truth * 0.9, 1.0), 1)
    x, y = scores[truth], scores[~truth]
    psi = (x[:, None] > y[None]) + 0.5 * (x[:, None] == y[None])
    variance = psi.mean(1).var(ddof=1) / len(x) + psi.mean(0).var(ddof=1) / len(y)
    found = delong_auc(truth, scores)
    assert found.value == pytest.approx(roc_auc_score(truth, scores))
    assert found.lo is not None
    assert found.value - found.lo == pytest.approx(1.959964 * np.sqrt(variance), rel=1e-5)


def test_reversed_scores_give_one_minus_auc() -> None:
    rng = np.random.default_rng(4)
    truth, scores = rng.random(50) < 0.4, rng.random(50)
    assert delong_auc(truth, -scores).value == pytest.approx(1 - delong_auc(truth, scores).value)


def test_delong_interval_covers_the_true_auc_about_95_percent_of_the_time() -> None:
    rng = np.random.default_rng(5)
    true_auc = 0.7602  # Phi(1 / sqrt 2)
    truth = np.arange(120) < 60
    covered = 0
    for _ in range(400):
        found = delong_auc(truth, rng.normal(truth * 1.0, 1.0))
        assert found.lo is not None
        assert found.hi is not None
        covered += found.lo <= true_auc <= found.hi
    assert 0.91 <= covered / 400 <= 0.985


def test_auc_without_negatives_is_refused() -> None:
    with pytest.raises(ValueError, match="found 2 and 0"):
        delong_auc(np.array([True, True]), np.array([1.0, 2.0]))


def test_froc_by_hand() -> None:
    lesion = Box(row0=0, col0=0, row1=10, col1=10)
    images = [
        ImageMarks(patient="a", lesions=(lesion,), marks=((5, 5, 0.9), (50, 50, 0.8))),
        ImageMarks(patient="b", lesions=(lesion,), marks=((5, 5, 0.3), (50, 50, 0.4))),
        ImageMarks(patient="c", lesions=(), marks=()),
        ImageMarks(patient="d", lesions=(lesion,), marks=((10, 5, 0.7),)),  # on the open edge: outside
    ]
    found = froc(images, rates=(0.0, 0.5, 0.75, 4.0))
    assert found == {
        0.0: pytest.approx(1 / 3),
        0.5: pytest.approx(1 / 3),
        0.75: pytest.approx(2 / 3),
        4.0: 2 / 3,
    }


def test_pointing_game_looks_at_the_highest_cell_in_image_pixels() -> None:
    values = np.zeros((4, 4), np.float32)
    values[1, 2] = 1.0  # centre at row 37.5, column 62.5 of a 100 x 100 image
    inside, beside = Box(row0=30, col0=60, row1=40, col1=65), Box(row0=60, col0=30, row1=65, col1=40)
    assert pointing_hit(values, [inside], (100, 100))
    assert not pointing_hit(values, [beside], (100, 100))


def test_bootstrap_draws_patients_whole() -> None:
    values = np.array([0.0, 0.0, 1.0, 1.0])
    seen: set[float] = set()

    def mean(index: np.ndarray) -> float:
        seen.add(float(values[index].mean()))
        return float(values[index].mean())

    lo, hi = bootstrap_interval(["a", "a", "b", "b"], mean, rng=np.random.default_rng(1))
    assert seen == {0.0, 0.5, 1.0}  # never 0.25: a patient's images stay together
    assert (lo, hi) == (0.0, 1.0)


def test_an_auc_of_one_or_nought_has_the_exact_bound_of_the_smaller_class() -> None:
    truth = np.arange(30) < 10
    best, worst = delong_auc(truth, truth * 1.0), delong_auc(truth, truth * -1.0)
    # Clopper and Pearson's limits of 10 of 10 and of 0 of 10 (published tables: 69.2 % and 30.8 %)
    exact = binomtest(10, 10).proportion_ci(0.95, "exact")
    assert (best.lo, best.hi) == (pytest.approx(exact.low), 1.0)
    assert best.lo == pytest.approx(0.692, abs=5e-4)
    assert (worst.lo, worst.hi) == (0.0, pytest.approx(0.308, abs=5e-4))
    alike = delong_auc(truth, np.ones(30))
    assert (alike.value, alike.lo, alike.hi) == (0.5, None, None)


def test_draws_that_are_all_alike_give_an_exact_bound_of_a_share_and_none_of_a_difference() -> None:
    women = [f"w{k}" for k in range(35)]
    rng = np.random.default_rng(0)
    lo, hi = bootstrap_interval(women, lambda index: 0.0, rng=rng, rounds=20, units=35)
    assert (lo, hi) == (0.0, pytest.approx(binomtest(0, 35).proportion_ci(0.95, "exact").high))
    assert bootstrap_interval(women, lambda index: 0.0, rng=rng, rounds=20) == (None, None)
    assert bootstrap_interval(women, lambda index: 0.4, rng=rng, rounds=20, units=35) == (None, None)


def test_youden_threshold_separates_what_can_be_separated() -> None:
    truth = np.array([False, False, True, True])
    assert youden_threshold(truth, np.array([0.1, 0.2, 0.6, 0.9])) == 0.6
