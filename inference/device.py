"""Which device a network may run on, by the name a user gives, and whether it computes in bf16.

Torch is imported only to look.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from inference.exam.types import InferenceError

if TYPE_CHECKING:
    import torch

_NAMES = re.compile(r"(auto|cpu|cuda(:\d+)?)")


def device_words(device: torch.device) -> str:
    """Return the words for a device that results carry, e.g. "cpu" or "NVIDIA H100"."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def chosen_device(name: str | None) -> str:
    """Return the device to run on.

    Parameters
    ----------
    name
        "cpu", "cuda", "cuda:1", ...; "auto" or None = CUDA when there is one, else the CPU.

    Returns
    -------
    A name that torch knows, of a device that is here.

    Raises
    ------
    InferenceError
        The name is none of these, or this computer has no such CUDA device.
    """
    wanted = "auto" if name is None else name
    if not _NAMES.fullmatch(wanted):
        raise InferenceError(f"Device {wanted!r}: expected cpu, cuda, cuda:N or auto; name one of these.")
    if wanted == "cpu":
        return wanted
    count = _cuda_devices()
    if wanted == "auto":
        return "cuda" if count else "cpu"
    number = int(wanted.partition(":")[2] or 0)
    if number >= count:
        raise InferenceError(
            f"Device {wanted!r}: expected a CUDA device of that number, found {count} on this computer; "
            "choose cpu or auto."
        )
    return wanted


def _cuda_devices() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def has_bf16(device: str) -> bool:
    """Tell whether a device multiplies in bf16 itself: CUDA, or a CPU with AVX512-BF16 or AMX-BF16.

    AVX512 alone is not enough: without its BF16 part every product is widened first, slower than full precision.
    """
    if device.startswith("cuda"):
        return True
    import torch

    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
