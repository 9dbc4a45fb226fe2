"""Makes torchvision and timm importable beside a torch build that torchvision's compiled operators do not fit.

PyPI's torchvision for Linux is linked to CUDA; with a CPU build of torch its library does not load and the
import fails. Here its operators' schemas are registered first, and the two that detectors need (``nms``,
``roi_align``) are implemented in numpy and torch. Import this module before torchvision or timm; where the
compiled operators load, it changes nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

# Schemas as in torchvision's csrc/ops (0.28), BSD-3-Clause.
_ROI = "float spatial_scale, SymInt pooled_height, SymInt pooled_width"
_BACK = f"Tensor grad, Tensor rois, {_ROI}"
_SIZE = "SymInt batch_size, SymInt channels, SymInt height, SymInt width"
_DEFORM = (
    "SymInt stride_h, SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt dilation_h, SymInt dilation_w, "
    "SymInt groups, SymInt offset_groups, bool use_mask"
)
_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    f"roi_align(Tensor input, Tensor rois, {_ROI}, int sampling_ratio, bool aligned) -> Tensor",
    f"_roi_align_backward({_BACK}, {_SIZE}, int sampling_ratio, bool aligned) -> Tensor",
    f"qroi_align(Tensor input, Tensor rois, {_ROI}, int sampling_ratio, bool aligned) -> Tensor",
    f"roi_pool(Tensor input, Tensor rois, {_ROI}) -> (Tensor, Tensor)",
    f"_roi_pool_backward(Tensor grad, Tensor rois, Tensor argmax, {_ROI}, {_SIZE}) -> Tensor",
    f"ps_roi_align(Tensor input, Tensor rois, {_ROI}, int sampling_ratio) -> (Tensor, Tensor)",
    f"_ps_roi_align_backward(Tensor grad, Tensor rois, Tensor channel_mapping, {_ROI}, int sampling_ratio, "
    f"{_SIZE}) -> Tensor",
    f"ps_roi_pool(Tensor input, Tensor rois, {_ROI}) -> (Tensor, Tensor)",
    f"_ps_roi_pool_backward(Tensor grad, Tensor rois, Tensor channel_mapping, {_ROI}, {_SIZE}) -> Tensor",
    f"deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, {_DEFORM}) -> Tensor",
    "_deform_conv2d_backward(Tensor grad, Tensor input, Tensor weight, Tensor offset, Tensor mask, "
    f"Tensor bias, {_DEFORM}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    "_cuda_version() -> int",
)
_library: torch.library.Library | None = None  # the registration lives as long as this object


def compiled_ops_load() -> bool:
    """Tell whether torchvision's own compiled operators fit this torch (loads them when they do)."""
    if _library is not None:
        return False
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("The Python package torchvision is not installed; install it.")
    for folder in spec.submodule_search_locations:
        for path in sorted(Path(folder).glob("_C*.*")):
            try:
                torch.ops.load_library(str(path))  # type: ignore[no-untyped-call]
            except (OSError, ImportError, RuntimeError):
                continue
            return True
    return False


def nms(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Greedy non-maximum suppression.

    Parameters
    ----------
    dets
        (boxes, 4) x0, y0, x1, y1.
    scores
        (boxes,) higher = kept first; equal scores keep their order.
    iou_threshold
        A box that overlaps a kept one by more than this is dropped, in [0, 1].

    Returns
    -------
    (kept,) int64 indices, best first, on the device of ``dets``.
    """
    boxes: NDArray[np.float64] = dets.detach().double().cpu().numpy()
    order = np.argsort(-scores.detach().double().cpu().numpy(), kind="stable")
    boxes = boxes[order]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left = np.arange(len(boxes))
    kept: list[int] = []
    while len(left):
        best, rest = left[0], left[1:]
        kept.append(int(order[best]))
        width = np.minimum(boxes[rest, 2], boxes[best, 2]) - np.maximum(boxes[rest, 0], boxes[best, 0])
        height = np.minimum(boxes[rest, 3], boxes[best, 3]) - np.maximum(boxes[rest, 1], boxes[best, 1])
        common = np.maximum(width, 0.0) * np.maximum(height, 0.0)
        left = rest[common <= iou_threshold * (area[rest] + area[best] - common)]
    return torch.tensor(kept, dtype=torch.int64, device=dets.device)


def roi_align(
    input: Tensor,  # noqa: A002 - torchvision's own name
    rois: Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """Average bilinear samples of a feature map in each cell of each region (He et al. 2017, Mask R-CNN).

    Parameters
    ----------
    input
        (images, channels, rows, cols) features.
    rois
        (regions, 5): image index, x0, y0, x1, y1 in pixels of the picture.
    spatial_scale
        Feature cells per picture pixel.
    sampling_ratio
        Samples per cell and axis; 0 or less = as many as feature cells in it.
    aligned
        True = pixel centres at half numbers.

    Returns
    -------
    (regions, channels, pooled_height, pooled_width); a sample more than one cell outside counts zero.
    Differentiable with respect to ``input``.
    """
    images, channels, rows, cols = input.shape
    shape = (len(rois), pooled_height, pooled_width)
    if not len(rois):
        return input.new_zeros((0, channels, pooled_height, pooled_width)) + 0.0 * input.sum()
    box = rois.detach()[:, 1:].float() * spatial_scale - (0.5 if aligned else 0.0)
    y_at, y_in = _samples(box[:, 1], box[:, 3], pooled_height, sampling_ratio, aligned)
    x_at, x_in = _samples(box[:, 0], box[:, 2], pooled_width, sampling_ratio, aligned)
    y_index, y_weight = _corners(y_at, y_in, rows)  # (regions, cells, 2 x samples)
    x_index, x_weight = _corners(x_at, x_in, cols)
    first = (rois.detach()[:, 0].long() * rows * cols)[:, None, None, None, None]
    index = first + y_index[:, :, None, :, None] * cols + x_index[:, None, :, None, :]
    weight = y_weight[:, :, None, :, None] * x_weight[:, None, :, None, :]
    bags = shape[0] * shape[1] * shape[2]
    table = input.permute(0, 2, 3, 1).reshape(images * rows * cols, channels)
    # a bag of weighted rows is one fused kernel, forward and backward; gathers would copy every corner
    pooled = functional.embedding_bag(
        index.reshape(bags, -1),
        table,
        per_sample_weights=weight.reshape(bags, -1).to(table.dtype),
        mode="sum",
    )
    return pooled.reshape(*shape, channels).permute(0, 3, 1, 2)


def _samples(start: Tensor, stop: Tensor, cells: int, ratio: int, aligned: bool) -> tuple[Tensor, Tensor]:
    """Sample places along one axis (regions, cells, samples), and each one's share of its cell."""
    length = stop - start if aligned else (stop - start).clamp(min=1.0)
    size = length / cells
    count = torch.full_like(size, float(ratio)) if ratio > 0 else size.ceil().clamp(min=1.0)
    number = torch.arange(int(count.max()), device=start.device, dtype=start.dtype)
    cell = torch.arange(cells, device=start.device, dtype=start.dtype)
    step = (number + 0.5) / count[:, None]
    at = start[:, None, None] + (cell[:, None] + step[:, None, :]) * size[:, None, None]
    share = (number < count[:, None]).to(start.dtype) / count[:, None]
    return at, share[:, None, :].expand_as(at)


def _corners(at: Tensor, share: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Neighbour indices and weights along one axis, both neighbours of every sample, as csrc/ops has them."""
    inside = ((at >= -1.0) & (at <= size)).to(at.dtype) * share
    at = at.clamp(0.0, float(size - 1))
    low = at.floor()
    above = at - low
    high = (low + 1).clamp(max=float(size - 1))
    index = torch.cat([low, high], -1).long()
    return index, torch.cat([(1.0 - above) * inside, above * inside], -1)


def _make_importable() -> None:
    global _library
    if compiled_ops_load():
        return
    _library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        _library.define(schema)  # type: ignore[no-untyped-call]
    for device in ("CPU", "CUDA"):  # not composite: torchvision registers a fake of its own for nms
        _library.impl("nms", nms, device)  # type: ignore[no-untyped-call]
    _library.impl("roi_align", roi_align, "CompositeImplicitAutograd")  # type: ignore[no-untyped-call]
    _library.impl("_cuda_version", lambda: -1, "CompositeImplicitAutograd")  # type: ignore[no-untyped-call]
    for module in ("torchvision.extension", "torchvision.ops.roi_align"):
        vars(importlib.import_module(module))["_has_ops"] = _yes


def _yes() -> bool:
    return True


if _library is None:
    _make_importable()
