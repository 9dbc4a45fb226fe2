"""What a case's hanging adds to the reading screen: the thumbnail strip, the quiet line of missing views, priors
that come later, and the answer to "why am I here?".

Decides nothing about places (``app.state.hanging``); the reading view owns case and step.
"""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QCoreApplication, QSize, Qt
from PySide6.QtWidgets import QDialog, QLabel, QWidget

from app.control.reading import CaseView
from app.state.completeness import missing_views, missing_words
from app.state.display import Pyramid, ZoomMode
from app.state.hanging import Cell, Match, Stage
from app.state.hanging_fill import name_of
from app.state.priors import all_images, gap_words
from app.state.thumbnails import Thumbnail, thumbnails_of, unread
from app.views.thumbnails import ThumbnailStrip
from app.views.viewport_grid import ViewportGrid
from app.views.why_panel import why_dialog
from inference.exam.types import ViewImage

STRIP_CARD = QSize(76, 72)


def _tr(text: str) -> str:
    return QCoreApplication.translate("case_hanging", text)


def stage_keys(stage: Stage) -> set[str]:
    """Keys of all images that a step shows or can show in place."""
    keys = {key for cell in stage.cells for key in (cell.image_key, cell.partner, *cell.stack)}
    return {key for key in keys if key is not None}


def same_places(one: Stage, other: Stage) -> bool:
    """True when two steps differ in nothing that is on screen, as when priors only came to be known."""
    bare = [
        replace(stage, title="", words="", cells=tuple(_bare(cell) for cell in stage.cells))
        for stage in (one, other)
    ]
    return bare[0] == bare[1]


def _bare(cell: Cell) -> Cell:
    return replace(cell, why="", label="", partner=None, prior=None, stack=(), considered=())


def stage_of_image(hanging: Match, key: str) -> int | None:
    """The step that shows an image best: alone, else the smallest step; None where no step has it."""
    fitting = [(len(stage.cells), k) for k, stage in enumerate(hanging.stages) if key in stage_keys(stage)]
    return min(fitting)[1] if fitting else None


class CaseHanging:
    """Belongs to one reading view; the strip is made small and filled when it is first unfolded."""

    def __init__(self, grid: ViewportGrid, parent: QWidget) -> None:
        self._grid = grid
        self._case: CaseView | None = None
        self._filled: CaseView | None = None
        self.strip = ThumbnailStrip(parent, card=STRIP_CARD)
        self.strip.hide()
        self.missing = QLabel("", parent)
        self.missing.setProperty("role", "secondary")
        self.missing.setMinimumWidth(1)

    def set_case(self, case: CaseView | None) -> None:
        """Take in a case, or nothing between cases."""
        self._case = case
        words = "" if case is None else missing_words(missing_views(case.exam))
        self.missing.setText(words)
        self.missing.setToolTip(words)
        if case is None:
            self._filled = None
            self.strip.clear()
        elif not self.strip.isHidden():
            self._fill(case)

    def hang(self, case: CaseView, stage: Stage) -> None:
        """Hang a step, priors at hand."""
        self._grid.set_stage(stage, all_images(case.exam, case.priors), case.pyramids)

    def take_in(self, case: CaseView, index: int, old: Match) -> tuple[int, bool]:
        """Take in priors or another protocol.

        Returns
        -------
        The step to be on: the one of the same title where there is one; and True when it must be hung anew.
        """
        self._grid.add_images(all_images(case.exam, case.priors), case.pyramids)
        self.set_case(case)
        before = old.stages[index]
        titles = [stage.title for stage in case.hanging.stages]
        if before.title not in titles:
            return 0, True
        found = titles.index(before.title)
        if same_places(before, case.hanging.stages[found]):
            self._grid.renew_stage(case.hanging.stages[found])
            return found, False
        return found, True

    # ---- strip

    def toggle_strip(self) -> None:
        """Unfold or fold the thumbnails of all images of the case."""
        self.strip.setVisible(self.strip.isHidden())
        if not self.strip.isHidden() and self._case is not None:
            self._fill(self._case)
            self.mark_active()
            self.strip.setFocus(Qt.FocusReason.OtherFocusReason)  # arrows choose, Enter shows
        else:
            self._grid.setFocus(Qt.FocusReason.OtherFocusReason)

    def mark_active(self) -> None:
        """Mark the image of the active viewport in the strip."""
        view = self._grid.active()
        if not self.strip.isHidden() and view is not None and view.image is not None:
            self.strip.select_key(view.image.key)

    def _fill(self, case: CaseView) -> None:
        if self._filled is case:
            return
        self._filled = case
        hung = {key for stage in case.hanging.stages for key in stage_keys(stage)}
        found: list[Thumbnail] = []
        for number, exam in enumerate((case.exam, *case.priors)):
            pyramids = {
                image.key: case.pyramids.get(image.key) or Pyramid(image.pixels) for image in exam.images
            }
            made = thumbnails_of(exam, pyramids, hung if number == 0 else None, blinded=case.is_blinded)
            if number:
                gap = gap_words(case.exam.study_date, exam.study_date)
                made = tuple(
                    replace(one, label=_tr("{0} prior").format(one.label), detail=gap) for one in made
                )
            found += made
        self.strip.set_thumbnails((*found, *unread(case.listed)))

    def words_of(self, key: str) -> str:
        """The sentence of a file that is listed and not read."""
        listed = self._case.listed if self._case is not None else ()
        return next((one.detail for one in unread(listed) if one.key == key), "")

    def stage_alone(self, image: ViewImage) -> Stage:
        """A step for an image that no step hangs, made because the user asked for it by its thumbnail."""
        why = _tr("asked for by its thumbnail; no step of the protocol hangs it")
        cell = Cell(row=0, col=0, image_key=image.key, why=why, label=image.view.label)
        title, words = f"{name_of(image)}, listed", _tr("{0}, listed").format(name_of(image))
        return Stage(title=title, words=words, rows=1, cols=1, cells=(cell,), zoom=ZoomMode.FIT)

    # ---- why

    def why(self, stage: Stage, parent: QWidget) -> QDialog | None:
        """The window that explains the active viewport; None with nothing on screen."""
        view = self._grid.active() or next(iter(self._grid.viewports()), None)
        cell = self._grid.cell_of(view) if view is not None else None
        if self._case is None or view is None or cell is None:
            return None
        return why_dialog(self._case.hanging, stage, cell, view.image, parent)
