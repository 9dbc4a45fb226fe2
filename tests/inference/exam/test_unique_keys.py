"""Images of the same view in one exam keep names of their own."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from app.control.reading import load_exam
from app.state.hanging import load_protocols, match
from inference.exam.sources import FolderSource
from inference.exam.types import (
    Exam,
    Orientation,
    Presentation,
    ViewImage,
    Voi,
    VoiFunction,
    exam_digest,
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


def test_mg39_swapped_duplicates_are_another_exam_and_the_order_of_views_is_not() -> None:
    white = replace(_image("R-CC", "b"), pixels=np.ones((4, 3), np.uint16))
    black, left = _image("R-CC", "a"), _image("L-CC", "c")
    first = exam_digest(with_unique_keys([black, white, left]))
    assert exam_digest(with_unique_keys([left, black, white])) == first
    assert exam_digest(with_unique_keys([white, black, left])) != first


def test_mg39_two_files_of_one_view_are_both_loaded_under_keys_of_their_own(
    tmp_path, header, file_of, breast
) -> None:
    for name, time in (("a", "101500"), ("b", "093000")):
        ds = header(ImageLaterality="R", ViewPosition="CC", PatientOrientation=["P", "L"])
        ds.AcquisitionDate, ds.AcquisitionTime = "20240506", time
        (tmp_path / f"{name}.dcm").write_bytes(file_of(ds, breast(chest_left=False)))
    source = FolderSource(tmp_path)
    (summary,) = source.list()
    assert any("More than one image of R-CC" in note for note in summary.notes)
    exam = source.load(summary.exam_id)
    assert {image.path: image.key for image in exam.images} == {"a.dcm": "R-CC#2", "b.dcm": "R-CC"}
    loaded = load_exam(source, summary.exam_id)
    assert set(loaded.pyramids) == {"R-CC", "R-CC#2"}
    cells = [cell for stage in match(load_protocols(), exam).stages for cell in stage.cells]
    reachable = {cell.image_key for cell in cells} | {key for cell in cells for key in cell.stack}
    assert {"R-CC", "R-CC#2"} <= reachable
