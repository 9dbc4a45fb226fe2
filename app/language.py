"""The chosen language, read before anything heavy is imported: the first window speaks it too.

Only looks: ``app.settings_store`` owns the file, checks it, and says what is wrong with it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from platformdirs import user_config_path

SETTINGS_FILE = "settings.json"


def settings_folder() -> Path:
    """Folder of the user's settings; NEGATOSCOPE_HOME moves it with everything else."""
    named = os.environ.get("NEGATOSCOPE_HOME")
    return Path(named) / "config" if named else user_config_path("negatoscope", appauthor=False)


def language_setting(folder: Path | None = None) -> str:
    """Return the setting 'language' ('system', 'en', 'zh_CN' …); 'system' where there is none to be read."""
    try:
        content = json.loads(((folder or settings_folder()) / SETTINGS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return "system"
    chosen = content.get("language") if isinstance(content, dict) else None
    return chosen if isinstance(chosen, str) else "system"
