"""Hanging protocols as data: what a protocol may say, and the way from and to its JSON.

The same rules are written in ``resources/hanging_protocols/protocol.schema.json``. Which image fills which
place is ``app.state.hanging``; where protocols are kept is ``app.state.protocol_library``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.state.display import ZoomMode
from resources.files import ResourceError, read_json, resource_path
from resources.translation import translate
from resources.vocabulary import ImageKind, Laterality, Projection, ViewModifier


def _tr(text: str) -> str:
    return translate("hanging", text)


class Phase(StrEnum):
    """Of two acquisitions of one view minutes apart, the earlier or the later (CEM-06)."""

    EARLY = "early"
    LATE = "late"


class Requirement(StrEnum):
    """What an exam must have, beyond a kind of image, for a protocol to fit."""

    PRIOR = "prior"
    IMPLANT_DISPLACED = "implant_displaced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A place in a stage and what may fill it; the earlier projection and kind wins.

    ``prior`` 0 is the current exam, 1 the first prior. ``implant_displaced`` None takes either, whole implant
    first. ``modifiers`` must all be there; none named = a view of the whole breast.
    """

    row: int
    col: int
    laterality: Laterality
    projections: tuple[Projection, ...]
    kinds: tuple[ImageKind, ...]
    modifiers: tuple[ViewModifier, ...] = ()
    implant_displaced: bool | None = None
    phase: Phase | None = None
    prior: int = 0

    @property
    def view_words(self) -> str:
        """What belongs here, e.g. "R CC" or "prior L MLO displaced"."""
        words = f"{self.laterality.value} {self.projections[0].value}"
        words += "".join(f" {modifier.value}" for modifier in self.modifiers)
        if self.implant_displaced:
            words += " ID"
        if self.phase is not None:
            early = self.phase is Phase.EARLY
            words = (_tr("early {0}") if early else _tr("late {0}")).format(words)
        return words if self.prior == 0 else _tr("prior {0}").format(words)

    @property
    def group(self) -> tuple[object, ...]:
        """Places that differ in side and projection only compare like with like."""
        return (self.kinds, self.modifiers, self.implant_displaced, self.phase, self.prior)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRule:
    """A stage as the protocol writes it."""

    title: str
    rows: int
    cols: int
    zoom: ZoomMode
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """One hanging protocol; see ``resources/hanging_protocols/protocol.schema.json``.

    ``priority`` decides between protocols that hang equally much. ``own`` is True for one the user saved.
    """

    protocol_id: str
    title: str
    requires_any_kind: tuple[ImageKind, ...]
    hangs_kinds: tuple[ImageKind, ...]
    stages: tuple[StageRule, ...]
    each_view: tuple[str, ZoomMode] | None
    others: tuple[str, ZoomMode]
    requires: tuple[Requirement, ...] = ()
    priority: int = 0
    own: bool = False


def _rule(content: Mapping[str, Any]) -> tuple[str, ZoomMode]:
    return str(content["title"]), ZoomMode(content["zoom"])


def _slot(content: Mapping[str, Any]) -> Slot:
    displaced = content.get("implant_displaced")
    phase = content.get("phase")
    return Slot(
        row=int(content["row"]),
        col=int(content["col"]),
        laterality=Laterality(content["laterality"]),
        projections=tuple(Projection(name) for name in content["projections"]),
        kinds=tuple(ImageKind(name) for name in content["kinds"]),
        modifiers=tuple(ViewModifier(name) for name in content.get("modifiers", ())),
        implant_displaced=None if displaced is None else bool(displaced),
        phase=None if phase is None else Phase(phase),
        prior=int(content.get("prior", 0)),
    )


def _stage(content: Mapping[str, Any]) -> StageRule:
    stage = StageRule(
        title=str(content["title"]),
        rows=int(content["rows"]),
        cols=int(content["cols"]),
        zoom=ZoomMode(content["zoom"]),
        slots=tuple(_slot(cell) for cell in content["cells"]),
    )
    taken: set[tuple[int, int]] = set()
    for slot in stage.slots:
        place = (slot.row, slot.col)
        if slot.row >= stage.rows or slot.col >= stage.cols or min(place) < 0:
            raise ValueError(f"stage {stage.title!r}: place {slot.row},{slot.col} outside its grid")
        if place in taken:
            raise ValueError(f"stage {stage.title!r}: place {slot.row},{slot.col} is given twice")
        taken.add(place)
    return stage


def parse_protocol(content: Mapping[str, Any], *, own: bool = False) -> Protocol:
    """Make a protocol from its JSON content; KeyError or ValueError names what is wrong."""
    each = content.get("each_view")
    return Protocol(
        protocol_id=str(content["protocol_id"]),
        title=str(content["title"]),
        requires_any_kind=tuple(ImageKind(name) for name in content["requires_any_kind"]),
        hangs_kinds=tuple(ImageKind(name) for name in content["hangs_kinds"]),
        stages=tuple(_stage(stage) for stage in content["stages"]),
        each_view=None if each is None else _rule(each),
        others=_rule(content["others"]),
        requires=tuple(Requirement(name) for name in content.get("requires", ())),
        priority=int(content.get("priority", 0)),
        own=own,
    )


def _cell_json(slot: Slot) -> dict[str, object]:
    cell: dict[str, object] = {
        "row": slot.row,
        "col": slot.col,
        "laterality": slot.laterality.value,
        "projections": [projection.value for projection in slot.projections],
        "kinds": [kind.value for kind in slot.kinds],
    }
    if slot.modifiers:
        cell["modifiers"] = [modifier.value for modifier in slot.modifiers]
    if slot.implant_displaced is not None:
        cell["implant_displaced"] = slot.implant_displaced
    if slot.phase is not None:
        cell["phase"] = slot.phase.value
    if slot.prior:
        cell["prior"] = slot.prior
    return cell


def protocol_json(protocol: Protocol) -> dict[str, object]:
    """Return what ``parse_protocol`` reads back to an equal protocol."""
    content: dict[str, object] = {
        "protocol_id": protocol.protocol_id,
        "title": protocol.title,
        "licence": "own" if protocol.own else "Apache-2.0",
        "requires_any_kind": [kind.value for kind in protocol.requires_any_kind],
        "requires": [requirement.value for requirement in protocol.requires],
        "priority": protocol.priority,
        "hangs_kinds": [kind.value for kind in protocol.hangs_kinds],
        "stages": [
            {
                "title": stage.title,
                "rows": stage.rows,
                "cols": stage.cols,
                "zoom": stage.zoom.value,
                "cells": [_cell_json(slot) for slot in stage.slots],
            }
            for stage in protocol.stages
        ],
        "others": {"title": protocol.others[0], "zoom": protocol.others[1].value},
    }
    if protocol.each_view is not None:
        content["each_view"] = {"title": protocol.each_view[0], "zoom": protocol.each_view[1].value}
    return content


def load_protocols() -> tuple[Protocol, ...]:
    """Read the packaged protocols, by file name; ResourceError names the file and what is wrong in it."""
    protocols = []
    for path in sorted(resource_path("hanging_protocols").glob("*.json")):
        if path.name.endswith(".schema.json"):
            continue
        content = read_json(path)
        if not isinstance(content, dict):
            raise ResourceError(f"{path}: expected one JSON object, found {type(content).__name__}.")
        try:
            protocols.append(parse_protocol(content))
        except (KeyError, ValueError, TypeError) as error:
            raise ResourceError(f"{path}: not a hanging protocol ({error!r}); see the schema.") from error
    return tuple(protocols)
