"""The DICOM Grayscale Standard Display Function: JND index and luminance, a monitor's table, its error.

Owns the arithmetic of PS3.14 and the evaluation of measured luminances; which monitor has which record is
``app.state.calibration``. Luminance is in cd/m².
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from resources.translation import translate

Reals = NDArray[np.float64]

LAST_JND = 1023
P_VALUES = 4096  # as many P-values as a 12-bit exam has greys
DARKEST_CD_M2, BRIGHTEST_CD_M2 = 0.05, 3993.404

# PS3.14 section 7.1: numerator and denominator of log10 L(j), powers of ln j from 0; and the inverse.
_UP = (-1.3011877, 8.0242636e-2, 1.3646699e-1, -2.5468404e-2, 1.3635334e-3)
_DOWN = (1.0, -2.5840191e-2, -1.0320229e-1, 2.8745620e-2, -3.1978977e-3, 1.2992634e-4)
_INVERSE = (
    71.498068,
    94.593053,
    41.912053,
    9.8247004,
    0.28175407,
    -1.1878455,
    -0.18014349,
    0.14710899,
    -0.017046845,
)


def _tr(text: str) -> str:
    return translate("monitor", text)


def luminance_of_jnd(jnd: Reals | float) -> Reals:
    """Return the luminance of a JND index.

    Parameters
    ----------
    jnd : float64 of any shape, 1 to 1023.

    Returns
    -------
    float64 of the same shape, cd/m², 0.05 to 3993.4.

    Notes
    -----
    DICOM PS3.14 section 7.1; relative deviation of the fit from the tabulated Barten model is at most 0.3 %.
    """
    log_j = np.log(np.asarray(jnd, dtype=np.float64))
    return np.asarray(10.0 ** (np.polyval(_UP[::-1], log_j) / np.polyval(_DOWN[::-1], log_j)))


def jnd_of_luminance(cd_m2: Reals | float) -> Reals:
    """Return the JND index (not rounded) of a luminance; PS3.14 section 7.1, the inverse interpolation."""
    log_l = np.log10(np.asarray(cd_m2, dtype=np.float64))
    return np.asarray(np.polyval(_INVERSE[::-1], log_l))


@dataclass(frozen=True, slots=True, kw_only=True)
class LuminanceResponse:
    """What a photometer read at some grey levels.

    Attributes
    ----------
    levels : grey levels shown, rising, from 0 to ``max_level``.
    cd_m2 : luminance at each, cd/m², without ambient light, not falling.
    max_level : 255 for 8-bit levels, 1023 for 10-bit ones.
    """

    levels: tuple[int, ...]
    cd_m2: tuple[float, ...]
    max_level: int = 255

    def __post_init__(self) -> None:
        if len(self.levels) != len(self.cd_m2) or len(self.levels) < 4:
            raise ValueError(
                _tr(
                    "Luminances: expected at least 4 levels with one luminance each, found {0} levels and {1} "
                    "luminances; measure 18 levels."
                ).format(len(self.levels), len(self.cd_m2))
            )
        if self.levels[0] != 0 or self.levels[-1] != self.max_level:
            raise ValueError(
                _tr("Luminances: expected levels from 0 to {0}, found {1} to {2}; measure both ends.").format(
                    self.max_level, self.levels[0], self.levels[-1]
                )
            )
        for (low, dim), (high, bright) in _pairs(self.levels, self.cd_m2):
            if high <= low:
                raise ValueError(
                    _tr("Luminances: expected rising levels, found {0} after {1}; sort the rows.").format(
                        high, low
                    )
                )
            if bright < dim:
                raise ValueError(
                    _tr(
                        "Luminances: expected more light at level {0} than at {1} ({2:g} cd/m²), found {3:g}; "
                        "measure these two again."
                    ).format(high, low, dim, bright)
                )
        if not 0.0 <= self.cd_m2[0] < self.cd_m2[-1] <= BRIGHTEST_CD_M2:
            raise ValueError(
                _tr(
                    "Luminances: expected 0 to {0:.0f} cd/m², found {1:g} to {2:g}; check the unit of the "
                    "photometer."
                ).format(BRIGHTEST_CD_M2, self.cd_m2[0], self.cd_m2[-1])
            )


def _pairs(
    levels: tuple[int, ...], cd_m2: tuple[float, ...]
) -> list[tuple[tuple[int, float], tuple[int, float]]]:
    rows = list(zip(levels, cd_m2, strict=True))
    return list(pairwise(rows))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DisplayTable:
    """From P-value to driving level.

    Attributes
    ----------
    levels : (n,) uint16, driving level of n equally spaced P-values, 0 to ``2**bits - 1``.
    bits : bits a driving level has on this surface, 8 or 10.
    """

    levels: NDArray[np.uint16] = field(repr=False)
    bits: int = 8

    def __post_init__(self) -> None:
        if self.bits not in {8, 10}:
            raise ValueError(f"display table: expected 8 or 10 bits, found {self.bits}")
        if self.levels.ndim != 1 or len(self.levels) < 2 or int(self.levels.max()) >= 2**self.bits:
            raise ValueError(
                f"display table: expected levels below {2**self.bits}, found up to {self.levels.max()}"
            )
        self.levels.setflags(write=False)


@lru_cache(maxsize=16)  # tables live as long as a monitor's record; asked for at every step of the window
def packed_levels(table: DisplayTable | None) -> NDArray[np.uint32]:
    """Pixels of the screen for the P-values of ``table``; None = 256 P-values on an 8-bit surface as they are.

    Returns
    -------
    (n,) uint32: 0xFFgggggg at 8 bits; at 10 bits two bits of alpha and three times ten of grey.
    """
    shown = identity_table() if table is None else table
    levels = shown.levels.astype(np.uint32)
    if shown.bits == 10:
        packed = levels * np.uint32(0x00100401) | np.uint32(0xC0000000)
    else:
        packed = levels * np.uint32(0x00010101) | np.uint32(0xFF000000)
    packed.setflags(write=False)
    return packed


def identity_table(bits: int = 8) -> DisplayTable:
    """P-values are driving levels, as on a monitor that is calibrated in its own hardware, or not at all."""
    return DisplayTable(levels=np.arange(2**bits, dtype=np.uint16), bits=bits)


def level_luminances(response: LuminanceResponse, bits: int) -> Reals:
    """Luminance of every driving level, cd/m² without ambient light: (2**bits,) float64, not falling.

    Interpolated in JND space, in which a measured curve is nearly straight, by monotone cubics.
    """
    from scipy.interpolate import PchipInterpolator  # heavy, and only needed where a record exists

    floor = 1e-4  # the polynomial has no zero luminance; far below what a photometer reads
    known = np.log(np.maximum(np.asarray(response.cd_m2), floor))
    share = np.asarray(response.levels, dtype=np.float64) / response.max_level
    every = np.linspace(0.0, 1.0, 2**bits)
    return np.maximum.accumulate(np.exp(PchipInterpolator(share, known)(every)))


def calibrated_table(
    response: LuminanceResponse, *, ambient_cd_m2: float, bits: int = 8, p_values: int = P_VALUES
) -> DisplayTable:
    """Make the table by which equal steps of P-value become equal steps of JND (MG-20).

    Parameters
    ----------
    response : luminances measured with no table in force.
    ambient_cd_m2 : light of the room that the screen reflects, cd/m²; added to every level.
    bits : of the surface drawn on.
    p_values : length of the table.

    Notes
    -----
    PS3.14 sections 6 and 7.1: the P-values span the JND range between L'min and L'max; each goes to the driving
    level whose luminance lies nearest to the standard's in JNDs.
    """
    seen = np.maximum(level_luminances(response, bits) + ambient_cd_m2, DARKEST_CD_M2)
    have = jnd_of_luminance(seen)
    wanted = np.linspace(have[0], have[-1], p_values)
    right = np.clip(np.searchsorted(have, wanted), 1, len(have) - 1)
    nearer_left = wanted - have[right - 1] <= have[right] - wanted
    return DisplayTable(levels=np.where(nearer_left, right - 1, right).astype(np.uint16), bits=bits)


@dataclass(frozen=True, slots=True, kw_only=True)
class GsdfReport:
    """How well a grey scale follows the standard.

    Attributes
    ----------
    lmin, lmax : cd/m², with ambient light (L'min, L'max).
    ratio : L'max / L'min.
    deviations : of the contrast per JND of each interval from the standard's, relative, signed.
    jnds : JND indices between L'min and L'max.
    """

    lmin: float
    lmax: float
    ratio: float
    deviations: tuple[float, ...]
    jnds: float

    @property
    def error(self) -> float:
        """Largest deviation, as a share: 0.1 = 10 %."""
        return max(abs(value) for value in self.deviations)


def gsdf_report(response: LuminanceResponse, *, ambient_cd_m2: float) -> GsdfReport:
    """Compare measured luminances with the standard (QC-02).

    Notes
    -----
    AAPM TG18 section 4.3 (contrast response): with J spaced between J(L'min) and J(L'max) like the levels,
    delta = 2 (L'n - L'n-1) / (L'n + L'n-1) / (Jn - Jn-1), against the same of the GSDF.
    """
    seen = np.maximum(np.asarray(response.cd_m2) + ambient_cd_m2, DARKEST_CD_M2)
    ends = jnd_of_luminance(seen[[0, -1]])
    share = np.asarray(response.levels, dtype=np.float64) / response.max_level
    jnd = ends[0] + share * (ends[1] - ends[0])
    measured, standard = _contrasts(seen, jnd), _contrasts(luminance_of_jnd(jnd), jnd)
    return GsdfReport(
        lmin=float(seen[0]),
        lmax=float(seen[-1]),
        ratio=float(seen[-1] / seen[0]),
        deviations=tuple(float(v) for v in measured / standard - 1.0),
        jnds=float(ends[1] - ends[0]),
    )


def _contrasts(cd_m2: Reals, jnd: Reals) -> Reals:
    mean = (cd_m2[1:] + cd_m2[:-1]) / 2
    return np.asarray(np.diff(cd_m2) / mean / np.diff(jnd))


def predicted_response(response: LuminanceResponse, table: DisplayTable) -> LuminanceResponse:
    """What a photometer should read through ``table`` at the 18 levels of TG18-LN."""
    levels = tuple(range(0, 256, 15))
    every = level_luminances(response, table.bits)
    index = np.rint(np.asarray(levels) / 255.0 * (len(table.levels) - 1)).astype(np.intp)
    return LuminanceResponse(levels=levels, cd_m2=tuple(float(v) for v in every[table.levels[index]]))
