"""Power and sample size against RJafroc, and the search model's scale factor."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from reader_study.statistics.covariance import estimates
from reader_study.statistics.dbm import dbm_components, pseudovalues
from reader_study.statistics.froc import FrocFigure, froc_estimates
from reader_study.statistics.obuchowski_rockette import Claim, Generalise
from reader_study.statistics.planning import (
    Pilot,
    cases_needed,
    pilot_from,
    pilot_from_correlations,
    power,
    power_dbm,
    readers_needed,
)
from reader_study.statistics.ratings import StatisticsError
from reader_study.statistics.search_model import SearchModel, predicted_areas, scale_factor

REFERENCE = "rjafroc_sample_size.expected.json"


@pytest.fixture(scope="session")
def pilot(vandyke):
    return pilot_from(estimates(vandyke("case")))


@pytest.mark.data
def test_rs_d5_power_with_random_readers_and_cases_agrees_with_rjafroc(pilot, expected):
    want = expected(REFERENCE)["vandyke_J10_K165_RRRC"]
    found = power(pilot, effect=want["effectSize"], readers=want["J"], cases=want["K"])
    assert found.power == pytest.approx(want["value"]["powerRRRC"], abs=1e-8)
    assert found.noncentrality == pytest.approx(want["value"]["ncpRRRC"], rel=1e-9)
    assert found.df2 == pytest.approx(want["value"]["df2RRRC"], rel=1e-9)
    assert found.critical == pytest.approx(want["value"]["fRRRC"], rel=1e-9)


@pytest.mark.data
def test_rs_d5_power_with_fixed_readers_or_cases_agrees_with_rjafroc(pilot, expected):
    want = expected(REFERENCE)["vandyke_J10_K131_FRRC"]
    found = power(pilot, effect=-0.043800322, readers=10, cases=131, generalise=Generalise.CASES)
    assert found.power == pytest.approx(want["value"]["powerFRRC"], abs=1e-10)
    assert found.noncentrality == pytest.approx(want["value"]["ncpFRRC"], rel=1e-9)
    assert (found.df2, found.critical) == (None, pytest.approx(want["value"]["chsqFRRC"], rel=1e-9))
    # RJafroc's own tests: 53 cases, fixed, give .80496663
    cases_fixed = power(pilot, effect=-0.043800322, readers=10, cases=53, generalise=Generalise.READERS)
    assert cases_fixed.power == pytest.approx(0.80496663, abs=5e-9)


@pytest.mark.data
def test_rs_d5_needed_cases_and_readers_agree_with_rjafroc(pilot, vandyke):
    effect = float(np.diff(estimates(vandyke("case")).values.mean(axis=1))[0])
    # RJafroc's own tests: J = 6 needs 251 cases, power .801; 111 cases give .5526116
    found = cases_needed(pilot, effect=effect, readers=6)
    assert (found.cases, round(found.power, 3)) == (251, 0.801)
    assert power(pilot, effect=effect, readers=6, cases=250).power < 0.8
    assert power(pilot, effect=effect, readers=6, cases=111).power == pytest.approx(0.5526116, abs=5e-8)
    assert readers_needed(pilot, effect=effect, cases=251).readers == 6


@pytest.mark.data
def test_rs_d5_froc_power_by_the_scale_factor_agrees_with_rjafroc(froc, expected):
    want = expected(REFERENCE)["froc_dataset04"]
    data = froc("rjafroc_ds04_federica_froc")
    two = data.modalities[:2]
    roc = pilot_from(estimates(data.highest().pick(modalities=two)))
    all_five = froc_estimates(data, FrocFigure.WAFROC)
    wafroc = pilot_from(
        replace(
            all_five, modalities=two, values=all_five.values[:2],
            covariance=all_five.covariance[:2, :, :2, :], shares_cases=all_five.shares_cases[:2, :, :2, :],
        )
    )  # fmt: skip
    effect = want["effectSizeROC"]  # 5 readers, 100 cases
    assert power(roc, effect=effect, readers=5, cases=100).power == pytest.approx(want["powerRoc"], abs=1e-8)
    found = power(wafroc, effect=effect * want["scaleFactor"], readers=5, cases=100)
    assert found.power == pytest.approx(want["powerFroc"], abs=1e-8)


@pytest.mark.data
def test_rs_d5_scale_factor_of_the_search_model_agrees_with_rjafroc(froc, expected):
    want = expected(REFERENCE)["froc_dataset04"]
    data = froc("rjafroc_ds04_federica_froc")
    sizes = np.unique(data.lesion_case, return_counts=True)[1]
    lesions = {int(n): float((sizes == n).mean()) for n in np.unique(sizes)}
    assert lesions == {1: 0.69, 2: 0.2, 3: 0.11}
    model = SearchModel(mu=want["mu"], false_regions=want["lambda"], found=want["nu"])
    found = scale_factor(model, lesions)
    assert found.factor == pytest.approx(want["scaleFactor"], rel=1e-6)  # its integrals are good to 1e-6
    assert found.r_squared == pytest.approx(want["R2"], abs=1e-8)


def test_rs_d5_search_model_areas_agree_with_simulated_readers():
    rng = np.random.default_rng(3)
    model, n = SearchModel(mu=2.0, false_regions=1.2, found=0.7), 60_000

    def highest(counts, shift):
        out = np.full(len(counts), -np.inf)
        for k in range(counts.max()):
            out = np.where(counts > k, np.maximum(out, rng.normal(shift, 1, len(counts))), out)
        return out

    lesions = rng.choice([1, 2], n, p=[0.8, 0.2])
    healthy = highest(rng.poisson(1.2, n), 0.0)
    found = rng.binomial(lesions, 0.7)
    ill = np.maximum(highest(rng.poisson(1.2, n), 0.0), highest(found, 2.0))
    roc = np.mean(ill > healthy) + np.mean(ill == healthy) / 2
    single = np.where(rng.random(n) < 0.7, rng.normal(2, 1, n), -np.inf)
    wafroc = np.mean(single > healthy) + np.mean(single == healthy) / 2
    want = predicted_areas(model, {1: 0.8, 2: 0.2})
    assert (roc, wafroc) == pytest.approx(want, abs=0.008)


@pytest.mark.data
def test_rs_d5_the_2004_formula_is_kept_and_differs_where_it_should(vandyke):
    from reader_study.statistics.covariance import _units, _without
    from reader_study.statistics.roc import auc

    ratings = vandyke("case")
    base = estimates(ratings)
    left_out = np.array([_without(ratings, unit, auc, base.values) for unit in _units(ratings, None)])
    parts = dbm_components(pseudovalues(base.values, left_out))
    # RJafroc's own tests: for VanDyke the two agree to 1e-8 (no component is negative)
    found = power_dbm(parts, effect=-0.043800322, readers=10, cases=165)
    assert found.power == pytest.approx(0.805419947, abs=1e-8)
    assert power_dbm(parts, effect=0.04, readers=5, cases=100, generalise=Generalise.CASES).df2 == 99


def test_rs_d5_no_effect_has_the_level_as_power_and_power_grows_with_everything():
    pilot = pilot_from_correlations(modality_by_reader=2e-4, error=8e-4, r1=0.43, r2=0.43, r3=0.3, cases=114)
    for generalise in Generalise:
        assert power(pilot, effect=0.0, readers=6, cases=100, generalise=generalise).power == pytest.approx(0.05)  # fmt: skip
        steps = [
            power(pilot, effect=e, readers=j, cases=k, generalise=generalise).power
            for e, j, k in ((0.03, 6, 100), (0.04, 6, 100), (0.04, 8, 100), (0.04, 8, 200))
        ]
        assert steps == sorted(steps)
        mirrored = power(pilot, effect=-0.03, readers=6, cases=100, generalise=generalise)
        assert mirrored.power == pytest.approx(steps[0])


def test_rs_d5_superiority_is_the_upper_half_of_the_two_sided_test_and_margins_help():
    pilot = Pilot(modality_by_reader=2e-4, error=8e-4, cov1=3.4e-4, cov2=3.4e-4, cov3=2.4e-4, cases=114)
    two_sided = power(pilot, effect=0.04, readers=10, cases=165)
    one_sided = power(pilot, effect=0.04, readers=10, cases=165, claim=Claim.SUPERIORITY)
    assert one_sided.power == pytest.approx(two_sided.power, abs=1e-4)  # the far tail adds next to nothing
    t = math.sqrt(two_sided.critical)
    assert one_sided.critical == pytest.approx(t)
    margin = power(pilot, effect=0.0, readers=10, cases=165, claim=Claim.NON_INFERIORITY, margin=0.04)
    assert margin.power == pytest.approx(one_sided.power)
    assert power(pilot, effect=-0.04, readers=10, cases=165, claim=Claim.SUPERIORITY).power < 0.001
    fixed = power(
        pilot, effect=0.04, readers=10, cases=165, claim=Claim.SUPERIORITY, generalise=Generalise.CASES
    )
    assert fixed.power == pytest.approx(stats.norm.sf(1.959964 - math.sqrt(fixed.noncentrality)), abs=1e-6)


def test_rs_d5_the_planner_refuses_in_words_what_cannot_be_reached():
    pilot = Pilot(modality_by_reader=5e-3, error=8e-4, cov1=3e-4, cov2=3e-4, cov3=2e-4, cases=114)
    with pytest.raises(StatisticsError, match="add readers"):
        cases_needed(pilot, effect=0.02, readers=3)
    with pytest.raises(StatisticsError, match="margin above 0"):
        power(pilot, effect=0.0, readers=3, cases=100, claim=Claim.NON_INFERIORITY)
    with pytest.raises(StatisticsError, match="two or more readers"):
        power(pilot, effect=0.02, readers=1, cases=100)
    with pytest.raises(StatisticsError, match="sum to 1"):
        predicted_areas(SearchModel(mu=1.0, false_regions=1.0, found=0.5), {1: 0.5})
