"""All hanging protocols of a station: the packaged ones and the user's own, kept as JSON files in one folder.

Reads, checks, saves and deletes; says in one sentence what is wrong with a file and goes on without it. What a
protocol means is ``app.state.hanging_rules``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.state.hanging_rules import Protocol, parse_protocol, protocol_json
from resources.files import ResourceError, UserFacingError, read_json, resource_path
from resources.translation import translate

OWN_PRIORITY = 100  # a saved protocol goes before the packaged ones wherever it fits
_MOST_BYTES = 1_000_000


def _tr(text: str) -> str:
    return translate("protocol_library", text)


class ProtocolError(UserFacingError):
    """A hanging protocol could not be read, saved or deleted; the text is one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The protocols at hand, the user's own first, and a sentence for every file that was left out."""

    protocols: tuple[Protocol, ...]
    problems: tuple[str, ...] = ()


def _where(path: Sequence[object]) -> str:
    """Name a place in a JSON file as people count: "stage 2, place 3, col"."""
    words: list[str] = []
    names = {"stages": _tr("stage"), "cells": _tr("place")}
    for part in path:
        if isinstance(part, int) and words:
            words[-1] = f"{names.get(words[-1], words[-1])} {part + 1}"
        else:
            words.append(str(part))
    return ", ".join(words) or _tr("the whole file")


def checked(content: object, name: str) -> Protocol:
    """Make a user's protocol from JSON content.

    Raises
    ------
    ProtocolError : one sentence with file, place, what was expected and found.
    """
    from jsonschema import Draft202012Validator  # slow to import and needed for a user's own files only

    schema = read_json(resource_path("hanging_protocols", "protocol.schema.json"))
    assert isinstance(schema, dict)
    wrong = min(
        Draft202012Validator(schema).iter_errors(content),
        key=lambda error: [str(part) for part in error.absolute_path],
        default=None,
    )
    if wrong is not None:
        found = wrong.message if len(wrong.message) < 160 else wrong.message[:157] + "…"
        raise ProtocolError(
            _tr(
                "{0}: {1}: expected what protocol.schema.json says, found: {2}; mend the file or delete it."
            ).format(name, _where(list(wrong.absolute_path)), found)
        )
    assert isinstance(content, dict)  # the schema says so
    try:
        return parse_protocol(content, own=True)
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise ProtocolError(
            _tr("{0}: expected a hanging protocol, found: {1}; mend the file or delete it.").format(
                name, error
            )
        ) from error


def read_protocol(path: Path) -> Protocol:
    """Read one of the user's files; ProtocolError with one sentence when it does not hold a protocol."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ProtocolError(
                _tr("{0}: expected a file below 1 MB, found a larger one; it is no protocol.").format(
                    path.name
                )
            )
        content = read_json(path)
    except (ResourceError, OSError) as error:
        raise ProtocolError(str(error)) from error
    except UnicodeDecodeError as error:
        raise ProtocolError(
            _tr("{0}: expected JSON text in UTF-8, found other bytes; delete it.").format(path.name)
        ) from error
    except RecursionError as error:
        raise ProtocolError(
            _tr("{0}: expected a protocol, found JSON nested without end; delete it.").format(path.name)
        ) from error
    return checked(content, path.name)


def protocol_id_of(title: str) -> str:
    """Make a file name and id from a title: "My 8-up" gives "my-8-up"."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60] or "protocol"


class ProtocolLibrary:
    """The packaged protocols and one folder of the user's own; the folder need not exist."""

    def __init__(self, packaged: Sequence[Protocol], folder: Path | None = None) -> None:
        self._packaged, self._folder = tuple(packaged), folder
        self._shelf: Shelf | None = None

    @property
    def folder(self) -> Path | None:
        """Where the user's files lie; None = this station keeps none."""
        return self._folder

    @property
    def packaged(self) -> tuple[Protocol, ...]:
        """The protocols that ship with the program."""
        return self._packaged

    def shelf(self) -> Shelf:
        """Return all protocols, the user's own first; read once and after each change."""
        if self._shelf is None:
            self._shelf = self._read()
        return self._shelf

    def reload(self) -> Shelf:
        """Look at the folder again."""
        self._shelf = None
        return self.shelf()

    def _read(self) -> Shelf:
        own: dict[str, Protocol] = {}
        problems: list[str] = []
        files = sorted(self._folder.glob("*.json")) if self._folder is not None else []
        taken = {protocol.protocol_id for protocol in self._packaged}
        for path in files:
            try:
                protocol = read_protocol(path)
            except ProtocolError as error:
                problems.append(str(error))
                continue
            if protocol.protocol_id in taken | own.keys():
                problems.append(
                    _tr("{0}: expected an id of its own, found '{1}' a second time; rename it.").format(
                        path.name, protocol.protocol_id
                    )
                )
                continue
            own[protocol.protocol_id] = protocol
        return Shelf(protocols=(*own.values(), *self._packaged), problems=tuple(problems))

    def save(self, protocol: Protocol, title: str) -> Protocol:
        """Save a protocol as the user's own under ``title``; an own one of that title is replaced.

        Raises
        ------
        ProtocolError : no title, the title of a packaged protocol, no stage left, or the disk refuses.
        """
        title = title.strip()
        if not title or len(title) > 80:
            words = _tr("Hanging protocol: expected a title of 1 to 80 letters, found {0}.")
            raise ProtocolError(words.format(len(title)))
        if not protocol.stages:
            words = _tr("{0}: expected at least one step, found none; add one before saving.")
            raise ProtocolError(words.format(title))
        if self._folder is None:
            raise ProtocolError(
                _tr("Hanging protocol: expected a folder for own protocols, found none here.")
            )
        name = protocol_id_of(title)
        if name in {one.protocol_id for one in self._packaged}:
            raise ProtocolError(
                _tr("{0}: expected a new title, found that of a packaged protocol; choose another.").format(
                    title
                )
            )
        own = replace(protocol, protocol_id=name, title=title, own=True, priority=OWN_PRIORITY)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            target = self._folder / f"{name}.json"
            scratch = target.with_suffix(".part")
            scratch.write_text(json.dumps(protocol_json(own), indent=1, ensure_ascii=False), encoding="utf-8")
            scratch.replace(target)
        except OSError as error:
            raise ProtocolError(
                _tr("{0}: expected to write {1}, found {2}; check the disk.").format(
                    title, self._folder.name, error.strerror
                )
            ) from error
        self._shelf = None
        return own

    def delete(self, protocol_id: str) -> None:
        """Delete one of the user's own; ProtocolError for a packaged or unknown one."""
        owned = {protocol.protocol_id for protocol in self.shelf().protocols if protocol.own}
        if self._folder is None or protocol_id not in owned:
            words = _tr("{0}: expected one of your own protocols, found none of that id.")
            raise ProtocolError(words.format(protocol_id))
        for path in self._folder.glob("*.json"):
            try:
                if read_protocol(path).protocol_id == protocol_id:
                    path.unlink()
            except (ProtocolError, OSError):
                continue
        self._shelf = None
