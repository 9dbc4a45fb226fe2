"""From line integrals to the 12-bit picture a reader would see, and the recombined one of a contrast pair.

Owns attenuation figures (VICTRE's PENELOPE tables, W/Rh 28 kVp, W/Cu 49 kVp) and the tone; knows no anatomy.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.exam.phantom_fields import Field
from inference.exam.types import Presentation, Voi, VoiFunction

THICKNESS_MM = (35.0, 45.0, 55.0, 60.0)
GLAND_LE = (0.239, 0.230, 0.222, 0.219)  # gland over fat, 1/cm, low energy
GLAND_HE = (0.056, 0.055, 0.055, 0.054)
MEAN_LE = (0.588, 0.576, 0.566, 0.562)  # effective, 20 % gland, 1/cm
IODINE_LE = (0.0240, 0.0231, 0.0224, 0.0221)  # per mg/cm2
IODINE_HE = 0.0206
FAT_HE = 0.231  # 1/cm at 37 keV
FULL = 4095


def at_thickness(table: tuple[float, ...], thickness_mm: float) -> float:
    """Read one of the tables above at a compressed thickness."""
    return float(np.interp(thickness_mm, THICKNESS_MM, table))


def fat_le(thickness_mm: float) -> float:
    """Attenuation of fat for the low-energy beam, 1/cm: the 20 % gland mean less its gland."""
    return at_thickness(MEAN_LE, thickness_mm) - 0.2 * at_thickness(GLAND_LE, thickness_mm)


def recombination_weight(thickness_mm: float) -> float:
    """The w of L_HE - w L_LE that cancels gland against fat (0.23-0.25)."""
    return at_thickness(GLAND_HE, thickness_mm) / at_thickness(GLAND_LE, thickness_mm)


def quantum_noise(rng: np.random.Generator, line: Field, pixel_mm: float, dose: float = 1.0) -> Field:
    """Poisson noise of the log signal: 2 % in a 70 um pixel behind mean tissue, more behind dense."""
    sigma = 0.02 * (0.07 / pixel_mm) / dose**0.5 * np.exp(np.clip(line - 2.6, -2.6, 2.0) / 2)
    noise = rng.standard_normal(line.shape, dtype=np.float32) * sigma.astype(np.float32)
    return np.asarray(noise, np.float32)


def _blur(image: Field, sigma_px: float) -> Field:
    """Gaussian blur; wide ones on a smaller grid, where the answer is the same to a part in a thousand."""
    k = max(1, int(sigma_px // 3))
    if k == 1:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px), np.float32)
    size = (max(1, image.shape[1] // k), max(1, image.shape[0] // k))
    small = cv2.GaussianBlur(cv2.resize(image, size, interpolation=cv2.INTER_AREA), (0, 0), sigma_px / k)
    return np.asarray(cv2.resize(small, image.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def presentation_pixels(
    tissue: Field, thick: Field, edge_mm: Field, mask: NDArray[np.bool_], pixel_mm: float
) -> NDArray[np.uint16]:
    """Tone of a For Presentation mammogram.

    Parameters
    ----------
    tissue : (rows, cols) float32
        Line integral over that of fat of the same thickness, log units.
    thick : (rows, cols) float32 in [0, 1]
        Share of the full thickness; the periphery is equalised, not quite perfectly.

    Returns
    -------
    (rows, cols) uint16 in 0..4095, 0 exactly in air, at least 60 in the breast.
    """
    skin = np.float32(0.13) * np.exp(-(((edge_mm - 0.9) / 0.9) ** 2))
    level = tissue * (0.3 + 0.7 * thick) + skin - np.float32(0.16) * (1 - thick) ** 2
    filled = np.where(mask, level, 0).astype(np.float32)
    weight = _blur(mask.astype(np.float32), 6 / pixel_mm)
    local = _blur(filled, 6 / pixel_mm) / np.maximum(weight, 0.05)
    fine = _blur(filled, 0.8 / pixel_mm)
    wide = _blur(filled, 22 / pixel_mm) / np.maximum(_blur(mask.astype(np.float32), 22 / pixel_mm), 0.05)
    # half of the coarse range goes, as vendors' multiscale processing does, so that dense tissue keeps detail
    crisp = (
        filled
        - np.float32(0.45) * wide
        + np.float32(0.15) * (filled - local)
        + np.float32(0.4) * (filled - fine)
    )
    value = 1.0 / (1.0 + np.exp(-(crisp - np.float32(0.24)) / np.float32(0.23)))
    out = np.clip(np.rint(150 + 3800 * value), 60, FULL).astype(np.uint16)
    return np.where(mask, out, np.uint16(0))


def recombined_pixels(
    residue: Field, mask: NDArray[np.bool_], thick: Field, pixel_mm: float
) -> NDArray[np.uint16]:
    """Tone of a recombined image: flat grey breast, enhancement bright; uint16, 0 exactly in air."""
    smooth = _blur(np.where(mask, residue, 0).astype(np.float32), max(0.3, 0.12 / pixel_mm))
    level = 1500.0 + smooth * 36000.0 - 500.0 * (1 - thick) ** 2
    out = np.clip(np.rint(level), 60, FULL).astype(np.uint16)
    return np.where(mask, out, np.uint16(0))


def tone_presentation(recombined: bool) -> Presentation:
    """Windows a vendor would write: three sigmoids and a plain linear one; air is 0 to 30."""
    center, width = (1900.0, 1900.0) if recombined else (2050.0, 3000.0)
    names = (("NORMAL", 0, 1.0), ("HARDER", 60, 0.8), ("SOFTER", -60, 1.2))
    vois = tuple(
        Voi(label=name, function=VoiFunction.SIGMOID, center=center + shift, width=width * scale)
        for name, shift, scale in names
    )
    return Presentation(vois=vois, padding=(0, 30), bits=12)
