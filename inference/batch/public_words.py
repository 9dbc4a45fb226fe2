"""What a run's records and the terminal may say of an error: this program's fixed words, and nothing that was found.

A file's name, a folder, a header's value or another package's words may name a person. The full sentence goes to the
private list (``inference.batch.private_list``) where the user asked for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

HINT = "--problems FILE says more."
# What our own sentences say, and what is made public of it. The first that fits; nothing of the sentence itself is kept.
_REASONS = (
    ("encrypted", "encrypted"),
    ("empty file", "empty"),
    ("zip inside the import", "a zip inside the import"),
    ("zip bomb", "unpacks to far more than an image"),
    ("leads out of", "lies outside the source"),
    ("out of the import", "a link that is not followed"),
    ("device or a pipe", "no file"),
    ("not an image by its ending", "no image by its ending"),
    ("without the DICM mark", "no DICOM file"),
    ("expected a file, found none", "not there, or cannot be opened"),
    ("expected the file", "not there, or cannot be opened"),
    ("could not be read", "not there, or cannot be opened"),
    ("No such file", "not there, or cannot be opened"),
    ("Permission denied", "not there, or cannot be opened"),
    ("not read yet", "of a kind that is not read yet"),
    ("For Processing", "For Processing image"),
    ("quality control", "quality control image"),
    ("lesion mask", "lesion mask"),
    ("AI heat map", "AI heat map"),
    ("specimen", "specimen radiograph"),
    ("expected a mammogram", "no mammogram"),
    ("expected a breast view", "no breast view"),
    ("no rule gives the", "side or view not known"),
    ("expected side and view in the name", "side or view not known"),
    ("Not used as a manifest", "a table that is no manifest"),
    ("cut off", "cut off or damaged"),
    ("damage", "cut off or damaged"),
    ("at most", "too large"),
)
MAY_BE_IMAGES = frozenset(
    {"encrypted", "empty", "not there, or cannot be opened", "side or view not known", "cut off or damaged",
     "too large", "unpacks to far more than an image", "cannot be read"}
)  # fmt: skip
_PATH = re.compile(r"(?:^|[\s'\"(])(?:[A-Za-z]:)?[\\/]\S|\S[\\/]\S+[\\/]\S")
_WORD = re.compile(r"(?!MLO\b)[^\W_]{3,}")
_ROW = re.compile(r"\brow (\d+)\b")
_OURS = re.compile(r"\brow \d+(?:, \w+)?: expected [^'\"/\\:]*?(?=, found)")


def reason(sentence: str, path: str = "") -> str:
    """Why a file or exam cannot be read, in fixed words; ``path`` is what the sentence may begin with."""
    plain = sentence.replace(path, "") if path else sentence
    return next((words for mark, words in _REASONS if mark in plain), "cannot be read")


def row_note(table: str, sentence: str) -> str:
    """What a table's row is refused for: its number and what was expected, not what was found."""
    ours, row = _OURS.search(sentence), _ROW.search(sentence)
    if ours is not None:
        return f"{table}, {ours[0]}, found something else; not used. {HINT}"
    where = f"{table}, row {row[1]}" if row is not None else f"{table}, a row"
    return f"{where}: not used. {HINT}"


def nameless(sentence: str, names: Iterable[str] = (), *, otherwise: str) -> str:
    """Keep a sentence of an engine or of the PACS where it holds no word of these file or folder names, nor any path."""
    words = {word.lower() for name in names for word in _WORD.findall(name)}
    said = {word.lower() for word in _WORD.findall(sentence)}
    if words & said or _PATH.search(sentence):
        return f"{otherwise} {HINT}"
    return sentence
