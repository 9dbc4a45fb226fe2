"""What lies over an image: the AI's boxes and heat map, the reader's marks, the words at its edges.

The one place that sees both a model's detections and a reader's findings, and the one that applies what
the arm
allows: with ``policy.shown`` False nothing of a result is looked at. Drawing belongs to
``app.views.painting``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.state.terms import energy_flag, evidence_term, finding_term
from inference.exam.types import Box, ViewImage
from inference.results import Detection, ExamResult
from resources.files import ResourceError, read_json, resource_path
from resources.translation import translate
from resources.vocabulary import FindingType


def _tr(text: str) -> str:
    return translate("overlays", text)


class OverlayKind(StrEnum):
    """Who drew it decides how it looks: thin with an AI tag, or thick and solid."""

    AI_BOX = "ai_box"
    MARK = "mark"
    CAD = "cad"  # another vendor's, from a CAD report
    SAVED = "saved"  # a drawing or text of a presentation state; dashed = text only, no figure
    SHUTTER = "shutter"  # black outside its outline
    TRUTH = "truth"  # of a locked practice case


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayPolicy:
    """What the arm and the reader's keys allow to be seen."""

    shown: bool = False
    boxes: bool = True
    heatmap: bool = False
    score: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayItem:
    """One thing drawn over one image; ``box`` or ``point`` (row, col) in stored-file pixels, never both
    None."""

    kind: OverlayKind
    image_key: str
    item_id: str
    box: Box | None = None
    point: tuple[float, float] | None = None
    label: str = ""
    tag: str = ""  # what stands at the box itself where its label is written elsewhere
    finding: FindingType | None = None
    ai: bool = False
    selected: bool = False
    dashed: bool = False
    # stored (row, col) points and whether they are the four axis ends of an ellipse
    outlines: tuple[tuple[tuple[tuple[float, float], ...], bool], ...] = ()

    def __post_init__(self) -> None:
        if self.box is None and self.point is None:
            raise ValueError(f"overlay {self.item_id!r}: expected a box or a point, found neither")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatLayer:
    """A map over one whole stored image: values (rows, cols) float32 in [0, 1], drawn at most at
    ``opacity``."""

    image_key: str
    values: NDArray[np.float32] = field(compare=False, repr=False)
    opacity: float = 0.4
    colour_map: str = "heat_amber"
    label: str = "cancer evidence"

    def __post_init__(self) -> None:
        if not 0.0 <= self.opacity <= 1.0:
            raise ValueError(f"heat map opacity: expected 0..1, found {self.opacity}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationText:
    """Words at the edges of one viewport; zoom and size mode are added by the viewport itself."""

    view_label: str = ""
    identity: tuple[str, ...] = ()  # empty in a blinded context (MG-27)
    technique: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    score: str = ""
    ai: str = ""  # what the AI has to say of this image beside its findings
    ai_warns: bool = False  # True = the image was not read


class MarkLike(Protocol):
    """What a reader's finding must carry to be drawn."""

    @property
    def finding_id(self) -> str: ...
    @property
    def image_key(self) -> str: ...
    @property
    def row(self) -> float: ...
    @property
    def col(self) -> float: ...


def _ai_label(one: Detection, number: str, model: str, *, malignancy: bool) -> str:
    word = finding_term(one.finding) if one.finding is not None else _tr("finding")
    said = [number, word, f"{one.score * 100:.0f} %"]
    if malignancy and one.malignancy is not None:
        said.append(_tr("malignant {0:.0f} %").format(100 * one.malignancy))
    return " ".join(filter(None, [*said, model]))


def _mark_label(finding: MarkLike) -> str:
    suspicion = getattr(finding, "suspicion", None)
    return "" if suspicion is None else f"{suspicion:.0f} %"


def _mark_box(corners: tuple[float, float, float, float] | None) -> Box | None:
    if corners is None or corners[2] <= corners[0] or corners[3] <= corners[1]:
        return None
    return Box(row0=corners[0], col0=corners[1], row1=corners[2], col1=corners[3])


def overlay_items(
    result: ExamResult | None,
    findings: Sequence[MarkLike],
    policy: OverlayPolicy,
    *,
    threshold: float = 0.0,
    selected: str | None = None,
    hovered: str | None = None,
    numbers: Mapping[str, str] | None = None,
    model: str = "",
    malignancy: bool = False,
    lit: Collection[str] = (),
) -> dict[str, tuple[OverlayItem, ...]]:
    """List what is drawn over each image.

    Parameters
    ----------
    result : the model's answer; not looked at unless ``policy.shown`` (and ``policy.boxes``).
    findings : the reader's own marks, always drawn.
    threshold : AI boxes below this score (0..1) are left out, but for the partners of a selected one (dashed).
    selected : id of the finding or detection that is selected; members of its AI group light up with it.
    hovered : id of the detection under the pointer; it lights up like the selected one.
    numbers : number in the list of findings by detection id; stands in the label.
    model : whose answer it is, where several models answered; stands in the label.
    malignancy : the label has the finding's malignancy too.
    lit : ids of further detections that light up, such as another model's on the same lesion.

    Returns
    -------
    Items by ``ViewImage.key``, the reader's marks last so that they lie on top.
    """
    items: dict[str, list[OverlayItem]] = {}
    if policy.shown and policy.boxes and result is not None:
        tags = numbers or {}
        labels = {
            one.detection_id: _ai_label(one, tags.get(one.detection_id, ""), model, malignancy=malignancy)
            for one in result.detections
        }
        for item in _ai_items(result, threshold, (selected, hovered, *lit), tags, labels):
            items.setdefault(item.image_key, []).append(item)
    for finding in findings:
        mark = OverlayItem(
            kind=OverlayKind.MARK,
            image_key=finding.image_key,
            item_id=finding.finding_id,
            box=_mark_box(getattr(finding, "box", None)),
            point=(finding.row, finding.col),
            label=_mark_label(finding),
            finding=getattr(finding, "finding", None),
            selected=finding.finding_id == selected,
        )
        items.setdefault(finding.image_key, []).append(mark)
    return {key: tuple(value) for key, value in items.items()}


def _ai_items(
    result: ExamResult,
    threshold: float,
    chosen: tuple[str | None, ...],
    numbers: Mapping[str, str],
    labels: Mapping[str, str],
) -> Iterator[OverlayItem]:
    lit = {one.detection_id for one in result.detections if one.detection_id in chosen}
    above = {d.group for d in result.detections if d.score >= threshold and d.group is not None}
    groups = {d.group for d in result.detections if d.detection_id in lit} & above
    for one in sorted(result.detections, key=lambda d: (d.score, d.detection_id)):
        is_lit = one.detection_id in lit or one.group in groups
        if one.score < threshold and one.group not in groups:
            continue
        number = numbers.get(one.detection_id, "")
        yield OverlayItem(
            kind=OverlayKind.AI_BOX,
            image_key=one.image_key,
            item_id=one.detection_id,
            box=one.box,
            label=labels[one.detection_id],
            tag=number,
            finding=one.finding,
            ai=True,
            selected=is_lit,
            dashed=one.score < threshold,
            outlines=((one.outline, False),) if len(one.outline) > 2 else (),
        )


def heat_layers(
    result: ExamResult | None, policy: OverlayPolicy, *, opacity: float = 0.4, colour_map: str = "heat_amber"
) -> dict[str, HeatLayer]:
    """Return the heat map of each image, by key; empty unless the arm shows AI and the map is switched on."""
    if not (policy.shown and policy.heatmap) or result is None:
        return {}
    return {
        heat.image_key: HeatLayer(
            image_key=heat.image_key,
            values=heat.values,
            opacity=opacity,
            colour_map=colour_map,
            label=evidence_term(heat.label),
        )
        for heat in result.heatmaps
    }


def score_texts(result: ExamResult | None, policy: OverlayPolicy, *, name: str = "AI") -> dict[str, str]:
    """Return the score of each image after a model's ``name``, by key; empty unless the arm shows AI and scores are on."""
    if not (policy.shown and policy.score) or result is None:
        return {}
    return {key: f"{name} {score * 100:.0f} %" for key, score in sorted(result.view_scores.items())}


@cache
def colour_map(name: str) -> NDArray[np.uint8]:
    """Read a packaged colour map.

    Parameters
    ----------
    name : file name in ``resources/luts`` without the ending.

    Returns
    -------
    (256, 3) uint8 red, green, blue, read-only; entry 0 is value 0.
    """
    path = resource_path("luts", f"{name}.json")
    content = read_json(path)
    stops = content.get("stops") if isinstance(content, dict) else None
    if not isinstance(stops, list) or len(stops) < 2:
        raise ResourceError(f"{path}: expected a list 'stops' of [value, r, g, b], found {stops!r}.")
    table = np.asarray(stops, dtype=np.float64)
    grid = np.linspace(0.0, 1.0, 256)
    channels = [np.interp(grid, table[:, 0], table[:, k]) for k in (1, 2, 3)]
    colours = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    colours.setflags(write=False)
    return colours


def heat_argb(layer: HeatLayer) -> NDArray[np.uint32]:
    """Colour a heat map.

    Returns
    -------
    (rows, cols) uint32, premultiplied 0xAARRGGBB. Alpha grows with the value to at most ``opacity``, so that
    tissue without evidence stays as it is.
    """
    values = np.clip(layer.values, 0.0, 1.0)
    index = np.rint(values * 255).astype(np.uint8)
    ramp = np.clip(np.arange(256) / 255.0 / 0.5, 0.0, 1.0)
    alpha = np.rint(255.0 * layer.opacity * ramp * ramp * (3 - 2 * ramp)).astype(np.uint32)
    rgb = colour_map(layer.colour_map).astype(np.uint32)
    pre = (rgb * alpha[:, None] + 127) // 255
    table = alpha << 24 | pre[:, 0] << 16 | pre[:, 1] << 8 | pre[:, 2]
    return table.astype(np.uint32)[index]


def default_words(image: ViewImage) -> AnnotationText:
    """Return the words that need nothing but the image: view, modifiers, energy."""
    label = " ".join([image.view.label, *(modifier.value for modifier in image.modifiers)])
    flag = energy_flag(image.kind)
    return AnnotationText(view_label=label, flags=(flag,) if flag else ())
