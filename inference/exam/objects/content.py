"""The content tree of a structured report, read with limits: depth, number of items, references that run in circles.

Knows items and relationships; what concepts mean is for the readers of each document.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import config, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.tag import Tag

from inference.exam.container import refuse_swelling
from inference.exam.objects.codes import Code
from inference.exam.objects.model import ObjectError
from inference.exam.types import ExamError

config.settings.reading_validation_mode = config.IGNORE  # odd values are common and harmless here

MAX_DEPTH = 64
MAX_ITEMS = 100_000
MAX_BYTES = 64 << 20
_NO_CODE = Code("", "", "")
BROKEN = (
    OSError, EOFError, ValueError, KeyError, AttributeError, TypeError, NotImplementedError, IndexError,
    RuntimeError, OverflowError, struct.error, BytesLengthException, InvalidDicomError, Warning, zlib.error,
)  # fmt: skip  # RuntimeError covers RecursionError: sequences nested beyond reason


@dataclass(slots=True, eq=False)
class Node:
    """One content item; ``place`` is its address in the tree as by-reference items write it."""

    relation: str
    kind: str  # CONTAINER, CODE, TEXT, NUM, SCOORD, IMAGE, ...
    concept: Code
    place: tuple[int, ...]
    code: Code = _NO_CODE
    text: str = ""
    number: float | None = None
    unit: str = ""
    graphic: str = ""
    points: tuple[tuple[float, float], ...] = ()  # row, col
    image_uid: str = ""
    target: tuple[int, ...] | None = None  # by-reference item
    children: list[Node] = field(default_factory=list)


class Tree:
    """All items of one document, by address."""

    def __init__(self, root: Node, problems: list[str]) -> None:
        self.root, self.problems = root, problems
        self.nodes: dict[tuple[int, ...], Node] = {}
        stack = [root]
        while stack:
            node = stack.pop()
            self.nodes[node.place] = node
            stack.extend(node.children)

    def resolved(self, node: Node) -> Node | None:
        """Return the item a by-reference item points at (itself otherwise), or None when it points nowhere."""
        seen = set()
        found: Node | None = node
        while found is not None and found.target is not None:
            if found.place in seen:
                return None
            seen.add(found.place)
            found = self.nodes.get(found.target)
        return found

    def children(self, node: Node, concept: str = "") -> Iterator[Node]:
        """Yield the children, references followed; only those of one concept value when given."""
        for child in node.children:
            target = self.resolved(child)
            if target is not None and concept in {"", target.concept.value}:
                yield target

    def child(self, node: Node, concept: str) -> Node | None:
        """Return the first child of that concept value, or None."""
        return next(self.children(node, concept), None)

    def below(self, node: Node, concept: str) -> Iterator[Node]:
        """Yield every item of that concept under ``node``, each once, however the references run."""
        seen, stack = {node.place}, [node]
        while stack:
            for child in self.children(stack.pop()):
                if child.place in seen:
                    continue
                seen.add(child.place)
                if child.concept.value == concept:
                    yield child
                stack.append(child)


def read_object(source: Path | bytes, name: str) -> Dataset:
    """Read a whole DICOM object that holds no image.

    Raises
    ------
    ObjectError
        It is no DICOM, damaged, larger than 64 MB or nested beyond reason.
    """
    with told(name), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        if size > MAX_BYTES:
            raise ObjectError(
                f"{name}: expected a report or presentation state of at most 64 MB, found {size} bytes."
            )
        data = source if isinstance(source, bytes) else source.read_bytes()
        refuse_swelling(data, MAX_BYTES)
        stream = io.BytesIO(data)
        ds = dcmread(stream, force=False, stop_before_pixels=True)
        _refuse_cut_off(ds)
        return ds


def _refuse_cut_off(ds: Dataset) -> None:
    """The library reads what is there of a value that is cut off; half a report must not pass for a whole one."""
    for tag in ds.keys():  # noqa: SIM118 - a data set iterates over elements, which would parse them
        held: object = ds.get_item(tag)
        if isinstance(held, RawDataElement):
            there = len(held.value or b"")
            if there < held.length < 0xFFFFFFFF:
                raise EOFError(f"{held.length} bytes announced, {there} there")


@contextmanager
def told(name: str) -> Iterator[None]:
    """Turn whatever goes wrong while an object is read into one sentence that names it."""
    try:
        yield
    except ObjectError:
        raise
    except ExamError as error:
        raise ObjectError(f"{name}: {error}") from error
    except BROKEN as error:
        raise ObjectError(f"{name}: {damage(error)}") from error


def damage(error: BaseException) -> str:
    """Say what is wrong with a file that cannot be parsed."""
    if isinstance(error, RecursionError):
        return "expected a report, found items nested beyond reason; leave the file out."
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"expected a readable DICOM object, found damage ({first}); ask for it again from its sender."


def read_tree(ds: Dataset, name: str) -> Tree:
    """Build the tree of a report; what is odd in it becomes a problem and not an error.

    Raises
    ------
    ObjectError
        The report has no content, or more than 100 000 items.
    """
    with told(name):
        return _tree(ds, name)


def _tree(ds: Dataset, name: str) -> Tree:
    if "ContentSequence" not in ds and "ConceptNameCodeSequence" not in ds:
        raise ObjectError(f"{name}: expected a report with content, found none; leave the file out.")
    root, problems = _node(ds, (1,)), []
    stack: list[tuple[Dataset, Node]] = [(ds, root)]
    count = 0
    while stack:
        parent, node = stack.pop()
        for number, item in enumerate(parent.get("ContentSequence") or (), start=1):
            count += 1
            if count > MAX_ITEMS:
                raise ObjectError(
                    f"{name}: expected at most {MAX_ITEMS} items, found more; leave the file out."
                )
            child = _node(item, (*node.place, number))
            node.children.append(child)
            if len(child.place) > MAX_DEPTH:
                problems.append(f"Items deeper than {MAX_DEPTH} levels were left out.")
                continue
            stack.append((item, child))
    return Tree(root, list(dict.fromkeys(problems)))


def code_of(ds: Dataset, keyword: str) -> Code:
    """Return the first code of a code sequence, or an empty one."""
    items = ds.get(keyword)
    if not items:
        return _NO_CODE
    item = items[0]
    value = item.get("CodeValue") or item.get("LongCodeValue") or item.get("URNCodeValue") or ""
    return Code(
        str(value).strip(),
        str(item.get("CodingSchemeDesignator", "") or ""),
        str(item.get("CodeMeaning", "") or ""),
    )


def _node(ds: Dataset, place: tuple[int, ...]) -> Node:
    node = Node(
        relation=str(ds.get("RelationshipType", "") or ""),
        kind=str(ds.get("ValueType", "") or ""),
        concept=code_of(ds, "ConceptNameCodeSequence"),
        place=place,
    )
    reference = ds.get("ReferencedContentItemIdentifier")
    if reference is not None and Tag("ReferencedContentItemIdentifier") in ds:
        node.target = tuple(int(str(v)) for v in _list(reference))
        return node
    if node.kind == "CODE":
        node.code = code_of(ds, "ConceptCodeSequence")
    elif node.kind == "NUM":
        node.number, node.unit = _number(ds)
    elif node.kind == "SCOORD":
        node.graphic = str(ds.get("GraphicType", "") or "")
        node.points = _points(ds)
    elif node.kind in {"IMAGE", "COMPOSITE"}:
        items = ds.get("ReferencedSOPSequence") or ()
        node.image_uid = str(items[0].get("ReferencedSOPInstanceUID", "") or "") if items else ""
    else:
        text = ds.get("TextValue") or ds.get("UID") or ds.get("Date") or ds.get("Time") or ds.get("DateTime")
        node.text = str(text or "")
    return node


def _number(ds: Dataset) -> tuple[float | None, str]:
    items = ds.get("MeasuredValueSequence") or ()
    if not items:
        return None, ""
    value = _list(items[0].get("NumericValue"))
    unit = code_of(items[0], "MeasurementUnitsCodeSequence").value
    try:
        return (float(str(value[0])) if value else None), unit
    except ValueError:
        return None, unit


def _points(ds: Dataset) -> tuple[tuple[float, float], ...]:
    data = [float(str(v)) for v in _list(ds.get("GraphicData"))]
    return tuple((row, col) for col, row in zip(data[::2], data[1::2], strict=False))


def _list(value: object) -> list[object]:
    if value is None or value == "":
        return []
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else [value]
