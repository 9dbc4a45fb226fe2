"""How every figure of the report is drawn: size of print, colours, markers, SVG that is the same for the same input."""

from __future__ import annotations

import io
from typing import Any

# Okabe & Ito's colour-blind-safe set, without yellow (too faint on paper)
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
INK, FAINT, QUIET = "#1b1e22", "#9aa2aa", "#b9c0c7"
COLUMN_IN = 3.5  # one column of a journal; two side by side fill the page
PAGE_IN = 7.1
NAME_LENGTH = 28


def figure(width: float, height: float) -> Any:
    """An empty canvas, inches."""
    from matplotlib.figure import Figure as Canvas  # 0.5 s, only when a report is made

    return Canvas(figsize=(width, height), layout="constrained")


def svg(canvas: Any) -> str:
    """The canvas as SVG; text stays text (searchable, editable by a journal), equal input gives an equal file."""
    import matplotlib as mpl

    stream = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "negatoscope", "font.family": "sans-serif",
                         "font.sans-serif": ["DejaVu Sans"]}):  # fmt: skip
        canvas.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()


def plain(axes: Any) -> None:
    """No frame above and at the right; small tick labels."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7.5)
    axes.xaxis.label.set_size(8.5)
    axes.yaxis.label.set_size(8.5)
    axes.title.set_size(9)


def short(name: str, length: int = NAME_LENGTH) -> str:
    """A name that fits a legend; the middle of a long one is left out, as its end often tells it apart."""
    if len(name) <= length:
        return name
    head = (length - 1) // 2
    return f"{name[:head]}…{name[-(length - 1 - head) :]}"


def reader_style(j: int, count: int) -> dict[str, object]:
    """Colour and marker of one reader; with more than six nobody can tell them apart, so all are grey."""
    if count > len(COLOURS):
        return {"color": QUIET, "lw": 0.7, "marker": ".", "ms": 2.4}
    return {"color": COLOURS[j], "lw": 0.9, "marker": MARKERS[j], "ms": 2.8}


def arm_colour(a: int) -> str:
    """Colour of an arm."""
    return COLOURS[a % len(COLOURS)]


def panels(count: int, height: float = 3.6) -> tuple[Any, list[Any]]:
    """A canvas of square panels, two a row; returns it and the panels in order."""
    columns = min(count, 2)
    rows = (count + columns - 1) // columns
    canvas = figure(COLUMN_IN * columns + (0.6 if columns == 1 else 0.1), height * rows)
    grid = canvas.subplots(rows, columns, squeeze=False)
    for k in range(count, grid.size):
        grid.flat[k].set_visible(False)
    return canvas, [grid.flat[k] for k in range(count)]


def unit_square(axes: Any, *, title: str, x: str, y: str) -> None:
    """Both axes 0..1, equal scales."""
    ticks = (0, 0.2, 0.4, 0.6, 0.8, 1.0)
    axes.set(xlim=(-0.015, 1.015), ylim=(-0.015, 1.015), aspect="equal", xticks=ticks, yticks=ticks,
             title=short(title, 44), xlabel=x, ylabel=y)  # fmt: skip
    plain(axes)
