"""Trains the contrast-mammography model on a user's own pairs, cross-validated by woman, and packages it.

Each fold has a segmenter and a classifier that its women had no part in; what is calibrated and reported is what
these say of them. Which rows are learnt from is ``cesm_sources``'s.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.cesm_engine import CesmEngine
from inference.cesm_judged import Seen
from inference.device import chosen_device
from inference.exam.manifest import load_case
from inference.exam.types import Box, InferenceError
from inference.lesions import given_lesions
from inference.model_card import read_card, write_card
from inference.registry import load_card
from inference.training.cesm_cases import CesmCase, Listed, TrueLesion, ViewTruth, measured_exam
from inference.training.cesm_data import CropSet, joined_crops
from inference.training.cesm_evaluation import (
    auc_json,
    found_figures,
    judged_breasts,
    operating,
    subgroups,
)
from inference.training.cesm_loop import load_classifier, run_fold
from inference.training.cesm_packaging import (
    calibrate_malignancy,
    calibrate_presence,
    held_out,
    package,
    presence_scale,
)
from inference.training.cesm_recipe import CesmOrder, CesmRecipe, SegmenterRecipe, variant_name
from inference.training.cesm_segmenting import joined_pictures, load_segmenter, run_segmenter
from inference.training.cesm_sources import CesmSource, CesmSourceCase, cesm_source, marks_of
from inference.training.four_view_card import Origin, licence_words
from inference.training.four_view_sources import write_left_out

_LOG = logging.getLogger(__name__)
RECORD = "trained_on.json"
OWN_ID = "cesm-cbam-own"
_START = "cesm-cbam"  # the model whose segmenter a fold's begins with
_CHOOSE = 6  # one woman in so many of those learnt from chooses the segmenter's step


def train_on_manifest(order: CesmOrder, recipe: CesmRecipe, folder: Path, *, version: str) -> Path | None:
    """Train all folds on the pairs of ``order.manifest``, or go on with them, and write the model folder.

    Parameters
    ----------
    order
        With ``fold`` only that fold is trained and nothing is packaged.
    recipe
        Any that shows the networks both images.

    Returns
    -------
    The model folder, None when there is no model to write yet; ``left_out.csv`` in ``order.out`` says what was not learnt from.

    Raises
    ------
    InferenceError
        A table is not named, cannot be learnt from, or the run's folder holds another one's folds.
    """
    if order.manifest is None or order.lesions is None:
        raise InferenceError(
            "train cesm-cbam: expected --manifest with --lesions, for malignant and benign are told by the lesions "
            "table, found one of them alone; name both."
        )
    source = cesm_source(
        order.manifest, order.lesions, order.cache, recipe.preprocessing,
        folds=recipe.folds, seed=recipe.seed, most_left_out=order.most_left_out,
    )  # fmt: skip
    order.out.mkdir(parents=True, exist_ok=True)
    _check_same(order.out, source)
    write_left_out(source.left_out, order.out / "left_out.csv")
    recipe = replace(recipe, folds=source.count)
    data = joined_crops(source.exams, source.folds)
    outlines = SegmenterRecipe(
        network=_start().segmenter.config, preprocessing=recipe.preprocessing, steps=order.outline_steps,
        healthy=0.1, learning_rate=1e-3, checkpoint_every=30,
    )  # fmt: skip
    runs: dict[int, Path] = {}
    segmenters: dict[int, Path] = {}
    for fold in range(recipe.folds) if order.fold is None else (order.fold,):
        segmenters[fold] = _segmenter(outlines, source, fold, order.out)
        target = order.out / variant_name(recipe) / f"fold{fold}"
        runs[fold] = run_fold(recipe, data, fold, target, device=chosen_device(order.device))
    if order.fold is not None or recipe.energies != "both":
        _LOG.info("trained %s; a model is packaged of all folds that see both images", variant_name(recipe))
        return None
    shipped = [runs[n] for n in sorted(runs)][: order.shipped]
    package(recipe, outlines, shipped, segmenters[0], folder, version=version, trained=len(runs))
    _note_origin(folder, order, recipe, outlines, source)
    calibrate_malignancy(folder, recipe, data, runs, f"exams of {order.manifest.name}")
    measured = _measured(folder, recipe, outlines, source, (runs, segmenters))
    _calibrate(folder, source, measured, order.manifest.name)
    _note_figures(folder, recipe, data, runs, [case for _, found in measured for case in found])
    return folder


def _start() -> CesmEngine:
    return CesmEngine(load_card(_START).folder, "cpu", members=1)


def _check_same(out: Path, source: CesmSource) -> None:
    """A run's folder goes on with the tables that it began with, or not at all."""
    path = out / RECORD
    if path.is_file():
        was = json.loads(path.read_text(encoding="utf-8"))["identity"]
        if was != source.identity:
            raise InferenceError(
                f"{out.name}: expected a run of {source.identity}, found one of {was}; name another --out."
            )
    told = {"identity": source.identity, "trained_on": asdict(source.trained_on), "folds": dict(source.folds)}
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _segmenter(recipe: SegmenterRecipe, source: CesmSource, fold: int, out: Path) -> Path:
    """The fold's segmenter: from the shipped one, learnt on the other folds' women, some of whom choose the step."""
    woman = {case.case_id: case.woman for case in source.cases}
    learning = [exam for exam in source.exams if source.folds[exam.case_id] != fold]
    pictures = joined_pictures(learning)
    women = sorted({woman[case] for case in pictures.cases})
    sick = {woman[c] for n, c in enumerate(pictures.cases) if pictures.masks[n].any()}
    choosing = set(sorted(sick)[fold % _CHOOSE :: _CHOOSE]) if len(sick) >= 2 * _CHOOSE else set(women)
    learn = [n for n, c in enumerate(pictures.cases) if woman[c] not in choosing or choosing == set(women)]
    check = [n for n, c in enumerate(pictures.cases) if woman[c] in choosing and pictures.masks[n].any()]
    return run_segmenter(
        recipe,
        pictures.part(learn),
        pictures.part(check),
        out / "segmenter" / f"fold{fold}",
        start=_start().segmenter.state_dict(),
    )


def _measured(
    folder: Path,
    recipe: CesmRecipe,
    outlines: SegmenterRecipe,
    source: CesmSource,
    trained: tuple[Mapping[int, Path], Mapping[int, Path]],
) -> list[tuple[list[Any], list[CesmCase]]]:
    """Each fold's classifier with the exams of the fold, read by its segmenter."""
    runs, segmenters = trained
    engine = CesmEngine(folder, "cpu", floor=0.0)
    out: list[tuple[list[Any], list[CesmCase]]] = []
    for fold in sorted(runs):
        engine.segmenter = load_segmenter(outlines, segmenters[fold])
        engine.members = [load_classifier(recipe, runs[fold])]
        held = [case for case in source.cases if source.folds[case.case_id] == fold]
        out.append((engine.members, [_read(engine, source, case) for case in held]))
    return out


def _read(engine: CesmEngine, source: CesmSource, case: CesmSourceCase) -> CesmCase:
    exam = load_case(case.case_id, case.rows, source.folder)
    given, _ = given_lesions(exam, case.case_id, case.marks, source.lesion_folder)

    def truth_of(one: Seen) -> ViewTruth:
        view = one.images.low.view
        if not case.looked_at(view.laterality):
            rows, cols = one.pair.stored_shape
            return ViewTruth(listed=(), ignored=(Box(row0=0, col0=0, row1=rows, col1=cols),))
        marks = marks_of(case, view, one.pair, given)
        listed = [
            Listed(
                truth=TrueLesion(
                    side=view.laterality.value, view=view.projection.value, lesion_id=sample.lesion_id,
                    finding=sample.finding, malignant=sample.malignant, diameter_mm=sample.diameter_mm,
                    enhancement=sample.enhancement,
                ),
                box=lesion.box,
                mask=mask,
            )
            for sample, mask, lesion in marks
            if sample is not None
        ]  # fmt: skip
        ignored = (lesion.box for sample, _, lesion in marks if sample is None)
        return ViewTruth(listed=tuple(listed), ignored=tuple(ignored))

    return measured_exam(engine, exam, truth_of, case.cancer())


def _calibrate(
    folder: Path, source: CesmSource, measured: Sequence[tuple[list[Any], list[CesmCase]]], name: str
) -> None:
    spec = read_card(folder).architecture
    scale = (float(spec["malignancy_slope"]), float(spec["malignancy_intercept"]))
    cases = [case for _, found in measured for case in found]
    of = f"exams of {name}, each by the networks of its fold ({source.count} folds)"
    calibrate_presence(folder, cases, judged_breasts(measured, scale), of)


def _note_figures(
    folder: Path, recipe: CesmRecipe, data: CropSet, runs: Mapping[int, Path], measured: Sequence[CesmCase]
) -> None:
    """Write what the folds' networks say of women whom they never saw into the card."""
    raw = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    index, logits = held_out(recipe, data, runs)
    held = data.part(index)
    scores: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-logits))
    spec = raw["architecture"]
    scale = (spec["malignancy_slope"], spec["malignancy_intercept"])
    plain = np.array([s.enhancement for s in held.samples])
    raw["evaluation"] = {
        "own": {
            "level": "the user's images, each woman judged by networks that never saw her",
            "folds": len(runs),
            "n_exams": len(measured),
            "auc": auc_json(held, scores),
            "enhancement_alone": auc_json(held, plain),
            "subgroups": subgroups(held, scores),
            "operating": operating(held, scores, raw["operating_points"], scale),
            **found_figures(measured, presence_scale(measured)),
        }
    }
    write_card(folder, raw)


def _note_origin(
    folder: Path, order: CesmOrder, recipe: CesmRecipe, outlines: SegmenterRecipe, source: CesmSource
) -> None:
    """Say in the card what the weights learnt from, under which terms, and what is not known of them."""
    raw = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    on, start = source.trained_on, load_card(_START)
    packaged = recipe.imagenet == "package"
    counts = on.lesions
    origin = Origin(
        trained_on=on,
        start="",
        start_licence="Apache-2.0" if packaged or recipe.imagenet == "none" else "",
        data=order.data,
        licence=order.licence,
    )
    raw |= {
        "id": order.model_id or OWN_ID,
        "name": "Contrast mammography lesions (CBAM) trained on own images",
        "training_data": f"{order.data or 'Images of the user, of which nothing more was said'}: {on.exams} exams of "
        f"{on.women} women from {' and '.join(on.tables)}, {on.malignant} with a cancer, {on.normal} without a lesion; "
        f"{counts['malignant']} malignant and {counts['benign']} benign lesions; {on.rule}"
        + (f"; {on.held_out} exams kept for testing were not touched" if on.held_out else "")
        + f". {source.count} folds of {recipe.epochs} epochs, {raw['architecture']['members']} shipped; "
        f"segmenter: {outlines.steps} steps a fold from the weights of {start.model_id} {start.version}, that of the "
        f"first fold shipped. Backbone {recipe.network.backbone} started "
        + ("at random." if recipe.imagenet == "none" else "from ImageNet weights."),
        "licence": licence_words(origin),
        "score_meaning": "Chance that a lesion is there, its malignancy, and breast score: chance of cancer from the "
        "most suspicious lesion; as calibrated on the exams it was cross-validated on; not probabilities for a patient.",
        "known_limits": [
            "What it learnt from is named under training data; its behaviour on images of other makers, places and "
            "women is unknown.",
            "Thresholds and figures are those of each fold's own networks; the model that is packaged is the mean of "
            f"{raw['architecture']['members']} of them, and was not measured on women of its own.",
            "Lesions of one exam count together in the intervals of areas under the curve; several exams of one woman "
            "count as independent.",
            "Lesions known by a box only were learnt as the ellipse in it.",
            "Outlines come from a map of 0.6 to 1 mm per pixel; lesions under 4 mm are passed over.",
            "Without a recorded pixel size the margin about a lesion is a guess.",
            f"{on.malignant} of {on.exams} training exams held a cancer; where cancer is rarer or commoner the scores "
            "mislead.",
        ],
    }  # fmt: skip
    raw["architecture"]["learnt_from"] = "manifest"
    write_card(folder, raw)
