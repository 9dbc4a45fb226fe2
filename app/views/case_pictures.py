"""Paints a case of the report's error section: its views side by side, lesion outlines, readers' marks. No identity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QImageWriter, QPainter, QPen, QPolygonF

from app.state.case_pictures import SmallView
from app.views.pdf_sheet import application, font

GAP_PX, LABEL_PX, QUALITY = 6, 22, 88
LESION = "#F0E442"
ARMS = ("#E69F00", "#56B4E9", "#CC79A7", "#009E73")
MARK_RADIUS_PX = 7.0


def case_picture(views: Sequence[SmallView]) -> bytes:
    """Return the views as one JPEG; lesions are closed outlines, marks crossed circles in the colour of their arm."""
    application()
    width = sum(view.grey.shape[1] for view in views) + GAP_PX * (len(views) - 1)
    height = max(view.grey.shape[0] for view in views) + LABEL_PX
    canvas = QImage(width, height, QImage.Format.Format_RGB32)
    canvas.fill(Qt.GlobalColor.black)
    painter = QPainter(canvas)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    x = 0
    for view in views:
        _paint(painter, view, x)
        x += view.grey.shape[1] + GAP_PX
    painter.end()
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    writer = QImageWriter(buffer, QByteArray(b"jpg"))
    writer.setQuality(QUALITY)
    writer.write(canvas)
    return bytes(buffer.data().data())


def _paint(painter: QPainter, view: SmallView, x: int) -> None:
    grey = np.ascontiguousarray(view.grey)
    rows, cols = grey.shape
    picture = QImage(grey.tobytes(), cols, rows, cols, QImage.Format.Format_Grayscale8)
    painter.save()
    painter.setClipRect(QRectF(x, 0, cols, rows + LABEL_PX))
    painter.translate(x, LABEL_PX)
    painter.drawImage(0, 0, picture)
    for (row, col), arm, _reader in view.marks:
        _marked(painter, QPointF(col, row), ARMS[arm % len(ARMS)])
    for corners in view.outlines:
        _outlined(painter, QPolygonF([QPointF(col, row) for row, col in corners]))
    painter.translate(0, -LABEL_PX)
    face = font(1.0)
    face.setPixelSize(14)
    painter.setFont(face)
    painter.setPen(QColor("#d0d4d8"))
    painter.drawText(QRectF(4, 0, cols - 8, LABEL_PX), Qt.AlignmentFlag.AlignVCenter, view.name)
    painter.restore()


def _outlined(painter: QPainter, polygon: QPolygonF) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for colour, thick in (("#000000", 3.6), (LESION, 1.8)):
        painter.setPen(QPen(QColor(colour), thick))
        painter.drawPolygon(polygon)


def _marked(painter: QPainter, at: QPointF, colour: str) -> None:
    r = MARK_RADIUS_PX
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for ink, thick in (("#000000", 3.2), (colour, 1.6)):
        painter.setPen(QPen(QColor(ink), thick))
        painter.drawEllipse(at, r, r)
        painter.drawLine(at - QPointF(2.5, 0), at + QPointF(2.5, 0))
        painter.drawLine(at - QPointF(0, 2.5), at + QPointF(0, 2.5))
