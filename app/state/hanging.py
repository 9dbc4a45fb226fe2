"""Which image hangs where, in which steps: protocols are data, and a match says why each image is where
it is.

Tolerates missing and extra views. Sizes and scales belong to ``app.state.sizing``, widgets to
``app.views.viewport_grid``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.state.display import ZoomMode
from inference.exam.types import Exam, ViewImage
from resources.files import ResourceError, read_json, resource_path
from resources.vocabulary import ImageKind, Laterality, Projection, ViewModifier

# A spot or magnified view never stands in for the whole breast (MG-37).
_PARTIAL = frozenset({ViewModifier.MAGNIFICATION, ViewModifier.SPOT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A place in a stage and what may fill it; the earlier projection and kind wins."""

    row: int
    col: int
    laterality: Laterality
    projections: tuple[Projection, ...]
    kinds: tuple[ImageKind, ...]


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
    """One hanging protocol; see ``resources/hanging_protocols/protocol.schema.json``."""

    protocol_id: str
    title: str
    requires_any_kind: tuple[ImageKind, ...]
    hangs_kinds: tuple[ImageKind, ...]
    stages: tuple[StageRule, ...]
    each_view: tuple[str, ZoomMode]
    others: tuple[str, ZoomMode]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One place of a stage; ``image_key`` None = nothing to hang here, ``why`` says so or which rule
    placed it.

    ``partner`` is the image that the in-place toggle of low energy and recombined shows (CEM-03).
    """

    row: int
    col: int
    image_key: str | None
    why: str
    label: str = ""  # what belongs here, shown when the place stays empty
    partner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of the hanging: a grid of places and the size mode it opens in."""

    title: str
    rows: int
    cols: int
    cells: tuple[Cell, ...]
    zoom: ZoomMode = ZoomMode.SAME


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A protocol laid out for one exam, and the reasons for all that is unusual."""

    protocol: Protocol
    stages: tuple[Stage, ...]
    reasons: tuple[str, ...]


# ---------------------------------------------------------------- reading


def _rule(content: Mapping[str, Any]) -> tuple[str, ZoomMode]:
    return str(content["title"]), ZoomMode(content["zoom"])


def _slot(content: Mapping[str, Any]) -> Slot:
    return Slot(
        row=int(content["row"]),
        col=int(content["col"]),
        laterality=Laterality(content["laterality"]),
        projections=tuple(Projection(name) for name in content["projections"]),
        kinds=tuple(ImageKind(name) for name in content["kinds"]),
    )


def parse_protocol(content: Mapping[str, Any]) -> Protocol:
    """Make a protocol from its JSON content; KeyError or ValueError names what is wrong."""
    stages = tuple(
        StageRule(
            title=str(stage["title"]),
            rows=int(stage["rows"]),
            cols=int(stage["cols"]),
            zoom=ZoomMode(stage["zoom"]),
            slots=tuple(_slot(cell) for cell in stage["cells"]),
        )
        for stage in content["stages"]
    )
    for stage in stages:
        for slot in stage.slots:
            if slot.row >= stage.rows or slot.col >= stage.cols:
                raise ValueError(f"stage {stage.title!r}: place {slot.row},{slot.col} outside its grid")
    return Protocol(
        protocol_id=str(content["protocol_id"]),
        title=str(content["title"]),
        requires_any_kind=tuple(ImageKind(name) for name in content["requires_any_kind"]),
        hangs_kinds=tuple(ImageKind(name) for name in content["hangs_kinds"]),
        stages=stages,
        each_view=_rule(content["each_view"]),
        others=_rule(content["others"]),
    )


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


# ---------------------------------------------------------------- matching


def _fill(slot: Slot, images: Sequence[ViewImage]) -> tuple[ViewImage | None, str]:
    wanted = f"{slot.laterality.value} {slot.projections[0].value}"
    for projection in slot.projections:
        for kind in slot.kinds:
            found = [
                image
                for image in images
                if image.view.laterality is slot.laterality
                and image.view.projection is projection
                and image.kind is kind
                and not _PARTIAL & set(image.modifiers)
            ]
            if not found:
                continue
            why = f"{found[0].view.label} ({kind.value}) takes the place of {wanted}"
            if len(found) > 1:
                why += f"; {len(found)} such images, the last one is on top"
            return found[-1], why
    return None, f"no {wanted} of kind {' or '.join(kind.value for kind in slot.kinds)} in this exam"


_PARTNER = {
    ImageKind.CESM_LOW: ImageKind.CESM_RECOMBINED,
    ImageKind.CESM_RECOMBINED: ImageKind.CESM_LOW,
}


def partner_of(image: ViewImage, images: Sequence[ViewImage]) -> ViewImage | None:
    """Return the other energy of the same view and modifiers, or None (CEM-03)."""
    other = _PARTNER.get(image.kind)
    for candidate in images:
        same_view = candidate.view == image.view
        if candidate.kind is other and same_view and candidate.modifiers == image.modifiers:
            return candidate
    return None


def _cell(row: int, col: int, image: ViewImage, why: str, images: Sequence[ViewImage]) -> Cell:
    partner = partner_of(image, images)
    return Cell(
        row=row,
        col=col,
        image_key=image.key,
        why=why,
        label=image.view.label,
        partner=partner.key if partner is not None else None,
    )


def _single(rule: tuple[str, ZoomMode], image: ViewImage, images: Sequence[ViewImage], why: str) -> Stage:
    name = " ".join([image.view.label, *(modifier.value for modifier in image.modifiers)])
    if image.kind is ImageKind.CESM_RECOMBINED:
        name += " recombined"
    title = rule[0].format(view=name)
    return Stage(title=title, rows=1, cols=1, zoom=rule[1], cells=(_cell(0, 0, image, why, images),))


def _lay_out(protocol: Protocol, exam: Exam) -> tuple[tuple[Stage, ...], list[str]]:
    stages: list[Stage] = []
    reasons: list[str] = []
    placed: dict[str, ViewImage] = {}
    for rule in protocol.stages:
        cells = []
        for slot in rule.slots:
            image, why = _fill(slot, exam.images)
            if image is None:
                label = f"{slot.laterality.value} {slot.projections[0].value}"
                cells.append(Cell(row=slot.row, col=slot.col, image_key=None, why=why, label=label))
                reasons.append(why)
            else:
                placed[image.key] = image
                cells.append(_cell(slot.row, slot.col, image, why, exam.images))
        if any(cell.image_key is not None for cell in cells):
            stages.append(
                Stage(title=rule.title, rows=rule.rows, cols=rule.cols, zoom=rule.zoom, cells=tuple(cells))
            )
        else:
            reasons.append(f"stage {rule.title!r} left out: none of its views is in this exam")
    for image in placed.values():
        # One single-view step a pair of energies: the toggle shows the other one in place.
        if image.kind is ImageKind.CESM_RECOMBINED and partner_of(image, exam.images) is not None:
            continue
        stages.append(_single(protocol.each_view, image, exam.images, f"{image.view.label} on its own"))
    for image in exam.images:
        if image.key in placed and placed[image.key] is image:
            continue
        if image.kind not in protocol.hangs_kinds:
            reasons.append(f"{image.view.label} ({image.kind.value}) is listed, not hung")
            continue
        why = f"{image.view.label} ({image.kind.value}) has no place in {protocol.title!r}: hung on its own"
        reasons.append(why)
        stages.append(_single(protocol.others, image, exam.images, why))
    return tuple(stages), list(dict.fromkeys(reasons))


def match(protocols: Sequence[Protocol], exam: Exam) -> Match:
    """Choose and lay out the protocol that hangs most of the exam (MG-40).

    Parameters
    ----------
    protocols : candidates, in order of preference for ties.

    Returns
    -------
    The stages, none of them empty, and a sentence for every missing, extra or unhung view.

    Raises
    ------
    ResourceError : no protocol was given.
    """
    if not protocols:
        raise ResourceError("Hanging protocols: expected at least one, found none; install again.")
    kinds = {image.kind for image in exam.images}
    scored = []
    for order, protocol in enumerate(protocols):
        fits = bool(kinds & set(protocol.requires_any_kind))
        hung = sum(image.kind in protocol.hangs_kinds for image in exam.images)
        scored.append((fits, hung, -order, protocol))
    fits, hung, _, best = max(scored, key=lambda entry: entry[:3])
    stages, reasons = _lay_out(best, exam)
    head = f"{best.title}: {hung} of {len(exam.images)} images are of kinds it hangs"
    if not fits:
        head = f"{best.title}: no protocol is made for {', '.join(sorted(k.value for k in kinds))}"
    # Nothing but kinds that never hang by default (CEM-04): show them rather than a black screen
    if not stages:
        stages = tuple(
            _single(best.others, image, exam.images, "the exam holds nothing else") for image in exam.images
        )
    return Match(protocol=best, stages=stages, reasons=(head, *reasons))
