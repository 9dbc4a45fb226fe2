"""Contrast mammography: which energy an image shows, which images belong together, and when they were taken.

The rules are data (``resources/dicom/contrast_rules.json``); every answer names the rule that fired (CEM-01, 02, 06).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise, product

from pydicom.dataset import Dataset

from inference.exam.types import Exam, ViewImage, exam_digest, with_unique_keys
from inference.exam.views import Ruling, joined, values_of
from resources.code_tables import KindRule, contrast_rules
from resources.vocabulary import ImageKind

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SET_BY_READER = "set by the reader"


def kind_of(ds: Dataset, name: str = "") -> Ruling[ImageKind]:
    """Say what the pixels are (CEM-01): contrast rules in order, else film (secondary capture) or FFDM.

    Parameters
    ----------
    ds : header
    name : the file's name, for data sets whose names carry the energy
    """
    fired = [rule for rule in contrast_rules().rules if _fires(rule, ds, name)]
    if fired:
        rule = fired[0]
        evidence = [f"Kind {rule.kind.value}: rule '{rule.name}' ({rule.tested}; source: {rule.source})."]
        evidence += [
            f"Kind conflict: rule '{r.name}' says {r.kind.value}." for r in fired[1:] if r.kind != rule.kind
        ]
        return Ruling(value=rule.kind, evidence=(*evidence, *_kvp_conflict(ds, rule.kind)))
    if str(ds.get("SOPClassUID", "")) == _SECONDARY_CAPTURE:
        return Ruling(value=ImageKind.FILM, evidence=("Kind film: a secondary capture (SOP class).",))
    evidence = ["Kind ffdm: no contrast rule applied."]
    if ds.get("ContrastBolusAgent"):
        evidence.append(
            "Kind undecided: a contrast agent is named, but no rule tells the energy; set it by hand."
        )
    return Ruling(value=ImageKind.FFDM, evidence=tuple(evidence))


def _fires(rule: KindRule, ds: Dataset, name: str) -> bool:
    if rule.requires and not joined(ds.get(rule.requires)):
        return False
    if rule.attribute == "ImageType3":
        # By value and not by place: vendors leave the third value empty or move the term on (kept as it is).
        return any(re.search(rule.pattern, value, re.I) for value in values_of(ds.get("ImageType"))[2:])
    if rule.attribute == "FileName":
        return re.search(rule.pattern, name.replace("\\", "/").rsplit("/", 1)[-1], re.I) is not None
    return re.search(rule.pattern, joined(ds.get(rule.attribute)), re.I) is not None


def _kvp_conflict(ds: Dataset, kind: ImageKind) -> tuple[str, ...]:
    text = str(ds.get("KVP", "") or "")
    kvp = float(text) if re.fullmatch(r"\d+(\.\d*)?", text) else 0.0
    if kind is ImageKind.CESM_LOW and kvp >= contrast_rules().low_energy_below_kvp:
        return (f"Kind conflict: {kvp:g} kVp is unusual for a low-energy image.",)
    if kind is ImageKind.CESM_HIGH and 0 < kvp < contrast_rules().high_energy_from_kvp:
        return (f"Kind conflict: {kvp:g} kVp is unusual for a high-energy image.",)
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastPair:
    """Low-energy and recombined image of one compression."""

    low: ViewImage
    recombined: ViewImage


def contrast_pairs(images: Iterable[ViewImage]) -> tuple[ContrastPair, ...]:
    """Pair images by side, view, modifiers, pixel geometry and time (CEM-02), in order of the recombined ones.

    A recombined image that names its source is paired with it; else the nearest in time wins, and images further
    apart than one compression lasts (``pair_within_s``) are no pair. Without times, order of appearance decides.
    """
    listed = list(images)
    lows = [k for k, image in enumerate(listed) if image.kind is ImageKind.CESM_LOW]
    recombined = [k for k, image in enumerate(listed) if image.kind is ImageKind.CESM_RECOMBINED]
    candidates = [
        (_distance(listed[low], listed[rc]), rc, low)
        for low, rc in product(lows, recombined)
        if _geometry(listed[low]) == _geometry(listed[rc]) and _distance(listed[low], listed[rc]) is not None
    ]
    partner: dict[int, int] = {}
    for _, rc, low in sorted(candidates, key=lambda entry: (entry[0] or 0.0, entry[1], entry[2])):
        if rc not in partner and low not in partner.values():
            partner[rc] = low
    return tuple(
        ContrastPair(low=listed[partner[rc]], recombined=listed[rc]) for rc in recombined if rc in partner
    )


def _distance(low: ViewImage, recombined: ViewImage) -> float | None:
    """Seconds between two images, -1 when one names the other as its source, None when too far apart."""
    if low.reference is not None and recombined.reference is not None:
        named = {uid for uid, _ in recombined.reference.sources}
        if low.reference.sop_instance_uid in named:
            return -1.0
    if low.acquired is None or recombined.acquired is None:
        return 0.0
    seconds = abs((recombined.acquired - low.acquired).total_seconds())
    # A content time is that of the processing, which may run much later: nearest wins, but nothing is refused.
    exact = not any("from Content Date" in text for image in (low, recombined) for text in image.evidence)
    return None if exact and seconds > contrast_rules().pair_within_s else seconds


def contrast_notes(images: tuple[ViewImage, ...]) -> tuple[str, ...]:
    """Name every contrast image that has no partner (CEM-02)."""
    paired = {id(image) for pair in contrast_pairs(images) for image in (pair.low, pair.recombined)}
    return tuple(
        f"{image.key}: no partner of the same side, view, geometry and time; unpaired contrast image."
        for image in images
        if image.kind in {ImageKind.CESM_LOW, ImageKind.CESM_RECOMBINED} and id(image) not in paired
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastTiming:
    """When a contrast image was taken (CEM-06): its place in the order, and how long after the injection."""

    order: int  # 1 = the first compression of the exam; an energy pair shares one number
    minutes: float | None  # after the start of the bolus; None = not recorded
    phase: str = ""  # "early" or "late" where one view was taken twice or more


def contrast_timings(images: Iterable[ViewImage]) -> dict[str, ContrastTiming]:
    """Say for each contrast image when it was taken, by ``ViewImage.key``; none without a time of acquisition.

    Early and late are told per view and modifiers, parted at the longest pause between its compressions; where
    that is shorter than ``phase_gap_s`` they are repeats and neither.
    """
    listed = [image for image in images if image.kind.is_contrast]
    low_of = {id(pair.recombined): pair.low for pair in contrast_pairs(listed)}
    leaders = [image for image in listed if id(image) not in low_of and image.acquired is not None]
    leaders.sort(key=lambda image: (str(image.acquired), image.key))
    timings: dict[str, ContrastTiming] = {}
    for order, image in enumerate(leaders, 1):
        phase = _phase(image, [other for other in leaders if _shot(other) == _shot(image)])
        timings[image.key] = ContrastTiming(order=order, minutes=minutes_after_injection(image), phase=phase)
    for image in listed:
        low = low_of.get(id(image))
        if low is not None and low.key in timings:
            timings[image.key] = timings[low.key]
    return timings


def early_count(times: Sequence[datetime]) -> int | None:
    """How many compressions of one view, in order of time, are early ones; None = repeats, neither early nor late.

    They are parted at their longest pause, the first of equal ones, if it is at least ``phase_gap_s``.
    """
    pauses = [after - before for before, after in pairwise(times)]
    longest = max(pauses, default=timedelta(0))
    if longest.total_seconds() < contrast_rules().phase_gap_s:
        return None
    return pauses.index(longest) + 1


def _phase(image: ViewImage, same: list[ViewImage]) -> str:
    """Early or late among the compressions of one view, which are in order of time."""
    early = early_count([other.acquired for other in same if other.acquired is not None])
    if early is None:
        return ""
    return "early" if same.index(image) < early else "late"


def minutes_after_injection(image: ViewImage) -> float | None:
    """Minutes from the start of the contrast bolus to the acquisition; None when either is not recorded."""
    if image.acquired is None or image.injected is None:
        return None
    return (image.acquired - image.injected).total_seconds() / 60


def agree_on_orientation(images: tuple[ViewImage, ...]) -> tuple[ViewImage, ...]:
    """Let a recombined image's detected orientation follow its low-energy partner's (plainer edge)."""
    follow = {id(pair.recombined): pair.low for pair in contrast_pairs(images)}
    agreed = []
    for image in images:
        low = follow.get(id(image))
        detected = any("by fallback" in text for text in image.evidence)
        if low is not None and detected and low.orientation != image.orientation:
            said = "Orientation taken over from the low-energy partner (fallback)."
            agreed.append(replace(image, orientation=low.orientation, evidence=(*image.evidence, said)))
        else:
            agreed.append(image)
    return tuple(agreed)


def with_kind(exam: Exam, source_id: str, kind: ImageKind) -> Exam:
    """Return the exam with one image's kind set by the reader; the evidence keeps what the rules said (CEM-01).

    Keys are given anew, for a kind is part of a key, and the notes on pairs are made again.
    """
    changed = tuple(
        image if image.source_id != source_id or image.kind is kind else _set_kind(image, kind)
        for image in exam.images
    )
    images = with_unique_keys(changed)
    old, new = contrast_notes(exam.images), contrast_notes(images)
    notes = (*(note for note in exam.notes if note not in old), *new)
    return replace(exam, images=images, digest=exam_digest(images), notes=notes)


def _set_kind(image: ViewImage, kind: ImageKind) -> ViewImage:
    kept = tuple(text for text in image.evidence if SET_BY_READER not in text)
    said = f"Kind {kind.value} {SET_BY_READER} in this session; the rules said {_ruled(image)}."
    return replace(image, kind=kind, evidence=(said, *kept))


def _ruled(image: ViewImage) -> str:
    for text in image.evidence:
        match = re.search(rf"{SET_BY_READER} in this session; the rules said (\w+)\.", text)
        if match is not None:
            return match[1]
    return image.kind.value


def _shot(image: ViewImage) -> tuple[object, ...]:
    return image.view, image.modifiers


def _geometry(image: ViewImage) -> tuple[object, ...]:
    return image.view, image.modifiers, image.pixels.shape
