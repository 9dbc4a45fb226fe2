"""Training of the four-view detector: truth follows the pixels, a killed run resumes exactly, processes agree."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from inference.exam.types import InferenceError
from inference.model_card import ModelError
from inference.training.four_view_batch import NONE, Augmentation, augmented, batch_of
from inference.training.four_view_checkpoint import Run, load_checkpoint, made_of
from inference.training.four_view_data import (
    PreparedExam,
    evaluation_spec,
    load_exam,
    save_exam,
    seeds_of,
    training_spec,
)
from inference.training.four_view_draws import is_unlabelled_step, partition, step_exams, steps_for
from inference.training.four_view_loop import rate, run_recipe, start, train_step
from inference.training.four_view_processes import process_of
from inference.training.four_view_recipe import PAPER, SMALL, four_view_recipe
from resources.vocabulary import Pathology

SCRIPT = Path(__file__).with_name("four_view_tiny.py")
ROOT = Path(__file__).resolve().parents[3]


def _tiny() -> ModuleType:
    spec = importlib.util.spec_from_file_location("four_view_tiny", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TINY = _tiny()


class OneExam:
    count, unlabelled, identity = 1, 0, "one exam"

    def exam(self, index: int) -> PreparedExam:
        return TINY.drawn_exam(index)  # type: ignore[no-any-return]

    def validation(self) -> Iterator[PreparedExam]:
        yield self.exam(0)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    content = torch.load(folder / "checkpoint.pt", weights_only=True)
    return {f"model.{k}": v for k, v in content["model"].items()} | {
        f"average.{k}": v for k, v in content["average"].items()
    }


@pytest.mark.parametrize("seed", range(12))
def test_boxes_and_outlines_follow_the_pixels_through_every_augmentation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    plan = Augmentation(scale=(0.8, 1.2), swap_sides=0.5, flip_rows=0.7, drop_views=0.5, tone=0.02)
    varied = augmented(TINY.drawn_exam(seed), plan, rng)
    views, targets = batch_of([varied], masks=True)
    assert len(targets) == len(varied.slots) == len(views.slots)
    for picture, target in zip(views.planes, targets, strict=True):
        for box, mask in zip(
            target.boxes.tolist(), target.masks if target.masks is not None else (), strict=True
        ):
            x0, y0, x1, y1 = (round(v) for v in box)
            assert picture[0, y0 + 2 : y1 - 2, x0 + 2 : x1 - 2].min() > 0.4  # the bright square, and only it
            outside = picture[0].clone()
            outside[max(0, y0 - 2) : y1 + 2, max(0, x0 - 2) : x1 + 2] = -1.0
            assert outside.max() < 0.2
            assert mask[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2].float().mean() > 0.95
            assert mask.float().sum() < 1.35 * max(1, (y1 - y0) * (x1 - x0))


def test_without_augmentation_an_exam_stays_as_it_is_and_survives_the_disk(tmp_path: Path) -> None:
    exam = TINY.drawn_exam(1)
    same = augmented(exam, NONE, np.random.default_rng(0))
    np.testing.assert_array_equal(exam.planes, same.planes)
    assert same.lesions == exam.lesions
    save_exam(exam, tmp_path / "exam.npz")
    back = load_exam(tmp_path / "exam.npz")
    np.testing.assert_array_equal(exam.planes, back.planes)
    assert replace(back, planes=exam.planes) == exam


def test_training_never_touches_validation_or_test_phantoms() -> None:
    train, validation, test = (set(seeds_of(part, 5000)) for part in ("train", "validation", "test"))
    assert not train & validation
    assert not train & test
    assert not validation & test
    specs = [training_spec(seed) for seed in range(160)]
    sick = [spec for spec in specs if spec.pathology is not Pathology.NORMAL]
    assert len(sick) / len(specs) == pytest.approx(7 / 8)
    assert {s.pathology for s in (evaluation_spec(seed) for seed in range(4))} == set(Pathology)


def test_three_members_learn_from_different_80_percent_of_the_exams() -> None:
    parts = [set(partition(replace(SMALL, member=n), 1000)) for n in range(3)]
    assert [len(part) for part in parts] == [800, 800, 800]
    assert len(parts[0] & parts[1]) < 700
    assert len(parts[0] | parts[1] | parts[2]) > 980
    assert partition(SMALL, 10) == list(range(10))


def test_paper_recipe_warms_up_for_500_steps_then_falls_by_tenths() -> None:
    assert rate(PAPER, 0) == pytest.approx(0.005 / 500)
    assert rate(PAPER, 500) == pytest.approx(0.005)
    assert rate(PAPER, 16_000) == pytest.approx(0.0005)
    assert rate(PAPER, 24_000) == pytest.approx(0.00005)
    assert rate(SMALL, SMALL.steps) == pytest.approx(0.01 * SMALL.learning_rate)
    assert four_view_recipe("paper") is PAPER


def test_proposals_learn_where_lesions_are_in_a_dozen_steps_on_one_exam() -> None:
    recipe = replace(
        TINY.tiny_recipe(12),
        augmentation=NONE,
        unlabelled_every=0,
        imagenet="package",
    )
    exams = OneExam()
    run = start(recipe, exams)
    losses = [train_step(recipe, run, exams)["loss_objectness"] for _ in range(12)]
    assert losses[0] == pytest.approx(np.log(2), abs=0.05)  # knows nothing yet
    assert np.mean(losses[-2:]) < 0.75 * losses[0]


def test_semi_supervised_steps_learn_from_the_teachers_own_marks() -> None:
    recipe = replace(TINY.tiny_recipe(9), burn_in=0)
    exams = TINY.DrawnExams()
    run = start(recipe, exams)
    assert step_exams(recipe, exams, 0)[0] >= 6  # an unlabelled exam
    assert step_exams(recipe, exams, 1)[0] < 6
    assert step_exams(replace(recipe, unlabelled_every=0), exams, 0)[0] < 6  # switched off
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    losses = train_step(recipe, run, exams)
    assert np.isfinite(losses["total"])
    assert losses["box"] > 0  # pseudo-labels gave positive regions though the exam has no truth
    assert losses["malignancy"] == 0.0  # the teacher says nothing of malignancy
    assert any(not torch.equal(before[k], v) for k, v in run.model.state_dict().items())


def test_pseudo_labels_weigh_less_in_every_loss_and_truth_does_not() -> None:
    recipe = replace(TINY.tiny_recipe(9), burn_in=0, augmentation=NONE)
    exams = TINY.DrawnExams()

    def losses(weight: float, step: int) -> dict[str, float]:
        chosen = replace(recipe, pseudo_weight=weight)
        run = start(chosen, exams)
        run.step = step
        return train_step(chosen, run, exams)

    full, half = losses(1.0, 0), losses(0.5, 0)
    assert {"loss_objectness", "loss_rpn_box_reg", "type", "box"} <= set(full)
    for name, value in full.items():
        assert half[name] == pytest.approx(0.5 * value, rel=1e-4, abs=1e-7), name
    assert losses(1.0, 1) == losses(0.5, 1)  # an exam with truth


def test_the_teacher_begins_as_the_trained_student_after_the_burn_in() -> None:
    recipe = replace(TINY.tiny_recipe(9), averaging=0.999)  # burn-in of two steps
    exams = TINY.DrawnExams()
    assert [is_unlabelled_step(recipe, exams, n) for n in range(7)] == [False] * 3 + [
        True,
        False,
        False,
        True,
    ]
    run = start(recipe, exams)
    train_step(recipe, run, exams)
    assert any(not torch.equal(v, run.average.state_dict()[k]) for k, v in run.model.state_dict().items())
    train_step(recipe, run, exams)
    assert all(torch.equal(v, run.average.state_dict()[k]) for k, v in run.model.state_dict().items())
    train_step(recipe, run, exams)
    assert any(not torch.equal(v, run.average.state_dict()[k]) for k, v in run.model.state_dict().items())


@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_exam_is_seen_once_before_any_comes_again_whatever_the_processes(world: int) -> None:
    class Many:
        count, unlabelled = 1503, 3

    recipe = replace(SMALL, unlabelled_every=4, burn_in=10)
    labelled: list[int] = []
    without: list[int] = []
    for step in range(700):
        for rank in range(world):
            drawn = step_exams(recipe, Many(), step, rank, world)
            (without if is_unlabelled_step(recipe, Many(), step) else labelled).extend(drawn)
    assert max(labelled) < 1500 <= min(without)
    for first in range(0, len(labelled), 1500):
        assert len(set(labelled[first : first + 1500])) == len(labelled[first : first + 1500])
    assert len(set(without[:3])) == 3


def test_a_run_over_a_manifest_is_long_enough_to_see_all_of_it() -> None:
    assert steps_for(SMALL, 900) == SMALL.steps
    assert steps_for(SMALL, 5000) == 20_000
    assert steps_for(SMALL, 5000, world=4) == 5000
    assert steps_for(replace(SMALL, member=1), 5000) == 16_000


def test_each_process_takes_the_cuda_device_of_its_own_rank() -> None:
    two = {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1"}
    assert process_of("cuda", two, 2).device == "cuda:1"
    assert (process_of("cuda", two, 2).rank, process_of("cuda", two, 2).world) == (3, 4)
    assert process_of("cpu", two, 0).device == "cpu"
    assert process_of("cuda:1", {}, 2).device == "cuda:1"
    with pytest.raises(InferenceError, match="expected cuda under torchrun"):
        process_of("cuda:0", two, 2)
    with pytest.raises(InferenceError, match="found process 2 and 1 devices"):
        process_of("cuda", two, 1)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"recipe": replace(SMALL, learning_rate=1.0)}, "settings"),
        ({"recipe": replace(SMALL, name="other")}, "recipe other"),
        ({"recipe": replace(SMALL, network=PAPER.network)}, "network resnet50"),
        ({"exams": "manifest other.csv"}, "exams manifest other.csv"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_by_name(
    tmp_path: Path, change: dict[str, object], named: str
) -> None:
    torch.save({"made_of": made_of(SMALL, "manifest mine.csv")}, tmp_path / "checkpoint.pt")
    origin = made_of(**{"recipe": SMALL, "exams": "manifest mine.csv", **change})  # type: ignore[arg-type]
    run = Run(None, None, None, torch.device("cpu"))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=named):
        load_checkpoint(run, tmp_path, origin)


def test_bf16_is_used_only_where_the_cpu_multiplies_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from inference.device import has_bf16

    found = {"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    assert not has_bf16("cpu")
    assert has_bf16("cuda:0")
    found["amx_bf16"] = True
    assert has_bf16("cpu")


def _wait_for(path: Path, process: subprocess.Popen[bytes], seconds: float = 800.0) -> None:
    end = time.monotonic() + seconds
    while not path.is_file():
        assert process.poll() is None, "the training ended before its first checkpoint"
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.timeout(900)  # three processes, each of which imports torch
def test_a_killed_training_resumes_to_the_very_same_weights(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    command = [sys.executable, str(SCRIPT)]
    subprocess.run([*command, str(whole), "4"], check=True, env=_environment(), cwd=ROOT)
    process = subprocess.Popen([*command, str(broken), "4"], env=_environment(), cwd=ROOT)
    _wait_for(broken / "checkpoint.pt", process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (broken / "rank0.json").exists()
    stopped = torch.load(broken / "checkpoint.pt", weights_only=True)["step"]
    assert 1 <= stopped < 4
    subprocess.run([*command, str(broken), "4"], check=True, env=_environment(), cwd=ROOT)
    expected, found = _weights(whole), _weights(broken)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.timeout(900)
def test_two_processes_under_torchrun_learn_together_and_end_with_one_model(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1",
        "--master-port", str(port), str(SCRIPT), str(tmp_path / "two"), "2",
    ]  # fmt: skip
    subprocess.run(command, check=True, env=_environment(), cwd=ROOT, timeout=800)
    said = [json.loads((tmp_path / "two" / f"rank{n}.json").read_text(encoding="utf-8")) for n in range(2)]
    assert said[0]["weights"] == said[1]["weights"]
    assert not set(said[0]["seen"]) & set(said[1]["seen"])  # two steps of one pass of six exams
    assert len({*said[0]["seen"], *said[1]["seen"]}) == 4
    subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path / "one"), "2"], check=True, env=_environment(), cwd=ROOT
    )
    two, one = _weights(tmp_path / "two"), _weights(tmp_path / "one")
    name = "model.pyramid.inner_blocks.0.0.weight"
    assert not torch.equal(two[name], one[name])  # the second process's exams had a say


def test_paper_recipe_resumes_from_its_checkpoint(tmp_path: Path) -> None:
    class Full:
        count, unlabelled, identity = 2, 0, "two views"

        def exam(self, index: int) -> PreparedExam:
            exam = TINY.drawn_exam(index)
            return replace(exam, planes=exam.planes[:2, :1], slots=(0, 1), used_rows=exam.used_rows[:2],
                           lesions=exam.lesions[:2])  # fmt: skip

        def validation(self) -> object:
            return iter([self.exam(0)])

    recipe = replace(
        PAPER,
        imagenet="none",
        steps=1,
        validate_every=1,
        checkpoint_every=1,
        train_exams=2,
        unlabelled_every=0,
    )
    run_recipe(recipe, Full(), tmp_path)  # type: ignore[arg-type]
    run: Run = start(recipe, Full())  # type: ignore[arg-type]
    assert load_checkpoint(run, tmp_path, made_of(recipe, Full.identity))
    assert run.step == 1
    assert run.optimizer.state_dict()["state"]  # momentum came along
    history = json.loads((tmp_path / "history.json").read_text(encoding="utf-8"))
    assert history[-1]["step"] == 1
