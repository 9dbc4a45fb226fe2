"""Where the words of a viewport may stand: on the air side and never on tissue (MG-23)."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PySide6.QtCore import QRectF
from PySide6.QtGui import QImage, QPainter

from app.state.display import Pyramid, ViewportState
from app.state.geometry import EdgeLetters, ViewGeometry
from app.state.overlays import AnnotationText, HeatLayer
from app.views import edge_text, painting
from app.views.edge_text import Clearance, clearance_of, fitting
from app.views.painting import ScreenMap
from inference.exam.types import Orientation, Presentation, ViewImage, Voi, VoiFunction
from resources.vocabulary import ImageKind, ViewName

ROWS, COLS = 1200, 800


def _breast() -> NDArray[np.uint16]:
    """Half disc of tissue at the right edge of the hung picture (a right breast), 500 px deep, rows 200..1000."""
    y, x = np.mgrid[0:ROWS, 0:COLS].astype(np.float64)
    inside = ((y - 600) / 400) ** 2 + ((COLS - x) / 500) ** 2 < 1
    return np.where(inside, 2000, 0).astype(np.uint16)


def _stored(turned: Orientation) -> NDArray[np.uint16]:
    """Store the hung picture so that ``turned`` hangs it again."""
    picture = _breast()
    picture = picture[:, ::-1] if turned.flip_cols else picture
    picture = picture[::-1] if turned.flip_rows else picture
    return np.ascontiguousarray(picture.T if turned.transpose else picture)


def _air(turned: Orientation, *, scale: float, left: float, top: float) -> Clearance:
    pixels = _stored(turned)
    image = ViewImage(
        view=ViewName.parse("R-CC"),
        kind=ImageKind.FFDM,
        pixels=pixels,
        presentation=Presentation(
            vois=(Voi(label="", function=VoiFunction.LINEAR, center=1000, width=2000),)
        ),
        orientation=turned,
        spacing=None,
        source_id="x",
    )
    geometry = ViewGeometry(rows=pixels.shape[0], cols=pixels.shape[1], orientation=turned, spacing=None)
    screen = ScreenMap(geometry=geometry, scale=scale, top=top, left=left)
    found = clearance_of(image, Pyramid(pixels), screen, QRectF(0, 0, 600, 600), air_left=True)
    assert found is not None
    return found


@pytest.mark.parametrize("turned", [
    Orientation(transpose=t, flip_rows=r, flip_cols=c) for t, r, c in itertools.product([False, True], repeat=3)
])  # fmt: skip
def test_mg23_air_is_measured_alike_from_all_eight_storage_layouts(turned: Orientation) -> None:
    """At half scale with the picture at the right: skin at 600 - 250 = 350 px in the middle, none in the corners."""
    air = _air(turned, scale=0.5, left=200.0, top=0.0)
    assert 310 < air.at(295, 305) <= 350
    assert air.at(0, 60) > 550
    assert air.at(540, 600) > 550


def test_mg23_no_air_is_left_where_the_zoomed_breast_fills_the_viewport() -> None:
    air = _air(Orientation(), scale=2.0, left=-1000.0, top=-900.0)
    assert air.at(300, 310) <= 0


def test_mg23_lines_go_only_where_there_is_room_and_an_ellipsis_says_that_some_are_missing() -> None:
    narrow = Clearance(free=np.array([200.0, 20.0, 200.0, 20.0, 20.0]), step=10.0)
    tops = [0.0, 10.0, 20.0, 30.0]
    # A place spans its own height and touches the next sample: only those whose every sample is free are taken.
    wide = Clearance(free=np.full(5, 200.0), step=10.0)
    assert fitting(("a", "b"), (100, 100), tops, 10.0, wide) == (("a", 0.0), ("b", 10.0))
    assert fitting(("a", "b"), (100, 100), tops, 10.0, narrow) == (("…", 0.0),)
    assert fitting(tuple("abcde"), (10,) * 5, tops, 10.0, wide)[-1] == ("d …", 30.0)
    assert fitting((), (), tops, 10.0, narrow) == ()


@pytest.mark.parametrize("air_left", [True, False])
@pytest.mark.parametrize(
    ("wide", "high", "scale"), [(470, 400, 1.0), (640, 530, 1.0), (850, 530, 1.5), (1200, 1000, 2.0)]
)
def test_mg24_technique_and_the_heat_maps_legend_share_no_pixel(
    qapp: object, wide: int, high: int, scale: float, air_left: bool
) -> None:
    technique = tuple(f"technique line {n} of many, 28 kVp 80 mAs" for n in range(9))
    size = QRectF(0, 0, wide, high)

    def painted(draw: Callable[[QPainter], object]) -> np.ndarray:
        picture = QImage(wide, high, QImage.Format.Format_ARGB32_Premultiplied)
        picture.fill(0)
        painter = QPainter(picture)
        draw(painter)
        painter.end()
        return np.frombuffer(picture.constBits(), np.uint32).reshape(high, wide) >> 24 > 0

    words = edge_text.EdgeInfo(
        words=AnnotationText(view_label="R MLO", identity=("NAME", "ID 1"), technique=technique),
        letters=EdgeLetters(left="A", right="P", top="H", bottom="F"),
        state=ViewportState(scale=0.3),
        air_left=air_left,
        mm_per_px=0.3,
        legend=True,
    )
    lit = painted(lambda on: edge_text.paint_edges(on, size, words, scale=scale))
    layer = HeatLayer(image_key="R-MLO", values=np.zeros((4, 4), np.float32))
    legend = painted(lambda on: painting.paint_legend(on, size, layer, air_left=air_left, scale=scale))
    assert legend.any()
    assert lit[high // 2 :].any()
    assert not (lit & legend).any()
