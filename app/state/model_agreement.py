"""Whether several models mark the same lesion of an exam: "2 of 3 models mark this".

Matches findings by a declared rule. A model that did not read the picture, or does not look for such findings, is not counted:
its silence says nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from app.state.ai_findings import AiFinding, picture_of
from inference.exam.types import Box, ViewImage
from inference.results import ExamResult
from resources.translation import translate
from resources.vocabulary import FindingType


def _tr(text: str) -> str:
    return translate("ai_findings", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answerer:
    """One model that answered: its letter on screen, what it said, what it looks for, and what it marks at its threshold."""

    letter: str
    result: ExamResult
    finds: tuple[FindingType, ...] = ()  # empty = findings without a type
    marked: tuple[AiFinding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Letters of the models that mark a lesion and of those that looked for it and do not; ids of the others' boxes on it."""

    mark: tuple[str, ...]
    silent: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Say it in a short line; empty where no other model looked."""
        looked = len(self.mark) + len(self.silent)
        if looked < 2:
            return ""
        words = _tr("{0} of {1} models mark this").format(len(self.mark), looked)
        return words if len(self.mark) > 3 and not self.silent else f"{words}: {', '.join(self.mark)}"

    @property
    def silent_words(self) -> str:
        """Say which models looked and do not mark it; empty where all do."""
        return _tr("not {0}").format(", ".join(self.silent)) if self.silent else ""


def same_place(one: Box, other: Box) -> bool:
    """Tell whether two boxes of one picture mark one lesion: the centre of either lies within the other."""
    return _within(one.center, other) or _within(other.center, one)


def _within(point: tuple[float, float], box: Box) -> bool:
    return box.row0 <= point[0] < box.row1 and box.col0 <= point[1] < box.col1


def agreements(models: Sequence[Answerer], images: Sequence[ViewImage]) -> dict[str, Agreement]:
    """Say of each marked finding which models mark the same lesion.

    Parameters
    ----------
    models : those that answered, with the findings they mark at their own thresholds.
    images : of the exam; the low-energy and the recombined image of one exposure have one pixel grid and count as one
        picture.

    Returns
    -------
    By ``AiFinding.key``. Each finding is compared with each other model's by itself, so that nothing is chained.
    """
    grid = picture_of(images)
    made: dict[str, Agreement] = {}
    for own in models:
        for finding in own.marked:
            matched = {
                other.letter: [one for one in other.marked if _one_lesion(finding, one, grid)]
                for other in models
                if other is not own
            }
            same = [one for found in matched.values() for one in found]
            kinds = {one.finding for one in (finding, *same) if one.finding is not None}
            mark = [own.letter, *(letter for letter, found in matched.items() if found)]
            silent = [
                one.letter
                for one in models
                if one.letter not in mark and _looks_for(one, kinds) and _read(one, finding, grid)
            ]
            others = [d.detection_id for one in same for d in one.detections]
            order = [one.letter for one in models]
            made[finding.key] = Agreement(
                mark=tuple(sorted(mark, key=order.index)), silent=tuple(silent), others=tuple(others)
            )
    return made


def _one_lesion(one: AiFinding, other: AiFinding, grid: Mapping[str, str]) -> bool:
    return one.laterality is other.laterality and any(
        grid.get(a.image_key, a.image_key) == grid.get(b.image_key, b.image_key) and same_place(a.box, b.box)
        for a in one.detections
        for b in other.detections
    )


def _looks_for(model: Answerer, kinds: Collection[FindingType]) -> bool:
    """True where the model looks for a type that some model gave the lesion.

    Where none gave it a type, a model of one type only, such as calcifications, is not taken to have looked.
    """
    if not model.finds:
        return True
    return any(one in model.finds for one in kinds) if kinds else len(model.finds) > 1


def _read(model: Answerer, finding: AiFinding, grid: Mapping[str, str]) -> bool:
    """True where the model read a picture of the lesion."""
    result = model.result
    read = {*result.view_scores, *result.nipples, *(heat.image_key for heat in result.heatmaps)}
    read |= {one.image_key for one in result.detections}
    seen = {grid.get(key, key) for key in read if key not in result.unread}
    return any(grid.get(one.image_key, one.image_key) in seen for one in finding.detections)
