"""Makes content items of structured reports: the building bricks of ``cad_sr_write``; knows no template."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset

from inference.exam.objects.codes import Code
from inference.exam.objects.document import code_item


def related(relation: str, item: Dataset) -> Dataset:
    """Set how an item relates to its parent."""
    item.RelationshipType = relation
    return item


def item_of(kind: str, concept: Code) -> Dataset:
    """Start an item of a value type with its concept name."""
    item = Dataset()
    item.ValueType = kind
    item.ConceptNameCodeSequence = [code_item(concept)]
    return item


def container(concept: Code, children: Sequence[Dataset] = ()) -> Dataset:
    """Make a CONTAINER item with children that have their relations set."""
    item = item_of("CONTAINER", concept)
    item.ContinuityOfContent = "SEPARATE"
    if children:
        item.ContentSequence = list(children)
    return item


def code(concept: Code, value: Code) -> Dataset:
    """Make a CODE item."""
    item = item_of("CODE", concept)
    item.ConceptCodeSequence = [code_item(value)]
    return item


def text(concept: Code, words: str) -> Dataset:
    """Make a TEXT item."""
    item = item_of("TEXT", concept)
    item.TextValue = words
    return item


def num(concept: Code, value: float, unit: Code) -> Dataset:
    """Make a NUM item; ten digits, since DS holds 16 characters."""
    item = item_of("NUM", concept)
    measured = Dataset()
    measured.NumericValue = f"{value:.10g}"
    measured.MeasurementUnitsCodeSequence = [code_item(unit)]
    item.MeasuredValueSequence = [measured]
    return item


def scoord(
    concept: Code, graphic: str, points: Sequence[tuple[float, float]], image: tuple[int, ...]
) -> Dataset:
    """Make an SCOORD item of (row, col) points, selected from an image of the Image Library."""
    item = item_of("SCOORD", concept)
    item.GraphicType = graphic
    item.GraphicData = [float(v) for row, col in points for v in (col, row)]
    item.ContentSequence = [by_reference("SELECTED FROM", image)]
    return item


def by_reference(relation: str, place: tuple[int, ...]) -> Dataset:
    """Make an item that points at another one by its address from the root."""
    item = Dataset()
    item.RelationshipType = relation
    item.ReferencedContentItemIdentifier = list(place)
    return item
