"""The settings file: read at start, written whole at every change, by the system's own convention.

A file that cannot be read is set aside under another name, never overwritten, and said in one sentence. What the
settings mean is ``app.state.settings``.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from app.language import SETTINGS_FILE, settings_folder
from app.state.settings import SCHEMA, Settings, from_json, to_json
from resources.files import UserFacingError, one_sentence
from resources.translation import translate

log = logging.getLogger(__name__)


def _tr(text: str) -> str:
    return translate("settings_file", text)


class SettingsError(UserFacingError):
    """The settings could not be kept; the message says what to do."""


class JsonSettings:
    """Settings in ``settings.json`` of a folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self._path = (folder or settings_folder()) / SETTINGS_FILE
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
            return self._set_aside(_tr("it cannot be read ({0})").format(error))
        try:
            plain = json.loads(text)
        except (ValueError, RecursionError) as error:
            return self._set_aside(_tr("it is no JSON ({0})").format(error))
        if not isinstance(plain, dict):
            return self._set_aside(
                _tr("found {0} in place of names with values").format(type(plain).__name__)
            )
        if isinstance(plain.get("schema"), int) and plain["schema"] > SCHEMA:
            self._set_aside(
                _tr("it was written by a newer version (schema {0}, expected {1})").format(
                    plain["schema"], SCHEMA
                )
            )
        settings, refused = from_json(plain)
        if refused:
            self._set_aside(_tr("not understood: {0}").format(", ".join(refused)))
        return settings

    def _set_aside(self, why: str) -> Settings:
        number = 1
        while (kept := self._path.with_suffix(f".damaged-{number}.json")).exists():
            number += 1
        try:
            kept.write_bytes(self._path.read_bytes())
            where = _tr("a copy is kept as {0}").format(kept.name)
        except OSError as error:
            where = _tr("no copy could be kept ({0})").format(error)
        words = _tr("Settings in {0}: {1}; defaults are used for what is missing, {2}.")
        self._problem = one_sentence(words.format(self._path, why, where))
        log.warning("settings could not be read whole; %s", kept.name)
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
                _tr(
                    "Settings: expected to write {0}, found {1}; they hold until the program ends, so free the disk "
                    "or the folder's rights and change them again."
                ).format(self._path, error.strerror or error)
            ) from error
