"""The program as a Chinese radiologist starts it: the setting is honoured, form, menus and keys speak her language."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QLibraryInfo, Qt, QTranslator
from PySide6.QtGui import QFont, QFontDatabase, QFontMetricsF, QRawFont
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QCheckBox, QDialog, QLabel, QPushButton, QWidget

from app.bootstrap import keep_settings, study_station
from app.control.commands import COMMANDS
from app.language import language_setting
from app.views import theme
from app.views.kind_menu import kind_menu
from app.views.main_window import MainWindow
from app.views.translator import speak
from inference.engine import FakeEngine
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.sources import FolderSource
from reader_study.accounts import hash_password
from reader_study.domain.events import EventKind
from reader_study.domain.study import AiPolicy, Arm, Case, Reader, Scale, Study
from reader_study.randomization import allocate
from reader_study.store.database import open_database
from resources import translation

# Words that stay: names, keys and the terms that a Chinese radiologist reads in Latin letters, too.
LATIN = re.compile(
    r"Negatoscope|BI-RADS|CC|MLO|[RL]\b|AI|F\d+|Enter|Esc|Ctrl|Shift|Del(ete)?|GSDF|CAD|SR|CLAHE|ROI|NME|1:1|mm"
    r"|fake|cpu|[a-d1-5][A-C]?|[XBHSWZ]|%|P-?|PgUp|PgDown|Space|Return|Tab|Backspace|Pause|Left|Right|Up|Down|[A-Z]\b"
)


def _is_chinese(text: str) -> bool:
    return any("一" <= sign <= "鿿" for sign in text)


def _english_left(widget: QWidget) -> list[str]:
    """Texts with English words in any visible label or button."""
    texts = [w.text() for kind in (QLabel, QPushButton, QCheckBox) for w in widget.findChildren(kind)]
    return [text for text in texts if re.search(r"[A-Za-z]{3,}", LATIN.sub("", re.sub(r"<[^>]*>", "", text)))]


@pytest.fixture
def chinese(qapp: QApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start as the program does, with the setting in its file."""
    folder = tmp_path / "home" / "config"
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text(json.dumps({"schema": 1, "language": "zh_CN"}), encoding="utf-8")
    monkeypatch.setenv("NEGATOSCOPE_HOME", str(tmp_path / "home"))
    before = set(qapp.findChildren(QTranslator))
    yield speak(qapp, language_setting())
    for translator in set(qapp.findChildren(QTranslator)) - before:
        qapp.removeTranslator(translator)
    translation.use("en")


@pytest.fixture
def window(qtbot, chinese: str, tmp_path: Path) -> Iterator[MainWindow]:
    exams = tmp_path / "exams"
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=21, pixel_mm=0.5, cesm=True)), exams / "one")
    source = FolderSource(exams)
    exam_id = source.list()[0].exam_id
    arm = Arm(arm_id="a", title="Aided", ai=AiPolicy(shown=True))
    case = Case(case_id="C1", exam_id=exam_id, exam_digest=source.load(exam_id).digest)
    reader = Reader(reader_id="r", name="王医生", password_hash=hash_password("secret-word"))
    plans = allocate(study_id="S", seed=1, cases=(case,), readers=(reader,), arms=(arm,), design="single")
    study = Study(
        study_id="S",
        title="Demo study",
        protocol_version="1",
        seed=1,
        arms=(arm,),
        readers=(reader,),
        cases=(case,),
        scale=Scale(contrast=("bpe", "bpe_symmetry", "enhancement", "conspicuity")),
        plans=plans,
    )
    opened = open_database(tmp_path / "study.sqlite")
    opened.save_study(study)
    opened.close()
    station = study_station(
        database=tmp_path / "study.sqlite", study_id="S", exams=exams, anchor=None, engine=FakeEngine()
    )
    keep_settings(station)
    made = MainWindow(station, version="test")
    made.setStyleSheet(theme.stylesheet())
    made.resize(1920, 1080)
    qtbot.addWidget(made)
    made.show()
    yield made
    made.close()


def _read(qtbot, window: MainWindow) -> None:
    QTest.keyClicks(window.sign_in.reader, "r")
    QTest.keyClicks(window.sign_in.password, "secret-word")
    QTest.keyClick(window.sign_in.password, Qt.Key.Key_Return)
    assert window.worklist.cards[0].button.text().startswith("开始")
    QTest.mouseClick(window.worklist.cards[0].button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(window.is_case_painted, timeout=30_000)


def test_the_language_setting_is_honoured_at_start(chinese: str) -> None:
    assert chinese == "zh_CN"
    assert translation.translate("terms", "mass") == "肿块"


def test_sign_in_and_form_and_ai_speak_chinese(qtbot, window: MainWindow) -> None:
    assert window.sign_in.reader.placeholderText() == "登录名"
    assert _english_left(window.sign_in) == []
    _read(qtbot, window)
    form = {label.text() for label in window.reading.form.findChildren(QLabel)}
    assert {"右乳  恶性概率", "左乳  BI-RADS", "右乳  背景实质强化", "乳腺构成", "召回"} <= form
    qtbot.waitUntil(lambda: window.reading.ai.result is not None, timeout=30_000)
    assert window.reading.ai_panel is not None
    assert "检测框" in window.reading.ai_panel._state.text()
    assert _english_left(window.reading.form) == []
    assert "低能图" in str(window.reading._words(window.reading._case))  # type: ignore[arg-type]
    assert "AI 辅助" in window.reading._bar.text()


def test_the_key_sheet_names_every_command_in_chinese(qtbot, window: MainWindow) -> None:
    window._show_keys()
    sheet = window.findChild(QDialog, "keySheet")
    assert sheet is not None
    shown = {label.text() for label in sheet.findChildren(QLabel)}
    wanted = {translation.catalogue("zh_CN")["commands"][command.title] for command in COMMANDS}
    assert wanted <= shown
    sheet.close()


def test_menus_and_settings_speak_chinese(qtbot, window: MainWindow) -> None:
    _read(qtbot, window)
    image = window.reading.grid.active().image
    assert image is not None
    menu = kind_menu(image, lambda _kind: None, window)
    words = [action.text() for action in menu.actions() if action.text()]
    assert words
    assert all(_is_chinese(text) for text in words)
    window._show_settings()
    assert window.settings is not None
    pages = [window.settings.list.item(row).text() for row in range(window.settings.list.count())]
    assert pages == ["显示器与校准", "按键", "AI 模型", "外观与鼠标", "语言", "内存", "本工作站"]


def test_the_log_of_a_chinese_reader_is_the_same_as_anybody_elses(qtbot, window: MainWindow) -> None:
    _read(qtbot, window)
    window.reading.step(1)
    assert "减影总览" in window.reading._stage_label.text()
    events = list(window._station.events.read(window.controller.session_id))
    shown = [event for event in events if event.kind is EventKind.STAGE_CHANGED]
    assert not any(_is_chinese(str(event.body)) for event in shown)
    assert "Overview recombined" in str(shown[-1].body)


def test_no_chinese_button_of_the_form_is_cut(qtbot, window: MainWindow) -> None:
    _read(qtbot, window)
    window.reading.findings.editor.start("R CC")
    window.reading.findings.editor.ask_contrast(("enhancement", "conspicuity"), contrast=True)
    QApplication.processEvents()
    panel = window.reading.side
    cut = [
        button.text()
        for button in panel.findChildren(QPushButton)
        if button.isVisible()
        and QFontMetricsF(button.font()).horizontalAdvance(button.text()) > button.width() - 2
    ]
    assert cut == []


def test_every_sign_of_the_catalogue_has_a_glyph(qapp: QApplication) -> None:
    """A box in place of a sign would tell nothing; needs a Chinese font, as any Chinese desktop has."""
    families = {family.lower() for family in theme.CJK_FAMILIES}
    here = [name for name in QFontDatabase.families() if name.lower() in families]
    if not here:
        pytest.skip("no Chinese font on this machine")
    scripts = QFontDatabase.WritingSystem
    raw = [QRawFont.fromFont(QFont(name), scripts.SimplifiedChinese) for name in here]
    raw.append(QRawFont.fromFont(theme.font(), scripts.Latin))
    signs = {
        sign
        for group in translation.catalogue("zh_CN").values()
        for text in group.values()
        for sign in text
        if not sign.isspace()
    }
    assert [
        sign for sign in sorted(signs) if not any(font.supportsCharacter(ord(sign)) for font in raw)
    ] == []


def test_qt_has_its_own_buttons_in_chinese() -> None:
    folder = Path(QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath))
    assert (folder / "qtbase_zh_CN.qm").is_file()
