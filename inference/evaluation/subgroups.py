"""Strata: the AUC of each level again for ages, densities, manufacturers, lesion types and sizes, and so on.

What describes the exam or image restricts positives and negatives; what describes the cancer (type, size,
invasiveness) restricts the positives and leaves all negatives.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from inference.evaluation.figures import estimate_json
from inference.evaluation.units import Unit, auc_of
from resources.vocabulary import ImageKind

_DENSITIES = {"1": "a", "2": "b", "3": "c", "4": "d"}
_INVASIVE = ("invasiveness", "invasive")
_YES, _NO = {"1", "yes", "true", "invasive"}, {"0", "no", "false", "in situ", "dcis", "non-invasive"}
_SIZES_MM = (10.0, 20.0, 50.0)  # limits of T1b, T1c and T2 of the TNM classification

Groups = Callable[[Unit], set[str]]  # the groups a unit belongs to, empty = not known


def subgroups_json(units: Mapping[str, Sequence[Unit]]) -> tuple[dict[str, Any], list[str]]:
    """Per attribute, group and level the AUC with DeLong's interval; attributes with one group are left out.

    Returns
    -------
    The tables, and a sentence for each attribute that nothing is known of.
    """
    out: dict[str, Any] = {}
    notes = []
    for attribute, groups_of, of_cancer in _ATTRIBUTES:
        table: dict[str, Any] = {}
        known = False
        for level, listed in units.items():
            if attribute == "kind" and level != "view":
                continue
            marked = [(u, groups_of(u)) for u in listed]
            present = sorted({g for u, groups in marked for g in groups if not of_cancer or u.positive})
            known = known or bool(present)
            for group in present:
                kept = [u for u, gs in marked if group in gs or (of_cancer and not u.positive)]
                estimate = auc_of(kept)
                if estimate is not None:
                    table.setdefault(group, {})[level] = estimate_json(estimate)
        if table:
            out[attribute] = dict(sorted(table.items()))
        elif not known:
            notes.append(f"subgroups.{attribute}: not recorded for any case; not computed.")
    return out, notes


def _age(unit: Unit) -> set[str]:
    ages = [image.age for image in unit.images if image.age is not None]
    if not ages:
        return set()
    if ages[0] < 40:
        return {"<40"}
    return {">=70"} if ages[0] >= 70 else {f"{ages[0] // 10 * 10}-{ages[0] // 10 * 10 + 9}"}


def _density(unit: Unit) -> set[str]:
    said = {image.density.strip().lower() for image in unit.images if image.density}
    return {_DENSITIES.get(word, word) for word in said}


def category(text: str | None) -> str:
    """BI-RADS category 0 to 6 out of a recorded text ("4B", "BI-RADS 4", "5/4": the higher), "" where there is none."""
    digits = re.findall(r"[0-6]", text or "")
    return max(digits, default="")


def _birads(unit: Unit) -> set[str]:
    """Of the unit's lesions where they have one, else of its images; the highest of several."""
    said = {category(mark.extra.get("birads")) for mark in unit.lesions} - {""}
    said = said or {category(image.birads) for image in unit.images} - {""}
    return {f"BI-RADS {max(said)}"} if said else set()


def _manufacturer(unit: Unit) -> set[str]:
    return {image.manufacturer for image in unit.images if image.manufacturer}


def _kind(unit: Unit) -> set[str]:
    return {image.kind.value for image in unit.images}


def _type(unit: Unit) -> set[str]:
    return {finding.value for finding in unit.types}


def _invasiveness(unit: Unit) -> set[str]:
    extras = [*(mark.extra for mark in unit.lesions), *(image.extra for image in unit.images)]
    said = {extra.get(column, "").strip().lower() for extra in extras for column in _INVASIVE} - {""}
    return {"invasive" if word in _YES else "in situ" if word in _NO else word for word in said}


def size_mm(unit: Unit) -> float | None:
    """Longest side of the largest cancer's box in mm, None without a box, a circle or a pixel size."""
    spacing = {(i.view, i.kind): i.spacing_mm for i in unit.images}
    sizes = []
    for mark in unit.lesions:
        if not mark.malignant and unit.positive:
            continue
        kinds = tuple(ImageKind) if mark.kind is None else (mark.kind,)
        pixel = next((s for k in kinds if (s := spacing.get((mark.view, k)))), None)
        if pixel is None:
            continue
        if mark.box is not None:
            sizes.append(max(mark.box[2] - mark.box[0], mark.box[3] - mark.box[1]) * pixel)
        elif mark.circle is not None:
            sizes.append(2 * mark.circle[2] * pixel)
    return max(sizes, default=None)


def _size(unit: Unit) -> set[str]:
    size = size_mm(unit)
    if size is None:
        return set()
    low = 0.0
    for limit in _SIZES_MM:
        if size <= limit:
            return {f"{low:g}-{limit:g} mm"}
        low = limit
    return {f">{low:g} mm"}


_ATTRIBUTES: tuple[tuple[str, Groups, bool], ...] = (
    ("age", _age, False),
    ("density", _density, False),
    ("manufacturer", _manufacturer, False),
    ("type", _type, True),
    ("invasiveness", _invasiveness, True),
    ("size", _size, True),
    ("birads", _birads, False),
    ("kind", _kind, False),
)
