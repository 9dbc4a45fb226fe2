"""Hands Qt's look-ups to our catalogues, and Qt's own buttons to Qt's translations."""

from __future__ import annotations

from PySide6.QtCore import QLibraryInfo, QObject, QTranslator
from PySide6.QtWidgets import QApplication

from resources import translation


class CatalogueTranslator(QTranslator):
    """Answers QCoreApplication.translate from ``resources.translation``."""

    def __init__(self, language: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._catalogue = translation.catalogue(language)

    def isEmpty(self) -> bool:
        return not self._catalogue

    def translate(
        self, context: str, source: str, _disambiguation: str | None = None, _number: int = -1
    ) -> str | None:
        # None and not the source: Qt then asks the next translator, and shows the source at last
        return self._catalogue.get(context, {}).get(source) or None


def speak(app: QApplication, setting: str) -> str:
    """Install the language of a setting before the first window is made; returns the language in use."""
    language = translation.chosen_language(setting)
    translation.use(language)
    if language == translation.SOURCE:
        return language
    own = QTranslator(app)
    if own.load(f"qtbase_{language}", QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)):
        app.installTranslator(own)
    app.installTranslator(CatalogueTranslator(language, app))
    return language
