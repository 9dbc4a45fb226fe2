"""Runs the contrast-mammography model folder on an exam: pairs -> lesions outlined -> malignancy -> breasts.

Imports torch; meant to live in the worker process. A lesion stands on the low-energy and on the recombined
image; both views of a breast are fused. It has the port ``score_lesions`` for lesions that are given.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.cesm_judged import Judged, Seen, heatmaps_of, twins
from inference.cesm_lesions import candidates, inner_breast, stored_box, stored_outline, within_box
from inference.device import chosen_device, device_words
from inference.engine import AiUnavailable, Cancelled, Progress, check_cancelled, nothing_to_read
from inference.engine_parts import (
    check_chain,
    check_members,
    filled,
    matcher_of,
    number_of,
    part,
    scale,
    understood,
    weights_of,
)
from inference.exam.contrast import ContrastPair, contrast_pairs
from inference.exam.types import Exam
from inference.lesion_places import describe
from inference.lesions import GivenLesion, LesionScore
from inference.matching import Matcher
from inference.model_card import ModelCard, ModelError, read_card
from inference.models.crop_classifier import CropClassifier, CropConfig, grad_cam
from inference.models.lesion_segmenter import LesionSegmenter, SegmenterConfig, autocast, lesion_probability
from inference.preprocessing.cesm import (
    CESM_CHAINS,
    CESM_PAPER,
    PreparedPair,
    box_on_grid,
    from_canvas,
    lesion_crop,
    mask_on_grid,
    prepare_pair,
    segmenter_canvas,
)
from inference.preprocessing.input_checks import triage
from inference.results import Detection, ExamResult
from resources.vocabulary import FOUR_VIEWS, ImageKind, Laterality

_C = TypeVar("_C")
_ALONE = ("low", "recombined")


class CesmEngine:
    """An ``InferenceEngine`` and ``LesionEngine`` over the model folder of a contrast-mammography model."""

    def __init__(
        self,
        card_folder: Path,
        device: str | None = None,
        *,
        floor: float | None = None,
        members: int | None = None,
    ) -> None:
        """Load and check the model.

        Parameters
        ----------
        card_folder
            Folder with ``card.json`` and the safetensors file that it names.
        device
            As for ``inference.device.chosen_device``.
        floor
            Lowest lesion chance that is returned, in [0, 1]; None = the card's.
        members
            How many of the ensemble's networks to ask; None = all.

        Raises
        ------
        ModelError
            The card is wrong, or the weights are absent, not the card's, or do not fit the networks.
        InferenceError
            There is no such device.
        """
        self.card = read_card(card_folder)
        self.device = torch.device(chosen_device(device))
        check_chain(self.card, CESM_CHAINS)
        self._floor = number_of(self.card, "floor", 0.05) if floor is None else floor
        self._presence, self._malignancy = scale(self.card, "lesion"), scale(self.card, "malignancy")
        state = weights_of(self.card)
        self._matcher: Matcher | None = matcher_of(state)
        with understood(self.card, "segmenter"):
            segmenter = LesionSegmenter(_configured(self.card, "segmenter", SegmenterConfig))
        self.segmenter = filled(self.card, segmenter, part(state, "segmenter."), self.device)
        self.members: list[CropClassifier] = []
        while mine := part(state, f"member{len(self.members)}."):
            with understood(self.card, "network"):
                network = CropClassifier(_configured(self.card, "network", CropConfig))
            self.members.append(filled(self.card, network, mine, self.device))
        if not self.members:
            raise ModelError(
                f"Model {self.card.model_id}: expected tensors named member0.*, found none; copy the model folder "
                "again."
            )
        if "members" in self.card.architecture:
            check_members(self.card, state, int(number_of(self.card, "members", 0)))
        self.members = self.members[:members]

    @property
    def device_name(self) -> str:
        """Words for the device that results carry, e.g. "cpu" or "NVIDIA H100"."""
        return device_words(self.device)

    def analyse(self, exam: Exam, progress: Progress, cancelled: Cancelled) -> ExamResult:
        """Read the contrast pairs of one exam.

        Raises
        ------
        InferenceCancelled
            ``cancelled()`` was true between two steps.
        AiUnavailable
            The exam has no low-energy and recombined pair of a CC or MLO view.
        """
        begun = time.perf_counter()
        pairs, unread = self.pairs(exam)
        seen = self.read(pairs, progress, cancelled)
        progress(0.6, "judging the lesions")
        lesions = [lesion for one in seen for lesion in self.judged(one)]
        check_cancelled(cancelled)
        progress(0.85, "placing the lesions")
        low, nipples, warnings = self.described(seen, lesions)
        detections = [d for lesion, on_low in zip(lesions, low, strict=True) for d in twins(lesion, on_low)]
        breasts = {
            side: self.breast_score(
                [pair for pair in zip(lesions, low, strict=True) if _side(pair[0]) is side]
            )
            for side in Laterality
            if any(one.images.low.view.laterality is side for one in seen)
        }
        views: dict[str, float] = {}
        for one in seen:
            mine = [(x, d) for x, d in zip(lesions, low, strict=True) if x.seen is one]
            views |= dict.fromkeys((one.pair.low_key, one.pair.recombined_key), self.breast_score(mine))
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
            detections=tuple(sorted(detections, key=lambda d: (-d.score, d.detection_id))),
            heatmaps=tuple(
                h for one in seen for h in heatmaps_of(one, [x for x in lesions if x.seen is one])
            ),
            score_meaning=self.card.score_meaning,
            warnings=tuple(dict.fromkeys((*(w for one in seen for w in one.pair.warnings), *warnings))),
            nipples=nipples,
            unread=unread,
        )

    def score_lesions(
        self, exam: Exam, lesions: Sequence[GivenLesion], progress: Progress, cancelled: Cancelled
    ) -> tuple[LesionScore, ...]:
        """Say how malignant given lesions are, by their masks, or by what the segmenter outlines in their boxes.

        Each image of a lesion gets a score; a lesion given on both images of a pair gets the same one on both.
        """
        pairs, _ = self.pairs(exam)
        wanted = {lesion.image_key for lesion in lesions}
        seen = self.read([p for p in pairs if {p.low.key, p.recombined.key} & wanted], progress, cancelled)
        out: list[LesionScore] = []
        for one in seen:
            mine = [x for x in lesions if x.image_key in {one.pair.low_key, one.pair.recombined_key}]
            masks = [_given_mask(one, lesion) for lesion in mine]
            for lesion, p in zip(mine, self.malignancy(one.pair, masks), strict=True):
                low = lesion.image_key == one.pair.low_key
                out.append(
                    LesionScore(
                        lesion_id=lesion.lesion_id,
                        laterality=lesion.laterality,
                        score=float(p),
                        view=one.images.low.view.projection,
                        kind=ImageKind.CESM_LOW if low else ImageKind.CESM_RECOMBINED,
                    )
                )
        progress(1.0, "done")
        return tuple(out)

    def malignancy(
        self, pair: PreparedPair, masks: Sequence[NDArray[np.bool_]], energies: str = "both"
    ) -> NDArray[np.float64]:
        """Calibrated mean of the members' probabilities (masks,), of lesions with these working-grid masks."""
        crops = self.crops(pair, masks)
        if crops is None:
            return np.zeros(0)
        if energies != "both":
            crops[:, 1 if energies == "low" else 0] = 0.0
        with torch.inference_mode(), autocast(self.device):
            p = torch.stack([torch.sigmoid(m(crops).float()) for m in self.members]).mean(0)
        return np.array([scaled(float(x), self._malignancy) for x in p.double().cpu()])

    def breast_score(self, lesions: Sequence[tuple[Judged, Detection]]) -> float:
        """Fuse the lesions of a breast or view: per lesion the mean malignancy of its views times its best chance."""
        groups: dict[str, list[Judged]] = {}
        for lesion, detection in lesions:
            groups.setdefault(detection.group or detection.detection_id, []).append(lesion)
        fused = [
            max(x.presence for x in same) * float(np.mean([x.malignancy for x in same]))
            for same in groups.values()
        ]
        return scaled(max(fused, default=0.0), self.card.calibration)

    def pairs(self, exam: Exam) -> tuple[list[ContrastPair], dict[str, str]]:
        """The newest whole, sound pair of each CC and MLO view, in FOUR_VIEWS' order; why other images are not read.

        Raises
        ------
        AiUnavailable
            The exam has no such pair.
        InferenceError
            It has, but all are blank, photographically negative or the like.
        """
        pairs = read_pairs(exam)
        if not pairs:
            found = ", ".join(sorted({image.kind.value for image in exam.images}))
            raise AiUnavailable(
                f"Exam {exam.exam_id}: expected a low-energy and a recombined image of one CC or MLO view, found "
                f"{found}; choose a contrast exam or another model."
            )
        used = {key for pair in pairs for key in (pair.low.key, pair.recombined.key)}
        unread = {
            image.key: f"{image.view.label}: the model reads one low-energy and recombined pair of each CC and MLO."
            for image in exam.images
            if image.key not in used
        }
        unread |= unsound(pairs)
        sound = [pair for pair in pairs if pair.low.key not in unread]
        if not sound:
            raise nothing_to_read(exam, unread)
        return sound, unread

    def read(self, pairs: Sequence[ContrastPair], progress: Progress, cancelled: Cancelled) -> list[Seen]:
        """Prepare pairs and run the segmenter on each."""
        out: list[Seen] = []
        for number, images in enumerate(pairs):
            check_cancelled(cancelled)
            progress(0.6 * number / len(pairs), f"outlining lesions in {images.low.view.label}")
            pair = prepare_pair(images, self.card.preprocessing)
            canvas = segmenter_canvas(pair)[None]
            found = from_canvas(pair, lesion_probability(self.segmenter, canvas)[0]) * inner_breast(pair)
            out.append(Seen(images=images, pair=pair, map=found))
        check_cancelled(cancelled)
        return out

    def judged(self, seen: Seen, *, explained: bool = True) -> list[Judged]:
        """The lesions of a pair, strongest first; ``explained`` = with Grad-CAM, else the maps are empty."""
        found = candidates(seen.pair, seen.map)
        found = [c for c in found if scaled(c.presence, self._presence) >= self._floor]
        masks = [c.mask for c in found]
        crops = self.crops(seen.pair, masks)
        if crops is None:
            return []
        cams = np.zeros((len(found), 0, 0), np.float32)
        if explained:
            cams = torch.stack([grad_cam(m, crops) for m in self.members]).mean(0).cpu().numpy()
        judged = {"both": self.malignancy(seen.pair, masks)}
        judged |= {name: self.malignancy(seen.pair, masks, name) for name in _ALONE} if explained else {}
        return [
            Judged(
                seen=seen,
                candidate=c,
                presence=scaled(c.presence, self._presence),
                malignancy=float(judged["both"][n]),
                map=cams[n],
                by_image={name: float(values[n]) for name, values in judged.items()} if explained else {},
            )
            for n, c in enumerate(found)
        ]

    def crops(self, pair: PreparedPair, masks: Sequence[NDArray[np.bool_]]) -> Tensor | None:
        """What the networks are shown of lesions with these working-grid masks; None without one."""
        if not masks:
            return None
        size, alone = self.members[0].config.size, self.card.preprocessing == CESM_PAPER
        crops = np.stack([lesion_crop(pair, mask, size, equalise=alone) for mask in masks])
        made = torch.from_numpy(crops).to(self.device).float() / 255.0
        return made.contiguous(memory_format=torch.channels_last)

    def described(
        self, seen: Sequence[Seen], lesions: Sequence[Judged]
    ) -> tuple[tuple[Detection, ...], dict[str, tuple[float, float]], tuple[str, ...]]:
        """Each lesion's detection on its low-energy image, with place and group; nipples; what must be said."""
        counts: dict[str, int] = {}
        made = []
        for lesion in lesions:
            key = lesion.seen.pair.low_key
            number = counts[key] = counts.get(key, -1) + 1
            made.append(
                Detection(
                    detection_id=f"{key}#{number}",
                    image_key=key,
                    box=stored_box(lesion.seen.pair, lesion.candidate.mask),
                    score=lesion.presence,
                    finding=None,
                    malignancy=lesion.malignancy,
                    outline=stored_outline(lesion.seen.pair, lesion.candidate.mask),
                    energy_scores=lesion.by_image,
                )
            )
        described = describe([one.images.low for one in seen], made, self._matcher)
        return described.detections, dict(described.nipples), described.warnings


def read_pairs(exam: Exam) -> list[ContrastPair]:
    """The newest whole pair of each CC and MLO view, in FOUR_VIEWS' order."""
    chosen: dict[Any, ContrastPair] = {}
    for pair in contrast_pairs(i for i in exam.images if not i.qualifier.startswith("@")):
        if pair.low.view in FOUR_VIEWS and pair.low.view not in chosen:
            chosen[pair.low.view] = pair
    return [chosen[view] for view in FOUR_VIEWS if view in chosen]


def unsound(pairs: Sequence[ContrastPair]) -> dict[str, str]:
    """Why both images of a pair are not read, by their keys: one of them is blank, or the low-energy one is no breast.

    A recombined image is judged for blankness only, because nothing else of it looks like a mammogram.
    """
    checked = triage([pair.low for pair in pairs], spacing=False)
    out: dict[str, str] = {}
    for pair in pairs:
        why = checked.unread.get(pair.low.key, "")
        if not why and pair.recombined.pixels.min() == pair.recombined.pixels.max():
            why = f"{pair.recombined.view.label}: the image is blank (one even grey); it was not read."
        if why:
            out |= {pair.low.key: why, pair.recombined.key: why}
    return out


def _given_mask(seen: Seen, lesion: GivenLesion) -> NDArray[np.bool_]:
    if lesion.mask is not None and lesion.mask.any():
        return mask_on_grid(seen.pair, lesion.mask)
    return within_box(seen.map, box_on_grid(seen.pair, lesion.box))


def scaled(probability: float, scale: tuple[float, float]) -> float:
    """Put a probability through slope and intercept on its logit."""
    p = min(max(probability, 1e-6), 1.0 - 1e-6)
    logit = scale[0] * float(np.log(p / (1.0 - p))) + scale[1]
    return float(1.0 / (1.0 + np.exp(-np.clip(logit, -60.0, 60.0))))


def _side(lesion: Judged) -> Laterality:
    return lesion.seen.images.low.view.laterality


def _configured(card: ModelCard, name: str, maker: type[_C]) -> _C:
    """A network's settings as the card has them."""
    spec = {k: tuple(v) if isinstance(v, list) else v for k, v in card.architecture.get(name, {}).items()}
    return maker(**spec)
