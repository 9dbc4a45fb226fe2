"""The installer's scripts are no package: their folder is put on the path for its tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

INSTALLER = Path(__file__).resolve().parents[2] / "installer"
NAMES = (
    "build_linux",
    "dependencies",
    "frozen_folder",
    "frozen_trim",
    "licences",
    "package_deb",
    "package_single",
    "smoke_linux",
)


@pytest.fixture(autouse=True)
def installer_on_the_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(INSTALLER))
    yield INSTALLER
    for name in NAMES:
        sys.modules.pop(name, None)


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Path:
    """A frozen folder in miniature: a launcher that tells what it was asked, and a third-party list."""
    folder = tmp_path / "negatoscope-cpu"
    (folder / "bin").mkdir(parents=True)
    (folder / "runtime" / "lib").mkdir(parents=True)
    launcher = folder / "bin" / "negatoscope"
    launcher.write_text('#!/bin/sh\necho "started with: $*"\n', encoding="utf-8")
    launcher.chmod(0o755)
    (folder / "THIRD-PARTY.txt").write_text("numpy BSD-3-Clause\n", encoding="utf-8")
    return folder
