"""The tools over the images, driven by mouse and keys through the real reading screen."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.control.reading import CaseView
from app.state.display import Change, Operation, ZoomMode
from app.state.hanging import load_protocols, match
from app.state.measurements import Measurement, MeasurementKind
from app.state.overlays import HeatLayer
from app.views.measure_layer import measurement_words
from app.views.reading_view import ReadingView
from app.views.viewport import Viewport
from inference.exam.types import Exam, Orientation, Presentation, Spacing, ViewImage, Voi, VoiFunction
from reader_study.domain.assessment import Assessment, BreastAssessment, Finding
from reader_study.domain.study import AiPolicy, Scale
from resources.vocabulary import FOUR_VIEWS, Density, FindingType, ImageKind, Laterality, ViewName

VOI = Voi(label="", function=VoiFunction.LINEAR_EXACT, center=127.5, width=255)
SPACING = Spacing(row_mm=0.1, col_mm=0.1, method="imager spacing / ERMF")
ROWS, COLS = 900, 700


def made(
    view: ViewName | str,
    *,
    kind: ImageKind = ImageKind.FFDM,
    orientation: Orientation | None = None,
    spacing: Spacing | None = SPACING,
    voi: Voi = VOI,
    value: int | None = None,
) -> ViewImage:
    name = ViewName.parse(view) if isinstance(view, str) else view
    rng = np.random.default_rng(sum(f"{name.key}{kind.value}".encode()))
    pixels = rng.integers(60, 200, (ROWS, COLS)).astype(np.uint16)
    if value is not None:
        pixels[:] = value
    return ViewImage(
        view=name,
        kind=kind,
        pixels=pixels,
        presentation=Presentation(vois=(voi,)),
        orientation=orientation or Orientation(),
        spacing=spacing,
        source_id=name.key + kind.value,
    )


def case_of(images: list[ViewImage], **changes: object) -> CaseView:
    exam = Exam(exam_id="E", images=tuple(images), digest="0" * 64)
    case = CaseView(
        exam=exam,
        hanging=match(load_protocols(), exam),
        study_title="S",
        session_title="s",
        case_label="Case 1 of 1",
        policy=AiPolicy(shown=False),
        scale=Scale(),
        findings=(),
        draft=None,
        show_timer=False,
    )
    return replace(case, **changes)  # type: ignore[arg-type]


def settle() -> None:
    for _ in range(5):
        QApplication.processEvents()


class Clock:
    """Nanoseconds that move when told."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def reading(qtbot: QtBot) -> Iterator[ReadingView]:
    view = ReadingView()
    view.resize(1400, 900)
    qtbot.addWidget(view)
    view.show()
    yield view
    view.image_tools.end()


def hang(reading: ReadingView, images: list[ViewImage], **changes: object) -> list[Viewport]:
    reading.show_case(case_of(images, **changes))
    settle()
    return [view for view in reading.grid.viewports() if view.image is not None]


def drag(view: Viewport, start: QPointF, end: QPointF) -> None:
    port, left = view.viewport(), Qt.MouseButton.LeftButton
    QTest.mousePress(port, left, pos=start.toPoint())
    QTest.mouseMove(port, ((start + end) / 2).toPoint())
    QTest.mouseMove(port, end.toPoint())
    QTest.mouseRelease(port, left, pos=end.toPoint())
    settle()


def hover(view: Viewport, place: QPointF) -> None:
    QTest.mouseMove(view.viewport(), place.toPoint() + QPoint(2, 2))
    QTest.mouseMove(view.viewport(), place.toPoint())
    settle()


def grey(view: Viewport) -> np.ndarray:
    picture = view.grab().toImage()
    data = np.frombuffer(picture.constBits(), np.uint32).reshape(
        picture.height(), picture.bytesPerLine() // 4
    )
    return data[:, : picture.width()].copy()


def words_of(reading: ReadingView, view: Viewport) -> list[tuple[str, ...]]:
    assert view.image is not None
    tools = reading.image_tools
    return [tools.measures.words(item, view.image) for item in tools.board.on_image(view.image.key)]


ORIENTATIONS = [
    Orientation(transpose=t, flip_rows=r, flip_cols=c)
    for t, r, c in itertools.product((False, True), repeat=3)
]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_mg07_a_ruler_stays_on_its_tissue_after_flips_and_zoom_in_all_eight_orientations(
    reading: ReadingView, orientation: Orientation
) -> None:
    image = made("L-CC", orientation=orientation, value=50)
    pixels = image.pixels.copy()
    ends = ((310, 260), (430, 420))
    for row, col in ends:  # two bright specks of 7 x 7 pixels, whose centres the ruler must keep
        pixels[row - 3 : row + 4, col - 3 : col + 4] = 250
    image = replace(image, pixels=pixels)
    (view, *_) = hang(reading, [image])
    reading.set_tool("ruler")
    drag(view, *(view.widget_point(row + 0.5, col + 0.5) for row, col in ends))
    before = words_of(reading, view)
    for change in (Change.FLIP_H, Change.FLIP_V):
        view.apply(Operation(change=change))
    assert view.item.geometry is not None
    middle = view.item.geometry.stored_to_hung(370.5, 340.5)
    view.set_state(replace(view.state(), scale=1.6, pan_row=middle[0], pan_col=middle[1]))
    settle()
    assert words_of(reading, view) == before
    (item,) = reading.image_tools.board.on_image(image.key)
    reading.image_tools.board.restore()  # the picture alone
    picture = grey(view) & 0xFF
    bright = np.argwhere(picture > 150)
    for point in item.points:
        place = view.widget_point(*point)
        near = np.abs(bright - np.array([place.y(), place.x()])).max(axis=1).min()
        assert near <= 3.0, f"the end of the ruler is {near} pixels from its speck"


def test_mg12_the_words_name_the_method_or_say_why_there_are_no_millimetres() -> None:
    ruler = Measurement(
        measurement_id="m", kind=MeasurementKind.RULER, image_key="R-CC", points=((0.0, 0.0), (0.0, 123.0))
    )
    assert measurement_words(ruler, made("R-CC"), None) == ("12.3 mm (imager spacing / ERMF)",)
    assert measurement_words(ruler, made("R-CC", spacing=None), None) == (
        "123.0 px (no mm: pixel spacing not recorded)",
    )


def test_handles_move_lines_move_the_whole_and_one_undo_takes_each_back(reading: ReadingView) -> None:
    (view, *_) = hang(reading, [made("R-CC")])
    board = reading.image_tools.board
    reading.set_tool("ruler")
    drag(view, QPointF(300, 300), QPointF(500, 300))
    (first,) = board.items()
    reading.set_tool("window")
    drag(view, QPointF(500, 300), QPointF(500, 420))
    (second,) = board.items()
    assert second.points[0] == first.points[0]
    assert second.points[1] != first.points[1]
    drag(view, QPointF(400, 360), QPointF(420, 380))
    (third,) = board.items()
    assert third.points[0] != second.points[0]
    length = [np.subtract(*item.points) for item in (second, third)]
    assert length[0] == pytest.approx(length[1])
    window = view.window()
    reading.undo()
    reading.undo()
    assert board.items() == (first,)
    reading.redo()
    assert board.items() == (second,)
    assert view.window() == window  # dragging a handle with the window tool does not window


def test_a_click_with_the_ruler_measures_nothing(reading: ReadingView) -> None:
    (view, *_) = hang(reading, [made("R-CC")])
    reading.set_tool("ruler")
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(300, 300))
    assert reading.image_tools.board.items() == ()


def test_an_angle_takes_a_drag_and_a_click(reading: ReadingView) -> None:
    (view, *_) = hang(reading, [made("L-CC")])
    reading.set_tool("angle")
    drag(view, QPointF(200, 200), QPointF(300, 200))
    hover(view, QPointF(300, 280))
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(300, 300))
    assert words_of(reading, view) == [("90.0°",)]


def test_mg42_measuring_is_possible_by_keys_alone(reading: ReadingView) -> None:
    (view, *_) = hang(reading, [made("R-CC")])
    tools = reading.image_tools
    reading.set_tool("ruler")
    reading.confirm_mark()  # Enter
    (item,) = tools.board.items()
    assert tools.cycle(-1)  # Shift+Tab
    selected = tools.board.selection
    assert selected is not None
    assert selected.handle is not None
    before = view.widget_point(*item.points[selected.handle])
    reading.arrow(0.0, -80.0)  # the key Right
    (moved,) = tools.board.items()
    after = view.widget_point(*moved.points[selected.handle])
    assert after.x() - before.x() == pytest.approx(view.state().scale)
    assert after.y() == pytest.approx(before.y())
    assert tools.board.remove_selected()
    assert tools.board.items() == ()


def test_text_is_typed_on_the_image_and_enter_keeps_it(reading: ReadingView) -> None:
    (view, *_) = hang(reading, [made("R-CC")])
    reading.set_tool("text")
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(300, 300))
    field = reading.image_tools._text.field
    assert field is not None
    QTest.keyClicks(field, "clip")
    reading.confirm_mark()  # Enter
    assert [item.text for item in reading.image_tools.board.items()] == ["clip"]


def test_mg11_e_steps_through_all_tissue_of_all_views_and_the_share_reaches_all(qtbot: QtBot) -> None:
    reading, clock = ReadingView(), Clock()
    reading.image_tools.coverage._now = clock
    reading.resize(1000, 700)
    qtbot.addWidget(reading)
    reading.show()
    views = hang(reading, [made(view) for view in FOUR_VIEWS])
    assert {one.share for _, one in reading.image_tools.seen_images()} == {0.0}
    steps = 0
    while any(one.share < 1.0 for _, one in reading.image_tools.seen_images()):
        clock.ns += 300_000_000
        reading.image_tools.step_quadrant(1)
        assert reading.grid.active() in views
        assert reading.grid.active().state().zoom_mode is ZoomMode.ACTUAL
        steps += 1
        assert steps < 100
    assert steps >= 8
    reading.image_tools.end()


def test_mg44_a_complete_form_says_once_what_was_not_seen_and_does_not_stop_the_reader(
    reading: ReadingView,
) -> None:
    hang(reading, [made("R-CC"), made("L-CC")])
    said: list[str] = []
    reading.show_message = said.append  # type: ignore[method-assign]
    form = Assessment(
        breasts=tuple(BreastAssessment(laterality=side, birads="1", suspicion=3) for side in Laterality),
        density=Density.SCATTERED,
        recall=False,
    )
    reading._warn_unseen(replace(form, recall=None))
    assert said == []
    reading._warn_unseen(form)
    reading._warn_unseen(form)
    assert said == ["Tissue seen at 1:1: R CC 0 %, L CC 0 %. E steps through the rest."]


def test_a_glimpse_at_actual_pixels_is_not_seen_and_fit_never_is(qtbot: QtBot) -> None:
    reading, clock = ReadingView(), Clock()
    watch = reading.image_tools.coverage
    watch._now = clock
    reading.resize(1600, 1200)
    qtbot.addWidget(reading)
    reading.show()
    (view, *_) = hang(reading, [made("R-CC")])
    view.zoom(0.5)
    watch.tick()
    clock.ns += 900_000_000
    watch.tick()
    assert watch.seen("R-CC").share == 0.0
    view.actual()
    watch.tick()
    clock.ns += 100_000_000
    watch.tick()
    assert watch.seen("R-CC").share == 0.0
    clock.ns += 150_000_000
    watch.tick()
    assert watch.seen("R-CC").share > 0.5
    reading.image_tools.end()


def test_beyond7_what_is_seen_in_the_glass_at_one_to_one_counts_where_the_glass_was(qtbot: QtBot) -> None:
    reading, clock = ReadingView(), Clock()
    watch = reading.image_tools.coverage
    watch._now = clock
    reading.resize(1000, 700)
    qtbot.addWidget(reading)
    reading.show()
    (view, *_) = hang(reading, [made("R-CC")])
    reading.set_tool("magnifier")
    hover(view, view.widget_point(450.0, 350.0))
    watch.tick()
    clock.ns += 400_000_000
    watch.tick()
    account = watch.account("R-CC")
    assert account is not None
    seen = np.argwhere(account.dwell > 0) * account.side
    assert seen.min(axis=0) == pytest.approx((450 - 160, 350 - 160), abs=account.side + 2)
    assert seen.max(axis=0) + account.side == pytest.approx((450 + 160, 350 + 160), abs=account.side + 2)
    reading.image_tools.end()


def test_the_glass_shows_the_bare_pixels_at_one_to_one_over_a_heat_map_and_inverted_on_demand(
    reading: ReadingView,
) -> None:
    (view, *_) = hang(reading, [made("L-CC")])
    view.set_heat(HeatLayer(image_key="L-CC", values=np.ones((8, 8), np.float32), opacity=0.9))
    reading.set_tool("magnifier")
    hover(view, QPointF(300, 300))
    picture = grey(view)[200:400, 200:400]
    red, green, blue = picture >> 16 & 0xFF, picture >> 8 & 0xFF, picture & 0xFF
    assert np.array_equal(red, green)
    assert np.array_equal(green, blue)
    screen = view.screen_map()
    assert screen is not None
    row, col = screen.stored(300, 300)
    assert view.image is not None
    pixels = view.image.pixels
    found = blue[95:105, 95:105].astype(int)
    near = [
        np.abs(pixels[r : r + 10, c : c + 10].astype(int) - found).max()
        for r in range(int(row) - 7, int(row) - 2)
        for c in range(int(col) - 7, int(col) - 2)
    ]
    assert min(near) <= 1  # the file's own pixels, one to one, somewhere within a pixel or two of the pointer
    reading.image_tools.invert_magnifier()
    settle()
    other = grey(view)[295:305, 295:305] & 0xFF
    assert np.abs(255 - other.astype(int) - found).max() <= 1


def test_m_goes_through_one_to_one_two_to_one_and_off(reading: ReadingView) -> None:
    (view, *_) = hang(reading, [made("L-CC")])
    seen = []
    for _ in range(3):
        reading.set_tool("magnifier")
        seen.append((view._magnifier.on, view._magnifier.factor))
    assert seen[0] == (True, 1.0)
    assert seen[1] == (True, 2.0)
    assert not seen[2][0]


def test_mg21_a_linked_window_moves_by_shares_of_each_images_own_width(reading: ReadingView) -> None:
    wide = Voi(label="", function=VoiFunction.LINEAR, center=2000, width=3000)
    views = hang(reading, [made("R-CC"), made("L-CC", voi=wide)])
    reading.do(Change.WINDOW, 0.10, 0.20)
    found = {view.image.view.key: view.window() for view in views if view.image is not None}
    assert found["R-CC"] == pytest.approx((127.5 + 25.5, 255 * 1.2))
    assert found["L-CC"] == pytest.approx((2000 + 300, 3000 * 1.2))
    reading.image_tools.toggle_linked_window()
    reading.do(Change.WINDOW, 0.10, 0.0)
    free = {view.image.view.key: view.window() for view in views if view.image is not None}
    assert free != found
    assert len([key for key in free if free[key] == found[key]]) == 1
    assert "window free" in reading.image_tools.words()


def test_mg10_true_size_uses_the_monitors_pitch_and_says_what_is_missing(reading: ReadingView) -> None:
    (view, *_) = hang(reading, [made("R-CC")])
    said: list[str] = []
    reading.image_tools.said.connect(said.append)
    before = view.state()
    view.pitch_mm = None
    reading.image_tools.true_size()
    assert "calibrate it in Settings" in said[-1]
    assert view.state() == before
    view.pitch_mm = 0.2
    reading.image_tools.true_size()
    assert view.state().scale == pytest.approx(0.1 / 0.2)
    assert view.state().zoom_mode is ZoomMode.TRUE
    (bare, *_) = hang(reading, [made("R-CC", spacing=None)])
    bare.pitch_mm = 0.2
    reading.image_tools.true_size()
    assert "spacing is not recorded" in said[-1]


def test_mg08_a_flip_by_key_is_flagged_and_flips_back(reading: ReadingView) -> None:
    (view, *_) = hang(reading, [made("R-CC")])
    reading.do(Change.FLIP_H)
    assert (view.state().flipped_h, view.state().flipped_v) == (True, False)
    reading.do(Change.FLIP_V)
    reading.do(Change.FLIP_H)
    assert (view.state().flipped_h, view.state().flipped_v) == (False, True)


def pair() -> list[ViewImage]:
    return [
        made("L-CC", kind=ImageKind.CESM_LOW, value=100),
        made("L-CC", kind=ImageKind.CESM_RECOMBINED, value=140),
    ]


def test_cem07_the_pointer_is_marked_on_the_partner_with_both_values_uncalibrated(
    reading: ReadingView,
) -> None:
    hang(reading, pair())
    stages = [len(stage.cells) for stage in reading._case.hanging.stages]
    reading.go_to_stage(next(i for i, count in enumerate(stages) if count == 2))
    settle()
    low, other = [view for view in reading.grid.viewports() if view.image is not None]
    hover(low, low.widget_point(300.5, 200.5))
    links = reading.image_tools.links
    assert other.image is not None
    point, words = links.layer.points[other.image.key]
    assert (point.row, point.col) == pytest.approx((300.5, 200.5), abs=2.0)
    assert point.exact
    assert words in {"140 uncalibrated", "100 uncalibrated"}
    assert low.image is not None
    said = links.values_words(low.image, 300.5, 200.5)
    assert {"LOW ENERGY 100", "RECOMBINED 140"} == {
        part.strip() for part in said.removesuffix("(uncalibrated)").split("   ")
    }
    low.left.emit()
    assert links.layer.points == {}


def test_cem07_an_ellipse_on_one_energy_reads_both_and_shows_on_the_other(reading: ReadingView) -> None:
    images = pair()
    hang(reading, images)
    stages = [len(stage.cells) for stage in reading._case.hanging.stages]
    reading.go_to_stage(next(i for i, count in enumerate(stages) if count == 2))
    settle()
    low, other = [view for view in reading.grid.viewports() if view.image is not None]
    plain = grey(other)
    reading.set_tool("ellipse")
    drag(low, low.widget_point(200, 150), low.widget_point(320, 300))
    (lines,) = words_of(reading, low)
    assert {line.split(":")[0] for line in lines[:2]} == {"LOW ENERGY", "RECOMBINED"}
    assert all("uncalibrated" in line for line in lines[:2])
    assert "mean 100.0" in " ".join(lines)
    assert "mean 140.0" in " ".join(lines)
    assert (grey(other) != plain).any()


def test_beyond5_the_arc_shows_in_the_other_view_at_the_pointers_distance_from_the_nipple(
    reading: ReadingView,
) -> None:
    views = hang(reading, [made(view) for view in FOUR_VIEWS])
    tools, by_key = reading.image_tools, {view.image.key: view for view in views if view.image is not None}
    said: list[str] = []
    tools.said.connect(said.append)
    reading.grid.set_active(by_key["R-CC"])
    tools.toggle_arc()
    assert said == ["Mark the nipple in R CC and in the other view first (N)."]
    reading.set_tool("nipple")
    for key in ("R-CC", "R-MLO"):
        place = by_key[key].widget_point(450.0, 100.0)
        QTest.mouseClick(by_key[key].viewport(), Qt.MouseButton.LeftButton, pos=place.toPoint())
    hover(by_key["R-CC"], by_key["R-CC"].widget_point(450.0, 400.0))
    assert set(tools.links.layer.arcs) == {"R-MLO"}
    assert tools.links.layer.arcs["R-MLO"].words == "30 mm from nipple"


def test_beyond5_a_spacing_that_makes_an_impossible_breast_draws_no_arc_and_says_why(
    reading: ReadingView,
) -> None:
    wrong = Spacing(row_mm=1.0, col_mm=1.0, method="m")  # metres of breast
    right, bare = made("R-CC"), made("R-MLO")
    pixels = np.zeros_like(bare.pixels)
    pixels[100:800, :500] = bare.pixels[100:800, :500]  # a breast of 700 rows in black air
    other = replace(bare, spacing=wrong, pixels=pixels)
    views = hang(reading, [right, other, made("L-CC"), made("L-MLO")])
    tools, by_key = reading.image_tools, {view.image.key: view for view in views if view.image is not None}
    reading.set_tool("nipple")
    for key in ("R-CC", "R-MLO"):
        place = by_key[key].widget_point(450.0, 100.0)
        QTest.mouseClick(by_key[key].viewport(), Qt.MouseButton.LeftButton, pos=place.toPoint())
    said: list[str] = []
    tools.said.connect(said.append)
    reading.grid.set_active(by_key["R-MLO"])
    tools.toggle_arc()
    assert len(said) == 1
    assert said[0].startswith("No arc in R MLO: by its pixel spacing the breast would be ")
    hover(by_key["R-CC"], by_key["R-CC"].widget_point(450.0, 400.0))
    assert tools.links.layer.arcs == {}
    hover(by_key["R-MLO"], by_key["R-MLO"].widget_point(450.0, 400.0))
    assert tools.links.layer.arcs == {}
    assert tools.links.why_no_arc(right) == said[0], (
        "the only other view has no millimetres to draw an arc by"
    )


def test_enhancement_is_labelled_changes_no_measurement_and_gives_the_original_back(
    reading: ReadingView,
) -> None:
    (view, *_) = hang(reading, [made("R-CC")])
    tools = reading.image_tools
    reading.set_tool("ellipse")
    drag(view, QPointF(300, 300), QPointF(500, 420))
    words, original, pixels = words_of(reading, view), grey(view), view.image.pixels.copy()
    tools.enhancement.toggle()
    settle()
    assert tools.enhancement.badge.keys == {"R-CC"}
    assert (grey(view) != original).any()
    tools.measures.set_images(dict(tools.measures.images))  # forget the words that were counted before
    assert words_of(reading, view) == words
    assert np.array_equal(view.image.pixels, pixels)
    tools.enhancement.toggle()
    settle()
    assert tools.enhancement.badge.keys == set()
    # Smooth edges of a figure drawn directly and of a kept one differ by the rounding of one blending.
    apart = np.abs(grey(view).view(np.uint8).astype(int) - original.view(np.uint8))
    assert apart.max() <= 2
    assert (apart > 0).mean() < 0.002


def test_undo_of_a_mark_goes_to_the_log_and_redo_adds_it_again(reading: ReadingView) -> None:
    hang(reading, [made("R-CC")])
    log: list[str] = []
    kept: dict[str, Finding] = {}

    def add(finding: Finding) -> None:
        log.append(f"add {finding.finding_id}")
        kept[finding.finding_id] = finding
        reading.show_findings(tuple(kept.values()))

    def remove(finding_id: str) -> None:
        log.append(f"remove {finding_id}")
        if refuses:
            return
        del kept[finding_id]
        reading.show_findings(tuple(kept.values()))

    refuses = False
    reading.mark_made.connect(add)
    reading.mark_removed.connect(remove)
    mark = Finding(
        finding_id="f1",
        image_key="R-CC",
        source_id="s",
        row=1.0,
        col=2.0,
        finding=FindingType.MASS,
        suspicion=40,
    )
    reading.mark_made.emit(mark)
    reading.undo()
    reading.redo()
    assert log == ["add f1", "remove f1", "add f1"]
    refuses = True
    reading.undo()
    assert "f1" in kept
    refuses = False
    reading.undo()
    assert kept == {}
    reading.undo()  # nothing is left
    assert log[-1] == "remove f1"


def test_measurements_of_a_study_case_are_gone_when_it_is_opened_again_and_kept_outside(
    reading: ReadingView,
) -> None:
    for in_study, left in ((True, 0), (False, 1)):
        (view, *_) = hang(reading, [made("R-CC")], in_study=in_study)
        reading.set_tool("ruler")
        drag(view, QPointF(300, 300), QPointF(500, 300))
        assert len(reading.image_tools.board.items()) == 1
        hang(
            reading,
            [made("L-CC")],
            exam=Exam(exam_id="other", images=(made("L-CC"),), digest="1" * 64),
            in_study=in_study,
        )
        assert reading.image_tools.board.items() == ()
        hang(reading, [made("R-CC")], in_study=in_study)
        assert len(reading.image_tools.board.items()) == left
