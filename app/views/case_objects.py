"""Others' CAD marks, saved displays and key images of the case on screen: shown on demand, one key each.

Holds what is switched on; which marks may lie where is ``app.state.cad``, what a saved display means is
``app.state.presentation``. In a study the case brings no objects and the keys say why nothing shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QCoreApplication, QObject, Signal

from app.control.reading import CaseView
from app.state.cad import CadOverlay, cad_overlay, has_failed, mark_at, operating_points, report_words
from app.state.overlays import OverlayItem, OverlayKind
from app.state.presentation import capture, display_sets, graphics_of, restored
from app.views.image_tools import ImageTools
from app.views.viewport import Viewport
from app.views.viewport_grid import ViewportGrid
from inference.exam.objects.model import PresentationState
from inference.exam.objects.presentation_state import ShownImage
from inference.exam.types import ViewImage

_REACH_PX = 12.0  # how far beside a mark's centre a click still takes it, screen pixels
_CHOSEN = frozenset({OverlayKind.AI_BOX, OverlayKind.CAD})

Items = Mapping[str, tuple[OverlayItem, ...]]


def _tr(text: str) -> str:
    return QCoreApplication.translate("objects", text)


class CaseObjects(QObject):
    """One for a reading screen; ``said`` carries a sentence, ``changed`` asks for the overlays anew."""

    said = Signal(str)
    failed = Signal(str)  # a report that cannot be read, or that tells of a failure
    changed = Signal()

    def __init__(self, grid: ViewportGrid, tools: ImageTools, parent: QObject) -> None:
        super().__init__(parent)
        self._grid, self._tools = grid, tools
        self._case: CaseView | None = None
        self._cad_shown = False
        self._point = 0  # index into the operating points; 0 = required marks only
        self._display = -1  # index of the saved display in force; -1 = none
        self._saved: dict[str, tuple[OverlayItem, ...]] = {}
        self._keys: set[str] = set()
        self._shown: dict[str, tuple[OverlayItem, ...]] = {}
        self.selected: str | None = None

    def set_case(self, case: CaseView | None) -> None:
        """Take another case, or none; nothing of the last one stays."""
        self._case, self._cad_shown, self._point, self._display = case, False, 0, -1
        self._saved, self._shown, self.selected = {}, {}, None
        listed = {uid for keys in case.objects.keys for uid in keys.image_uids} if case is not None else set()
        images = case.exam.images if case is not None else ()
        self._keys = {i.key for i in images if i.reference and i.reference.sop_instance_uid in listed}

    def stage_shown(self) -> None:
        """Another step hangs: its images are not as a saved display had them."""
        self._display, self._saved = -1, {}

    # ------------------------------------------------------------ CAD marks

    def toggle_cad(self) -> None:
        """Show or hide the CAD marks, and say whose they are and how far CAD came (MG-30, MG-32)."""
        case = self._open_case(_tr("CAD reports are not opened in a study."))
        if case is None:
            return
        self._cad_shown = bool(case.objects.cad) and not self._cad_shown
        unread = case.objects.problems  # a report that cannot be read is not the absence of one
        words = (
            list(unread)
            if unread and not case.objects.cad
            else [*report_words(case.objects.cad, case.exam.images), *unread]
        )
        if self._cad_shown:
            overlay = self._overlay()
            words += overlay.notes
            if overlay.hidden:
                words.append(_tr("{0} optional marks hidden (operating point)").format(overlay.hidden))
        say = self.failed if unread or self.cad_failed() else self.said
        say.emit("   ".join(words) if self._cad_shown or not case.objects.cad else _tr("CAD marks off"))
        self.changed.emit()

    def step_operating_point(self) -> None:
        """Show optional marks up to the next CAD Operating Point; after the last, required marks only (MG-29)."""
        case = self._open_case(_tr("CAD reports are not opened in a study."))
        if case is None:
            return
        points = operating_points(case.objects.cad)
        self._point = (self._point + 1) % len(points)
        chosen = points[self._point]
        said = (
            _tr("required marks only") if chosen is None else _tr("optional marks up to {0:g}").format(chosen)
        )
        self.said.emit(_tr("CAD operating point: {0}").format(said))
        self.changed.emit()

    def cad_words(self, key: str) -> str:
        """What of CAD is on screen, for the panel; while the marks are hidden, that a report is at hand and its key."""
        if self._case is None or not self._case.objects.cad:
            return ""
        if not self._cad_shown:
            return _tr("CAD report of another maker: {0}").format(key)
        reports = report_words(self._case.objects.cad, self._case.exam.images)
        return "\n".join((*reports, *self._overlay().notes))

    def cad_failed(self) -> bool:
        """True where CAD failed in part or in whole, or does not say, and that is on screen."""
        case = self._case
        return case is not None and self._cad_shown and has_failed(case.objects.cad, case.exam.images)

    def _overlay(self) -> CadOverlay:
        assert self._case is not None
        reports = self._case.objects.cad
        point = operating_points(reports)[self._point]
        return cad_overlay(reports, self._case.exam.images, operating_point=point, selected=self.selected)

    def merged(self, items: Items) -> dict[str, tuple[OverlayItem, ...]]:
        """Add CAD marks and saved drawings below what is drawn anyhow; remembers all for clicks."""
        cad: Items = self._overlay().items if self._case is not None and self._cad_shown else {}
        keys = {*items, *cad, *self._saved}
        self._shown = {k: (*self._saved.get(k, ()), *cad.get(k, ()), *items.get(k, ())) for k in keys}
        return self._shown

    # ------------------------------------------------------------ choosing a finding

    def choose_at(self, view: Viewport, row: float, col: float) -> bool:
        """Choose the mark, AI or CAD finding under a click; its partners in other views light up with it."""
        if view.image is None:
            return False
        kinds = _CHOSEN | {OverlayKind.MARK}
        here = [item for item in self._shown.get(view.image.key, ()) if item.kind in kinds]
        found = mark_at(here, row, col, _REACH_PX / max(view.state().scale, 1e-6))
        if found is None and self.selected is None:
            return False
        self.selected = None if found == self.selected else found
        self.changed.emit()
        return True

    def finding_at(self, view: Viewport, row: float, col: float) -> str | None:
        """Id of the AI's finding under a stored position; None = none there."""
        if view.image is None:
            return None
        here = [i for i in self._shown.get(view.image.key, ()) if i.kind is OverlayKind.AI_BOX]
        return mark_at(here, row, col, 0.0) if here else None

    def choose_next(self, by: int) -> bool:
        """Choose the next finding on the images on screen; False when there is none."""
        keys = [v.image.key for v in self._grid.viewports() if v.image is not None]
        ids = [i.item_id for key in keys for i in self._shown.get(key, ()) if i.kind in _CHOSEN]
        if not ids:
            return False
        at = ids.index(self.selected) + by if self.selected in ids else (0 if by > 0 else -1)
        self.selected = ids[at % len(ids)]
        self.changed.emit()
        return True

    # ------------------------------------------------------------ key images and saved displays

    def toggle_key(self) -> None:
        """Mark the active image as a key image, or take the mark back."""
        view = self._grid.active()
        if self._open_case(_tr("Key images are not kept in a study.")) is None or view is None:
            return
        if view.image is not None:
            self._keys ^= {view.image.key}
            self.changed.emit()

    def flags(self, image_key: str) -> tuple[str, ...]:
        """Words for the viewport's edge."""
        words = (_tr("KEY IMAGE"),) if image_key in self._keys else ()
        return (*words, _tr("SAVED DISPLAY")) if image_key in self._saved else words

    def key_images(self) -> tuple[ViewImage, ...]:
        """The key images of the case, in its order."""
        return (
            tuple(i for i in self._case.exam.images if i.key in self._keys) if self._case is not None else ()
        )

    def next_display(self) -> None:
        """Show the next saved display of this exam; after the last, none (MG-35)."""
        case = self._open_case(_tr("Saved displays are not opened in a study."))
        if case is None:
            return
        sets = display_sets(case.objects.states)
        if not sets:
            self.said.emit(_tr("No saved display (presentation state) lies beside this exam."))
            return
        self._display = self._display + 1 if self._display + 1 < len(sets) else -1
        self._saved = {}
        if self._display < 0:
            self.said.emit(_tr("Saved display off"))
            self.changed.emit()
            return
        states = sets[self._display]
        notes = [note for view in self._grid.viewports() for note in self._put_back(view, states)]
        where = "" if self._saved else _tr("; none of its images is on screen")
        title = _tr("Saved display {0} of {1}: {2}").format(self._display + 1, len(sets), states[0].label)
        self.said.emit("   ".join((f"{title} {states[0].description}{where}".strip(), *dict.fromkeys(notes))))
        self.changed.emit()

    def _put_back(self, view: Viewport, states: Sequence[PresentationState]) -> tuple[str, ...]:
        """Show one viewport as the first state that knows its image says; returns what could not be done."""
        if view.image is None:
            return ()
        height, width = view.device_size()
        for saved in states:
            back = restored(saved, view.image, height=height, width=width)
            if back is not None:
                view.set_state(back.state)
                self._saved[view.image.key] = back.items
                return back.notes
        return ()

    def displays(self) -> tuple[ShownImage, ...]:
        """How each image on screen is shown, with what was measured on it."""
        shown = []
        for view in self._grid.viewports():
            image = view.image
            if image is None or not view.isVisibleTo(self._grid):
                continue
            measured = self._tools.board.on_image(image.key)
            words = {m.measurement_id: "\r\n".join(self._tools.measures.words(m, image)) for m in measured}
            height, width = view.device_size()
            drawn = graphics_of(measured, words)
            shown.append(capture(image, view.state(), height=height, width=width, graphics=drawn))
        return tuple(shown)

    def _open_case(self, why_not: str) -> CaseView | None:
        """The case, where objects may be shown; in a study a sentence instead."""
        if self._case is not None and self._case.in_study:
            self.said.emit(why_not)
            return None
        return self._case
