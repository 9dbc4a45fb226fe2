"""Averages what several runs of a four-view detector say of one view: an ensemble's members, mirrored views.

Answers in, one answer out; running the networks is the engine's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from inference.models.four_view import Views
from inference.models.four_view_heads import Found

_SAME_IOU = 0.4  # boxes of two networks, or of a picture and its mirror image, that are one lesion


def on_cpu(found: Found) -> Found:
    """Return the same answer in full precision on the CPU."""
    return Found(
        boxes=found.boxes.float().cpu(),
        score=found.score.float().cpu(),
        types=found.types.float().cpu(),
        malignancy=found.malignancy.float().cpu(),
        descriptors={name: x.float().cpu() for name, x in found.descriptors.items()},
        masks=None if found.masks is None else found.masks.float().cpu(),
    )


def upside_down(views: Views) -> Views:
    """Return the views mirrored head to foot, each within the rows that it uses."""
    planes = views.planes.clone()
    for view, used in enumerate(views.used_rows):
        planes[view, :, :used] = planes[view, :, :used].flip(1)
    return replace(views, planes=planes)


def turned_back(found: Sequence[Found], used_rows: Sequence[int]) -> list[Found]:
    """Map answers on mirrored views back to the views as they are."""
    out = []
    for answer, used in zip(found, used_rows, strict=True):
        boxes = answer.boxes.clone()
        boxes[:, 1], boxes[:, 3] = used - answer.boxes[:, 3], used - answer.boxes[:, 1]
        masks = None if answer.masks is None else answer.masks.flip(1)
        out.append(replace(answer, boxes=boxes, masks=masks))
    return out


def merged(runs: Sequence[Found]) -> Found:
    """Average the lesions of several runs on one view; a run that does not see a lesion counts as zero.

    Boxes, types, malignancy, descriptors and masks are means weighted by the score.
    """
    parts = [(run, n) for run in runs for n in range(len(run.score))]
    parts.sort(key=lambda part: -float(part[0].score[part[1]]))
    groups: list[list[tuple[Found, int]]] = []
    for run, n in parts:
        home = next(
            (g for g in groups if all(r is not run for r, _ in g) and _iou(g[0], (run, n)) > _SAME_IOU), None
        )
        if home is None:
            groups.append([(run, n)])
        else:
            home.append((run, n))
    if not groups:
        return runs[0]
    weights = [torch.stack([run.score[n] for run, n in g]) for g in groups]

    def mean(name: str) -> Tensor:
        out = []
        for group, weight in zip(groups, weights, strict=True):
            values = torch.stack([getattr(run, name)[n] for run, n in group])
            share = (weight / weight.sum()).view(-1, *[1] * (values.dim() - 1))
            out.append((values * share).sum(0))
        return torch.stack(out)

    score = torch.stack([weight.sum() / len(runs) for weight in weights])
    best = [max(g, key=lambda part: float(part[0].score[part[1]])) for g in groups]
    answer = Found(
        boxes=mean("boxes"),
        score=score,
        types=mean("types"),
        malignancy=mean("malignancy"),
        descriptors={
            name: torch.stack([run.descriptors[name][n] for run, n in best]) for name in runs[0].descriptors
        },
        masks=None if runs[0].masks is None else mean("masks"),
    )
    order = score.argsort(descending=True)
    return Found(
        boxes=answer.boxes[order],
        score=score[order],
        types=answer.types[order],
        malignancy=answer.malignancy[order],
        descriptors={name: x[order] for name, x in answer.descriptors.items()},
        masks=None if answer.masks is None else answer.masks[order],
    )


def _iou(a: tuple[Found, int], b: tuple[Found, int]) -> float:
    first, second = a[0].boxes[a[1]], b[0].boxes[b[1]]
    low, high = torch.maximum(first[:2], second[:2]), torch.minimum(first[2:], second[2:])
    common = float((high - low).clamp(min=0).prod())
    total = float((first[2:] - first[:2]).prod() + (second[2:] - second[:2]).prod()) - common
    return common / total if total > 0 else 0.0
