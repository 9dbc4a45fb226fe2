"""Runs a four-view detector's model folder on an exam: views -> canvases -> network -> lesions with their places.

Imports torch; meant to live in the worker process. Boxes and outlines come back in stored-file pixels; where
a lesion lies and what it matches is said by ``lesion_places``. Nothing is shown or stored here.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.device import chosen_device, device_words, has_bf16
from inference.engine import Cancelled, Progress, check_cancelled
from inference.engine_parts import check_chain, filled, matcher_of, number_of, scale, understood, weights_of
from inference.exam.types import Box, Exam, ViewImage
from inference.four_view_choice import chosen_views
from inference.four_view_merging import merged, on_cpu, turned_back, upside_down
from inference.lesion_places import describe
from inference.matching import PREFIX, Matcher
from inference.model_card import read_card
from inference.models.four_view import BOTH, FourViewDetector, Fused, Views
from inference.models.four_view_heads import Found
from inference.outlines import outline_of as drawn_outline
from inference.preprocessing.four_view import CHAINS, PreparedView, prepare_exam
from inference.preprocessing.layout import box_to_stored, canvas_affine
from inference.registry import build_four_view
from inference.results import Attribute, Detection, ExamResult
from inference.signed_result import signed_result
from inference.training.four_view_batch import views_tensor
from inference.training.four_view_data import FINDINGS, TERMS
from resources.vocabulary import FOUR_VIEWS, FindingType, Laterality

_MEMBERS = "member"  # tensors of an ensemble's networks are named member0.*, member1.*, ...
_OUTLINE_SLACK = 2.0  # of the enlarged mask's pixels: what an outline may leave out of it
_SMOOTH = 8  # an outline is drawn on the mask at so many times its size
_SHAPED = {"shape": FindingType.MASS, "margin": FindingType.MASS}
_CALCIFIED = {"morphology": FindingType.CALCIFICATION, "distribution": FindingType.CALCIFICATION}
MASK_HEAD = "mask head"  # beside the methods of ``inference.outlines``: which outline of a finding is shown
ATTRIBUTE_OF = {**_SHAPED, **_CALCIFIED}  # which finding each descriptor belongs to


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """One view that is read, ready for the network."""

    image: ViewImage
    prepared: PreparedView


class FourViewEngine:
    """An ``InferenceEngine`` over the model folder of a four-view detector."""

    def __init__(
        self,
        card_folder: Path,
        device: str | None = None,
        *,
        floor: float | None = None,
        flips: bool | None = None,
        fused: Fused = BOTH,
        outlines: str | None = None,
    ) -> None:
        """Load and check the model.

        Parameters
        ----------
        card_folder
            Folder with ``card.json`` and the safetensors file that it names.
        device
            "cpu", "cuda", "cuda:1", "auto"; None = "auto".
        floor
            Lowest lesion probability that is returned, in [0, 1]; None = the card's.
        flips
            Also read every view mirrored head to foot and take the mean; None = as the card says. The
            paper's horizontal flip changes nothing here: left and right breasts are read alike.
        fused
            Which fusion parts work, for ablations.
        outlines
            How every outline is drawn: ``MASK_HEAD`` or one of ``outlines.METHODS``; None = as the card says for
            each finding, by the mask head where it says nothing.

        Raises
        ------
        ModelError
            The card is wrong, or the weights are absent, not the card's, or do not fit the network.
        InferenceError
            There is no such device.
        """
        self.card = read_card(card_folder)
        self.device = torch.device(chosen_device(device))
        spec = self.card.architecture
        check_chain(self.card, CHAINS)
        self._floor = number_of(self.card, "floor", 0.05) if floor is None else floor
        self._flips = bool(spec.get("flips", False)) if flips is None else flips
        self._fused = fused
        said = spec.get("outlines", {})
        self._outlines = {f: str(outlines or said.get(f.value, MASK_HEAD)) for f in FINDINGS}
        self._lesion_scale, self._malignancy_scale = (
            scale(self.card, "lesion"),
            scale(self.card, "malignancy"),
        )
        state = weights_of(self.card)
        self._matcher: Matcher | None = matcher_of(state)
        self._networks = [self._network(part) for part in _members(state)]

    @property
    def networks(self) -> Sequence[FourViewDetector]:
        """The networks whose answers are averaged, for measurements."""
        return self._networks

    @property
    def device_name(self) -> str:
        """Words for the device that results carry, e.g. "cpu" or "NVIDIA H100"."""
        return device_words(self.device)

    def _network(self, state: dict[str, Tensor]) -> FourViewDetector:
        with understood(self.card, "network"):
            network = build_four_view(self.card)
        return filled(self.card, network, state, self.device)

    def analyse(self, exam: Exam, progress: Progress, cancelled: Cancelled) -> ExamResult:
        """Read one exam.

        Raises
        ------
        InferenceCancelled
            ``cancelled()`` was true between two steps.
        InferenceError
            The exam has no CC or MLO view that this model reads, or only blank and inverted ones.
        """
        begun = time.perf_counter()
        chosen = chosen_views(exam)
        images, warnings = chosen.images, list(chosen.warnings)
        check_cancelled(cancelled)
        progress(0.05, "preparing the views")
        prepared = prepare_exam(images, self.card.preprocessing)
        reads = [_Read(image=i, prepared=p) for i, p in zip(images, prepared, strict=True)]
        warnings += [sentence for read in reads for sentence in read.prepared.warnings]
        check_cancelled(cancelled)
        progress(0.35, "running the network")
        found = self.run(reads)
        check_cancelled(cancelled)
        progress(0.8, "placing the lesions")
        detections = [d for read, f in zip(reads, found, strict=True) for d in self._detections(read, f)]
        described = describe(images, detections, self._matcher)
        kept = tuple(sorted(described.detections, key=lambda d: (-d.score, d.detection_id)))
        breast = {
            side: self._suspicion([d for d in kept if d.image_key in _keys(images, side)])
            for side in Laterality
            if _keys(images, side)
        }
        views = {i.key: self._suspicion([d for d in kept if d.image_key == i.key]) for i in images}
        progress(1.0, "done")
        seconds = time.perf_counter() - begun
        return replace(
            signed_result(self.card, exam, device=self.device_name, seconds=seconds),
            exam_score=max(breast.values()),
            breast_scores=breast,
            view_scores=views,
            detections=kept,
            warnings=tuple(dict.fromkeys((*warnings, *described.warnings))),
            nipples=described.nipples,
            unread=chosen.unread,
        )

    def run(self, reads: Sequence[_Read]) -> list[Found]:
        """Run the networks on the views of one exam; answers of several runs are averaged lesion by lesion."""
        planes = np.stack([read.prepared.planes for read in reads])
        used = tuple(read.prepared.used_rows for read in reads)
        views = Views(
            planes=views_tensor(planes).to(self.device),
            exams=(0,) * len(reads),
            slots=tuple(FOUR_VIEWS.index(read.image.view) for read in reads),
            used_rows=used,
        )
        runs: list[list[Found]] = []
        with torch.inference_mode(), self._precision():
            for network in self._networks:
                runs.append(network(views, self._fused))
                if self._flips:
                    runs.append(turned_back(network(upside_down(views), self._fused), used))
        answers = [[on_cpu(found) for found in run] for run in runs]
        return answers[0] if len(answers) == 1 else [merged(same) for same in zip(*answers, strict=True)]

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=has_bf16(self.device.type))

    def _detections(self, read: _Read, found: Found) -> list[Detection]:
        out: list[Detection] = []
        for n in range(len(found.score)):
            score = _scaled(float(found.score[n]), self._lesion_scale)
            if score < self._floor:
                continue
            x0, y0, x1, y1 = (float(v) for v in found.boxes[n])
            canvas = Box(row0=y0, col0=x0, row1=y1, col1=x1)
            box = box_to_stored(read.prepared.placement, canvas)
            if box is None:
                continue
            finding = FINDINGS[int(found.types[n].argmax())]
            out.append(
                Detection(
                    detection_id=f"{read.image.key}#{len(out)}",
                    image_key=read.image.key,
                    box=box,
                    score=score,
                    finding=finding,
                    malignancy=_scaled(float(found.malignancy[n]), self._malignancy_scale),
                    outline=self._outline(read, found, n, canvas, box),
                    attributes=_attributes(found, n, finding),
                )
            )
        return out

    def _outline(
        self, read: _Read, found: Found, n: int, canvas: Box, box: Box
    ) -> tuple[tuple[float, float], ...]:
        """Outline of one finding, by the mask head or from the picture as its type asks."""
        finding = FINDINGS[int(found.types[n].argmax())]
        method = self._outlines[finding]
        if method != MASK_HEAD:
            return drawn_outline(read.image, box, finding, method)
        return () if found.masks is None else outline_of(found.masks[n].numpy(), canvas, read.prepared)

    def _suspicion(self, detections: Sequence[Detection]) -> float:
        """Calibrated chance of cancer from the most suspicious lesion: presence times malignancy."""
        most = max((d.score * (d.malignancy or 0.0) for d in detections), default=0.0)
        return _scaled(most, self.card.calibration)


def _keys(images: Sequence[ViewImage], side: Laterality) -> set[str]:
    return {image.key for image in images if image.view.laterality is side}


def _members(state: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """Split a weights file into the networks that it holds: one, or an ensemble's members."""
    own = {name: value for name, value in state.items() if not name.startswith(PREFIX)}
    if not any(name.startswith(f"{_MEMBERS}0.") for name in own):
        return [own]
    out: list[dict[str, Tensor]] = []
    while part := {
        name.partition(".")[2]: value
        for name, value in own.items()
        if name.startswith(f"{_MEMBERS}{len(out)}.")
    }:
        out.append(part)
    return out


def _scaled(probability: float, scale: tuple[float, float]) -> float:
    """Put a probability through slope and intercept on its logit."""
    p = min(max(probability, 1e-6), 1.0 - 1e-6)
    logit = scale[0] * float(np.log(p / (1.0 - p))) + scale[1]
    return float(1.0 / (1.0 + np.exp(-np.clip(logit, -60.0, 60.0))))


def _attributes(found: Found, n: int, finding: FindingType) -> dict[str, Attribute]:
    out: dict[str, Attribute] = {}
    for name, of in ATTRIBUTE_OF.items():
        if of is finding:
            shares = found.descriptors[name][n]
            best = int(shares.argmax())
            out[name] = Attribute(term=TERMS[name][best], probability=float(shares[best]))
    return out


def outline_of(
    mask: NDArray[np.float32], box: Box, prepared: PreparedView
) -> tuple[tuple[float, float], ...]:
    """Turn a lesion's mask into its outline.

    Parameters
    ----------
    mask
        (28, 28) float32 in [0, 1] over ``box``.
    box
        In canvas pixels.

    Returns
    -------
    (row, column) corners in stored-file pixels; empty when no cell reaches one half.
    """
    side = mask.shape[0]
    fine = cv2.resize(mask, None, fx=_SMOOTH, fy=_SMOOTH, interpolation=cv2.INTER_CUBIC)
    fine = np.pad(fine, 1)  # a lesion that fills its box still has a closed outline
    contours, _ = cv2.findContours((fine >= 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return ()
    corners = cv2.approxPolyDP(max(contours, key=cv2.contourArea), _OUTLINE_SLACK, True)[:, 0]
    if len(corners) < 3:
        return ()
    share = (corners[:, ::-1] - 0.5) / (side * _SMOOTH)  # x, y with a rim of one to row, col over the box
    corner, extent = (box.row0, box.col0), (box.row1 - box.row0, box.col1 - box.col0)
    canvas = np.array(corner) + share * np.array(extent)
    there = np.vstack([canvas_affine(prepared.placement), [0.0, 0.0, 1.0]])
    stored = np.hstack([canvas, np.ones((len(canvas), 1))]) @ np.linalg.inv(there)[:2].T
    rows, cols = prepared.placement.stored_shape
    return tuple((float(r), float(c)) for r, c in np.clip(stored, 0.0, (float(rows), float(cols))))
