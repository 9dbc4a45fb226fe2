"""A process that takes part in a run, with made-up results: what the tests start, stop and kill.

python -m tests.inference.batch.station SOURCE OUT [KEY=VALUE ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

from inference.batch.command import Order, carry_out
from resources.files import UserFacingError


def _value(word: str) -> object:
    try:
        return int(word) if word.isdigit() else float(word)
    except ValueError:
        return word


def main(words: list[str]) -> int:
    source, out, *more = words
    given: dict[str, object] = {}
    for word in more:
        name, _, value = word.partition("=")
        given[name] = Path(value) if name == "problems" else _value(value)
    try:
        return carry_out(Order(source=source, folder=Path(out), card=None, **given))  # type: ignore[arg-type]
    except UserFacingError as error:
        print(error)
        return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
