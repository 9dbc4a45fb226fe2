"""What a killed program left behind, removed at the next start: scratch folders, and half objects and copies with names
on the PACS shelf.
"""

from __future__ import annotations

import contextlib

from app.logs import logs_folder
from inference.exam.pacs.leftovers import sweep_shelf
from resources.scratch import sweep_scratch


def sweep() -> None:
    """Remove what no living process holds; quick, and never in the way of a start."""
    sweep_scratch()
    with contextlib.suppress(OSError):  # a home folder that is read-only
        sweep_shelf(logs_folder().parent / "pacs")  # where app.pacs_station puts it; not made where it is not
