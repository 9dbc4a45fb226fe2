"""Looks at the program itself: versions, codecs, models, GPU. Torch and Qt are asked in processes of their own."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from app.doctor import HealthLine, fault, in_a_process, ok, warning
from inference import gpu_probe
from inference.exam.codec_check import try_codecs
from inference.model_card import checked_weights
from inference.registry import model_folders, why_not
from resources.files import UserFacingError
from resources.translation import translate

_PYTHON = ((3, 11), (3, 13))
_PACKAGES = (
    "PySide6-Essentials",
    "numpy",
    "pydicom",
    "imagecodecs",
    "opencv-python-headless",
    "SQLAlchemy",
    "torch",
)


def _tr(text: str) -> str:
    return translate("doctor", text)


def versions(program: str) -> Iterator[HealthLine]:
    """The program, its interpreter and the packages that matter most."""
    title = _tr("Versions")
    found, missing = [], []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    text = f"Negatoscope {program}, Python {platform.python_version()}, {platform.platform()}; {', '.join(found)}"
    low, high = _PYTHON
    if not low <= sys.version_info[:2] <= high:
        yield warning("versions", title, text, _tr("Python 3.11 to 3.13 is supported; install one of them."))
    elif missing == ["torch"]:
        yield warning("versions", title, text, _tr("torch is not installed: studies run, models do not."))
    elif missing:
        words = _tr("Not installed: {0}; install the program again.")
        yield fault("versions", title, text, words.format(", ".join(missing)))
    else:
        yield ok("versions", title, text)


def codecs() -> Iterator[HealthLine]:
    """Every transfer syntax, tried on a packaged image."""
    title = _tr("Codecs")
    tried = try_codecs()
    wrong = [one for one in tried if one.problem]
    if not wrong:
        yield ok("codecs", title, _tr("{0} transfer syntaxes decode as they should").format(len(tried)))
    for one in wrong:
        yield fault(
            "codecs",
            title,
            f"{one.name} ({one.transfer_syntax}): {one.problem}",
            _tr("Images of this transfer syntax cannot be read; install the program again."),
        )


def models() -> Iterator[HealthLine]:
    """Every model folder: its card, whether it can run here, and its weights' digest."""
    from inference.model_card import read_card

    title = _tr("Models")
    folders = model_folders()
    if not folders:
        yield warning(
            "models", title, _tr("none installed"), _tr("Install the program again, or add a model folder.")
        )
    for folder in folders:
        try:
            card = read_card(folder)
            reason = why_not(card)
            if reason is None:
                checked_weights(card)
        except UserFacingError as error:
            yield fault(
                "models", title, str(error), _tr("Replace this model's folder; studies without it go on.")
            )
            continue
        name = f"{card.model_id} {card.version}"
        if reason is not None:
            yield warning(
                "models", title, f"{name}: {reason}", _tr("Other models and studies without AI go on.")
            )
        else:
            yield ok(
                "models",
                title,
                _tr("{0}: weights as the card says ({1}…)").format(name, card.weights_sha256[:12]),
            )


def gpu() -> Iterator[HealthLine]:
    """Whether CUDA can be used, with how much memory, and why not."""
    title = _tr("AI device")
    facts = in_a_process(gpu_probe.probe)
    if facts is None:
        yield fault("gpu", title, _tr("torch does not start"), _tr("Install the program again; the log of the worker says where it ended."))  # fmt: skip
        return
    if not facts["torch"]:
        yield warning(
            "gpu",
            title,
            _tr("torch is not installed"),
            _tr("Studies run, models do not; install the AI part."),
        )
        return
    if not facts["cuda"]:
        words = _tr("CPU, {0} threads; torch {1} is built without CUDA")
        yield ok("gpu", title, words.format(facts["threads"], facts["torch"]))
        return
    for device in facts["devices"]:
        words = _tr("{0}: {1} of {2} MB free, torch {3}, CUDA {4}")
        text = words.format(
            device["name"], device["free_mb"], device["total_mb"], facts["torch"], facts["cuda"]
        )
        if not device["works"]:
            yield fault(
                "gpu",
                title,
                text,
                _tr("A sum computed there came out wrong; do not use this GPU, set --device cpu."),
            )
        else:
            yield ok("gpu", title, text)
    if not facts["devices"]:
        words = _tr("no usable GPU for CUDA {0}: {1}")
        remedy = _tr(
            "Models run on the CPU. With an NVIDIA GPU, install its driver for this CUDA version and start again."
        )
        yield warning("gpu", title, words.format(facts["cuda"], facts["error"] or _tr("none found")), remedy)
