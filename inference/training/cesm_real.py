"""What the contrast-mammography model does on real pairs with drawn lesions: outlines, lesions found, attention.

Reads a manifest and its lesions (``datasets prepare cesm``). No malignancy figure: the public set at hand has no
benign case. Nothing here is learnt from or kept.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inference.cesm_engine import CesmEngine
from inference.cesm_judged import Seen
from inference.cesm_lesions import candidates, stored_box
from inference.evaluation.figures import Patients, bootstrap, number, share_json
from inference.exam.manifest import exams_of, load_case, read_manifest
from inference.lesions import given_lesions
from inference.metrics import FROC_RATES, ImageMarks, froc
from inference.models.crop_classifier import grad_cam
from inference.preprocessing.cesm import mask_on_grid
from inference.training.cesm_segmenting import dice
from resources.files import UserFacingError

_LOG = logging.getLogger(__name__)
_ROUNDS = 500


def real_figures(
    engine: CesmEngine, manifest: Path, lesions: Path, *, women: int | None = None
) -> dict[str, Any]:
    """Measure outlines, detection and attention on the contrast pairs of a manifest.

    Parameters
    ----------
    women
        Only the first so many cases; None = all.
    """
    table = read_manifest(manifest, lesions)
    who: list[str] = []
    overlaps: list[float] = []
    marks: list[ImageMarks] = []
    inside: list[float] = []
    shares: list[float] = []
    pointed: list[float] = []
    for case_id, rows in exams_of(table)[:women]:
        try:
            exam = load_case(case_id, rows, table.folder)
            pairs, _ = engine.pairs(exam)
            given, _ = given_lesions(exam, case_id, table.lesions, lesions.parent)
        except UserFacingError as error:
            _LOG.warning("%s left out: %s", case_id, error)
            continue
        for one in engine.read(pairs, lambda _fraction, _text: None, lambda: False):
            mine = [x for x in given if x.image_key == one.pair.recombined_key and x.mask is not None]
            mine = mine or [x for x in given if x.image_key == one.pair.low_key and x.mask is not None]
            masks = [mask_on_grid(one.pair, x.mask) for x in mine if x.mask is not None]
            if not masks:
                continue
            who.append(case_id)
            overlaps.append(dice(one.map >= 0.5, np.any(masks, axis=0)))
            found = [(stored_box(one.pair, c.mask).center, c.presence) for c in candidates(one.pair, one.map)]
            marks.append(
                ImageMarks(
                    patient=case_id,
                    lesions=tuple(x.box for x in mine),
                    marks=tuple((row, col, p) for (row, col), p in found),
                )
            )
            seen = attention(engine, one, masks)
            inside.append(float(np.mean([a for a, _, _ in seen])))
            shares.append(float(np.mean([b for _, b, _ in seen])))
            pointed.append(float(np.mean([c for _, _, c in seen])))
    return _summary(who, overlaps, marks, (inside, shares, pointed))


def attention(
    engine: CesmEngine, seen: Seen, masks: list[NDArray[np.bool_]]
) -> list[tuple[float, float, float]]:
    """For each lesion: share of Grad-CAM inside its mask, the mask's share of the crop, and is the peak inside."""
    crops = engine.crops(seen.pair, masks)
    assert crops is not None
    cams = torch.stack([grad_cam(m, crops) for m in engine.members]).mean(0).cpu().numpy()
    out = []
    for crop, cam in zip(crops.cpu().numpy(), cams, strict=True):
        mask = crop[2] >= 0.5
        peak = np.unravel_index(int(cam.argmax()), cam.shape)
        out.append((float(cam[mask].sum() / max(cam.sum(), 1e-9)), float(mask.mean()), float(mask[peak])))
    return out


def _summary(
    who: list[str],
    overlaps: list[float],
    marks: list[ImageMarks],
    attended: tuple[list[float], list[float], list[float]],
) -> dict[str, Any]:
    patients = Patients(who)
    owner = patients.indices(who)

    def median(values: list[float]) -> dict[str, Any]:
        array = np.array(values)

        def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.array([np.median(np.repeat(array, weights[owner].astype(int)))])

        draws = bootstrap(patients, statistic, seed=11, rounds=_ROUNDS)
        return share_json(float(np.median(array)), draws[:, 0])

    inside, shares, pointed = attended
    return {
        "level": "real",
        "n_women": len(patients.names),
        "n_pairs": len(who),
        "n_lesions": sum(len(m.lesions) for m in marks),
        "dice_median": median(overlaps),
        "dice_over_half": number(float(np.mean(np.array(overlaps) > 0.5))),
        "froc": {f"{rate:g}": number(value) for rate, value in froc(marks, FROC_RATES).items()},
        "cam_inside_median": median(inside),
        "mask_share_median": median(shares),
        "cam_peak_inside": number(float(np.mean(pointed))),
    }
