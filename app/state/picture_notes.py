"""What stands at a picture beside the AI's findings: that it was not read, or that nothing reaches the threshold.

The two never look alike; where several models answered, each says it of itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.state.ai_notes import read_on_partner
from app.state.ai_view import unread_views, why_words
from app.state.priors import all_images
from app.state.side_by_side import Side
from inference.exam.types import Exam
from resources.translation import translate

LONG_REASON = 44  # signs; a longer reason stands in the panel only


def _tr(text: str) -> str:
    return translate("reading", text)


def picture_notes(
    sides: Sequence[Side], exam: Exam, priors: Sequence[Exam], *, findings: bool
) -> dict[str, tuple[str, bool]]:
    """Say it for each image, and whether it is a warning.

    Parameters
    ----------
    sides : the answers on screen.
    findings : findings are called up, so a picture without one says so.
    """
    images = all_images(exam, tuple(priors))
    unread: dict[str, list[tuple[str, str, bool]]] = {}  # letter, reason, and whether it is a warning
    empty: dict[str, list[Side]] = {}
    for side in sides:
        reasons = unread_views(side.result, tuple(images.values()))
        partnered = read_on_partner(side.result, tuple(images.values()))
        for key, why in reasons.items():
            unread.setdefault(key, []).append((side.letter, why_words(why), key not in partnered))
        found = {one.image_key for one in side.result.detections if one.score >= side.threshold}
        for image in exam.images if findings else ():
            if image.key not in found | set(reasons):
                empty.setdefault(image.key, []).append(side)
    notes: dict[str, tuple[str, bool]] = {}
    for key in (*unread, *(key for key in empty if key not in unread)):
        said = [*_not_read(unread.get(key, ())), *_no_finding(empty.get(key, ()))]
        notes[key] = "   ".join(said), any(warns for _, _, warns in unread.get(key, ()))
    return notes


def _not_read(unread: Sequence[tuple[str, str, bool]]) -> list[str]:
    if not unread:
        return []
    letters = ", ".join(filter(None, (letter for letter, _, _ in unread)))
    why = unread[0][1]
    words = (
        _tr("AI: NOT READ") if letters or len(why) > LONG_REASON else _tr("AI: NOT READ ({0})").format(why)
    )
    return [_named(letters, words)]


def _no_finding(sides: Sequence[Side]) -> list[str]:
    if len(sides) < 2:
        return [_named(side.letter, _tr("AI: no finding ≥ {0:.2f}").format(side.threshold)) for side in sides]
    return [
        _tr("AI: no finding {0}").format(", ".join(f"{one.letter} ≥ {one.threshold:.2f}" for one in sides))
    ]


def _named(letter: str, words: str) -> str:
    return words.replace("AI", f"AI {letter}", 1) if letter else words
