"""Applies the profile to a data set and everything inside its sequences; counts what was done.

Works in place on a data set read from a file. Pixels and the file around them are not touched here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from inference.exam.deidentification import dates
from inference.exam.deidentification.free_text import REMOVED, Identifiers, harmless, texts_of
from inference.exam.deidentification.profile import METHOD_CODES, Decision, Rule, rule_of
from inference.exam.deidentification.site_key import SiteKey

_PIXELS = frozenset({0x7FE00010, 0x7FE00008, 0x7FE00009})
_DUMMIES: dict[str, object] = {
    "PN": "Anonymous", "DA": "19000101", "TM": "000000", "DT": "19000101000000", "AS": "000Y", "IS": "0", "DS": "0",
    "US": 0, "UL": 0, "SS": 0, "SL": 0, "FL": 0.0, "FD": 0.0, "OB": b"\0\0", "OW": b"\0\0",
}  # fmt: skip
_STRINGS = frozenset({"AE", "CS", "LO", "LT", "SH", "ST", "UC", "UT"})
_SEARCHED = frozenset({"CS", "LO", "LT", "SH", "ST", "UC", "UT", "PN", "AE"})
# Text of a report that names the program and not a person (TID 4019, TID 1004): kept unless it repeats an identifier.
_PROGRAM_TEXTS = frozenset({"111001", "111002", "111003", "121014", "121015"})
_BIRTH_DATES = frozenset({"121031"})
_MAX_DEPTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Pseudonym:
    """Who the woman is in the study: what replaces name and id, and by how many days her dates move."""

    subject_id: str
    shift_days: int


@dataclass(slots=True)
class _Work:
    key: SiteKey
    who: Pseudonym
    identifiers: Identifiers
    counts: Counter[str] = field(default_factory=Counter)


def deidentify_dataset(
    ds: Dataset, *, key: SiteKey, who: Pseudonym, identifiers: Identifiers
) -> dict[str, int]:
    """Take identity out of a data set, in place.

    Parameters
    ----------
    identifiers : of this data set, collected before

    Returns
    -------
    How many attributes were removed, emptied, replaced, shifted, cleaned or given new UIDs, by these words.

    Raises
    ------
    RecursionError
        Sequences nested deeper than 64.
    """
    work = _Work(key=key, who=who, identifiers=identifiers)
    age = str(ds.get("PatientAge", "") or "") or dates.age_on(
        str(ds.get("PatientBirthDate", "") or ""), str(ds.get("StudyDate", "") or "")
    )
    _treat(ds, work, depth=0)
    ds.PatientName = ds.PatientID = who.subject_id
    ds.PatientBirthDate = ""
    if "PatientSex" not in ds:
        ds.PatientSex = ""
    if age:
        ds.PatientAge = dates.told_age(age)
    _declare(ds)
    return dict(work.counts)


def _treat(ds: Dataset, work: _Work, *, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise RecursionError(f"sequences nested deeper than {_MAX_DEPTH}")
    concept = _concept_of(ds)
    for tag in sorted(ds.keys()):
        if int(tag) in _PIXELS:
            continue
        element = ds[tag]
        rule = _rule(element, concept)
        if rule.decision is Decision.DESCEND:
            for item in element.value:
                _treat(item, work, depth=depth + 1)
            continue
        if element.is_empty and not tag.is_private and rule.decision is not Decision.REMOVE:
            continue
        _DO[rule.decision](ds, element, rule, work)


def _rule(element: DataElement, concept: str) -> Rule:
    if concept in _PROGRAM_TEXTS and element.keyword == "TextValue":
        return Rule(decision=Decision.KEEP)
    if concept in _BIRTH_DATES and element.VR in {"DA", "DT"}:
        return Rule(decision=Decision.DUMMY)
    return rule_of(element.tag, element.VR, element.keyword)


def _concept_of(item: Dataset) -> str:
    for name in item.get("ConceptNameCodeSequence") or ():
        return str(name.get("CodeValue", ""))
    return ""


def _keep(ds: Dataset, element: DataElement, rule: Rule, work: _Work) -> None:
    del rule
    if isinstance(element.value, bytes):
        if work.identifiers.written_in(element.value):
            _remove(ds, element, Rule(decision=Decision.REMOVE), work)
        return
    texts = texts_of(element.value) if element.VR in _SEARCHED else []
    if any(work.identifiers.named_in(text) for text in texts):
        _dummy(ds, element, Rule(decision=Decision.DUMMY), work)


def _remove(ds: Dataset, element: DataElement, rule: Rule, work: _Work) -> None:
    del rule
    ds.pop(element.tag)
    work.counts["private" if element.tag.is_private else Decision.REMOVE.value] += 1


def _empty(ds: Dataset, element: DataElement, rule: Rule, work: _Work) -> None:
    del rule
    ds[element.tag] = DataElement(element.tag, element.VR, Sequence() if element.VR == "SQ" else None)
    work.counts[Decision.EMPTY.value] += 1


def _dummy(ds: Dataset, element: DataElement, rule: Rule, work: _Work) -> None:
    if element.VR == "UI":
        _uid(ds, element, rule, work)
        return
    value = REMOVED if element.VR in _STRINGS else _DUMMIES.get(element.VR)
    if value is None:
        _remove(ds, element, rule, work)
        return
    ds[element.tag] = DataElement(element.tag, element.VR, value)
    work.counts[Decision.DUMMY.value] += 1


def _uid(ds: Dataset, element: DataElement, rule: Rule, work: _Work) -> None:
    del rule
    before = texts_of(element.value)
    after = [work.key.uid(uid) for uid in before]
    if after != before:
        ds[element.tag] = DataElement(element.tag, "UI", after if len(after) > 1 else after[0])
        work.counts[Decision.UID.value] += len(after)


def _shift(ds: Dataset, element: DataElement, rule: Rule, work: _Work) -> None:
    days = work.who.shift_days
    texts = texts_of(element.value)
    if element.VR == "TM":
        after: list[str | None] = [text if dates.is_time(text) else None for text in texts]
    else:
        move = dates.shifted_date if element.VR == "DA" else dates.shifted_datetime
        after = [move(text, days) for text in texts]
    if any(one is None for one in after):
        _DO[rule.otherwise](ds, element, rule, work)
        return
    ds[element.tag] = DataElement(element.tag, element.VR, after if len(after) > 1 else after[0])
    work.counts[Decision.SHIFT.value] += element.VR != "TM"


def _clean(ds: Dataset, element: DataElement, rule: Rule, work: _Work) -> None:
    texts = texts_of(element.value)
    if all(harmless(text) and not work.identifiers.named_in(text) for text in texts):
        return
    work.counts[Decision.CLEAN.value] += 1
    _DO[rule.otherwise](ds, element, rule, work)


def _declare(ds: Dataset) -> None:
    ds.PatientIdentityRemoved = "YES"
    ds.LongitudinalTemporalInformationModified = "MODIFIED"
    ds.DeidentificationMethod = ["PS3.15 Annex E Basic Profile and the options coded beside", "Negatoscope"]
    items = []
    for value, meaning in METHOD_CODES:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
        items.append(item)
    ds.DeidentificationMethodCodeSequence = items


_Do = Callable[[Dataset, DataElement, Rule, _Work], None]
_DO: dict[Decision, _Do] = {
    Decision.KEEP: _keep,
    Decision.REMOVE: _remove,
    Decision.EMPTY: _empty,
    Decision.DUMMY: _dummy,
    Decision.UID: _uid,
    Decision.SHIFT: _shift,
    Decision.CLEAN: _clean,
}
