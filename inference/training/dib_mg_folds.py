"""Cross-validates dib-mg on real images: trained on four fifths of the women, judged on the last, five times over.

Starts from a packaged model; labels are per image (cancer or normal, benign left out as in the paper). Writes figures
only: weights learnt from such images are neither kept nor shipped.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from inference.evaluation.strata_cases import markdown_tables
from inference.evaluation.tables import Sheet, figure
from inference.exam.manifest import exams_of, load_case, read_manifest
from inference.exam.types import InferenceError
from inference.metrics import bootstrap_interval, delong_auc
from inference.model_card import ModelCard, checked_weights, read_card
from inference.models.cam_classifier import STRIDE, CamNetwork, map_mask
from inference.phantom_evaluation import baseline_scores, blob_response
from inference.preprocessing.layout import point_to_canvas
from inference.preprocessing.pipeline import ModelInput, pipeline
from inference.registry import build
from inference.torch_engine import readable_images
from inference.training.data import augment
from inference.training.loop import evidence_of
from resources.files import read_json
from resources.vocabulary import Pathology

_LOG = logging.getLogger(__name__)
FOLDS, EPOCHS, BATCH, RATE, SEED = 5, 3, 8, 2e-4, 2018
_FINE = 4  # canvas pixels per cell of the map that peaks are read from
Circle = tuple[float, float, float]  # canvas row, column, radius
Named = tuple[NDArray[np.float64], NDArray[np.int64]]  # score per view; 1 hit, 0 miss, -1 nothing to hit


@dataclass(frozen=True, slots=True, kw_only=True)
class RealView:
    """One prepared view: whose, is there a cancer, and where (canvas), for judging only."""

    woman: str
    cancer: bool
    item: ModelInput
    circles: tuple[Circle, ...]


def cross_validate(
    manifest: Path, lesions: Path | None, model: Path, out: Path, *, epochs: int = EPOCHS
) -> str:
    """Run the five folds and write ``folds.json`` and ``folds.md`` to ``out``; returns the page.

    A fold that is done is not done again: its scores lie in ``out``.

    Parameters
    ----------
    manifest, lesions
        Images with pathology, and circles to judge places by.
    model
        Model folder to start from.

    Raises
    ------
    InferenceError
        Fewer than five women with a cancer or without one.
    """
    card = read_card(model)
    views = real_views(manifest, lesions, card.preprocessing)
    parts = folds_of(views)
    out.mkdir(parents=True, exist_ok=True)
    scores, hits = np.zeros(len(views)), np.full(len(views), -1)
    start_scores, start_hits = _kept(out / "start.json", lambda: judged(network_of_card(card), card, views))
    for number in range(FOLDS):
        held = np.flatnonzero(parts == number)
        found = _kept(
            out / f"fold{number}.json", partial(one_fold, card, views, parts, number, epochs=epochs)
        )
        # logits of five networks are brought to one scale by the start's scores, in which no label is used
        scores[held], hits[held] = _rescaled(found[0], start_scores[held]), found[1]
    figures = _figures(views, {"trained": (scores, hits), "not trained on film": (start_scores, start_hits)})
    figures |= {
        "women": len({v.woman for v in views}),
        "epochs": epochs,
        "model": f"{card.model_id} {card.version}",
    }
    (out / "folds.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    page = _page(figures, manifest)
    (out / "folds.md").write_text(page, encoding="utf-8")
    return page


def one_fold(
    card: ModelCard, views: Sequence[RealView], parts: NDArray[np.int64], number: int, *, epochs: int = EPOCHS
) -> Named:
    """Train on four parts and judge the views of part ``number``, in their order."""
    network = _trained(network_of_card(card), views, np.flatnonzero(parts != number), number, epochs)
    found = judged(network, card, [view for view, part in zip(views, parts, strict=True) if part == number])
    _LOG.info("fold %d of %d done", number + 1, FOLDS)
    return found


def _kept(path: Path, made: Callable[[], Named]) -> Named:
    """What the file holds; else what is made, which is written there."""
    if not path.is_file():
        scores, hits = made()
        path.write_text(json.dumps([scores.tolist(), hits.tolist()]), encoding="utf-8")
    stored = read_json(path)
    assert isinstance(stored, list)
    return np.array(stored[0], np.float64), np.array(stored[1], np.int64)


def real_views(manifest: Path, lesions: Path | None, preprocessing: str) -> list[RealView]:
    """Prepare every normal and malignant view of a manifest; benign ones and those without pathology are left out."""
    table = read_manifest(manifest, lesions)
    prepare = pipeline(preprocessing)
    out = []
    for case_id, rows in exams_of(table):
        pathology = {row.view: row.pathology for row in rows}
        kept = {view for view, said in pathology.items() if said in {Pathology.NORMAL, Pathology.MALIGNANT}}
        if not kept:
            continue
        exam = load_case(case_id, tuple(row for row in rows if row.view in kept), table.folder)
        for image in readable_images(exam)[0]:
            item = prepare(image)
            scale = item.placement.scale[0]
            circles = [
                (*point_to_canvas(item.placement, mark.circle[0], mark.circle[1]), mark.circle[2] * scale)
                for mark in table.lesions
                if mark.case_id == case_id and mark.view == image.view and mark.malignant and mark.circle
            ]
            woman = next((row.patient_id for row in rows if row.patient_id), None) or case_id
            cancer = pathology[image.view] is Pathology.MALIGNANT
            out.append(RealView(woman=woman, cancer=cancer, item=item, circles=tuple(circles)))
    return out


def folds_of(views: Sequence[RealView]) -> NDArray[np.int64]:
    """Fold of each view: women drawn into five parts of equally many with a cancer; all views of one together."""
    sick = {view.woman for view in views if view.cancer}
    rng = np.random.default_rng(SEED)
    fold: dict[str, int] = {}
    for group in (sorted(sick), sorted({view.woman for view in views} - sick)):
        if len(group) < FOLDS:
            raise InferenceError(
                f"Cross-validation: expected at least {FOLDS} women with a cancer and {FOLDS} without, found {len(group)}; "
                "give more images."
            )
        fold |= {group[k]: place % FOLDS for place, k in enumerate(rng.permutation(len(group)))}
    return np.array([fold[view.woman] for view in views])


def network_of_card(card: ModelCard) -> CamNetwork:
    """Return a packaged model's network with its weights."""
    import safetensors.torch

    network = build(card)
    stored = safetensors.torch.load(checked_weights(card))
    network.load_state_dict({key: value.float() for key, value in stored.items()})
    return network


def _tensors(views: Sequence[RealView]) -> tuple[Tensor, Tensor, Tensor]:
    planes = torch.from_numpy(np.stack([view.item.planes for view in views]))
    masks = torch.from_numpy(np.stack([view.item.counted for view in views])).float()
    return planes, masks, torch.tensor([float(view.cancer) for view in views])


def _trained(
    network: CamNetwork, views: Sequence[RealView], index: NDArray[np.int64], fold: int, epochs: int
) -> CamNetwork:
    """Learn from some views: half of each batch has a cancer; statistics of normalisation stay as they are."""
    torch.manual_seed(SEED + fold)
    rng = np.random.default_rng((SEED, fold))
    optimizer = torch.optim.AdamW(
        [p for p in network.parameters() if p.requires_grad], RATE, weight_decay=1e-3
    )
    cancers = np.array([k for k in index if views[k].cancer])
    others = np.array([k for k in index if not views[k].cancer])
    steps = max(1, len(others) // (BATCH // 2))
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * steps)
    network.eval()
    for _ in range(epochs):
        drawn = rng.permutation(others)
        for k in range(steps):
            half = BATCH // 2
            chosen = np.concatenate([drawn[k * half : (k + 1) * half], rng.choice(cancers, half)])
            planes, masks, labels = _tensors([views[i] for i in chosen])
            planes, masks = augment(planes, masks, rng)
            logits = network.view_logits(evidence_of(network, planes), map_mask(masks))
            loss = functional.binary_cross_entropy_with_logits(logits, labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            rate.step()
    return network


def judged(network: CamNetwork, card: ModelCard, views: Sequence[RealView]) -> Named:
    """Score views before calibration, and say of each whether its map peaks in a marked cancer."""
    network.eval()
    scores, hits = [], []
    with torch.inference_mode():
        for view in views:
            planes, masks, _ = _tensors([view])
            evidence = network.predict(planes, card.map_offset_px)
            scores.append(float(network.view_logits(evidence, map_mask(masks))))
            hits.append(_hit(evidence[0].numpy(), view))
    return np.array(scores), np.array(hits)


def _hit(evidence: NDArray[np.float32], view: RealView) -> int:
    if not view.circles:
        return -1
    size = (evidence.shape[1] * STRIDE // _FINE, evidence.shape[0] * STRIDE // _FINE)
    fine = cv2.resize(evidence, size, interpolation=cv2.INTER_CUBIC)
    counted = cv2.resize(view.item.counted.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return _peak_hit(np.where(counted > 0, fine, -np.inf), view.circles, _FINE)


def _peak_hit(values: NDArray[np.float64], circles: Sequence[Circle], step: int) -> int:
    row, col = np.unravel_index(int(np.argmax(values)), values.shape)
    y, x = (float(row) + 0.5) * step, (float(col) + 0.5) * step
    return int(any(np.hypot(y - down, x - out) <= radius for down, out, radius in circles))


def _rescaled(scores: NDArray[np.float64], start: NDArray[np.float64]) -> NDArray[np.float64]:
    """The scores with the median and spread that the same views had before training."""
    low, middle, high = np.percentile(scores, [25, 50, 75])
    low0, middle0, high0 = np.percentile(start, [25, 50, 75])
    return np.asarray((scores - middle) / max(high - low, 1e-6) * (high0 - low0) + middle0, np.float64)


def _figures(views: Sequence[RealView], named: dict[str, Named]) -> dict[str, Any]:
    truth = np.array([view.cancer for view in views])
    women = [view.woman for view in views]
    both = [baseline_scores([view.item]) for view in views]
    blob = np.array(
        [_peak_hit(blob_response(v.item).astype(float), v.circles, 1) if v.circles else -1 for v in views]
    )
    rows = dict(named)
    rows["baseline mean intensity"] = (np.array([b["mean intensity"] for b in both]), np.full(len(views), -1))
    rows["baseline blob detector"] = (np.array([b["blob detector"] for b in both]), blob)
    out: dict[str, Any] = {"n_pos": int(truth.sum()), "n_neg": int((~truth).sum()), "rows": {}}
    for name, (scores, hits) in rows.items():
        auc = delong_auc(truth, scores).value
        lo, hi = bootstrap_interval(
            women,
            lambda i, s=scores: delong_auc(truth[i], s[i]).value,  # type: ignore[misc]
            rng=np.random.default_rng(SEED),
            units=min(
                len({w for w, c in zip(women, truth, strict=True) if bool(c) is kind})
                for kind in (True, False)
            ),
        )
        entry: dict[str, Any] = {"auc": {"value": auc, "lo": lo, "hi": hi}}
        asked = np.flatnonzero(hits >= 0)
        if len(asked):
            met = hits[asked].astype(float)
            lo, hi = bootstrap_interval(
                [women[i] for i in asked],
                lambda i, m=met: float(m[i].mean()),  # type: ignore[misc]
                rng=np.random.default_rng(SEED),
                units=len({women[i] for i in asked}),
            )
            entry["pointing"] = {"value": float(met.mean()), "lo": lo, "hi": hi, "n": len(met)}
        out["rows"][name] = entry
    return out


def _page(figures: dict[str, Any], manifest: Path) -> str:
    rows = tuple(
        (name, figure(e["auc"]), figure(e.get("pointing")), str(e.get("pointing", {}).get("n", "-")))
        for name, e in figures["rows"].items()
    )
    sheet = Sheet(
        title=f"{figures['n_pos']} malignant and {figures['n_neg']} normal views of {figures['women']} women",
        columns=("what", "AUC per view", "pointing game", "views with a marked cancer"),
        rows=rows,
    )
    return "\n".join(
        [
            "# dib-mg cross-validated on real images",
            "",
            f"Made by `python -m inference train dib-mg-folds --manifest {manifest.name} --lesions lesions.csv --out folds`; "
            "do not edit by hand.",
            "",
            "Level: real, five folds by woman; 95 % intervals by bootstrap over women. No figure here is a clinical claim. "
            f"Start: {figures['model']}; {figures['epochs']} epochs a fold, labels per image; no such weights are kept.",
            "",
            *markdown_tables([sheet]),
        ]
    )
