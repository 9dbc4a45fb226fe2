"""Areas under the curve of patients with several cases: DeLong's where there is one each, wider where they repeat."""

from __future__ import annotations

import numpy as np
import pytest

from inference.evaluation.clustered import clustered_auc, clustered_difference
from inference.evaluation.compare import paired_delong
from inference.metrics import delong_auc
from inference.training.model_page import prevalence_words

RNG = np.random.default_rng(4)
TRUTH = np.arange(40) % 2 == 0
FIRST, SECOND = (TRUTH * 1.0 + RNG.normal(0, 1, 40) for _ in range(2))
OWN = [str(n) for n in range(40)]


def test_one_case_a_patient_is_delong() -> None:
    found, known = clustered_auc(TRUTH, FIRST, OWN), delong_auc(TRUTH, FIRST)
    assert (found.value, found.lo, found.hi) == pytest.approx((known.value, known.lo, known.hi))
    gap, plain = clustered_difference(TRUTH, FIRST, SECOND, OWN), paired_delong(TRUTH, FIRST, SECOND)
    assert gap["lo"] == pytest.approx(plain["lo"])
    assert gap["p"] == pytest.approx(plain["p"])


def test_cases_told_three_times_are_worth_no_more_than_once() -> None:
    """The same patients with every case thrice: DeLong would make the interval narrower, patients do not."""
    thrice = np.repeat(np.arange(40), 3)
    found = clustered_auc(TRUTH[thrice], FIRST[thrice], [OWN[n] for n in thrice])
    once, wrong = delong_auc(TRUTH, FIRST), delong_auc(TRUTH[thrice], FIRST[thrice])
    assert (found.lo, found.hi) == pytest.approx((once.lo, once.hi))
    assert once.lo is not None
    assert wrong.lo is not None
    assert wrong.lo > once.lo + 0.02


def test_positives_and_negatives_of_a_patient_count_together_by_hand() -> None:
    """Two patients, each with a malignant and a benign lesion; scores 4 > 2 and 3 > 1, patient b's in the middle.

    Components: of the positives 4 and 2 (a has 4 and 3, b has 2 and 1): V10(4) = 1, V10(2) = 1/2; of the negatives
    V01(3) = 1/2, V01(1) = 1. Area 3/4. Patient a: 1 - 3/4 = 1/4 and 1/2 - 3/4 = -1/4; b: -1/4 and 1/4.
    S10 = S01 = 2 / (1 * 2) * (1/16 + 1/16) = 1/8, S11 = 2 / 1 * (-1/16 - 1/16) = -1/4; variance 1/16 + 1/16 - 1/8 = 0.
    Alone, without the negative covariance, it would be 1/8.
    """
    truth, scores = np.array([True, False, True, False]), np.array([4.0, 3.0, 2.0, 1.0])
    together = clustered_auc(truth, scores, ["a", "a", "b", "b"])
    assert together.value == 0.75
    assert together.lo is None  # no width to tell of
    apart = delong_auc(truth, scores)
    assert apart.lo == pytest.approx(0.75 - 1.959964 * np.sqrt(1 / 8))


def test_complete_separation_has_the_exact_bound_of_patients_not_of_lesions() -> None:
    truth = np.array([True] * 6 + [False] * 6)
    patients = ["a", "a", "b", "b", "c", "c", "d", "d", "e", "e", "f", "f"]
    found = clustered_auc(truth, np.arange(12.0)[::-1], patients)
    assert (found.value, found.hi) == (1.0, 1.0)
    assert found.lo == pytest.approx(0.025 ** (1 / 3))  # three patients of either kind


def test_predictive_value_falls_with_prevalence_by_bayes() -> None:
    said = prevalence_words(50, 50, 0.9, 0.9, "youden")
    assert "50%" in said
    assert "0.79" in said  # 0.27 / (0.27 + 0.07)
    assert "0.32" in said  # 0.045 / (0.045 + 0.095)
