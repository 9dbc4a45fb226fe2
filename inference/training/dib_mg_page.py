"""The page of dib-mg: every figure from its card, the recipes, and what came of those that do not ship.

Owns words and the ROC figure; ``packaging`` and ``dib_mg_variants`` measure.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from inference.evaluation.roc import Curve, roc_plot
from inference.evaluation.strata_cases import markdown_tables, strata_sheets
from inference.model_card import ModelCard, read_card
from inference.models.cam_classifier import CamConfig
from inference.models.dib_mg_modern import ModernConfig
from inference.preprocessing.pipeline import CANVAS_MM
from inference.training.dib_mg_variants import RULE, recipe_of, replaces
from inference.training.model_page import card_head, card_sections
from inference.training.recipes import RECIPES, Recipe

ROC = "dib-mg-roc.png"


def document(folder: Path) -> str:
    """Return the model's page for the docs as Markdown, all figures from its card."""
    card = read_card(folder)
    lines = [
        *card_head(
            card,
            "python -m inference evaluate-phantoms",
            [
                f"* Network: {card.architecture.get('source', card.architecture['family'])}; width "
                f"{card.architecture['width']}"
            ],
            scores="The score",
        ),
        *card_sections(card),
    ]
    figures = card.evaluation.get("phantom")
    against = _against(card)
    parts = lines + (_figures(figures) if figures else [])
    for entry in against.values():
        parts += _variant_lines(card, entry)
    return "\n".join(parts + _recipe_lines(card, against))


def roc_figure(folder: Path, path: Path) -> Path:
    """Draw the ROC of the card's held-out phantoms, exam level, with the point of 0.5 (PNG, paper style)."""
    card = read_card(folder)
    figures = card.evaluation["phantom"]
    area, at = figures["auc_exam"], figures["operating"]
    curve = Curve(
        words=f"dib-mg {card.version}: AUC {area['value']:.3f} ({area['lo']:.3f} to {area['hi']:.3f})",
        corners=np.array(figures["roc_exam"]),
        marked=(1.0 - at["specificity"], at["sensitivity"]),
        marked_words=f"at {at['threshold']:g}",
    )
    title = f"Exams, {area['n_pos']} with a cancer and {area['n_neg']} without: held-out phantoms"
    return roc_plot(path, [curve], style="paper", title=title)


def _against(card: ModelCard) -> dict[str, dict[str, Any]]:
    """What the card holds of other recipes measured beside these very weights."""
    found = card.evaluation.get("against", {})
    return {name: e for name, e in found.items() if e["against_sha256"] == card.weights_sha256}


# of recipes that were not measured beside the shipped weights
_STATES = {
    "dib_mg_film": "two of its four epochs run, so not measured on held-out phantoms and not shipped",
    "dib_mg_paper": "not trained here (64 pictures of 1600 x 1600 a step want a GPU); shapes, padding, pooling, rates, one "
    "step, resume and two processes under torchrun are tested",
}


def _recipe_lines(card: ModelCard, against: dict[str, dict[str, Any]]) -> list[str]:
    rows = [
        f"| `{r.name}` | {_network_words(r.network)} | `{r.preprocessing}` | {r.optimizer}, {r.learning_rate:g}, "
        f"{r.epochs} epochs, {2 * r.batch} views a step | {_state(r, card, against)} |"
        for r in RECIPES.values()
    ]
    return [
        "## Recipes",
        "",
        "`python -m inference train NAME --out RUN`. Real film, five folds by woman: [dib-mg-mias.md](dib-mg-mias.md).",
        "",
        "| recipe | network | chain | training | state |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]


def _state(recipe: Recipe, card: ModelCard, against: dict[str, dict[str, Any]]) -> str:
    if recipe.name == recipe_of(card):
        return "shipped"
    if recipe.name in against:
        return "trained and measured beside the shipped one (above); not shipped"
    return _STATES.get(recipe.name, "no weights kept; one step and resume are tested")


def _variant_lines(card: ModelCard, e: dict[str, Any]) -> list[str]:
    """The table of one variant beside the shipped weights, and what was decided."""
    name, phantom, film = f"`{e['recipe']}`", e["phantom"], e.get("film")
    rows = [
        ("AUC per exam, phantoms", phantom["auc_exam"]),
        ("AUC per breast, phantoms", phantom["auc_breast"]),
        (f"pointing game, phantoms ({phantom['pointing_game']['n']} views)", phantom["pointing_game"]),
        ("sensitivity at 0.5, phantoms", phantom["sensitivity"]),
        ("specificity at 0.5, phantoms", phantom["specificity"]),
    ]
    if film:
        rows += [
            (f"AUC per view, mini-MIAS ({film['n_pos']} / {film['n_neg']})", film["auc_view"]),
            (f"pointing game, mini-MIAS ({film['marked']} views)", film["pointing_game"]),
        ]
    plain = [(f"{d['exam']} ({d['truth']}), exam score", d["a"], d["b"]) for d in e["demo"]]
    plain.append(("weights, MB", e["megabytes"]["a"], e["megabytes"]["b"]))
    plain.append(("CPU seconds per exam (median, 0.1 mm phantoms)", *phantom["seconds"].values()))
    verdict = "takes their place" if replaces(e) else "does not take their place"
    return [
        f"## {name} beside the shipped weights",
        "",
        f"Trained on: {e['training']}",
        "",
        f"Both read the same {phantom['n_exams']} held-out phantoms"
        + (f" and the same views of {film['women']} women on film" if film else "")
        + ". Difference: variant less shipped, 95 % interval by DeLong's paired test (exams) or a bootstrap over patients.",
        "",
        f"| figure | shipped {card.version} | {name} | difference |",
        "|---|---|---|---|",
        *[f"| {words} | {p['a']:.3f} | {p['b']:.3f} | {_difference(p['difference'])} |" for words, p in rows],
        *[f"| {words} | {a:g} | {b:g} | |" for words, a, b in plain],
        "",
        f"{RULE} By this rule {name} {verdict}.",
        "",
    ]


def _difference(d: dict[str, float | None]) -> str:
    if d["value"] is None or d["lo"] is None or d["hi"] is None:
        return f"{d['value'] or 0.0:+.3f} (no interval)"
    tested = f", p = {d['p']:.3f}" if d.get("p") is not None else ""
    return f"{d['value']:+.3f} ({d['lo']:+.3f} to {d['hi']:+.3f}{tested})"


def _network_words(network: CamConfig) -> str:
    size = (
        network.backbone if isinstance(network, ModernConfig) else f"19 convolutions, width {network.width}"
    )
    return f"{size}, {network.pooling.value.replace('_', ' ')}"


def _millimetres(f: dict[str, Any]) -> str:
    return ", ".join(f"{part * CANVAS_MM:.1f}" for part in f.get("peak_offset_px", (0.0, 0.0)))


def _figures(f: dict[str, Any]) -> list[str]:
    def cell(e: dict[str, Any]) -> str:
        if e["lo"] is None or e["hi"] is None:
            return f"{e['value']:.3f} (no interval)"
        return f"{e['value']:.3f} ({e['lo']:.3f} to {e['hi']:.3f})"

    exam, pointing = f["auc_exam"], f["pointing_game"]
    reached = "reached" if exam["value"] >= 0.92 else "NOT reached"
    pointed = "reached" if pointing["value"] >= 0.85 else "NOT reached"
    operating = f["operating"]
    return [
        f"## Measured on {f['n_exams']} held-out phantoms",
        "",
        "Synthetic validation only: these figures say nothing about patients. 95 % intervals in brackets.",
        "",
        *([f"![ROC curve of the exams, with the point of 0.5]({ROC})", ""] if "roc_exam" in f else []),
        "| figure | value | target |",
        "|---|---|---|",
        f"| AUC per exam, cancer or not ({exam['n_pos']} / {exam['n_neg']}) | {cell(exam)} | 0.92: {reached} "
        f"|",
        f"| AUC per breast (bootstrap over exams) | {cell(f['auc_breast'])} | |",
        f"| pointing game, {pointing['n']} views with a cancer | {cell(pointing)} | 0.85: {pointed} |",
        *[
            f"| pointing game, {name} ({e['n']} views) | {e['value']:.3f} | |"
            for name, e in f.get("pointing_game_by_type", {}).items()
        ],
        f"| median place of the peak less that of the cancer, down and towards the nipple, mm | {_millimetres(f)} | |",
        f"| sensitivity, specificity at 0.5 | {operating['sensitivity']:.3f}, {operating['specificity']:.3f} "
        f"| |",
        *[f"| AUC per exam, baseline {name} | {cell(e)} | |" for name, e in f["baselines"].items()],
        f"| pointing game, baseline blob detector | {f['blob_pointing_game']:.3f} | |",
        f"| CPU seconds per exam (median, 0.1 mm phantoms) | {f['seconds_per_exam']:.2f} | |",
        "",
        "AUC per exam by type of the cancer, against all exams without one:",
        "",
        "| type | AUC | exams |",
        "|---|---|---|",
        *[f"| {name} | {cell(e)} | {e['n_pos']} |" for name, e in f["auc_exam_by_type"].items()],
        "",
        f"FROC, box centre inside the cancer's box, {f['froc_lesions']} lesion views in {f['froc_images']} "
        f"images:",
        "",
        "| false boxes per image | " + " | ".join(f["froc_centre"]) + " |",
        "|---|" + "---|" * len(f["froc_centre"]),
        "| sensitivity | " + " | ".join(f"{v:.3f}" for v in f["froc_centre"].values()) + " |",
        "",
        *_strata(f),
    ]


def _strata(figures: dict[str, Any]) -> list[str]:
    strata = figures.get("strata")
    if not strata:
        return []
    return [
        f"Strata of {figures.get('strata_exams', figures['n_exams'])} exams at 0.5 (a phantom has no manufacturer and no "
        "invasiveness; `strata` takes both from a manifest):",
        "",
        *markdown_tables(strata_sheets(strata)),
    ]
