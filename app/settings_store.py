"""The settings file: read at start, written whole at every change, by the system's own convention.

A file that cannot be read is set aside under another name, never overwritten, and said in one sentence. What the
settings mean is ``app.state.settings``.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from platformdirs import user_config_path

from app.state.settings import SCHEMA, Settings, from_json, to_json
from resources.files import UserFacingError

log = logging.getLogger(__name__)

FILE_NAME = "settings.json"


class SettingsError(UserFacingError):
    """The settings could not be kept; the message says what to do."""


def settings_folder() -> Path:
    """Folder of the user's settings; NEGATOSCOPE_HOME moves it with everything else."""
    named = os.environ.get("NEGATOSCOPE_HOME")
    return Path(named) / "config" if named else user_config_path("negatoscope", appauthor=False)


def language_setting(folder: Path | None = None) -> str:
    """The chosen language ('system' when none is), for use before any window exists."""
    return JsonSettings(folder).current.language


class JsonSettings:
    """Settings in ``settings.json`` of a folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self._path = (folder or settings_folder()) / FILE_NAME
        self._problem = ""
        self._current = self._read()

    @property
    def path(self) -> Path:
        return self._path

    @property
    def current(self) -> Settings:
        return self._current

    @property
    def problem(self) -> str:
        return self._problem

    def _read(self) -> Settings:
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return Settings()
        except (OSError, UnicodeDecodeError) as error:
            return self._set_aside(f"it cannot be read ({error})")
        try:
            plain = json.loads(text)
        except ValueError as error:
            return self._set_aside(f"it is no JSON ({error})")
        if not isinstance(plain, dict):
            return self._set_aside(f"found {type(plain).__name__} in place of names with values")
        if isinstance(plain.get("schema"), int) and plain["schema"] > SCHEMA:
            self._set_aside(
                f"it was written by a newer version (schema {plain['schema']}, expected {SCHEMA})"
            )
        settings, refused = from_json(plain)
        if refused:
            self._set_aside("not understood: " + ", ".join(refused))
        return settings

    def _set_aside(self, why: str) -> Settings:
        number = 1
        while (kept := self._path.with_suffix(f".damaged-{number}.json")).exists():
            number += 1
        try:
            kept.write_bytes(self._path.read_bytes())
            where = f"a copy is kept as {kept.name}"
        except OSError as error:
            where = f"no copy could be kept ({error})"
        self._problem = f"Settings in {self._path}: {why}; defaults are used for what is missing, {where}."
        log.warning("settings could not be read whole; %s", where)
        return Settings()

    def keep(self, settings: Settings) -> None:
        """Write all, then swap the file in; SettingsError when the disk refuses."""
        self._current = settings
        scratch = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with scratch.open("w", encoding="utf-8") as file:
                json.dump(to_json(settings), file, indent=1, ensure_ascii=False)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(self._path)
        except OSError as error:
            raise SettingsError(
                f"Settings: expected to write {self._path}, found {error.strerror or error}; they hold until the "
                "program ends, so free the disk or the folder's rights and change them again."
            ) from error
