"""What is known of each monitor: its record of ruler and photometer, and whether it suits mammograms.

Owns records and the words about them; the arithmetic is ``app.state.gsdf``, the file is the settings'.
Software alone cannot certify a monitor, and the words say so.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from app.state.gsdf import (
    DisplayTable,
    GsdfReport,
    LuminanceResponse,
    calibrated_table,
    gsdf_report,
    identity_table,
    predicted_response,
)
from resources.translation import translate

CARD_MM = 85.60  # long side of a bank card, ISO/IEC 7810 ID-1
CARD_HEIGHT_MM = 53.98
TG18_LEVELS = tuple(range(0, 256, 15))  # the 18 levels of TG18-LN
VALID_DAYS = 180
PITCH_RANGE_MM = (0.05, 1.0)

# ACR-AAPM-SIIM technical standard, mammography; EUREF for the pixels; TG18/TG270 for error, ratio and ambient.
LMAX_CD_M2, LMIN_CD_M2 = 420.0, 1.2
RATIO_RANGE = (250.0, 450.0)
GSDF_ERROR = 0.10
PIXELS = 5_000_000
AMBIENT_SHARE = 1 / 1.5
AMBIENT_LUX = 40.0
Translate = Callable[[str, str], str]


def _tr(text: str) -> str:
    return translate("monitor", text)


def english(_context: str, text: str) -> str:
    """The words as they stand in this file; the log is always in English."""
    return text


class Source(StrEnum):
    """Where the numbers of a report come from, in the log's words."""

    CHECKED = "measured through the table"
    MEASURED = "measured"
    PREDICTED = "predicted from the table"

    def words(self, translate: Translate) -> str:
        """The same in the reader's language."""
        return {
            Source.CHECKED: translate("monitor", "measured through the table"),
            Source.MEASURED: translate("monitor", "measured"),
            Source.PREDICTED: translate("monitor", "predicted from the table"),
        }[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """A monitor as the system describes it.

    ``key`` is the same whenever this monitor is plugged in; ``width_px`` and ``height_px`` are device pixels;
    ``surface_bits`` is what the program can draw on it, 8 or 10.
    """

    key: str
    title: str
    width_px: int
    height_px: int
    surface_bits: int = 8
    depth: int = 24
    ratio: float = 1.0
    claimed_pitch_mm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorRecord:
    """What was measured on one monitor; None = not recorded.

    Attributes
    ----------
    pitch_mm : size of a device pixel by the ruler, mm.
    response : luminances with no table in force, cd/m² without ambient light.
    check : luminances measured through the table, against P-values.
    ambient_cd_m2 : room light reflected by the screen, cd/m².
    ambient_lux : illuminance at the screen, lx.
    corrected : the program makes the grey scale itself; False where the monitor does so in its hardware.
    """

    monitor: str
    pitch_mm: float | None = None
    pitch_on: str = ""
    response: LuminanceResponse | None = None
    check: LuminanceResponse | None = None
    ambient_cd_m2: float = 0.0
    ambient_lux: float | None = None
    corrected: bool = True
    measured_on: str = ""
    measured_by: str = ""
    valid_days: int = VALID_DAYS

    def __post_init__(self) -> None:
        low, high = PITCH_RANGE_MM
        if self.pitch_mm is not None and not low <= self.pitch_mm <= high:
            raise ValueError(
                _tr("Pixel pitch: expected {0} to {1} mm, found {2:.4g}; measure the ruler again.").format(
                    low, high, self.pitch_mm
                )
            )
        if not 0.0 <= self.ambient_cd_m2 < 1000.0:
            raise ValueError(
                _tr("Ambient light: expected 0 to 1000 cd/m², found {0:g}; check the unit.").format(
                    self.ambient_cd_m2
                )
            )
        if not 1 <= self.valid_days <= 3660:
            raise ValueError(_tr("Valid days: expected 1 to 3660, found {0}.").format(self.valid_days))


def pitch_from_ruler(*, length_mm: float, length_px: float) -> float:
    """Pixel pitch, mm, from a line of ``length_px`` device pixels measured on the glass (QC-03)."""
    if length_mm <= 0 or length_px <= 0:
        raise ValueError(
            _tr("Ruler: expected a length above 0, found {0:g} mm over {1:g} pixels.").format(
                length_mm, length_px
            )
        )
    return length_mm / length_px


def table_of(record: MonitorRecord | None, bits: int) -> DisplayTable:
    """Return the table for this monitor; P-values go out as they are where there is none to correct by."""
    if record is None or record.response is None or not record.corrected:
        return identity_table(bits)
    return calibrated_table(record.response, ambient_cd_m2=record.ambient_cd_m2, bits=bits)


def report_of(record: MonitorRecord, bits: int) -> tuple[GsdfReport, Source] | None:
    """The grey scale as the reader sees it and where the numbers come from; None without luminances."""
    if record.check is not None:
        return gsdf_report(record.check, ambient_cd_m2=record.ambient_cd_m2), Source.CHECKED
    if record.response is None:
        return None
    if not record.corrected:
        return gsdf_report(record.response, ambient_cd_m2=record.ambient_cd_m2), Source.MEASURED
    predicted = predicted_response(record.response, table_of(record, bits))
    return gsdf_report(predicted, ambient_cd_m2=record.ambient_cd_m2), Source.PREDICTED


def is_expired(record: MonitorRecord, today: str) -> bool:
    """True when the luminances are older than the record is valid. ``today`` is YYYY-MM-DD."""
    try:
        age = date.fromisoformat(today) - date.fromisoformat(record.measured_on)
    except ValueError:
        return True
    return age.days > record.valid_days


def problems_of(
    monitor: Monitor, record: MonitorRecord | None, today: str, translate: Translate = english
) -> tuple[str, ...]:
    """Say what speaks against reading mammograms on this monitor, worst first; empty = nothing found (QC-04)."""
    found: list[str] = []
    report = None if record is None else report_of(record, monitor.surface_bits)
    if record is None or report is None:
        found.append(translate("monitor", "no luminances recorded: grey scale not checked against the GSDF"))
    else:
        found += _luminance_problems(report[0], record, translate)
        if is_expired(record, today):
            when = record.measured_on or "?"
            found.append(translate("monitor", "calibration of {0} has expired").format(when))
    if record is None or record.pitch_mm is None:
        found.append(translate("monitor", "pixel pitch not measured: no true size"))
    pixels = monitor.width_px * monitor.height_px
    if pixels < PIXELS:
        found.append(translate("monitor", "{0:.1f} megapixels, expected 5 or more").format(pixels / 1e6))
    if monitor.surface_bits < 10:
        found.append(translate("monitor", "8-bit surface: 256 greys"))
    return tuple(found)


def _luminance_problems(report: GsdfReport, record: MonitorRecord, translate: Translate) -> list[str]:
    found: list[str] = []
    if report.error > GSDF_ERROR:
        words = translate("monitor", "GSDF error {0:.0f} %, expected 10 % or less")
        found.append(words.format(100 * report.error))
    if report.lmax < LMAX_CD_M2:
        words = translate("monitor", "L'max {0:.0f} cd/m², expected {1:.0f} or more")
        found.append(words.format(report.lmax, LMAX_CD_M2))
    if report.lmin < LMIN_CD_M2:
        words = translate("monitor", "L'min {0:.2f} cd/m², expected {1} or more")
        found.append(words.format(report.lmin, LMIN_CD_M2))
    if not RATIO_RANGE[0] <= report.ratio <= RATIO_RANGE[1]:
        words = translate("monitor", "luminance ratio {0:.0f}, expected about 350 (250 to 450)")
        found.append(words.format(report.ratio))
    most = AMBIENT_SHARE * (report.lmin - record.ambient_cd_m2)
    if record.ambient_cd_m2 > most:
        words = translate("monitor", "ambient light {0:.2f} cd/m², expected at most {1:.2f}")
        found.append(words.format(record.ambient_cd_m2, most))
    if record.ambient_lux is not None and record.ambient_lux > AMBIENT_LUX:
        words = translate("monitor", "room light {0:.0f} lx, expected {1:.0f} or less")
        found.append(words.format(record.ambient_lux, AMBIENT_LUX))
    return found


def verdict_of(
    monitor: Monitor, record: MonitorRecord | None, today: str, translate: Translate = english
) -> str:
    """One line: adequate by the recorded numbers, or why not; and that software certifies nothing."""
    problems = problems_of(monitor, record, today, translate)
    words = translate("monitor", "Adequate by the recorded numbers.")
    if problems:
        words = translate("monitor", "Not adequate: {0}.").format("; ".join(problems))
    warning = translate(
        "monitor",
        "Software alone cannot certify a monitor; a physicist with a calibrated photometer decides.",
    )
    return f"{words} {warning}"


def environment_of(monitor: Monitor, record: MonitorRecord | None, today: str) -> dict[str, str]:
    """The display's part of a session's log: what was measured, when, and what the surface offers."""
    facts = {
        "monitor": monitor.title,
        "surface": f"{monitor.surface_bits}-bit surface",
        "calibration": "none recorded",
        "display_problems": "; ".join(problems_of(monitor, record, today)),
    }
    if record is None:
        return facts
    if record.pitch_mm is not None:
        facts["pixel_pitch_mm"] = f"{record.pitch_mm:.4f}"
    report = report_of(record, monitor.surface_bits)
    if report is None:
        return facts
    numbers, source = report
    state = "expired" if is_expired(record, today) else "valid"
    return facts | {
        "calibration": f"{record.measured_on} by {record.measured_by or 'unknown'}, {state}",
        "luminance_min_cd_m2": f"{numbers.lmin:.3f}",
        "luminance_max_cd_m2": f"{numbers.lmax:.1f}",
        "luminance_ratio": f"{numbers.ratio:.0f}",
        "ambient_cd_m2": f"{record.ambient_cd_m2:.3f}",
        "ambient_lux": "" if record.ambient_lux is None else f"{record.ambient_lux:g}",
        "gsdf_error_percent": f"{100 * numbers.error:.1f}",
        "gsdf_error_is": source.value,
        "gsdf_table": "in the program" if record.corrected else "in the monitor",
    }


def _lines(text: str, delimiter: str) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(text), delimiter=delimiter))
    except csv.Error as error:  # a cell of more than 131 072 characters
        words = _tr("Luminances, line {0}: expected a level and cd/m², found “{1}”; mend it.")
        raise ValueError(words.format(1, error)) from error


def luminances_from_csv(text: str) -> LuminanceResponse:
    """Read lines of level and cd/m², with comma, semicolon or tab; a heading line is passed over.

    Raises
    ------
    ValueError
        With one sentence that names the line.
    """
    levels: list[int] = []
    values: list[float] = []
    delimiter = ";" if ";" in text else "\t" if "\t" in text else ","
    for number, row in enumerate(_lines(text, delimiter), 1):
        if not row or not row[0].strip():
            continue
        try:
            level, value = int(row[0].strip()), float(row[1].strip().replace(",", "."))
        except (ValueError, IndexError):
            if not levels:
                continue  # the heading
            raise ValueError(
                _tr("Luminances, line {0}: expected a level and cd/m², found “{1}”; mend it.").format(
                    number, delimiter.join(row)
                )
            ) from None
        levels.append(level)
        values.append(value)
    bits = 255 if not levels or levels[-1] <= 255 else 1023 if levels[-1] <= 1023 else 4095
    return LuminanceResponse(levels=tuple(levels), cd_m2=tuple(values), max_level=bits)
