"""Looks into the model folders, checks and times their models, and makes engines of those that are chosen.

A model that is chosen in the settings is asked from the next exam on; one that is no longer chosen gives its process back.
Nothing of a damaged folder is hidden: the list has it with the reason, in English as the engines speak; the screen
translates it.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.doctor import in_a_process
from app.state.model_shelf import (
    AUTO,
    AskedModel,
    Device,
    InstalledModel,
    ListedModel,
    Measured,
    Shelf,
    Standing,
    UnavailableEngine,
)
from app.state.settings import Settings
from inference import gpu_probe
from inference.cache import CachedEngine, ResultCache, identity_of
from inference.engine import Cancelled, InferenceEngine, Progress
from inference.exam.types import Exam
from inference.model_card import ModelCard, file_sha256, read_card
from inference.model_facts import all_model_folders, folder_bytes, model_facts
from inference.registry import why_not
from inference.results import ExamResult
from inference.worker import EngineSpec, WorkerEngine
from resources.files import UserFacingError

log = logging.getLogger(__name__)

MEASURES_FILE = "model_times.json"


class Measures:
    """How long each model took for its last exam, in a file of the cache; a file that is lost costs nothing else."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()

    def last(self, card: ModelCard) -> Measured | None:
        """The last time under these weights, or None."""
        entry = self._all().get(_mark(card))
        if not isinstance(entry, dict):
            return None
        seconds, device = entry.get("seconds"), entry.get("device")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not isinstance(device, str):
            return None
        return Measured(seconds=float(seconds), device=device)

    def keep(self, card: ModelCard, result: ExamResult) -> None:
        """Note the time of a result that was computed now; a disk that refuses loses this note only."""
        with self._lock:
            plain = {**self._all(), _mark(card): {"seconds": result.seconds, "device": result.device}}
            scratch = self._file.with_suffix(f".{os.getpid()}.new")
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                scratch.write_text(json.dumps(plain, indent=1), encoding="utf-8")
                scratch.replace(self._file)
            except OSError as error:
                log.warning("the model's time could not be kept: %s", error.strerror)

    def _all(self) -> dict[str, object]:
        try:
            plain = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return plain if isinstance(plain, dict) else {}


def _mark(card: ModelCard) -> str:
    return f"{card.model_id} {card.version} {card.weights_sha256[:12]}"


class TimedEngine:
    """Hands an analysis on and notes how long it took; stands below the cache, so kept results do not count."""

    def __init__(self, engine: InferenceEngine, card: ModelCard, measures: Measures) -> None:
        self._engine, self._card, self._measures = engine, card, measures

    def analyse(self, exam: Exam, progress: Progress, cancelled: Cancelled) -> ExamResult:
        result = self._engine.analyse(exam, progress, cancelled)
        self._measures.keep(self._card, result)
        return result

    def close(self) -> None:
        _close(self._engine)


def _close(engine: InferenceEngine) -> None:
    close = getattr(engine, "close", None)
    if close is not None:
        close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """What must be equal for an engine that runs to be the one that is wanted."""

    folder: Path
    device: str
    card: tuple[int, int]  # size and time of change of the card, so that a copied-in model is taken up
    weights: tuple[int, int]


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (-1, -1)
    return found.st_size, found.st_mtime_ns


class FolderShelf:
    """The ``ModelShelf`` over the program's and the user's model folders."""

    def __init__(
        self,
        cache: Path,
        settings: Callable[[], Settings],
        *,
        program_choice: str,
        started_with: str = "",
        probe: Callable[[], Sequence[Device]] | None = None,
    ) -> None:
        """Make the shelf; nothing is read yet.

        Parameters
        ----------
        cache : folder of kept results and measured times.
        settings : the settings in force at each question.
        program_choice : id of the model that is main where the settings name none.
        started_with : id or folder that was named when the program was started; it goes before the settings.
        probe : finds the devices that work; None = a process that imports torch.
        """
        self._cache, self._settings = cache, settings
        self._program_choice, self._started_with = program_choice, started_with
        self._probe = probe or _working_devices
        self._measures = Measures(cache / MEASURES_FILE)
        self._engines: dict[_Key, CachedEngine] = {}
        self._devices: tuple[Device, ...] | None = None
        self._cards: dict[Path, tuple[tuple[int, int], ModelCard]] = {}

    @property
    def main(self) -> str:
        """Id of the model that is asked first."""
        return self._started_with or self._settings().main_model or self._program_choice

    @property
    def station_model(self) -> str:
        """Id of the model that the station was started with."""
        return self._started_with or self._program_choice

    @property
    def named_here(self) -> bool:
        """True where the main model was named when the program was started, so that the setting waits."""
        return bool(self._started_with)

    # ---- the list

    def listed(self) -> tuple[ListedModel, ...]:
        """Every model whose card can be read, once an id; weights are not checked."""
        found: dict[str, ListedModel] = {}
        for folder, _ in all_model_folders():
            try:
                card = self._card(folder)
            except (UserFacingError, OSError) as error:
                log.info("not listed: %s", error)
                continue
            found.setdefault(card.model_id, ListedModel(model_id=card.model_id, title=card.name))
        return tuple(found.values())

    def look(self) -> Shelf:
        """Look into every folder and check the weights; the devices are those tried so far."""
        devices = self._devices or ()
        # not tried yet = not held against a model
        cuda = self._devices is None or any(one.name.startswith("cuda") for one in devices)
        models = [self._model(folder, ships=ships, cuda=cuda) for folder, ships in all_model_folders()]
        started = Path(self._started_with)
        if self._started_with and (started / "card.json").is_file():
            models.append(self._model(started, ships=False, cuda=cuda))
        return Shelf(models=_named_once(models), devices=devices)

    def try_devices(self) -> Shelf:
        """Find the devices that work, in a process that may take seconds to start torch; then look."""
        self._devices = tuple(self._probe())
        return self.look()

    def _model(self, folder: Path, *, ships: bool, cuda: bool) -> InstalledModel:
        try:
            card = read_card(folder)
            facts = model_facts(card)
        except (UserFacingError, OSError) as error:
            return InstalledModel(
                folder=folder.name,
                standing=Standing.DAMAGED,
                reason=str(error),
                own=not ships,
                size_bytes=folder_bytes(folder),
            )
        standing, reason = _standing(card, needs_cuda=facts.needs_cuda, cuda=cuda)
        return InstalledModel(
            folder=folder.name,
            standing=standing,
            reason=reason,
            own=not ships,
            model_id=card.model_id,
            name=card.name,
            version=card.version,
            task=card.task,
            finds=facts.finds,
            inputs=card.inputs,
            needs_contrast=facts.needs.value == "contrast pair",
            licence=card.licence,
            intended_use=card.intended_use,
            training_data=card.training_data,
            limits=card.known_limits,
            weights=card.weights_sha256,
            size_bytes=facts.size_bytes,
            card_seconds=facts.seconds_per_exam,
            measured=self._measures.last(card),
        )

    # ---- the engines

    def asked(self, named: Sequence[str] = ()) -> tuple[AskedModel, ...]:
        """The models to ask about the next exam, the main one first; engines of others are closed."""
        ids = tuple(named) or (self.main, *self._settings().models_beside)
        made: list[AskedModel] = []
        keys: set[_Key] = set()
        for model in dict.fromkeys(ids):
            key, one = self._one(model)
            made.append(one)
            if key is not None:
                keys.add(key)
        for key in [key for key in self._engines if key not in keys]:
            # beside the window: an engine that still works on an old question is waited for
            threading.Thread(target=self._engines.pop(key).close, name="model-closing", daemon=True).start()
        return tuple(made)

    def _one(self, model: str) -> tuple[_Key | None, AskedModel]:
        try:
            card = self._card_of(model)
        except UserFacingError as error:
            return None, AskedModel(engine=UnavailableEngine(str(error)), model_id=model)
        finds = model_facts(card).finds
        reason = why_not(card)
        if reason is not None:
            engine: InferenceEngine = UnavailableEngine(reason)
            return None, AskedModel(engine=engine, model_id=card.model_id, version=card.version, finds=finds)
        device = self._settings().model_device or AUTO
        key = _Key(
            folder=card.folder,
            device=device,
            card=_stamp(card.folder / "card.json"),
            weights=_stamp(card.weights_path),
        )
        if key not in self._engines:
            worker = WorkerEngine(EngineSpec(model_folder=card.folder, device=device))
            timed = TimedEngine(worker, card, self._measures)
            self._engines[key] = CachedEngine(timed, ResultCache(self._cache / "results"), identity_of(card))
        engine = self._engines[key]
        return key, AskedModel(engine=engine, model_id=card.model_id, version=card.version, finds=finds)

    def _card_of(self, model: str) -> ModelCard:
        """The card of a model id, or of a folder that was named; UserFacingError where there is none."""
        named = Path(model)
        if (named / "card.json").is_file():
            return self._card(named)
        problem: UserFacingError | None = None
        for folder, _ in all_model_folders():
            try:
                card = self._card(folder)
            except UserFacingError as error:
                if folder.name == model:
                    problem = error
                continue
            if card.model_id == model:
                return card
        if problem is not None:
            raise UserFacingError(
                f"Model {model}: its card cannot be read ({problem}); copy the model folder again or choose another "
                "model in the settings."
            ) from problem
        raise UserFacingError(
            f"Model {model}: expected its folder on this station, found none; choose another in the settings."
        )

    def _card(self, folder: Path) -> ModelCard:
        """A card, read once as long as its file is the same: models are looked up on the window's thread."""
        stamp = _stamp(folder / "card.json")
        kept = self._cards.get(folder)
        if kept is None or kept[0] != stamp:
            kept = self._cards[folder] = stamp, read_card(folder)
        return kept[1]

    def close(self) -> None:
        """End every engine's process."""
        while self._engines:
            self._engines.popitem()[1].close()


def _standing(card: ModelCard, *, needs_cuda: bool, cuda: bool) -> tuple[Standing, str]:
    """Whether a card's model can be asked here, and one sentence why not."""
    if card.weights_path.is_file():
        found = file_sha256(card.weights_path)
        if found != card.weights_sha256:
            sentence = (
                f"Model {card.model_id}: weights {card.weights_file}: expected SHA-256 {card.weights_sha256[:12]}..., "
                f"found {found[:12]}...; the file was changed or is damaged, copy the model folder again."
            )
            return Standing.DAMAGED, sentence
    reason = why_not(card)
    if reason is not None:
        return Standing.CANNOT, reason
    if needs_cuda and not cuda:
        sentence = f"Model {card.model_id}: it needs a CUDA device, and this computer has none that works."
        return Standing.CANNOT, sentence
    return Standing.RUNS, ""


def _named_once(models: Sequence[InstalledModel]) -> tuple[InstalledModel, ...]:
    """A second folder with the id of another cannot be asked by that id, and says so."""
    seen: dict[str, str] = {}
    made: list[InstalledModel] = []
    for one in models:
        if one.model_id and one.model_id in seen:
            reason = (
                f"Model {one.model_id}: its id is already that of the folder {seen[one.model_id]}; give one of them "
                "another id."
            )
            made.append(
                InstalledModel(
                    folder=one.folder,
                    standing=Standing.CANNOT,
                    reason=reason,
                    own=one.own,
                    name=one.name,
                    version=one.version,
                    size_bytes=one.size_bytes,
                )
            )
            continue
        if one.model_id:
            seen[one.model_id] = one.folder
        made.append(one)
    return tuple(made)


def _working_devices() -> Sequence[Device]:
    """The CPU, and every CUDA device on which a small sum came out right."""
    facts = in_a_process(gpu_probe.probe) or {}
    found = [
        Device(name=f"cuda:{number}", words=str(device["name"]))
        for number, device in enumerate(facts.get("devices", ()))
        if device["works"]
    ]
    return (Device(name="cpu"), *found)
