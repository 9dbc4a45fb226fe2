"""Shows local contrast enhanced instead of the original, and says so over every picture that it changed.

Computes off the UI thread where a runner is given, only what is on screen, and keeps it until the case or the option
goes. The arithmetic is ``app.state.enhance``.
"""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QObject, Signal

from app.control.tasks import TaskRunner
from app.state.display import Pyramid, air_range
from app.state.enhance import enhanced_pyramid
from app.views.view_layers import BadgeLayer
from app.views.viewport_grid import ViewportGrid
from inference.exam.types import ViewImage


class Chosen:
    """Looks an image's enhanced pixels up, so that a viewport need not know who made them."""

    def __init__(self) -> None:
        self.pyramids: dict[str, Pyramid] = {}

    def __call__(self, image: ViewImage) -> Pyramid | None:
        return self.pyramids.get(image.key)


class Enhancement(QObject):
    """The option and what was computed for it; off at the start of every case."""

    said = Signal(str)
    failed = Signal(str)

    def __init__(self, grid: ViewportGrid, parent: QObject) -> None:
        super().__init__(parent)
        self._grid = grid
        self.runner: TaskRunner | None = None  # None = computed at once
        self.on = False
        self.badge, self.chosen = BadgeLayer(), Chosen()
        self._images: dict[str, ViewImage] = {}
        self._originals: dict[str, Pyramid] = {}

    def set_case(self, images: Mapping[str, ViewImage], pyramids: Mapping[str, Pyramid]) -> None:
        """Begin with other images, as they are."""
        self.on = False
        self._images, self._originals = dict(images), dict(pyramids)
        self.chosen.pyramids.clear()
        self.badge.keys.clear()

    def add_images(self, images: Mapping[str, ViewImage], pyramids: Mapping[str, Pyramid]) -> None:
        """Take in more images of the same case."""
        self._images |= images
        self._originals |= pyramids

    def toggle(self) -> None:
        """Switch between enhanced and original."""
        self.on = not self.on
        if not self.on:
            self.chosen.pyramids.clear()
            self._show()
        self.refresh()

    def refresh(self) -> None:
        """Compute what is on screen and lacking, then show it."""
        if not self.on:
            return
        for view in self._grid.viewports():
            image = view.image
            if image is not None and view.isVisible() and image.key not in self.chosen.pyramids:
                self._begin(image)
        self._show()

    def _begin(self, image: ViewImage) -> None:
        original = self._originals.setdefault(image.key, Pyramid(image.pixels))

        def work(_context: object) -> Pyramid:
            return enhanced_pyramid(original, air_range(image, original.levels[0]))

        def done(pyramid: Pyramid) -> None:
            if self.on and self._images.get(image.key) is image:
                self.chosen.pyramids[image.key] = pyramid
                self._show()

        if self.runner is None:
            done(work(None))
        else:
            self.runner.submit(f"enhance {image.key}", work, done, lambda error: self.failed.emit(str(error)))

    def _show(self) -> None:
        self.badge.keys = set(self.chosen.pyramids)
        for view in self._grid.viewports():
            image = view.image
            if image is None:
                continue
            pyramid = self.chosen(image) or self._originals.get(image.key)
            if pyramid is not None and pyramid is not view.item.pyramid:
                view.item.set_pyramid(pyramid)
                view.refresh()
