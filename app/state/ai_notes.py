"""What the models say beside their findings, in few lines: which images they did not read, and what else must be known.

What several models or several views share is said once, with their letters and names. The reasons themselves are the
engines'; what stands on the pictures is ``picture_notes``'s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.state.ai_findings import picture_of
from app.state.ai_told import told
from app.state.ai_view import unread_views, why_words
from app.state.side_by_side import Side
from app.state.terms import image_term
from inference.exam.types import ViewImage
from inference.results import ExamResult
from resources.translation import translate
from resources.vocabulary import ImageKind

_VIEWS = re.compile(r"([RL] [A-Z]{2,5}(?:(?:, | and )[RL] [A-Z]{2,5})*): (.+)", re.DOTALL)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_ORDER = ("R CC", "L CC", "R MLO", "L MLO")


def _tr(text: str) -> str:
    return translate("ai_findings", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadLine:
    """One line on images that were not read; ``by_design`` = the model reads their low-energy partners instead."""

    words: str
    by_design: bool = False


def read_on_partner(result: ExamResult, images: Sequence[ViewImage]) -> frozenset[str]:
    """Keys of recombined images that a model does not read because it has read the low-energy image of the exposure."""
    unread, grid = unread_views(result, images), picture_of(images)
    return frozenset(
        image.key
        for image in images
        if image.kind is ImageKind.CESM_RECOMBINED
        and image.key in unread
        and grid[image.key] != image.key
        and grid[image.key] not in unread
    )


def unread_lines(sides: Sequence[Side], images: Sequence[ViewImage]) -> tuple[UnreadLine, ...]:
    """One line a reason: which images of the current exam which models did not read. Priors are said on the picture."""
    shown = {image.key: image for image in images if "@P" not in image.qualifier}
    said: dict[tuple[tuple[str, ...], str, bool], list[str]] = {}
    for side in sides:
        partnered = read_on_partner(side.result, images)
        reasons: dict[tuple[str, bool], list[str]] = {}
        for key, why in unread_views(side.result, images).items():
            if key in shown:
                words = _tr("their low-energy images were") if key in partnered else _bare(why, shown[key])
                reasons.setdefault((words, key in partnered), []).append(key)
        for (words, design), keys in reasons.items():
            said.setdefault((tuple(keys), words, design), []).append(side.letter)
    recombined = {key for key, image in shown.items() if image.kind is ImageKind.CESM_RECOMBINED}
    made = []
    for (images_of, words, design), letters in said.items():
        whole = len(recombined) > 1 and set(images_of) == recombined
        names = _tr("all recombined images") if whole else ", ".join(image_term(key) for key in images_of)
        line = _tr("NOT READ by the AI: {0} ({1})").format(names, words)
        if design:
            line = _tr("Not read: {0} ({1})").format(names, words)
        made.append(UnreadLine(words=_lettered(letters, line), by_design=design))
    return tuple(made)


def _bare(why: str, image: ViewImage) -> str:
    """The reason without the view's name, which stands before it already."""
    label = image.view.label
    return why_words(why).removeprefix(f"{label}: ").removeprefix(f"{label}：")


def _lettered(letters: Sequence[str], line: str) -> str:
    return f"{', '.join(filter(None, letters))}  {line}".strip()


@dataclass(slots=True)
class _Warning:
    """Sentences that differ in their numbers only: of which views, and the numbers of each."""

    rest: str
    views: list[str] = field(default_factory=list)
    numbers: list[list[str]] = field(default_factory=list)
    letters: list[str] = field(default_factory=list)


def warning_lines(sides: Sequence[Side], problems: Sequence[str] = ()) -> tuple[str, ...]:
    """What must be known of the answers, a sentence once for all views and models that share it.

    Parameters
    ----------
    problems : of models that did not answer.
    """
    merged: dict[tuple[str, tuple[str, ...]], _Warning] = {}
    for side in sides:
        for skeleton, one in _of_side(side.result.warnings).items():
            kept = merged.setdefault((skeleton, tuple(one.views)), _Warning(rest=one.rest, views=one.views))
            kept.numbers += one.numbers
            kept.letters.append(side.letter)
    lines = [told(one) for one in dict.fromkeys(problems)]
    return (*lines, *(_lettered(one.letters, told(_sentence(one))) for one in merged.values()))


def _of_side(warnings: Sequence[str]) -> dict[str, _Warning]:
    """One model's warnings by their words without views and numbers."""
    made: dict[str, _Warning] = {}
    for sentence in dict.fromkeys(warnings):
        match = _VIEWS.fullmatch(sentence)
        if match is None:
            made[sentence] = _Warning(rest=sentence)
            continue
        one = made.setdefault(_NUMBER.sub("#", match[2]), _Warning(rest=match[2]))
        one.views += [view for view in re.split(r", | and ", match[1]) if view not in one.views]
        one.views.sort(key=lambda view: _ORDER.index(view) if view in _ORDER else len(_ORDER))
        one.numbers.append(_NUMBER.findall(match[2]))
    return made


def _sentence(one: _Warning) -> str:
    """The sentence with all its views; a number that is not the same everywhere as a range."""
    if not one.views:
        return one.rest
    ranges = iter([_range(column) for column in zip(*one.numbers, strict=True)])
    return f"{', '.join(one.views)}: {_NUMBER.sub(lambda _match: next(ranges), one.rest)}"


def _range(values: Sequence[str]) -> str:
    ordered = sorted(set(values), key=float)
    return ordered[0] if len(ordered) == 1 else f"{ordered[0]}–{ordered[-1]}"
