"""Cross-validation of the lesion segmenter on real contrast pairs, by woman; nothing that it learns is shipped.

Starts from a packaged model's segmenter. The weights of a fold are chosen on women it learns from, apart from the
rest, and judged on women that it never saw.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from inference.cesm_engine import CesmEngine
from inference.evaluation.figures import Patients, bootstrap, number, share_json
from inference.exam.manifest import exams_of, load_case, read_manifest
from inference.lesions import given_lesions
from inference.models.lesion_segmenter import LesionSegmenter, lesion_probability
from inference.preprocessing.cesm import mask_on_canvas, mask_on_grid, prepare_pair, segmenter_canvas
from inference.training.cesm_data import fold_of
from inference.training.cesm_recipe import SegmenterRecipe
from inference.training.cesm_segmenting import (
    PictureSet,
    load_segmenter,
    picture_dice,
    run_segmenter,
)
from resources.files import UserFacingError

_LOG = logging.getLogger(__name__)
FOLDS, STEPS, _ROUNDS = 5, 120, 500


def real_pictures(engine: CesmEngine, manifest: Path, lesions: Path, kept: Path) -> PictureSet:
    """The pairs with a drawn lesion on the segmenter's canvas; kept in the file ``kept`` for the next time."""
    if kept.is_file():
        with np.load(kept) as stored:
            return PictureSet(
                canvases=stored["canvases"],
                masks=stored["masks"],
                cases=tuple(str(c) for c in stored["cases"]),
            )
    table = read_manifest(manifest, lesions)
    canvases, masks, cases = [], [], list[str]()
    for case_id, rows in exams_of(table):
        try:
            exam = load_case(case_id, rows, table.folder)
            pairs, _ = engine.pairs(exam)
            given, _ = given_lesions(exam, case_id, table.lesions, lesions.parent)
        except UserFacingError as error:
            _LOG.warning("%s left out: %s", case_id, error)
            continue
        for images in pairs:
            drawn = [x.mask for x in given if x.image_key == images.recombined.key and x.mask is not None]
            drawn = drawn or [x.mask for x in given if x.image_key == images.low.key and x.mask is not None]
            if not drawn:
                continue
            pair = prepare_pair(images, engine.card.preprocessing)
            mask = mask_on_canvas(pair, np.any([mask_on_grid(pair, m) for m in drawn], axis=0))
            if mask.any():
                canvases.append(segmenter_canvas(pair))
                masks.append(mask.astype(np.uint8))
                cases.append(case_id)
    found = PictureSet(canvases=np.stack(canvases), masks=np.stack(masks), cases=tuple(cases))
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.open("wb") as stream:
        np.savez(stream, canvases=found.canvases, masks=found.masks, cases=np.array(found.cases))
    return found


def run_real_fold(
    segmenter: LesionSegmenter, pictures: PictureSet, fold: int, folder: Path, *, steps: int = STEPS
) -> Path:
    """Learn from the women of the other folds; returns the file with the held-out Dice of each pair."""
    part = np.array([fold_of(case, FOLDS) for case in pictures.cases])
    inner = np.array([fold_of(f"choose|{case}", 6) == 0 for case in pictures.cases])
    learn, choose, held = (
        np.flatnonzero(x) for x in ((part != fold) & ~inner, (part != fold) & inner, part == fold)
    )
    recipe = replace(
        SegmenterRecipe(network=segmenter.config),
        steps=steps,
        healthy=0.0,
        learning_rate=1e-3,
        checkpoint_every=30,
    )
    weights = run_segmenter(
        recipe,
        pictures.part(learn),
        pictures.part(choose),
        folder / f"fold{fold}",
        start=segmenter.state_dict(),
    )
    test = pictures.part(held)
    scores = picture_dice(lesion_probability(load_segmenter(recipe, weights), test.canvases), test.masks)
    before = picture_dice(lesion_probability(segmenter, test.canvases), test.masks)
    path = folder / f"fold{fold}.json"
    path.write_text(
        json.dumps({"cases": list(test.cases), "dice": scores.tolist(), "before": before.tolist()}),
        encoding="utf-8",
    )
    return path


def fold_figures(folder: Path) -> dict[str, Any]:
    """Held-out Dice over the folds that lie in a folder, before and after learning from real pairs."""
    parts = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("fold[0-9].json"))]
    cases = [c for part in parts for c in part["cases"]]
    patients = Patients(cases)
    owner = patients.indices(cases)

    def median(name: str) -> dict[str, Any]:
        values = np.array([v for part in parts for v in part[name]])
        draws = bootstrap(
            patients,
            lambda w: np.array([np.median(np.repeat(values, w[owner].astype(int)))]),
            seed=13,
            rounds=_ROUNDS,
        )
        return share_json(float(np.median(values)), draws[:, 0])

    after = np.array([v for part in parts for v in part["dice"]])
    return {
        "folds": len(parts),
        "of": FOLDS,
        "n_women": len(patients.names),
        "n_pairs": len(cases),
        "dice_median": median("dice"),
        "before_median": median("before"),
        "dice_over_half": number(float((after > 0.5).mean())),
    }
