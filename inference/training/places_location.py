"""Trains the small network of region and depth on phantoms, and measures it beside the geometric rule.

Truth is the rule of ``view_frame`` on the phantoms' own nipple and muscle; the rule that competes has to find
both in the picture, as it must at run time.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from inference.exam.types import Box
from inference.exam.view_frame import place_of
from inference.models.lesion_location import LesionLocation, box_plane, locate, view_plane
from inference.preprocessing.landmarks import find_landmarks
from inference.results import CC_REGIONS, MLO_REGIONS
from inference.training.places_data import TrueView, jittered, random_box

_LOG = logging.getLogger(__name__)
LOCATION_SEED = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One box with its true place and what each method says of it."""

    axial: bool
    lesion: bool  # False: a box at random, not a lesion
    region: str
    depth: float
    said: dict[str, tuple[str, float]] = field(default_factory=dict)  # by method


def sample(item: TrueView, rng: np.random.Generator, *, extra: int) -> list[tuple[Box, str, float, bool]]:
    """Jittered boxes of a view's lesions and ``extra`` ones anywhere, each with its region and depth in truth.

    The truth is that of the lesion's own box, not of the jittered one; that of a random box is its own.
    """
    out = []
    for lesion in item.lesions:
        place = place_of(item.frame, *lesion.box.center)
        box = jittered(lesion.box, item.view.grey.shape, item.view.pixel_mm, rng)
        out.append((box, place.region, place.depth, True))
    for _ in range(extra):
        true = random_box(item.view, rng)
        place = place_of(item.frame, *true.center)
        out.append(
            (jittered(true, item.view.grey.shape, item.view.pixel_mm, rng), place.region, place.depth, False)
        )
    return out


def train_location(
    exams: Sequence[tuple[TrueView, ...]], *, epochs: int = 12, batch: int = 32, extra: int = 1
) -> LesionLocation:
    """Train the network: every epoch draws new boxes; one cycle of AdamW."""
    torch.manual_seed(LOCATION_SEED)
    rng = np.random.default_rng(LOCATION_SEED)
    items = [item for exam in exams for item in exam]
    greys = [view_plane(item.view) for item in items]
    network = LesionLocation()
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    steps = epochs * -(-len(items) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=2e-3, total_steps=steps, pct_start=0.15)
    for epoch in range(epochs):
        order, losses = rng.permutation(len(items)), []
        for start in range(0, len(items), batch):
            chosen = order[start : start + batch]
            loss = _loss(network, [(items[k], greys[k]) for k in chosen], rng, extra)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
        _LOG.info("location epoch %d of %d: loss %.3f", epoch + 1, epochs, float(np.mean(losses)))
    network.eval()
    return network


def _loss(
    network: LesionLocation,
    views: Sequence[tuple[TrueView, NDArray[np.float32]]],
    rng: np.random.Generator,
    extra: int,
) -> torch.Tensor:
    planes, regions, depths, axial = [], [], [], []
    for item, grey in views:
        is_axial = item.frame.projection.is_axial
        names = CC_REGIONS if is_axial else MLO_REGIONS
        gain, bias = rng.uniform(0.85, 1.15), rng.uniform(-0.05, 0.05)
        toned = np.where(grey > 0, np.clip(grey * gain + bias, 0.02, 1.0), 0.0).astype(np.float32)
        for box, region, depth, _ in sample(item, rng, extra=extra):
            planes.append(np.stack([toned, box_plane(item.view, box)]))
            regions.append(names.index(region))
            depths.append(depth)
            axial.append(is_axial)
    oblique_logits, axial_logits, found = network(torch.from_numpy(np.stack(planes)))
    sides, true = torch.tensor(axial), torch.tensor(regions)
    said = torch.where(sides, found[:, 1], found[:, 0])
    loss = functional.smooth_l1_loss(said, torch.tensor(depths, dtype=torch.float32), beta=0.05) * 4.0
    for mine, logits in ((sides, axial_logits), (~sides, oblique_logits)):
        if mine.any():
            loss = loss + functional.cross_entropy(logits[mine], true[mine]) * mine.float().mean()
    return loss


def judged(
    exams: Sequence[tuple[TrueView, ...]], network: LesionLocation | None, rng: np.random.Generator
) -> list[Placed]:
    """Place jittered boxes of held-out exams by the rule on found landmarks and by the network."""
    out = []
    for exam in exams:
        for item in exam:
            marks = find_landmarks(item.view)
            drawn = sample(item, rng, extra=1)
            by_network = locate(network, item.view, [b for b, *_ in drawn]) if network else []
            for k, (box, region, depth, lesion) in enumerate(drawn):
                said = {}
                place = marks.place(*box.center)
                if place is not None:
                    said["rule"] = (place.region, place.depth)
                if network:
                    said["network"] = by_network[k]
                out.append(
                    Placed(
                        axial=item.frame.projection.is_axial,
                        lesion=lesion,
                        region=region,
                        depth=depth,
                        said=said,
                    )
                )
    return out


def location_figures(placed: Sequence[Placed], method: str) -> dict[str, float]:
    """Share of right regions and mean absolute depth error of one method, on lesions and on all boxes."""
    out: dict[str, float] = {}
    groups = {
        "lesions": [p for p in placed if p.lesion],
        "lesions CC": [p for p in placed if p.lesion and p.axial],
        "lesions MLO": [p for p in placed if p.lesion and not p.axial],
        "anywhere": [p for p in placed if not p.lesion],
    }
    for name, group in groups.items():
        told = [p for p in group if method in p.said]
        out[f"{name} region"] = sum(p.said[method][0] == p.region for p in told) / max(len(group), 1)
        out[f"{name} depth"] = (
            float(np.mean([abs(p.said[method][1] - p.depth) for p in told])) if told else 1.0
        )
        out[f"{name} count"] = float(len(group))
    return out
