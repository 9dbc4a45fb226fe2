"""Watches which tissue is on screen at 1:1 or larger, and steps a viewport through the tiles that show it all.

Reads the viewports every quarter of a second and at every change; the account itself is ``app.state.coverage``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from PySide6.QtCore import QObject, QTimer, Signal

from app.state import nipple_arc
from app.state.coverage import ImageCoverage, Seen, tissue_cells, tissue_tiles, visible_box
from app.state.display import Pyramid, ZoomMode, air_range
from app.views.viewport import Viewport
from app.views.viewport_grid import ViewportGrid
from inference.exam.types import Box, ViewImage

TICK_MS = 250
_LONGEST_MS = 4.0 * TICK_MS  # a computer that slept has shown nothing


class CoverageWatch(QObject):
    """Keeps the account of every image of the case; ``changed`` when a share may have grown."""

    changed = Signal()

    def __init__(
        self, grid: ViewportGrid, parent: QObject, *, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        super().__init__(parent)
        self._grid, self._now = grid, monotonic_ns
        self._images: dict[str, ViewImage] = {}
        self._pyramids: dict[str, Pyramid] = {}
        self._accounts: dict[str, ImageCoverage] = {}
        self._visible: tuple[tuple[str, Box], ...] = ()
        self._since_ns = self._now()
        self._tiles: dict[str, int] = {}  # the tile that each image was stepped to last
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self.tick)

    # ------------------------------------------------------------ the account

    def set_case(self, images: Mapping[str, ViewImage], pyramids: Mapping[str, Pyramid]) -> None:
        """Begin with other images, of which nothing was seen."""
        self._images, self._pyramids = dict(images), dict(pyramids)
        self._accounts, self._tiles, self._visible = {}, {}, ()
        self._since_ns = self._now()
        self._timer.start()

    def add_images(self, images: Mapping[str, ViewImage], pyramids: Mapping[str, Pyramid]) -> None:
        """Take in more images of the same case, such as priors."""
        self._images |= images
        self._pyramids |= pyramids

    def stop(self) -> None:
        """The case left the screen: nothing is seen until the next."""
        self.tick()
        self._visible = ()
        self._timer.stop()

    def account(self, key: str) -> ImageCoverage | None:
        """Return the account of an image of the case, opened when first asked for."""
        image = self._images.get(key)
        if image is None:
            return None
        if key not in self._accounts:
            pyramid = self._pyramids.setdefault(key, Pyramid(image.pixels))
            side, cells = tissue_cells(image, pyramid, air_range(image, pyramid.levels[0]))
            self._accounts[key] = ImageCoverage(side=side, tissue=cells, shape=image.pixels.shape)
        return self._accounts[key]

    def tissue_of(self, key: str) -> Callable[[float, float], bool]:
        """Return what tells whether a stored (row, col) of an image is tissue; everywhere for an unknown image."""
        account = self.account(key)
        return (lambda _row, _col: True) if account is None else account.is_tissue

    def impossible_breast_mm(self, image: ViewImage) -> tuple[float, float] | None:
        """Height and breadth of the breast where the file's pixel spacing cannot be believed; None where it can."""
        account = self.account(image.key)
        return nipple_arc.impossible_breast_mm(image, None if account is None else account.extent())

    def tick(self) -> None:
        """Credit what was visible since the last look, and look again."""
        now = self._now()
        ms, self._since_ns = min((now - self._since_ns) / 1e6, _LONGEST_MS), now
        grown = False
        for key, box in self._visible:
            account = self.account(key)
            if account is not None:
                account.shown(box, ms)
                grown = True
        self._visible = tuple(
            (view.image.key, box)
            for view in self._grid.viewports()
            if view.image is not None and view.isVisible() and not self._grid.window().isMinimized()
            for box in _seen_boxes(view)
        )
        if grown:
            self.changed.emit()

    def seen(self, key: str) -> Seen:
        """Return what was seen of one image so far; opens no account."""
        account = self._accounts.get(key)
        return Seen(share=0.0, dwell_ms=0) if account is None else account.seen()

    def all_seen(self) -> dict[str, Seen]:
        """Return the account of every image of the case, by key."""
        self.tick()
        return {key: self.seen(key) for key in self._images}

    # ------------------------------------------------------------ quadrants

    def step(self, view: Viewport, by: int) -> tuple[int, int] | None:
        """Show the next (+1) or previous (-1) tile at 1:1.

        Returns
        -------
        Number of the tile, from 1, and how many there are; None beyond the last (or first), where nothing changes.
        """
        image, screen = view.image, view.screen_map()
        account = None if image is None else self.account(image.key)
        if image is None or account is None or screen is None:
            return None
        height, width = view.device_size()
        tiles = tissue_tiles(image, account, height=height, width=width, geometry=screen.geometry)
        at = self._tiles.get(image.key)
        state = view.state()
        if at is not None and (
            at >= len(tiles) or not _is_at(state.scale, state.pan_row, state.pan_col, tiles[at])
        ):
            at = None  # panned or zoomed away since: begin anew
        following = (0 if by > 0 else len(tiles) - 1) if at is None else at + by
        if not 0 <= following < len(tiles):
            self._tiles.pop(image.key, None)
            return None
        self._tiles[image.key] = following
        row, col = tiles[following]
        self.tick()
        view.set_state(replace(state, scale=1.0, zoom_mode=ZoomMode.ACTUAL, pan_row=row, pan_col=col))
        self.tick()
        return following + 1, len(tiles)


def _seen_boxes(view: Viewport) -> tuple[Box, ...]:
    """The stored pixels that are on screen at 1:1 or larger, in the view and in its glass."""
    screen, whole = view.screen_map(), None
    if screen is not None and view.state().scale >= 1.0:
        whole = visible_box(
            screen.geometry,
            top=screen.top,
            left=screen.left,
            scale=screen.scale,
            height=view.height(),
            width=view.width(),
        )
    return tuple(box for box in (whole, view.glass_box()) if box is not None)


def _is_at(scale: float, row: float, col: float, tile: tuple[float, float]) -> bool:
    return scale == 1.0 and abs(row - tile[0]) < 1.0 and abs(col - tile[1]) < 1.0
