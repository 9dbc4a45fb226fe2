"""The command "Picture of the view": asks, paints and hands over to be written; refuses in a study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QDialog, QFileDialog

from app.control.picture_export import PictureWriter, refusal
from app.views.export_dialog import ExportDialog
from app.views.reading_view import ReadingView
from app.views.view_export import PictureContent, stage_picture, view_picture
from app.views.viewport import Viewport


class PictureExport:
    """Makes pictures of what the reading screen shows."""

    def __init__(self, reading: ReadingView, writer: PictureWriter, show: Callable[[QDialog], None]) -> None:
        self._reading, self._writer, self._show = reading, writer, show

    def ask(self) -> None:
        """Open the small window; a sentence where no picture may be made."""
        if self._refused(self._views(whole_step=False)):
            return
        over = [view.over for view in self._views(whole_step=True)]
        shown = any(one.heat is not None or one.words.score or one.has_ai for one in over)
        dialog = ExportDialog(self._reading, ai_on_screen=shown)
        dialog.accepted.connect(lambda: self._choose(dialog.content(), whole_step=dialog.whole_step()))
        self._show(dialog)

    def _choose(self, content: PictureContent, *, whole_step: bool) -> None:
        title = QCoreApplication.translate("main", "Folder to save to")
        folder = QFileDialog.getExistingDirectory(self._reading, title)
        if folder:
            self.save(content, Path(folder), whole_step=whole_step)

    def save(self, content: PictureContent, folder: Path, *, whole_step: bool) -> None:
        """Write the picture of the active view or of the whole step to ``folder``."""
        views = self._views(whole_step=whole_step)
        if self._refused(views):
            return
        board = self._reading.image_tools.board
        chosen = board.selection
        board.select(None)  # the handles of what is being edited are no part of the picture
        if whole_step:
            picture = stage_picture(self._reading.grid, content)
        else:
            picture = view_picture(views[0], content)
        board.select(chosen)
        images = [view.image for view in views if view.image is not None]
        self._writer.write(images, lambda path: bool(picture.save(str(path))), folder)

    def _refused(self, views: list[Viewport]) -> bool:
        images = [view.image for view in views if view.image is not None]
        sentence = refusal(images, in_study=self._reading.is_blinded)
        if sentence:
            self._reading.show_message(sentence)
        return bool(sentence)

    def _views(self, *, whole_step: bool) -> list[Viewport]:
        if not self._reading.has_images:
            return []
        grid, active = self._reading.grid, self._reading.grid.active()
        if whole_step:
            return [view for view in grid.viewports() if view.image is not None and view.isVisibleTo(grid)]
        return [active] if active is not None and active.image is not None else []
