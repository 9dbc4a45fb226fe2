"""The settings of one user on one station, each declared once with its range; and their JSON form.

Pure data: reading and writing the file is ``app.settings_store``. What cannot be read is named and left at its
default, and fields of other versions are carried along, so that nothing is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Protocol

from app.state.calibration import MonitorRecord
from app.state.gsdf import LuminanceResponse
from resources.translation import translate

SCHEMA = 1
TEXT_SCALE_RANGE = (0.8, 2.0)
CACHE_MB_RANGE = (256, 65_536)


def _tr(text: str) -> str:
    return translate("settings_file", text)


class WheelUse(StrEnum):
    """What the mouse wheel does over an image."""

    ZOOM = "zoom"
    STAGE = "stage"


class HeatColour(StrEnum):
    """Colour map of the AI's heat map."""

    AMBER = "heat_amber"
    JET = "jet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that Settings (Ctrl+,) can change.

    Attributes
    ----------
    language : 'system' or a language code such as 'en' or 'zh_CN'.
    text_scale : 0.8 to 2.0.
    cache_mb : decoded exams kept in memory, MB.
    keys : the user's own keys by command id, portable key texts.
    panel_apart : the side panel lives in a window of its own.
    window_place, panel_place : geometry as Qt saves it, base64; empty = not recorded.
    main_model : id of the model that is asked first; empty = the program's own choice.
    models_beside : ids of the models asked after it.
    model_device : 'auto', 'cpu', 'cuda:0', ...
    others : fields of other versions, carried along.
    """

    language: str = "system"
    text_scale: float = 1.0
    wheel: WheelUse = WheelUse.ZOOM
    heat_colour: HeatColour = HeatColour.AMBER
    cache_mb: int = 2048
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    monitors: tuple[MonitorRecord, ...] = ()
    panel_apart: bool = False
    window_place: str = ""
    panel_place: str = ""
    main_model: str = ""
    models_beside: tuple[str, ...] = ()
    model_device: str = "auto"
    others: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        low, high = TEXT_SCALE_RANGE
        if not low <= self.text_scale <= high:
            words = _tr("text_scale: expected {0} to {1}, found {2}")
            raise ValueError(words.format(low, high, self.text_scale))
        least, most = CACHE_MB_RANGE
        if not least <= self.cache_mb <= most:
            words = _tr("cache_mb: expected {0} to {1}, found {2}")
            raise ValueError(words.format(least, most, self.cache_mb))

    def record_of(self, monitor: str) -> MonitorRecord | None:
        """The record of a monitor by its key; None = none yet."""
        return next((record for record in self.monitors if record.monitor == monitor), None)

    def with_record(self, record: MonitorRecord) -> Settings:
        """The same settings with this monitor's record put in or replaced."""
        others = tuple(known for known in self.monitors if known.monitor != record.monitor)
        return replace(self, monitors=(*others, record))


class SettingsKeeper(Protocol):
    """Holds the settings in force and keeps changed ones."""

    @property
    def current(self) -> Settings:
        """The settings in force."""

    @property
    def problem(self) -> str:
        """One sentence when the kept settings could not be read; empty otherwise."""

    def keep(self, settings: Settings) -> None:
        """Take these into force and keep them; UserFacingError when they cannot be kept."""


class MemorySettings:
    """Settings that end with the program: for unseen runs and tests."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._current = settings or Settings()

    @property
    def current(self) -> Settings:
        return self._current

    @property
    def problem(self) -> str:
        return ""

    def keep(self, settings: Settings) -> None:
        self._current = settings


# ---------------------------------------------------------------- JSON


def to_json(settings: Settings) -> dict[str, object]:
    """Return the JSON form, with the schema's number."""
    plain: dict[str, object] = dict(settings.others)
    plain["schema"] = SCHEMA
    for name in ("language", "text_scale", "cache_mb", "panel_apart", "window_place", "panel_place"):
        plain[name] = getattr(settings, name)
    plain["main_model"], plain["model_device"] = settings.main_model, settings.model_device
    plain["models_beside"] = list(settings.models_beside)
    plain["wheel"], plain["heat_colour"] = settings.wheel.value, settings.heat_colour.value
    plain["keys"] = {command: list(keys) for command, keys in sorted(settings.keys.items())}
    plain["monitors"] = [_record_json(record) for record in settings.monitors]
    return plain


def _record_json(record: MonitorRecord) -> dict[str, object]:
    plain: dict[str, object] = {}
    for part in fields(record):
        value = getattr(record, part.name)
        if isinstance(value, LuminanceResponse):
            value = {
                "levels": list(value.levels),
                "cd_m2": list(value.cd_m2),
                "max_level": value.max_level,
            }
        plain[part.name] = value
    return plain


_LARGEST = 1e300  # NaN, infinity and integers of hundreds of digits are no settings


def from_json(plain: Mapping[str, object]) -> tuple[Settings, tuple[str, ...]]:
    """Read the JSON form.

    Returns
    -------
    The settings, and a few words for each field that could not be read and so stays at its default.
    """
    known = {part.name for part in fields(Settings)} | {"schema"}
    settings = Settings(others={k: v for k, v in plain.items() if k not in known})
    refused: list[str] = []
    for name, read in _READERS.items():
        if name not in plain:
            continue
        try:
            settings = replace(settings, **{name: read(plain[name])})  # type: ignore[arg-type]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            refused.append(f"{name} ({error})")
    return settings, tuple(refused)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(_tr("expected text, found {0!r}").format(value))
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LARGEST:
        raise ValueError(_tr("expected a number, found {0!r}").format(value))
    return float(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(_tr("expected true or false, found {0!r}").format(value))
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(_tr("expected a list, found {0!r}").format(value))
    return value


def _map(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(_tr("expected names with values, found {0!r}").format(value))
    return value


def _keys(value: object) -> dict[str, tuple[str, ...]]:
    return {command: tuple(_text(key) for key in _list(keys)) for command, keys in _map(value).items()}


def _response(value: object) -> LuminanceResponse | None:
    if value is None:
        return None
    plain = _map(value)
    return LuminanceResponse(
        levels=tuple(int(_number(v)) for v in _list(plain["levels"])),
        cd_m2=tuple(_number(v) for v in _list(plain["cd_m2"])),
        max_level=int(_number(plain["max_level"])),
    )


def _record(value: object) -> MonitorRecord:
    plain = _map(value)
    readers: dict[str, Callable[[object], object]] = {
        "response": _response,
        "check": _response,
        "ambient_cd_m2": _number,
        "corrected": _flag,
        "valid_days": lambda v: int(_number(v)),
        "pitch_mm": lambda v: None if v is None else _number(v),
        "ambient_lux": lambda v: None if v is None else _number(v),
    }
    names = {part.name for part in fields(MonitorRecord)}
    return MonitorRecord(**{k: readers.get(k, _text)(v) for k, v in plain.items() if k in names})  # type: ignore[arg-type]


_READERS: dict[str, Callable[[object], object]] = {
    "language": _text,
    "text_scale": _number,
    "wheel": lambda value: WheelUse(_text(value)),
    "heat_colour": lambda value: HeatColour(_text(value)),
    "cache_mb": lambda value: int(_number(value)),
    "keys": _keys,
    "monitors": lambda value: tuple(_record(v) for v in _list(value)),
    "panel_apart": _flag,
    "window_place": _text,
    "panel_place": _text,
    "main_model": _text,
    "models_beside": lambda value: tuple(_text(v) for v in _list(value)),
    "model_device": _text,
}
