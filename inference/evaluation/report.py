"""Puts the figures of a run together in the form of the evaluation contract.

Owns the order of the report and its warnings; each figure is its neighbours'.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.evaluation import ROUNDS
from inference.evaluation.figures import Patients, estimate_json
from inference.evaluation.froc import RULES, collect, froc_json, paired_images
from inference.evaluation.maps import dice_json, pointing_json
from inference.evaluation.operating import (
    Threshold,
    card_thresholds,
    found_thresholds,
    half,
    operating_json,
)
from inference.evaluation.run_tables import LEVELS, RunTables, read_run
from inference.evaluation.subgroups import subgroups_json
from inference.evaluation.truth import Truth, TruthImage, read_truth
from inference.evaluation.units import Unit, auc_of, candidates_of, of_type, units_of
from resources.vocabulary import FindingType, ImageKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a run."""

    manifest: Path
    run: Path
    lesions: Path | None = None
    negatives: str = "all"  # or "normal": benign is left out
    malignant_lesions_only: bool = False  # of FROC: a mark on a benign lesion is then a false positive
    kinds: tuple[ImageKind, ...] = ()
    split: str | None = None
    thresholds_run: Path | None = None  # a run on other data, to find thresholds on
    thresholds_manifest: Path | None = None  # of that run; None = ``manifest``
    thresholds_lesions: Path | None = None
    thresholds_split: str | None = None
    rounds: int = ROUNDS
    seed: int = 0


def evaluate(question: Question) -> dict[str, Any]:
    """Judge a run.

    Returns
    -------
    The contract's object: auc, froc, pointing_game, dice, operating_points, subgroups, warnings.

    Raises
    ------
    UserFacingError
        A table is absent or wrong; the sentence names file, row and column.
    """
    truth = read_truth(question.manifest, question.lesions, kinds=question.kinds, split=question.split)
    run = read_run(question.run)
    warnings = [*truth.notes, *run.notes, *_failures(run)]
    patients = Patients(list(truth.patients.values()))
    units, notes = level_units(truth, run, question.negatives)
    warnings += notes
    auc, notes = _auc(units, run, question.negatives)
    warnings += notes
    places, notes = _places(truth, run, patients, question)
    warnings += notes
    thresholds, notes = _thresholds(question, truth, run, units)
    warnings += notes
    strata, notes = subgroups_json(units)
    return {
        "auc": auc,
        **places,
        "operating_points": operating_json(
            units, thresholds, patients, seed=question.seed, rounds=question.rounds
        ),
        "subgroups": strata,
        "warnings": list(dict.fromkeys([*warnings, *notes])),
    }


def level_units(truth: Truth, run: RunTables, negatives: str) -> tuple[dict[str, list[Unit]], list[str]]:
    """The units of every level that has any, and why others were left out."""
    out: dict[str, list[Unit]] = {}
    notes: list[str] = []
    candidates = candidates_of(truth)
    for level in LEVELS:
        units, said = units_of(truth, run, level, negatives=negatives, candidates=candidates)
        notes += said
        if units:
            out[level] = units
    return out, notes


def _failures(run: RunTables) -> list[str]:
    failed = run.facts.get("failures", {})
    if not isinstance(failed, dict) or not failed:
        return []
    return [
        f"run.json: {len(failed)} exams could not be analysed (first {next(iter(failed))}); they have no "
        "scores, and their lesions count as missed."
    ]


def _unread(truth: Truth, run: RunTables) -> list[str]:
    """Say how many images of the truth the model did not read, and how FROC counts them."""
    told = run.facts.get("unread", {})
    failed = run.facts.get("failures", {})
    if not isinstance(told, dict) or not isinstance(failed, dict):
        return []
    why: dict[tuple[str, str], list[str]] = {}
    for case, sentences in told.items():
        for key, sentence in sentences.items() if isinstance(sentences, dict) else ():
            why.setdefault((case, str(key).partition("#")[0]), []).append(str(sentence))
    left = {place: len(sentences) for place, sentences in why.items()}
    missed = []
    for image in reversed(truth.images):  # of a view that was taken twice the later rows go unread
        place = (image.entry.case_id, _key(image))
        if image.entry.case_id in failed or left.get(place, 0) > 0:
            left[place] = left.get(place, 0) - 1
            missed.append(image)
    if not missed:
        return []
    first = missed[-1].entry
    reason = str(failed.get(first.case_id) or why[first.case_id, _key(missed[-1])][0])
    return [
        f"froc: {len(missed)} of {len(truth.images)} images were not read by the model (first {first.case_id} "
        f"{first.view.label}: {reason.rstrip('.')}). False positives per image are over all images, these too, and "
        f"their {sum(len(image.lesions) for image in missed)} lesions count as missed; run.json names each."
    ]


def _key(image: TruthImage) -> str:
    """The image's key as a run names it, without the number of a repeated view."""
    entry = image.entry
    return f"{entry.view.key}/{entry.kind.value}" if entry.kind.is_contrast else entry.view.key


def _auc(units: dict[str, list[Unit]], run: RunTables, negatives: str) -> tuple[dict[str, Any], list[str]]:
    out: dict[str, Any] = {}
    notes: list[str] = []
    for level in LEVELS:
        mine = units.get(level, [])
        estimate = auc_of(mine)
        if estimate is None:
            notes.append(_why_no_auc(level, mine, run, negatives))
            continue
        out[level] = {"all": estimate_json(estimate)}
        for finding in FindingType:
            of = auc_of(of_type(mine, finding))
            if of is not None:
                out[level][finding.value] = estimate_json(of)
    return out, notes


def _why_no_auc(level: str, units: list[Unit], run: RunTables, negatives: str) -> str:
    if not any(row.level == level for row in run.scores):
        return f"auc.{level}: scores.csv has no row of level {level}; not computed."
    positive = sum(u.positive for u in units)
    where = " (with --negatives normal)" if negatives == "normal" else ""
    return (
        f"auc.{level}: expected malignant and other{where}, found {positive} malignant and "
        f"{len(units) - positive} other with a score; not computed."
    )


def _places(
    truth: Truth, run: RunTables, patients: Patients, question: Question
) -> tuple[dict[str, Any], list[str]]:
    """The figures that need lesions: FROC, pointing game and Dice."""
    out: dict[str, Any] = {"froc": {}, "pointing_game": {}, "dice": {}}
    if question.lesions is None:
        return out, ["froc, pointing_game, dice: no lesions table was named (--lesions); not computed."]
    found, notes = paired_images(truth, run.found)
    notes += _unread(truth, run)
    pairs = list(zip(truth.images, found, strict=True))
    if not run.found:
        notes.append("froc: detections.csv has no rows; every lesion counts as missed.")
    elif run.facts.get("floor") is None and run.facts.get("card_id"):
        lowest = min(mark.score for mark in run.found)
        notes.append(
            f"froc: the run holds boxes down to the model's own threshold (lowest score {lowest:.3f}); the curve "
            "ends there (infer --floor 0.01 goes on)."
        )
    marked = {image.entry.kind for image, marks in pairs if marks}
    for kind in sorted({image.entry.kind for image in truth.images} - marked) if marked else ():
        silent = sum(len(image.lesions) for image in truth.images if image.entry.kind is kind)
        if silent:
            notes.append(
                f"froc: the run marks nothing on images of kind {kind.value}; their {silent} lesions count as missed "
                "(--kind judges the other kinds alone)."
            )
    how = {"seed": question.seed, "rounds": question.rounds}
    for rule in RULES:
        data = collect(pairs, rule, patients, malignant_only=question.malignant_lesions_only)
        if len(data.hit_score):
            out["froc"][rule] = froc_json(data, patients, **how)
    if not out["froc"]:
        notes.append("froc: the lesions table has no lesion of these images; not computed.")
    out["pointing_game"], said = pointing_json(truth, run.folder, patients, **how)
    notes += said
    out["dice"], said = dice_json(truth, found, patients, **how)
    return out, [*notes, *said]


def _thresholds(
    question: Question, truth: Truth, run: RunTables, units: dict[str, list[Unit]]
) -> tuple[list[Threshold], list[str]]:
    made = [half(level) for level in units]
    notes: list[str] = []
    model = run.facts.get("card_id")
    if isinstance(model, str) and model:
        named, notes = card_thresholds(model)
        made += named
    else:
        notes.append("operating_points: run.json names no model; its card's thresholds are not judged.")
    if question.thresholds_run is None:
        return made, notes
    other = read_truth(
        question.thresholds_manifest or question.manifest,
        question.thresholds_lesions,
        kinds=question.kinds,
        split=question.thresholds_split,
    )
    shared = set(other.patients.values()) & set(truth.patients.values())
    if shared:
        notes.append(
            f"operating_points: {len(shared)} patients are in both the data judged and the data that the "
            "thresholds were found on; these figures flatter."
        )
    others, _ = level_units(other, read_run(question.thresholds_run), question.negatives)
    for level in units:
        found = found_thresholds(level, others.get(level, []), question.thresholds_run.name)
        if not found:
            notes.append(
                f"operating_points.{level}: {question.thresholds_run.name} lacks scores of malignant or of "
                "other; no threshold was found there."
            )
        made += found
    return made, notes
