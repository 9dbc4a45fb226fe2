"""Damaged objects: whatever bytes come in, a report or one sentence comes out, and soon."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from inference.exam.objects.cad_sr_read import read_cad_sr
from inference.exam.objects.document import read_headers
from inference.exam.objects.key_object import key_object_documents, read_key_objects
from inference.exam.objects.model import ObjectError, Turn
from inference.exam.objects.presentation_state import ShownImage, gsps, read_presentation_state
from inference.exam.types import Exam

CREATED = datetime(2026, 11, 21, 12, 30, 5)


def harmed(data: bytes, rng: np.random.Generator) -> bytes:
    """Change, cut out or put in a few bytes behind the preamble."""
    made = bytearray(data)
    for _ in range(int(rng.integers(1, 12))):
        at, how = int(rng.integers(132, len(made))), int(rng.integers(0, 4))
        if how == 0:
            made[at] = int(rng.integers(0, 256))
        elif how == 1:
            del made[at : at + int(rng.integers(1, 40))]
        elif how == 2:
            made[at:at] = rng.integers(0, 256, int(rng.integers(1, 20)), dtype=np.uint8).tobytes()
        else:
            made[at : at + 2] = b"\xff\xff"
    return bytes(made)


@pytest.mark.parametrize("seed", range(4))
def test_mg28_mg35_harmed_objects_give_an_answer_or_a_sentence(
    seed: int, phantom_folder: Path, dicom_exam: Exam, sr: SimpleNamespace
) -> None:
    headers, image = read_headers(phantom_folder, dicom_exam), dicom_exam.images[0]
    place = sr.scoord(sr.CENTER, "POINT", [100, 200], sr.by_reference("SELECTED FROM", 1, 1, 1))
    found = sr.finding(sr.CLUSTER, "CONTAINS", sr.intent("111150"), place)
    shown = ShownImage(
        image=image, voi=image.presentation.vois[0], inverse=False, turn=Turn(), corners=((0, 0), (9, 9))
    )
    (keys,) = key_object_documents([image], headers, created=CREATED, version="1")
    whole: list[tuple[bytes, Callable[[bytes, str], object]]] = [
        (sr.as_bytes(sr.report("111242", ["1.9.1"], sr.impression(sr.intent("111150"), found))), read_cad_sr),
        (sr.as_bytes(gsps(shown, headers, created=CREATED, version="1")), read_presentation_state),
        (sr.as_bytes(keys), read_key_objects),
    ]
    rng = np.random.default_rng(seed)
    sentences = []
    start = time.perf_counter()
    for data, read in whole:
        for _ in range(100):
            try:
                read(harmed(data, rng), "harmed.dcm")
            except ObjectError as error:
                sentences.append(str(error))
    assert len(sentences) > 50
    assert all("harmed.dcm" in sentence and "\n" not in sentence for sentence in sentences)
    assert time.perf_counter() - start < 30
