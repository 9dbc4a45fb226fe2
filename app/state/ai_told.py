"""What the AI's engines say, in the language of the screen: a sentence's template is found again and its translation filled.

The engines write English, for caches, logs and tables must not depend on a screen. A sentence that the catalogue does not
know is shown as it is.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping

from resources.translation import entries, translate
from resources.vocabulary import ImageKind

CONTEXT = "engines"
_LABEL = re.compile(r"([RL] [A-Z]{2,5}): (.+)", re.DOTALL)  # a view, then what is said of it
_SENTENCE_END = re.compile(r"(?<=\.) (?=\S)")
_VIEW = re.compile(r"[RL] [A-Z]{2,5}")
_LONGEST = 2_000  # signs; what is longer is no sentence of an engine


def _tr(text: str) -> str:
    return translate("ai_told", text)


def told(sentence: str) -> str:
    """Return what an engine said in the language in use; what is not known stays as it is."""
    known = entries(CONTEXT)
    if not known or len(sentence) > _LONGEST:
        return sentence
    kept = _made.get(CONTEXT)
    if kept is None or kept[0] is not known:
        kept = _made[CONTEXT] = known, _Reader(known)
    return kept[1].said(sentence)


class _Reader:
    """Finds templates in sentences; what was found is kept, for the same few are shown again and again."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._templates = [
            (_pattern(source), _letters(source), said) for source, said in known.items() if said
        ]
        self._kept: dict[str, tuple[int, str]] = {}

    def said(self, text: str) -> str:
        """The whole text in the language in use."""
        if len(self._kept) > 1_000:
            self._kept.clear()
        return self._best(text)[1]

    def _best(self, text: str) -> tuple[int, str]:
        """How many letters of a text are known, and the text with those translated: the reading that knows most."""
        if text not in self._kept:
            self._kept[text] = 0, text  # until it is known
            self._kept[text] = max(self._readings(text), key=lambda reading: reading[0])
        return self._kept[text]

    def _readings(self, text: str) -> list[tuple[int, str]]:
        found = [(0, text)]
        word = _word(text)
        if word != text:
            found.append((1, word))
        for end in [*(m.start() for m in _SENTENCE_END.finditer(text)), len(text)]:
            first, rest = text[:end], text[end:].lstrip()
            count, said = self._one(first)
            if rest:
                more, after = self._best(rest)
                count, said = count + more, said + ("" if said.endswith("。") else " ") + after
            found.append((count, said))
        label = _LABEL.fullmatch(text)
        if label is not None:
            count, said = self._best(label[2])
            found.append((count, _tr("{0}: {1}").format(label[1], said)))
        return found

    def _one(self, text: str) -> tuple[int, str]:
        """A text that is one template, the one with most letters of its own and of its values."""
        best = 0, text
        for pattern, letters, said in self._templates:
            match = pattern.fullmatch(text)
            if match is None:
                continue
            values = [self._best(value) for value in match.groups()]
            count = letters + sum(one for one, _ in values)
            if count > best[0]:
                best = count, said.format(*(value for _, value in values))
        return best


def _pattern(source: str) -> re.Pattern[str]:
    made = "".join(
        re.escape(literal) + ("" if field is None else "(.+?)")
        for literal, field, _, _ in string.Formatter().parse(source)
    )
    return re.compile(made, re.DOTALL)


def _letters(source: str) -> int:
    literals = "".join(literal for literal, _, _, _ in string.Formatter().parse(source))
    return sum(c.isalpha() for c in literals)


def _word(text: str) -> str:
    """A single word that is put into a sentence, or a list of them."""
    known = _words()
    parts = re.split(r", | and ", text)
    if len(parts) > 1 and all(part in known or _VIEW.fullmatch(part) for part in parts):
        return _tr(", ").join(known.get(part, part) for part in parts)
    return known.get(text, text)


def _words() -> dict[str, str]:
    return {
        "left": _tr("left"),
        "right": _tr("right"),
        "magnification": _tr("magnification"),
        "tangential": _tr("tangential"),
        "cleavage": _tr("cleavage"),
        ImageKind.FFDM.value: _tr("ordinary mammogram"),
        ImageKind.FILM.value: _tr("film"),
        ImageKind.CESM_LOW.value: _tr("low-energy image"),
        ImageKind.CESM_HIGH.value: _tr("high-energy image"),
        ImageKind.CESM_RECOMBINED.value: _tr("recombined image"),
    }


_made: dict[str, tuple[Mapping[str, str], _Reader]] = {}  # the reader of the catalogue in use
