"""Contrast mammography pairs: which low-energy and recombined images belong together (CEM-02)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from inference.exam.types import ViewImage
from resources.vocabulary import ImageKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastPair:
    """Low-energy and recombined image of one compression."""

    low: ViewImage
    recombined: ViewImage


def contrast_pairs(images: Iterable[ViewImage]) -> tuple[ContrastPair, ...]:
    """Pair images by side, view, modifiers and pixel geometry, in order of appearance (CEM-02)."""
    waiting: dict[tuple[object, ...], list[ViewImage]] = {}
    pairs = []
    listed = list(images)
    for image in listed:
        if image.kind is ImageKind.CESM_LOW:
            waiting.setdefault(_geometry(image), []).append(image)
    for image in listed:
        partners = waiting.get(_geometry(image))
        if image.kind is ImageKind.CESM_RECOMBINED and partners:
            pairs.append(ContrastPair(low=partners.pop(0), recombined=image))
    return tuple(pairs)


def contrast_notes(images: tuple[ViewImage, ...]) -> tuple[str, ...]:
    """Name every contrast image that has no partner (CEM-02)."""
    paired = {id(image) for pair in contrast_pairs(images) for image in (pair.low, pair.recombined)}
    return tuple(
        f"{image.key}: no partner of the same side, view and geometry; unpaired contrast image."
        for image in images
        if image.kind in {ImageKind.CESM_LOW, ImageKind.CESM_RECOMBINED} and id(image) not in paired
    )


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


def _geometry(image: ViewImage) -> tuple[object, ...]:
    return image.view, image.modifiers, image.pixels.shape
