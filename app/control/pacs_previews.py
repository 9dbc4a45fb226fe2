"""Small pictures of studies in the PACS: what a server rendered, or our own decoding of what is on the shelf."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from app.control.reading import load_exam
from app.state.thumbnails import HEIGHT_PX, Thumbnail, thumbnails_of
from inference.exam.sources import FolderSource

_MOST_PIXELS = 64 << 20


def rendered_thumbnail(key: str, picture: bytes, label: str) -> Thumbnail:
    """Turn a picture (PNG or JPEG) into a thumbnail of the strip's height; without pixels where it is damaged."""
    grey = cv2.imdecode(
        np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
    )
    if grey is None or grey.size > _MOST_PIXELS:
        return Thumbnail(key=key, label=label)
    width = max(1, round(grey.shape[1] * HEIGHT_PX / grey.shape[0]))
    small = cv2.resize(grey, (width, HEIGHT_PX), interpolation=cv2.INTER_AREA)
    return Thumbnail(key=key, label=label, grey=np.asarray(small, dtype=np.uint8))


def local_thumbnails(folder: Path) -> tuple[Thumbnail, ...]:
    """Decode the images of one study's folder; ExamError when none can be read."""
    source = FolderSource(folder)
    made: list[Thumbnail] = []
    for summary in source.list():
        loaded = load_exam(source, summary.exam_id)
        made += thumbnails_of(loaded.exam, loaded.pyramids)
    return tuple(made)
