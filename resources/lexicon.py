"""The questions a reader answers and the answers allowed, read from ``birads/*.json``.

Owns the form's words and ranges. Which of the questions a study requires is the study's ``Scale``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from resources.files import ResourceError, read_json, resource_path

SCHEMA = "negatoscope-lexicon/1"


class Scope(StrEnum):
    """What a question is asked of."""

    BREAST = "breast"
    CASE = "case"
    FINDING = "finding"


class AnswerKind(StrEnum):
    """How a question is answered."""

    CHOICE = "choice"
    INTEGER = "integer"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One allowed answer: the value that is stored, its label, a sentence, and its key."""

    value: str
    label: str
    meaning: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleAnchor:
    """What one point of a numeric scale means (RS-T2)."""

    value: int
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question; ``minimum`` and ``maximum`` (both allowed) are of integer questions only."""

    question_id: str
    scope: Scope
    title: str
    prompt: str
    kind: AnswerKind
    answers: tuple[Answer, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    anchors: tuple[ScaleAnchor, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """All questions of one version, in the order of the form."""

    version: str
    title: str
    licence: str
    questions: tuple[Question, ...]

    def question(self, question_id: str) -> Question:
        """Return one question; ResourceError names those there are."""
        for question in self.questions:
            if question.question_id == question_id:
                return question
        known = ", ".join(question.question_id for question in self.questions)
        raise ResourceError(f"Lexicon {self.version}: expected one of {known}, found {question_id!r}.")


def load_lexicon(version: str = "birads-5-core/1", folder: Path | None = None) -> Lexicon:
    """Read the lexicon of that version from the packaged files, or from ``folder``.

    Raises
    ------
    ResourceError
        No file has that version, or a file is not as it should be; names file, place, expected, found.
    """
    paths = sorted((folder or resource_path("birads")).glob("*.json"))
    lexicons = [_lexicon(path, read_json(path)) for path in paths]
    for lexicon in lexicons:
        if lexicon.version == version:
            return lexicon
    known = ", ".join(lexicon.version for lexicon in lexicons) or "none"
    raise ResourceError(f"Lexicon: expected version {version!r}, found {known}; correct the protocol.")


def _lexicon(path: Path, value: object) -> Lexicon:
    fields = _object(path, "the file", value)
    if fields.get("schema") != SCHEMA:
        raise ResourceError(f"{path.name}: schema: expected {SCHEMA!r}, found {fields.get('schema')!r}.")
    items = fields.get("questions")
    if not isinstance(items, list) or not items:
        raise ResourceError(f"{path.name}: questions: expected a list with at least one, found {items!r}.")
    questions = tuple(_question(path, f"questions[{index}]", item) for index, item in enumerate(items))
    ids = [question.question_id for question in questions]
    if len(set(ids)) != len(ids):
        raise ResourceError(f"{path.name}: questions: expected each id once, found {ids}.")
    return Lexicon(
        version=_text(path, "the file", fields, "version"),
        title=_text(path, "the file", fields, "title"),
        licence=_text(path, "the file", fields, "licence"),
        questions=questions,
    )


def _question(path: Path, where: str, value: object) -> Question:
    fields = _object(path, where, value)
    try:
        scope, kind = (
            Scope(_text(path, where, fields, "scope")),
            AnswerKind(_text(path, where, fields, "kind")),
        )
    except ValueError as error:
        raise ResourceError(
            f"{path.name}: {where}: expected a known scope and kind, found {error}."
        ) from error
    minimum, maximum = fields.get("minimum"), fields.get("maximum")
    if kind is AnswerKind.INTEGER:
        if not isinstance(minimum, int) or not isinstance(maximum, int) or minimum >= maximum:
            raise ResourceError(
                f"{path.name}: {where}: expected minimum < maximum, found {minimum} and {maximum}."
            )
    elif not fields.get("answers"):
        raise ResourceError(f"{path.name}: {where}.answers: expected at least one, found none.")
    return Question(
        question_id=_text(path, where, fields, "id"),
        scope=scope,
        title=_text(path, where, fields, "title"),
        prompt=_text(path, where, fields, "prompt"),
        kind=kind,
        answers=tuple(
            _answer(path, f"{where}.answers", item) for item in _list(path, where, fields, "answers")
        ),
        minimum=minimum if isinstance(minimum, int) else None,
        maximum=maximum if isinstance(maximum, int) else None,
        anchors=tuple(
            _anchor(path, f"{where}.anchors", item) for item in _list(path, where, fields, "anchors")
        ),
    )


def _answer(path: Path, where: str, value: object) -> Answer:
    fields = _object(path, where, value)
    return Answer(
        value=_text(path, where, fields, "value"),
        label=_text(path, where, fields, "label"),
        meaning=_text(path, where, fields, "meaning"),
        key=_text(path, where, fields, "key"),
    )


def _anchor(path: Path, where: str, value: object) -> ScaleAnchor:
    fields = _object(path, where, value)
    number = fields.get("value")
    if not isinstance(number, int):
        raise ResourceError(f"{path.name}: {where}.value: expected a whole number, found {number!r}.")
    return ScaleAnchor(value=number, meaning=_text(path, where, fields, "meaning"))


def _object(path: Path, where: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ResourceError(f"{path.name}: {where}: expected an object, found {value!r}.")
    return value


def _list(path: Path, where: str, fields: dict[str, object], name: str) -> list[object]:
    value = fields.get(name, [])
    if not isinstance(value, list):
        raise ResourceError(f"{path.name}: {where}.{name}: expected a list, found {value!r}.")
    return value


def _text(path: Path, where: str, fields: dict[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise ResourceError(f"{path.name}: {where}.{name}: expected text, found {value!r}.")
    return value
