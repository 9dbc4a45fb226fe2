"""The four-view engine on a model folder: any views, boxes and outlines in stored pixels, faults said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.engine import AiUnavailable, InferenceCancelled
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Box, Exam, InferenceError, Spacing, ViewImage, exam_digest
from inference.four_view_choice import why_not as why_not_view
from inference.four_view_engine import FourViewEngine, outline_of
from inference.four_view_merging import merged
from inference.models.four_view import FourViewDetector
from inference.models.four_view_heads import DESCRIPTORS, Found
from inference.preprocessing.four_view import prepare_exam
from inference.preprocessing.input_checks import Fault
from inference.registry import load_card, why_not
from inference.training.four_view_packaging import package
from inference.training.four_view_recipe import SMALL
from inference.training.half_weights import save_weights
from inference.training.places_inputs import MADE
from inference.worker import EngineSpec, make_engine
from resources.vocabulary import ImageKind, ViewModifier


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that learnt nothing: its marks mean nothing, their way to the reader is what is tested."""
    home = tmp_path_factory.mktemp("four-view")
    torch.manual_seed(8)
    save_weights(FourViewDetector(SMALL.network), home / "best.safetensors")
    package(SMALL, [home / "best.safetensors"], home / "model", version="0.0.1")
    return home / "model"


@pytest.fixture(scope="module")
def exam() -> Exam:
    return phantom_exam(PhantomSpec(seed=3, pixel_mm=0.3)).exam


def _analyse(engine: FourViewEngine, exam: Exam):  # type: ignore[no-untyped-def]
    return engine.analyse(exam, lambda _fraction, _text: None, lambda: False)


def _of(exam: Exam, *numbers: int) -> Exam:
    images = tuple(exam.images[n] for n in numbers)
    return replace(exam, images=images, digest=exam_digest(images))


def test_the_card_names_the_engine_and_the_program_can_run_it(folder: Path) -> None:
    assert why_not(load_card(folder)) is None
    assert isinstance(make_engine(EngineSpec(model_folder=folder, device="cpu")), FourViewEngine)


@pytest.mark.parametrize("numbers", [(0,), (3,), (0, 2), (0, 1, 3), (0, 1, 2, 3)])
def test_marks_of_any_views_lie_in_their_images_with_closed_outlines(
    folder: Path, exam: Exam, numbers: tuple[int, ...]
) -> None:
    engine = FourViewEngine(folder, "cpu", floor=0.0)
    part = _of(exam, *numbers)
    result = _analyse(engine, part)
    shapes = {image.key: image.pixels.shape for image in part.images}
    assert result.detections
    assert len({d.detection_id for d in result.detections}) == len(result.detections)
    for found in result.detections:
        rows, cols = shapes[found.image_key]
        assert 0 <= found.box.row0 < found.box.row1 <= rows
        assert 0 <= found.box.col0 < found.box.col1 <= cols
        assert found.finding is not None
        assert found.malignancy is not None
        assert all(0 <= row <= rows and 0 <= col <= cols for row, col in found.outline)
        assert len(found.outline) != 1
        assert all(0 <= a.probability <= 1 for a in found.attributes.values())
    assert set(result.view_scores) == set(shapes)
    assert result.exam_score == max(result.breast_scores.values())
    missing = 4 - len(numbers)
    assert any("without them" in sentence for sentence in result.warnings) is (missing > 0)


def test_an_inverted_view_is_refused_with_a_sentence_and_the_others_are_read(
    folder: Path, exam: Exam
) -> None:
    first = exam.images[0]
    wrong = replace(first, presentation=replace(first.presentation, inverse=True, padding=None))
    images = (wrong, *exam.images[1:])
    result = _analyse(FourViewEngine(folder, "cpu"), replace(exam, images=images, digest=exam_digest(images)))
    assert set(result.unread) == {first.key}
    assert "black and white are swapped" in result.unread[first.key]
    assert first.key not in result.view_scores
    assert all(d.image_key != first.key for d in result.detections)


def test_an_exam_of_blank_views_is_refused_with_the_reason(folder: Path, exam: Exam) -> None:
    blank = tuple(replace(i, pixels=np.zeros_like(i.pixels)) for i in exam.images)
    with pytest.raises(InferenceError, match=r"found none\. .*blank"):
        _analyse(FourViewEngine(folder, "cpu"), replace(exam, images=blank, digest=exam_digest(blank)))


def test_a_missing_pixel_spacing_is_said_and_distances_are_left_out(folder: Path, exam: Exam) -> None:
    bare = tuple(replace(i, spacing=None) for i in exam.images)
    result = _analyse(
        FourViewEngine(folder, "cpu", floor=0.0), replace(exam, images=bare, digest=exam_digest(bare))
    )
    (told,) = [sentence for sentence in result.warnings if "no pixel spacing" in sentence]
    assert told.startswith("R CC, L CC, R MLO and L MLO: ")
    assert "distances are not given" in told
    assert result.detections
    assert all(d.nipple_distance_mm is None for d in result.detections)


def test_with_a_wrong_pixel_spacing_no_distance_is_given_and_places_are_as_with_none(
    folder: Path, exam: Exam
) -> None:
    engine = FourViewEngine(folder, "cpu", floor=0.0)
    wrong = tuple(replace(i, spacing=Spacing(row_mm=1.2, col_mm=1.2, method="wrong")) for i in exam.images)
    found = _analyse(engine, replace(exam, images=wrong, digest=exam_digest(wrong)))
    bare = tuple(replace(i, spacing=None) for i in exam.images)
    blind = _analyse(engine, replace(exam, images=bare, digest=exam_digest(bare)))
    assert all(d.nipple_distance_mm is None for d in found.detections)
    (told,) = [sentence for sentence in found.warnings if "spacing" in sentence]
    assert "with the recorded pixel spacing of 1.200 mm the breast would be" in told
    places = [[(d.box, d.region, d.depth) for d in r.detections] for r in (found, blind)]
    assert places[0] == places[1]


def _with(exam: Exam, first: ViewImage) -> Exam:
    images = (first, *exam.images[1:])
    return replace(exam, images=images, digest=exam_digest(images))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"modifiers": (ViewModifier.SPOT,)}, "a spot compression view (view modifier)"),
        ({"modifiers": (ViewModifier.MAGNIFICATION,)}, "a magnification view (view modifier)"),
        ({"header": {"EstimatedRadiographicMagnificationFactor": "1.8"}}, "magnification factor 1.80"),
        ({"header": {"PaddleDescription": "9CM SPOT"}}, "a view with a 9cm spot paddle"),
        ({"path": "exam/R_CC_MAG_1.dcm"}, "a view called mag by its file's name"),
    ],
)
def test_a_lone_spot_or_magnification_view_is_not_read_as_a_whole_one(
    folder: Path, exam: Exam, change: dict[str, object], words: str
) -> None:
    part = replace(exam.images[0], **change)  # type: ignore[arg-type]
    result = _analyse(FourViewEngine(folder, "cpu", floor=0.0), _with(exam, part))
    assert set(result.unread) == {part.key}
    assert words in result.unread[part.key]
    assert "so it was not read" in result.unread[part.key]
    assert part.key not in result.view_scores
    assert any(sentence.startswith("No R CC") for sentence in result.warnings)
    alone = Exam(exam_id="x", images=(part,), digest=exam_digest((part,)))
    with pytest.raises(AiUnavailable, match="part of the breast only"):
        _analyse(FourViewEngine(folder, "cpu"), alone)


@pytest.mark.parametrize("name", ["image_0001.dcm", "Magda/R_CC.dcm", "R_CC_imager.png"])
def test_a_whole_view_with_an_innocent_name_or_contact_geometry_is_read(exam: Exam, name: str) -> None:
    whole = replace(exam.images[0], path=name, header={"EstimatedRadiographicMagnificationFactor": "1.07"})
    assert why_not_view(whole) == ""


def test_of_an_ordinary_and_a_low_energy_image_of_one_view_the_ordinary_one_is_read(
    folder: Path, exam: Exam
) -> None:
    low = replace(exam.images[0], kind=ImageKind.CESM_LOW)
    recombined = replace(exam.images[0], kind=ImageKind.CESM_RECOMBINED)
    both = (low, recombined, *exam.images)
    engine = FourViewEngine(folder, "cpu", floor=0.0)
    result = _analyse(engine, replace(exam, images=both, digest=exam_digest(both)))
    assert set(result.unread) == {low.key, recombined.key}
    assert "ordinary image of this view" in result.unread[low.key]
    assert "recombined contrast image" in result.unread[recombined.key]
    assert result.detections == _analyse(engine, exam).detections
    alone = (low, *exam.images[1:])
    result = _analyse(engine, replace(exam, images=alone, digest=exam_digest(alone)))
    assert not result.unread
    assert low.key in result.view_scores


@pytest.mark.parametrize("name", sorted(MADE))
def test_each_fault_made_on_purpose_is_told_or_refused_and_the_rest_is_read(
    folder: Path, exam: Exam, name: str
) -> None:
    fault, make = MADE[name]
    made = make(exam.images[0])
    result = _analyse(FourViewEngine(folder, "cpu", floor=0.0), _with(exam, made))
    refused = fault in {Fault.BLANK, Fault.INVERTED}
    assert (made.key in result.unread) is refused
    told = [result.unread[made.key]] if refused else [s for s in result.warnings if s.startswith("R CC")]
    assert told
    assert all(sentence.endswith(".") for sentence in told)
    assert set(result.view_scores) == {i.key for i in exam.images} - set(result.unread)


def test_the_same_exam_gives_the_same_answer_twice(folder: Path, exam: Exam) -> None:
    engine = FourViewEngine(folder, "cpu", floor=0.0)
    assert _analyse(engine, exam).detections == _analyse(engine, exam).detections


def test_a_cancel_between_two_steps_stops_the_analysis(folder: Path, exam: Exam) -> None:
    with pytest.raises(InferenceCancelled):
        FourViewEngine(folder, "cpu").analyse(exam, lambda _fraction, _text: None, lambda: True)


def test_an_ensemble_of_one_network_three_times_says_what_it_says_once(
    folder: Path, exam: Exam, tmp_path: Path
) -> None:
    import safetensors.torch

    state = safetensors.torch.load_file(folder / "weights.safetensors")
    one = tmp_path / "one.safetensors"
    safetensors.torch.save_file(state, one)
    package(SMALL, [one, one, one], tmp_path / "three", version="0.0.1")
    engine = FourViewEngine(tmp_path / "three", "cpu", floor=0.0)
    assert len(engine.networks) == 3
    once, thrice = (_analyse(e, exam).detections for e in (FourViewEngine(folder, "cpu", floor=0.0), engine))
    assert [round(d.score, 4) for d in once] == [round(d.score, 4) for d in thrice]


def _found(boxes: list[list[float]], scores: list[float]) -> Found:
    count = len(boxes)
    return Found(
        boxes=torch.tensor(boxes).reshape(-1, 4),
        score=torch.tensor(scores),
        types=torch.full((count, 4), 0.25),
        malignancy=torch.full((count,), 0.5),
        descriptors={name: torch.full((count, n), 1 / n) for name, n in DESCRIPTORS.items()},
        masks=torch.zeros(count, 28, 28),
    )


def test_a_lesion_that_one_of_two_runs_sees_counts_half() -> None:
    both, second = [10.0, 10.0, 30.0, 30.0], [12.0, 10.0, 32.0, 30.0]
    only = [80.0, 80.0, 95.0, 95.0]
    answer = merged([_found([both, only], [0.9, 0.6]), _found([second], [0.7])])
    assert answer.score.tolist() == pytest.approx([0.8, 0.3])
    x0 = (0.9 * 10 + 0.7 * 12) / 1.6  # mean weighted by the scores
    assert answer.boxes[0].tolist() == pytest.approx([x0, 10.0, x0 + 20.0, 30.0])
    assert answer.boxes[1].tolist() == pytest.approx(only)


def test_the_outline_of_a_round_mask_encloses_its_area_in_stored_pixels(exam: Exam) -> None:
    view = prepare_exam(exam.images)[1]
    rows, cols = np.mgrid[0:28, 0:28]
    mask = ((rows - 13.5) ** 2 + (cols - 13.5) ** 2 < 10.0**2).astype(np.float32)
    box = Box(
        row0=100.0, col0=60.0, row1=140.0, col1=100.0
    )  # canvas pixels of 0.3 mm; so are the stored ones
    outline = np.array(outline_of(mask, box, view))
    area = 0.5 * abs(
        np.dot(outline[:, 0], np.roll(outline[:, 1], 1)) - np.dot(outline[:, 1], np.roll(outline[:, 0], 1))
    )
    assert area == pytest.approx(np.pi * (10.0 * 40 / 28) ** 2, rel=0.06)
    assert outline_of(np.zeros((28, 28), np.float32), box, view) == ()
