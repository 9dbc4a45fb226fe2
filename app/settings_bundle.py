"""One file that carries a user's settings to another station: preferences, monitors' records, keys, hanging
protocols, PACS connections. Passwords, tokens and places of windows are left out.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.language import settings_folder
from app.settings_store import JsonSettings, SettingsError
from app.state.protocol_library import checked
from app.state.settings import from_json, to_json
from inference.exam.pacs.connections import ConnectionBook, connections_of, to_carry
from inference.exam.pacs.model import Connection, PacsError
from resources.files import UserFacingError
from resources.scratch import scratch_folder
from resources.translation import translate

FORM = "negatoscope-settings"
VERSION = 1
MAX_BYTES = 8 * 2**20
_STATION_ONLY = ("window_place", "panel_place", "panel_apart", "model_device")
_PARTS = ("settings", "hanging_protocols", "pacs_connections")


def _tr(text: str) -> str:
    return translate("settings_file", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """How much an export or import carried."""

    monitors: int
    hanging_protocols: int
    pacs_connections: int


def export_settings(file: Path, *, folder: Path | None = None) -> Carried:
    """Write this user's settings to a new file.

    Raises
    ------
    SettingsError
        The file is there already or cannot be written; the settings or connections here cannot be read.
    """
    home = folder or settings_folder()
    store = JsonSettings(home)
    if store.problem:
        raise SettingsError(store.problem)
    plain = {name: value for name, value in to_json(store.current).items() if name not in _STATION_ONLY}
    protocols = {path.name: _object(path) for path in sorted((home / "hanging_protocols").glob("*.json"))}
    book = ConnectionBook(home)
    connections = [to_carry(one) for one in book.connections()]
    content = {
        "form": FORM,
        "version": VERSION,
        "settings": plain,
        "hanging_protocols": protocols,
        "pacs_connections": connections,
    }
    try:
        with file.open("x", encoding="utf-8") as out:
            json.dump(content, out, indent=1, ensure_ascii=False)
            out.write("\n")
    except FileExistsError as error:
        raise SettingsError(
            _tr("{0}: expected a new file, found one of this name; choose another.").format(file)
        ) from error
    except OSError as error:
        words = _tr("{0}: could not be written ({1}); choose another place.")
        raise SettingsError(words.format(file, error.strerror)) from error
    return Carried(
        monitors=len(store.current.monitors),
        hanging_protocols=len(protocols),
        pacs_connections=len(connections),
    )


def import_settings(file: Path, *, folder: Path | None = None) -> Carried:
    """Take the settings of an exported file in, all of them or none: what is wrong is said before anything is changed.

    Places of windows and passwords of this station stay as they are; protocols and connections of the same name are
    replaced, others stay.

    Raises
    ------
    SettingsError
        One sentence: what in the file or of this station's own was expected and what found.
    """
    home = folder or settings_folder()
    content = _checked(file)
    store = JsonSettings(home)
    settings, refused = from_json({k: v for k, v in content["settings"].items() if k not in _STATION_ONLY})
    if refused:
        raise _wrong(file, _tr("settings that can be read"), ", ".join(refused))
    here = store.current
    kept = replace(
        settings,
        window_place=here.window_place,
        panel_place=here.panel_place,
        panel_apart=here.panel_apart,
        model_device=here.model_device,
    )
    protocols = content["hanging_protocols"]
    _check_protocols(file, protocols)
    connections = _connections(file, content["pacs_connections"])
    own, book = home / "hanging_protocols", ConnectionBook(home)
    try:
        book.check()
        with _all_or_nothing([store.path, *book.files, *(own / name for name in protocols)]):
            for connection in connections:
                book.keep(connection)
            for name, plain in protocols.items():
                own.mkdir(parents=True, exist_ok=True)
                (own / name).write_text(json.dumps(plain, indent=1, ensure_ascii=False), encoding="utf-8")
            store.keep(kept)
    except PacsError as error:
        raise SettingsError(_tr("{0} Nothing was changed.").format(error)) from error
    except OSError as error:
        words = _tr(
            "{0}: could not be written ({1}); free the disk or give rights to the folder, then import again."
        )
        raise SettingsError(words.format(home, error.strerror)) from error
    return Carried(
        monitors=len(kept.monitors), hanging_protocols=len(protocols), pacs_connections=len(connections)
    )


@contextmanager
def _all_or_nothing(files: Sequence[Path]) -> Iterator[None]:
    """Put files back as they were where the block fails."""
    with scratch_folder("settings") as scratch:  # its user's only, as the file with the passwords must stay
        before = [scratch / str(number) for number in range(len(files))]
        for file, copy in zip(files, before, strict=True):
            if file.is_file():
                shutil.copy2(file, copy)
        try:
            yield
        except BaseException:
            for file, copy in zip(files, before, strict=True):
                with contextlib.suppress(OSError):  # what went wrong first is what is said
                    if copy.is_file():
                        shutil.copy2(copy, file)
                    else:
                        file.unlink(missing_ok=True)
            raise


def _wrong(file: Path, expected: str, found: str) -> SettingsError:
    words = _tr("{0}: expected {1}, found {2}; nothing was changed: export the file anew.")
    return SettingsError(words.format(file, expected, found))


def _object(path: Path) -> dict[str, Any]:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(
            _tr("{0}: could not be read ({1}); mend or remove it.").format(path, error)
        ) from error
    if not isinstance(plain, dict):
        raise SettingsError(
            _tr("{0}: could not be read ({1}); mend or remove it.").format(path, type(plain).__name__)
        )
    return plain


def _checked(file: Path) -> dict[str, Any]:
    form = _tr("an exported settings file")
    try:
        if file.stat().st_size > MAX_BYTES:
            raise _wrong(file, form, f"{file.stat().st_size // 2**20} MB")
        plain = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise _wrong(file, form, error.strerror or type(error).__name__) from error
    except (ValueError, RecursionError) as error:
        raise _wrong(file, form, _tr("no JSON ({0})").format(error)) from error
    if not isinstance(plain, dict) or plain.get("form") != FORM:
        raise _wrong(file, form, _tr("something else"))
    version = plain.get("version")
    if version != VERSION:
        raise _wrong(file, _tr("version {0}").format(VERSION), _tr("version {0}").format(version))
    for name, kind in zip(_PARTS, (dict, dict, list), strict=True):
        if not isinstance(plain.get(name), kind):
            raise _wrong(file, _tr("the part {0}").format(name), type(plain.get(name)).__name__)
    return plain


def _check_protocols(file: Path, protocols: Mapping[str, object]) -> None:
    for name, plain in protocols.items():
        if Path(name).name != name or not name.endswith(".json") or name.startswith("."):
            raise _wrong(file, _tr("names of protocol files"), repr(name)[:60])
        try:
            checked(plain, name)
        except UserFacingError as error:
            raise _wrong(file, _tr("hanging protocols"), str(error)) from error


def _connections(file: Path, plain: list[object]) -> tuple[Connection, ...]:
    try:
        return connections_of(plain)
    except ValueError as error:
        raise _wrong(file, _tr("PACS connections"), str(error)) from error
