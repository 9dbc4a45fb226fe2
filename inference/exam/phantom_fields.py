"""Random fields of the phantom: power-law noise in the plane and in the breast, and the gland made from it.

Owns spectra and thresholds (Chen 2012, PMC3298563; Reiser, PMC3189972). Does not know views or images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from resources.vocabulary import Density

Field = NDArray[np.float32]

BETA = 3.2  # a projection keeps the central slice, so volume and mammogram share it
GLAND_FRACTION = {
    # low..high glandular share of the volume, from VICTRE's fat fractions, bounded by Yaffe 2009 (95 % below 45 %)
    Density.FATTY: (0.03, 0.07),
    Density.SCATTERED: (0.10, 0.18),
    Density.HETEROGENEOUS: (0.22, 0.32),
    Density.DENSE: (0.38, 0.48),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Size of one uncompressed breast, mm: half width (x), half height (y), chest wall to nipple (z)."""

    half_x_mm: float
    half_y_mm: float
    nipple_z_mm: float
    step_mm: float = 1.5

    @property
    def grid(self) -> tuple[int, int, int]:
        """Voxels along x, y, z, each a product of small primes so that the transform is quick."""
        sizes = (2.1 * self.half_x_mm, 2.1 * self.half_y_mm, self.nipple_z_mm)
        nx, ny, nz = (int(fft.next_fast_len(int(np.ceil(s / self.step_mm)), real=True)) for s in sizes)
        side = max(nx, ny)  # square in x, y: the oblique view turns it about z
        return side, side, nz

    def axes(self) -> tuple[Field, Field, Field]:
        """Voxel centres along x, y, z, mm, shaped to broadcast over the grid."""
        nx, ny, nz = self.grid
        x = ((np.arange(nx) - (nx - 1) / 2) * self.step_mm).astype(np.float32)
        y = ((np.arange(ny) - (ny - 1) / 2) * self.step_mm).astype(np.float32)
        z = ((np.arange(nz) + 0.5) * self.step_mm).astype(np.float32)
        return x[:, None, None], y[None, :, None], z[None, None, :]


def plane_noise(
    rng: np.random.Generator,
    shape: tuple[int, int],
    pixel_mm: float,
    *,
    beta: float,
    high_pass: float,
    floor: float,
) -> Field:
    """Gaussian noise in the plane whose power spectrum is f**-beta, f in cycles per mm.

    Parameters
    ----------
    high_pass : float
        Below this frequency (1/mm) the noise is taken out smoothly; 0 keeps all of it.
    floor : float
        Frequencies under this one (1/mm) have its power, so that the variance is finite.

    Returns
    -------
    (rows, cols) float32, mean 0; the power at 1 cycle per mm is 1 mm**2, whatever the pixel size.
    """
    rows, cols = (int(fft.next_fast_len(n, real=True)) for n in shape)
    white = fft.rfft2(rng.standard_normal((rows, cols), dtype=np.float32))
    fy = fft.fftfreq(rows, pixel_mm).astype(np.float32)[:, None]
    fx = fft.rfftfreq(cols, pixel_mm).astype(np.float32)[None, :]
    f2 = fy * fy + fx * fx
    gain = np.maximum(f2, floor * floor) ** (-beta / 4) / pixel_mm
    if high_pass > 0:
        gain *= 1 - np.exp(-f2 / (high_pass * high_pass))
    gain[0, 0] = 0
    out = fft.irfft2(white * gain, s=(rows, cols))
    return np.ascontiguousarray(out[: shape[0], : shape[1]], dtype=np.float32)


def paired_volumes(
    rng: np.random.Generator, shape: Shape, *, stretch: float = 1.35, shared: float = 0.95
) -> tuple[Field, Field]:
    """Power-law fields of the two breasts of one woman, alike in their coarse structure.

    ``shared`` is the amplitude correlation of the coarsest structure; it fades towards fine detail so that the
    gland made from the fields correlates 0.7-0.9. ``stretch`` lengthens structure along the nipple axis (axis ratio 1.2-1.5).

    Returns
    -------
    Two (nx, ny, nz) float32 volumes, mean 0, standard deviation 1.
    """
    grid = shape.grid
    spectra = [fft.rfftn(rng.standard_normal(grid, dtype=np.float32)) for _ in range(3)]
    fx = fft.fftfreq(grid[0], shape.step_mm).astype(np.float32)[:, None, None]
    fy = fft.fftfreq(grid[1], shape.step_mm).astype(np.float32)[None, :, None]
    fz = fft.rfftfreq(grid[2], shape.step_mm).astype(np.float32)[None, None, :] * stretch
    f2 = fx * fx + fy * fy + fz * fz
    gain = np.maximum(f2, 1e-4) ** (-BETA / 4)
    gain[0, 0, 0] = 0
    alike = np.float32(shared) * np.exp(-f2 / 0.12**2)
    own = np.sqrt(1 - alike * alike)
    out = []
    for index in (1, 2):
        volume = fft.irfftn((alike * spectra[0] + own * spectra[index]) * gain, s=grid)
        out.append((volume / volume.std()).astype(np.float32))
    return out[0], out[1]


def inside(shape: Shape) -> NDArray[np.bool_]:
    """Voxels of the half-ellipsoid that stands for the uncompressed breast."""
    x, y, z = shape.axes()
    e: Field = (x / shape.half_x_mm) ** 2 + (y / shape.half_y_mm) ** 2 + (z / shape.nipple_z_mm) ** 2
    return e < 1.0


def gland_volume(field: Field, shape: Shape, fraction: float, rng: np.random.Generator) -> Field:
    """Turn a power-law field into gland: high where the field is, inside a cone that opens behind the nipple.

    Parameters
    ----------
    fraction : float
        Glandular share of the breast volume, 0..1.

    Returns
    -------
    (nx, ny, nz) float32 in [0, 1], the glandular share of each voxel.
    """
    x, y, z = shape.axes()
    zn = shape.nipple_z_mm
    x0, y0 = rng.uniform(1.0, 6.0), rng.uniform(0.0, 5.0)  # the upper outer quadrant holds most gland
    back = zn * rng.uniform(0.48, 0.56)
    open_ = np.clip((zn - z) / (0.5 * zn), 0.0, 1.0) ** 0.75  # cone: 0 at the nipple, 1 half way back
    shift = np.clip((zn - z) / zn, 0.0, 1.0)
    wide = 0.74 * (0.10 + 0.90 * open_)
    radial = ((x - x0 * shift) / (shape.half_x_mm * wide)) ** 2 + (
        (y - y0 * shift) / (shape.half_y_mm * wide)
    ) ** 2
    behind = (np.clip(back - z, 0.0, None) / (0.62 * zn)) ** 2
    score = field * 0.75 + 1.5 * (1.0 - np.minimum(radial + behind, 4.0))
    breast = inside(shape)
    threshold = np.quantile(score[breast][::3], 1.0 - fraction)
    gland = 1.0 / (1.0 + np.exp(-np.clip((score - threshold) / 0.40, -30, 30)))
    return np.asarray(gland * breast, dtype=np.float32)
