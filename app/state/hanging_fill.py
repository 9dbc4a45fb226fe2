"""Which image fills one place of a hanging step, which ones lie under it, and why the others lost.

Knows duplicates (MG-39), partial views (MG-36), spot and magnification (MG-37), implants (MG-38), priors
(MG-41), and early and late contrast views (CEM-06). What is laid out where is ``app.state.hanging``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.state.hanging_rules import Phase, Slot
from app.state.priors import prior_number
from app.state.terms import kind_term
from inference.exam.contrast import contrast_pairs, early_count
from inference.exam.types import Exam, ViewImage
from resources.translation import translate
from resources.vocabulary import ImageKind, Projection, ViewModifier

_SPECIAL = frozenset({ViewModifier.MAGNIFICATION, ViewModifier.SPOT})
# None of these shows the whole breast, so none stands in for it.
_PART_OF_BREAST = _SPECIAL | {
    ViewModifier.CLEAVAGE,
    ViewModifier.AXILLARY_TAIL,
    ViewModifier.AXILLARY_TISSUE,
    ViewModifier.TANGENTIAL,
    ViewModifier.INFRAMAMMARY_FOLD,
}
_PLAIN = (ImageKind.FFDM, ImageKind.FILM, ImageKind.CESM_LOW)
_OBLIQUE = (Projection.MLO, Projection.LMO, Projection.ML, Projection.LM, Projection.SIO, Projection.ISO)
_AXIAL = (Projection.CC, Projection.FB, Projection.XCCL, Projection.XCCM, Projection.XCC)


def _tr(text: str) -> str:
    return translate("hanging", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What hangs in a place (None = nothing), all that lie there with it on top first, and why."""

    image: ViewImage | None
    why: str
    stack: tuple[ViewImage, ...] = ()
    considered: tuple[str, ...] = ()


def is_special(image: ViewImage) -> bool:
    """True for spot and magnification views, which hang later and never at same size (MG-37)."""
    return bool(_SPECIAL & set(image.modifiers))


def is_hangable(image: ViewImage) -> bool:
    """False for quality control and For Processing images, which are listed only (MG-04)."""
    return not (image.flags.quality_control or image.flags.for_processing)


def name_of(image: ViewImage) -> str:
    """Side, projection and modifiers, e.g. "R CC S M"."""
    return " ".join([image.view.label, *(modifier.value for modifier in image.modifiers)])


def _taken(image: ViewImage) -> datetime:
    return image.acquired or datetime.min


def partner_of(image: ViewImage, images: Sequence[ViewImage]) -> ViewImage | None:
    """Return the other energy of the same compression, or None (CEM-02, CEM-03)."""
    if not image.kind.is_contrast:
        return None
    number = prior_number(image)
    for pair in contrast_pairs(candidate for candidate in images if prior_number(candidate) == number):
        if pair.low.key == image.key:
            return pair.recombined
        if pair.recombined.key == image.key:
            return pair.low
    return None


def prior_of(image: ViewImage, exam: Exam, priors: Sequence[Exam]) -> ViewImage | None:
    """Return the same view in the newest prior that has it; for a prior's image, the current one (MG-41)."""
    pools = priors if prior_number(image) == 0 else (exam,)
    if is_special(image):
        return None
    family = _AXIAL if image.view.projection in _AXIAL else _OBLIQUE
    kinds = _PLAIN if image.kind in _PLAIN else (image.kind,)
    for pool in pools:
        slot = Slot(
            row=0,
            col=0,
            laterality=image.view.laterality,
            projections=(image.view.projection, *(p for p in family if p is not image.view.projection)),
            kinds=kinds,
        )
        found = _fill_from(slot, pool.images).image
        if found is not None:
            return found
    return None


def whole_breast_of(image: ViewImage, images: Sequence[ViewImage]) -> ViewImage | None:
    """Return the view of the whole breast that a spot or magnification view belongs to, or None."""
    slot = Slot(
        row=0,
        col=0,
        laterality=image.view.laterality,
        projections=(image.view.projection,),
        kinds=(image.kind,),
    )
    return _fill_from(slot, images).image


def mosaics(images: Sequence[ViewImage]) -> tuple[tuple[ViewImage, ...], ...]:
    """Return the partial views that together make one view, in order of acquisition (MG-36)."""
    groups: dict[tuple[object, ...], list[ViewImage]] = {}
    for image in images:
        if image.flags.partial and is_hangable(image) and not is_special(image):
            groups.setdefault((image.view, image.kind, image.modifiers), []).append(image)
    return tuple(tuple(sorted(parts, key=_taken)) for parts in groups.values() if len(parts) > 1)


# ---------------------------------------------------------------- filling


def fill(slot: Slot, exam: Exam, priors: Sequence[Exam]) -> Filled:
    """Return what hangs in ``slot``; ``why`` names the rule, or what is missing."""
    if slot.prior == 0:
        return _fill_from(slot, exam.images)
    if slot.prior > len(priors):
        return Filled(
            image=None, why=_tr("no prior exam number {0} for {1}").format(slot.prior, slot.view_words)
        )
    return _fill_from(slot, priors[slot.prior - 1].images)


def _fill_from(slot: Slot, images: Sequence[ViewImage]) -> Filled:
    considered: list[str] = []
    pool = []
    for image in images:
        if image.view.laterality is not slot.laterality or image.view.projection not in slot.projections:
            continue
        against = _against(slot, image)
        if against:
            considered.append(f"{image.key} {name_of(image)}: {against}")
        else:
            pool.append(image)
    for projection in slot.projections:
        for kind in slot.kinds:
            same = [image for image in pool if image.view.projection is projection and image.kind is kind]
            found = _in_phase(slot, same)
            if found:
                return _chosen(slot, found, [image for image in pool if image not in found], considered)
            if same:
                considered += [
                    _tr("{0}: one acquisition only, neither early nor late").format(image.key)
                    for image in same
                ]
    why = _tr("no {0} of kind {1} in this exam").format(slot.view_words, kinds_words(slot.kinds))
    return Filled(image=None, why=why, considered=tuple(considered))


def kinds_words(kinds: Sequence[ImageKind]) -> str:
    """Kinds of image as alternatives."""
    return _tr(" or ").join(kind_term(kind) for kind in kinds)


def _against(slot: Slot, image: ViewImage) -> str:
    """Say why ``image`` may not hang in ``slot``, "" when it may."""
    modifiers = set(image.modifiers)
    if not is_hangable(image):
        return _tr("quality control or for processing: listed, not hung")
    missing = [modifier.value for modifier in slot.modifiers if modifier not in modifiers]
    if missing:
        return _tr("lacks the modifier {0}").format(", ".join(missing))
    if not slot.modifiers and modifiers & _PART_OF_BREAST:
        return _tr("spot, magnification or other view of a part: never stands in for the whole breast")
    displaced = ViewModifier.IMPLANT_DISPLACED in modifiers
    if slot.implant_displaced is not None and slot.implant_displaced is not displaced:
        return _tr("implant displaced") if displaced else _tr("implant not displaced")
    return ""


def _phases(images: Sequence[ViewImage]) -> tuple[list[ViewImage], list[ViewImage]]:
    """Split contrast views of one kind at their longest pause; all are early where there is none."""
    ordered = sorted(images, key=_taken)
    if len(ordered) < 2 or any(image.acquired is None for image in ordered):
        return list(images), []
    if not ordered[0].kind.is_contrast:
        return list(images), []
    early = early_count([_taken(image) for image in ordered])
    return (list(images), []) if early is None else (ordered[:early], ordered[early:])


def _in_phase(slot: Slot, images: Sequence[ViewImage]) -> list[ViewImage]:
    early, late = _phases(images)
    if slot.phase is Phase.LATE:
        return late
    if slot.phase is Phase.EARLY:
        return early if late else []
    return early


def _rank(image: ViewImage) -> tuple[bool, int, float]:
    """Whole before partial, fewer modifiers first, newest first; sorting keeps file order for the rest."""
    taken = image.acquired
    age = 0.0 if taken is None else -(taken - datetime(1900, 1, 1)).total_seconds()
    return image.flags.partial, len(image.modifiers), age


def _chosen(
    slot: Slot, found: Sequence[ViewImage], lost: Sequence[ViewImage], considered: Sequence[str]
) -> Filled:
    # The later file goes first where no time is recorded, as a repeat is stored after what it repeats.
    later_first = list(reversed(found))
    ordered = sorted(later_first, key=_rank)
    top = ordered[0]
    if top.flags.partial:  # parts lie in the order they were taken: none of them is newer than the view
        ordered = sorted((image for image in ordered if image.flags.partial), key=_taken)
        top = ordered[0]
    stack = tuple(image for image in ordered if image.modifiers == top.modifiers)
    why = _tr("the place for {0} ({1}) is filled by {2} ({3})").format(
        slot.view_words, kinds_words(slot.kinds), name_of(top), kind_term(top.kind)
    )
    if top.view.projection is not slot.projections[0]:
        why += _tr(", as there is no {0}").format(slot.projections[0].value)
    if len(stack) > 1 and top.flags.partial:
        why += _tr("; {0} partial images make one view").format(len(stack))
    elif len(stack) > 1:
        why += _tr("; {0} such images, the newest is on top").format(len(stack))
    told = list(considered)
    told += [
        _tr("{0}: the same view, older or partial, lies under it").format(image.key) for image in stack[1:]
    ]
    told += [
        _tr("{0} {1}: has modifiers, {2} has fewer").format(image.key, name_of(image), top.key)
        for image in ordered
        if image not in stack
    ]
    told += [_lost_words(slot, image, top) for image in lost if image.kind in slot.kinds]
    return Filled(image=top, why=why, stack=stack, considered=tuple(told))


def _lost_words(slot: Slot, image: ViewImage, top: ViewImage) -> str:
    """Say why ``top`` hangs and not ``image``, which fits the place as well."""
    if (slot.phase is None and image.kind is not top.kind) or image.view != top.view:
        words = _tr("{0} ({1}): {2} of kind {3} comes first")
        return words.format(image.key, kind_term(image.kind), top.view.projection.value, kind_term(top.kind))
    return _tr("{0}: the other phase of contrast").format(image.key)
