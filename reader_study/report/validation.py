"""Recomputes published and reference-program results and sets them beside ours: the validation table.

The data lie outside of the program (their licences differ); the command names the folder. No result is computed here.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reader_study.report.dbm_from_covariance import dbm_from
from reader_study.statistics.agreement import Weighting, cohen_kappa, fleiss_kappa
from reader_study.statistics.covariance import Covariance, Sensitivity, Specificity, estimates
from reader_study.statistics.delong import auc_interval, paired_test, unpaired_test
from reader_study.statistics.froc import FrocFigure, froc_estimates, froc_from_rows
from reader_study.statistics.obuchowski_rockette import Generalise, OrAnalysis, analyse
from reader_study.statistics.planning import cases_needed, pilot_from, power
from reader_study.statistics.proportions import compare_categories, fisher_exact, mcnemar, proportion
from reader_study.statistics.ratings import Ratings, StatisticsError, ratings_from_rows
from reader_study.statistics.roc import youden_point
from reader_study.statistics.signed_rank import signed_rank
from reader_study.statistics.times import shapiro_wilk
from reader_study.statistics.ustatistics import DfRule, Moments, UResult, area, difference
from resources.files import read_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One number: what the reference says, what we say, and how far apart they may be (of the larger of 1 and it)."""

    name: str
    reference: str
    expected: float
    actual: float
    tolerance: float

    @property
    def difference(self) -> float:
        return abs(self.actual - self.expected)

    @property
    def passed(self) -> bool:
        return self.difference <= self.tolerance * max(1.0, abs(self.expected))


def validate(folder: Path) -> Iterator[Check]:
    """All checks that the data in ``folder`` (the one with ``vandyke.csv``) allow.

    Raises
    ------
    StatisticsError
        The folder does not hold the data.
    """
    if not (folder / "vandyke.csv").is_file():
        raise StatisticsError(f"{folder}: expected vandyke.csv and the other validation data, found none; name their folder.")  # fmt: skip
    for part in (_vandyke, _imrmc, _viper, _marks, _delong, _power, _simple):
        yield from part(folder)


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))
    except OSError as error:
        raise StatisticsError(f"{path}: expected validation data, found none ({error.strerror}).") from error


def _json(path: Path) -> Any:
    return read_json(path)


def _c(name: str, reference: str, expected: float, actual: float, tolerance: float = 1e-6) -> Check:
    return Check(name=name, reference=reference, expected=float(expected), actual=float(actual), tolerance=tolerance)  # fmt: skip


def _van_dyke_ratings(folder: Path, case: str = "case") -> Ratings:
    return ratings_from_rows((r["reader"], r["treatment"], r[case], int(r["truth"]), float(r["rating"])) for r in _rows(folder / "vandyke.csv"))  # fmt: skip


def _or_checks(name: str, want: dict[str, Any], found: OrAnalysis, program: str) -> Iterator[Check]:
    test, gap = want["test_equality"][0], want["test_diffs"][0]
    assert found.test is not None
    yield _c(f"{name}: {found.test.name}", program, test[found.test.name], found.test.statistic)
    if found.test.df2 is not None:
        yield _c(f"{name}: df2", program, test["df2"], found.test.df2)
    yield _c(f"{name}: p", program, test["p-value"], found.test.p_value)
    yield _c(f"{name}: standard error", program, gap["StdErr"], found.differences[0].error)
    yield _c(f"{name}: 95 % lower", program, gap["CI.Lower"], found.differences[0].lower)
    if want["vcov"]:
        yield _c(f"{name}: Cov2", program, want["vcov"]["Cov2"]["Estimate"], found.components.cov2)


def _vandyke(folder: Path) -> Iterator[Check]:
    want = _json(folder / "vandyke.expected.json")["results"]
    data = _van_dyke_ratings(folder)
    jackknife = estimates(data)
    program = "MRMCaov"
    runs: tuple[tuple[str, Callable[[], OrAnalysis]], ...] = (
        ("RRRC_jackknife", lambda: analyse(jackknife)),
        ("RRRC_DeLong", lambda: analyse(estimates(data, covariance=Covariance.DELONG))),
        ("RRRC_unbiased", lambda: analyse(estimates(data, covariance=Covariance.UNBIASED))),
        ("FRRC_jackknife", lambda: analyse(jackknife, Generalise.CASES)),
        ("RRFC", lambda: analyse(jackknife, Generalise.READERS)),
        ("binary_sens_ge3", lambda: analyse(estimates(data, figure=Sensitivity(3), name="sensitivity"))),
        ("binary_spec_ge3", lambda: analyse(estimates(data, figure=Specificity(3), name="specificity"))),
    )
    for key, run in runs:
        yield from _or_checks(f"VanDyke {key}", want[key], run(), program)
    random = analyse(jackknife)
    assert random.test is not None
    parts = dbm_from(jackknife).mean_squares
    both = parts["TR"] + max(parts["TC"] - parts["TRC"], 0.0)
    yield _c("VanDyke DBM = OR: F", "identity", random.test.statistic, parts["T"] / both, 1e-9)
    for rule, key in ((Moments.U_STATISTIC, "iMRMC_Ustat"), (Moments.MLE, "iMRMC_MLE")):
        for row in want[key]["rows"]:
            names = {"m1": "1", "m2": "2", "1": "1", "2": "2"}
            yield from _u_checks(f"VanDyke {key}", row, data, names, rule)


def _u_checks(name: str, row: dict[str, Any], data: Ratings, names: dict[str, str], moments: Moments, tolerance: float = 1e-8) -> Iterator[Check]:  # fmt: skip
    first = names.get(row["modalityA"], row["modalityA"])
    found: UResult
    if row["AUCB"] is None:
        found = area(data, first, moments=moments, rule=DfRule.IMRMC)
        want = row["AUCA"], row["varAUCA"]
    else:
        found = difference(data, first, names.get(row["modalityB"], row["modalityB"]), moments=moments, rule=DfRule.IMRMC)  # fmt: skip
        want = row["AUCAminusAUCB"], row["varAUCAminusAUCB"]
    yield _c(f"{name} {found.label}: estimate", "iMRMC", want[0], found.estimate, tolerance)
    yield _c(f"{name} {found.label}: variance", "iMRMC", want[1], found.variance, 1e-9)


def _imrmc(folder: Path) -> Iterator[Check]:
    rows = _rows(folder / "imrmc_example.csv")
    truth = {r["caseID"]: int(float(r["score"])) for r in rows if r["readerID"] == "truth"}
    data = ratings_from_rows((r["readerID"], r["modalityID"], r["caseID"], truth[r["caseID"]], float(r["score"])) for r in rows if r["readerID"] != "truth")  # fmt: skip
    want = _json(folder / "imrmc_example.expected.json")
    for key, moments in (("Ustat", Moments.U_STATISTIC), ("MLE", Moments.MLE)):
        for row in want[key]:
            yield from _u_checks(f"iMRMC example {key}", row, data, {}, moments)


def _viper(folder: Path) -> Iterator[Check]:
    rows = _rows(folder / "viper_obs.csv")
    for name, study in _json(folder / "viper.expected.json")["substudies"].items():
        data = ratings_from_rows(
            ((r["reader"], r["modality"], r["case"], int(r["truth"]), float(r["score"])) for r in rows if r["substudy"] == name),
            modality_order=["FFDM", "SFM"],
        )  # fmt: skip
        for row in study["auc"]:
            yield from _u_checks(f"VIPER {name}", row, data, {}, Moments.U_STATISTIC)


def _marks(folder: Path) -> Iterator[Check]:
    for stem in ("rjafroc_ds01_tony_froc", "rjafroc_ds04_federica_froc"):
        truth, fp, tp = (_rows(folder / f"{stem}.{part}.csv") for part in ("truth", "fp", "tp"))
        data = froc_from_rows(
            truth=((r["case"], r["lesion_id"], float(r["weight"])) for r in truth),
            false_positives=((r["reader"], r["treatment"], r["case"], float(r["rating"])) for r in fp),
            true_positives=((r["reader"], r["treatment"], r["case"], r["lesion_id"], float(r["rating"])) for r in tp),
            modalities=sorted({r["treatment"] for r in fp}), readers=sorted({r["reader"] for r in fp}),
        )  # fmt: skip
        want = _json(folder / f"{stem}.expected.json")["results"]
        short = stem.split("_")[1]
        for figure in (FrocFigure.WAFROC, FrocFigure.AFROC, FrocFigure.WAFROC1, FrocFigure.AFROC1, FrocFigure.HR_AUC):  # fmt: skip
            found = froc_estimates(data, figure)
            row = want[f"OR_{figure.value}_jackknife"]
            test = analyse(found).test
            fixed = analyse(found, Generalise.CASES).test
            assert test is not None
            assert fixed is not None
            name = f"{short} {figure.value}"
            yield _c(f"{name}: F", "RJafroc", row["RRRC"]["FTests"]["Treatment"]["FStat"], test.statistic)
            yield _c(f"{name}: p", "RJafroc", row["RRRC"]["FTests"]["Treatment"]["p"], test.p_value)
            yield _c(f"{name}: df2", "RJafroc", row["RRRC"]["FTests"]["Error"]["DF"], test.df2 or math.nan)
            yield _c(f"{name}: X2, fixed readers", "RJafroc", row["FRRC"]["FTests"]["Treatment"]["Chisq"], fixed.statistic)  # fmt: skip


def _delong(folder: Path) -> Iterator[Check]:
    rows = _rows(folder / "asah.csv")
    truth = np.array([r["outcome"] == "Poor" for r in rows])
    scores = {k: np.array([float(r[k]) for r in rows]) for k in ("wfns", "s100b", "ndka")}
    want = _json(folder / "asah.expected.json")
    for name, row in want["per_marker"].items():
        found = auc_interval(scores[name], truth)
        yield _c(f"aSAH {name}: AUC", "pROC", row["auc"], found.auc, 1e-8)
        yield _c(f"aSAH {name}: DeLong variance", "pROC", row["var_delong"], found.variance, 1e-8)
        best, _ = youden_point(scores[name], truth)
        yield _c(f"aSAH {name}: Youden's J", "pROC", row["youden_best"][0]["youden"] - 1, best.youden, 1e-8)
    for row in want["pairs"]:
        a, b = (scores[name] for name in row["pair"].split())
        yield _c(f"aSAH {row['pair']}: Z, paired", "pROC", row["Z"], paired_test(a, b, truth).statistic, 1e-8)
        yield _c(f"aSAH {row['pair']}: D, unpaired", "pROC", row["unpaired_D"], unpaired_test(a, truth, b, truth).statistic, 1e-8)  # fmt: skip


def _power(folder: Path) -> Iterator[Check]:
    want = _json(folder / "rjafroc_sample_size.expected.json")
    pilot = pilot_from(estimates(_van_dyke_ratings(folder)))
    one = want["vandyke_J10_K165_RRRC"]
    found = power(pilot, effect=one["effectSize"], readers=one["J"], cases=one["K"])
    yield _c("power, VanDyke, 10 readers, 165 cases", "RJafroc", one["value"]["powerRRRC"], found.power, 1e-8)
    yield _c("power, VanDyke: df2", "RJafroc", one["value"]["df2RRRC"], found.df2 or math.nan, 1e-8)
    two = want["vandyke_J10_K131_FRRC"]["value"]
    fixed = power(pilot, effect=-0.043800322, readers=10, cases=131, generalise=Generalise.CASES)
    yield _c("power, VanDyke, fixed readers", "RJafroc", two["powerFRRC"], fixed.power, 1e-8)
    yield _c("cases needed by 6 readers, VanDyke", "RJafroc", 251, cases_needed(pilot, effect=-0.043800322, readers=6).cases, 0)  # fmt: skip


def _simple(folder: Path) -> Iterator[Check]:
    want = _json(folder / "stats_reference.expected.json")
    one = want["wilcoxon_signed_rank"]
    found = signed_rank(np.array(one["x"]) - np.array(one["y"]))
    yield _c("Wilcoxon: V", "R", one["V"], found.statistic, 1e-9)
    yield _c("Wilcoxon: exact p", "R", one["p_two_sided_exact"], found.p_value, 1e-9)
    yield _c("Wilcoxon: Hodges-Lehmann", "R", one["hodges_lehmann"], found.estimate, 1e-9)
    for key in ("shapiro_wilk", "shapiro_wilk_mtcars"):
        normal = shapiro_wilk(np.array(want[key]["x"], dtype=float))
        yield _c(f"{key}: W", "R", want[key]["W"], normal.w or math.nan)
    table = want["mcnemar"]["table"]
    yield _c("McNemar: exact p", "R", want["mcnemar"]["exact_p"], mcnemar(table[0][1], table[1][0]).p_exact)
    small = want["mcnemar_small_exact"]
    yield _c("McNemar, small: exact p", "R", small["p"], mcnemar(small["b"], small["c"]).p_exact)
    square = compare_categories(np.array(want["chi_square"]["table"], dtype=float))
    yield _c("chi-square: X2", "R", want["chi_square"]["X2"], square.statistic or math.nan)
    for key, p in (("fisher_tea", "p_two_sided"), ("fisher_job", "p")):
        yield _c(f"{key}: p", "R", want[key][p], fisher_exact(np.array(want[key]["table"], dtype=float)))
    for row in want["proportion_ci_newcombe1998"]:
        share = proportion(row["x"], row["n"])
        assert share.wilson is not None
        assert share.clopper_pearson is not None
        for side in (0, 1):
            yield _c(f"Wilson {row['x']}/{row['n']}", "Newcombe 1998", row["wilson"][side], share.wilson[side], 5e-5)  # fmt: skip
            yield _c(f"Clopper-Pearson {row['x']}/{row['n']}", "Newcombe 1998", row["clopper_pearson"][side], share.clopper_pearson[side], 5e-5)  # fmt: skip
    cohen = np.array(want["cohen_kappa_sexualfun"]["table"], dtype=float)
    yield _c("Cohen's kappa", "published", want["cohen_kappa_sexualfun"]["kappa"], cohen_kappa(cohen).kappa or math.nan, 5e-4)  # fmt: skip
    linear = cohen_kappa(cohen, weighting=Weighting.LINEAR).kappa or math.nan
    yield _c("Cohen's kappa, linear", "published", want["cohen_kappa_sexualfun"]["weighted_linear"], linear, 5e-4)  # fmt: skip
    fleiss = fleiss_kappa(np.array(want["fleiss_kappa_wikipedia"]["table"], dtype=float)).kappa or math.nan
    yield _c("Fleiss' kappa", "published", want["fleiss_kappa_wikipedia"]["kappa"], fleiss, 5e-4)
