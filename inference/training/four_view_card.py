"""What a trained four-view detector's card says: on what it was trained, from where it started, under which licence.

Every word follows from the record of the run (``Origin``); what was not recorded is said to be not recorded.
Figures are ``four_view_measured``'s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inference.model_card import file_sha256, read_card
from inference.models.imagenet_start import PACKAGED
from inference.preprocessing.four_view import chain
from inference.training.four_view_data import TERMS
from inference.training.four_view_recipe import FourViewRecipe
from inference.training.four_view_sources import TrainedOn
from resources.files import read_json

RECORD = "trained_on.json"
PHANTOMS, MANIFEST = "phantoms", "manifest"
SHIPPED_ID, OWN_ID = "four-view-detector", "four-view-own"
_FREE_LICENCE = "Apache-2.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a run's knowledge comes from. ``data`` and ``licence`` are the user's own words; empty = not said."""

    trained_on: TrainedOn
    start: str  # one sentence about the weights it began with
    start_licence: str  # empty = not known
    started_on: str = (
        PHANTOMS  # what the weights it began with had seen: phantoms at most, manifest, "" = unknown
    )
    recipe: str = ""
    steps: int = 0  # that the run was to take; 0 = the recipe's
    member: int | None = None  # the run learnt from this random 80 %
    data: str = ""
    licence: str = ""
    members: tuple[int, ...] = ()  # random 80 % partitions, of an ensemble
    processes: int = 1  # that took each step together


def start_of(recipe: FourViewRecipe, weights: Path | None) -> tuple[str, str, str]:
    """Say what a run begins with.

    Parameters
    ----------
    weights
        Weights named by the user; None = as the recipe says.

    Returns
    -------
    A sentence, the licence ("" = not known), and what those weights had learnt from ("" = not recorded).
    """
    backbone = recipe.network.backbone
    if weights is not None:
        return _started_from(weights)
    if recipe.imagenet == "package":
        package = PACKAGED[backbone][0].replace("_", "-") if backbone in PACKAGED else backbone
        words = f"Backbone {backbone} started from ImageNet weights ({package}, {_FREE_LICENCE})."
        return words, _FREE_LICENCE, PHANTOMS
    if recipe.imagenet == "timm":
        import inference.models.vision_ops  # noqa: F401 - must come before timm

        import timm  # isort: skip

        found = timm.get_pretrained_cfg(backbone)
        licence = str(getattr(found, "license", None) or "")
        tag = str(getattr(found, "hf_hub_id", None) or backbone)
        said = licence or "licence not stated"
        return f"Backbone {backbone} started from timm's ImageNet weights ({tag}, {said}).", licence, PHANTOMS
    return f"All weights of the network (backbone {backbone}) started at random.", _FREE_LICENCE, PHANTOMS


def _started_from(weights: Path) -> tuple[str, str, str]:
    digest = file_sha256(weights)[:12]
    if not (weights.parent / "card.json").is_file():
        words = f"Started from the weights {weights.name} (SHA-256 {digest}...), whose training is not recorded here."
        return words, "", ""
    card = read_card(weights.parent)
    words = (
        f"Started from the weights of model {card.model_id} {card.version} (SHA-256 {digest}...), which were trained on: "
        f"{card.training_data}"
    )
    clean = PHANTOMS if "No patient's image was used" in card.training_data else ""
    return words, card.licence, str(card.architecture.get("learnt_from", clean))


def write_origin(origin: Origin, folder: Path) -> None:
    """Write the record of a run into its folder."""
    text = json.dumps(asdict(origin), indent=1, ensure_ascii=False)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8")


def read_origin(folder: Path) -> Origin | None:
    """Read the record of a run; None when its folder has none."""
    if not (folder / RECORD).is_file():
        return None
    raw = read_json(folder / RECORD)
    assert isinstance(raw, dict)
    on: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.pop("trained_on").items()}
    return Origin(trained_on=TrainedOn(**on), **{**raw, "members": tuple(raw.get("members", ()))})


def training_words(
    recipe: FourViewRecipe, history: Sequence[Mapping[str, float]], origin: Origin | None
) -> str:
    """Say what a model was trained on, how long, and which step was kept."""
    if origin is None:
        return "Not recorded: the weights were packaged without the record of their training."
    on = origin.trained_on
    words = _phantom_words(on) if on.kind == PHANTOMS else _manifest_words(on, origin.data)
    checks = [entry for entry in history if "validation_sensitivity" in entry]
    if checks:
        best = max(
            checks,
            key=lambda e: e["validation_sensitivity"] + 0.25 * e.get("validation_malignancy_auc", 0.5),
        )
        together = recipe.batch_exams * origin.processes
        exams = f"{together} exams" if together > 1 else "one exam"
        words += f"; {int(checks[-1]['step'])} of {origin.steps or recipe.steps} steps of {exams} run, step {int(best['step'])} kept"
        shown = min(on.validation, recipe.validation_exams)
        others = counted(on.validation_women, "other woman", "other women")
        own = counted(shown, "exam") if shown == on.validation else f"{shown} of the {on.validation} exams"
        words += f" by {shown} validation phantoms" if on.kind == PHANTOMS else f" by {own} of {others}"
    if origin.members:
        which = ", ".join(str(n) for n in origin.members)
        words += (
            f"; mean of {len(origin.members)} networks, each of a random 80 % of the exams (numbers {which})"
        )
    elif origin.member is not None:
        words += f"; of these a random 80 % (number {origin.member})"
    words += f". {origin.start}"
    if on.kind == PHANTOMS and origin.started_on == PHANTOMS:
        return words + " No patient's image was used."
    return words


def counted(number: int, one: str, many: str = "") -> str:
    """Put a number before its noun."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def _phantom_words(on: TrainedOn) -> str:
    return (
        f"{on.exams} synthetic phantom exams (seeds 0 to {on.exams - 1}; pixels of 0.1, 0.15 and 0.2 mm; 5 of 8 "
        "malignant, 2 benign, 1 normal) with their lesions' boxes, outlines, types, malignancy and descriptors"
    )


def _manifest_words(on: TrainedOn, data: str) -> str:
    lesions = ", ".join(f"{count} {name}" for name, count in on.lesions.items()) or "none"
    words = (
        f"{data or 'Images of the user, of which nothing more was said'}: {counted(on.exams, 'exam')} of {counted(on.women, 'woman', 'women')} "
        f"({', '.join(on.kinds)}) from {' and '.join(on.tables)}, {on.malignant} with a cancer, {on.normal} without a "
        f"lesion; lesions marked in views: {lesions}; {on.rule}"
    )
    if on.held_out:
        words += f"; {on.held_out} exams kept for testing were not touched"
    if on.unlabelled:
        words += f"; {on.unlabelled} more exams without truth, learnt from by pseudo-labels"
    if on.unused:
        words += f"; {on.unused} exams without truth were not used"
    return words


def licence_words(origin: Origin | None) -> str:
    """Say under which licence the weights are, or that it is not known; never more than was recorded."""
    if origin is None:
        return (
            "Not stated: the weights were packaged without the record of their training; do not pass them on."
        )
    free = origin.start_licence.lower().startswith(_FREE_LICENCE.lower())
    start = f"the start weights' licence is {origin.start_licence or 'not known'}"
    if origin.trained_on.kind == PHANTOMS:
        return (
            f"{_FREE_LICENCE}, weights included"
            if free
            else f"Phantoms: free; {start}, which holds for these"
        )
    if origin.licence:
        return origin.licence if free else f"{origin.licence}; {start}"
    return (
        "Not stated: the licence of the training images was not named, so not for redistribution unless their owner "
        f"allows it; {start}"
    )


def known_limits(recipe: FourViewRecipe, origin: Origin | None) -> list[str]:
    """Sentences on what the model cannot do, by what it learnt from."""
    phantoms = origin is not None and origin.trained_on.kind == PHANTOMS and origin.started_on == PHANTOMS
    own = origin is not None and origin.trained_on.kind == MANIFEST
    out = []
    if phantoms:
        out += [
            "Trained on synthetic phantoms only; on real mammograms nothing is known of it but what was measured there.",
            "Reads phantoms of the same generator that it was trained on; the held-out ones differ by seed only.",
            "Benign calcifications look like the harmless ones of the phantoms' normal breasts, which the truth "
            "does not list: it is taught to pass over them, and finds few of them.",
            "Shapes, margins and calcification terms are those that the phantoms are drawn with; other BI-RADS "
            "terms are never answered.",
        ]
    else:
        terms = ", ".join(sorted({term for words in TERMS.values() for term in words}))
        out += [
            "What it learnt from is named under training data; its behaviour on images of other makers, places and "
            "women is unknown.",
            f"Of the BI-RADS descriptors it knows {terms}; others in the tables were not learnt.",
        ]
    mm = chain(recipe.preprocessing).pixel_mm
    spots = "; calcifications as bright spots found at 0.15 mm" if recipe.network.planes == 3 else ""
    out.append(f"Reads at {mm:g} mm per pixel{spots}, which need file pixels of 0.25 mm or less.")
    out.append("Implants, spot and magnification views were left out of training.")
    if phantoms:
        out[-1] = "Implants, spot and magnification views were never seen in training."
        out.append(
            "Five of eight training exams held a cancer, so scores are far above what screening would justify."
        )
    elif own and origin is not None:
        on = origin.trained_on
        out.append(
            f"{on.malignant} of {on.exams} training exams held a cancer; where cancer is rarer or commoner the scores "
            "mislead."
        )
        if set(on.lesions) != {"mass", "calcification", "asymmetry", "distortion"}:
            lacking = {"mass", "calcification", "asymmetry", "distortion"} - set(on.lesions)
            out.append(f"Findings that no training exam showed: {', '.join(sorted(lacking))}.")
    return out


def card_of(
    recipe: FourViewRecipe,
    version: str,
    sha256: str,
    history: Sequence[Mapping[str, float]],
    origin: Origin | None,
    model_id: str | None = None,
) -> dict[str, Any]:
    """Return the card of a packaged model, not yet calibrated."""
    network = {name: value for name, value in asdict(recipe.network).items() if name != "pretrained"}
    kind = "" if origin is None else origin.trained_on.kind
    return {
        "schema_version": 1,
        "id": model_id or (OWN_ID if kind == MANIFEST else SHIPPED_ID),
        "name": "Four-view lesion detector" + (" trained on own images" if kind == MANIFEST else ""),
        "version": version,
        "task": "detection, typing, malignancy, description, placing and CC-MLO matching of lesions in the four "
        "standard views",
        "architecture": {
            "family": "four_view",
            "network": json.loads(json.dumps(network)),
            "recipe": recipe.name,
            "learnt_from": kind if origin is None or origin.started_on else "",
            "flips": False,
            "source": "Faster R-CNN with feature pyramid on a timm backbone, left/right and CC/MLO fusion before the "
            "region proposals (after the four-view lesion network of Peking University Shenzhen Hospital)",
        },
        "inputs": ["one to four of the CC and MLO views of both breasts; ordinary, film or low-energy images"],
        "preprocessing": recipe.preprocessing,
        "outputs": [
            {"name": "box", "unit": "0..1", "meaning": "chance that a lesion is there; boxes in stored pixels"},
            {"name": "finding", "unit": "word", "meaning": "mass, calcification, asymmetry or distortion"},
            {"name": "outline", "unit": "pixels", "meaning": "edge of the lesion's mask, stored pixels"},
            {"name": "malignancy", "unit": "0..1", "meaning": "chance that the lesion, if there, is malignant"},
            {
                "name": "attributes", "unit": "word and 0..1",
                "meaning": "BI-RADS shape and margin of masses, morphology and distribution of calcifications",
            },
            {
                "name": "breast score", "unit": "0..1",
                "meaning": "highest lesion chance times malignancy in the breast, not calibrated",
            },
            {"name": "exam score", "unit": "0..1", "meaning": "the higher of the two breasts"},
        ],
        "operating_points": [],
        "score_meaning": "Chance that a lesion is there, and breast score: its chance times its malignancy of the most "
        "suspicious lesion; not calibrated, not probabilities for a patient.",
        "training_data": training_words(recipe, history, origin),
        "licence": licence_words(origin),
        "known_limits": known_limits(recipe, origin),
        "intended_use": "Research use only: to exercise the workstation and its reader studies. Not for diagnosis.",
        "weights": {"file": "weights.safetensors", "sha256": sha256},
    }  # fmt: skip
