"""What can go wrong on the study side, as errors a person at the screen can act on."""

from __future__ import annotations

from resources.files import UserFacingError


class StudyError(UserFacingError):
    """Root of the study side; the text is one sentence: what, where, expected, found, what to do."""


class IllegalTransition(StudyError):
    """A step that the transition table does not allow; the text names state and event."""


class SignInRefused(StudyError):
    """Wrong reader or password; the text never says which of the two."""


class StoreError(StudyError):
    """The database could not be opened, read or written; nothing of the refused step was kept."""
