"""The order of arms, which is the sign of every difference: as a text file names them, aided before unaided, or as asked.

Reads no ratings and changes none; a difference is the first arm minus the second.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from pathlib import Path

from reader_study.exchange.delimited import LONG_COLUMNS, read_text
from reader_study.report.inputs import ReportInputs


def modality_order(path: Path, known: Sequence[str]) -> tuple[str, ...]:
    """``known`` modalities in the file's order; as they are for a workbook, whose rows are in no order."""
    found = [name for name in dict.fromkeys(_named(path)) if name in set(known)]
    return (*found, *(name for name in known if name not in found))


def aided_first(arms: Sequence[str], with_ai: Set[str]) -> tuple[str, ...]:
    """Arms in which the AI was shown come first, so that every difference is aided minus unaided.

    Parameters
    ----------
    with_ai
        arms of which the study recorded that AI results were there; where none or all were, the names decide
        (an arm called "unaided ..." or "without ..." comes last), then the alphabet.
    """
    shown = {arm for arm in arms if arm in with_ai}
    if not shown or len(shown) == len(arms):
        shown = {
            arm for arm in arms if not re.search(r"un-?aided|without|no[ _-]ai|alone", arm, re.IGNORECASE)
        }
    return tuple(sorted(arms, key=lambda arm: (arm not in shown, arm)))


def with_first_arm(inputs: ReportInputs, first: str) -> ReportInputs:
    """The same study with this arm as the first of every difference; StatisticsError names the known ones."""
    arms = inputs.ratings.modalities
    order = (*inputs.ratings.pick(modalities=[first]).modalities, *(arm for arm in arms if arm != first))
    return replace(
        inputs,
        ratings=inputs.ratings.pick(modalities=order),
        froc=inputs.froc.in_order(order) if inputs.froc is not None else None,
        by_type={
            name: replace(one, ratings=one.ratings.pick(modalities=order))
            for name, one in inputs.by_type.items()
        },
    )


def _named(path: Path) -> Iterator[str]:
    if path.suffix.lower() == ".lrc":
        yield from re.findall(r'"([^"\n]+)"', read_text(path))
        return
    if path.suffix.lower() not in {".csv", ".imrmc"}:
        return
    text = read_text(path)
    lines = text.split("\n")
    head = [cell.strip().strip('"').lower() for cell in lines[0].split(",")]
    column = next((k for k, name in enumerate(head) if name in LONG_COLUMNS["modality"]), None)
    start = 1
    if column is None:  # iMRMC: front matter, BEGIN DATA:, then reader, case, modality, score
        column = 2
        start = 1 + next((k for k, line in enumerate(lines) if line.upper().startswith("BEGIN DATA")), -1)
    for row in csv.reader(lines[start:]):
        if len(row) > column:
            yield row[column].strip()
