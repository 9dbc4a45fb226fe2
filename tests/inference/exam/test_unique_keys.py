"""Images of the same view in one exam keep names of their own."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest

from inference.exam.types import (
    Exam,
    Orientation,
    Presentation,
    ViewImage,
    Voi,
    VoiFunction,
    with_unique_keys,
)
from resources.vocabulary import ImageKind, ViewName


def _image(name: str, source: str, acquired: datetime | None = None) -> ViewImage:
    return ViewImage(
        view=ViewName.parse(name),
        kind=ImageKind.FFDM,
        pixels=np.zeros((4, 3), np.uint16),
        presentation=Presentation(vois=(Voi(label="", function=VoiFunction.LINEAR, center=1, width=2),)),
        orientation=Orientation(),
        spacing=None,
        source_id=source,
        acquired=acquired,
    )


def test_mg39_a_repeated_view_is_numbered_by_acquisition_time() -> None:
    late = _image("R-CC", "late", datetime(2020, 1, 1, 9, 30))
    early = _image("R-CC", "early", datetime(2020, 1, 1, 9, 0))
    images = with_unique_keys([late, early, _image("L-CC", "left")])
    assert {image.source_id: image.key for image in images} == {
        "late": "R-CC#2",
        "early": "R-CC",
        "left": "L-CC",
    }


def test_mg39_an_exam_with_two_images_under_one_key_is_refused() -> None:
    with pytest.raises(ValueError, match="one key an image"):
        Exam(exam_id="e", images=(_image("R-CC", "a"), _image("R-CC", "b")), digest="0" * 64)
