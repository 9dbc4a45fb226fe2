"""The models that lie on this station, as the settings show them: what each can do, where, how fast, and why one cannot run.

Pure data and words; who looks into the folders and makes engines stands behind the port ``ModelShelf``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from app.state.terms import finding_term
from inference.engine import AiUnavailable, Cancelled, InferenceEngine, Progress
from inference.exam.types import Exam
from inference.results import ExamResult
from resources.translation import translate
from resources.vocabulary import FindingType

AUTO = "auto"  # CUDA where there is one, else the CPU
MOST_BESIDE = 3  # further models that are asked about one exam


def _tr(text: str) -> str:
    return translate("models", text)


class Standing(StrEnum):
    """Whether a model can be asked."""

    RUNS = "runs"
    CANNOT = "cannot"  # whole, but not to be run here
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """How long the model took for the last exam it read here."""

    seconds: float
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledModel:
    """One model folder. Of a damaged one only ``folder``, ``reason`` and ``size_bytes`` are sure."""

    folder: str  # its name, by which it is chosen where the card cannot be read
    standing: Standing
    reason: str = ""  # one sentence; empty = it can run
    own: bool = False  # True = the user put it there, False = it ships with the program
    model_id: str = ""
    name: str = ""
    version: str = ""
    task: str = ""
    finds: tuple[FindingType, ...] = ()
    inputs: tuple[str, ...] = ()
    needs_contrast: bool = False
    licence: str = ""
    intended_use: str = ""
    training_data: str = ""
    limits: tuple[str, ...] = ()
    weights: str = ""  # SHA-256
    size_bytes: int = 0
    card_seconds: float | None = None  # an exam, as its card has it
    measured: Measured | None = None

    @property
    def title(self) -> str:
        return self.name or self.folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Where networks may run: the name of the setting, and the device's own name."""

    name: str  # "cpu", "cuda:0"
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """All that the page shows; ``devices`` are those that were tried and work."""

    models: tuple[InstalledModel, ...] = ()
    devices: tuple[Device, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedModel:
    """One model that is asked about an exam; without an id, the engine says it with its answer."""

    engine: InferenceEngine
    model_id: str = ""
    version: str = ""
    finds: tuple[FindingType, ...] = ()  # empty = untyped, or not known


class UnavailableEngine:
    """Stands where no model can run and says why for every exam; never an empty result."""

    def __init__(self, why: str) -> None:
        self._why = why

    def analyse(self, exam: Exam, progress: Progress, cancelled: Cancelled) -> ExamResult:  # noqa: ARG002
        raise AiUnavailable(self._why)

    def close(self) -> None:
        """Nothing runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedModel:
    """A model by its id and what it is called, to choose from; whether it can run is not asked."""

    model_id: str
    title: str


class ModelShelf(Protocol):
    """The models of this station."""

    def listed(self) -> tuple[ListedModel, ...]:
        """Every model whose card can be read; quick, weights are not checked."""

    @property
    def main(self) -> str:
        """Id of the model that is asked first."""

    @property
    def station_model(self) -> str:
        """Id of the model that the station was started with: the one of studies whose protocol names none."""

    @property
    def named_here(self) -> bool:
        """True where the main model was named when the program was started, so that the setting waits."""

    def look(self) -> Shelf:
        """Look into every folder and check the weights; never on the UI thread."""

    def try_devices(self) -> Shelf:
        """Find out which devices work, then look; takes seconds."""

    def asked(self, named: Sequence[str] = ()) -> tuple[AskedModel, ...]:
        """The models to ask about the next exam, the main one first: those named, or those of the settings."""

    def close(self) -> None:
        """End all that runs."""


# ---------------------------------------------------------------- words


def finds_words(model: InstalledModel) -> str:
    """Which findings it tells apart."""
    if not model.finds:
        return _tr("findings without a type")
    return ", ".join(finding_term(one) for one in model.finds)


def needs_words(model: InstalledModel) -> str:
    """Which images it needs, in a few words."""
    if model.needs_contrast:
        return _tr("contrast mammography: low energy and recombined of one exposure")
    return _tr("one to four of the CC and MLO views; ordinary, film or low-energy images")


def size_words(size_bytes: int) -> str:
    """Size of the folder in MB."""
    return _tr("{0:.1f} MB").format(size_bytes / 1e6)


def device_words(name: str, devices: Sequence[Device]) -> str:
    """On which device networks run under this setting."""
    cuda = [one for one in devices if one.name.startswith("cuda")]
    if name == AUTO:
        return f"CUDA ({cuda[0].words})" if cuda else "CPU"
    found = next((one for one in devices if one.name == name), None)
    if found is not None and found.words:
        return f"{name} ({found.words})"
    return "CPU" if name == "cpu" else name


def speed_words(model: InstalledModel) -> str:
    """How fast it is: measured here, and by its card."""
    said = []
    if model.measured is not None:
        words = _tr("{0:.1f} s for the last exam here ({1})")
        said.append(words.format(model.measured.seconds, model.measured.device))
    if model.card_seconds is not None:
        said.append(_tr("{0:.2f} s an exam by its card").format(model.card_seconds))
    return "; ".join(said) or _tr("not measured yet")
