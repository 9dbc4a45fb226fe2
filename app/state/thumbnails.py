"""Small pictures of images as they hang, for the study browser and the strip beside the viewports.

Pure arrays, made off the UI thread; drawing and caching belong to the views and the controller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from app.state.display import Pyramid, air_range, compose_lut
from app.state.geometry import geometry_of
from app.state.hanging_fill import is_hangable, name_of
from app.state.terms import kind_term
from inference.exam.types import Exam, ViewImage
from resources.translation import translate
from resources.vocabulary import ImageKind

HEIGHT_PX = 120


def _tr(text: str) -> str:
    return translate("thumbnails", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """One small picture; ``grey`` (rows, cols) uint8, None for a file that is listed but not read."""

    key: str
    label: str
    detail: str = ""
    grey: NDArray[np.uint8] | None = field(default=None, compare=False, repr=False)
    hung: bool = True


def small_grey(image: ViewImage, pyramid: Pyramid, height: int = HEIGHT_PX) -> NDArray[np.uint8]:
    """Return the hung picture in its own window, ``height`` rows of uint8."""
    level = next((one for one in reversed(pyramid.levels) if min(one.shape) >= height), pyramid.levels[0])
    table = compose_lut(image.presentation, air=air_range(image, level), value_range=pyramid.value_range)
    grey = np.ascontiguousarray(geometry_of(image).orient((table[level] & 0xFF).astype(np.uint8)))
    width = max(1, round(grey.shape[1] * height / grey.shape[0]))
    return np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def kind_words(images: Iterable[ViewImage]) -> str:
    """Say what kinds of image there are, each once."""
    words = [kind_term(image.kind) for image in images]
    return ", ".join(dict.fromkeys(words))


def thumbnails_of(
    exam: Exam, pyramids: Mapping[str, Pyramid], hung: Iterable[str] | None = None, *, blinded: bool = False
) -> tuple[Thumbnail, ...]:
    """Make one thumbnail an image, in the order of the exam; ``hung`` are the keys that some stage shows.

    ``blinded`` leaves the time of day out, which is identity (MG-27).
    """
    shown = None if hung is None else set(hung)
    made = []
    names = [name_of(image) for image in exam.images]
    for image, name in zip(exam.images, names, strict=True):
        is_hung = is_hangable(image) if shown is None else image.key in shown
        words = ["" if image.kind is ImageKind.FFDM else kind_term(image.kind)]
        if image.acquired is not None and not blinded:
            words.append(image.acquired.strftime("%H:%M"))
        made.append(
            Thumbnail(
                key=image.key,
                label=name + (image.qualifier.split("@")[0] if names.count(name) > 1 else ""),
                detail="  ".join(word for word in words if word),
                grey=small_grey(image, pyramids[image.key]),
                hung=is_hung,
            )
        )
    return tuple(made)


def unread(sentences: Sequence[str]) -> tuple[Thumbnail, ...]:
    """A card without a picture for each file that belongs to the case and never hangs (MG-04)."""
    return tuple(
        Thumbnail(key=f"file:{number}", label=_tr("listed"), detail=sentence, hung=False)
        for number, sentence in enumerate(sentences)
    )
