"""What one asks of the image in the active viewport: all its tags, and which kind it is by the reader's own word.

Both exist outside of studies only: in a study the reading is blinded and the cases are frozen.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QCoreApplication, QPoint
from PySide6.QtWidgets import QDialog, QMenu

from app.control.browsing import BrowseController
from app.views.kind_menu import kind_menu
from app.views.reading_view import ReadingView
from app.views.tag_panel import TagPanel
from inference.exam.header import TagRow
from inference.exam.types import ViewImage


def _tr(text: str) -> str:
    return QCoreApplication.translate("image_facts", text)


class ImageFacts:
    """Answers the two commands; says in one sentence where they do not exist."""

    def __init__(
        self,
        reading: ReadingView,
        browser: Callable[[], BrowseController | None],
        show: Callable[[QDialog], None],
    ) -> None:
        self._reading, self._browser, self._show = reading, browser, show
        self.menu: QMenu | None = None

    def show_tags(self) -> None:
        """Open the image information panel (all tags, searchable)."""
        image = self._image(
            _tr(
                "Image information is not available: the reading is blinded, and tags name woman, place and day."
            )
        )
        browser = self._browser()
        if image is not None and browser is not None:
            browser.tags(image, partial(self._open_panel, image))

    def _open_panel(self, image: ViewImage, rows: tuple[TagRow, ...]) -> None:
        view = self._reading.grid.active()
        if self._reading.is_blinded or view is None or view.image is not image:
            return  # the answer came when something else was on screen: another exam, a study, nothing
        self._show(TagPanel(f"{image.view.label}   {image.path}", rows, self._reading))

    def choose_kind(self) -> None:
        """Offer the kinds for the active image in a menu over its viewport (CEM-01)."""
        image = self._image(_tr("The kind of an image cannot be changed in a study: its cases are frozen."))
        browser, view = self._browser(), self._reading.grid.active()
        if image is None or browser is None or view is None:
            return
        self.menu = kind_menu(image, partial(browser.set_kind, image), self._reading)
        self.menu.popup(view.mapToGlobal(QPoint(view.width() // 3, view.height() // 3)))

    def _image(self, refusal: str) -> ViewImage | None:
        """The active image; None with ``refusal`` said in a study."""
        if self._reading.is_blinded:
            self._reading.show_message(refusal)
            return None
        view = self._reading.grid.active()
        return view.image if view is not None else None
