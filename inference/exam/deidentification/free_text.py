"""Free text: which of it is harmless, and which of it names someone.

A text survives only when every word of it is a known word of mammography or a measure (a list of what is allowed,
for no list of names is complete). Short attributes that are kept whole are searched for what the file gave away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from inference.exam.deidentification.profile import Decision, rule_of
from resources.files import read_json, resource_path

REMOVED = "REMOVED"
_WORD = re.compile(r"[^\W\d_]+", re.UNICODE)
_MEASURE = re.compile(r"\d{1,3}(?:[.,:]\d{1,3})?")  # no year fits
_SLASHED = re.compile(r"\d+\s*[/\-]\s*\d+\s*[/\-]\s*\d+")
_NAMED = frozenset({"PN", "LO", "SH", "ST", "LT", "UT", "UC", "AE"})
_LEAST_IN_BINARY = 5
_NO_CHANCE = 6  # letters that do not stand inside another word by chance
_LEAST = 3  # shorter identifiers (a study id "1") stand everywhere and name nobody


def harmless(text: str) -> bool:
    """Tell whether a text holds only words of mammography and short numbers; dates and ids are no short numbers."""
    if any(word.casefold() not in _words() for word in _WORD.findall(text)) or _SLASHED.search(text):
        return False
    return all(_MEASURE.fullmatch(number) for number in re.findall(r"\d[\d.,:]*", text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifiers:
    """What a file says of who, where and when, to be found again in what is left of it."""

    words: frozenset[str]

    def named_in(self, text: str) -> bool:
        """Tell whether a text repeats one of them, in any case: a long one anywhere, a short one as a word."""
        folded = text.casefold()
        return any(
            len(word) >= _NO_CHANCE or re.search(rf"(?<![^\W_]){re.escape(word)}(?![^\W_])", folded)
            for word in self.words
            if word in folded
        )

    def written_in(self, data: bytes) -> bool:
        """Tell whether binary data holds one of them; short ones are left out, for tables hold any three bytes."""
        folded = data.lower()
        return any(len(word) >= _LEAST_IN_BINARY and word.encode() in folded for word in self.words)


def identifiers_of(ds: Dataset) -> Identifiers:
    """Collect the values that the profile takes away: names and their parts, ids, places, dates, private texts."""
    found: set[str] = set()
    _collect(ds, found)
    return Identifiers(words=frozenset(found))


def _collect(ds: Dataset, found: set[str]) -> None:
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                _collect(item, found)
            continue
        if element.VR in {"DA", "DT"}:
            found |= {text[:8] for text in texts_of(element.value) if len(text) >= 8}
            continue
        if element.VR not in _NAMED:
            continue
        rule = rule_of(element.tag, element.VR, element.keyword)
        if rule.decision in {Decision.REMOVE, Decision.EMPTY, Decision.DUMMY} and not element.tag.is_private:
            for text in texts_of(element.value):
                found |= _parts(text, name=element.VR == "PN")


def texts_of(value: object) -> list[str]:
    """Return the values of a text attribute, stripped, empty ones left out."""
    many: Iterable[object] = value if isinstance(value, MultiValue | list | tuple) else [value]
    return [text for one in many if one is not None and (text := str(one).strip())]


def _parts(text: str, *, name: bool) -> set[str]:
    whole = {text.casefold()} if len(text) >= _LEAST else set()
    if not name:
        return {word for word in whole if word not in _words()}
    parts = {part.casefold() for part in re.split(r"[\^=\s,]+", text) if len(part) >= _LEAST}
    return {part for part in whole | parts if part not in _words()}


@cache
def _words() -> frozenset[str]:
    value = read_json(resource_path("deidentification", "safe_words.json"))
    assert isinstance(value, dict)
    return frozenset(str(word).casefold() for group in value["words"].values() for word in group)
