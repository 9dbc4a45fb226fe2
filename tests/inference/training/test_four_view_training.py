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
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from inference.training.four_view_batch import NONE, Augmentation, augmented, batch_of
from inference.training.four_view_data import (
    evaluation_spec,
    load_exam,
    save_exam,
    seeds_of,
    training_spec,
)
from inference.training.four_view_loop import (
    Run,
    load_checkpoint,
    partition,
    rate,
    run_recipe,
    start,
    step_exams,
    train_step,
)
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
        train_exams=1,
        first_exams=1,
    )
    exams = TINY.DrawnExams()
    run = start(recipe, exams)
    losses = [train_step(recipe, run, exams)["loss_objectness"] for _ in range(12)]
    assert losses[0] == pytest.approx(np.log(2), abs=0.05)  # knows nothing yet
    assert np.mean(losses[-2:]) < 0.75 * losses[0]


def test_semi_supervised_steps_learn_from_the_teachers_own_marks() -> None:
    recipe = TINY.tiny_recipe(3)
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
    assert not (broken / "rank0.txt").exists()
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
    assert (tmp_path / "two" / "rank0.txt").is_file()
    assert (tmp_path / "two" / "rank1.txt").is_file()
    subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path / "one"), "2"], check=True, env=_environment(), cwd=ROOT
    )
    two, one = _weights(tmp_path / "two"), _weights(tmp_path / "one")
    name = "model.pyramid.inner_blocks.0.0.weight"
    assert not torch.equal(two[name], one[name])  # the second process's exams had a say


def test_paper_recipe_resumes_from_its_checkpoint(tmp_path: Path) -> None:
    from inference.training.four_view_data import PreparedExam

    class Full:
        count, unlabelled = 2, 0

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
    assert load_checkpoint(run, tmp_path)
    assert run.step == 1
    assert run.optimizer.state_dict()["state"]  # momentum came along
    history = json.loads((tmp_path / "history.json").read_text(encoding="utf-8"))
    assert history[-1]["step"] == 1
