"""From a viewport to a presentation state and back (MG-35): window, polarity, turn, part shown, drawings, shutters.

Arithmetic only. The file format is ``inference.exam.objects.presentation_state``; the viewport's own state is
``app.state.display``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.state.display import SCALE_RANGE, ViewportState, ZoomMode, window_of
from app.state.geometry import ViewGeometry, geometry_of
from app.state.measurements import Measurement, MeasurementKind
from app.state.overlays import OverlayItem, OverlayKind
from app.state.sizing import fitted
from inference.exam.objects.model import (
    DisplayedArea,
    Graphic,
    ImageState,
    Point,
    PresentationState,
    Shutter,
    Turn,
)
from inference.exam.objects.presentation_state import ShownImage
from inference.exam.types import Box, Exam, Orientation, ViewImage, Voi
from resources.translation import translate

_SIDES = 48  # of the polygon that stands for a circular shutter


def _tr(text: str) -> str:
    return translate("presentation", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a saved presentation makes of one image."""

    image: ViewImage  # with the saved window as its last VOI
    state: ViewportState
    items: tuple[OverlayItem, ...] = ()
    notes: tuple[str, ...] = ()


def turn_of(orientation: Orientation) -> Turn:
    """Say an orientation as DICOM does: rotation clockwise, then horizontal flip (PS3.3 C.10.6)."""
    if not orientation.transpose:
        degrees = 180 if orientation.flip_rows else 0
        return Turn(degrees=degrees, flip=orientation.flip_cols != orientation.flip_rows)
    degrees = 270 if orientation.flip_rows else 90
    return Turn(degrees=degrees, flip=orientation.flip_cols == orientation.flip_rows)


def orientation_of(turn: Turn) -> Orientation:
    """Return the orientation of a rotation and flip; ValueError for other angles than 0, 90, 180, 270."""
    turns = {
        0: (False, False, False),
        90: (True, False, True),
        180: (False, True, True),
        270: (True, True, False),
    }
    if turn.degrees not in turns:
        raise ValueError(f"image rotation: expected 0, 90, 180 or 270 degrees, found {turn.degrees}")
    transpose, rows, cols = turns[turn.degrees]
    return Orientation(transpose=transpose, flip_rows=rows, flip_cols=cols != turn.flip)


def capture(
    image: ViewImage, state: ViewportState, *, height: int, width: int, graphics: tuple[Graphic, ...] = ()
) -> ShownImage:
    """Describe what a viewport shows, to be saved.

    Parameters
    ----------
    height, width : size of the viewport, screen pixels
    graphics : what is drawn over the image (:func:`graphics_of`)
    """
    geometry = geometry_of(image).flipped(horizontally=state.flipped_h, vertically=state.flipped_v)
    rows, cols = geometry.hung_size
    top, bottom, left, right = 0, rows - 1, 0, cols - 1
    if state.zoom_mode is not ZoomMode.FIT:
        # What shows of the air beside the picture belongs to the area too (PS3.3 C.10.4): the chest wall stays at
        # its edge of the viewport.
        half_h, half_w = height / 2 / state.scale, width / 2 / state.scale
        top, bottom = _pixels(state.pan_row - half_h, state.pan_row + half_h)
        left, right = _pixels(state.pan_col - half_w, state.pan_col + half_w)
    corners = tuple(_stored_pixel(geometry, row, col) for row, col in ((top, left), (bottom, right)))
    center, window = window_of(image.presentation, state)
    voi = image.presentation.vois[min(state.voi_index, len(image.presentation.vois) - 1)]
    if voi.table is None:
        voi = replace(voi, center=center, width=window)
    whole = state.zoom_mode in {ZoomMode.FIT, ZoomMode.SAME}
    return ShownImage(
        image=image,
        voi=voi,
        inverse=image.presentation.inverse != state.inverted,
        turn=turn_of(geometry.orientation),
        corners=(corners[0], corners[1]),
        magnification=None if whole else state.scale,
        graphics=graphics,
    )


def _pixels(first: float, last: float) -> tuple[int, int]:
    """First and last pixel of a stretch, both inside it."""
    low = math.floor(first + 1e-6)
    return low, max(math.ceil(last - 1e-6) - 1, low)


def _stored_pixel(geometry: ViewGeometry, row: int, col: int) -> tuple[int, int]:
    stored_row, stored_col = geometry.hung_to_stored(row + 0.5, col + 0.5)
    return math.floor(stored_row), math.floor(stored_col)


def restored(saved: PresentationState, image: ViewImage, *, height: int, width: int) -> Restored | None:
    """Show an image as a presentation state says.

    Parameters
    ----------
    height, width : size of the viewport, screen pixels

    Returns
    -------
    None where the state says nothing of this image; otherwise what can be shown, and sentences for what cannot.
    """
    uid = image.reference.sop_instance_uid if image.reference is not None else ""
    part = next((found for found in saved.images if found.image_uid == uid and uid), None)
    if part is None:
        return None
    notes = [f"{saved.label}: {problem}" for problem in saved.problems]
    state = ViewportState(image_key=image.key, inverted=saved.inverse != image.presentation.inverse)
    wanted = orientation_of(saved.turn) if saved.turn.degrees % 90 == 0 else None
    if wanted is None or wanted.transpose != image.orientation.transpose:
        sentence = _tr("{0}: its turn of {1} degrees lays the breast on its side; not applied.")
        notes.append(sentence.format(saved.label, saved.turn.degrees))
    else:
        state = replace(
            state,
            flipped_h=wanted.flip_cols != image.orientation.flip_cols,
            flipped_v=wanted.flip_rows != image.orientation.flip_rows,
        )
    named = saved_window(saved, part)
    if named is not None:
        image = _with_windows(image, [named])
        state = replace(state, voi_index=image.presentation.vois.index(named))
    state = _placed(state, part.area, image, height=height, width=width)
    if part.area is not None and part.area.mode == "TRUE SIZE":
        sentence = _tr("{0}: it asks for true size; the part shown is kept, the size is not.")
        notes.append(sentence.format(saved.label))
    return Restored(image=image, state=state, items=items_of(saved, part, image), notes=tuple(notes))


def display_sets(states: Sequence[PresentationState]) -> tuple[tuple[PresentationState, ...], ...]:
    """Put states together that were saved at one time under one label: one display, an image each."""
    sets: dict[tuple[str, str], list[PresentationState]] = {}
    for saved in states:
        sets.setdefault((saved.created, saved.label) if saved.created else (saved.uid, ""), []).append(saved)
    return tuple(tuple(members) for members in sets.values())


def saved_window(saved: PresentationState, part: ImageState) -> Voi | None:
    """The window of a presentation state, labelled as saved; None where it has none."""
    if part.voi is None:
        return None
    return replace(part.voi, label=f"saved {saved.label}: {part.voi.label}".rstrip(": "))


def with_saved_windows(exam: Exam, states: Sequence[PresentationState]) -> Exam:
    """Give each image the windows of its presentation states behind its own, so that they can be chosen (MG-17)."""
    if not states:
        return exam
    parts = {(part.image_uid, n): part for n, saved in enumerate(states) for part in saved.images}

    def windows(image: ViewImage) -> list[Voi]:
        uid = image.reference.sop_instance_uid if image.reference is not None else ""
        found = (saved_window(s, parts[uid, n]) for n, s in enumerate(states) if (uid, n) in parts)
        return [voi for voi in found if voi is not None]

    return replace(exam, images=tuple(_with_windows(image, windows(image)) for image in exam.images))


def _with_windows(image: ViewImage, added: Sequence[Voi]) -> ViewImage:
    vois = image.presentation.vois
    new = tuple(voi for voi in dict.fromkeys(added) if voi not in vois)
    return replace(image, presentation=replace(image.presentation, vois=(*vois, *new))) if new else image


def _placed(
    state: ViewportState, area: DisplayedArea | None, image: ViewImage, *, height: int, width: int
) -> ViewportState:
    rows, cols = image.pixels.shape
    if area is None:
        return fitted(state, image, height=height, width=width)
    geometry = geometry_of(image).flipped(horizontally=state.flipped_h, vertically=state.flipped_v)
    box = Box(row0=area.row0, col0=area.col0, row1=area.row1, col1=area.col1)
    if area.mode != "MAGNIFY" and (box.row0, box.col0, box.row1, box.col1) == (0, 0, rows, cols):
        return fitted(state, image, height=height, width=width)
    hung = geometry.box_to_hung(box)
    scale = min(height / (hung.row1 - hung.row0), width / (hung.col1 - hung.col0))
    if area.mode == "MAGNIFY" and area.magnification:
        scale = area.magnification
    scale = min(max(scale, SCALE_RANGE[0]), SCALE_RANGE[1])
    mode = ZoomMode.ACTUAL if scale == 1.0 else ZoomMode.FREE
    row, col = hung.center
    return replace(state, scale=scale, zoom_mode=mode, pan_row=row, pan_col=col)


# ---- drawings


def graphics_of(measurements: Sequence[Measurement], words: Mapping[str, str]) -> tuple[Graphic, ...]:
    """Turn measurements into presentation state graphics.

    Parameters
    ----------
    words : what stands beside each, by measurement id, e.g. "12.3 mm (imager spacing / ERMF)"
    """
    found = []
    for measured in measurements:
        said = words.get(measured.measurement_id, measured.text)
        points = measured.points
        if measured.kind is MeasurementKind.TEXT:
            found.append(Graphic(kind="TEXT", points=points, text=said or "?"))
        elif measured.kind is MeasurementKind.NIPPLE:
            found.append(Graphic(kind="POINT", points=points, text=said or "nipple"))
        elif measured.kind is MeasurementKind.ELLIPSE:
            found.append(Graphic(kind="ELLIPSE", points=_axes(points[0], points[1]), text=said))
        else:
            found.append(Graphic(kind="POLYLINE", points=points, text=said))
    return tuple(found)


def _axes(first: Point, last: Point) -> tuple[Point, ...]:
    """Ends of the major, then the minor axis of the ellipse inside an upright rectangle."""
    (row_a, col_a), (row_b, col_b) = first, last
    row, col = (row_a + row_b) / 2, (col_a + col_b) / 2
    across, down = ((row, col_a), (row, col_b)), ((row_a, col), (row_b, col))
    wide = abs(col_b - col_a) >= abs(row_b - row_a)
    return (*across, *down) if wide else (*down, *across)


def items_of(saved: PresentationState, part: ImageState, image: ViewImage) -> tuple[OverlayItem, ...]:
    """Turn the graphics and shutters of a presentation state into overlay items of one image."""
    items = [_shutter_item(saved, shutter, image, n) for n, shutter in enumerate(saved.shutters)]
    for number, graphic in enumerate(part.graphics):
        points = tuple(_in_pixels(point, graphic, saved, part, image) for point in graphic.points)
        rounded = graphic.kind in {"ELLIPSE", "CIRCLE"}
        if graphic.kind == "CIRCLE" and len(points) >= 2:
            points = _circle_axes(points[0], points[1])
        drawn = graphic.kind not in {"TEXT", "POINT"} and len(points) >= (4 if rounded else 2)
        items.append(
            OverlayItem(
                kind=OverlayKind.SAVED,
                image_key=image.key,
                item_id=f"saved:{saved.uid}:{number}",
                point=points[-1] if graphic.kind == "TEXT" else points[0],
                label=graphic.text,
                outlines=((points, rounded),) if drawn else (),
                dashed=graphic.kind == "TEXT",
            )
        )
    return tuple(items)


def _circle_axes(center: Point, edge: Point) -> tuple[Point, ...]:
    reach = math.dist(center, edge)
    row, col = center
    return (row, col - reach), (row, col + reach), (row - reach, col), (row + reach, col)


def _in_pixels(
    point: Point, graphic: Graphic, saved: PresentationState, part: ImageState, image: ViewImage
) -> Point:
    """A point given as a share of the displayed area lies in the area as it is turned."""
    if not graphic.in_display or saved.turn.degrees % 90:
        return point
    rows, cols = image.pixels.shape
    area = part.area
    box = Box(row0=0, col0=0, row1=rows, col1=cols) if area is None else Box(
        row0=area.row0, col0=area.col0, row1=area.row1, col1=area.col1
    )  # fmt: skip
    turned = replace(geometry_of(image), orientation=orientation_of(saved.turn))
    shown = turned.box_to_hung(box)
    row = shown.row0 + point[0] * (shown.row1 - shown.row0)
    col = shown.col0 + point[1] * (shown.col1 - shown.col0)
    return turned.hung_to_stored(row, col)


def _shutter_item(saved: PresentationState, shutter: Shutter, image: ViewImage, number: int) -> OverlayItem:
    if shutter.kind == "RECTANGULAR":
        (row0, col0), (row1, col1) = shutter.points[:2]
        corners: tuple[Point, ...] = ((row0, col0), (row0, col1), (row1, col1), (row1, col0))
    elif shutter.kind == "CIRCULAR":
        (row, col), (reach, _) = shutter.points[:2]
        angles = [2 * math.pi * k / _SIDES for k in range(_SIDES)]
        corners = tuple((row + reach * math.sin(a), col + reach * math.cos(a)) for a in angles)
    else:
        corners = shutter.points
    return OverlayItem(
        kind=OverlayKind.SHUTTER,
        image_key=image.key,
        item_id=f"shutter:{saved.uid}:{number}",
        point=corners[0],
        outlines=((corners, False),),
    )
