"""How a run ends: the wish to stop, the last words to the user, and the exit status."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer

from inference.batch.public_words import HINT, MAY_BE_IMAGES
from inference.batch.run import Summary
from inference.batch.work import LEFT_OUT, LESIONS_UNUSED

NOT_ALL = 1
INTERRUPTED = 130


def last_words(source: str, run: Mapping[str, Any], summary: Summary, notes: Sequence[str]) -> int:
    """Say how a run ended; returns the exit status.

    Parameters
    ----------
    run : what run.json says
    notes : what was said of the listing at the start, and has scrolled away since
    """
    for case_id, sentence in run["failures"].items():
        typer.echo(f"{case_id}: {sentence}")
    refused = run.get("refused_files", {})
    if refused:
        why = ", ".join(f"{words} ({count})" for words, count in refused.items())
        typer.echo(f"{sum(refused.values())} files are no part of an exam: {why}. {HINT}")
    if LESIONS_UNUSED in run["warnings"].get("--lesions", ()):
        typer.echo(LESIONS_UNUSED)
    if summary.skipped:
        typer.echo(f"{summary.skipped} exams were done before or by another process.")
    if summary.interrupted:
        typer.echo("Stopped. The same command goes on from here.", err=True)
        return INTERRUPTED
    for note in notes:
        typer.echo(note)
    if summary.ended_early:
        typer.echo(
            "Ended early, for nothing could be fetched or written any more; mend that and run the same command again, "
            "which goes on from here.",
            err=True,
        )
        return NOT_ALL
    if summary.put_off:
        typer.echo(f"{len(summary.put_off)} exams must wait; the same command tries them again.", err=True)
    if not run["seconds_per_exam"]:
        typer.echo(
            f"{source}: expected at least one exam that can be read, found none; see the lines above.",
            err=True,
        )
        return NOT_ALL
    part = [
        case for case, told in run["warnings"].items() if any(words.startswith(LEFT_OUT) for words in told)
    ]
    if part:
        typer.echo(f"{len(part)} were analysed without an image of theirs: {', '.join(part)}.", err=True)
    if run["failures"] or MAY_BE_IMAGES & set(refused):
        typer.echo(
            f"{len(run['failures'])} could not be analysed, {len(run['seconds_per_exam'])} were; see the lines above.",
            err=True,
        )
        return NOT_ALL
    if part:
        return NOT_ALL
    return 0


@contextmanager
def stopping_by_signal() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into a wish to stop; a second Ctrl-C ends the process at once, which loses nothing."""
    asked: list[int] = []

    def ask(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        if len(asked) > 1:
            raise KeyboardInterrupt
        sys.stderr.write("Stopping after what is in hand; Ctrl-C again stops at once.\n")

    before = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, ask)
    except ValueError:  # not in the main thread, where nobody can interrupt
        pass
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
