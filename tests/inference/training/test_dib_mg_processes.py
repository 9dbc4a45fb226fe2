"""Several processes learn what one on the whole batch would: one set of weights, the same gradient."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from inference.training import loop
from inference.training.data import balanced_order, breast_set
from inference.training.four_view_processes import Process
from inference.training.shared_norm import SharedNorm

SCRIPT = Path(__file__).with_name("dib_mg_tiny.py")
ROOT = Path(__file__).resolve().parents[3]


def _tiny() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dib_mg_tiny", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TINY = _tiny()


@pytest.mark.timeout(900)  # two processes, each of which imports torch
def test_b_two_processes_under_torchrun_end_with_one_model_and_take_the_step_that_one_alone_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1",
        "--master-port", str(port), str(SCRIPT), str(tmp_path),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment, cwd=ROOT, timeout=800)
    first, second = (torch.load(tmp_path / f"rank{n}.pt", weights_only=True) for n in range(2))
    assert first["history"] == second["history"]
    for name, value in first["model"].items():
        assert torch.equal(value, second["model"][name]), name

    # one alone, on both shares of the first step together
    monkeypatch.setattr(loop, "has_bf16", lambda _device: False)
    recipe, data = TINY.RECIPE, TINY.drawn_breasts()
    state = loop.start(recipe, 2)
    index = balanced_order(data.labels, np.random.default_rng(recipe.seed))[: recipe.batch]
    shares = [
        loop.share_of(state, data, index, recipe.look, Process(rank=rank, world=2), recipe.seed)
        for rank in range(2)
    ]
    canvases, masks, labels = (torch.cat(parts) for parts in zip(*shares, strict=True))
    assert len(canvases) == 2 * recipe.batch
    state.model.train()
    loop.step_loss(state.model, canvases, masks, labels).backward()  # type: ignore[no-untyped-call]
    alone = TINY.gradient(state.model)
    assert float(alone.norm()) > 1e-3
    torch.testing.assert_close(first["gradient"], alone, rtol=1e-3, atol=1e-4 * float(alone.abs().max()))
    half = loop.start(recipe, 2)
    half.model.train()
    loop.step_loss(half.model, *shares[0]).backward()  # type: ignore[no-untyped-call]
    apart = (TINY.gradient(half.model) - alone).norm() / alone.norm()
    assert float(apart) > 0.1  # half of the batch alone would have stepped elsewhere


def test_b_without_other_processes_the_shared_norm_is_the_plain_one() -> None:
    torch.manual_seed(1)
    plain, shared = torch.nn.BatchNorm2d(3), SharedNorm(3)
    picture = torch.randn(4, 3, 8, 8) * 3 + 1
    torch.testing.assert_close(shared(picture), plain(picture))
    torch.testing.assert_close(shared.running_var, plain.running_var)


def test_b_breasts_mapped_from_one_file_are_those_read_into_memory(tmp_path: Path) -> None:
    chain = "dib-mg-small/3"
    read = breast_set(range(2), chain, tmp_path)
    mapped = breast_set(range(2), chain, tmp_path, mapped=True)
    assert isinstance(mapped.canvases, np.memmap)
    assert np.array_equal(mapped.canvases, read.canvases)
    assert np.array_equal(mapped.labels, read.labels)
    assert np.array_equal(breast_set(range(2), chain, tmp_path, mapped=True).canvases, read.canvases)
