"""Two runs on the same images: paired differences of AUC, of FROC sensitivity and of the area under FROC.

For ablations. AUCs are compared by DeLong's paired test, the rest by drawing the same patients for both runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from inference.evaluation.figures import Patients, Weights, bootstrap, interval, number
from inference.evaluation.froc import RULES, Curves, Froc, collect, paired_images
from inference.evaluation.report import Question, level_units
from inference.evaluation.run_tables import EvaluationError, read_run
from inference.evaluation.tables import Sheet, figure
from inference.evaluation.truth import read_truth
from inference.evaluation.units import Unit, arrays
from inference.metrics import FROC_RATES
from resources.vocabulary import FindingType


def paired_delong(
    truth: NDArray[np.bool_], first: NDArray[np.float64], second: NDArray[np.float64]
) -> dict[str, float | None]:
    """Difference of two AUCs on the same cases.

    Parameters
    ----------
    truth
        (cases,) bool, True = positive; two or more of each.
    first, second
        (cases,) scores of the two runs.

    Returns
    -------
    ``value`` = first minus second, ``lo``, ``hi`` (95 %), ``z`` and two-sided ``p``; the last four None where the
    difference has no variance.

    Notes
    -----
    DeLong, DeLong and Clarke-Pearson 1988; assumes independent cases.
    """
    parts = [placements(truth, scores) for scores in (first, second)]
    gap = float(parts[0][0].mean() - parts[1][0].mean())
    v10, v01 = parts[0][0] - parts[1][0], parts[0][1] - parts[1][1]
    variance = 0.0
    if len(v10) > 1 and len(v01) > 1:
        variance = float(v10.var(ddof=1) / len(v10) + v01.var(ddof=1) / len(v01))
    if variance <= 0:
        return {"value": gap, "lo": None, "hi": None, "z": None, "p": None}
    error = float(np.sqrt(variance))
    half = float(norm.ppf(0.975)) * error
    z = gap / error
    return {"value": gap, "lo": gap - half, "hi": gap + half, "z": z, "p": float(2 * norm.sf(abs(z)))}


def placements(
    truth: NDArray[np.bool_], scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """DeLong's components: of each positive the share of negatives below it, of each negative that of positives above."""
    positive, negative = scores[truth], scores[~truth]
    ranks = rankdata(np.concatenate([positive, negative]))
    v10 = (ranks[: len(positive)] - rankdata(positive)) / len(negative)
    return v10, 1.0 - (ranks[len(positive) :] - rankdata(negative)) / len(positive)


def compare(question: Question, other_run: Path) -> dict[str, Any]:
    """Compare ``question.run`` (A) with another run (B) on the same manifest.

    Returns
    -------
    ``{"auc": {level: {type_or_all: {"a", "b", "difference", "n_pos", "n_neg"}}}, "froc": {rule: {type_or_all:
    {rate or "area": {"a", "b", "difference"}}}}, "warnings": [...]}``; a difference is A minus B with ``value``,
    ``lo``, ``hi`` and ``p``.

    Raises
    ------
    UserFacingError
        A table is absent or wrong.
    """
    truth = read_truth(question.manifest, question.lesions, kinds=question.kinds, split=question.split)
    runs = [read_run(question.run), read_run(other_run)]
    patients = Patients(list(truth.patients.values()))
    warnings = [*truth.notes]
    units = []
    for name, run in zip("AB", runs, strict=True):
        mine, said = level_units(truth, run, question.negatives)
        units.append(mine)
        warnings += [f"Run {name}: {sentence}" for sentence in (*run.notes, *said)]
    out: dict[str, Any] = {"auc": _auc(units[0], units[1], warnings), "froc": {}}
    if question.lesions is None:
        warnings.append("froc: no lesions table was named (--lesions); not compared.")
    else:
        found = []
        for name, run in zip("AB", runs, strict=True):
            marks, said = paired_images(truth, run.found)
            found.append(list(zip(truth.images, marks, strict=True)))
            warnings += [f"Run {name}: {sentence}" for sentence in said]
        for rule in RULES:
            pair = [collect(p, rule, patients, malignant_only=question.malignant_lesions_only) for p in found]
            if len(pair[0].hit_score):
                out["froc"][rule] = _froc(pair[0], pair[1], patients, question)
    if not out["auc"] and not out["froc"]:
        raise EvaluationError(
            f"{question.run.name} and {other_run.name}: expected a level that both scored or lesions to find, "
            f"found neither in {question.manifest.name}."
        )
    out["warnings"] = list(dict.fromkeys(warnings))
    return out


def _auc(first: dict[str, list[Unit]], second: dict[str, list[Unit]], warnings: list[str]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for level in first.keys() & second.keys():
        other = {u.key: u for u in second[level]}
        shared = [(u, other[u.key]) for u in first[level] if u.key in other]
        left = len(first[level]) + len(second[level]) - 2 * len(shared)
        if left:
            warnings.append(f"auc.{level}: {left} scored by one run only; they were left out of both.")
        kinds = (None, *(f for f in FindingType if any(f in u.types for u, _ in shared)))
        for kind in kinds:
            kept = [(a, b) for a, b in shared if kind is None or kind in a.types or not a.positive]
            truth, scores = arrays([a for a, _ in kept])
            if not truth.any() or truth.all():
                continue
            _, others = arrays([b for _, b in kept])
            a, b = (float(placements(truth, s)[0].mean()) for s in (scores, others))
            gap = {name: number(value) for name, value in paired_delong(truth, scores, others).items()}
            entry = {"a": number(a), "b": number(b), "difference": gap}
            counts = {"n_pos": int(truth.sum()), "n_neg": int((~truth).sum())}
            out.setdefault(level, {})["all" if kind is None else kind.value] = {**entry, **counts}
    return dict(sorted(out.items()))


def _froc(first: Froc, second: Froc, patients: Patients, question: Question) -> dict[str, Any]:
    kinds = (None, *(f for f in FindingType if f in first.hit_finding))
    masks = [first.of(kind) for kind in kinds]

    curves = [Curves(froc, masks) for froc in (first, second)]

    def figures(weights: Weights) -> NDArray[np.float64]:
        return np.stack([made.figures(weights) for made in curves], axis=1)

    once = figures(np.ones(len(patients.names)))
    draws = bootstrap(patients, figures, seed=question.seed, rounds=question.rounds)
    names = [*(f"{rate:g}" for rate in FROC_RATES), "area"]
    out: dict[str, Any] = {}
    for k, kind in enumerate(kinds):
        out["all" if kind is None else kind.value] = {
            name: {
                "a": number(once[k, 0, r]),
                "b": number(once[k, 1, r]),
                "difference": _difference(once[k, :, r], draws[:, k, :, r]),
            }
            for r, name in enumerate(names)
        } | {"n_lesions": int(masks[k].sum()), "n_images": int(first.images.sum())}
    return out


def _difference(once: NDArray[np.float64], draws: NDArray[np.float64]) -> dict[str, Any]:
    """A minus B with its interval and twice the share of draws on the wrong side of 0 (two-sided p)."""
    gaps = draws[:, 0] - draws[:, 1]
    lo, hi = interval(gaps)
    real = gaps[np.isfinite(gaps)]
    p = 1.0 if len(real) and not real.any() else None  # of draws that are all alike there is no interval
    if lo is not None:
        # counts the observed draw itself, so that p is never 0 (Davison and Hinkley 1997, 4.2.3)
        tail = min(int((real <= 0).sum()), int((real >= 0).sum()))
        p = min(1.0, 2 * (tail + 1) / (len(real) + 1))
    return {"value": number(once[0] - once[1]), "lo": number(lo), "hi": number(hi), "p": number(p)}


def comparison_sheets(report: dict[str, Any], names: tuple[str, str]) -> list[Sheet]:
    """The tables of a comparison; ``names`` are those of A and B."""
    auc = tuple(
        (
            level,
            kind,
            _plain(e["a"]),
            _plain(e["b"]),
            figure(e["difference"]),
            _plain(e["difference"]["p"], 4),
        )
        for level, kinds in report["auc"].items()
        for kind, e in kinds.items()
    )
    sheets = [
        Sheet(
            title="AUC, DeLong's paired test",
            columns=("level", "type", *names, "difference", "p"),
            rows=auc,
        )
    ]
    for rule, kinds in report["froc"].items():
        rows = tuple(
            (
                kind,
                name,
                _plain(e["a"]),
                _plain(e["b"]),
                figure(e["difference"]),
                _plain(e["difference"]["p"], 4),
            )
            for kind, table in kinds.items()
            for name, e in table.items()
            if isinstance(e, dict)
        )
        sheets.append(
            Sheet(
                title=f"FROC ({rule}), sensitivity at false positives per image and area to 1, paired bootstrap",
                columns=("type", "at", *names, "difference", "p"),
                rows=rows,
            )
        )
    return [sheet for sheet in sheets if sheet.rows]


def _plain(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def ablation_sheet(question: Question, runs: Sequence[tuple[str, Path]], rate: str = "0.2") -> Sheet:
    """One row a run against the first: sensitivity at a rate, its paired difference, the same of the area.

    Parameters
    ----------
    runs
        Name and folder; the first is the full model.
    rate
        One of the contract's rates, as text.
    """
    if rate not in {f"{r:g}" for r in FROC_RATES}:
        known = ", ".join(f"{r:g}" for r in FROC_RATES)
        raise EvaluationError(f"--rate: expected one of {known}, found {rate!r}.")
    rows: list[tuple[str, ...]] = []
    for name, folder in runs[1:]:
        table = compare(replace(question, run=runs[0][1]), folder)["froc"].get("centre", {}).get("all")
        if table is None:
            continue
        if not rows:
            rows.append((runs[0][0], _plain(table[rate]["a"]), "", _plain(table["area"]["a"]), ""))
        gaps = [figure(table[at]["difference"]) for at in (rate, "area")]
        rows.append((name, _plain(table[rate]["b"]), gaps[0], _plain(table["area"]["b"]), gaps[1]))
    return Sheet(
        title=f"Against {runs[0][0]} (difference = {runs[0][0]} less the row, paired bootstrap over patients)",
        columns=("run", f"sensitivity at {rate}", "difference", "area to 1", "difference of area"),
        rows=tuple(rows),
    )
