"""The order in which a text file first names its modalities, so that differences are taken as its author wrote them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from reader_study.exchange.delimited import LONG_COLUMNS, read_text


def modality_order(path: Path, known: Sequence[str]) -> tuple[str, ...]:
    """``known`` modalities in the file's order; as they are for a workbook, whose rows are in no order."""
    found = [name for name in dict.fromkeys(_named(path)) if name in set(known)]
    return (*found, *(name for name in known if name not in found))


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
