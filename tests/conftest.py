"""What every room's tests share: where the real data lies, and who collects garbage beside windows."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
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


@pytest.fixture(autouse=True)
def _windows_die_on_their_own_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """Beside windows, garbage is collected between tests only, on the main thread, as the program itself does.

    Collected in a loading thread, widgets of an earlier test are destroyed there, and Qt crashes.
    """
    if not {"qtbot", "qapp"} & set(request.fixturenames):
        yield
        return
    if gc.get_freeze_count() == 0:
        gc.collect()
        gc.freeze()  # the imported program need not be looked through after every test
    gc.disable()
    yield
    gc.collect()
    gc.enable()
