"""Tables of codes and rules that read DICOM headers: views, modifiers, partial view sections, contrast kinds.

Reads ``dicom/*.json`` and checks it. How a header is judged with them is ``inference.exam``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from resources.files import ResourceError, read_json, resource_path
from resources.vocabulary import ImageKind


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedWord:
    """A word of the standard: its abbreviation, its meaning, and its codes old and new."""

    value: str  # e.g. "MLO", "ID", "ANT"
    meaning: str
    sct: str
    srt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MammographyCodes:
    """CID 4014, 4015 and 4005, and the coding schemes under which files carry them."""

    schemes: tuple[str, ...]
    views: tuple[CodedWord, ...]
    modifiers: tuple[CodedWord, ...]
    partial_view_sections: tuple[CodedWord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRule:
    """One contrast rule (CEM-01): a pattern found in an attribute gives the kind."""

    name: str
    attribute: str  # a DICOM keyword, "ImageType3" for Image Type values 3 and up, or "FileName"
    pattern: str
    kind: ImageKind
    source: str  # where the rule comes from
    tested: str  # what real files it has seen
    requires: str = ""  # an attribute that must have a value


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastRules:
    """The rules in order of precedence, and the numbers that go with them."""

    rules: tuple[KindRule, ...]
    low_energy_below_kvp: float
    high_energy_from_kvp: float
    pair_within_s: float  # a low-energy and a recombined image further apart are of different compressions
    phase_gap_s: float  # a view taken again after at least this pause is a late one, before it a repeat


@cache
def mammography_codes() -> MammographyCodes:
    """Read the code table; ResourceError says what is wrong in it."""
    content = _content("mammography_codes.json", "negatoscope-mammography-codes/1")
    try:
        return MammographyCodes(
            schemes=tuple(str(name) for name in content["schemes"]),
            views=_words(content["views"]),
            modifiers=_words(content["modifiers"]),
            partial_view_sections=_words(content["partial_view_sections"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ResourceError(f"mammography_codes.json: expected tables of codes, found {error!r}.") from error


@cache
def contrast_rules() -> ContrastRules:
    """Read the contrast rules; ResourceError says what is wrong in them."""
    content = _content("contrast_rules.json", "negatoscope-contrast-rules/1")
    try:
        rules = tuple(
            KindRule(
                name=str(item["name"]),
                attribute=str(item["attribute"]),
                pattern=re.compile(str(item["pattern"])).pattern,
                kind=ImageKind(item["kind"]),
                source=str(item["source"]),
                tested=str(item["tested"]),
                requires=str(item["requires"]),
            )
            for item in content["rules"]
        )
        return ContrastRules(
            rules=rules,
            low_energy_below_kvp=float(content["kvp"]["low_energy_below"]),
            high_energy_from_kvp=float(content["kvp"]["high_energy_from"]),
            pair_within_s=float(content["pair_within_s"]),
            phase_gap_s=float(content["phase_gap_s"]),
        )
    except (KeyError, TypeError, ValueError, re.error) as error:
        raise ResourceError(f"contrast_rules.json: expected contrast rules, found {error!r}.") from error


def _content(name: str, schema: str) -> Mapping[str, Any]:
    content = read_json(resource_path("dicom", name))
    if not isinstance(content, dict) or content.get("schema") != schema:
        raise ResourceError(f"{name}: expected schema {schema!r}, found something else; install again.")
    return content


def _words(items: list[Mapping[str, Any]]) -> tuple[CodedWord, ...]:
    return tuple(
        CodedWord(value=str(i["value"]), meaning=str(i["meaning"]), sct=str(i["sct"]), srt=str(i["srt"]))
        for i in items
    )
