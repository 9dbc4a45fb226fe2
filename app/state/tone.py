"""In which colour the line below says a sentence: plain, a confirmation, or that something went wrong."""

from __future__ import annotations

from enum import StrEnum


class Tone(StrEnum):
    """The value is the role that the style sheet colours."""

    PLAIN = "plain"
    OK = "ok"
    ERROR = "error"
