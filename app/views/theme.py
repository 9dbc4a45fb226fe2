"""Every colour, size and font of the program, and the style sheet made from them.

Owns looks only; shortcuts are in ``app.control.commands``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from PySide6.QtGui import QColor, QFont, QGuiApplication

from resources.vocabulary import FindingType

IMAGE_BLACK = "#000000"
CHROME = "#121416"
CHROME_RAISED = "#1A1D20"
CHROME_FIELD = "#0C0E0F"
HAIRLINE = "#2A2E33"
TEXT = "#C9CDD2"
TEXT_SECONDARY = "#8A9199"
TEXT_DISABLED = "#5A6067"
ACCENT = "#E8B04A"
ACCENT_DIM = "#6B5429"
ERROR = "#E06C5A"
OK = "#7FB77E"
MARK = "#7FD1C7"  # the reader's own marks where the type has no colour yet
MEASURE = "#C5B8F0"  # measurements and annotations: no finding type has this colour
AI_UNTYPED = "#D0A24A"
FOCUS_FRAME = "#4A3D22"

FAMILY = "Inter"
# Simplified Chinese of the systems, before the system's own choice, which may be a Japanese cut of the same signs.
CJK_FAMILIES = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
)
FAMILIES = (FAMILY, "Segoe UI", "Noto Sans", "DejaVu Sans", *CJK_FAMILIES)
BASE_PX = 13
VIEW_LABEL_PX = 19
SMALL_PX = 11
AI_LINE_PX = 1.3
MARK_LINE_PX = 2.6
SELECTED_EXTRA_PX = 0.9
MARK_RADIUS_PX = 11
MAGNIFIER_PX = 320
SCALE_RANGE = (0.8, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingLook:
    """Colour and glyph of one finding type; both differ between types, so neither is needed alone."""

    colour: str
    glyph: str  # circle, triangle, square, star or diamond
    character: str  # the glyph as text, for lists


FINDING_LOOKS: dict[FindingType, FindingLook] = {
    FindingType.MASS: FindingLook(colour="#56B4E9", glyph="circle", character="●"),
    FindingType.CALCIFICATION: FindingLook(colour="#F0E442", glyph="triangle", character="▲"),
    FindingType.ASYMMETRY: FindingLook(colour="#CC79A7", glyph="square", character="■"),
    FindingType.DISTORTION: FindingLook(colour="#E69F00", glyph="star", character="★"),
    FindingType.ENHANCEMENT: FindingLook(colour="#009E73", glyph="diamond", character="◆"),
}


def finding_colour(finding: FindingType | None, *, ai: bool) -> QColor:
    """Colour of a box or mark; an untyped one takes the colour of its author."""
    if finding is None:
        return QColor(AI_UNTYPED if ai else MARK)
    return QColor(FINDING_LOOKS[finding].colour)


@lru_cache(maxsize=64)  # looking a font up costs more than drawing with it
def font(pixels: float = BASE_PX, *, scale: float = 1.0, bold: bool = False) -> QFont:
    """Return the program's font with figures of equal width; Qt falls back to the system font without
    Inter."""
    made = QFont(list(FAMILIES))
    made.setPixelSize(max(8, round(pixels * scale)))
    made.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
    made.setFeature(QFont.Tag("tnum"), 1)
    return made


def text_scale() -> float:
    """Return the text scale in force, by the font of the program: 1.0 unless the settings say another."""
    pixels = QGuiApplication.font().pixelSize()
    return pixels / BASE_PX if pixels > 0 else 1.0


def scaled(pixels: float) -> int:
    """Return a width or height in pixels that holds the same words at the text scale in force."""
    return round(pixels * text_scale())


def stylesheet(scale: float = 1.0) -> str:
    """Return the style sheet of the whole program for a text scale of 0.8 to 2.0."""
    scale = min(max(scale, SCALE_RANGE[0]), SCALE_RANGE[1])

    def px(value: float) -> str:
        return f"{max(1, round(value * scale))}px"

    families = ", ".join(f'"{family}"' for family in FAMILIES)
    return f"""
* {{ font-family: {families}, sans-serif;
  font-size: {px(BASE_PX)}; color: {TEXT}; }}
QWidget {{ background: {CHROME}; }}
QLabel {{ background: transparent; }}
#secondary, #quiet, QLabel[role="secondary"] {{ color: {TEXT_SECONDARY}; }}
QLabel[role="heading"] {{ font-size: {px(18)}; font-weight: 600; }}
QLabel[role="section"] {{ color: {TEXT_SECONDARY}; font-size: {px(SMALL_PX)}; font-weight: 600; }}
QLabel[role="error"], QLabel[problem="true"] {{ color: {ERROR}; }}
QLabel[role="ok"] {{ color: {OK}; }}
QLabel[role="accent"] {{ color: {ACCENT}; }}
QLineEdit, QSpinBox, QDoubleSpinBox, QComboBox, QPlainTextEdit, QTextEdit {{
  background: {CHROME_FIELD}; border: 1px solid {HAIRLINE}; border-radius: {px(3)}; padding: {px(4)} {px(6)};
  selection-background-color: {ACCENT_DIM}; }}
QLineEdit:focus, QSpinBox:focus, QComboBox:focus, QPlainTextEdit:focus {{ border-color: {ACCENT}; }}
*[problem="true"] {{ border: 1px solid {ERROR}; }}
#bigTitle {{ font-size: {px(22)}; font-weight: 600; }}
#cardTitle {{ font-size: {px(16)}; font-weight: 600; }}
#panelHeading {{ color: {TEXT_SECONDARY}; font-size: {px(SMALL_PX)}; font-weight: 600; }}
#fieldTitle {{ color: {TEXT_SECONDARY}; }}
#fieldProblem {{ color: {ERROR}; }}
#percent, #aiScores {{ color: {ACCENT}; }}
#card, #markEditor {{
  background: {CHROME_RAISED}; border: 1px solid {HAIRLINE}; border-radius: {px(6)}; }}
#choice {{ padding: {px(4)} {px(8)}; }}
QCheckBox::indicator {{ width: {px(13)}; height: {px(13)}; background: {CHROME_FIELD};
  border: 1px solid {TEXT_DISABLED}; border-radius: {px(2)}; }}
QCheckBox::indicator:checked {{ background: {ACCENT}; border-color: {ACCENT}; }}
QCheckBox::indicator:disabled {{ background: transparent; border-color: {HAIRLINE}; }}
QLineEdit:disabled {{ color: {TEXT_DISABLED}; }}
QCheckBox::indicator:focus, QCheckBox:focus::indicator {{ border-color: {TEXT}; }}
QRadioButton::indicator {{ width: {px(11)}; height: {px(11)}; background: {CHROME_FIELD};
  border: 1px solid {TEXT_DISABLED}; border-radius: {px(6)}; }}
QRadioButton::indicator:checked {{ background: {ACCENT}; border-color: {ACCENT}; }}
QRadioButton:focus::indicator {{ border-color: {TEXT}; }}
QPushButton, QToolButton {{
  background: {CHROME_RAISED}; border: 1px solid {HAIRLINE}; border-radius: {px(3)};
  padding: {px(5)} {px(12)}; }}
QToolButton {{ padding: {px(4)} {px(8)}; }}
QPushButton:hover, QToolButton:hover {{ border-color: {TEXT_SECONDARY}; }}
QPushButton:focus, QToolButton:focus {{ border-color: {ACCENT}; }}
QPushButton:checked, QToolButton:checked {{ background: {ACCENT_DIM}; border-color: {ACCENT}; }}
QPushButton:disabled, QToolButton:disabled {{ color: {TEXT_DISABLED}; }}
#submit, #confirmMark, QPushButton[role="choice"] {{ padding: {px(4)} 0; min-width: {px(18)}; }}
#worklist #submit {{ padding: {px(5)} {px(16)}; }}
QPushButton[role="quiet"] {{ background: transparent; color: {TEXT_SECONDARY}; }}
QLabel#blank {{ background: {IMAGE_BLACK}; color: {TEXT_SECONDARY}; }}
QFrame[role="card"] {{ background: {CHROME_RAISED}; border: 1px solid {HAIRLINE}; border-radius: {px(6)}; }}
QFrame#findingsPanel, QFrame#aiPanel, QFrame#assessmentPanel {{ border-top: 1px solid {HAIRLINE}; }}
QLabel#aiState {{ padding-left: {px(6)}; border-left: {px(2)} solid {HAIRLINE}; }}
QLabel#aiState[phase="ready"] {{ padding-left: 0; border-left: 0; }}
QLabel#aiState[phase="running"] {{ border-left-color: {ACCENT_DIM}; }}
QLabel#aiState[phase="failed"] {{ color: {ERROR}; border-left-color: {ERROR}; }}
QLabel#aiState[phase="absent"] {{ color: {TEXT}; border-left: {px(2)} dashed {TEXT_SECONDARY}; }}
QLabel#aiState[phase="stopped"] {{ color: {ACCENT}; border-left-color: {ACCENT}; }}
QLabel#modelState, QLabel#aiWarnings[dense="true"] {{ font-size: {px(SMALL_PX)}; }}
QFrame#modelLine {{ border-left: {px(2)} solid transparent; }}
QFrame#modelLine[role="front"] {{ border-left: {px(2)} solid {ACCENT}; }}
QLabel#aiDetail {{ background: {CHROME_RAISED}; border: 1px solid {HAIRLINE}; border-radius: {px(3)};
  padding: {px(4)}; font-size: {px(SMALL_PX)}; }}
QLabel#aiMeaning {{ font-size: {px(SMALL_PX)}; }}
*[role="point"] {{ padding: {px(2)} {px(5)}; font-size: {px(SMALL_PX)}; }}
QListWidget#aiFindings {{ background: {CHROME_FIELD}; outline: 0; }}
QPushButton[role="primary"] {{
  background: {ACCENT}; color: {CHROME}; border-color: {ACCENT}; font-weight: 600; }}
#submit:focus, #confirmMark:focus {{ border-color: {TEXT}; }}
#submit:disabled, #confirmMark:disabled, QPushButton[role="primary"]:disabled {{
  background: {ACCENT_DIM}; color: {CHROME}; }}
QTableView, QTreeView, QListView, QTableWidget {{
  background: {CHROME}; alternate-background-color: {CHROME_RAISED}; border: 1px solid {HAIRLINE};
  gridline-color: {HAIRLINE}; selection-background-color: {ACCENT_DIM}; selection-color: {TEXT}; }}
QHeaderView::section {{
  background: {CHROME_RAISED}; color: {TEXT_SECONDARY}; border: 0; border-bottom: 1px solid {HAIRLINE};
  padding: {px(5)} {px(8)}; }}
QProgressBar {{
  background: {CHROME_FIELD}; border: 1px solid {HAIRLINE}; border-radius: {px(3)}; text-align: center; }}
QProgressBar::chunk {{ background: {ACCENT_DIM}; }}
QSlider::groove:horizontal {{ background: {HAIRLINE}; height: {px(3)}; }}
QSlider::handle:horizontal {{
  background: {ACCENT}; width: {px(12)}; margin: -{px(5)} 0; border-radius: {px(6)}; }}
QScrollBar:vertical {{ background: {CHROME}; width: {px(10)}; }}
QScrollBar::handle:vertical {{ background: {HAIRLINE}; border-radius: {px(4)}; min-height: {px(24)}; }}
QScrollBar:horizontal {{ background: {CHROME}; height: {px(10)}; }}
QScrollBar::handle:horizontal {{ background: {HAIRLINE}; border-radius: {px(4)}; min-width: {px(24)}; }}
QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page {{
  background: none; width: 0; height: 0; }}
QToolTip {{ background: {CHROME_RAISED}; color: {TEXT}; border: 1px solid {HAIRLINE}; padding: {px(4)}; }}
QSplitter::handle, QFrame[role="hairline"] {{ background: {HAIRLINE}; }}
QListWidget#settingsPages {{ border: 0; outline: 0; }}
QListWidget#settingsPages::item:selected {{ background: {ACCENT_DIM}; }}
QListWidget#settingsPages::item {{ padding: {px(7)} {px(10)}; border-radius: {px(3)}; }}
QMenu {{ background: {CHROME_RAISED}; border: 1px solid {HAIRLINE}; }}
QMenu::item:selected {{ background: {ACCENT_DIM}; }}
"""
