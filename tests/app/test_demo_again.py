"""A demo that an earlier version made is opened again, or put aside whole when nobody could sign in to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import demo_study
from app.files import ProgramFolders
from inference.engine import FakeEngine
from reader_study.accounts import fits
from reader_study.store.database import open_database

DIGESTS = {f"exam-{n}": f"{n:064x}" for n in range(8)}


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProgramFolders:
    """Without the demo's exams, which take minutes: their digests stand in for them."""
    monkeypatch.setattr(demo_study, "_write_exams", lambda _folder, _say: None)
    monkeypatch.setattr(demo_study, "_digests", lambda *_: DIGESTS)
    return ProgramFolders(home=tmp_path / "home", cache=tmp_path / "cache")


def prepared(folders: ProgramFolders) -> demo_study.DemoStudy:
    return demo_study.prepare(folders, FakeEngine(), lambda _fraction, _what: None)


def test_a_demo_with_todays_password_is_found_again(folders: ProgramFolders) -> None:
    first = prepared(folders)
    assert prepared(folders).study == first.study
    assert not list(folders.home.glob("earlier-*"))


def test_a_demo_with_another_password_is_put_aside_and_made_anew(
    folders: ProgramFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as then:
        then.setattr(demo_study, "PASSWORD", "the one before")
        old = prepared(folders)
    old.anchor.write_text("heads", encoding="utf-8")
    now = prepared(folders)
    assert fits(now.study.readers[0].password_hash, demo_study.PASSWORD)
    opened = open_database(now.database)
    assert opened.study(demo_study.STUDY_ID) == now.study
    opened.close()
    aside = folders.home / "earlier-1"
    assert (aside / old.anchor.name).read_text(encoding="utf-8") == "heads"
    kept = open_database(aside / old.database.name)
    assert kept.study(demo_study.STUDY_ID) == old.study
    kept.close()
