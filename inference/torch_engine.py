"""Runs a model folder on an exam: card -> network -> preprocessing -> maps, boxes and scores. Imports torch.

Runs on CUDA when there is one, else on the CPU, where the same exam gives the same bytes. Meant to live in
the worker process (``inference.worker``); it shows nothing and stores nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray

from inference.device import chosen_device, device_words
from inference.engine import AiUnavailable, Cancelled, Progress, check_cancelled, nothing_to_read
from inference.engine_parts import check_chain
from inference.exam.grayscale import DEFAULT_VOI
from inference.exam.types import Box, Exam, ViewImage
from inference.four_view_choice import part_words
from inference.model_card import ModelCard, ModelError, checked_weights, read_card
from inference.models.cam_classifier import STRIDE, CamNetwork, breast_logit, fold_batch_norm, map_mask
from inference.preprocessing.input_checks import triage
from inference.preprocessing.layout import box_to_stored, map_to_stored
from inference.preprocessing.pipeline import PIPELINES, WITH_SPOTS, ModelInput, pipeline
from inference.preprocessing.pixel_size import listed
from inference.registry import build
from inference.results import Detection, ExamResult, Heatmap
from inference.signed_result import signed_result
from resources.vocabulary import ImageKind, Laterality

_MAX_BOXES_PER_VIEW = 3
_SURE = 6.0  # logits, a probability of 0.9975
_UPSAMPLED = 4  # canvas pixels per cell of the map that boxes and heat maps are taken from


class TorchEngine:
    """An ``InferenceEngine`` over one model folder."""

    def __init__(
        self, card_folder: Path, device: str | None = None, *, box_threshold: float | None = None
    ) -> None:
        """Load and check the model.

        Parameters
        ----------
        card_folder
            Folder with ``card.json`` and the safetensors file that it names.
        device
            As for ``inference.device.chosen_device``: "cpu", "cuda", "cuda:1", "auto"; None = "auto".
        box_threshold
            Lowest peak that makes a box, in [0, 1]; None = the card's operating point.

        Raises
        ------
        ModelError
            The card is wrong, the weights are absent or not the card's (SHA-256), or do not fit the network.
        InferenceError
            There is no such device.
        """
        self.card = read_card(card_folder)
        self.device = torch.device(chosen_device(device))
        check_chain(self.card, _chains_of(self.card))
        model = build(self.card)
        try:
            state = safetensors.torch.load(checked_weights(self.card))
            model.load_state_dict({key: value.float() for key, value in state.items()})
        except (RuntimeError, safetensors.SafetensorError) as error:
            raise ModelError(
                f"Model {self.card.model_id}: the weights do not fit the network that the card describes "
                f"({str(error).splitlines()[0]}); copy the model folder again."
            ) from error
        model = fold_batch_norm(model)
        self._model: CamNetwork = model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._box_threshold = self.card.threshold("box") if box_threshold is None else box_threshold
        self._prepare = pipeline(self.card.preprocessing)

    @property
    def network(self) -> CamNetwork:
        """The network itself, batch normalisation folded, for measurements."""
        return self._model

    @property
    def device_name(self) -> str:
        """Words for the device that results carry, e.g. "cpu" or "NVIDIA H100"."""
        return device_words(self.device)

    def analyse(self, exam: Exam, progress: Progress, cancelled: Cancelled) -> ExamResult:
        """Read one exam.

        Raises
        ------
        InferenceCancelled
            ``cancelled()`` was true between two steps.
        InferenceError
            The exam has no image that this model reads.
        """
        start = time.perf_counter()
        images, unread, warnings = standard_images(exam)
        inputs: list[ModelInput] = []
        for index, image in enumerate(images):
            check_cancelled(cancelled)
            progress(0.6 * index / len(images), f"preparing {image.view.label}")
            inputs.append(self._prepare(image))
        check_cancelled(cancelled)
        progress(0.6, "running the network")
        evidence, logits = self.run_views(inputs)
        check_cancelled(cancelled)
        progress(0.9, "drawing maps")
        detections: list[Detection] = []
        heatmaps: list[Heatmap] = []
        for item, view_map in zip(inputs, evidence, strict=True):
            warnings += item.warnings
            fine = self._fine_map(view_map, item)
            detections += boxes_of_map(fine, item, self._box_threshold)
            values = np.clip(map_to_stored(fine, item.placement), 0.0, 1.0)
            heatmaps.append(Heatmap(image_key=item.image_key, values=values))
        view_scores = {item.image_key: self._probability(x) for item, x in zip(inputs, logits, strict=True)}
        breast_scores = self._breast_scores(images, logits)
        progress(1.0, "done")
        seconds = time.perf_counter() - start
        return replace(
            signed_result(self.card, exam, device=self.device_name, seconds=seconds),
            exam_score=max(breast_scores.values()),
            breast_scores=breast_scores,
            view_scores=view_scores,
            detections=tuple(sorted(detections, key=lambda d: (-d.score, d.detection_id))),
            heatmaps=tuple(heatmaps),
            warnings=tuple(warnings),
            unread=unread,
        )

    def run_views(
        self, inputs: Sequence[ModelInput]
    ) -> tuple[list[NDArray[np.float32]], NDArray[np.float64]]:
        """Run prepared views as one batch.

        Returns
        -------
        Evidence maps in logits (map rows, map cols) per view, and view logits (views,) before calibration.
        """
        canvases = torch.from_numpy(np.stack([item.planes for item in inputs]))
        masks = torch.from_numpy(np.stack([item.counted for item in inputs]))
        on_gpu = self.device.type == "cuda"
        with torch.inference_mode(), torch.autocast(self.device.type, torch.float16, enabled=on_gpu):
            batch = canvases.to(self.device).contiguous(memory_format=torch.channels_last)
            evidence = self._model.predict(batch, self.card.map_offset_px)
            logits = self._model.view_logits(evidence, map_mask(masks.to(self.device)))
        return list(evidence.cpu().numpy()), logits.double().cpu().numpy()

    def _probability(self, logit: float) -> float:
        slope, intercept = self.card.calibration
        return float(1.0 / (1.0 + np.exp(-np.clip(slope * float(logit) + intercept, -60.0, 60.0))))

    def _breast_scores(
        self, images: Sequence[ViewImage], logits: NDArray[np.float64]
    ) -> dict[Laterality, float]:
        out: dict[Laterality, float] = {}
        for side in Laterality:
            mine = [
                float(x) for image, x in zip(images, logits, strict=True) if image.view.laterality is side
            ]
            if mine:
                out[side] = self._probability(float(breast_logit(torch.tensor(mine, dtype=torch.float64))))
        return out

    def _fine_map(self, evidence: NDArray[np.float32], item: ModelInput) -> NDArray[np.float32]:
        slope, intercept = self.card.calibration
        factor = STRIDE // _UPSAMPLED
        size = (evidence.shape[1] * factor, evidence.shape[0] * factor)
        logit = cv2.resize(evidence, size, interpolation=cv2.INTER_CUBIC)
        z = np.clip(slope * logit + intercept, -60.0, 60.0)
        # single precision cannot tell 1 - 1e-8 from 1: certain places are drawn together so that a peak stays one
        z = np.where(z > _SURE, _SURE + _SURE * np.tanh((z - _SURE) / _SURE), z)
        values = 1.0 / (1.0 + np.exp(-z))
        inside = cv2.resize(item.counted.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        return np.asarray(values * inside, dtype=np.float32)


def _chains_of(card: ModelCard) -> list[str]:
    """The chains whose planes the card's network takes: the picture alone, or the picture and its bright spots."""
    spots = bool(card.architecture.get("spots", False))
    return [name for name in PIPELINES if (name in WITH_SPOTS) == spots]


def standard_images(exam: Exam) -> tuple[list[ViewImage], dict[str, str], list[str]]:
    """Return the sound images that a single-energy model reads, why each other image is not read, and what is said.

    Raises
    ------
    InferenceError
        No image is left: blank, photographically negative and the like are not read, because a network answers to
        them as confidently as to a breast.
    """
    images, warnings = readable_images(exam)
    unread = {
        image.key: f"{image.view.label}: the model reads one ordinary, film or low-energy image of each view."
        for image in exam.images
        if all(image is not other for other in images)
    }
    sound = triage(images, spacing=False)
    unread |= sound.unread
    if not sound.images:
        raise nothing_to_read(exam, unread)
    return list(sound.images), unread, [*warnings, *sound.warnings, *_guessed_greys(sound.images)]


def _guessed_greys(images: Sequence[ViewImage]) -> list[str]:
    """One sentence on DICOM images without a window: a picture of film, which has none, is shown as it was learnt."""
    blind = [
        image.view.label
        for image in images
        if image.reference is not None
        and image.kind is not ImageKind.FILM
        and image.presentation.vois[0].label == DEFAULT_VOI
    ]
    if not blind:
        return []
    return [
        f"{listed(blind)}: the file records no window, so the greys were guessed from the pixels and may differ from "
        "those that the model learnt; its score is uncertain."
    ]


def readable_images(exam: Exam) -> tuple[list[ViewImage], list[str]]:
    """Return the images of an exam that a single-energy model reads, one per view, and what was left out.

    Of several images of a view it is the one that hangs on top: whole views before partial ones, then the
    newest. Spot and magnified views and priors are not read. A contrast exam is read on its low-energy images, which look like an
    ordinary mammogram.
    """
    legal = (ImageKind.FFDM, ImageKind.FILM, ImageKind.CESM_LOW)
    chosen: dict[str, ViewImage] = {}
    repeated: dict[str, str] = {}
    parts: list[str] = []
    for image in exam.images:
        if image.kind not in legal or image.qualifier.startswith("@"):
            continue
        part = part_words(image)
        if part:
            parts.append(f"{image.view.label}: {part} shows a part of the breast only; it was not read.")
            continue
        bare = image.key.removesuffix(image.qualifier)
        other = chosen.get(bare)
        if other is not None:
            label = image.view.label
            repeated[bare] = (
                f"{label}: there is more than one image of this view; the newest whole view was read."
            )
        if other is None or _rank(image) > _rank(other):
            chosen[bare] = image
    if not chosen:
        found = ", ".join(sorted({image.kind.value for image in exam.images}))
        raise AiUnavailable(
            f"Exam {exam.exam_id}: expected an ordinary or low-energy mammogram of a whole breast, found only {found}; "
            "choose another exam or model." + "".join(f" {said}" for said in parts)
        )
    return list(chosen.values()), [*repeated.values(), *parts]


def _rank(image: ViewImage) -> tuple[bool, int, int]:
    number = image.qualifier.removeprefix("#")
    return not image.flags.partial, -len(image.modifiers), int(number) if number.isdecimal() else 1


def boxes_of_map(fine: NDArray[np.float32], item: ModelInput, threshold: float) -> list[Detection]:
    """Turn a map into boxes: connected regions over the threshold and over half of their own peak.

    Parameters
    ----------
    fine
        (rows, cols) float32 in [0, 1] over the whole canvas.
    threshold
        Lowest peak that makes a box.

    Returns
    -------
    Up to three detections, strongest first; the score is the region's peak, the box is in stored-file pixels.
    """
    left = fine.copy()
    step = item.placement.canvas_shape[0] / fine.shape[0]
    out: list[Detection] = []
    while len(out) < _MAX_BOXES_PER_VIEW:
        row, col = np.unravel_index(int(np.argmax(left)), left.shape)
        peak = float(left[row, col])
        if peak < threshold or peak <= 0.0:
            break
        level = max(0.5 * peak, 0.5 * threshold)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(
            (left >= level).astype(np.uint8), connectivity=4
        )
        label = int(labels[row, col])
        x, y, width, height = (int(v) for v in stats[label][:4])
        canvas_box = Box(row0=y * step, col0=x * step, row1=(y + height) * step, col1=(x + width) * step)
        box = box_to_stored(item.placement, canvas_box)
        if box is not None:
            name = f"{item.image_key}#{len(out)}"
            score = min(peak, 1.0)
            out.append(
                Detection(detection_id=name, image_key=item.image_key, box=box, score=score, finding=None)
            )
        # the shoulder of a peak is no finding of its own: nothing more within one cell of the box
        rim = STRIDE // _UPSAMPLED
        left[max(0, y - rim) : y + height + rim, max(0, x - rim) : x + width + rim] = 0.0
    return out
