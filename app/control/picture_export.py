"""Writes pictures of views to PNG files, outside studies: neutral names, nothing overwritten, off the UI thread.

What is in the picture is the caller's; here is whether it may leave, under which name, and what is said of it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from app.control.tasks import TaskRunner
from inference.exam.deidentification.burned_in import text_like_lines
from inference.exam.types import ViewImage
from reader_study.ports import Clock
from resources.files import UserFacingError
from resources.translation import translate

log = logging.getLogger(__name__)

Say = Callable[[str], None]


def _tr(text: str) -> str:
    return translate("export", text)


def refusal(images: Sequence[ViewImage], *, in_study: bool) -> str:
    """Return the sentence why these images may not leave as a picture; '' where they may.

    Parameters
    ----------
    images : what the picture shows
    in_study : a study's cases are on screen; what is read there is not given away
    """
    if in_study:
        return _tr("No picture is made in a study: its cases and what its readers see stay with the study.")
    if not images:
        return _tr("There is no image on screen to make a picture of.")
    written = [
        i.view.label for i in images if i.header.get("BurnedInAnnotation", "").strip().upper() == "YES"
    ]
    if written:
        return _tr(
            "No picture is made of {0}: its header says that text is burned into the pixels, which may name the woman."
        ).format(", ".join(written))
    return ""


def picture_name(images: Sequence[ViewImage], made: datetime) -> str:
    """Name a file by view and time of making only, e.g. ``R-CC_20261121-171500``: no id of woman or exam."""
    what = re.sub(r"[^A-Za-z0-9-]+", "-", images[0].key).strip("-") if len(images) == 1 else "views"
    return f"{what}_{made:%Y%m%d-%H%M%S}"


class PictureWriter:
    """Writes one picture at a time; says in one sentence what became of it."""

    def __init__(self, *, runner: TaskRunner, clock: Clock, say: Say, refuse: Say | None = None) -> None:
        self._runner, self._clock = runner, clock
        self._say, self._refuse = say, refuse or say

    def write(self, images: Sequence[ViewImage], save: Callable[[str], bool], folder: Path) -> None:
        """Write a picture of ``images`` to ``folder``; ``save`` writes to a path and returns whether it could."""
        made = datetime.fromisoformat(self._clock.utc_now()).astimezone().replace(tzinfo=None)
        stem = picture_name(images, made)

        def work() -> str:
            path = _free(folder, stem)
            if not folder.is_dir() or not save(str(path)):
                raise UserFacingError(
                    _tr(
                        "{0}: the picture could not be written there; choose a folder you can write to."
                    ).format(folder)
                )
            lettered = [image.view.label for image in images if text_like_lines(image)]
            if lettered:
                return _tr(
                    "Saved {0}. The air of {1} looks written on: look at the picture before you give it away."
                ).format(path.name, ", ".join(lettered))
            return _tr("Saved {0}. It holds no identity that the program knows of.").format(path.name)

        def failed(error: Exception) -> None:
            if not isinstance(error, UserFacingError):
                log.error("picture failed", exc_info=error)
            self._refuse(str(error))

        self._runner.submit("picture", lambda _context: work(), self._say, failed)


def _free(folder: Path, stem: str) -> Path:
    path, number = folder / f"{stem}.png", 2
    while path.exists():
        path, number = folder / f"{stem}_{number}.png", number + 1
    return path
