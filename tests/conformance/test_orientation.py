"""All orientations x sides x views: the picture hangs as the standard's letters say, whatever way it was stored."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from app.state.annotation import annotation
from app.state.geometry import chest_wall_is_right, geometry_of, orientation_letters
from inference.exam.dicom import load_view
from inference.exam.types import Exam
from resources.vocabulary import Laterality, Projection

VIEWS = ("CC", "MLO", "ML", "LM", "LMO", "XCCL", "XCCM", "FB")


@pytest.mark.parametrize(("side", "view"), list(itertools.product("RL", VIEWS)))
def test_mg05_mg06_every_stored_orientation_hangs_as_the_letters_say(suite, side, view):
    for turn in suite.turns:
        path, picture = suite.view(side, view, turn)
        image = load_view(path)
        hung = geometry_of(image).orient(image.pixels)
        assert np.array_equal(hung, picture), f"{side} {view} stored {turn.name}"
        assert (image.view.laterality, image.view.projection) == (Laterality(side), Projection(view))
    # MG-06: the breast is widest at the chest wall, which must meet its neighbour's in the middle
    wall = -1 if chest_wall_is_right(Laterality(side)) else 0
    assert np.count_nonzero(hung[:, wall]) == max(np.count_nonzero(hung[:, k]) for k in range(hung.shape[1]))


@pytest.mark.parametrize(("side", "view"), list(itertools.product("RL", VIEWS)))
def test_mg05_a_header_that_the_pixels_plainly_contradict_is_flagged_on_the_image(suite, side, view):
    def told(image):
        words = annotation(
            image, Exam(exam_id="E", images=(image,), digest="0"), blinded=False, technique=False
        )
        return [flag for flag in words.flags if "ORIENTATION" in flag]

    row, col = suite.letters(side, view)
    for turn in suite.turns:
        path, _ = suite.view(side, view, turn)
        assert told(load_view(path)) == []
        # the other direction from chest wall to nipple than the picture has
        path, _ = suite.view(side, view, turn, PatientOrientation=turn.letters(suite.opposite[row], col))
        assert told(load_view(path)) == ["ORIENTATION CONFLICT"], turn.name
    path, _ = suite.view("L" if side == "R" else "R", view, pixels=suite.picture(side))  # the wrong side
    assert told(load_view(path)) == ["ORIENTATION CONFLICT"]


@pytest.mark.parametrize(("side", "view"), list(itertools.product("RL", VIEWS)))
def test_mg08_letters_on_screen_name_the_directions_the_picture_was_made_with(suite, side, view):
    path, _ = suite.view(side, view)
    image = load_view(path)
    row, col = suite.letters(side, view)
    shown = orientation_letters(image.view)
    assert (shown.right, shown.bottom) == (row, col)
    flipped = orientation_letters(image.view, flipped_h=True, flipped_v=True)
    assert (flipped.left, flipped.top) == (row, col)


@pytest.mark.parametrize(("side", "view"), list(itertools.product("RL", ("CC", "MLO"))))
def test_mg07_a_stored_point_stays_on_its_dot_in_every_orientation_and_flip(suite, side, view):
    bright = suite.picture(side).max()
    for turn in suite.turns:
        path, picture = suite.view(side, view, turn)
        image = load_view(path)
        rows, cols = np.nonzero(image.pixels == bright)
        stored = rows.mean() + 0.5, cols.mean() + 0.5
        base = geometry_of(image)
        for flip_h, flip_v in itertools.product((False, True), repeat=2):
            hung = picture[:: -1 if flip_v else 1, :: -1 if flip_h else 1]
            true_rows, true_cols = np.nonzero(hung == bright)
            found = base.flipped(horizontally=flip_h, vertically=flip_v).stored_to_hung(*stored)
            assert found == pytest.approx((true_rows.mean() + 0.5, true_cols.mean() + 0.5)), turn.name


@pytest.mark.parametrize("letters", [["A", "F"], ["P", "H"], ["A", "FR"], ["AR", "FR"], ["P", "FL"]])
def test_mg05_compound_letters_hang_by_their_first_anatomical_part(suite, letters):
    # A lateral oblique is written A\FR or P\FL by many machines: feet at the bottom, posterior to the middle.
    side = "R" if "L" in letters[1] or letters[0].startswith("A") else "L"
    path, picture = suite.view(side, "MLO", PatientOrientation=letters)
    image = load_view(path)
    row = letters[0][0]
    wanted = picture if row == ("P" if side == "R" else "A") else picture[:, ::-1]
    wanted = wanted[::-1] if letters[1].startswith("H") else wanted
    assert np.array_equal(geometry_of(image).orient(image.pixels), wanted)


@pytest.mark.parametrize(("side", "view"), list(itertools.product("RL", VIEWS)))
def test_mg02_view_position_alone_gives_the_same_view_as_its_code(suite, side, view):
    path, picture = suite.view(side, view, ViewCodeSequence=None)
    image = load_view(path)
    assert image.view.projection is Projection(view)
    assert np.array_equal(geometry_of(image).orient(image.pixels), picture)


def test_mg03_frame_laterality_then_series_laterality_are_taken_when_image_laterality_is_absent(suite):
    path, _ = suite.view("L", "CC", ImageLaterality=None, Laterality="L")
    assert load_view(path).view.laterality is Laterality.LEFT
    anatomy = suite.code("76752008", "SCT", "Breast")
    item = type(anatomy)()
    item.FrameAnatomySequence = [type(anatomy)()]
    item.FrameAnatomySequence[0].FrameLaterality = "L"
    path, _ = suite.view(
        "L", "CC", ImageLaterality=None, SharedFunctionalGroupsSequence=[item], Laterality="R"
    )
    image = load_view(path)
    assert image.view.laterality is Laterality.LEFT
    assert any("R" in sentence and "L" in sentence for sentence in image.evidence), image.evidence
