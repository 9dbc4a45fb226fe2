"""Answers "why am I here?" for one viewport: which rule placed the image, what the header said, what lost.

Puts words together from ``Cell.why``, ``Cell.considered`` and ``ViewImage.evidence``; decides nothing.
"""

from __future__ import annotations

from html import escape

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QDialog, QPushButton, QTextBrowser, QVBoxLayout, QWidget

from app.state.hanging import Cell, Match, Stage, title_words
from app.state.hanging_fill import name_of
from app.state.terms import kind_term
from app.views import theme
from inference.exam.types import ViewImage

_DOUBT = ("conflict", "fallback", "undecided", "estimated", "guess")


def _tr(text: str) -> str:
    return QCoreApplication.translate("why_panel", text)


def is_doubtful(sentence: str) -> bool:
    """True for a sentence of the evidence that tells of a conflict or of a rule of last resort."""
    return any(word in sentence.lower() for word in _DOUBT)


def why_sections(
    match: Match, stage: Stage, cell: Cell, image: ViewImage | None
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Headings and sentences that explain one viewport; sections without a sentence are left out."""
    shown = _tr("nothing") if image is None else f"{name_of(image)} ({kind_term(image.kind)}), {image.key}"
    toggled = image is not None and cell.image_key not in {None, image.key}
    sections: list[tuple[str, tuple[str, ...]]] = [
        (
            _tr("Shown here"),
            (shown, _tr("swapped in place for {0}").format(cell.image_key)) if toggled else (shown,),
        ),
        (
            _tr("Placed by"),
            (
                _tr("protocol {0}").format(
                    match.reasons[0] if match.reasons else title_words(match.protocol.title)
                ),
                _tr("step “{0}”, row {1}, column {2}").format(stage.shown_title, cell.row + 1, cell.col + 1),
                cell.why,
            ),
        ),
    ]
    evidence = image.evidence if image is not None else ()
    sections.append((_tr("Conflicts and fallbacks"), tuple(line for line in evidence if is_doubtful(line))))
    sections.append((_tr("What the file says"), tuple(line for line in evidence if not is_doubtful(line))))
    sections.append((_tr("Looked at for this place and not chosen"), cell.considered))
    sections.append((_tr("Others of this exam"), match.reasons[1:]))
    return tuple((heading, lines) for heading, lines in sections if lines)


def why_html(sections: tuple[tuple[str, tuple[str, ...]], ...]) -> str:
    """The sections as rich text; doubtful sentences in the accent colour."""
    parts = []
    for heading, lines in sections:
        parts.append(
            f"<p style='color:{theme.TEXT_SECONDARY}; margin-bottom:2px'>{escape(heading.upper())}</p>"
        )
        for line in lines:
            colour = theme.ACCENT if is_doubtful(line) else theme.TEXT
            parts.append(f"<p style='color:{colour}; margin:1px 0 1px 12px'>{escape(line)}</p>")
    return "".join(parts)


def why_dialog(
    match: Match, stage: Stage, cell: Cell, image: ViewImage | None, parent: QWidget | None = None
) -> QDialog:
    """The answer in a small window; Esc closes it."""
    dialog = QDialog(parent)
    dialog.setObjectName("why")
    dialog.setWindowTitle(_tr("Why is this image here?"))
    dialog.resize(760, 520)
    body = QTextBrowser()
    body.setHtml(why_html(why_sections(match, stage, cell, image)))
    close = QPushButton(_tr("Close   Esc"))
    close.clicked.connect(dialog.accept)
    layout = QVBoxLayout(dialog)
    layout.addWidget(body)
    layout.addWidget(close, 0, Qt.AlignmentFlag.AlignRight)
    return dialog
