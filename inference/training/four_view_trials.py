"""Trials of a packaged four-view detector whose outcome is a figure in its card, and their lines on its page.

Test-time flips are tried here on phantoms; cross-validation on real images is ``four_view_folds``'.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from inference.four_view_engine import FourViewEngine
from inference.model_card import ModelCard, write_card
from inference.training.data import VALIDATION_SEEDS
from inference.training.four_view_evaluation import run_phantoms
from inference.training.four_view_figures import Variant, compared
from inference.training.four_view_measures import strict

FLIPS_FIRST = VALIDATION_SEEDS + 400  # beyond the phantoms that chose, calibrated or judged anything else


def measured_flips(folder: Path, *, exams: int = 30) -> dict[str, Any]:
    """Read phantoms with and without test-time flips, and write what it brings and costs into the card.

    Returns
    -------
    ``exams``, ``seconds`` without and with, and ``compared``: sensitivity at 0.2 false marks per image (marks on
    harmless structures false) with the paired difference and its 95 % interval over exams.
    """
    seeds = range(FLIPS_FIRST, FLIPS_FIRST + exams)
    found = {
        name: run_phantoms(FourViewEngine(folder, "cpu", flips=flips), seeds)
        for name, flips in (("flipped too", True), ("as it is", False))
    }
    variants = [
        Variant(name=name, exams=tuple(tuple(strict(case.images)) for case in cases))
        for name, cases in found.items()
    ]
    told: dict[str, Any] = {
        "exams": exams,
        "seconds": {
            name: round(float(np.mean([c.seconds for c in cases])), 2) for name, cases in found.items()
        },
        "compared": compared(variants),
    }
    raw = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    raw["evaluation"] = {**raw.get("evaluation", {}), "flips": told}
    write_card(folder, raw)
    return told


def trial_lines(card: ModelCard) -> list[str]:
    """The page's lines on flips and on fine-tuning; none of what was not tried."""
    return [*_flip_lines(card), *_fold_lines(card.evaluation.get("fine_tuned", {}))]


def _flip_lines(card: ModelCard) -> list[str]:
    found = card.evaluation.get("flips")
    if not found:
        return []
    return [
        f"## Test-time flips, {found['exams']} phantoms that set nothing",
        "",
        "Each view is also read upside down and both answers are averaged (the paper's horizontal flip changes nothing: "
        "left and right breasts are read alike). Sensitivity at 0.2 false marks per image, marks on harmless structures "
        f"false. Shipped: {'with' if card.architecture.get('flips') else 'without'} flips.",
        "",
        "| views read | sensitivity | difference (95 %) | seconds per exam, measured beside other work |",
        "|---|---|---|---|",
        *[
            f"| {row['name']} | {row['value']:.3f} | {_difference(row)} | {found['seconds'][row['name']]:.2f} |"
            for row in found["compared"]
        ],
        "",
    ]


def _fold_lines(sets: Mapping[str, Any]) -> list[str]:
    out: list[str] = []
    for name, found in sets.items():
        kept = ", ".join(f"{best} of {last}" for best, last in found["steps"])
        out += [
            f"## Trained with and without {name}",
            "",
            f"{found['folds']} folds by woman: each run goes on from these weights (recipe `{found['recipe']}`; step kept: "
            f"{kept}) and is judged on the women that it never saw, beside the weights untouched. {found['exams']} exams, "
            f"{found['images']} images, {found['lesions']} lesions; centre in the truth. Research only: the weights made "
            "in this trial are not shipped.",
            "",
            "| false marks per image | untouched | trained with the set | difference (95 %, paired over exams) |",
            "|---|---|---|---|",
        ]
        for rate, rows in found["at"].items():
            tuned, plain = rows
            out.append(f"| {rate} | {plain['value']:.3f} | {tuned['value']:.3f} | {_difference(tuned)} |")
        out += ["", *([found["note"], ""] if found.get("note") else [])]
    return out


def _difference(row: Mapping[str, Any]) -> str:
    return f"{row['difference']:+.3f} ({row['lo']:+.3f} to {row['hi']:+.3f})"
