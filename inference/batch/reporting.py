"""Tells a terminal how a run goes: a line an exam on stdout, a progress bar on stderr where that is a terminal."""

from __future__ import annotations

import sys
from types import TracebackType

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from inference.batch.private_list import PrivateList
from inference.batch.work import Product


class TerminalReporter:
    """A ``Reporter`` for people; a context manager that shows the bar while open."""

    def __init__(self, private: PrivateList | None = None) -> None:
        self._private = private or PrivateList(None)
        console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("Exams"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failed]}"),
            console=console,
            redirect_stdout=sys.stdout.isatty(),
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("exams", total=None, failed="")
        self._failed = 0

    def __enter__(self) -> TerminalReporter:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def total(self, done: int, known: int) -> None:
        self._bar.update(self._task, completed=done, total=known or None)

    def exam(self, product: Product) -> None:
        self._private.exam(product.case_id, product.detail)
        if product.failure:
            self._failed += 1
            self._bar.update(self._task, failed=f"{self._failed} failed")
        for line in product.said:
            typer.echo(line)

    def note(self, sentence: str) -> None:
        typer.echo(sentence)
