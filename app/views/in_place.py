"""Swaps the image of a viewport for another of the same place: the other energy, the prior, the next duplicate.

Decides which image follows; the grid shows it with the place locked and the image's own window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication

from app.state.hanging import Cell, partner_of
from app.state.priors import prior_number
from inference.exam.types import ViewImage

if TYPE_CHECKING:
    from app.views.viewport import Viewport
    from app.views.viewport_grid import ViewportGrid


def _tr(text: str) -> str:
    return QCoreApplication.translate("in_place", text)


def toggle_energy(grid: ViewportGrid) -> bool:
    """Swap low energy and recombined in every viewport that has both (CEM-03, CEM-05).

    Returns
    -------
    False when no viewport shows an image that has a partner.
    """
    images = tuple(grid.images().values())
    swapped = False
    for view in grid.viewports():
        partner = partner_of(view.image, images) if view.image is not None else None
        if partner is not None:
            grid.show_in_place(view, partner)
            swapped = True
    return swapped


def toggle_prior(grid: ViewportGrid) -> bool:
    """Swap current and prior in every viewport that has both; with two priors, go round the three (MG-41).

    Where a stage hangs both side by side, only the active viewport is swapped: swapping both would show the same
    pair with its sides changed.

    Returns
    -------
    False when no viewport has an image of the other time.
    """
    views = [view for view in grid.viewports() if view.image is not None]
    times = {_hung_prior(grid, view) for view in views}
    if len(times) > 1:
        active = grid.active()
        views = [active] if active is not None else []
    swapped = False
    for view in views:
        other = _other_time(grid, view)
        if other is not None:
            grid.show_in_place(view, other)
            swapped = True
    return swapped


def _hung_prior(grid: ViewportGrid, view: Viewport) -> int:
    cell = grid.cell_of(view)
    image = grid.images().get(cell.image_key) if cell is not None and cell.image_key is not None else None
    return prior_number(image) if image is not None else 0


def _other_time(grid: ViewportGrid, view: Viewport) -> ViewImage | None:
    cell, image = grid.cell_of(view), view.image
    if cell is None or cell.prior is None or image is None:
        return None
    times = [key for key in (cell.image_key, cell.prior, *_older(grid, cell)) if key is not None]
    if image.key not in times:
        return grid.images().get(cell.image_key) if cell.image_key is not None else None
    return grid.images().get(times[(times.index(image.key) + 1) % len(times)])


def _older(grid: ViewportGrid, cell: Cell) -> list[str]:
    """Keys of the same view in priors older than the two that the step itself pairs, newest first."""
    images = grid.images()
    paired = [images[key] for key in (cell.image_key, cell.prior) if key is not None and key in images]
    last = max((prior_number(image) for image in paired), default=0)
    same = [
        other
        for other in images.values()
        if prior_number(other) > last
        and paired
        and other.view == paired[0].view
        and other.kind.is_contrast == paired[0].kind.is_contrast
    ]
    return [other.key for other in sorted(same, key=prior_number)]


def next_of_stack(grid: ViewportGrid) -> bool:
    """Show the next image of the active place: duplicates and partial views lie on one another (MG-36, MG-39)."""
    view = grid.active()
    cell = grid.cell_of(view) if view is not None else None
    if view is None or view.image is None or cell is None or view.image.key not in cell.stack:
        return False
    following = cell.stack[(cell.stack.index(view.image.key) + 1) % len(cell.stack)]
    image = grid.images().get(following)
    if image is None:
        return False
    grid.show_in_place(view, image)
    return True


def show_key(grid: ViewportGrid, key: str) -> bool:
    """Bring an image of the step to the top of its place, make that viewport active; False where it has none."""
    wanted = grid.images().get(key)
    for view in grid.viewports():
        cell = grid.cell_of(view)
        if wanted is None or view.image is None or cell is None:
            continue
        if key in {cell.image_key, cell.partner, *cell.stack}:
            if view.image.key != key:
                grid.show_in_place(view, wanted)
            grid.set_active(view)
            return True
    return False


def badge(cell: Cell | None, image: ViewImage) -> tuple[str, ...]:
    """The flag that tells how many images lie in this place and which one is seen; () for one alone."""
    if cell is None or image.key not in cell.stack:
        return ()
    number, count = cell.stack.index(image.key) + 1, len(cell.stack)
    if image.flags.partial:
        return (_tr("PART {0}/{1}").format(number, count),)
    age = _tr("newest") if number == 1 else _tr("older")
    return (_tr("{0}/{1} {2}").format(number, count, age),)
