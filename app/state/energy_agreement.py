"""Whether the AI found the same lesion on the low-energy and on the recombined image of one exposure.

Matches detections by a declared rule; what the model never looked at is said to be so and not taken for "nothing found".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.state.ai_findings import AiFinding, energy_scores_of
from app.state.hanging_fill import partner_of
from app.state.terms import finding_term
from inference.exam.types import Box, ViewImage
from inference.model_card import OperatingPoint
from inference.results import Detection, ExamResult
from resources.translation import translate
from resources.vocabulary import ImageKind, ViewName

MATCH_MM = 10.0  # centres at most this far apart are one lesion
EVEN_ODDS = 0.5  # malignancy that counts where a card names no point
MATCH_IOU = 0.25  # where no pixel spacing is recorded: least overlap of the boxes, intersection over union


def _tr(text: str) -> str:
    return translate("energies", text)


class Energies(StrEnum):
    """On which of the two images a lesion was found."""

    BOTH = "both"
    LOW = "low"
    RECOMBINED = "recombined"


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionAgreement:
    """One lesion of one view, and the detections that show it; ``distance_mm`` only where both do and spacing is known."""

    view: ViewName
    found: Energies
    low: Detection | None = None
    recombined: Detection | None = None
    distance_mm: float | None = None
    overlap: float = 0.0  # intersection over union of the two boxes, 0..1

    @property
    def score(self) -> float:
        """The higher of the two scores, 0..1."""
        return max(one.score for one in (self.low, self.recombined) if one is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyAgreement:
    """All lesions of the exam's contrast pairs, by view, highest score first; and the pairs not compared, with why."""

    lesions: tuple[LesionAgreement, ...] = ()
    pairs: int = 0  # pairs that were compared
    not_compared: tuple[str, ...] = ()


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, 0..1."""
    rows = min(one.row1, other.row1) - max(one.row0, other.row0)
    cols = min(one.col1, other.col1) - max(one.col0, other.col0)
    if rows <= 0 or cols <= 0:
        return 0.0
    areas = sum((b.row1 - b.row0) * (b.col1 - b.col0) for b in (one, other))
    return rows * cols / (areas - rows * cols)


def energy_agreement(result: ExamResult, images: Sequence[ViewImage], *, threshold: float) -> EnergyAgreement:
    """Match the AI's detections of each low-energy image with those of its recombined image.

    Parameters
    ----------
    images : of one exam; pairs share view, exposure and pixel grid.
    threshold : detections below this score (0..1) do not count, on either image.

    Notes
    -----
    One to one, nearest centres first: at most ``MATCH_MM`` apart in the breast plane; without pixel spacing, largest
    overlap first, at least ``MATCH_IOU``. Both images have one pixel grid, so no registration is estimated.
    """
    lesions: list[LesionAgreement] = []
    left_out: dict[str, list[str]] = {}  # views by the reason
    pairs = 0
    for low in (image for image in images if image.kind is ImageKind.CESM_LOW):
        partner = partner_of(low, images)
        if partner is None:
            why = _tr("{0}: no recombined image of the same exposure")
            left_out.setdefault(why, []).append(low.view.label)
            continue
        unseen = [_kind(i) for i in (low, partner) if not _looked_at(result, i)]
        if unseen:
            why = _tr("{0}: the model did not look at: {1}").replace("{1}", ", ".join(unseen))
            left_out.setdefault(why, []).append(low.view.label)
            continue
        pairs += 1
        found = [
            [d for d in result.detections if d.image_key == image.key and d.score >= threshold]
            for image in (low, partner)
        ]
        lesions += sorted(_matched(low, found[0], found[1]), key=lambda lesion: -lesion.score)
    said = (why.format(", ".join(dict.fromkeys(views))) for why, views in left_out.items())
    return EnergyAgreement(lesions=tuple(lesions), pairs=pairs, not_compared=tuple(said))


def _kind(image: ViewImage) -> str:
    return _tr("low energy") if image.kind is ImageKind.CESM_LOW else _tr("recombined")


def _looked_at(result: ExamResult, image: ViewImage) -> bool:
    seen = {*result.view_scores, *(h.image_key for h in result.heatmaps)}
    return image.key in seen | {d.image_key for d in result.detections}


def _matched(
    image: ViewImage, low: Sequence[Detection], recombined: Sequence[Detection]
) -> list[LesionAgreement]:
    candidates = sorted(
        (
            (rank, a, b)
            for a, one in enumerate(low)
            for b, other in enumerate(recombined)
            if (rank := _rank(image, one.box, other.box)) is not None
        ),
        key=lambda entry: entry[0],
    )
    done_low: set[int] = set()
    done_other: set[int] = set()
    made = []
    for _rank_of, a, b in candidates:
        if a in done_low or b in done_other:
            continue
        done_low.add(a)
        done_other.add(b)
        one, other = low[a], recombined[b]
        made.append(
            LesionAgreement(
                view=image.view,
                found=Energies.BOTH,
                low=one,
                recombined=other,
                distance_mm=_distance_mm(image, one.box, other.box),
                overlap=overlap(one.box, other.box),
            )
        )
    made += [
        LesionAgreement(view=image.view, found=Energies.LOW, low=one)
        for a, one in enumerate(low)
        if a not in done_low
    ]
    made += [
        LesionAgreement(view=image.view, found=Energies.RECOMBINED, recombined=other)
        for b, other in enumerate(recombined)
        if b not in done_other
    ]
    return made


def _rank(image: ViewImage, one: Box, other: Box) -> float | None:
    """How well two boxes match, smaller is better; None = not one lesion."""
    apart = _distance_mm(image, one, other)
    if apart is not None:
        return apart if apart <= MATCH_MM else None
    shared = overlap(one, other)
    return -shared if shared >= MATCH_IOU else None


def _distance_mm(image: ViewImage, one: Box, other: Box) -> float | None:
    if image.spacing is None:
        return None
    (row0, col0), (row1, col1) = one.center, other.center
    return math.hypot((row0 - row1) * image.spacing.row_mm, (col0 - col1) * image.spacing.col_mm)


def agreement_words(agreement: EnergyAgreement) -> tuple[str, ...]:
    """Say each lesion in one line, the rule last; empty where the exam has no contrast pair."""
    if not agreement.pairs and not agreement.not_compared:
        return ()
    lines = [_line(lesion) for lesion in agreement.lesions]
    if agreement.pairs and not lines:
        lines.append(_tr("no AI finding on either image of {0} pairs").format(agreement.pairs))
    rule = _tr("one lesion: centres at most {0:g} mm apart (no spacing: overlap at least {1:g})")
    return (*lines, *agreement.not_compared, *([rule.format(MATCH_MM, MATCH_IOU)] if agreement.pairs else []))


def _line(lesion: LesionAgreement) -> str:
    shown = lesion.low or lesion.recombined
    kind = finding_term(shown.finding) if shown is not None and shown.finding is not None else _tr("finding")
    scores = " / ".join(f"{one.score * 100:.0f} %" for one in (lesion.low, lesion.recombined) if one)
    where = {
        Energies.BOTH: _tr("BOTH"),
        Energies.LOW: _tr("low energy only"),
        Energies.RECOMBINED: _tr("recombined only"),
    }[lesion.found]
    if lesion.distance_mm is not None:
        where += _tr(", {0:.0f} mm apart").format(lesion.distance_mm)
    return f"{lesion.view.label}  {kind}  {scores}  {where}"


# ---------------------------------------------------------------- models that judge a pair as a whole


def alone_words(findings: Sequence[AiFinding], points: Sequence[OperatingPoint]) -> tuple[str, ...]:
    """Say lesion by lesion what each image of the pair alone and both together make of it and whether the two
    agree at the card's point, the rule last.

    Parameters
    ----------
    findings : those on screen; without scores from each image they are left out.
    points : the card's points of malignancy; the one of the highest Youden index counts, 0.5 where there is none.

    Returns
    -------
    Empty where no finding has such scores: then ``energy_agreement`` compares what was found on the two images.
    """
    cut = next((point.threshold for point in points if point.name.casefold() == "youden"), EVEN_ODDS)
    lines = []
    for one in findings:
        scores = energy_scores_of(one)
        if scores is None or not {"low", "recombined"} <= set(scores):
            continue
        low, recombined = scores["low"], scores["recombined"]
        where = {
            (True, True): _tr("agree: malignant"),
            (True, False): _tr("disagree: low energy only"),
            (False, True): _tr("disagree: recombined only"),
            (False, False): _tr("agree: not malignant"),
        }[(low >= cut, recombined >= cut)]
        together = scores.get("both", low) >= cut
        if (low >= cut) == (recombined >= cut) != together:
            where += _tr("; together malignant") if together else _tr("; together not malignant")
        both = _tr(", both {0:.0f} %").format(100 * scores["both"]) if "both" in scores else ""
        lines.append(
            f"{one.tag}  {one.laterality.value}  {100 * low:.0f} % / {100 * recombined:.0f} %{both}  {where}"
        )
    if not lines:
        return ()
    return (*lines, _tr("malignancy from each image alone, malignant from {0:.2f} on").format(cut))
