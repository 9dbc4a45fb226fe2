"""Which images of an exam the four-view detector reads: one whole image of each CC and MLO, and why not the others.

Every image that is not read has a reason by its key, so that no view is silently left out. What is wrong with
the pixels of a chosen image is ``preprocessing.input_checks``'s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from inference.engine import AiUnavailable
from inference.exam.types import Exam, InferenceError, ViewImage
from inference.preprocessing.input_checks import PART_OF_BREAST, triage
from resources.vocabulary import FOUR_VIEWS, ImageKind, ViewModifier, ViewName

_ORDINARY = (ImageKind.FFDM, ImageKind.FILM)
_LEAST_MAGNIFICATION = 1.25  # contact views are enlarged by 1.0 to 1.1, magnification views by 1.4 and more
_PART_WORDS = re.compile(r"(?<![a-z])(spot|mag|magn|magnif[a-z]*)(?![a-z])", re.IGNORECASE)
_NAMES = {
    ViewModifier.SPOT: "spot compression",
    ViewModifier.MAGNIFICATION: "magnification",
    ViewModifier.TANGENTIAL: "tangential",
    ViewModifier.CLEAVAGE: "cleavage",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenViews:
    """The images that are read, in FOUR_VIEWS' order, why others are not (by ViewImage.key), and warnings."""

    images: tuple[ViewImage, ...]
    unread: dict[str, str]
    warnings: tuple[str, ...]


def chosen_views(exam: Exam) -> ChosenViews:
    """Choose the images of an exam.

    Of several whole images of one view the ordinary or film image goes before the low-energy image of a contrast
    examination, one without modifiers and not called partial before others, then the newest.

    Raises
    ------
    AiUnavailable
        No image is of a view and kind that the model reads.
    InferenceError
        The pixels of all of them are refused. Either sentence gathers the reasons.
    """
    unread: dict[str, str] = {}
    by_view: dict[ViewName, list[ViewImage]] = {}
    for image in exam.images:
        why = why_not(image)
        if why:
            unread[image.key] = f"{image.view.label}: {why}"
        else:
            by_view.setdefault(image.view, []).append(image)
    warnings = []
    chosen = []
    for view, images in by_view.items():
        best = max(images, key=_rank)
        chosen.append(best)
        for other in images:
            if other is not best:
                unread[other.key] = f"{view.label}: {_why_other(best, other)}"
                warnings.append(unread[other.key])
    sound = triage(chosen, spacing=False)
    unread |= sound.unread
    if not sound.images:
        why = " ".join(dict.fromkeys(unread.values()))
        sentence = (
            f"Exam {exam.exam_id}: expected a CC or MLO view that can be read, found none. {why} Choose another "
            "exam or model."
        )
        raise InferenceError(sentence) if chosen else AiUnavailable(sentence)
    images = sorted(sound.images, key=lambda image: FOUR_VIEWS.index(image.view))
    missing = [view.label for view in FOUR_VIEWS if view not in {image.view for image in images}]
    if missing:
        warnings.append(
            f"No {', '.join(missing)}: the other views were read without them, which finds fewer lesions."
        )
    return ChosenViews(images=tuple(images), unread=unread, warnings=(*warnings, *sound.warnings))


def why_not(image: ViewImage) -> str:
    """Say why one image is never read, whatever else the exam holds; "" for one that may be."""
    if image.qualifier.startswith("@"):
        return "of a prior examination; the model reads the present one only."
    if image.kind not in (*_ORDINARY, ImageKind.CESM_LOW):
        return "a recombined contrast image; the model reads ordinary, film and low-energy images only."
    part = part_words(image)
    if part:
        return f"{part} shows a part of the breast only; the model reads whole views, so it was not read."
    if image.view not in FOUR_VIEWS:
        return "no CC or MLO; the model reads only these."
    return ""


def part_words(image: ViewImage) -> str:
    """Words for a view of a part of the breast and what tells it: modifier, geometry, paddle or name; "" = whole."""
    for modifier in image.modifiers:
        if modifier in PART_OF_BREAST:
            return f"a {_NAMES[modifier]} view (view modifier)"
    factor = _number(image.header.get("EstimatedRadiographicMagnificationFactor", ""))
    if factor >= _LEAST_MAGNIFICATION:
        return f"a magnification view (magnification factor {factor:.2f})"
    paddle = image.header.get("PaddleDescription", "")
    if _PART_WORDS.search(paddle.replace("_", " ")):
        return f"a view with a {paddle.strip().lower()} paddle"
    name = PurePosixPath(image.path.replace("\\", "/")).stem
    found = _PART_WORDS.search(name.replace("_", " "))
    if found:
        return f"a view called {found[0].lower()} by its file's name"
    return ""


def _why_other(best: ViewImage, other: ViewImage) -> str:
    if other.kind is ImageKind.CESM_LOW and best.kind in _ORDINARY:
        return "the low-energy image was not read, for there is an ordinary image of this view, which was."
    return "there is more than one image of this view; the newest whole view was read."


def _rank(image: ViewImage) -> tuple[bool, bool, int, int]:
    number = image.qualifier.removeprefix("#")
    return (
        image.kind in _ORDINARY,
        not image.flags.partial,
        -len(image.modifiers),
        int(number) if number.isdecimal() else 1,
    )


def _number(text: str) -> float:
    try:
        return float(text.split("\\", maxsplit=1)[0])
    except ValueError:
        return 0.0
