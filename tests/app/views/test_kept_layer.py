"""What lies over a picture looks the same kept as drawn, and is drawn anew only when it changes."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QFont, QImage, QPainter, QPen

from app.views import lettering
from app.views.kept_layer import KeptLayer, lit_rects

SIZE = QRectF(0, 0, 301, 203)


def _canvas(ratio: float) -> QImage:
    picture = QImage(round(301 * ratio), round(203 * ratio), QImage.Format.Format_RGB32)
    picture.fill(QColor(90, 120, 30))
    picture.setDevicePixelRatio(ratio)
    return picture


def _draw(painter: QPainter) -> None:
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
    painter.setPen(QPen(QColor(200, 40, 10, 200), 3.0))
    painter.drawEllipse(QPointF(120.5, 80.25), 60.0, 30.0)
    painter.drawLine(QPointF(0, 0), QPointF(300, 202))
    painter.setFont(QFont("sans", 11))
    painter.setPen(QColor(255, 255, 255))
    painter.drawText(QPointF(10, 190), "28 kV  90 mAs")


def _values(picture: QImage) -> np.ndarray:
    flat = np.frombuffer(picture.constBits(), np.uint8)
    return flat.reshape(picture.height(), picture.width(), 4)[..., :3].astype(int)


@pytest.mark.parametrize("ratio", [1.0, 1.25, 2.0])
def test_mg43_a_kept_layer_looks_as_drawn(qapp: object, ratio: float) -> None:
    drawn = _canvas(ratio)
    painter = QPainter(drawn)
    _draw(painter)
    painter.end()
    layer = KeptLayer()
    for _ in range(5):
        kept = _canvas(ratio)
        painter = QPainter(kept)
        layer.paint(painter, SIZE, "same", _draw)
        painter.end()
    assert layer.held_bytes > 0
    # Blending twice at a translucent edge rounds twice: two grey levels of 255 at most.
    assert np.abs(_values(kept) - _values(drawn)).max() <= 2
    assert np.abs(_values(kept) - _values(_canvas(ratio))).max() > 50


def test_mg43_a_layer_is_drawn_again_only_when_its_key_or_its_size_changes(qapp: object) -> None:
    calls: list[int] = []
    layer = KeptLayer()

    def paint(key: str, size: QRectF = SIZE) -> int:
        picture = _canvas(1.0)
        painter = QPainter(picture)
        layer.paint(painter, size, key, lambda _on: calls.append(1))
        painter.end()
        return len(calls)

    # Directly, for it may not stay; once into the kept pictures; then never.
    assert [paint("a") for _ in range(6)] == [1, 2, 3, 4, 4, 4]
    assert [paint(f"{n}") for n in range(5)] == [5, 6, 7, 8, 9]  # what moves is never kept
    # What goes back and forth, as the polarity does, is kept for both.
    assert [paint(key) for key in "xyxyxyxyxy"] == [10, 11, 12, 13, 14, 15, 16, 17, 17, 17]
    assert paint("y", QRectF(0, 0, 300, 203)) == 18
    layer.forget()
    assert layer.held_bytes == 0
    assert paint("y") == 19


def test_kept_parts_cover_every_lit_pixel_and_little_else(qapp: object) -> None:
    picture = QImage(500, 260, QImage.Format.Format_ARGB32_Premultiplied)
    picture.fill(0)
    spots = [(0, 0), (499, 0), (31, 32), (32, 31), (250, 130), (251, 200), (499, 259)]
    for x, y in spots:
        picture.setPixelColor(x, y, QColor(1, 2, 3, 4))
    rects = lit_rects(picture)
    assert all(sum(rect.contains(x, y) for rect in rects) == 1 for x, y in spots)
    assert sum(rect.width() * rect.height() for rect in rects) <= len(spots) * 32 * 32
    picture.fill(0)
    assert not lit_rects(picture)


@pytest.mark.parametrize("ratio", [1.0, 1.5])
def test_words_are_as_high_as_the_font_says_and_look_the_same_kept_and_not(
    qapp: object, ratio: float
) -> None:
    def draw(painter: QPainter) -> None:
        painter.setFont(QFont("sans", 13))
        lettering.text(painter, QPointF(20.3, 60.7), "R MLO  28 kVp", QColor(250, 250, 250))
        lettering.text(painter, QPointF(290.2, 120.4), "1:2.4", QColor(250, 250, 250), right=True)

    pictures = []
    layer = KeptLayer()
    for _ in range(5):
        picture = _canvas(ratio)
        painter = QPainter(picture)
        layer.paint(painter, SIZE, "words", draw)
        painter.end()
        pictures.append(_values(picture))
    assert np.abs(pictures[0] - pictures[-1]).max() <= 2
    bright = np.argwhere(pictures[0].min(axis=2) > 200) / ratio
    left, right = bright[bright[:, 1] < 200], bright[bright[:, 1] >= 200]
    # Capitals stand on the baseline; what ends at a place ends there, the side bearing of a figure apart.
    assert abs(left[:, 0].max() + 1 / ratio - 60.7) <= 5  # "p" reaches below
    assert left[:, 1].min() >= 20
    assert 284 <= right[:, 1].max() <= 291
    assert right[:, 0].max() <= 121
