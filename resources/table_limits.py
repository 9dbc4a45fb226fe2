"""Limits for tables of text: a few megabytes of short rows under a wide header would fill any memory.

What a table's columns mean, and the sentence of a refusal, is its reader's.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

MAX_CELLS = 10_000_000  # half a million images of twenty columns


def within_limits(reader: csv.DictReader[str]) -> Iterator[dict[str | Any, str | Any]]:
    """Yield the rows of a table; ``csv.Error``, as for other damage, when rows times columns pass ten million."""
    width = max(len(reader.fieldnames or ()), 4)
    for number, row in enumerate(reader, 1):
        if number * width > MAX_CELLS:
            raise csv.Error(f"more than {MAX_CELLS} cells in rows of {width} columns")
        yield row
