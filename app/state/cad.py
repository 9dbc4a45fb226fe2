"""What other vendors' CAD reports may draw on which image, and the words for their state (MG-29..33).

Maps findings to the images on screen by identifier, or by a source image whose pixel positions are stated to be
kept; where that is not so, a sentence stands instead of a mark. Reading reports is ``inference.exam.objects``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.state.overlays import OverlayItem, OverlayKind
from app.state.terms import finding_term
from inference.exam.objects.model import CadMark, CadReport, CadState, Status
from inference.exam.types import Box, ViewImage
from resources.translation import translate


def _tr(text: str) -> str:
    return translate("cad", text)


_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b", re.IGNORECASE)


def state_words(state: CadState) -> str:
    """Say what a report's processing state means; a failure never reads like "no findings" (MG-30)."""
    return {
        CadState.ALL_WITHOUT: _tr("all algorithms succeeded, no findings"),
        CadState.ALL_WITH: _tr("all algorithms succeeded, with findings"),
        CadState.SOME_WITHOUT: _tr("NOT all algorithms succeeded, no findings in what was done"),
        CadState.SOME_WITH: _tr("NOT all algorithms succeeded, with findings"),
        CadState.NONE_SUCCEEDED: _tr("NO algorithm succeeded: the images were not assessed"),
        CadState.UNSTATED: _tr("processing state not stated: do not take it as no findings"),
    }[state]


@dataclass(frozen=True, slots=True, kw_only=True)
class CadOverlay:
    """Marks by ``ViewImage.key``, and what could not be drawn, one sentence each."""

    items: dict[str, tuple[OverlayItem, ...]]
    notes: tuple[str, ...] = ()
    hidden: int = 0  # optional marks above the operating point


def report_words(reports: Sequence[CadReport], images: Sequence[ViewImage] = ()) -> tuple[str, ...]:
    """Name each report: maker, algorithm with version, state, and the images that it is not about.

    Without a report, say that there is none.
    """
    if not reports:
        return (_tr("CAD: no CAD object for this exam"),)
    return tuple(_words(report) + _left_out_words(report, images) for report in reports)


def left_out(report: CadReport, images: Sequence[ViewImage]) -> tuple[ViewImage, ...]:
    """Return the images that a report does not name, itself or a source of theirs: it says nothing about them."""
    named = set(report.image_uids)
    return tuple(
        image
        for image in images
        if image.reference is None
        or not named & {image.reference.sop_instance_uid, *(uid for uid, _ in image.reference.sources)}
    )


def _left_out_words(report: CadReport, images: Sequence[ViewImage]) -> str:
    lacking = left_out(report, images)
    if not lacking:
        return ""
    if len(lacking) == len(images):
        return _tr(" (names NONE of the images of this exam: it says nothing about them)")
    return _tr(" (says NOTHING about {0})").format(", ".join(image.key for image in lacking))


def _words(report: CadReport) -> str:
    named = dict.fromkeys(f"{a.name} {a.version}".strip() for a in report.algorithms)
    named |= dict.fromkeys(f"{m.algorithm} {m.version}".strip() for m in report.marks)
    who = ", ".join(name for name in named if name) or report.model or _tr("algorithm not named")
    who = _DIGEST.sub(r"\1…", who)  # a digest of 64 figures fills a panel; the report itself has it whole
    failed = [a.performed or a.name for a in report.algorithms if a.failed]
    maker = report.manufacturer or _tr("maker not named")
    words = _tr("CAD {0}: {1}: {2}").format(maker, who, state_words(report.state))
    if failed:
        words += _tr(" (failed: {0})").format(", ".join(dict.fromkeys(failed)))
    if report.detections is Status.NOT_ATTEMPTED:
        words += _tr(" (detection not attempted)")
    return words


def cad_overlay(
    reports: Sequence[CadReport],
    images: Sequence[ViewImage],
    *,
    operating_point: float | None = None,
    selected: str | None = None,
) -> CadOverlay:
    """Place the marks of all reports on the images.

    Parameters
    ----------
    operating_point : optional marks up to this CAD Operating Point are drawn; None = required marks only
    selected : id of a mark; members of its composite feature light up with it
    """
    items: dict[str, list[OverlayItem]] = {}
    notes: list[str] = []
    hidden = 0
    for number, report in enumerate(reports):
        notes += [f"{report.name}: {problem}" for problem in report.problems]
        shown = [mark for mark in report.marks if mark.is_shown_at(operating_point)]
        hidden += sum(m.intent.value == "111151" for m in report.marks) - sum(
            m.intent.value == "111151" for m in shown
        )
        group = _group_of(report, number, selected)
        placed: set[str] = set()
        for image in images:
            uid, why_not = source_of(image, {mark.image_uid for mark in shown})
            here = [mark for mark in shown if mark.image_uid == uid] if uid else []
            if why_not:
                notes.append(f"{image.key}: {why_not}")
                placed |= {source for source, _ in image.reference.sources} if image.reference else set()
                continue
            placed |= {uid} if uid else set()
            inside = [mark for mark in here if _is_inside(mark, image)]
            if len(inside) < len(here):
                sentence = _tr("{0}: {1} CAD marks lie outside the image; not drawn.")
                notes.append(sentence.format(image.key, len(here) - len(inside)))
            items.setdefault(image.key, []).extend(
                _item(mark, image, number, selected=selected, group=group) for mark in inside
            )
        lost = len({mark.mark_id for mark in shown if mark.image_uid not in placed})
        if lost:
            sentence = _tr("{0}: {1} CAD marks belong to images that are not in this exam; not drawn.")
            notes.append(sentence.format(report.name, lost))
    kept = {key: tuple(value) for key, value in items.items() if value}
    return CadOverlay(items=kept, notes=tuple(dict.fromkeys(notes)), hidden=hidden)


def source_of(image: ViewImage, uids: set[str]) -> tuple[str, str]:
    """Return which of these images a mark on ``image`` may come from, and why not where one must not be drawn (MG-31).

    Returns
    -------
    (SOP Instance UID or "", sentence or ""); both empty = the reports say nothing of this image.
    """
    at = image.reference
    if at is None:
        return "", ""
    if at.sop_instance_uid in uids:
        return at.sop_instance_uid, ""
    for source, preserved in at.sources:
        if source not in uids:
            continue
        if preserved == "YES":
            return source, ""
        said = (
            _tr("Spatial Locations Preserved {0}").format(preserved)
            if preserved
            else _tr("Spatial Locations Preserved not stated")
        )
        sentence = _tr("CAD marks are for its source image, whose positions may differ ({0}); not drawn.")
        return "", sentence.format(said)
    return "", ""


def operating_points(reports: Sequence[CadReport]) -> tuple[float | None, ...]:
    """Return the choices of the reader: None (required only), then each CAD Operating Point, rising."""
    points = sorted({point for report in reports for point in report.operating_points})
    return (None, *points)


def mark_at(items: Sequence[OverlayItem], row: float, col: float, reach: float) -> str | None:
    """Return the id of the smallest AI or CAD item under a stored position, or None.

    Parameters
    ----------
    reach : how far beside a point counts as on it, stored pixels
    """
    best: tuple[float, str] | None = None
    for item in items:
        box = item.box
        if box is not None and box.row0 <= row <= box.row1 and box.col0 <= col <= box.col1:
            size = (box.row1 - box.row0) * (box.col1 - box.col0)
        elif item.point is not None and max(abs(item.point[0] - row), abs(item.point[1] - col)) <= reach:
            size = 0.0
        else:
            continue
        if best is None or size < best[0]:
            best = (size, item.item_id)
    return None if best is None else best[1]


def _group_of(report: CadReport, number: int, selected: str | None) -> str | None:
    return next((m.group for m in report.marks if _mark_id(m, number) == selected), None)


def _mark_id(mark: CadMark, number: int) -> str:
    return f"cad{number}:{mark.mark_id}"


def _is_inside(mark: CadMark, image: ViewImage) -> bool:
    rows, cols = image.pixels.shape
    points = [p for o in mark.outlines for p in o.points] + ([mark.center] if mark.center else [])
    return all(-1 <= row <= rows + 1 and -1 <= col <= cols + 1 for row, col in points)


def _item(
    mark: CadMark, image: ViewImage, number: int, *, selected: str | None, group: str | None
) -> OverlayItem:
    points = [p for o in mark.outlines for p in o.points]
    rows, cols = [p[0] for p in points], [p[1] for p in points]
    has_area = bool(points) and max(rows) > min(rows) and max(cols) > min(cols)
    box = Box(row0=min(rows), col0=min(cols), row1=max(rows), col1=max(cols)) if has_area else None
    item_id = _mark_id(mark, number)
    item = OverlayItem(
        kind=OverlayKind.CAD,
        image_key=image.key,
        item_id=item_id,
        box=box,
        point=mark.center if mark.center is not None or box is not None else points[0],
        label=mark_words(mark),
        finding=mark.finding,
        ai=True,
        selected=item_id == selected or (group is not None and mark.group == group),
        dashed=mark.intent.value == "111151",
    )
    return replace(item, outlines=tuple((o.points, o.is_ellipse) for o in mark.outlines))


def mark_words(mark: CadMark) -> str:
    """Name a mark: what it is, probability of cancer and certainty where stated (MG-33)."""
    words = mark.description or (
        finding_term(mark.finding) if mark.finding is not None else mark.meaning.lower()
    )
    if mark.probability is not None:
        words += _tr("  cancer {0:.0f} %").format(100 * mark.probability)
    if mark.certainty is not None:
        words += _tr("  certainty {0:.0f} %").format(100 * mark.certainty)
    return words


def has_failed(reports: Sequence[CadReport], images: Sequence[ViewImage] = ()) -> bool:
    """True where a report is of processing that failed or is not stated, or leaves some of the images out (MG-30)."""
    return any(report.state.has_failed or left_out(report, images) for report in reports)
