"""Entry point: a window is painted before the program behind it is imported, then the command line takes over.

Imports nothing heavy itself; which commands there are is in ``app.cli``.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from resources.files import UserFacingError

# Imported in this order beside the painted window. torch is not among them: it lives in the worker process.
HEAVY = ("app.cli", "app.demo_run", "app.views.main_window")
SWITCH_S = 0.001  # how long a busy thread may keep the interpreter from the window's thread


def opens_window(arguments: Sequence[str]) -> bool:
    """Say whether a command line is going to open a window, as far as can be told before it is parsed."""
    if not arguments or {"--help", "--no-display"} & set(arguments):
        return False
    named = [word for word in arguments[1:] if not word.startswith("-")]
    if arguments[0] == "open" and named and not any(Path(word).exists() for word in named):
        return False  # a sentence in the terminal says so, and no window opens before it
    return (
        arguments[0] in {"demo", "start"}
        or list(arguments[:2]) == ["pacs", "browse"]
        or (arguments[0] in {"read", "open", "coordinate"} and bool(named))
    )


def import_program() -> Callable[[], object]:
    """Import what the window needs and return the command line, ready to run.

    Garbage is not collected meanwhile: that would stop the window too.
    """
    collected = gc.isenabled()
    gc.disable()
    try:
        for name in HEAVY:
            importlib.import_module(name)
        command: Callable[[], object] = sys.modules["app.cli"].command_line()
        importlib.import_module("app.leftovers").sweep()
        return command
    finally:
        gc.freeze()
        if collected:  # else the windows' thread collects (app.views.collector)
            gc.enable()


def main() -> None:
    """Entry point of the console script; errors for the user are one sentence on stderr, exit 2."""
    try:
        if opens_window(sys.argv[1:]):
            from app.views import start_window

            sys.setswitchinterval(SWITCH_S)
            first = start_window.open_first(sign_in=sys.argv[1] not in {"open", "start", "pacs"})
            first.beside(import_program)()
            return
        from app import cli, leftovers, logs

        logs.start_command_log()
        leftovers.sweep()
        cli.app()
    except UserFacingError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
