"""Fixtures that every room's tests share: where the real data lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder with ``mammograms/`` and ``mrmc/``: NEGATOSCOPE_DATA, or ../shared/data beside the checkout."""
    named = os.environ.get("NEGATOSCOPE_DATA")
    root = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not (root / "mammograms").is_dir():
        pytest.skip(f"not run: no data (looked in {root}; set NEGATOSCOPE_DATA)")
    return root
