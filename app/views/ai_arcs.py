"""The nipple-distance arcs of the AI's lit findings: where a lesion seen in one view may lie in another.

The reader's own nipple mark counts before the AI's. The geometry is ``app.state.nipple_arc``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QPainter

from app.state.ai_findings import AiFinding
from app.state.hanging_fill import partner_of
from app.state.measurements import Point
from app.state.nipple_arc import arc, arc_targets, nipple_distance_mm
from app.views import theme
from app.views.coverage_watch import CoverageWatch
from app.views.painting import ScreenMap
from app.views.view_layers import Arc, paint_arc
from app.views.viewport import Viewport
from inference.exam.types import ViewImage
from inference.results import ExamResult

NippleOf = Callable[[str], Point | None]


def _tr(words: str) -> str:
    return QCoreApplication.translate("tools", words)


class AiArcLayer:
    """Paints the arcs that it was told, by image key; none while no finding is lit."""

    def __init__(self) -> None:
        self.arcs: dict[str, tuple[Arc, ...]] = {}

    def token(self, image: ViewImage) -> tuple[Arc, ...]:
        """The arcs of the image."""
        return self.arcs.get(image.key, ())

    def paint(self, painter: QPainter, view: Viewport, screen: ScreenMap, image: ViewImage) -> None:
        arcs = self.arcs.get(image.key, ())
        if not arcs:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setFont(theme.font(theme.SMALL_PX, scale=view.text_scale))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for one in arcs:
            paint_arc(painter, one, screen, view)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)


class Nipples:
    """Where the nipple of an image is: as the reader marked it, on it or on its contrast partner, else as the AI says."""

    def __init__(self, marked: NippleOf, result: ExamResult, images: Mapping[str, ViewImage]) -> None:
        self._marked, self._result, self._images = marked, result, images

    def of(self, image: ViewImage) -> tuple[Point, bool] | None:
        """Return stored (row, col) and whether the reader marked it; None where nobody says."""
        partner = partner_of(image, tuple(self._images.values()))
        keys = [image.key, *([] if partner is None else [partner.key])]
        own = next((at for at in map(self._marked, keys) if at is not None), None)
        if own is not None:
            return own, True
        found = next((self._result.nipples[key] for key in keys if key in self._result.nipples), None)
        return None if found is None else (found, False)


def finding_arcs(
    findings: Iterable[tuple[AiFinding, bool]],
    on_screen: Sequence[ViewImage],
    nipples: Nipples,
    images: Mapping[str, ViewImage],
    coverage: CoverageWatch,
) -> dict[str, tuple[Arc, ...]]:
    """Return the arcs of lit findings by image key.

    Parameters
    ----------
    findings : each with True = chosen (drawn in the other views whether or not the lesion was matched there), False =
        only under the pointer (drawn where it was not matched).
    on_screen : images that may carry an arc; one whose pixel spacing cannot be believed carries none and starts none.
    """
    arcs: dict[str, list[Arc]] = {}
    for finding, is_chosen in findings:
        own = {one.image_key for one in finding.detections}
        source = images.get(finding.detections[0].image_key)
        distance = None if source is None else _distance(finding, source, nipples)
        if source is None or distance is None or coverage.impossible_breast_mm(source) is not None:
            continue
        mm, by_reader = distance
        for target in arc_targets(source, on_screen):
            at = nipples.of(target)
            if (
                at is None
                or coverage.impossible_breast_mm(target) is not None
                or (target.key in own and not is_chosen)
            ):
                continue
            words = (
                _tr("{0:.0f} mm from nipple") if by_reader and at[1] else _tr("{0:.0f} mm from nipple (AI)")
            )
            lines = arc(target, at[0], mm, coverage.tissue_of(target.key))
            colour = theme.finding_colour(finding.finding, ai=True).name()
            arcs.setdefault(target.key, []).append(
                Arc(lines=lines, words=f"{finding.tag}: {words.format(mm)}", colour=colour)
            )
    return {key: tuple(found) for key, found in arcs.items()}


def _distance(finding: AiFinding, source: ViewImage, nipples: Nipples) -> tuple[float, bool] | None:
    """Distance of the surest detection from the nipple, mm, and whether the reader marked that nipple."""
    found, one = nipples.of(source), finding.detections[0]
    if (found is None or not found[1]) and one.nipple_distance_mm is not None:
        return one.nipple_distance_mm, False
    if found is None:
        return None
    mm = nipple_distance_mm(source, found[0], one.box.center)
    return None if mm is None else (mm, found[1])
