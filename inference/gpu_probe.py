"""Says what torch can use on this machine. Meant for a process of its own: torch is imported here."""

from __future__ import annotations

import importlib.util


def probe() -> dict[str, object]:
    """Return plain facts: torch's version, its CUDA, the devices with their memory, and why there are none.

    Returns
    -------
    ``torch`` version or '' where it is not installed; ``cuda`` version it was built for or ''; ``devices``, each with
    ``name``, ``total_mb``, ``free_mb`` and ``works`` (a small sum was computed there); ``error`` in the driver's words;
    ``threads`` of the CPU.
    """
    if importlib.util.find_spec("torch") is None:
        return {"torch": "", "cuda": "", "devices": [], "error": "", "threads": 0}
    import torch

    facts: dict[str, object] = {
        "torch": torch.__version__,
        "cuda": torch.version.cuda or "",
        "threads": torch.get_num_threads(),
        "error": "",
    }
    devices: list[dict[str, object]] = []
    facts["devices"] = devices
    if not torch.version.cuda:
        return facts
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
        for number in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(number)
            ones = torch.ones(64, 64, device=f"cuda:{number}")
            devices.append(
                {
                    "name": torch.cuda.get_device_name(number),
                    "total_mb": total // 2**20,
                    "free_mb": free // 2**20,
                    "works": float((ones @ ones).sum()) == 64.0**3,
                }
            )
    except (RuntimeError, AssertionError) as error:
        facts["error"] = str(error).splitlines()[0]
    return facts
