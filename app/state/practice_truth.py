"""The truth of a locked practice case as the screen shows it: pathology of each breast, lesions over the images.

Made from the words that the log keeps of the feedback; knows no truth file and no case that counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.state.hanging_fill import partner_of
from app.state.overlays import OverlayItem, OverlayKind
from app.state.terms import finding_term
from inference.exam.types import ViewImage
from resources.translation import translate
from resources.vocabulary import FindingType, Laterality, Pathology

_CORNERS = 48  # of a circle drawn as a polygon


def _tr(text: str) -> str:
    return translate("practice", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLesion:
    """One lesion in one image, stored (row, col) pixels; ``outline`` () = only its centre is known."""

    image_key: str
    row: float
    col: float
    finding: FindingType
    malignant: bool
    outline: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTruth:
    """What a reader is told of a practice case; ``why_not`` is a sentence where there is nothing to tell."""

    breasts: Mapping[Laterality, Pathology] = field(default_factory=dict)
    lesions: tuple[ShownLesion, ...] = ()
    why_not: str = ""


def truth_from_words(words: Mapping[str, object]) -> ShownTruth:
    """Read the feedback as ``reader_study.feedback.feedback`` gives it.

    Raises
    ------
    KeyError, TypeError, ValueError
        A key is missing or a word is none of the vocabulary's: the caller's mistake, not the reader's.
    """
    breasts, lesions = words["breasts"], words["lesions"]
    if not isinstance(breasts, Mapping) or not isinstance(lesions, Sequence):
        raise TypeError(f"feedback: expected breasts and a list of lesions, found {words!r}")
    return ShownTruth(
        breasts={Laterality(side): Pathology(found) for side, found in breasts.items()},
        lesions=tuple(_lesion(lesion) for lesion in lesions),
    )


def _lesion(words: Mapping[str, object]) -> ShownLesion:
    row, col = float(str(words["row"])), float(str(words["col"]))
    contour, radii = words.get("contour"), words.get("radius_px")
    outline: tuple[tuple[float, float], ...] = ()
    if isinstance(contour, Sequence) and contour:
        outline = tuple((float(point[0]), float(point[1])) for point in contour)
    elif isinstance(radii, Sequence):
        angles = (2 * math.pi * k / _CORNERS for k in range(_CORNERS))
        outline = tuple((row + radii[0] * math.sin(a), col + radii[1] * math.cos(a)) for a in angles)
    return ShownLesion(
        image_key=str(words["image_key"]),
        row=row,
        col=col,
        finding=FindingType(str(words["finding"])),
        malignant=bool(words["malignant"]),
        outline=outline,
    )


def pathology_words(found: Pathology) -> str:
    """A breast's pathology in the reader's language."""
    return {
        Pathology.MALIGNANT: _tr("malignant"),
        Pathology.BENIGN: _tr("benign"),
        Pathology.NORMAL: _tr("normal"),
    }[found]


def lesion_words(lesion: ShownLesion) -> str:
    """Type and pathology of a lesion in the reader's language."""
    kind = Pathology.MALIGNANT if lesion.malignant else Pathology.BENIGN
    return _tr("{0}, {1}").format(finding_term(lesion.finding), pathology_words(kind))


def truth_items(truth: ShownTruth, images: Sequence[ViewImage]) -> dict[str, tuple[OverlayItem, ...]]:
    """Draw every lesion on its image and, in a contrast pair, on the other energy too; by ``ViewImage.key``."""
    by_key = {image.key: image for image in images}
    items: dict[str, list[OverlayItem]] = {}
    for number, lesion in enumerate(truth.lesions):
        image = by_key.get(lesion.image_key)
        if image is None:
            continue
        item = OverlayItem(
            kind=OverlayKind.TRUTH,
            image_key=image.key,
            item_id=f"truth-{number}",
            point=(lesion.row, lesion.col),
            label=_tr("Truth: {0}").format(lesion_words(lesion)),
            finding=lesion.finding,
            outlines=((lesion.outline, False),) if lesion.outline else (),
        )
        items.setdefault(image.key, []).append(item)
        partner = partner_of(image, images)
        if partner is not None:
            items.setdefault(partner.key, []).append(replace(item, image_key=partner.key))
    return {key: tuple(value) for key, value in items.items()}
