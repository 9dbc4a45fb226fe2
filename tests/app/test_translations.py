"""Every text on screen goes through the translation, and every language is complete."""

from __future__ import annotations

import ast
import json
import re
import string
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QApplication

from app.translatable import ROOT, gaps, skeleton, texts, texts_of
from app.views.translator import CatalogueTranslator
from resources import translation

SHOWING = {  # calls whose text argument the user reads
    "setText", "setToolTip", "setWindowTitle", "setPlaceholderText", "setTitle", "QLabel", "QPushButton",
    "QToolButton", "QCheckBox", "QRadioButton", "QGroupBox", "addAction", "addTab", "addRow", "showMessage",
    "setStatusTip", "setHorizontalHeaderLabels", "addItem",
}  # fmt: skip


def _bare_texts(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name not in SHOWING:
            continue
        shown = node.args[:1] if name == "addItem" else node.args  # what follows an item's text is its data
        for argument in shown:
            for part in argument.elts if isinstance(argument, ast.List | ast.Tuple) else [argument]:
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and _is_words(part.value):
                    found.append(f"{path.name}:{part.lineno}: {part.value!r}")
                if isinstance(part, ast.JoinedStr):
                    words = "".join(v.value for v in part.values if isinstance(v, ast.Constant))
                    if _is_words(words):
                        found.append(f"{path.name}:{part.lineno}: f-string {words!r}")
    return found


def _is_words(text: str) -> bool:
    letters = [c for c in re.sub(r"<[^>]*>|(Ctrl|Alt|Shift)\+", "", text) if c.isalpha()]
    return len(letters) >= 3 and not text.startswith(("QWidget", "color:")) and text not in {"Inter"}


def test_no_widget_shows_a_text_past_the_translation():
    found = [line for path in sorted((ROOT / "app" / "views").rglob("*.py")) for line in _bare_texts(path)]
    assert found == []


def test_texts_are_found_with_the_context_of_their_module():
    source = (
        "from PySide6.QtCore import QCoreApplication\n"
        "def _tr(text): return QCoreApplication.translate('here', text)\n"
        "a = _tr('Open')\nb = QCoreApplication.translate('there', 'Close')\nc = _tr(a)\n"
    )
    assert set(texts_of(source)) == {("here", "Open"), ("there", "Close")}


@pytest.mark.parametrize("language", [code for code in translation.languages() if code != "en"])
def test_every_language_is_complete_and_holds_nothing_in_vain(language):
    lacking, needless = gaps(language)
    assert (lacking, needless) == ([], [])


@pytest.mark.parametrize("language", [code for code in translation.languages() if code != "en"])
def test_translations_keep_the_places_of_numbers_and_names(language):
    def fields(text):
        return sorted(name or "" for _, name, _, _ in string.Formatter().parse(text) if name is not None)

    for context, group in translation.catalogue(language).items():
        for source, target in group.items():
            assert fields(source) == fields(target), f"{context}: {source!r}"


def test_qt_asks_our_catalogue_and_falls_back_to_english(qapp, monkeypatch):
    monkeypatch.setattr(translation, "catalogue", lambda _l: {"main": {"Exams": "检查"}})
    translator = CatalogueTranslator("zh_CN")
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    app.installTranslator(translator)
    try:
        assert QCoreApplication.translate("main", "Exams") == "检查"
        assert QCoreApplication.translate("main", "Unknown text") == "Unknown text"
        assert QCoreApplication.translate("other", "Exams") == "Exams"
    finally:
        app.removeTranslator(translator)


@pytest.mark.parametrize(
    ("setting", "language"),
    [("en", "en"), ("zh_CN", "zh_CN"), ("zh-CN", "zh_CN"), ("zh_CN.UTF-8", "zh_CN"), ("fr_FR", "en")],
)
def test_a_setting_is_turned_into_a_language_that_exists(setting, language):
    assert translation.chosen_language(setting) == language


def test_the_source_has_texts_in_many_contexts():
    assert len(texts()) > 15


def test_a_text_left_empty_shows_in_english(monkeypatch):
    monkeypatch.setattr(translation, "catalogue", lambda _language: {"terms": {"mass": ""}})
    translation.use("xx")
    try:
        assert translation.translate("terms", "mass") == "mass"
        assert CatalogueTranslator("xx").translate("terms", "mass") is None
    finally:
        monkeypatch.undo()
        translation.use("en")


def test_a_new_language_begins_with_every_text_and_no_translation():
    begun = json.loads(skeleton("xx"))
    assert begun["terms"]["mass"] == ""
    assert {(c, t) for c, group in begun.items() for t in group} == {
        (c, t) for c, g in texts().items() for t in g
    }
