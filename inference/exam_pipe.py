"""Carries an exam to another process with its pixels as plain bytes.

Pickled, they would hold the sender's interpreter for some 100 ms, in which its windows could not be drawn; bytes are
written without it.
"""

from __future__ import annotations

from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.exam.types import Exam

CHUNK_BYTES = 4 << 20  # what one write takes at most


def send_job(pipe: Connection, exam: Exam, more: Any = None) -> None:
    """Send an exam and whatever else belongs to the job (small, pickled); OSError where the other end is gone."""
    holes = tuple(replace(image, pixels=np.zeros((1, 1), np.uint16)) for image in exam.images)
    shapes = [image.pixels.shape for image in exam.images]
    pipe.send((replace(exam, images=holes), shapes, more))
    for image in exam.images:
        flat = np.ascontiguousarray(image.pixels).reshape(-1)
        for start, stop in _chunks(flat):
            pipe.send_bytes(flat[start:stop].data.cast("B"))


def receive_job(pipe: Connection) -> tuple[Exam, Any] | None:
    """Take what ``send_job`` sent; None = the sender sent None, nothing more will come."""
    message = pipe.recv()
    if message is None:
        return None
    exam, shapes, more = message
    images = []
    for image, shape in zip(exam.images, shapes, strict=True):
        flat = np.empty(int(np.prod(shape)), np.uint16)
        for start, stop in _chunks(flat):
            pipe.recv_bytes_into(flat[start:stop].data.cast("B"))
        images.append(replace(image, pixels=flat.reshape(shape)))
    return replace(exam, images=tuple(images)), more


def _chunks(flat: NDArray[np.uint16]) -> list[tuple[int, int]]:
    step = CHUNK_BYTES // 2
    return [(start, min(start + step, flat.size)) for start in range(0, flat.size, step)]
