"""Measurements of one case: undo and redo, selection, one nipple an image."""

from __future__ import annotations

from dataclasses import dataclass

from app.state.measurement_board import MarkStep, MeasurementBoard, Selection
from app.state.measurements import Measurement, MeasurementKind


@dataclass(frozen=True)
class Mark:
    finding_id: str


def ruler(name: str, key: str = "R-CC") -> Measurement:
    return Measurement(
        measurement_id=name, kind=MeasurementKind.RULER, image_key=key, points=((0.0, 0.0), (3.0, 4.0))
    )


def nipple(name: str, at: tuple[float, float]) -> Measurement:
    return Measurement(measurement_id=name, kind=MeasurementKind.NIPPLE, image_key="R-CC", points=(at,))


def test_undo_and_redo_walk_back_and_forth_over_adding_moving_and_deleting() -> None:
    board = MeasurementBoard()
    board.put(ruler("a"))
    board.select(Selection(measurement_id="a", handle=1))
    board.move_selected(1.0, -1.0)
    moved = board.get("a")
    assert moved is not None
    assert moved.points == ((0.0, 0.0), (4.0, 3.0))
    board.remove("a")
    assert board.items() == ()
    board.retrace()
    assert board.items() == (moved,)
    board.retrace()
    assert board.items() == (ruler("a"),)
    board.retrace()
    assert board.items() == ()
    assert board.retrace() is None
    for _ in range(2):
        board.retrace(redo=True)
    assert board.items() == (moved,)


def test_a_new_step_forgets_what_could_be_redone() -> None:
    board = MeasurementBoard()
    board.put(ruler("a"))
    board.retrace()
    board.put(ruler("b"))
    assert board.peek(redo=True) is None


def test_marks_and_measurements_share_one_history_in_the_order_they_came() -> None:
    board = MeasurementBoard()
    board.put(ruler("a"))
    board.note_mark(Mark("f1"), added=True)
    board.put(ruler("b"))
    board.retrace()
    step = board.peek()
    assert step == MarkStep(mark=Mark("f1"), added=True)
    assert [item.measurement_id for item in board.items()] == ["a"]


def test_drawing_shows_but_keeps_nothing() -> None:
    board = MeasurementBoard()
    board.put(ruler("a"))
    ghost = Measurement(
        measurement_id="a", kind=MeasurementKind.RULER, image_key="R-CC", points=((0.0, 0.0), (9.0, 9.0))
    )
    board.draw(ghost)
    assert board.on_image("R-CC") == (ghost,)
    board.draw(None)
    assert board.on_image("R-CC") == (ruler("a"),)


def test_a_second_nipple_replaces_the_first_and_undo_brings_it_back() -> None:
    board = MeasurementBoard()
    board.put(nipple("n1", (1.0, 1.0)))
    board.put(nipple("n2", (5.0, 6.0)))
    assert board.nipple("R-CC") == (5.0, 6.0)
    assert len(board.items()) == 1
    board.retrace()
    assert board.nipple("R-CC") == (1.0, 1.0)
    assert board.nipple("R-MLO") is None


def test_tab_walks_every_handle_then_the_whole_and_only_of_images_on_screen() -> None:
    board = MeasurementBoard()
    board.put(ruler("a"))
    board.put(ruler("b", key="L-CC"))
    board.select(None)
    seen = []
    for _ in range(4):
        assert board.cycle(["R-CC"])
        seen.append(board.selection)
    whole = Selection(measurement_id="a")
    assert seen == [
        Selection(measurement_id="a", handle=0),
        Selection(measurement_id="a", handle=1),
        whole,
        seen[0],
    ]
    assert not board.cycle(["L-MLO"])


def test_ids_stay_apart_after_a_case_is_restored() -> None:
    board = MeasurementBoard()
    board.restore([ruler("m1"), ruler("m2")])
    assert board.new_id() not in {"m1", "m2"}
    assert board.peek() is None
