"""Presentation states against an independent program: dcmtk's dcmp2pgm renders ours to the same greys."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from app.state.display import ViewportState, ZoomMode, compose_lut
from app.state.geometry import geometry_of
from app.state.measurements import Measurement, MeasurementKind
from app.state.overlays import OverlayKind
from app.state.presentation import capture, display_sets, graphics_of, orientation_of, restored, turn_of
from inference.exam.objects.document import read_headers, save
from inference.exam.objects.model import Graphic, ImageState, PresentationState, Shutter, Turn
from inference.exam.objects.presentation_state import ShownImage, gsps, read_presentation_state
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.sources import FolderSource
from inference.exam.types import Exam, Orientation, ViewImage, VoiFunction

CREATED = datetime(2026, 11, 21, 12, 30, 5)
EIGHT = [
    Orientation(transpose=t, flip_rows=r, flip_cols=c)
    for t, r, c in itertools.product([False, True], repeat=3)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("phantom")
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=5, pixel_mm=1.0)), path)
    return path


@pytest.fixture(scope="module")
def exam(folder: Path) -> Exam:
    source = FolderSource(folder)
    return source.load(source.list()[0].exam_id)


@pytest.fixture(scope="module")
def headers(folder: Path, exam: Exam) -> dict[str, Dataset]:
    return read_headers(folder, exam)


def rendered(path: Path, image: Path, out: Path) -> NDArray[np.uint8]:
    """What dcmtk makes of an image under a presentation state: P-values, 8 bits, the whole image."""
    if shutil.which("dcmp2pgm") is None:
        pytest.skip("not run: dcmp2pgm is not installed")
    subprocess.run(["dcmp2pgm", "-q", "-p", str(path), str(image), str(out)], check=True)
    magic, cols, rows, _most = out.read_bytes().split(maxsplit=4)[:4]
    assert magic == b"P5"
    size = (int(rows), int(cols))
    return np.frombuffer(out.read_bytes()[-size[0] * size[1] :], np.uint8).reshape(size)


def test_mg35_all_eight_turns_are_said_as_dicom_says_them_and_understood_again() -> None:
    square = np.arange(12).reshape(3, 4)
    for orientation in EIGHT:
        turn = turn_of(orientation)
        by_dicom = np.rot90(square, -turn.degrees // 90)  # clockwise
        by_dicom = by_dicom[:, ::-1] if turn.flip else by_dicom
        ours = square.T if orientation.transpose else square
        ours = ours[::-1] if orientation.flip_rows else ours
        ours = ours[:, ::-1] if orientation.flip_cols else ours
        assert np.array_equal(by_dicom, ours)
        assert orientation_of(turn) == orientation


@pytest.mark.parametrize(("turn", "inverse"), [*((turn_of(o), False) for o in EIGHT), (Turn(), True)])
def test_mg35_dcmtk_renders_our_state_to_the_greys_of_our_screen(
    turn: Turn, inverse: bool, exam: Exam, headers: dict[str, Dataset], folder: Path, tmp_path: Path
) -> None:
    image = exam.images[0]
    rows, cols = image.pixels.shape
    voi = replace(image.presentation.vois[0], function=VoiFunction.LINEAR, center=1900.0, width=2600.0)
    shown = ShownImage(
        image=image, voi=voi, inverse=inverse, turn=turn, corners=((0, 0), (rows - 1, cols - 1))
    )
    path = save(gsps(shown, headers, created=CREATED, version="0.1.0"), tmp_path, "gsps.dcm")
    theirs = rendered(path, folder / image.path, tmp_path / "out.pgm")
    seen = replace(image.presentation, vois=(voi,), inverse=inverse, padding=None)
    table = (compose_lut(seen) & 0xFF).astype(np.uint8)
    ours = replace(geometry_of(image), orientation=orientation_of(turn)).orient(table[image.pixels])
    assert theirs.shape == ours.shape
    assert int(np.abs(theirs.astype(int) - ours.astype(int)).max()) <= 1  # rounding


def test_mg35_dciodvfy_reports_no_error_in_our_states_with_drawings(
    exam: Exam, headers: dict[str, Dataset], tmp_path: Path
) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("not run: dciodvfy is not installed")
    drawn = graphics_of(
        [
            Measurement(
                measurement_id="r", kind=MeasurementKind.RULER, image_key="R-CC", points=((1, 2), (30, 40))
            ),
            Measurement(
                measurement_id="e", kind=MeasurementKind.ELLIPSE, image_key="R-CC", points=((5, 6), (25, 60))
            ),
            Measurement(measurement_id="n", kind=MeasurementKind.NIPPLE, image_key="R-CC", points=((9, 9),)),
            Measurement(
                measurement_id="a",
                kind=MeasurementKind.ANGLE,
                image_key="R-CC",
                points=((1, 1), (9, 9), (1, 20)),
            ),
            Measurement(
                measurement_id="t", kind=MeasurementKind.TEXT, image_key="R-CC", points=((4, 4),), text="look"
            ),
        ],
        {"r": "12.3 mm (imager spacing / ERMF)"},
    )
    for image in exam.images:
        shown = capture(image, ViewportState(scale=1.5, zoom_mode=ZoomMode.FREE, pan_row=90, pan_col=70),
                        height=100, width=80, graphics=drawn)  # fmt: skip
        path = save(gsps(shown, headers, created=CREATED, version="0.1.0"), tmp_path, f"{image.view.key}.dcm")
        done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        assert "GrayscaleSoftcopyPresentationState" in said
        assert "Error" not in said, said
        kinds = [graphic.kind for graphic in read_presentation_state(path).images[0].graphics]
        assert kinds == ["POLYLINE", "ELLIPSE", "POINT", "POLYLINE", "TEXT", "TEXT", "TEXT"]


@pytest.mark.parametrize("flipped", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_mg35_a_saved_display_comes_back_as_it_was(
    flipped: tuple[bool, bool], scale: float, exam: Exam, headers: dict[str, Dataset], tmp_path: Path
) -> None:
    for image in exam.images[:2]:
        before = ViewportState(
            image_key=image.key, voi_index=1, center=1800.0, width=2500.0, inverted=True, zoom_mode=ZoomMode.FREE,
            scale=scale, pan_row=100.0, pan_col=80.0, flipped_h=flipped[0], flipped_v=flipped[1],
        )  # fmt: skip
        shown = capture(image, before, height=100, width=80)
        path = save(gsps(shown, headers, created=CREATED, version="0.1.0"), tmp_path, "gsps.dcm")
        back = restored(read_presentation_state(path), image, height=100, width=80)
        assert back is not None
        assert (back.notes, back.items) == ((), ())
        after = back.state
        assert (after.flipped_h, after.flipped_v, after.inverted) == (*flipped, True)
        assert after.scale == pytest.approx(scale)
        assert (after.pan_row, after.pan_col) == pytest.approx((100.0, 80.0), abs=0.5)
        voi = back.image.presentation.vois[after.voi_index]
        assert (voi.function, voi.center, voi.width) == (image.presentation.vois[1].function, 1800.0, 2500.0)


def test_mg35_a_state_of_another_image_changes_nothing(exam: Exam) -> None:
    other = PresentationState(uid="1.1", label="X", images=(ImageState(image_uid="1.2.3"),))
    assert restored(other, exam.images[0], height=100, width=80) is None


def test_mg35_a_turn_that_lays_the_breast_down_is_said_and_not_done(exam: Exam) -> None:
    image = exam.images[0]
    uid = image.reference.sop_instance_uid if image.reference else ""
    saved = PresentationState(
        uid="1.1", label="X", images=(ImageState(image_uid=uid),), turn=Turn(degrees=90)
    )
    back = restored(saved, image, height=100, width=80)
    assert back is not None
    assert "90 degrees" in back.notes[0]


def test_mg35_graphics_of_the_displayed_area_and_shutters_land_on_stored_pixels(exam: Exam) -> None:
    image: ViewImage = exam.images[0]
    rows, cols = image.pixels.shape
    uid = image.reference.sop_instance_uid if image.reference else ""
    cross = Graphic(kind="POINT", points=((0.25, 0.75),), in_display=True, text="here")
    saved = PresentationState(
        uid="1.1",
        label="X",
        images=(ImageState(image_uid=uid, graphics=(cross,)),),
        turn=Turn(degrees=180),
        shutters=(Shutter(kind="RECTANGULAR", points=((10, 20), (50, 60))),),
    )
    back = restored(saved, image, height=100, width=80)
    assert back is not None
    shutter, point = back.items
    assert shutter.kind is OverlayKind.SHUTTER
    assert shutter.outlines[0][0] == ((10, 20), (10, 60), (50, 60), (50, 20))
    assert point.point == pytest.approx((0.75 * rows, 0.25 * cols))  # a quarter down of what is upside down


def test_mg35_states_saved_at_one_time_are_one_display(exam: Exam) -> None:
    def saved(uid: str, created: str, label: str = "A") -> PresentationState:
        return PresentationState(uid=uid, label=label, created=created, images=(ImageState(image_uid=uid),))

    states = [
        saved("1", "20260101 10"),
        saved("2", "20260101 10"),
        saved("3", "20260101 11"),
        saved("4", ""),
        saved("5", ""),
    ]
    assert [[s.uid for s in one] for one in display_sets(states)] == [["1", "2"], ["3"], ["4"], ["5"]]
