"""Where the log files lie and how long they are kept; the form of their lines is ``resources.log_lines``.

Nothing is ever sent. One file a kind of process, each rotated at 1 MB with five older ones kept: 24 MB at most.
"""

from __future__ import annotations

from pathlib import Path

from app.files import program_folders
from resources import log_lines

WINDOW, COMMANDS, WORKER, BATCH = KINDS = ("negatoscope", "commands", "worker", "batch")


def logs_folder() -> Path:
    """Return (and make) the folder of this user's log files."""
    return program_folders("logs").home


def start_window_log() -> Path | None:
    """Start the log of a process with windows; None when it cannot be written."""
    return _start(WINDOW)


def start_command_log() -> Path | None:
    """Start the log of a command without windows."""
    return _start(COMMANDS)


def _start(name: str) -> Path | None:
    try:
        folder = logs_folder()
    except OSError:  # the home folder is read-only: the console still tells
        return log_lines.start(None, name)
    return log_lines.start(folder, name)
