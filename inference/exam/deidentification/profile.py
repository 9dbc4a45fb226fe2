"""What the confidentiality profile says of each attribute: Table E.1-1 of PS3.15, options applied.

Options in force: Retain Patient Characteristics, Retain Longitudinal Temporal Information Modified Dates, Clean
Descriptors, Clean Structured Content, Clean Graphics. Decides per attribute; changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from functools import cache

from pydicom.tag import BaseTag

from resources.files import ResourceError, read_json, resource_path

# CID 7050: what DeidentificationMethodCodeSequence says of the output.
METHOD_CODES: tuple[tuple[str, str], ...] = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113103", "Clean Graphics Option"),
    ("113104", "Clean Structured Content Option"),
    ("113105", "Clean Descriptors Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113108", "Retain Patient Characteristics Option"),
)
_STANDARD_UIDS = "1.2.840.10008."
_TEXT = frozenset({"LT", "ST", "UT", "UC"})
# Free text that the table does not list and that operators type into; cleaned all the same.
_TYPED = frozenset(
    {
        "ContentDescription",
        "ContentLabel",
        "GraphicLayerDescription",
        "PartialViewDescription",
        "LUTExplanation",
    }
)
_GONE = frozenset({"TimezoneOffsetFromUTC"})  # would tell the region; every time keeps its own day without it


class Decision(Enum):
    """What is done with one attribute."""

    KEEP = "kept"
    REMOVE = "removed"
    EMPTY = "emptied"
    DUMMY = "replaced"
    UID = "uid"
    SHIFT = "shifted"
    CLEAN = "cleaned"  # survives when every word is harmless, else ``Rule.otherwise``
    DESCEND = "items"  # a sequence: kept, each item treated like the data set


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A decision, and what happens where cleaning or shifting is impossible."""

    decision: Decision
    otherwise: Decision = Decision.REMOVE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    basic: str
    options: dict[str, str] = field(default_factory=dict)


def rule_of(tag: BaseTag, vr: str, keyword: str) -> Rule:
    """Return what the profile with the options in force does to an attribute.

    Parameters
    ----------
    vr : value representation as read; "UN" = not known
    keyword : the standard's keyword, "" when the dictionary does not know the tag

    Notes
    -----
    PS3.15 E.1.1: private attributes and whatever is not known to be safe are removed. Where the table leaves a
    choice (X/Z, X/D, X/Z/D) the choice is one that every attribute type permits: zero length rather than absence,
    a dummy rather than zero length.
    """
    if tag.is_private or tag.group in range(0x5000, 0x5100) or tag.group in range(0x6000, 0x6100):
        return Rule(decision=Decision.REMOVE)
    if vr == "UN" or not keyword or keyword in _GONE:
        return Rule(decision=Decision.REMOVE)
    row = _table().get(f"{tag.group:04X}{tag.element:04X}")
    if row is None:
        return _unlisted(vr, keyword)
    basic = _basic(row.basic, vr)
    if row.options.get("patient_characteristics") == "K":
        return Rule(decision=Decision.KEEP)
    if "modified_dates" in row.options and vr in {"DA", "TM", "DT"}:
        return Rule(decision=Decision.SHIFT, otherwise=basic)
    if vr == "SQ":
        structured = {"clean_structured_content", "clean_graphics"} & row.options.keys()
        return Rule(decision=Decision.DESCEND if structured else basic)
    if {
        "clean_descriptors",
        "patient_characteristics",
    } & row.options.keys() or keyword == "UnformattedTextValue":
        return Rule(decision=Decision.CLEAN, otherwise=basic)
    return Rule(decision=basic)


def is_standard_uid(uid: str) -> bool:
    """Tell whether a UID names something of the standard itself (a class, a syntax) and nobody's object."""
    return uid.startswith(_STANDARD_UIDS)


def _unlisted(vr: str, keyword: str) -> Rule:
    if vr == "SQ":
        return Rule(decision=Decision.DESCEND)
    if vr == "UI":
        return Rule(decision=Decision.UID)  # standard UIDs map to themselves
    if vr in {"PN", "AE"}:
        return Rule(decision=Decision.DUMMY)
    if vr == "UR":  # addresses carry ids and hosts in their paths
        return Rule(decision=Decision.REMOVE)
    if vr in {"DA", "DT"}:
        return Rule(decision=Decision.SHIFT, otherwise=Decision.REMOVE)
    if vr in _TEXT or keyword in _TYPED:
        return Rule(decision=Decision.CLEAN, otherwise=Decision.DUMMY)
    return Rule(decision=Decision.KEEP)


def _basic(action: str, vr: str) -> Decision:
    if action in {"U", "X/Z/U*"}:
        return Decision.DESCEND if vr == "SQ" else Decision.UID
    if action == "X" or (action == "X/Z" and vr == "SQ"):
        return Decision.REMOVE
    if action in {"Z", "X/Z"}:
        return Decision.EMPTY
    return Decision.DESCEND if vr == "SQ" else Decision.DUMMY  # D, Z/D, X/D, X/Z/D


@cache
def _table() -> dict[str, _Row]:
    path = resource_path("deidentification", "ps3_15_e1_1.json")
    value = read_json(path)
    try:
        assert isinstance(value, dict)
        return {
            str(one["tag"]): _Row(basic=str(one["basic"]), options=dict(one.get("options", {})))
            for one in value["attributes"]
        }
    except (AssertionError, KeyError, TypeError) as error:
        raise ResourceError(
            f"{path.name}: expected attributes with tag and basic, found {error!r}."
        ) from error
