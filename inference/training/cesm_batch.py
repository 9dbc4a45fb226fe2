"""Batches for the contrast-mammography models: crops turned, scaled, shifted and toned; pictures likewise.

Owns the variation of training images and the energies a network is shown; what they are taken from is
``cesm_data``'s.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from inference.training.cesm_data import REACH
from inference.training.cesm_recipe import CesmRecipe, SegmenterRecipe


def shown(crops: Tensor, energies: str) -> Tensor:
    """Blank the grey channel that "low" or "recombined" alone leaves out, both of "neither"; "both" changes nothing."""
    blank = {"both": [], "low": [1], "recombined": [0], "neither": [0, 1]}[energies]
    if not blank:
        return crops
    kept = crops.clone()
    kept[:, blank] = 0.0
    return kept


def inner_crops(
    crops: NDArray[np.uint8], size: int, energies: str = "both", *, equalise: bool = False
) -> Tensor:
    """The lesions' squares of kept crops, (n, 3, size, size) in 0..1; ``equalise`` = each grey channel alone."""
    room = torch.from_numpy(np.ascontiguousarray(crops)).float() / 255.0
    theta = torch.eye(2, 3).repeat(len(room), 1, 1) / REACH
    out = _sampled(room, theta, size)
    return shown(_equalised(out) if equalise else out, energies)


def training_crops(crops: NDArray[np.uint8], recipe: CesmRecipe, rng: np.random.Generator) -> Tensor:
    """Crops varied as the recipe says, (n, 3, size, size) in 0..1."""
    kept = crops.copy()
    for n in np.flatnonzero(rng.random(len(kept)) < recipe.rough_masks).tolist():
        kept[n, 2] = rough_mask(kept[n, 2], rng)
    count = len(kept)
    angle = np.deg2rad(rng.uniform(-recipe.turn, recipe.turn, count))
    scale = rng.uniform(1 - recipe.scale, 1 + recipe.scale, count) / REACH
    flip = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 0, 1] = scale * flip * np.cos(angle), -scale * np.sin(angle)
    theta[:, 1, 0], theta[:, 1, 1] = scale * flip * np.sin(angle), scale * np.cos(angle)
    theta[:, :, 2] = rng.uniform(-2 * recipe.shift, 2 * recipe.shift, (count, 2)) / REACH
    out = _sampled(torch.from_numpy(kept).float() / 255.0, torch.from_numpy(theta), recipe.network.size)
    if recipe.equalises:
        out = _equalised(out)
    if recipe.gain:
        gain = torch.from_numpy(
            rng.uniform(1 - recipe.gain, 1 + recipe.gain, (count, 2, 1, 1)).astype(np.float32)
        )
        bias = torch.from_numpy(rng.uniform(-recipe.gain, recipe.gain, (count, 2, 1, 1)).astype(np.float32))
        out[:, :2] = (out[:, :2] * gain + 0.5 * bias).clamp(0.0, 1.0)
    blank = rng.random(count)
    for n in range(count):
        if blank[n] < recipe.energy_dropout:
            out[n, 0] = 0.0
        elif blank[n] < 2 * recipe.energy_dropout:
            out[n, 1] = 0.0
    return shown(out, recipe.energies)


def rough_mask(mask: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A mask drawn less exactly: smoothed, its edge moved in or out and made to wander; never empty."""
    soft = cv2.GaussianBlur(mask.astype(np.float32) / 255.0, (0, 0), float(rng.uniform(2.0, 6.0)))
    wander = cv2.GaussianBlur(rng.normal(size=mask.shape).astype(np.float32), (0, 0), 8.0)
    wander /= max(float(wander.std()), 1e-6)
    drawn = soft + np.float32(0.08) * wander * (soft > 0.02) >= rng.uniform(0.3, 0.6)
    return np.where(drawn, 255, 0).astype(np.uint8) if drawn.any() else mask


def _equalised(crops: Tensor) -> Tensor:
    """Equalise both grey channels of each square as inference does: the square alone, not its surroundings."""
    grey = (crops[:, :2] * 255.0).round().to(torch.uint8).numpy()
    made = np.stack([[cv2.equalizeHist(plane) for plane in planes] for planes in grey])
    return torch.cat([torch.from_numpy(made).float() / 255.0, crops[:, 2:]], 1)


def _sampled(room: Tensor, theta: Tensor, size: int) -> Tensor:
    grid = functional.affine_grid(theta, [len(room), 3, size, size], align_corners=False)
    shrinks = room.shape[-1] / (REACH * size)
    if shrinks > 1.5:
        room = functional.avg_pool2d(room, 3, 1, 1)
    return functional.grid_sample(room, grid, align_corners=False)


def pictures(canvases: NDArray[np.uint8]) -> Tensor:
    """Segmenter pictures (n, 2, rows, cols) in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(canvases)).float() / 255.0


def training_pictures(
    canvases: NDArray[np.uint8], masks: NDArray[np.bool_], recipe: SegmenterRecipe, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Pictures and masks (n, rows, cols) turned, scaled, mirrored and toned alike.

    Grey levels are bent, blurred and made noisy more than phantoms ever are: real images differ from them.
    """
    count = len(canvases)
    both = torch.cat([pictures(canvases), torch.from_numpy(masks).float()[:, None]], 1)
    angle, scale = np.deg2rad(rng.uniform(-25, 25, count)), rng.uniform(0.75, 1.3, count)
    flip_x, flip_y = (np.where(rng.random(count) < 0.5, -1.0, 1.0) for _ in range(2))
    rows, cols = both.shape[-2:]
    ratio = rows / cols  # the grid is in halves of each side: a turn must count in pixels
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 0, 1] = scale * flip_x * np.cos(angle), -scale * ratio * np.sin(angle)
    theta[:, 1, 0], theta[:, 1, 1] = scale * flip_x * np.sin(angle) / ratio, scale * np.cos(angle)
    theta[:, 1] *= flip_y[:, None].astype(np.float32)
    theta[:, :, 2] = rng.uniform(-0.2, 0.2, (count, 2))
    grid = functional.affine_grid(torch.from_numpy(theta), [count, 3, rows, cols], align_corners=False)
    out = functional.grid_sample(both, grid, align_corners=False)
    grey, mask = out[:, :2], (out[:, 2] >= 0.5).float()
    air = grey <= 0.002
    for n in range(count):
        for channel in range(2):
            grey[n, channel] = _toned(grey[n, channel], rng)
        drop = rng.random()
        if drop < 2 * recipe.energy_dropout:
            grey[n, 0 if drop < recipe.energy_dropout else 1] = 0.0
    return torch.where(air, torch.zeros(()), grey), mask


def _toned(plane: Tensor, rng: np.random.Generator) -> Tensor:
    out = plane.clamp(0.0, 1.0) ** float(np.exp(rng.uniform(-0.35, 0.35)))
    out = out * float(rng.uniform(0.8, 1.2)) + float(rng.uniform(-0.08, 0.08))
    if rng.random() < 0.5:
        out = functional.avg_pool2d(out[None, None], 3, 1, 1)[0, 0]
    if rng.random() < 0.5:
        noise = rng.normal(scale=rng.uniform(0.01, 0.06), size=tuple(out.shape)).astype(np.float32)
        out = out + torch.from_numpy(noise)
    return out.clamp(0.0, 1.0)
