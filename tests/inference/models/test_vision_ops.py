"""The two operators that detectors need, against a scalar reference and, where they load, the compiled ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inference.models import vision_ops


def _reference(
    features: np.ndarray, roi: np.ndarray, scale: float, size: int, ratio: int, aligned: bool
) -> np.ndarray:
    """roi_align as csrc/ops/cpu/roi_align_kernel.cpp says it, one sample at a time."""
    _, channels, rows, cols = features.shape
    x0, y0, x1, y1 = roi[1:] * scale - (0.5 if aligned else 0.0)
    height, width = y1 - y0, x1 - x0
    if not aligned:
        height, width = max(height, 1.0), max(width, 1.0)
    bin_h, bin_w = height / size, width / size
    grid_h = ratio if ratio > 0 else max(1, int(np.ceil(bin_h)))
    grid_w = ratio if ratio > 0 else max(1, int(np.ceil(bin_w)))
    out = np.zeros((channels, size, size))
    for p in range(size):
        for q in range(size):
            for i in range(grid_h):
                for j in range(grid_w):
                    y = y0 + p * bin_h + (i + 0.5) * bin_h / grid_h
                    x = x0 + q * bin_w + (j + 0.5) * bin_w / grid_w
                    out[:, p, q] += _bilinear(features[int(roi[0])], y, x, rows, cols)
            out[:, p, q] /= grid_h * grid_w
    return out


def _bilinear(plane: np.ndarray, y: float, x: float, rows: int, cols: int) -> np.ndarray:
    if y < -1 or y > rows or x < -1 or x > cols:
        return np.zeros(len(plane))
    y, x = max(y, 0.0), max(x, 0.0)
    low_y, low_x = int(y), int(x)
    if low_y >= rows - 1:
        low_y = high_y = rows - 1
        y = float(low_y)
    else:
        high_y = low_y + 1
    if low_x >= cols - 1:
        low_x = high_x = cols - 1
        x = float(low_x)
    else:
        high_x = low_x + 1
    dy, dx = y - low_y, x - low_x
    top = plane[:, low_y, low_x] * (1 - dx) + plane[:, low_y, high_x] * dx
    bottom = plane[:, high_y, low_x] * (1 - dx) + plane[:, high_y, high_x] * dx
    return np.asarray(top * (1 - dy) + bottom * dy)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [2, 0])
def test_roi_align_equals_the_scalar_rule_inside_and_beyond_the_picture(aligned: bool, ratio: int) -> None:
    rng = np.random.default_rng(3)
    features = rng.normal(size=(2, 3, 9, 7))
    rois = np.array(
        [
            [0, 4.0, 6.0, 40.0, 50.0],
            [1, -30.0, -20.0, 30.0, 25.0],
            [1, 20.0, 30.0, 90.0, 110.0],
            [0, 8, 8, 9, 9],
        ]
    )
    found = torch.ops.torchvision.roi_align(
        torch.tensor(features), torch.tensor(rois), 1 / 8, 4, 4, ratio, aligned
    ).numpy()
    for roi, values in zip(rois, found, strict=True):
        np.testing.assert_allclose(values, _reference(features, roi, 1 / 8, 4, ratio, aligned), atol=1e-5)


def test_roi_align_gradient_equals_finite_differences() -> None:
    features = torch.randn(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor([[0.0, -3.0, 2.0, 20.0, 30.0]], dtype=torch.float64)

    def pooled(x: torch.Tensor) -> torch.Tensor:
        return vision_ops.roi_align(x, rois, 0.2, 3, 3, 2, True)

    assert torch.autograd.gradcheck(pooled, (features,))


def test_nms_keeps_what_a_loop_over_pairs_keeps() -> None:
    import torchvision

    rng = np.random.default_rng(5)
    start = rng.uniform(0, 60, (80, 2))
    boxes = np.hstack([start, start + rng.uniform(5, 30, (80, 2))])
    scores = rng.uniform(size=80)
    kept: list[int] = []
    for i in np.argsort(-scores):
        if all(_iou(boxes[i], boxes[k]) <= 0.4 for k in kept):
            kept.append(int(i))
    found = torchvision.ops.nms(torch.tensor(boxes), torch.tensor(scores), 0.4)
    assert found.tolist() == kept


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    common = width * height
    return float(common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common))


def test_no_region_gives_an_empty_answer_that_can_still_be_trained_through() -> None:
    features = torch.randn(1, 4, 6, 6, requires_grad=True)
    out = vision_ops.roi_align(features, torch.zeros(0, 5), 0.25, 7, 7, 2, True)
    assert out.shape == (0, 4, 7, 7)
    out.sum().backward()
    assert features.grad is not None


@pytest.mark.skipif(
    not vision_ops.compiled_ops_load(), reason="torchvision's compiled operators do not load here"
)
def test_own_operators_equal_the_compiled_ones() -> None:
    features = torch.randn(2, 8, 20, 24)
    start = torch.rand(30, 2) * 100
    boxes = torch.cat([start, start + 10 + torch.rand(30, 2) * 80], 1)
    rois = torch.cat([torch.randint(0, 2, (30, 1)).float(), boxes], 1)
    theirs = torch.ops.torchvision.roi_align(features, rois, 0.2, 7, 7, 2, True)
    torch.testing.assert_close(
        vision_ops.roi_align(features, rois, 0.2, 7, 7, 2, True), theirs, atol=1e-4, rtol=1e-4
    )
    scores = torch.rand(30)
    assert (
        vision_ops.nms(boxes, scores, 0.5).tolist() == torch.ops.torchvision.nms(boxes, scores, 0.5).tolist()
    )
