"""Runs the calcification ensemble's model folder on an exam: views -> candidates -> crops -> averaged answers.

Imports torch; meant to live in the worker process. Boxes, outlines and Grad-CAM maps come back in stored-file
pixels. It also scores lesions that it is given. Nothing is shown or stored here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from inference.device import chosen_device, device_words
from inference.engine import Cancelled, Progress, check_cancelled
from inference.engine_parts import check_chain, check_members, filled, number_of, understood, weights_of
from inference.exam.types import Exam
from inference.lesion_places import describe
from inference.lesions import GivenLesion, LesionScore
from inference.model_card import ModelError, read_card
from inference.models.calcification import CalcificationNet, answers, looked_at, member_state, networks_of
from inference.preprocessing.calcification import CALCIFICATION, CROP_PX, CalcificationView, cut, prepare_view
from inference.preprocessing.calcification_candidates import MOST, Candidate, find_candidates
from inference.preprocessing.layout import box_to_canvas, box_to_stored, map_to_stored, point_to_stored
from inference.results import Detection, ExamResult, Heatmap
from inference.torch_engine import readable_images, standard_images
from resources.vocabulary import FindingType, Laterality

_OUTLINE_PX = 8.0  # 0.8 mm between the outermost spots and the line round them
_MAP_SHRINK = 4  # canvas pixels per cell of the heat map
_Scale = tuple[float, float]  # slope and intercept on a logit


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """One candidate with what the ensemble says of it, calibrated."""

    candidate: Candidate
    score: float
    malignancy: float


class CalcificationEngine:
    """An ``InferenceEngine`` and ``LesionEngine`` over the model folder of a calcification ensemble."""

    def __init__(
        self,
        card_folder: Path,
        device: str | None = None,
        *,
        floor: float | None = None,
        maps: bool = True,
    ) -> None:
        """Load and check the model.

        Parameters
        ----------
        card_folder
            Folder with ``card.json`` and the safetensors file that it names.
        device
            "cpu", "cuda", "cuda:1", "auto"; None = "auto".
        floor
            Lowest chance of a group that is returned, in [0, 1]; None = the card's.
        maps
            Whether Grad-CAM is made; it costs as much as the rest.

        Raises
        ------
        ModelError
            The card is wrong, or the weights are absent, not the card's, or do not fit the networks.
        InferenceError
            There is no such device.
        """
        self.card = read_card(card_folder)
        self.device = torch.device(chosen_device(device))
        check_chain(self.card, (CALCIFICATION,))
        self._maps = maps
        self._floor = number_of(self.card, "floor", 0.05) if floor is None else floor
        spec = self.card.architecture
        with understood(self.card, "group_scale, malignancy_scale"):
            self._fine = _scales(spec, "", (1.0, 0.0), (1.0, 0.0))
            self._coarse = _scales(spec, "_coarse", *self._fine)
        self._networks = self._loaded()

    def _loaded(self) -> list[CalcificationNet]:
        state = weights_of(self.card)
        try:
            with understood(self.card, "members"):
                networks = networks_of(self.card.architecture.get("members", ()))
        except ModelError as error:  # of one member: it does not know of which model
            said_of = "" if str(error).startswith("Model ") else f"Model {self.card.model_id}: "
            raise ModelError(f"{said_of}{str(error).splitlines()[0]}") from error
        if not networks:
            raise ModelError(
                f"Model {self.card.model_id}: architecture/members: expected at least one, found none; correct "
                "the card."
            )
        check_members(self.card, state, len(networks))
        return [
            filled(self.card, network, member_state(state, at), self.device)
            for at, network in enumerate(networks)
        ]

    @property
    def networks(self) -> Sequence[CalcificationNet]:
        """The members whose answers are averaged, for measurements."""
        return self._networks

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
            The exam has no view that this model reads, or only blank and inverted ones.
        """
        begun = time.perf_counter()
        images, unread, warnings = standard_images(exam)
        detections: list[Detection] = []
        heatmaps: list[Heatmap] = []
        coarse: list[tuple[str, float]] = []
        for index, image in enumerate(images):
            check_cancelled(cancelled)
            progress(0.9 * index / len(images), f"reading {image.view.label}")
            view = prepare_view(image)
            warnings += view.warnings
            coarse += [(image.view.label, view.pixel_mm)] if view.coarse else []
            groups = self._groups(view)
            detections += _detections(view, groups)
            if self._maps:
                heatmaps.append(self._map(view, groups))
        check_cancelled(cancelled)
        progress(0.9, "placing the groups")
        described = describe(images, detections, None)
        kept = tuple(sorted(described.detections, key=lambda d: (-d.score, d.detection_id)))
        views = {i.key: _suspicion([d for d in kept if d.image_key == i.key]) for i in images}
        breasts = {
            side: max(views[i.key] for i in images if i.view.laterality is side)
            for side in Laterality
            if any(i.view.laterality is side for i in images)
        }
        progress(1.0, "done")
        return ExamResult(
            exam_digest=exam.digest,
            model_id=self.card.model_id,
            model_version=self.card.version,
            weights_digest=self.card.weights_sha256,
            preprocessing=self.card.preprocessing,
            device=self.device_name,
            seconds=time.perf_counter() - begun,
            exam_score=max(breasts.values()),
            breast_scores=breasts,
            view_scores=views,
            detections=kept,
            heatmaps=tuple(heatmaps),
            score_meaning=self.card.score_meaning,
            warnings=tuple(dict.fromkeys((*warnings, *_coarse_words(coarse), *described.warnings))),
            nipples=described.nipples,
            unread=unread,
        )

    def score_lesions(
        self, exam: Exam, lesions: Sequence[GivenLesion], progress: Progress, cancelled: Cancelled
    ) -> tuple[LesionScore, ...]:
        """Chance that each given calcification group is malignant, view by view; other lesions are left out."""
        images = {image.key: image for image in readable_images(exam)[0]}
        mine = [x for x in lesions if x.image_key in images and x.finding is FindingType.CALCIFICATION]
        views: dict[str, CalcificationView] = {}
        out: list[LesionScore] = []
        for index, lesion in enumerate(mine):
            check_cancelled(cancelled)
            progress(index / len(mine), lesion.lesion_id)
            image = images[lesion.image_key]
            view = views.setdefault(image.key, prepare_view(image))
            box = box_to_canvas(view.placement, lesion.box)
            crop = cut(view, (box.row0 + box.row1) / 2, (box.col0 + box.col1) / 2)
            _, malignant = self.judged(crop[None], coarse=view.coarse)
            out.append(
                LesionScore(
                    lesion_id=lesion.lesion_id,
                    laterality=lesion.laterality,
                    score=float(malignant[0]),
                    view=image.view.projection,
                    kind=image.kind,
                )
            )
        return tuple(out)

    def judged(
        self, crops: NDArray[np.uint8], *, coarse: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Calibrated chances, the members' mean: that a group is there, and that it, if there, is malignant.

        Parameters
        ----------
        crops
            (n, 3, CROP_PX, CROP_PX) uint8.
        coarse
            They are from a view of coarse pixels, which has a calibration of its own.
        """
        said = answers(self._networks, crops, self.device)
        group, malignancy = self._coarse if coarse else self._fine
        return scaled(said.group.mean(axis=0), group), scaled(said.malignant.mean(axis=0), malignancy)

    def _groups(self, view: CalcificationView) -> list[_Group]:
        candidates = find_candidates(view, MOST)
        if not candidates:
            return []
        there, malignant = self.judged(
            np.stack([cut(view, *c.center) for c in candidates]), coarse=view.coarse
        )
        return [
            _Group(candidate=c, score=float(s), malignancy=float(m))
            for c, s, m in zip(candidates, there, malignant, strict=True)
            if s >= self._floor
        ]

    def _map(self, view: CalcificationView, groups: Sequence[_Group]) -> Heatmap:
        """Grad-CAM of every group's crop, each as strong as the group is suspicious, over the whole view."""
        canvas = np.zeros(view.inside.shape, np.float32)
        crops = [cut(view, *g.candidate.center) for g in groups]
        seen = looked_at(self._networks, np.stack(crops), self.device) if crops else ()
        for group, cam in zip(groups, seen, strict=True):
            _lay(canvas, cam * np.float32(group.score * group.malignancy), group.candidate.center)
        rows, cols = view.inside.shape
        size = (max(1, cols // _MAP_SHRINK), max(1, rows // _MAP_SHRINK))
        small = cv2.resize(canvas * view.inside, size, interpolation=cv2.INTER_AREA)
        values = np.clip(map_to_stored(np.asarray(small, np.float32), view.placement), 0.0, 1.0)
        return Heatmap(image_key=view.image_key, values=values.astype(np.float32))


def _lay(canvas: NDArray[np.float32], patch: NDArray[np.float32], center: tuple[float, float]) -> None:
    """Lay a crop's map on the canvas in place; where two overlap the greater counts."""
    top, left = (round(v - CROP_PX / 2) for v in center)
    r0, r1 = max(0, top), min(canvas.shape[0], top + CROP_PX)
    c0, c1 = max(0, left), min(canvas.shape[1], left + CROP_PX)
    if r1 > r0 and c1 > c0:
        part = canvas[r0:r1, c0:c1]
        np.maximum(part, patch[r0 - top : r1 - top, c0 - left : c1 - left], out=part)


def _detections(view: CalcificationView, groups: Sequence[_Group]) -> list[Detection]:
    out: list[Detection] = []
    for group in groups:
        box = box_to_stored(view.placement, group.candidate.box)
        if box is None:
            continue
        out.append(
            Detection(
                detection_id=f"{view.image_key}#{len(out)}",
                image_key=view.image_key,
                box=box,
                score=group.score,
                finding=FindingType.CALCIFICATION,
                malignancy=group.malignancy,
                outline=outline_of(group.candidate, view),
            )
        )
    return out


def outline_of(candidate: Candidate, view: CalcificationView) -> tuple[tuple[float, float], ...]:
    """Line round a group's spots, 0.8 mm outside them: (row, column) corners in stored-file pixels."""
    turns = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    rim = np.stack([np.sin(turns), np.cos(turns)], axis=1) * _OUTLINE_PX
    points = (candidate.spots[:, None, :2] + rim[None]).reshape(-1, 2).astype(np.float32)
    hull = cv2.convexHull(points)[:, 0]
    rows, cols = view.placement.stored_shape
    stored = [point_to_stored(view.placement, float(r), float(c)) for r, c in hull]
    return tuple((min(max(r, 0.0), float(rows)), min(max(c, 0.0), float(cols))) for r, c in stored)


def scaled(probability: NDArray[np.float64], scale: tuple[float, float]) -> NDArray[np.float64]:
    """Put probabilities through slope and intercept on their logits."""
    p = np.clip(probability, 1e-6, 1.0 - 1e-6)
    logit = scale[0] * np.log(p / (1.0 - p)) + scale[1]
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logit, -60.0, 60.0))), np.float64)


def _scales(spec: Mapping[str, Any], suffix: str, group: _Scale, malignancy: _Scale) -> tuple[_Scale, _Scale]:
    """The card's calibrations of group and malignancy for fine pixels or, with the suffix, coarse ones."""
    first, second = spec.get(f"group_scale{suffix}", group), spec.get(f"malignancy_scale{suffix}", malignancy)
    (a, b), (c, d) = first, second
    return (float(a), float(b)), (float(c), float(d))


def _coarse_words(views: Sequence[tuple[str, float]]) -> list[str]:
    """One sentence for all views whose pixels are coarser than those that were learnt from."""
    if not views:
        return []
    names = ", ".join(dict.fromkeys(label for label, _ in views))
    return [
        f"{names}: pixels of {max(mm for _, mm in views):.2f} mm blur calcifications; of such pixels the model has "
        "met simulated film alone: groups may be missed or mistaken."
    ]


def _suspicion(detections: Sequence[Detection]) -> float:
    """The most suspicious group: its chance to be there times its malignancy."""
    return max((d.score * (d.malignancy or 0.0) for d in detections), default=0.0)
