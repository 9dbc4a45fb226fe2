"""An exam crosses to another process with every pixel, and its pixels are never pickled."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from dataclasses import replace

import numpy as np
import pytest

from inference import exam_pipe
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Exam


@pytest.fixture(scope="module")
def exam() -> Exam:
    made = phantom_exam(PhantomSpec(seed=3, pixel_mm=1.0)).exam
    odd = np.random.default_rng(1).integers(0, 65535, (1013, 977), np.uint16, endpoint=True)
    return replace(made, images=(*made.images[1:], replace(made.images[0], pixels=odd)))


def crossed(exam: Exam, more: object) -> tuple[Exam, object]:
    """Send through a real pipe while another thread reads it, as two processes do."""
    near, far = multiprocessing.Pipe()
    sender = threading.Thread(target=exam_pipe.send_job, args=(near, exam, more))
    sender.start()
    received = exam_pipe.receive_job(far)
    sender.join()
    assert received is not None
    return received


@pytest.mark.parametrize("chunk", [4096, 4 << 20])
def test_every_pixel_of_every_image_arrives(exam: Exam, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exam_pipe, "CHUNK_BYTES", chunk)
    found, more = crossed(exam, ("lesion",))
    assert more == ("lesion",)
    assert found.digest == exam.digest
    for one, other in zip(found.images, exam.images, strict=True):
        assert np.array_equal(one.pixels, other.pixels)
        assert replace(one, pixels=other.pixels) == other


def test_images_that_do_not_lie_row_by_row_arrive_as_they_look(exam: Exam) -> None:
    turned = replace(exam, images=tuple(replace(i, pixels=i.pixels.T[::-1]) for i in exam.images))
    found, _ = crossed(turned, None)
    for one, other in zip(found.images, turned.images, strict=True):
        assert np.array_equal(one.pixels, other.pixels)


def test_what_is_pickled_stays_small_however_large_the_pixels(
    exam: Exam, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    class Pipe:
        def send(self, what: object) -> None:
            sizes.append(len(pickle.dumps(what)))

        def send_bytes(self, _what: object) -> None:
            """Bytes are no pickle."""

    exam_pipe.send_job(Pipe(), exam)  # type: ignore[arg-type]
    assert max(sizes) < 100_000 < sum(image.pixels.nbytes for image in exam.images)


def test_the_end_is_told_from_an_exam() -> None:
    near, far = multiprocessing.Pipe()
    near.send(None)
    assert exam_pipe.receive_job(far) is None
