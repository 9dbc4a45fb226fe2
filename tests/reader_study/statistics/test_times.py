"""Reading times: Wilcoxon and Hodges-Lehmann against R, the mixed model against lme4, statsmodels and a known truth."""

from __future__ import annotations

import csv
import itertools
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reader_study.statistics.mixed_model import fit_mixed
from reader_study.statistics.ratings import StatisticsError
from reader_study.statistics.signed_rank import hodges_lehmann, signed_rank
from reader_study.statistics.time_models import (
    LEARNING,
    ORDER,
    PERIOD,
    fit_log_times,
    with_and_without_flagged_models,
)
from reader_study.statistics.times import (
    Unit,
    compare_arms,
    compare_by_group,
    shapiro_wilk,
    summarise,
    times_from_rows,
    winsorised,
    with_and_without_flagged,
)

REFERENCE = "stats_reference.expected.json"
SMALL = st.lists(st.integers(-6, 6).map(float), min_size=2, max_size=9)


def uniforms(n, seed=20261):
    """Lehmer's generator, so that R can make the same numbers."""
    out, x = [], seed
    for _ in range(n):
        x = (16807 * x) % 2147483647
        out.append(x / 2147483647)
    return np.array(out)


def lehmer_times():
    """5 readers x 30 cases x 2 arms, crossover, one read in 25 flagged."""
    u = uniforms(5 + 30 + 10 + 300)
    readers, cases, both, rest = u[:5] - 0.5, u[5:35] - 0.5, u[35:45] - 0.5, u[45:] - 0.5
    rows, periods, positions = [], [], []
    for k, (j, c, a) in enumerate(itertools.product(range(5), range(30), range(2))):
        log = 4.4 + 1.1 * readers[j] + 0.9 * cases[c] + 0.3 * both[2 * j + a] + 1.0 * rest[k] - 0.2 * a
        rows.append((f"r{j}", f"c{c}", ("unaided", "aided")[a], float(np.exp(log)), k % 25 == 7))
        periods.append(1 if a == (j + c) % 2 else 2)
        positions.append((c * 7 + j) % 30 + 1)
    times = times_from_rows(rows, groups={"r0": "junior", "r1": "junior", "r2": "senior", "r3": "senior", "r4": "senior"})  # fmt: skip
    return replace(times, periods=np.array(periods), positions=np.array(positions))


@pytest.mark.data
def test_rs_m4_wilcoxon_and_hodges_lehmann_agree_with_r(expected):
    want = expected(REFERENCE)["wilcoxon_signed_rank"]
    found = signed_rank(np.array(want["x"]) - np.array(want["y"]))
    assert (found.statistic, found.exact) == (want["V"], True)
    assert found.p_value == pytest.approx(want["p_two_sided_exact"], rel=1e-12)
    assert found.p_greater == pytest.approx(want["p_greater_exact"], rel=1e-12)
    assert found.p_normal == pytest.approx(want["p_two_sided_normal_cc"], rel=1e-9)
    assert found.p_normal_uncorrected == pytest.approx(want["p_two_sided_normal_nocc"], rel=1e-9)
    assert found.estimate == pytest.approx(want["hodges_lehmann"], abs=1e-9)
    assert (found.lower, found.upper) == pytest.approx(want["ci95"], abs=1e-9)
    assert found.achieved_level >= 0.95


def test_rs_m4_many_tied_and_zero_differences_agree_with_r():
    # PROVENANCE: R 4.2.2, wilcox.test(x [, correct = FALSE]) and wilcox.test(y, conf.int = TRUE, exact = TRUE), 2026-11-21
    k = np.arange(1, 71)
    x = np.round(np.sin(k * 1.7) * 9 + np.cos(k.astype(float) ** 2 * 0.37) * 6 + 1.5)
    tied = signed_rank(x)
    assert (tied.statistic, tied.zeros, tied.exact) == (1393, 6, False)
    assert tied.p_value == pytest.approx(0.0182984538981321, rel=1e-12)
    assert tied.p_normal_uncorrected == pytest.approx(0.018134044599904, rel=1e-12)
    assert tied.estimate == pytest.approx(2.5)
    y = x + k * 1e-3 + 0.0005
    apart = signed_rank(y)
    assert (apart.statistic, apart.p_value) == (1686, pytest.approx(0.00952764996946288, rel=1e-12))
    assert (apart.estimate, apart.lower, apart.upper) == pytest.approx((2.5175, 0.5285, 4.0580), abs=1e-9)
    twenty = signed_rank(y[:20])
    assert (twenty.statistic, twenty.p_value) == (168, pytest.approx(0.017181396484375, rel=1e-12))
    assert (twenty.estimate, twenty.lower, twenty.upper) == pytest.approx((3.26325, 0.0185, 7.0100), abs=1e-9)


@pytest.mark.data
def test_rs_m4_shapiro_wilk_agrees_with_r(expected):
    for key in ("shapiro_wilk", "shapiro_wilk_mtcars"):
        want = expected(REFERENCE)[key]
        found = shapiro_wilk(np.array(want["x"], dtype=float))
        assert found.w == pytest.approx(want["W"], abs=1e-7)
        assert found.p_value == pytest.approx(want["p"], rel=1e-6)
    assert shapiro_wilk(np.array([2.0, 2.0, 2.0, 2.0])).p_value is None


@settings(max_examples=60, deadline=None)
@given(SMALL)
def test_rs_m4_exact_p_with_ties_and_zeros_equals_counting_all_signs(values):
    d = np.array(values)
    used = d[d != 0]
    found = signed_rank(d)
    ranks = stats.rankdata(np.abs(used))
    sums = np.array(
        [ranks[np.array(s, dtype=bool)].sum() for s in itertools.product((0, 1), repeat=len(used))]
    )
    v = ranks[used > 0].sum()
    want = min(1.0, 2 * min((sums >= v - 1e-9).mean(), (sums <= v + 1e-9).mean()))
    assert found.p_value == pytest.approx(want)
    assert found.zeros == int((d == 0).sum())
    assert signed_rank(-d).p_value == pytest.approx(found.p_value)


@settings(max_examples=60, deadline=None)
@given(SMALL, st.floats(-5, 5), st.floats(0.1, 10))
def test_rs_m4_hodges_lehmann_moves_and_stretches_with_the_data(values, shift, scale):
    d = np.array(values)
    estimate, lower, upper, _ = hodges_lehmann(d)
    moved = hodges_lehmann(d * scale + shift)
    assert lower <= estimate <= upper
    assert moved[:3] == pytest.approx([x * scale + shift for x in (estimate, lower, upper)], abs=1e-8)


def test_rs_m4_many_pairs_are_searched_and_few_are_listed_with_one_answer(monkeypatch):
    from reader_study.statistics import signed_rank as module

    d = np.round(np.random.default_rng(4).normal(3, 20, 400), 1)
    listed = hodges_lehmann(d)
    monkeypatch.setattr(module, "_ALL_AVERAGES_UP_TO", 10)
    assert hodges_lehmann(d) == pytest.approx(listed, abs=1e-6)


def test_rs_m4_two_readers_cannot_reach_significance_and_the_result_says_so():
    times = times_from_rows(
        (reader, f"c{k}", arm, 60.0 + k + 40 * (arm == "unaided"), False)
        for reader in ("s1", "s2")
        for k in range(20)
        for arm in ("unaided", "aided")
    )
    by_reader = compare_arms(times, "unaided", "aided", unit=Unit.READER)
    assert (by_reader.test.n, by_reader.test.p_value, by_reader.test.smallest_p) == (2, 0.5, 0.5)
    assert "cannot go below 0.5" in by_reader.test.note
    pooled = compare_arms(times, "unaided", "aided", unit=Unit.READ)
    assert pooled.test.p_value < 0.001
    assert "pooled over readers" in pooled.provenance.method
    assert pooled.test.estimate == pytest.approx(40.0)
    by_case = compare_arms(times, "unaided", "aided", unit=Unit.CASE)
    assert by_case.test.provenance.observations == 20
    assert pooled.first.text() == "109.5 (100-119)"


def test_rs_m3_flagged_pairs_are_counted_and_left_out_on_request():
    times = lehmer_times()
    everything, clean = with_and_without_flagged(times, "unaided", "aided", unit=Unit.READ)
    assert int(times.flagged.sum()) == 12
    assert everything.flagged_pairs == 12
    assert clean.test.provenance.observations == 150 - 12
    assert "12 pairs with a flagged read" in clean.provenance.sentence()
    one, two = with_and_without_flagged_models(times, reference="unaided")
    assert (one.fit.n, two.fit.n) == (300, 288)
    assert "12 flagged reads" in two.provenance.sentence()


def test_rs_m3_winsorising_draws_in_only_the_tails_of_each_arm():
    times = lehmer_times()
    drawn = winsorised(times, share=0.05)
    changed = drawn.seconds != times.seconds
    assert 0.05 < changed.mean() < 0.12
    for arm in ("unaided", "aided"):
        rows = np.array(times.arms) == arm
        want = stats.mstats.winsorize(times.seconds[rows], (0.05, 0.05))
        assert drawn.seconds[rows].min() == pytest.approx(want.min(), rel=0.05)


def test_rs_m4_tables_give_every_group_and_reader_its_median_and_range():
    times = lehmer_times()
    rows = {(row.label, row.arm): row for row in summarise(times)}
    assert len(rows) == 2 * (1 + 2 + 5)
    junior = rows["junior", "aided"]
    own = [s for s, r, a in zip(times.seconds, times.readers, times.arms, strict=True) if r in {"r0", "r1"} and a == "aided"]  # fmt: skip
    assert (junior.n, junior.median, junior.minimum, junior.maximum) == (
        60,
        np.median(own),
        min(own),
        max(own),
    )
    labels = [(c.label, c.unit) for c in compare_by_group(times, "unaided", "aided")]
    assert len(labels) == 9
    assert labels[0] == ("junior", Unit.READER)


# PROVENANCE: R 4.2.2, lme4 1.1-31, lmerTest 3.1-3, lmer(log(s) ~ arm + (1|reader) + (1|case) [+ (1|reader:arm)]) on
# lehmer_times(), 2026-11-21.
LME4 = {
    False: {
        "deviance": 198.0035748132, "estimate": -0.1802955087, "error": 0.0336737529, "df": 265.0000027884,
        "sds": (0.3167470676, 0.2408454934), "residual": 0.2916232546,
    },
    True: {
        "deviance": 195.2532902042, "estimate": -0.1802955087, "error": 0.0546715047, "df": 3.9999997967,
        "sds": (0.3130652830, 0.2412877231, 0.0686199986), "residual": 0.2879442324,
    },
}  # fmt: skip


@pytest.mark.parametrize("reader_by_arm", [False, True])
def test_rs_m4_log_time_model_agrees_with_lme4(reader_by_arm):
    want = LME4[reader_by_arm]
    found = fit_log_times(lehmer_times(), reference="unaided", reader_by_arm=reader_by_arm)
    effect = found.fit.effect("aided / unaided")
    assert found.fit.deviance == pytest.approx(want["deviance"], abs=1e-5)
    assert effect.estimate == pytest.approx(want["estimate"], abs=1e-7)
    assert effect.error == pytest.approx(want["error"], rel=2e-4)
    assert effect.df == pytest.approx(want["df"], rel=2e-3)
    assert list(found.sds.values()) == pytest.approx(want["sds"], rel=1e-3)
    assert found.residual_sd == pytest.approx(want["residual"], rel=1e-4)
    assert found.ratio("aided / unaided").ratio == pytest.approx(np.exp(effect.estimate))


def test_rs_m4_log_time_model_agrees_with_statsmodels():
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

    times = lehmer_times()
    y = np.log(times.seconds)
    arm = (np.array(times.arms) == "aided").astype(float)
    designs = [
        np.array(names)[:, None] == np.array(sorted(set(names))) for names in (times.readers, times.cases)
    ]
    spec = VCSpec(["reader", "case"], [[["x"] * d.shape[1]] for d in designs], [[d.astype(float)] for d in designs])  # fmt: skip
    model = MixedLM(
        y, np.column_stack([np.ones_like(y), arm]), groups=np.ones(len(y)), exog_re=None, exog_vc=spec
    )
    other = model.fit(reml=True)
    found = fit_log_times(times, reference="unaided")
    assert found.fit.effect("aided / unaided").estimate == pytest.approx(other.fe_params[1], abs=1e-6)
    assert found.fit.effect("aided / unaided").error == pytest.approx(other.bse_fe[1], rel=1e-3)
    assert [sd**2 for sd in found.sds.values()] == pytest.approx(other.vcomp, rel=5e-3)
    assert found.residual_sd**2 == pytest.approx(other.scale, rel=1e-3)


@pytest.mark.slow
def test_rs_m4_intervals_of_the_time_model_cover_a_simulated_truth():
    rng = np.random.default_rng(12)
    truth, hits, naive_hits, runs = np.log(0.8), 0, 0, 100
    for _ in range(runs):
        readers, cases, both = rng.normal(0, 0.3, 6), rng.normal(0, 0.25, 30), rng.normal(0, 0.12, (6, 2))
        rows = [
            (f"r{j}", f"c{k}", ("unaided", "aided")[a],
             float(np.exp(4.4 + readers[j] + cases[k] + both[j, a] + truth * a + rng.normal(0, 0.35))), False)
            for j in range(6) for k in range(30) for a in range(2)
        ]  # fmt: skip
        times = times_from_rows(rows)
        for by_arm in (True, False):
            effect = fit_log_times(times, reference="unaided", reader_by_arm=by_arm).fit.effects[1]
            inside = effect.lower <= truth <= effect.upper
            hits, naive_hits = (hits + inside, naive_hits) if by_arm else (hits, naive_hits + inside)
    assert stats.binomtest(hits, runs, 0.95).pvalue > 1e-3
    assert naive_hits < hits  # readers that differ in what the arm does to them are not in the plain model


def test_rs_r6_period_order_and_learning_effects_are_found_where_they_are():
    rng = np.random.default_rng(7)
    rows, periods, positions = [], [], []
    for j in range(8):
        place = rng.permutation(60)
        for k, a in itertools.product(range(60), range(2)):
            first = (j + k) % 2
            period = 1 if a == first else 2
            log = 4.5 + 0.1 * j - 0.25 * a - 0.15 * (period == 2) + 0.10 * (first == 1) - 0.05 * place[k] / 10
            rows.append(
                (f"r{j}", f"c{k}", ("unaided", "aided")[a], float(np.exp(log + rng.normal(0, 0.3))), False)
            )
            periods.append(period)
            positions.append(int(place[k]) + 1)
    times = replace(times_from_rows(rows), periods=np.array(periods), positions=np.array(positions))
    found = fit_log_times(times, reference="unaided", design_effects=True, level=0.999)
    for name, log in (("aided / unaided", -0.25), (PERIOD, -0.15), (ORDER, 0.10), (LEARNING, -0.05)):
        effect = found.ratio(name)
        assert effect.lower < np.exp(log) < effect.upper, name
        assert effect.p_value < 0.01, name


def test_rs_r6_a_design_that_cannot_tell_arm_from_period_says_so():
    times = lehmer_times()
    sequential = replace(times, periods=np.where(np.array(times.arms) == "aided", 2, 1))
    found = fit_log_times(sequential, reference="unaided", design_effects=True)
    assert {PERIOD, ORDER} <= set(found.fit.dropped)
    assert any(PERIOD in note and "cannot tell" in note for note in found.notes)


def test_rs_m4_one_reader_and_noiseless_times_are_handled_in_words():
    times = lehmer_times()
    alone = times.keep(np.array([reader == "r0" for reader in times.readers]))
    assert "reader" in fit_log_times(alone, reference="unaided").fit.dropped
    with pytest.raises(StatisticsError, match="perfect fit"):
        fit_mixed(np.ones(20), {}, {})
    with pytest.raises(StatisticsError, match="above 0"):
        times_from_rows([("r", "c", "a", 0.0, False)])
    with pytest.raises(StatisticsError, match="twice"):
        times_from_rows([("r", "c", "a", 1.0, False)] * 2)


def test_rs_m4_lme4_is_asked_itself_where_r_is_at_hand(tmp_path):
    if shutil.which("Rscript") is None:
        pytest.skip("not run: no R")
    times = lehmer_times()
    with (tmp_path / "t.csv").open("w", newline="") as stream:
        out = csv.writer(stream)
        out.writerow(["reader", "case", "arm", "s"])
        out.writerows(
            zip(times.readers, times.cases, times.arms, map(repr, times.seconds.tolist()), strict=True)
        )
    code = (
        "ok <- suppressMessages(require(lmerTest, quietly=TRUE)); if (!ok) quit(status=3);"
        "d <- read.csv('t.csv'); d$arm <- factor(d$arm, levels=c('unaided','aided'));"
        "for (f in c('', '+(1|reader:arm)')) {"
        "m <- lmer(as.formula(paste('log(s)~arm+(1|reader)+(1|case)', f)), data=d,"
        "control=lmerControl(optCtrl=list(xtol_rel=1e-10,ftol_abs=1e-12,xtol_abs=1e-10,ftol_rel=1e-14)));"
        "cat(sprintf('%.10f ', c(-2*logLik(m), coef(summary(m))[2,1:3], as.data.frame(VarCorr(m))$sdcor)), '\\n')}"
    )
    done = subprocess.run(["Rscript", "-e", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip("not run: no lmerTest in R")
    assert done.returncode == 0, done.stderr
    for by_arm, line in zip((False, True), done.stdout.splitlines(), strict=True):
        deviance, estimate, error, df, *_ = map(float, line.split())
        effect = fit_log_times(times, reference="unaided", reader_by_arm=by_arm).fit
        assert effect.deviance == pytest.approx(deviance, abs=1e-5)
        assert effect.effects[1].estimate == pytest.approx(estimate, abs=1e-7)
        assert effect.effects[1].error == pytest.approx(error, rel=2e-4)
        assert effect.effects[1].df == pytest.approx(df, rel=2e-3)
