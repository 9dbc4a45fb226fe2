"""Takes every viewport that shows a finding to it, and back again to how it stood before."""

from __future__ import annotations

from dataclasses import replace

from app.state.ai_findings import AiFinding
from app.state.display import ViewportState, ZoomMode
from app.state.geometry import ViewGeometry
from app.views.viewport import Viewport
from app.views.viewport_grid import ViewportGrid
from inference.exam.types import Box

FILLS = 0.3  # share of the viewport that a finding takes, unless that would enlarge its pixels


class FindingJump:
    """Remembers how viewports stood before the first jump since they were hung."""

    def __init__(self, grid: ViewportGrid) -> None:
        self._grid = grid
        self._before: dict[str, ViewportState] = {}

    def forget(self) -> None:
        """Other images hang, or the same anew."""
        self._before = {}

    def go_to(self, finding: AiFinding) -> bool:
        """Pan and zoom to a finding in every viewport that has it; False when none has."""
        boxes = {one.image_key: one.box for one in reversed(finding.detections)}
        done = False
        for view in self._shown():
            assert view.image is not None
            box, geometry = boxes.get(view.image.key), view.item.geometry
            if box is None or geometry is None:
                self._back(view)  # what does not show it stands as it stood
                continue
            before = self._before.setdefault(view.image.key, view.state())
            view.set_state(_at(view, box, geometry, least=before.scale))
            view.changed_by_user.emit(view.state())
            if not done:
                self._grid.set_active(view)
            done = True
        return done

    def back(self) -> bool:
        """Put every viewport back; False when nothing was moved."""
        moved = [view for view in self._shown() if self._back(view)]
        self.forget()
        return bool(moved)

    def _shown(self) -> list[Viewport]:
        return [v for v in self._grid.viewports() if v.image is not None and v.isVisibleTo(self._grid)]

    def _back(self, view: Viewport) -> bool:
        state = self._before.pop(view.image.key, None) if view.image is not None else None
        if state is None:
            return False
        now = view.state()  # greys are the reader's, whatever was jumped to
        greys = {
            "voi_index": now.voi_index,
            "inverted": now.inverted,
            "center": now.center,
            "width": now.width,
        }
        view.set_state(replace(state, **greys))  # type: ignore[arg-type]
        view.changed_by_user.emit(view.state())
        return True


def _at(view: Viewport, box: Box, geometry: ViewGeometry, *, least: float) -> ViewportState:
    hung = geometry.box_to_hung(box)
    height, width = view.device_size()
    wanted = FILLS * min(height / (hung.row1 - hung.row0), width / (hung.col1 - hung.col0))
    scale = max(min(wanted, 1.0), least)
    rows, cols = geometry.hung_size
    row = _inside(hung.center[0], rows, height / scale)
    col = _inside(hung.center[1], cols, width / scale)
    mode = ZoomMode.ACTUAL if scale == 1.0 else ZoomMode.FREE
    return replace(view.state(), scale=scale, zoom_mode=mode, pan_row=row, pan_col=col)


def _inside(center: float, size: int, window: float) -> float:
    """Middle of a window on the picture that shows ``center`` and no more of what lies beyond the picture than it must."""
    if window >= size:
        return center
    return min(max(center, window / 2), size - window / 2)
