"""From prepared exams to a step's tensors: augmentation, dropped views, boxes and masks of the views that stay.

Everything random comes from the generator passed in, so that a resumed run repeats a step exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.models.four_view import BOTH, NEITHER, Fused, Views
from inference.models.four_view_fusion import OTHER_SIDE
from inference.models.four_view_heads import Targets
from inference.preprocessing.four_view import AIR, MULTIPLE
from inference.training.four_view_data import FINDINGS, TERMS, LesionTruth, PreparedExam, term_index

_SHIFT = 10  # canvas pixels that a view may be moved, so that fusion forgives misalignment
_SMALLEST = 6.0  # canvas pixels; what augmentation leaves smaller is no lesion any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How much is varied. Scale is the paper's; a horizontal flip changes a woman's left and right breast."""

    scale: tuple[float, float] = (0.8, 1.2)
    swap_sides: float = 0.5
    flip_rows: float = 0.3
    drop_views: float = 0.15
    drop_fusion: float = 0.4
    tone: float = 0.15


NONE = Augmentation(
    scale=(1.0, 1.0), swap_sides=0.0, flip_rows=0.0, drop_views=0.0, drop_fusion=0.0, tone=0.0
)


def drawn_fusion(plan: Augmentation, rng: np.random.Generator) -> Fused:
    """Draw which fusion parts work in a step, so that each subset of them is trained."""
    if rng.random() >= plan.drop_fusion:
        return BOTH
    return (Fused(sides=True, projections=False), Fused(sides=False, projections=True), NEITHER)[
        int(rng.integers(3))
    ]


def augmented(exam: PreparedExam, plan: Augmentation, rng: np.random.Generator) -> PreparedExam:
    """Return a varied exam: scale, sides changed, rows flipped, tone, each view a little moved, views dropped."""
    exam = _dropped(exam, plan, rng)
    if rng.random() < plan.swap_sides:
        exam = replace(exam, slots=tuple(OTHER_SIDE[slot] for slot in exam.slots))
    scale = float(rng.uniform(*plan.scale))
    if abs(scale - 1.0) > 0.02:
        exam = _scaled(exam, scale)
    planes = exam.planes.copy()
    lesions = list(exam.lesions)
    flipped = {axial: rng.random() < plan.flip_rows for axial in (True, False)}  # a projection's views alike
    for view, slot in enumerate(exam.slots):
        if flipped[slot < 2]:
            used = exam.used_rows[view]
            planes[view, :, :used] = planes[view, :, :used][:, ::-1]
            lesions = [_flipped(x, used) if x.view == view else x for x in lesions]
        if plan.tone:
            planes[view] = _toned(planes[view], plan.tone, rng)
            down, right = (int(v) for v in rng.integers(-_SHIFT, _SHIFT + 1, 2))
            planes[view] = _moved(planes[view], down, right)
            lesions = [_shifted(x, down, right) if x.view == view else x for x in lesions]
    return replace(exam, planes=planes, lesions=tuple(lesions))


def _dropped(exam: PreparedExam, plan: Augmentation, rng: np.random.Generator) -> PreparedExam:
    count = len(exam.slots)
    if count < 2 or rng.random() >= plan.drop_views:
        return exam
    kept = sorted(rng.choice(count, int(rng.integers(1, count)), replace=False).tolist())
    number = {old: new for new, old in enumerate(kept)}
    return replace(
        exam,
        planes=exam.planes[kept],
        slots=tuple(exam.slots[k] for k in kept),
        used_rows=tuple(exam.used_rows[k] for k in kept),
        lesions=tuple(replace(x, view=number[x.view]) for x in exam.lesions if x.view in number),
    )


def _scaled(exam: PreparedExam, scale: float) -> PreparedExam:
    """Resize every view about the canvas's right edge and top; the canvas grows or shrinks in whole strides."""
    views, planes, rows, cols = exam.planes.shape
    used = tuple(-(-round(u * scale) // MULTIPLE) * MULTIPLE for u in exam.used_rows)
    size = (round(rows * scale), round(cols * scale))
    shape = (max(used), -(-size[1] // MULTIPLE) * MULTIPLE)
    left = shape[1] - size[1]
    out = np.empty((views, planes, *shape), np.uint8)
    out[:] = np.array(AIR[:planes], np.uint8)[:, None, None]
    height = min(size[0], shape[0])
    for view in range(views):
        for plane in range(planes):
            small = cv2.resize(exam.planes[view, plane], size[::-1], interpolation=cv2.INTER_LINEAR)
            out[view, plane, :height, left:] = small[:height]
    lesions = tuple(_resized(x, scale, left) for x in exam.lesions)
    return replace(exam, planes=out, used_rows=used, lesions=lesions)


def _resized(lesion: LesionTruth, scale: float, left: int) -> LesionTruth:
    row0, col0, row1, col1 = (v * scale for v in lesion.box)
    outline = tuple((r * scale, c * scale + left) for r, c in lesion.outline)
    return replace(lesion, box=(row0, col0 + left, row1, col1 + left), outline=outline)


def _flipped(lesion: LesionTruth, rows: int) -> LesionTruth:
    row0, col0, row1, col1 = lesion.box
    return replace(
        lesion,
        box=(rows - row1, col0, rows - row0, col1),
        outline=tuple((rows - r, c) for r, c in lesion.outline),
    )


def _shifted(lesion: LesionTruth, down: int, right: int) -> LesionTruth:
    row0, col0, row1, col1 = lesion.box
    return replace(
        lesion,
        box=(row0 + down, col0 + right, row1 + down, col1 + right),
        outline=tuple((r + down, c + right) for r, c in lesion.outline),
    )


def _moved(planes: NDArray[np.uint8], down: int, right: int) -> NDArray[np.uint8]:
    out = np.empty_like(planes)
    out[:] = np.array(AIR[: len(planes)], np.uint8)[:, None, None]
    rows, cols = planes.shape[1:]
    to_r, to_c = slice(max(down, 0), rows + min(down, 0)), slice(max(right, 0), cols + min(right, 0))
    of_r, of_c = slice(max(-down, 0), rows + min(-down, 0)), slice(max(-right, 0), cols + min(-right, 0))
    out[:, to_r, to_c] = planes[:, of_r, of_c]
    return out


def _toned(planes: NDArray[np.uint8], amount: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Vary gamma, gain and level of the grey, and the strength of spots and detail; air stays air."""
    grey = np.linspace(0.0, 1.0, 256) ** float(np.exp(rng.uniform(-amount, amount) * 1.5))
    grey = 255.0 * (
        (grey - 0.5) * float(rng.uniform(1 - amount, 1 + amount)) + 0.5 + rng.uniform(-amount, amount) / 3
    )
    tables = [np.where(np.arange(256) > 0, np.clip(grey, 1, 255), 0)]
    strength = rng.uniform(1 - 2 * amount, 1 + 2 * amount, 2)
    tables.append(np.clip(np.arange(256) * strength[0], 0, 255))
    tables.append(np.clip((np.arange(256) - 128.0) * strength[1] + 128.0, 0, 255))
    return np.stack([table.astype(np.uint8)[plane] for table, plane in zip(tables, planes, strict=False)])


def views_tensor(planes: NDArray[np.uint8]) -> Tensor:
    """Bytes (views, planes, rows, cols) to the network's numbers, as its ImageNet start knows them."""
    return (torch.from_numpy(planes).float() - 127.0) / 128.0


def batch_of(exams: Sequence[PreparedExam], *, masks: bool) -> tuple[Views, list[Targets]]:
    """Put exams into one batch, canvases padded above their left and at the bottom to the largest.

    Parameters
    ----------
    masks
        Also draw each lesion's outline.

    Returns
    -------
    The views of all exams in order, and one target for each.
    """
    rows = max(exam.planes.shape[2] for exam in exams)
    cols = max(exam.planes.shape[3] for exam in exams)
    stack: list[NDArray[np.uint8]] = []
    targets: list[Targets] = []
    for exam in exams:
        left = cols - exam.planes.shape[3]
        count, planes = exam.planes.shape[:2]
        wide = np.empty((count, planes, rows, cols), np.uint8)
        wide[:] = np.array(AIR[:planes], np.uint8)[:, None, None]
        wide[:, :, : exam.planes.shape[2], left:] = exam.planes
        stack.append(wide)
        for view in range(count):
            mine = [_shifted(x, 0, left) for x in exam.lesions if x.view == view]
            targets.append(_target(mine, (rows, cols), masks))
    views = Views(
        planes=views_tensor(np.concatenate(stack)),
        exams=tuple(n for n, exam in enumerate(exams) for _ in exam.slots),
        slots=tuple(slot for exam in exams for slot in exam.slots),
        used_rows=tuple(used for exam in exams for used in exam.used_rows),
    )
    return views, targets


def _target(lesions: Sequence[LesionTruth], shape: tuple[int, int], masks: bool) -> Targets:
    rows, cols = shape
    kept: list[tuple[LesionTruth, tuple[float, float, float, float]]] = []
    for lesion in lesions:
        row0, row1 = (float(v) for v in np.clip(lesion.box[::2], 0, rows))
        col0, col1 = (float(v) for v in np.clip(lesion.box[1::2], 0, cols))
        if row1 - row0 >= _SMALLEST and col1 - col0 >= _SMALLEST:
            kept.append((lesion, (col0, row0, col1, row1)))
    drawn = None
    if masks and kept:
        shapes = np.zeros((len(kept), rows, cols), np.uint8)
        for plane, (lesion, _) in zip(shapes, kept, strict=True):
            if lesion.outline:
                corners = np.round(np.array(lesion.outline)[:, ::-1]).astype(np.int32)
                cv2.fillPoly(plane, [corners], (1,))
        drawn = torch.from_numpy(shapes)
    return Targets(
        boxes=torch.tensor([box for _, box in kept], dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor([FINDINGS.index(x.finding) + 1 for x, _ in kept], dtype=torch.int64),
        malignant=torch.tensor(
            [-100 if x.malignant is None else int(x.malignant) for x, _ in kept], dtype=torch.int64
        ),
        descriptors={
            name: torch.tensor([term_index(name, getattr(x, name)) for x, _ in kept], dtype=torch.int64)
            for name in TERMS
        },
        masks=drawn,
        drawn=torch.tensor([bool(x.outline) for x, _ in kept], dtype=torch.bool),
    )
