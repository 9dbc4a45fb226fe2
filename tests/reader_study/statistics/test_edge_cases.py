"""Data that real studies bring and textbooks leave out: ties everywhere, one reader, nothing marked, equal arms.

Expected values follow from definitions, from symmetry (relabelling changes nothing, swapping arms changes a sign) or
from a direct count, never from an earlier run.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from reader_study.statistics import froc, localisation, roc, ustatistics
from reader_study.statistics.agreement import IccForm, fleiss_kappa, intraclass
from reader_study.statistics.bootstrap import bootstrap
from reader_study.statistics.covariance import Covariance, estimates
from reader_study.statistics.delong import unpaired_test
from reader_study.statistics.obuchowski_rockette import Claim, Generalise, Interval, analyse, claim_test
from reader_study.statistics.ratings import Floats, Ratings, StatisticsError
from reader_study.statistics.time_models import fit_log_times
from reader_study.statistics.times import times_from_rows


def _ratings(scores: Floats, truth: Floats, clusters: tuple[str, ...] | None = None) -> Ratings:
    arms, readers, cases = scores.shape
    return Ratings(
        modalities=tuple(f"arm {i}" for i in range(arms)),
        readers=tuple(f"reader {j}" for j in range(readers)),
        cases=tuple(f"case {k}" for k in range(cases)),
        truth=truth.astype(bool),
        scores=np.array(scores, dtype=np.float64),
        clusters=clusters,
    )


def _study(arms: int = 2, readers: int = 4) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(11)
    truth = np.r_[np.zeros(20), np.ones(15)]
    return np.round(rng.normal(size=(arms, readers, 35)) + truth, 1), truth


@pytest.mark.parametrize("covariance", list(Covariance))
@pytest.mark.parametrize("generalise", list(Generalise))
def test_rs_s3_equal_arms_are_refused_instead_of_tested_on_rounding_noise(covariance: Covariance, generalise: Generalise) -> None:  # fmt: skip
    scores, truth = _study(arms=1)
    same = estimates(_ratings(np.tile(scores, (2, 1, 1)), truth), covariance=covariance)
    with pytest.raises(StatisticsError, match="expected estimates that vary"):
        analyse(same, generalise)


@pytest.mark.parametrize("covariance", list(Covariance))
def test_rs_s3_order_of_readers_and_cases_changes_no_result_and_swapped_arms_change_the_sign(covariance: Covariance) -> None:  # fmt: skip
    scores, truth = _study(arms=3)
    rng = np.random.default_rng(5)
    readers, cases = rng.permutation(4), rng.permutation(35)
    for generalise in Generalise:
        plain = analyse(estimates(_ratings(scores, truth), covariance=covariance), generalise)
        mixed = analyse(
            estimates(_ratings(scores[:, readers][:, :, cases], truth[cases]), covariance=covariance),
            generalise,
        )
        swapped = analyse(estimates(_ratings(scores[[1, 0, 2]], truth), covariance=covariance), generalise)
        assert plain.test is not None
        assert mixed.test is not None
        assert swapped.test is not None
        assert mixed.test.p_value == pytest.approx(plain.test.p_value, rel=1e-9)
        assert swapped.test.p_value == pytest.approx(plain.test.p_value, rel=1e-9)
        assert swapped.differences[0].estimate == pytest.approx(-plain.differences[0].estimate, abs=1e-12)
        assert swapped.differences[0].lower == pytest.approx(-plain.differences[0].upper, abs=1e-12)


def test_rs_s6_u_statistics_do_not_change_with_order_scale_or_with_ratings_at_the_ends_of_the_number_range() -> None:  # fmt: skip
    scores, truth = _study()
    scores[np.random.default_rng(8).random(scores.shape) < 0.3] = np.nan
    plain = ustatistics.difference(_ratings(scores, truth), "arm 0", "arm 1")
    for other in (np.exp(scores), scores * 1e307, np.where(scores == np.nanmin(scores), -np.inf, scores)):
        found = ustatistics.difference(_ratings(other, truth), "arm 0", "arm 1")
        assert (found.estimate, found.variance) == pytest.approx((plain.estimate, plain.variance), rel=1e-9)
    back = ustatistics.difference(_ratings(scores[::-1, ::-1, ::-1], truth[::-1]), "arm 0", "arm 1")
    assert (back.estimate, back.variance) == pytest.approx((-plain.estimate, plain.variance), rel=1e-9)


def test_rs_s6_one_reader_or_one_case_of_a_truth_is_refused_by_the_u_statistics() -> None:
    scores, truth = _study()
    with pytest.raises(StatisticsError, match="two or more readers"):
        ustatistics.area(_ratings(scores[:, :1], truth), "arm 0")
    with pytest.raises(StatisticsError, match="two or more cases of each truth"):
        ustatistics.area(_ratings(scores[:, :, :21], truth[:21]), "arm 0")


def test_rs_s3_breasts_of_one_woman_are_left_out_together_and_other_methods_refuse_them() -> None:
    scores, truth = _study(arms=2, readers=2)
    women = tuple(f"woman {k // 2}" for k in range(35))
    data = _ratings(scores, truth, women)
    found = estimates(data)
    areas = np.array(  # the jackknife written out: one woman with both breasts left out at a time
        [
            [[roc.auc(np.delete(scores[i, j], own), np.delete(truth, own).astype(bool)) for j in range(2)] for i in range(2)]
            for own in (np.flatnonzero(np.array(women) == w) for w in dict.fromkeys(women))
        ]
    )  # fmt: skip
    n = len(areas)
    assert found.case_count == n == 18
    for i, j in product(range(2), range(2)):
        expected = (n - 1) ** 2 / n * areas[:, i, j].var(ddof=1)
        assert found.covariance[i, j, i, j] == pytest.approx(expected, rel=1e-9)
    with pytest.raises(StatisticsError, match="independent cases"):
        ustatistics.area(data, "arm 0")
    assert data.digest() != _ratings(scores, truth).digest()


def test_rs_s12_a_claim_without_variance_is_refused_and_its_direction_is_first_minus_second() -> None:
    flat = Interval(label="aided - unaided", estimate=0.0, error=0.0, df=None, lower=0.0, upper=0.0)
    with pytest.raises(StatisticsError, match="standard error above 0"):
        claim_test(flat, Claim.NON_INFERIORITY, margin=0.1)
    worse = Interval(label="aided - unaided", estimate=-0.08, error=0.01, df=None, lower=-0.1, upper=-0.06)
    better = Interval(label="unaided - aided", estimate=0.08, error=0.01, df=None, lower=0.06, upper=0.1)
    assert not claim_test(worse, Claim.NON_INFERIORITY, margin=0.05).shown  # bound -0.0996 is below -0.05
    assert claim_test(worse, Claim.NON_INFERIORITY, margin=0.1).shown
    assert claim_test(better, Claim.SUPERIORITY).shown


def test_rs_s2_two_perfect_separations_have_no_unpaired_test() -> None:
    x, truth = np.array([0.0, 0.0, 1.0, 1.0]), np.array([False, False, True, True])
    with pytest.raises(StatisticsError, match="no test can be made"):
        unpaired_test(x, truth, x, truth)


def test_rs_s8_cut_offs_between_the_largest_and_between_neighbouring_numbers_are_kept() -> None:
    big = np.array([1.0e308, 1.5e308, 1.7e308, 1.6e308])
    truth = np.array([False, False, True, True])
    assert roc.youden_point(big, truth)[0].youden == 1.0
    low = 0.1
    high = float(np.nextafter(low, 1))
    point, _ = roc.youden_point(np.array([low, low, high, high]), truth)
    assert point.youden == 1.0
    assert ((np.array([low, high]) >= point.threshold) == [False, True]).all()


def _froc(truth: list[tuple[str, str, float]], false: list[tuple[str, str, str, float]] | None = None) -> froc.FrocData:  # fmt: skip
    return froc.froc_from_rows(truth=truth, false_positives=false or [], true_positives=[], modalities=["a", "b"], readers=["x", "y"])  # fmt: skip


_FOUR = [("1", "0", 0.0), ("2", "0", 0.0), ("3", "1", 0.0), ("4", "1", 0.0)]


def test_rs_s5_a_study_without_any_mark_has_areas_of_one_half() -> None:
    for figure in (froc.FrocFigure.WAFROC, froc.FrocFigure.AFROC1, froc.FrocFigure.HR_AUC):
        assert (froc.froc_estimates(_froc(_FOUR), figure).values == 0.5).all()


@pytest.mark.parametrize("figure", list(froc.FrocFigure))
def test_rs_s5_one_case_of_a_kind_is_refused_by_every_free_response_figure(figure: froc.FrocFigure) -> None:
    with pytest.raises(StatisticsError, match="two or more cases"):
        froc.froc_estimates(_froc([("1", "0", 0.0), ("3", "1", 0.0), ("4", "1", 0.0)]), figure)


def test_rs_s5_marks_and_weights_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(StatisticsError, match="finite rating"):
        _froc(_FOUR, [("x", "a", "1", math.nan)])
    with pytest.raises(StatisticsError, match="sum to 1"):
        _froc([*_FOUR[:3], ("4", "1", math.nan)])


def test_rs_s5_another_order_of_arms_turns_the_sign_of_the_wafroc_difference() -> None:
    data = _froc(_FOUR, [("x", "a", "1", 3.0), ("y", "a", "2", 2.0)])
    turned = data.in_order(["b", "a"])
    one, two = (froc.froc_estimates(d).values for d in (data, turned))
    np.testing.assert_array_equal(one, two[::-1])
    assert (
        froc.froc_curve(turned, 1, 0).x[-1] == 0.25
    )  # one false mark on four cases, now under the second arm


def test_rs_l4_lesions_counted_by_view_may_have_weights_in_one_case_and_none_in_another() -> None:
    outlines = [
        localisation.Outline(case=case, lesion=lesion, view="R-CC", box=(0, 0, 9, 9), spacing_mm=(0.1, 0.1), weight=weight)
        for case, lesion, weight in (("3", "1", 0.25), ("3", "2", 0.75), ("4", "1", 0.0), ("4", "2", 0.0))
    ]  # fmt: skip
    rule = localisation.Rule(radius_mm=5.0, correspondence=localisation.Correspondence.VIEW)
    data, _ = localisation.froc_data([], outlines, rule, cases=["1", "2", "3", "4"], readers=["x"], modalities=["a"])  # fmt: skip
    assert data.lesion_weight.tolist() == [0.25, 0.75, 0.5, 0.5]


def test_rs_s9_full_agreement_of_several_raters_says_that_its_interval_has_no_width() -> None:
    found = fleiss_kappa(np.array([[3, 0], [0, 3], [3, 0]]))
    assert found.kappa == 1.0
    assert "no width" in found.note


def test_rs_s9_raters_who_differ_by_a_constant_are_consistent_but_do_not_agree_fully() -> None:
    found = {i.form: i.icc for i in intraclass(np.array([[1.0, 2.0], [2.0, 3.0], [4.0, 5.0]]))}
    # mean squares by hand: cases 14/3, raters 3/2, rest 0, within cases 1/2
    assert found[IccForm.ICC3_1] == 1.0
    assert found[IccForm.ICC1_1] == pytest.approx((14 / 3 - 0.5) / (14 / 3 + 0.5))
    assert found[IccForm.ICC2_1] == pytest.approx((14 / 3) / (14 / 3 + 2 * 1.5 / 3))


def test_rs_s1_a_bootstrap_with_one_case_of_a_truth_gives_no_corrected_interval() -> None:
    scores, truth = _study()
    found = bootstrap(_ratings(scores[:, :, :21], truth[:21]), np.random.default_rng(1), replicates=100)
    assert found.corrected is None


def test_rs_m4_one_reader_has_no_arm_effect_that_varies_between_readers() -> None:
    rng = np.random.default_rng(4)
    times = times_from_rows(
        [("r", f"c{k}", arm, float(20 + rng.random()), False) for k in range(12) for arm in "ab"]
    )
    with pytest.raises(StatisticsError, match="two or more readers"):
        fit_log_times(times, reference="b", reader_by_arm=True)
