"""What stands at a picture beside the AI's findings: that it was not read, or that nothing reaches the threshold.

The two never look alike; where several models answered, each says it of itself.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    lines: dict[str, list[tuple[str, bool]]] = {}
    for side in sides:
        unread = unread_views(side.result, tuple(images.values()))
        for key, why in unread.items():
            lines.setdefault(key, []).append((_not_read(side.letter, why_words(why)), True))
        found = {one.image_key for one in side.result.detections if one.score >= side.threshold}
        for image in exam.images if findings else ():
            if image.key not in found | set(unread):
                words = _tr("AI: no finding ≥ {0:.2f}").format(side.threshold)
                lines.setdefault(image.key, []).append((_named(side.letter, words), False))
    return {
        key: ("   ".join(dict.fromkeys(words for words, _ in said)), any(warns for _, warns in said))
        for key, said in lines.items()
    }


def _not_read(letter: str, why: str) -> str:
    short = len(why) <= LONG_REASON and not letter
    words = _tr("AI: NOT READ ({0})").format(why) if short else _tr("AI: NOT READ")
    return _named(letter, words)


def _named(letter: str, words: str) -> str:
    return words.replace("AI", f"AI {letter}", 1) if letter else words
