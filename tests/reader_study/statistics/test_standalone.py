"""AI against a group of readers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from reader_study.statistics.covariance import Covariance, estimates
from reader_study.statistics.obuchowski_rockette import Generalise, analyse
from reader_study.statistics.provenance import provenance_of
from reader_study.statistics.ratings import Ratings, StatisticsError
from reader_study.statistics.standalone import ai_against_readers


def _copied_ai(ratings: Ratings, ai: str) -> Ratings:
    """Two modalities: the readers, and the AI's scores once for each of them (the '2T' trick of older studies)."""
    at = ratings.readers.index(ai)
    others = [j for j in range(len(ratings.readers)) if j != at]
    scores = np.stack(
        [ratings.scores[0][others], np.repeat(ratings.scores[0][at : at + 1], len(others), axis=0)]
    )
    return replace(ratings, modalities=("readers", "AI"), readers=tuple(ratings.readers[j] for j in others), scores=scores)  # fmt: skip


@pytest.mark.data
@pytest.mark.parametrize("covariance", [Covariance.JACKKNIFE, Covariance.DELONG])
def test_rs_s14_one_modality_with_random_readers_equals_the_two_modality_analysis_of_copied_ai(
    vandyke, covariance
):
    ratings = vandyke("case")
    ratings = ratings.pick(modalities=ratings.modalities[:1])
    found = ai_against_readers(estimates(ratings, covariance=covariance), ratings.readers[0])
    other = analyse(estimates(_copied_ai(ratings, ratings.readers[0]), covariance=covariance))
    assert found.f == pytest.approx(other.test.statistic, rel=1e-9)
    assert found.difference.df == pytest.approx(other.test.df2, rel=1e-9)
    assert found.difference.p_value == pytest.approx(other.test.p_value, rel=1e-9)
    assert found.difference.lower == pytest.approx(other.differences[0].lower, rel=1e-9)
    assert "random readers, random cases" in found.provenance.sentence()


@pytest.mark.data
def test_rs_s14_with_fixed_cases_it_is_the_one_sample_t_test(vandyke):
    ratings = vandyke("case")
    ratings = ratings.pick(modalities=ratings.modalities[:1])
    values = estimates(ratings)
    found = ai_against_readers(values, ratings.readers[2], generalise=Generalise.READERS)
    want = stats.ttest_1samp(np.delete(values.values[0], 2), values.values[0, 2])
    assert found.difference.p_value == pytest.approx(want.pvalue)
    limits = want.confidence_interval(0.95)
    assert found.difference.lower + found.ai_value == pytest.approx(limits.low)
    assert found.readers_mean - found.ai_value == pytest.approx(found.difference.estimate)


@pytest.mark.data
def test_rs_s14_names_are_asked_for_and_rs_s11_analyses_name_their_making(vandyke):
    values = estimates(vandyke("case"))
    with pytest.raises(StatisticsError, match="name one"):
        ai_against_readers(values, values.readers[0])
    with pytest.raises(StatisticsError, match="found 'AI'"):
        ai_against_readers(values, "AI", modality=values.modalities[0])
    line = provenance_of(analyse(values), exclusions=["1 reader without training"]).sentence()
    for word in ("Obuchowski-Rockette", "jackknife", "Hillis", "5 readers", "114 cases", "1 reader without training", values.digest):  # fmt: skip
        assert word in line
