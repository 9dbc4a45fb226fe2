"""What is drawn of CAD reports and presentation states, pixel by pixel, in every orientation of the stored file."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from PySide6.QtGui import QImage, QPainter

from app.state.geometry import ViewGeometry
from app.state.overlays import OverlayItem, OverlayKind
from app.views import theme
from app.views.painting import ScreenMap, paint_items
from inference.exam.types import Orientation
from resources.vocabulary import FindingType

EIGHT = [
    Orientation(transpose=t, flip_rows=r, flip_cols=c)
    for t, r, c in itertools.product([False, True], repeat=3)
]


def drawn(item: OverlayItem, orientation: Orientation = Orientation(), *, grey: int = 0) -> NDArray[np.uint8]:  # noqa: B008
    """Paint one item over a 200 x 160 picture at 1:1; (rows, cols) brightness turned back to stored pixels."""
    geometry = ViewGeometry(rows=200, cols=160, orientation=orientation)
    rows, cols = geometry.hung_size
    image = QImage(cols, rows, QImage.Format.Format_Grayscale8)
    image.fill(grey)
    painter = QPainter(image)
    screen = ScreenMap(geometry=geometry, scale=1.0, top=0.0, left=0.0)
    paint_items(painter, [item], screen, theme.font(theme.SMALL_PX), width=float(cols))
    painter.end()
    hung = np.frombuffer(image.constBits(), np.uint8).reshape(rows, image.bytesPerLine())[:, :cols]
    back = hung[:, ::-1] if orientation.flip_cols else hung
    back = back[::-1] if orientation.flip_rows else back
    return (back.T if orientation.transpose else back).copy()  # the picture's memory goes with it


def ring(angle: float) -> tuple[tuple[float, float], ...]:
    """Axis ends of an ellipse of half axes 60 and 25 about (100, 80), its major axis ``angle`` from the columns."""
    along, across = (math.sin(angle), math.cos(angle)), (math.cos(angle), -math.sin(angle))
    ends = [(100 + s * 60 * along[0], 80 + s * 60 * along[1]) for s in (-1, 1)]
    return (*ends, *((100 + s * 25 * across[0], 80 + s * 25 * across[1]) for s in (-1, 1)))


@pytest.mark.parametrize("orientation", EIGHT)
def test_mg28_mg07_a_rotated_ellipse_lies_where_its_axes_say_however_the_file_is_turned(
    qapp: object, orientation: Orientation
) -> None:
    angle = math.radians(35)
    item = OverlayItem(
        kind=OverlayKind.CAD, image_key="R-CC", item_id="a", point=(5.0, 5.0), finding=FindingType.MASS,
        outlines=((ring(angle), True),),
    )  # fmt: skip
    seen = drawn(item, orientation)
    for t in np.linspace(0, 2 * math.pi, 40):
        major, minor = 60 * math.cos(t), 25 * math.sin(t)
        row = 100 + major * math.sin(angle) + minor * math.cos(angle)
        col = 80 + major * math.cos(angle) - minor * math.sin(angle)
        patch = seen[round(row) - 2 : round(row) + 3, round(col) - 2 : round(col) + 3]
        assert patch.max() > 60, (row, col)
    assert seen[90:110, 70:90].max() == 0  # nothing inside


def test_mg28_a_polyline_is_drawn_open_as_it_is_written(qapp: object) -> None:
    item = OverlayItem(
        kind=OverlayKind.CAD, image_key="R-CC", item_id="a", point=(150.0, 20.0),
        outlines=((((40.0, 40.0), (40.0, 120.0), (120.0, 120.0)), False),),
    )  # fmt: skip
    seen = drawn(item)
    assert seen[38:43, 80].max() > 60
    assert seen[80, 118:123].max() > 60
    assert seen[60:100, 55:105].max() == 0  # not closed: nothing on the diagonal


def test_mg32_each_finding_type_has_its_own_glyph(qapp: object) -> None:
    pictures = []
    for finding in (
        FindingType.CALCIFICATION,
        FindingType.MASS,
        FindingType.DISTORTION,
        FindingType.ASYMMETRY,
    ):
        item = OverlayItem(
            kind=OverlayKind.CAD, image_key="R-CC", item_id="a", point=(100.0, 80.0), finding=finding
        )
        pictures.append(drawn(item)[92:108, 72:88] > 60)
    for one, other in itertools.combinations(pictures, 2):
        assert (one != other).mean() > 0.05


def test_beyond5_a_chosen_finding_is_broader_than_one_that_is_not(qapp: object) -> None:
    def width(*, selected: bool) -> int:
        item = OverlayItem(
            kind=OverlayKind.CAD, image_key="R-CC", item_id="a", point=(20.0, 20.0), selected=selected,
            outlines=((((40.0, 80.0), (160.0, 80.0)), False),),
        )  # fmt: skip
        return int((drawn(item)[120, :] > 30).sum())

    assert width(selected=True) >= width(selected=False) + 5


def test_mg35_a_shutter_blackens_what_lies_outside_it(qapp: object) -> None:
    corners = ((50.0, 40.0), (50.0, 120.0), (150.0, 120.0), (150.0, 40.0))
    item = OverlayItem(
        kind=OverlayKind.SHUTTER,
        image_key="R-CC",
        item_id="s",
        point=corners[0],
        outlines=((corners, False),),
    )
    seen = drawn(item, grey=200)
    assert (seen[55:145, 45:115] == 200).all()
    assert seen[:48].max() == 0
    assert seen[:, 125:].max() == 0


def test_mg35_saved_text_is_written_at_its_place(qapp: object) -> None:
    item = OverlayItem(
        kind=OverlayKind.SAVED,
        image_key="R-CC",
        item_id="s",
        point=(100.0, 40.0),
        label="12.3 mm",
        dashed=True,
    )
    seen = drawn(item)
    assert seen[85:100, 40:100].max() > 60
    assert seen[120:].max() == 0
