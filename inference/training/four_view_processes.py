"""Several processes of one four-view training, as torchrun starts them: who is who, and what they share.

gloo between CPUs, NCCL between CUDA devices (one each, the one of LOCAL_RANK). Owns no step.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import nn

from inference.exam.types import InferenceError

_PATIENCE = timedelta(hours=6)  # how long the others wait while one prepares exams or validates


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """This process among those of the run."""

    rank: int = 0
    world: int = 1
    device: str = "cpu"


def process_of(device: str, environment: Mapping[str, str], devices: int) -> Process:
    """Say which process this is and which device is its own.

    Parameters
    ----------
    device
        What the user chose: "cpu", "cuda" or "cuda:N".
    environment
        Where torchrun leaves RANK, WORLD_SIZE and LOCAL_RANK.
    devices
        CUDA devices of this computer.

    Raises
    ------
    InferenceError
        One CUDA device was named for several processes, or there are fewer devices than processes here.
    """
    world = int(environment.get("WORLD_SIZE", "1"))
    rank = int(environment.get("RANK", "0"))
    if world < 2 or not device.startswith("cuda"):
        return Process(rank=rank if world > 1 else 0, world=world, device=device)
    local = int(environment.get("LOCAL_RANK", "0"))
    if ":" in device:
        raise InferenceError(
            f"--device {device}: expected cuda under torchrun, where each process takes a device of its own; "
            "name --device cuda."
        )
    if local >= devices:
        raise InferenceError(
            f"torchrun: expected at most one process for each CUDA device here, found process {local + 1} and "
            f"{devices} devices; start with --nproc-per-node {max(1, devices)}."
        )
    return Process(rank=rank, world=world, device=f"cuda:{local}")


@contextmanager
def joined(device: str) -> Iterator[Process]:
    """Join the other processes when torchrun started this one, and leave them again at the end."""
    mine = process_of(device, os.environ, torch.cuda.device_count() if device.startswith("cuda") else 0)
    if mine.world < 2:
        yield mine
        return
    if mine.device.startswith("cuda"):
        torch.cuda.set_device(torch.device(mine.device))  # NCCL works on the current device
    torch.distributed.init_process_group(
        "nccl" if mine.device.startswith("cuda") else "gloo", timeout=_PATIENCE
    )
    try:
        yield mine
        torch.distributed.barrier()
    finally:
        torch.distributed.destroy_process_group()


def from_first(model: nn.Module) -> None:
    """Give every process the first one's weights and statistics."""
    if torch.distributed.is_initialized():
        for value in model.state_dict().values():
            torch.distributed.broadcast(value, 0)


def same_everywhere(number: int, device: torch.device) -> bool:
    """Tell whether all processes hold the same number."""
    if not torch.distributed.is_initialized():
        return True
    ends = torch.tensor([number, -number], dtype=torch.int64, device=device)
    torch.distributed.all_reduce(ends, torch.distributed.ReduceOp.MAX)
    return int(ends[0]) == -int(ends[1])


def of_first(number: float, device: torch.device) -> float:
    """Return the first process's number; NCCL carries only what lies on the process's own device."""
    value = torch.tensor([number], dtype=torch.float64, device=device)
    if torch.distributed.is_initialized():
        torch.distributed.broadcast(value, 0)
    return float(value)


def share_gradients(model: nn.Module) -> None:
    """Average the gradients over the processes; a part that one process did not use counts as zero there."""
    if not torch.distributed.is_initialized():
        return
    learning = [p for p in model.parameters() if p.requires_grad]
    for parameter in learning:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    grads = [p.grad for p in learning if p.grad is not None]
    flat = torch.cat([grad.reshape(-1) for grad in grads])  # one message, not one for each of 200 tensors
    torch.distributed.all_reduce(flat)
    flat /= torch.distributed.get_world_size()
    parts = torch.split(flat, [grad.numel() for grad in grads])
    for grad, part in zip(grads, parts, strict=True):
        grad.copy_(part.view(grad.shape))
