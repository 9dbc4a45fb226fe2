"""Hanging protocols: packaged data, matching with reasons, tolerance."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest

from app.state.display import ZoomMode
from app.state.hanging import load_protocols, match, parse_protocol
from inference.exam.types import Exam, Orientation, Presentation, ViewImage, Voi, VoiFunction
from resources.files import resource_path
from resources.vocabulary import ImageKind, ViewModifier, ViewName


def _image(key: str, kind: ImageKind = ImageKind.FFDM, modifiers: tuple[ViewModifier, ...] = ()) -> ViewImage:
    return ViewImage(
        view=ViewName.parse(key),
        kind=kind,
        pixels=np.zeros((4, 4), np.uint16),
        presentation=Presentation(vois=(Voi(label="", function=VoiFunction.LINEAR, width=9),)),
        orientation=Orientation(),
        spacing=None,
        source_id=f"{key}{kind}{modifiers}",
        modifiers=modifiers,
    )


def _exam(*images: ViewImage) -> Exam:
    return Exam(exam_id="e", images=images, digest="0" * 64)


FOUR = tuple(_image(key) for key in ("L-MLO", "R-CC", "L-CC", "R-MLO"))
CESM = tuple(
    _image(key, kind)
    for key in ("R-CC", "L-CC", "R-MLO", "L-MLO")
    for kind in (ImageKind.CESM_LOW, ImageKind.CESM_RECOMBINED)
)


def test_packaged_protocols_obey_their_schema() -> None:
    folder = resource_path("hanging_protocols")
    schema = json.loads((folder / "protocol.schema.json").read_text())
    files = [path for path in folder.glob("*.json") if not path.name.endswith(".schema.json")]
    assert len(files) == len(load_protocols()) >= 2
    for path in files:
        jsonschema.validate(json.loads(path.read_text()), schema)


def test_mg40_four_views_hang_right_beside_left_in_steps() -> None:
    found = match(load_protocols(), _exam(*FOUR))
    assert found.protocol.protocol_id == "four_view"
    titles = [stage.title for stage in found.stages]
    assert titles[:3] == ["Overview", "CC pair", "MLO pair"]
    places = {(cell.row, cell.col): cell.image_key for cell in found.stages[0].cells}
    assert places == {(0, 0): "R-CC", (0, 1): "L-CC", (1, 0): "R-MLO", (1, 1): "L-MLO"}
    assert {stage.zoom for stage in found.stages[3:]} == {ZoomMode.ACTUAL}
    assert len(found.stages) == 7


def test_mg40_a_missing_view_leaves_its_place_empty_and_is_named() -> None:
    found = match(load_protocols(), _exam(*FOUR[:2]))
    cell = next(cell for cell in found.stages[0].cells if (cell.row, cell.col) == (0, 1))
    assert cell.image_key is None
    assert cell.label == "L CC"
    assert any("no L CC" in reason for reason in found.reasons)


def test_mg40_a_stage_without_any_of_its_views_is_left_out() -> None:
    found = match(load_protocols(), _exam(_image("R-CC")))
    assert "MLO pair" not in [stage.title for stage in found.stages]
    assert any("'MLO pair' left out" in reason for reason in found.reasons)


def test_mg37_a_spot_view_hangs_later_on_its_own_and_not_at_same_size() -> None:
    spot = _image("R-CC", modifiers=(ViewModifier.SPOT, ViewModifier.MAGNIFICATION))
    found = match(load_protocols(), _exam(spot, *FOUR[:1], *FOUR[2:]))
    assert next(c for c in found.stages[0].cells if (c.row, c.col) == (0, 0)).image_key is None
    last = found.stages[-1]
    assert last.title == "R CC S M"
    assert last.zoom is ZoomMode.FIT


def test_cem03_contrast_exams_have_side_by_side_stages_and_partners() -> None:
    found = match(load_protocols(), _exam(*CESM))
    assert found.protocol.protocol_id == "cesm"
    side = next(stage for stage in found.stages if stage.title == "CC low energy | recombined")
    assert [cell.image_key for cell in side.cells] == [
        "R-CC/cesm_low",
        "L-CC/cesm_low",
        "R-CC/cesm_recombined",
        "L-CC/cesm_recombined",
    ]
    for cell in found.stages[0].cells:
        assert cell.partner == str(cell.image_key).replace("cesm_low", "cesm_recombined")


def test_cem04_raw_high_energy_is_listed_not_hung() -> None:
    found = match(load_protocols(), _exam(*CESM, _image("R-CC", ImageKind.CESM_HIGH)))
    hung = {cell.image_key for stage in found.stages for cell in stage.cells}
    assert "R-CC/cesm_high" not in hung
    assert any("listed, not hung" in reason for reason in found.reasons)


def test_a_place_outside_its_grid_is_refused() -> None:
    path = resource_path("hanging_protocols", "four_view.json")
    content = json.loads(path.read_text())
    content["stages"][0]["cells"][0]["col"] = 2
    with pytest.raises(ValueError, match="outside its grid"):
        parse_protocol(content)
