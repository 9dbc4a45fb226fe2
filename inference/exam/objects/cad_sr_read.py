"""Reads a Mammography CAD SR (TID 4000) into a ``CadReport``: state, algorithms, findings to draw.

Tolerant of other vendors' trees: relationships are not judged, references are followed, cycles end. Which image
a finding may be drawn on is ``app.state.cad``.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from pydicom.dataset import Dataset

from inference.exam.objects import codes
from inference.exam.objects.content import Node, Tree, read_object, read_tree, told
from inference.exam.objects.model import (
    CadAlgorithm,
    CadMark,
    CadOutline,
    CadReport,
    CadState,
    Intent,
    ObjectError,
    Status,
)
from resources.vocabulary import FindingType

MAMMOGRAPHY_CAD_SR = "1.2.840.10008.5.1.4.1.1.88.50"


def read_cad_sr(source: Path | bytes, name: str = "") -> CadReport:
    """Read one report (MG-28..30, MG-32, MG-33).

    Parameters
    ----------
    source : path of a file, or its bytes
    name : what to call it in sentences; the file's name when empty

    Raises
    ------
    ObjectError
        It is no Mammography CAD SR, or damaged.
    """
    label = name or (source.name if isinstance(source, Path) else "CAD report")
    return cad_report(read_object(source, label), label)


def cad_report(ds: Dataset, name: str) -> CadReport:
    """Read a parsed report; see :func:`read_cad_sr`."""
    with told(name):
        return _report(ds, name)


def _report(ds: Dataset, name: str) -> CadReport:
    if str(ds.get("SOPClassUID", "")) != MAMMOGRAPHY_CAD_SR:
        raise ObjectError(
            f"{name}: expected a Mammography CAD SR, found SOP class {ds.get('SOPClassUID', 'none')}."
        )
    tree = read_tree(ds, name)
    summary = next(tree.below(tree.root, codes.SUMMARY.value), None)
    problems = list(tree.problems)
    marks = _marks(tree, summary or tree.root, problems)
    state = _state(summary)
    if state is CadState.UNSTATED:
        problems.append("The report does not state how far CAD processing came.")
    detections, first = _summary_of(tree, codes.DETECTIONS.value)
    analyses, second = _summary_of(tree, codes.ANALYSES.value)
    library = tree.child(tree.root, codes.IMAGE_LIBRARY.value)
    listed = (
        [node.image_uid for node in tree.children(library) if node.image_uid] if library is not None else []
    )
    said = tree.child(summary, codes.IMPRESSION_DESCRIPTION.value) if summary is not None else None
    return CadReport(
        uid=str(ds.get("SOPInstanceUID", "") or ""),
        state=state,
        detections=detections,
        analyses=analyses,
        manufacturer=str(ds.get("Manufacturer", "") or ""),
        model=str(ds.get("ManufacturerModelName", "") or ""),
        name=name,
        algorithms=tuple(dict.fromkeys((*first, *second))),
        marks=marks,
        image_uids=tuple(dict.fromkeys((*listed, *(m.image_uid for m in marks)))),
        study_uid=str(ds.get("StudyInstanceUID", "") or ""),
        created=f"{ds.get('ContentDate', '') or ''} {ds.get('ContentTime', '') or ''}".strip(),
        impression=said.text if said is not None else "",
        problems=tuple(dict.fromkeys(problems)),
    )


def _state(summary: Node | None) -> CadState:
    value = summary.code.value if summary is not None else ""
    return CadState(value) if value in set(CadState) else CadState.UNSTATED


def _summary_of(tree: Tree, concept: str) -> tuple[Status, list[CadAlgorithm]]:
    node = tree.child(tree.root, concept)
    if node is None:
        return Status.UNSTATED, []
    status = Status(node.code.value) if node.code.value in set(Status) else Status.UNSTATED
    found = []
    for container in tree.children(node):
        failed = container.concept.value in {codes.FAILED_DETECTIONS.value, codes.FAILED_ANALYSES.value}
        for performed in tree.children(container):
            if performed.concept.value in {codes.DETECTION_PERFORMED.value, codes.ANALYSIS_PERFORMED.value}:
                name, version = _algorithm(tree, performed)
                found.append(
                    CadAlgorithm(name=name, version=version, performed=performed.code.meaning, failed=failed)
                )
    return status, found


def _algorithm(tree: Tree, node: Node) -> tuple[str, str]:
    name, version = (
        tree.child(node, codes.ALGORITHM_NAME.value),
        tree.child(node, codes.ALGORITHM_VERSION.value),
    )
    return (name.text if name else "", version.text if version else "")


def _marks(tree: Tree, start: Node, problems: list[str]) -> tuple[CadMark, ...]:
    """Walk every branch down; a finding reached twice keeps the more visible of its intents (O.2.2.1)."""
    found: dict[tuple[int, ...], CadMark] = {}
    best: dict[tuple[int, ...], int] = {}
    stack: list[tuple[Node, Intent, Node | None]] = [(start, Intent.REQUIRED, None)]
    while stack:
        node, above, composite = stack.pop()
        intent, point = _intent(tree, node)
        intent = max(above, intent or Intent.REQUIRED, key=lambda i: i.rank)
        if best.get(node.place, 99) <= intent.rank:
            continue  # seen at least as visibly; also what ends a circle of references
        best[node.place] = intent.rank
        if node.concept.value == codes.FINDING.value:
            mark = _mark(tree, node, composite, problems)
            if mark is not None:
                held = point if intent is Intent.OPTIONAL else None
                found[node.place] = replace(mark, intent=intent, operating_point=held)
        holder = node if node.concept.value == codes.COMPOSITE.value else composite
        stack.extend((child, intent, holder) for child in tree.children(node))
    return tuple(found[place] for place in sorted(found))


def _intent(tree: Tree, node: Node) -> tuple[Intent | None, float | None]:
    item = tree.child(node, codes.INTENT.value)
    if item is None or item.code.value not in set(Intent):
        return None, None
    point = tree.child(item, codes.OPERATING_POINT.value) or tree.child(node, codes.OPERATING_POINT.value)
    return Intent(item.code.value), point.number if point is not None else None


def _mark(tree: Tree, node: Node, composite: Node | None, problems: list[str]) -> CadMark | None:
    center = tree.child(node, codes.CENTER.value)
    outlines = list(tree.children(node, codes.OUTLINE.value))
    uid = next((u for u in (_image_of(tree, item) for item in (center, *outlines)) if u), "")
    where = ".".join(str(n) for n in node.place)
    if center is None and not outlines:
        return None  # e.g. image quality or breast composition: nothing to draw
    if not uid:
        problems.append(f"Finding {where} ({node.code.meaning}) names no image; it is not drawn.")
        return None
    drawn = tuple(o for o in (_outline(item) for item in outlines) if o is not None)
    if len(drawn) < len(outlines):
        problems.append(f"An outline of finding {where} has too few or unusable points; it is not drawn.")
    middle = center.points[0] if center is not None and center.points and _finite(center.points[:1]) else None
    if middle is None and not drawn:
        problems.append(f"Finding {where} ({node.code.meaning}) has no usable position; it is not drawn.")
        return None
    name, version = _algorithm(tree, node)
    if not name and composite is not None:
        name, version = _algorithm(tree, composite)
    said = tree.child(node, codes.REGION_DESCRIPTION.value)
    return CadMark(
        mark_id=where,
        image_uid=uid,
        finding=_finding(node, composite, said.text if said else ""),
        meaning=node.code.meaning,
        center=middle,
        outlines=drawn,
        certainty=_share(tree, node, codes.CERTAINTY.value),
        probability=_share(tree, node, codes.PROBABILITY.value),
        algorithm=name,
        version=version,
        group=None if composite is None else ".".join(str(n) for n in composite.place),
        description=said.text if said else "",
    )


def _finding(node: Node, composite: Node | None, said: str) -> FindingType | None:
    found = codes.FINDING_TYPES.get(node.code.value)
    if node.code.value in {"129793001", "F-01796"} and composite is not None:
        composed = codes.FINDING_TYPES.get(composite.code.value)
        found = composed if composed in {FindingType.MASS, FindingType.ASYMMETRY} else found
    if node.code.value == codes.SELECTED_REGION.value and said == FindingType.ENHANCEMENT.value:
        return FindingType.ENHANCEMENT
    return found


def _image_of(tree: Tree, item: Node | None) -> str:
    if item is None:
        return ""
    return next((child.image_uid for child in tree.children(item) if child.image_uid), "")


def _outline(item: Node) -> CadOutline | None:
    if not _finite(item.points):
        return None
    if item.graphic == "ELLIPSE":
        return CadOutline(points=item.points[:4], is_ellipse=True) if len(item.points) >= 4 else None
    if item.graphic == "CIRCLE" and len(item.points) >= 2:
        (row, col), (edge_row, edge_col) = item.points[:2]
        reach = math.hypot(edge_row - row, edge_col - col)
        ends = ((row, col - reach), (row, col + reach), (row - reach, col), (row + reach, col))
        return CadOutline(points=ends, is_ellipse=True)
    if item.graphic == "POLYLINE" and len(item.points) >= 2:
        return CadOutline(points=item.points)
    return None


def _finite(points: tuple[tuple[float, float], ...]) -> bool:
    return bool(points) and all(math.isfinite(v) for point in points for v in point)


def _share(tree: Tree, node: Node, concept: str) -> float | None:
    """A percentage as a share; None when absent, in another unit or out of 0..100."""
    item = tree.child(node, concept)
    if item is None or item.number is None or not 0 <= item.number <= 100:
        return None
    if item.unit == "%":
        return item.number / 100
    return item.number if item.unit == "1" and item.number <= 1 else None
