"""The report as tables: for the terminal (rich) and as Markdown pages with the command that made them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from inference.evaluation.operating import MEASURES
from inference.exam.types import InferenceError
from inference.metrics import FROC_RATES

_SHORT = {
    "sensitivity": "sens.", "specificity": "spec.", "ppv": "PPV", "npv": "NPV", "accuracy": "acc.", "f1": "F1",
}  # fmt: skip
_RATES = tuple(f"{rate:g}" for rate in FROC_RATES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One table of text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def figure(entry: dict[str, Any] | None, digits: int = 3) -> str:
    """A value with its interval in words, or that it has none; "-" when there is no value."""
    if not entry or entry.get("value") is None:
        return "-"
    text = f"{entry['value']:.{digits}f}"
    if entry.get("lo") is not None and entry.get("hi") is not None:
        text += f" ({entry['lo']:.{digits}f} to {entry['hi']:.{digits}f})"
    elif "lo" in entry:
        text += " (no interval)"
    return text


def sheets_of(report: dict[str, Any]) -> list[Sheet]:
    """The tables of an evaluation report, empty ones left out."""
    made = [_auc(report["auc"]), *_froc(report["froc"]), _shares("Pointing game", report["pointing_game"])]
    made += [_dice(report["dice"]), _operating(report["operating_points"]), _strata(report["subgroups"])]
    return [sheet for sheet in made if sheet.rows]


def _auc(auc: dict[str, Any]) -> Sheet:
    rows = tuple(
        (level, kind, figure(e), str(e["n_pos"]), str(e["n_neg"]))
        for level, kinds in auc.items()
        for kind, e in kinds.items()
    )
    return Sheet(
        title="AUC (DeLong 95 % interval)",
        columns=("level", "type", "AUC", "malignant", "other"),
        rows=rows,
    )


def _froc(froc: dict[str, Any]) -> list[Sheet]:
    names = {"centre": "centre of the mark inside the lesion", "iou": "overlap of boxes (IoU) above 0.2"}
    out = []
    for rule, kinds in froc.items():
        rows = tuple(
            (
                kind,
                str(e["n_lesions"]),
                *(figure({"value": e[r], "lo": e["lo"][r], "hi": e["hi"][r]}, 2) for r in _RATES),
                figure(e["area"]),
            )
            for kind, e in kinds.items()
        )
        images = next(iter(kinds.values()))["n_images"] if kinds else 0
        out.append(
            Sheet(
                title=f"Lesion sensitivity at false positives per image, {names[rule]}, {images} images",
                columns=("type", "lesions", *_RATES, "area to 1"),
                rows=rows,
            )
        )
    return out


def _shares(title: str, shares: dict[str, Any]) -> Sheet:
    rows = tuple((kind, figure(e), str(e["n"])) for kind, e in shares.items())
    return Sheet(title=title, columns=("type", "hits", "images"), rows=rows)


def _dice(dice: dict[str, Any]) -> Sheet:
    rows = tuple(
        (
            kind,
            figure(e),
            f"{e['mean']:.3f}",
            f"{e['n_found']} of {e['n']}",
            figure({"value": e["median_found"]}),
        )
        for kind, e in dice.items()
    )
    return Sheet(
        title="Dice of outlines (a lesion without outline counts 0)",
        columns=("type", "median", "mean", "outlined", "median of outlined"),
        rows=rows,
    )


def _operating(points: dict[str, Any]) -> Sheet:
    rows = tuple(
        (
            level,
            name,
            f"{e['threshold']:.3f}",
            *(figure(e[m], 2) for m in MEASURES),
            f"{e['n_pos']} / {e['n_neg']}",
        )
        for level, named in points.items()
        for name, e in named.items()
    )
    return Sheet(
        title="Operating points",
        columns=("level", "name", "at", *(_SHORT[m] for m in MEASURES), "malignant / other"),
        rows=rows,
    )


def _strata(strata: dict[str, Any]) -> Sheet:
    rows = tuple(
        (attribute, group, level, figure(e), f"{e['n_pos']} / {e['n_neg']}")
        for attribute, groups in strata.items()
        for group, levels in groups.items()
        for level, e in levels.items()
    )
    return Sheet(
        title="AUC in subgroups", columns=("by", "group", "level", "AUC", "malignant / other"), rows=rows
    )


def print_sheets(sheets: Sequence[Sheet], warnings: Sequence[str], console: Console) -> None:
    """Write tables and warnings to a terminal; where it is narrow the widest tables go without intervals."""
    bare = False
    for sheet in sheets:
        short = console.width < 150 and len(sheet.columns) > 6
        bare = bare or short
        table = Table(title=sheet.title, title_justify="left", padding=(0, 0) if short else (0, 1))
        for column in sheet.columns:
            table.add_column(column)
        for row in sheet.rows:
            table.add_row(*(cell.partition(" (")[0] if short else cell for cell in row))
        console.print(table)
    if bare:
        console.print("Intervals of the wide tables: --json, --markdown, or a terminal of 150 columns.")
    for sentence in warnings:
        console.print(f"- {sentence}", markup=False, highlight=False)


def markdown(title: str, command: str, sheets: Sequence[Sheet], warnings: Sequence[str] = ()) -> str:
    """A page of the tables; its second line is the command that makes it again."""
    lines = [f"# {title}", "", f"Made by `{command}`; do not edit by hand.", ""]
    for sheet in sheets:
        lines += [f"## {sheet.title}", "", "| " + " | ".join(sheet.columns) + " |"]
        lines += ["|" + "---|" * len(sheet.columns)]
        lines += ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in sheet.rows]
        lines.append("")
    if warnings:
        lines += ["## Not computed or left out", "", *(f"* {sentence}" for sentence in warnings), ""]
    return "\n".join(lines)


def command_line(command: str, words: Sequence[str | Path | None]) -> str:
    """The command as typed, without the folders of this machine: an absolute path keeps its last two parts."""
    out = ["negatoscope", command]
    for word in words:
        if word is None:
            continue
        path = Path(word)
        out.append(shlex.quote("/".join(path.parts[-2:]) if path.is_absolute() else str(word)))
    return " ".join(out)


def write_page(path: Path, text: str) -> None:
    """Write a page, its folder made; InferenceError in one sentence where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InferenceError(
            f"{path}: expected a file that can be written, found {error.strerror}; name another."
        ) from error
