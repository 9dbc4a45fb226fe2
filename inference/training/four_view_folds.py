"""Cross-validation of the four-view detector on a manifest: folds by woman, one run a fold, lesions found.

Each fold goes on from given weights and is judged on the women that it never saw, beside those weights
untouched. Nothing made here ships; only the figures go into a card.
"""

from __future__ import annotations

import csv
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from inference.exam.manifest import read_manifest
from inference.exam.types import InferenceError
from inference.four_view_engine import FourViewEngine
from inference.model_card import write_card
from inference.registry import load_card
from inference.training.four_view_card import read_origin
from inference.training.four_view_cases import Case, Part, sorted_cases, women_of
from inference.training.four_view_command import TrainingOrder, ordered_recipe, train_four_view
from inference.training.four_view_figures import Variant, compared
from inference.training.four_view_judged import JudgedExam, judged_exams
from inference.training.four_view_packaging import package, plain_engine

_LOG = logging.getLogger(__name__)
_SEED = 2026
RATES = (0.2, 0.5, 1.0)  # false marks per image


def fold_tables(manifest: Path, folds: int) -> list[Path]:
    """Write a copy of an images table for each fold beside it, with a column ``split`` by woman.

    Parameters
    ----------
    manifest
        Images CSV; its own column ``split`` is replaced.
    folds
        2 or more.

    Returns
    -------
    Tables in which a fold's women are marked test and all others train, each woman in one fold.
    """
    with manifest.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    of_case = women_of((row["case_id"].strip(), (row.get("patient_id") or "").strip()) for row in rows)
    women = sorted(set(of_case.values()))
    order = np.random.default_rng(_SEED).permutation(len(women))
    fold_of = {women[int(n)]: place % folds for place, n in enumerate(order)}
    columns = [*(name for name in rows[0] if name != "split"), "split"]
    paths = []
    for fold in range(folds):
        path = manifest.with_name(f"{manifest.stem}-fold{fold + 1}of{folds}.csv")
        for row in rows:
            own = fold_of[of_case[row["case_id"].strip()]] == fold
            row["split"] = "test" if own else "train"
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, columns, lineterminator="\n", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        paths.append(path)
    return paths


def cross_validated(order: TrainingOrder, folds: int) -> dict[str, Any]:
    """Train one run a fold, or go on with those found in ``order.out``, and judge each on its own women.

    Parameters
    ----------
    order
        Names the manifest, its lesions, the recipe and, in ``start``, the model whose weights each run goes on
        from and that is the comparison.

    Returns
    -------
    ``exams``, ``images``, ``lesions``, ``steps`` kept of each fold, and for each rate of false marks per image the
    lesion sensitivity (centre in the truth) of both with the paired difference and its 95 % interval over exams.
    """
    if order.manifest is None or order.lesions is None or order.start is None:
        raise InferenceError(
            "Cross-validation: expected a manifest, its lesions and a model to start from, found one missing; name all."
        )
    untouched = FourViewEngine(load_card(order.start).folder, order.device, floor=0.0, flips=False)
    tuned: list[JudgedExam] = []
    plain: list[JudgedExam] = []
    steps = []
    for number, table in enumerate(fold_tables(order.manifest, folds), start=1):
        own = replace(order, manifest=table, out=order.out / f"fold{number}")
        best = train_four_view(own)
        engine = _packaged(own, best)
        cases = _tested(table, order.lesions)
        tuned += judged_exams(engine, cases, table.parent, order.lesions.parent)
        plain += judged_exams(untouched, cases, table.parent, order.lesions.parent)
        steps.append(_kept(own.out))
        _LOG.info("fold %d of %d: %d exams judged", number, folds, len(cases))
    return {"folds": folds, "recipe": ordered_recipe(order).name, "steps": steps, **beside(tuned, plain)}


def _packaged(order: TrainingOrder, best: Path) -> FourViewEngine:
    folder = order.out / "model"
    package(ordered_recipe(order), [best], folder, version="0.0.0", origin=read_origin(order.out))
    return plain_engine(folder)


def _tested(table: Path, lesions: Path) -> list[Case]:
    return list(sorted_cases(read_manifest(table, lesions)).of(Part.TEST, labelled=True))


def _kept(run: Path) -> list[int]:
    """The step whose weights were kept, and the last one taken."""
    history = json.loads((run / "history.json").read_text(encoding="utf-8"))
    checks = [entry for entry in history if "validation_sensitivity" in entry]
    best = max(
        checks, key=lambda e: e["validation_sensitivity"] + 0.25 * e.get("validation_malignancy_auc", 0.5)
    )
    return [int(best["step"]), int(checks[-1]["step"])]


def beside(tuned: list[JudgedExam], plain: list[JudgedExam]) -> dict[str, Any]:
    """Compare two readings of the same exams at each of ``RATES``; exams that one could not read are left out."""
    both = {x.case_id for x in tuned} & {x.case_id for x in plain}
    parts = {
        "fine-tuned": {x.case_id: x.images for x in tuned if x.case_id in both},
        "untouched": {x.case_id: x.images for x in plain if x.case_id in both},
    }
    cases = sorted(both)
    variants = [Variant(name=name, exams=tuple(part[c] for c in cases)) for name, part in parts.items()]
    images = [image for case in cases for image in parts["untouched"][case]]
    return {
        "exams": len(cases),
        "images": len(images),
        "lesions": sum(len(image.lesions) for image in images),
        "at": {str(rate): compared(variants, rate=rate) for rate in RATES},
    }


def note_fine_tuned(folder: Path, name: str, found: dict[str, Any]) -> None:
    """Write a cross-validation's figures into the card of the model that it went on from."""
    raw = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    known = raw.get("evaluation", {})
    raw["evaluation"] = {**known, "fine_tuned": {**known.get("fine_tuned", {}), name: found}}
    write_card(folder, raw)
