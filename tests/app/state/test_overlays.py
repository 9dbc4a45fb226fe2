"""What may be seen: the arm's policy, thresholds, groups, colour maps."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from app.state.overlays import (
    HeatLayer,
    OverlayKind,
    OverlayPolicy,
    colour_map,
    heat_argb,
    heat_layers,
    overlay_items,
    score_texts,
)
from inference.exam.types import Box
from inference.results import Detection, ExamResult, Heatmap
from reader_study.domain.assessment import Finding
from resources.files import ResourceError
from resources.vocabulary import FindingType


def _result() -> ExamResult:
    def detection(name: str, key: str, score: float, group: str | None) -> Detection:
        box = Box(row0=1, col0=2, row1=3, col1=4)
        return Detection(
            detection_id=name, image_key=key, box=box, score=score, finding=FindingType.MASS, group=group
        )

    return ExamResult(
        exam_digest="0" * 64,
        model_id="m",
        model_version="1",
        weights_digest="0" * 64,
        preprocessing="none",
        device="none",
        seconds=0.0,
        exam_score=0.9,
        view_scores={"R-CC": 0.9},
        detections=(
            detection("a", "R-CC", 0.9, "g"),
            detection("b", "R-MLO", 0.6, "g"),
            detection("c", "R-CC", 0.2, None),
        ),
        heatmaps=(Heatmap(image_key="R-CC", values=np.zeros((2, 2), np.float32)),),
    )


MARK = Finding(
    finding_id="f1", image_key="R-CC", source_id="s", row=5, col=6, finding=FindingType.MASS, suspicion=70
)


class _Untouchable:
    """Stands for a result in the unaided arm: reading anything of it is an error."""

    def __getattribute__(self, name: str) -> object:
        raise AssertionError(f"the unaided arm read {name!r} of an AI result")


def test_unaided_arm_reads_nothing_of_a_result() -> None:
    policy = OverlayPolicy(shown=False, boxes=True, heatmap=True, score=True)
    result: ExamResult = _Untouchable()  # type: ignore[assignment]
    items = overlay_items(result, [MARK], policy)
    assert [item.kind for item in items["R-CC"]] == [OverlayKind.MARK]
    assert heat_layers(result, policy) == {}
    assert score_texts(result, policy) == {}


def test_each_part_can_be_switched_off_alone() -> None:
    result = _result()
    assert overlay_items(result, [], OverlayPolicy(shown=True, boxes=False)) == {}
    assert heat_layers(result, OverlayPolicy(shown=True, heatmap=False)) == {}
    assert score_texts(result, OverlayPolicy(shown=True, score=False)) == {}
    assert score_texts(result, OverlayPolicy(shown=True)) == {"R-CC": "AI 90 %"}


def test_boxes_below_the_threshold_are_left_out_and_marks_lie_on_top() -> None:
    items = overlay_items(_result(), [MARK], OverlayPolicy(shown=True), threshold=0.5)["R-CC"]
    assert [item.item_id for item in items] == ["a", "f1"]
    assert items[0].label == "mass 90 %"
    assert items[1].label == "70 %"


def test_selecting_a_detection_lights_its_group_in_the_other_view() -> None:
    items = overlay_items(_result(), [], OverlayPolicy(shown=True), selected="a")
    assert items["R-MLO"][0].selected
    assert [item.selected for item in items["R-CC"]] == [False, True]


def test_heat_map_is_never_over_the_set_opacity_and_nothing_where_there_is_no_evidence() -> None:
    layer = HeatLayer(image_key="k", values=np.array([[0.0, 0.5, 1.0]], np.float32), opacity=0.4)
    alpha = heat_argb(layer) >> 24
    assert alpha[0, 0] == 0
    assert alpha.max() <= round(0.4 * 255)
    assert alpha[0, 2] == round(0.4 * 255)


def test_default_colour_map_gets_lighter_all_the_way() -> None:
    rgb = colour_map("heat_amber")[None].astype(np.float32) / 255
    lightness = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[0, :, 0]
    smooth = lightness[::8]
    assert (np.diff(smooth) > 0).all()
    assert lightness[-1] - lightness[0] > 60


def test_an_unknown_colour_map_is_a_clear_error() -> None:
    with pytest.raises(ResourceError, match="nosuch"):
        colour_map("nosuch")


@dataclass(frozen=True)
class _Degenerate:
    finding_id: str = "x"
    image_key: str = "R-CC"
    row: float = 1.0
    col: float = 2.0
    box: tuple[float, float, float, float] = (1.0, 2.0, 1.0, 2.0)


def test_a_mark_whose_box_has_no_area_is_drawn_as_a_point() -> None:
    item = overlay_items(None, [_Degenerate()], OverlayPolicy())["R-CC"][0]
    assert item.box is None
    assert item.point == (1.0, 2.0)
