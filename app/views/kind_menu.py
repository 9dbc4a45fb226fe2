"""The menu by which a reader says what kind of image a picture shows, where the rules are wrong (CEM-01)."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QMenu, QWidget

from inference.exam.types import ViewImage
from resources.vocabulary import ImageKind


def _tr(text: str) -> str:
    return QCoreApplication.translate("kinds", text)


def kind_menu(image: ViewImage, chosen: Callable[[ImageKind | None], None], parent: QWidget) -> QMenu:
    """Make the menu for one image; ``chosen`` gets the kind, or None for what the rules say."""
    menu = QMenu(parent)
    menu.setObjectName("kindMenu")
    heading = menu.addAction(_tr("{0} shows:").format(image.view.label))
    heading.setEnabled(False)
    words = {
        ImageKind.CESM_LOW: _tr("&Low energy"),
        ImageKind.CESM_RECOMBINED: _tr("&Recombined"),
        ImageKind.CESM_HIGH: _tr("&High energy (never hung by itself)"),
        ImageKind.FFDM: _tr("&Digital mammogram without contrast"),
        ImageKind.FILM: _tr("&Film"),
    }
    for kind, text in words.items():
        action = menu.addAction(text)
        action.setCheckable(True)
        action.setChecked(kind is image.kind)
        action.triggered.connect(lambda _on=False, kind=kind: chosen(kind))
    menu.addSeparator()
    menu.addAction(_tr("&As the rules say")).triggered.connect(lambda _on=False: chosen(None))
    return menu
