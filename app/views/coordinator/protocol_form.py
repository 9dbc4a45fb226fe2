"""The protocol as a form: the same keys and values as the YAML file, filled in and read back.

Readers, cases and a given allocation pass through unchanged; they have pages of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from app.state.model_shelf import ListedModel
from app.views.coordinator.arm_models import ArmModels
from app.views.coordinator.page import button, section
from app.views.coordinator.protocol_fields import Field, Kind, sections
from app.views.theme import scaled
from reader_study.errors import StudyError

_LAYERS = ("boxes", "heatmap", "score")


def _tr(text: str) -> str:
    return QCoreApplication.translate("coordinator", text)


class ProtocolForm(QWidget):
    """Every field of a protocol; ``values`` is what a file would hold."""

    edited = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._kept: dict[str, Any] = {}
        self._fields: list[tuple[Field, QWidget]] = []
        self.arms = ArmsEditor()
        columns = QHBoxLayout(self)
        columns.setSpacing(36)
        left, right = QVBoxLayout(), QVBoxLayout()
        for side in (left, right):
            side.setSpacing(8)  # a layout inside another takes the other's spacing otherwise
        for number, part in enumerate(sections()):
            side = left if number in (0, 1, 5) else right
            side.addWidget(section(part.title))
            side.addLayout(self._form(part.fields))
            side.addSpacing(14)
        left.insertWidget(2, section(_tr("ARMS: WHAT AI IS SHOWN")))
        left.insertWidget(3, self.arms)
        for side in (left, right):
            side.addStretch(1)
            columns.addLayout(side, 1)

    def _form(self, fields: tuple[Field, ...]) -> QFormLayout:
        form = QFormLayout()
        form.setVerticalSpacing(6)
        form.setHorizontalSpacing(14)
        for field in fields:
            widget = _widget(field)
            widget.setObjectName(".".join(field.path))
            widget.setToolTip(field.hint or field.label)
            self._fields.append((field, widget))
            label = QLabel("" if field.kind is Kind.FLAG else field.label)
            label.setBuddy(widget)
            label.setMinimumWidth(220)
            form.addRow(label, widget)
        return form

    def field(self, path: str) -> QWidget:
        """The widget of a field by its keys, e.g. "conduct.idle_threshold_s"."""
        return next(widget for field, widget in self._fields if ".".join(field.path) == path)

    def set_values(self, values: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        """Show a protocol; a key it leaves out stands at its default.

        Parameters
        ----------
        values : keys and values of a protocol file
        defaults : every key of the form at its default, as ``default_values`` gives them
        """
        self._kept = deepcopy(dict(values))
        for field, widget in self._fields:
            _fill(widget, field, _at(values, field.path, _at(defaults, field.path, None)))
        self.arms.set_arms(values.get("arms", []))

    def values(self) -> dict[str, Any]:
        """Return the keys and values of the protocol; StudyError names a field that is no number."""
        made = deepcopy(self._kept)
        for field, widget in self._fields:
            place = made
            for key in field.path[:-1]:
                place = place.setdefault(key, {})
            place[field.path[-1]] = _read(widget, field)
        made["arms"] = self.arms.arms()
        drawn_from = ("seed", "design", "blocks", "arms")
        if any(made.get(key) != self._kept.get(key, made.get(key)) for key in drawn_from):
            made.pop("allocation", None)  # a given allocation belongs to the design it was given for
        return made

    def clear(self) -> None:
        self._kept = {}
        for field, widget in self._fields:
            _fill(widget, field, None)
        self.arms.set_arms([])


class ArmsEditor(QWidget):
    """Two lines an arm: id, title, whether AI is shown, which layers and operating point; then which models are asked."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.listed: tuple[
            ListedModel, ...
        ] = ()  # the models to choose from in arms that are shown from now on
        self._rows: list[dict[str, QWidget]] = []
        self.models: list[ArmModels] = []  # by arm
        self._said: list[QLabel] = []
        self._grid = QGridLayout()
        self._grid.setSpacing(6)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 10)
        layout.addLayout(self._grid)
        tools = QHBoxLayout()
        tools.addWidget(button(_tr("Add an arm"), self._add_empty, role="quiet"))
        tools.addWidget(button(_tr("Remove the last arm"), self._remove, role="quiet"))
        tools.addStretch(1)
        layout.addLayout(tools)
        titles = (
            _tr("Id"),
            _tr("Title"),
            _tr("AI"),
            _tr("Boxes"),
            _tr("Heat map"),
            _tr("Score"),
            _tr("Threshold"),
            _tr("Reader may move it"),
        )
        for column, title in enumerate(titles):
            label = QLabel(title)
            label.setProperty("role", "secondary")
            self._grid.addWidget(label, 0, column)
        self._grid.setColumnStretch(1, 1)

    def set_arms(self, arms: list[Mapping[str, Any]]) -> None:
        while self._rows:
            self._remove(least=0)
        for arm in arms:
            self._add(arm)

    def arms(self) -> list[dict[str, Any]]:
        """Return the arms as a protocol file holds them; StudyError names a wrong threshold or a lacking model."""
        made = []
        for number, row in enumerate(self._rows):
            names = ("shown", *_LAYERS, "threshold_choice")
            flags: dict[str, Any] = {name: _checked(row[name]) for name in names}
            threshold = _number(_text(row["operating_threshold"]), _tr("Threshold"))
            if threshold is None:
                raise StudyError(_tr("Threshold: expected a number from 0 to 1, found nothing; fill it in."))
            flags["operating_threshold"] = threshold
            asked = self.models[number].models()
            if asked is None and flags["shown"]:
                raise StudyError(
                    _tr(
                        "Arm {0}: expected at least one model where AI is shown, found none; tick a model or the "
                        "station's own."
                    ).format(_text(row["arm_id"]))
                )
            if asked:
                flags["models"] = asked
            made.append({"arm_id": _text(row["arm_id"]), "title": _text(row["title"]), "ai": flags})
        return made

    def _add_empty(self) -> None:
        number = len(self._rows) + 1
        self._add({"arm_id": f"arm{number}", "title": "", "ai": {"shown": True}})
        self._rows[-1]["arm_id"].setFocus()

    def _add(self, arm: Mapping[str, Any]) -> None:
        ai = arm.get("ai", {})
        row: dict[str, QWidget] = {
            "arm_id": QLineEdit(str(arm["arm_id"])),
            "title": QLineEdit(str(arm["title"])),
        }
        row |= {
            name: _flag(ai.get(name, start))
            for name, start in (("shown", False), *((n, True) for n in _LAYERS))
        }
        row["operating_threshold"] = QLineEdit(f"{float(ai.get('operating_threshold', 0.5)):g}")
        row["arm_id"].setMaximumWidth(110)
        for name in ("arm_id", "title"):
            field = row[name]
            assert isinstance(field, QLineEdit)
            field.setMinimumWidth(scaled(70))
            field.setCursorPosition(0)  # the beginning of a name tells more than its end
        row["operating_threshold"].setMaximumWidth(70)
        row["threshold_choice"] = _flag(ai.get("threshold_choice", True))
        shown = row["shown"]
        assert isinstance(shown, QCheckBox)
        models = ArmModels(self.listed)
        models.set_models(list(ai.get("models", ())))
        inside = [models, *(row[name] for name in (*_LAYERS, "operating_threshold", "threshold_choice"))]
        for part in inside:  # an arm without AI has no layers to choose: dimmed, its values are kept
            shown.toggled.connect(part.setEnabled)
            part.setEnabled(shown.isChecked())
        line = self._grid.rowCount()
        titles = (
            _tr("Id"),
            _tr("Title"),
            _tr("AI"),
            _tr("Boxes"),
            _tr("Heat map"),
            _tr("Score"),
            _tr("Threshold"),
            _tr("Reader may move it"),
        )
        for column, ((name, widget), title) in enumerate(zip(row.items(), titles, strict=True)):
            widget.setObjectName(f"arm.{len(self._rows)}.{name}")
            widget.setAccessibleName(title)
            self._grid.addWidget(widget, line, column)
        said = QLabel(_tr("Models"))
        said.setProperty("role", "secondary")
        said.setBuddy(models.station)
        self._grid.addWidget(said, line + 1, 0, Qt.AlignmentFlag.AlignTop)
        self._grid.addWidget(models, line + 1, 1, 1, len(titles) - 1)
        self._rows.append(row)
        self.models.append(models)
        self._said.append(said)

    def _remove(self, least: int = 1) -> None:
        if len(self._rows) <= least:
            return
        for widget in (*self._rows.pop().values(), self.models.pop(), self._said.pop()):
            self._grid.removeWidget(widget)
            widget.hide()
            widget.deleteLater()


def _widget(field: Field) -> QWidget:
    if field.kind is Kind.FLAG:
        return QCheckBox(field.label)
    if field.kind is Kind.CHOICE:
        box = QComboBox()
        for value, word in field.choices:
            box.addItem(word, str(value))
        return box
    if field.kind is Kind.LINES:
        text = QPlainTextEdit()
        text.setFixedHeight(58)
        text.setTabChangesFocus(True)
        text.setPlaceholderText(field.hint)
        return text
    line = QLineEdit()
    line.setPlaceholderText(field.hint)
    if field.kind in (Kind.WHOLE, Kind.NUMBER):
        line.setMaximumWidth(200)
    return line


def _fill(widget: QWidget, field: Field, value: Any) -> None:
    if isinstance(widget, QCheckBox):
        widget.setChecked(bool(value))
    elif isinstance(widget, QComboBox):
        widget.setCurrentIndex(max(0, widget.findData(str(value))))
    elif isinstance(widget, QPlainTextEdit):
        widget.setPlainText("\n".join(value or ()))
    elif isinstance(widget, QLineEdit):
        if field.kind is Kind.WORDS:
            widget.setText(", ".join(map(str, value or ())))
        else:
            number = isinstance(value, float)
            widget.setText("" if value is None else f"{value:g}" if number else str(value))
        widget.setCursorPosition(0)


def _read(widget: QWidget, field: Field) -> Any:
    if isinstance(widget, QCheckBox):
        return widget.isChecked()
    if isinstance(widget, QComboBox):
        return str(widget.currentData())
    if isinstance(widget, QPlainTextEdit):
        return [line.strip() for line in widget.toPlainText().splitlines() if line.strip()]
    words = _text(widget)
    if field.kind is Kind.WORDS:
        return [word.strip() for word in words.split(",") if word.strip()]
    if field.kind is Kind.NUMBER:
        return _number(words, field.label)
    if field.kind is Kind.WHOLE:
        try:
            return int(words) if words else None
        except ValueError as error:
            raise StudyError(
                _tr("{0}: expected a whole number, found “{1}”; correct it.").format(field.label, words)
            ) from error
    return words


def _number(words: str, label: str) -> float | None:
    try:
        return float(words) if words else None
    except ValueError as error:
        raise StudyError(
            _tr("{0}: expected a number, found “{1}”; correct it.").format(label, words)
        ) from error


def _text(widget: QWidget) -> str:
    assert isinstance(widget, QLineEdit)
    return widget.text().strip()


def _flag(checked: object) -> QCheckBox:
    flag = QCheckBox()
    flag.setChecked(bool(checked))
    return flag


def _checked(widget: QWidget) -> bool:
    assert isinstance(widget, QCheckBox)
    return widget.isChecked()


def _at(values: Mapping[str, Any], path: tuple[str, ...], default: Any) -> Any:
    found: Any = values
    for key in path:
        if not isinstance(found, Mapping) or key not in found:
            return default
        found = found[key]
    return found
