"""Where the program keeps its data on this machine: one folder, by the system's own convention."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path, user_data_path


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramFolders:
    """``home`` holds what must not be lost, ``cache`` what can be computed again."""

    home: Path
    cache: Path


def program_folders(part: str) -> ProgramFolders:
    """Return (and make) the folders for one part of the program, e.g. 'demo'; NEGATOSCOPE_HOME moves them."""
    named = os.environ.get("NEGATOSCOPE_HOME")
    home = Path(named) / part if named else user_data_path("negatoscope", appauthor=False) / part
    cache = Path(named) / "cache" if named else user_cache_path("negatoscope", appauthor=False)
    home.mkdir(parents=True, exist_ok=True)
    cache.mkdir(parents=True, exist_ok=True)
    return ProgramFolders(home=home, cache=cache)
