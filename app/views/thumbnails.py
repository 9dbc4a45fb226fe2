"""A strip of small pictures: all images of a case, hung or only listed. Draws and emits; decodes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, QEvent, QSize, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QImage, QKeyEvent, QPainter, QPixmap
from PySide6.QtWidgets import QAbstractItemView, QFrame, QListView, QListWidget, QListWidgetItem, QWidget

from app.state.thumbnails import HEIGHT_PX, Thumbnail
from app.views import theme

_OWN_KEYS = frozenset(
    {Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Home, Qt.Key.Key_End, Qt.Key.Key_Return, Qt.Key.Key_Enter}
)
_OWN_MODIFIERS = frozenset({Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier})
_KEY = Qt.ItemDataRole.UserRole
_CARD = QSize(120, HEIGHT_PX)


def _tr(text: str) -> str:
    return QCoreApplication.translate("thumbnails", text)


def _picture(thumbnail: Thumbnail, card: QSize) -> QPixmap:
    """Paint the small picture in the middle of a black card; dimmed when no step hangs it."""
    pixmap = QPixmap(card)
    pixmap.fill(QColor(theme.IMAGE_BLACK))
    painter = QPainter(pixmap)
    grey = thumbnail.grey
    if grey is None:
        painter.setPen(QColor(theme.TEXT_SECONDARY))
        painter.setFont(theme.font(theme.SMALL_PX))
        area = pixmap.rect().adjusted(6, 6, -6, -6)
        painter.drawText(area, Qt.TextFlag.TextWordWrap | Qt.AlignmentFlag.AlignCenter, _tr("not hung"))
    else:
        rows, cols = grey.shape
        image = QImage(grey.tobytes(), cols, rows, cols, QImage.Format.Format_Grayscale8)
        fitted = image.size().scaled(card, Qt.AspectRatioMode.KeepAspectRatio)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setOpacity(1.0 if thumbnail.hung else 0.45)
        x, y = (card.width() - fitted.width()) // 2, (card.height() - fitted.height()) // 2
        painter.drawImage(pixmap.rect().adjusted(x, y, -x, -y), image)
    painter.end()
    return pixmap


class ThumbnailStrip(QListWidget):
    """Small pictures side by side; Enter or a double click asks for one (signal ``chosen``: its key)."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None, *, card: QSize = _CARD) -> None:
        super().__init__(parent)
        self.setObjectName("thumbnails")
        self._card = card
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(False)
        self.setMovement(QListView.Movement.Static)
        self.setIconSize(card)
        self.setSpacing(2)
        self.setUniformItemSizes(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setStyleSheet(f"QListWidget#thumbnails {{ font-size: {theme.SMALL_PX}px; }}")
        self.setFixedHeight(card.height() + 52)
        self.itemActivated.connect(lambda item: self.chosen.emit(str(item.data(_KEY))))

    def event(self, event: QEvent) -> bool:
        """Keep the keys of a list from the viewer's shortcuts while the strip has the focus."""
        if event.type() is QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            own = event.key() in _OWN_KEYS and event.modifiers() in _OWN_MODIFIERS
            if own:
                event.accept()
                return True
        return super().event(event)

    def set_thumbnails(self, thumbnails: Sequence[Thumbnail]) -> None:
        """Show these and no others."""
        self.clear()
        for thumbnail in thumbnails:
            card_says = thumbnail.hung or thumbnail.grey is None
            words = thumbnail.label if card_says else _tr("{0} – not hung").format(thumbnail.label)
            second = thumbnail.detail if thumbnail.grey is not None else ""
            picture = _picture(thumbnail, self._card)
            icon = QIcon(picture)
            icon.addPixmap(picture, QIcon.Mode.Selected)  # Qt would tint the picture of the selected one
            item = QListWidgetItem(icon, f"{words}\n{second}")
            item.setData(_KEY, thumbnail.key)
            item.setToolTip(f"{words}  {thumbnail.detail}".strip())
            item.setSizeHint(QSize(self._card.width() + 6, self._card.height() + 40))
            if not thumbnail.hung:
                item.setForeground(QColor(theme.TEXT_SECONDARY))
            self.addItem(item)

    def select_key(self, key: str) -> None:
        """Mark the picture of the active viewport, where it is among them."""
        for row in range(self.count()):
            if self.item(row).data(_KEY) == key:
                self.setCurrentRow(row)
                return
