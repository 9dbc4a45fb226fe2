"""The settings screen (Ctrl+,): monitors, keys, appearance, language, memory. All by keyboard.

Shows settings and emits changed ones, which hold at once; keeping them and putting them into force is
``app.views.preferences``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QCoreApplication, QEvent, Qt, QTimer, Signal
from PySide6.QtGui import QResizeEvent, QScreen, QShortcut
from PySide6.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.state.calibration import MonitorRecord
from app.state.settings import CACHE_MB_RANGE, TEXT_SCALE_RANGE, HeatColour, Settings, WheelUse
from app.views.keys_page import KeysPage
from app.views.model_picker import ModelChoice, ModelPicker
from app.views.monitor_page import MonitorPage
from resources.translation import languages

# Each language in its own name; one without a name here shows its code.
NAMES = {"en": "English", "zh_CN": "简体中文"}


def _tr(text: str) -> str:
    return QCoreApplication.translate("settings", text)


class SettingsView(QWidget):
    """Pages on the left, the chosen one on the right."""

    changed = Signal(object)  # Settings
    closed = Signal()

    def __init__(
        self,
        today: Callable[[], str],
        system: QWidget | None = None,
        parent: QWidget | None = None,
        *,
        models: ModelPicker | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("settings")
        self._settings = Settings()
        self._filling = False
        self.monitors, self.keys = MonitorPage(today), KeysPage()
        self.models = models
        self.pages = QStackedWidget()
        self.list = QListWidget()
        self.list.setObjectName("settingsPages")
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        for title, page in (
            (_tr("Monitors and calibration"), self.monitors),
            (_tr("Keys"), self.keys),
            *(((_tr("AI models"), models),) if models is not None else ()),
            (_tr("Appearance and mouse"), self._appearance()),
            (_tr("Language"), self._language()),
            (_tr("Memory"), self._memory()),
            *(((_tr("This station"), system),) if system is not None else ()),
        ):
            self.list.addItem(title)
            area = QScrollArea()
            area.setWidget(page)
            area.setWidgetResizable(True)
            area.setFrameShape(QScrollArea.Shape.NoFrame)
            area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            self.pages.addWidget(area)
        self._build()
        self.list.currentRowChanged.connect(self.pages.setCurrentIndex)
        self.list.setCurrentRow(0)
        self.monitors.record_made.connect(self._on_record)
        self.keys.changed.connect(lambda keys: self._emit(replace(self._settings, keys=keys)))
        if models is not None:
            models.chosen.connect(self._on_models)

    def _build(self) -> None:
        title = QLabel(_tr("Settings"))
        title.setProperty("role", "heading")
        self.problem = QLabel("")
        self.problem.setProperty("role", "error")
        self.problem.setWordWrap(True)
        self.problem.hide()
        back = QPushButton(_tr("Back   Esc"))
        back.clicked.connect(self.closed)
        escape = QShortcut("Esc", self)
        escape.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        escape.activated.connect(self.closed)
        head = QHBoxLayout()
        head.addWidget(title)
        head.addStretch(1)
        head.addWidget(back)
        body = QHBoxLayout()
        body.addWidget(self.list)
        body.addSpacing(16)
        body.addWidget(self.pages, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(32, 24, 32, 24)
        layout.setSpacing(12)
        layout.addLayout(head)
        layout.addWidget(self.problem)
        layout.addLayout(body, 1)

    def _page(self, form: QFormLayout, hint: str) -> QWidget:
        page = QWidget()
        note = QLabel(hint)
        note.setProperty("role", "secondary")
        note.setWordWrap(True)
        column = QWidget()
        column.setMaximumWidth(720)
        inner = QVBoxLayout(column)
        form.setVerticalSpacing(10)
        inner.addLayout(form)
        inner.addSpacing(12)
        inner.addWidget(note)
        inner.addStretch(1)
        outer = QHBoxLayout(page)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(column, 10)
        outer.addStretch(1)
        return page

    def _appearance(self) -> QWidget:
        self.scale = QSpinBox()
        self.scale.setRange(round(100 * TEXT_SCALE_RANGE[0]), round(100 * TEXT_SCALE_RANGE[1]))
        self.scale.setSingleStep(10)
        self.scale.setSuffix(" %")
        self.scale.setKeyboardTracking(False)
        self.wheel, self.heat = QComboBox(), QComboBox()
        self.wheel.addItem(_tr("zooms about the pointer"), WheelUse.ZOOM)
        self.wheel.addItem(_tr("goes to the next or previous hanging step"), WheelUse.STAGE)
        self.heat.addItem(_tr("dark to amber, lightness rising evenly"), HeatColour.AMBER)
        self.heat.addItem(_tr("jet, as in the papers; not perceptually even"), HeatColour.JET)
        self.scale.valueChanged.connect(lambda v: self._emit(replace(self._settings, text_scale=v / 100)))
        self.wheel.currentIndexChanged.connect(
            lambda _i: self._emit(replace(self._settings, wheel=WheelUse(self.wheel.currentData())))
        )
        self.heat.currentIndexChanged.connect(
            lambda _i: self._emit(replace(self._settings, heat_colour=HeatColour(self.heat.currentData())))
        )
        form = QFormLayout()
        form.addRow(_tr("Text size"), self.scale)
        form.addRow(_tr("Mouse wheel over an image"), self.wheel)
        form.addRow(_tr("Heat map of the AI"), self.heat)
        return self._page(form, _tr("Text size concerns words only, never images. Changes hold at once."))

    def _language(self) -> QWidget:
        self.language = QComboBox()
        self.language.addItem(_tr("as the system"), "system")
        for code in languages():
            self.language.addItem(NAMES.get(code, code), code)
        self.language.currentIndexChanged.connect(
            lambda index: (
                self._emit(replace(self._settings, language=str(self.language.itemData(index))))
                if index >= 0
                else None
            )
        )
        form = QFormLayout()
        form.addRow(_tr("Language"), self.language)
        return self._page(form, _tr("The language changes at the next start of the program."))

    def _memory(self) -> QWidget:
        self.cache = QSpinBox()
        self.cache.setRange(*CACHE_MB_RANGE)
        self.cache.setSingleStep(256)
        self.cache.setSuffix(" MB")
        self.cache.setKeyboardTracking(False)
        self.cache.valueChanged.connect(lambda v: self._emit(replace(self._settings, cache_mb=v)))
        form = QFormLayout()
        form.addRow(_tr("Decoded exams kept in memory"), self.cache)
        return self._page(
            form, _tr("An exam of four full-size views takes about 145 MB. More makes the next case quicker.")
        )

    # ---- in and out

    def set_settings(self, settings: Settings, here: QScreen | None = None, problem: str = "") -> None:
        """Show these settings; ``here`` is the monitor of the window."""
        self._filling, self._settings = True, settings
        self.monitors.set_settings(settings, here)
        self.keys.set_bindings(settings.keys)
        self.scale.setValue(round(100 * settings.text_scale))
        self.wheel.setCurrentIndex(self.wheel.findData(settings.wheel))
        self.heat.setCurrentIndex(self.heat.findData(settings.heat_colour))
        found = self.language.findData(settings.language)
        self.language.setCurrentIndex(max(found, 0))
        self.cache.setValue(settings.cache_mb)
        if self.models is not None:
            choice = ModelChoice(
                main=settings.main_model or self.models.shelf_main,
                beside=settings.models_beside,
                device=settings.model_device,
            )
            self.models.set_choice(choice)
        self._filling = False
        self.show_problem(problem)
        self.list.setFocus(Qt.FocusReason.OtherFocusReason)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in {QEvent.Type.StyleChange, QEvent.Type.FontChange} and hasattr(self, "problem"):
            QTimer.singleShot(0, self, self._fit)  # the lists know their new text size only after this event

    def _fit(self) -> None:
        """Give the list of pages the width of its words, and the pages what is left."""
        self.list.setFixedWidth(self.list.sizeHintForColumn(0) + 24)
        self.monitors.fit_to(self.width() - self.list.width() - 96)

    def show_problem(self, sentence: str) -> None:
        self.problem.setText(sentence)
        self.problem.setVisible(bool(sentence))

    def show_page(self, index: int) -> None:
        self.list.setCurrentRow(index)

    def _on_models(self, choice: ModelChoice) -> None:
        self._emit(
            replace(
                self._settings,
                main_model=choice.main,
                models_beside=choice.beside,
                model_device=choice.device,
            )
        )

    def _on_record(self, record: MonitorRecord) -> None:
        self._emit(self._settings.with_record(record))

    def _emit(self, settings: Settings) -> None:
        if self._filling:
            return
        self._settings = settings
        self.changed.emit(settings)
