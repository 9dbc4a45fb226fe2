"""Merge of offline readers' files, backup and restore, from and to both databases."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path

import pytest

from reader_study.errors import StoreError
from reader_study.sessions import Sessions
from reader_study.store.database import open_database
from reader_study.store.transfer import backup, merge, restore
from reader_study.verify import verify_log


@pytest.fixture
def read_by(clock, show, normal_form):
    """Read ``count`` cases of a reader's first session in a database, which is made when missing."""

    def read(url, study, reader_id, count):
        database = open_database(url)
        database.save_study(study)
        sessions = Sessions(study=study, store=database.events, clock=clock)
        session_id = study.plans_of(reader_id)[0].session_id
        sessions.open(session_id, reader_id, {})
        for _ in range(count):
            show(sessions, session_id, clock)
            sessions.submit(session_id, normal_form)
        sessions.shutdown()
        database.close()

    return read


def done(url, study, clock):
    database = open_database(url)
    sessions = Sessions(study=study, store=database.events, clock=clock)
    counts = [sessions.worklist(r.reader_id)[0].n_done for r in study.readers]
    database.close()
    return counts


def test_rs_u4_files_of_offline_readers_merge_without_collisions(
    database_url, study, clock, read_by, tmp_path
):
    laptops = [tmp_path / f"{name}.sqlite" for name in ("one", "two")]
    for laptop, reader_id, count in zip(laptops, ("r1", "r2"), (2, 3), strict=True):
        read_by(laptop, study, reader_id, count)
        merge(database_url, laptop)
    assert done(database_url, study, clock) == [2, 3]
    assert verify_log(database_url).ok
    again = merge(database_url, laptops[0])
    assert (again.studies, again.sessions, again.events) == ((), (), 0)
    read_by(laptops[0], study, "r1", 1)  # reads on at home, merges again
    assert merge(database_url, laptops[0]).sessions == (study.plans_of("r1")[0].session_id,)
    assert done(database_url, study, clock) == [3, 3]


def test_rs_u4_a_session_read_on_in_both_is_refused_and_nothing_is_copied(study, clock, read_by, tmp_path):
    first, second = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    read_by(first, study, "r1", 1)
    clock.advance(5)
    read_by(second, study, "r1", 1)
    read_by(second, study, "r2", 2)
    with pytest.raises(StoreError, match="read on in both"):
        merge(first, second)
    assert done(first, study, clock) == [1, 0]


def test_another_protocol_under_the_same_name_is_refused(study, read_by, tmp_path):
    read_by(tmp_path / "a.sqlite", study, "r1", 1)
    read_by(tmp_path / "b.sqlite", dataclasses.replace(study, washout_days=7.0), "r2", 1)
    with pytest.raises(StoreError, match="expected the same protocol"):
        merge(tmp_path / "a.sqlite", tmp_path / "b.sqlite")


def test_a_tampered_file_is_not_merged(study, read_by, tmp_path):
    read_by(tmp_path / "a.sqlite", study, "r1", 1)
    read_by(tmp_path / "b.sqlite", study, "r2", 1)
    connection = sqlite3.connect(tmp_path / "b.sqlite")
    connection.execute("DROP TRIGGER events_refuse_update")
    connection.execute('UPDATE events SET body = replace(body, \'"birads":"1"\', \'"birads":"5"\')')
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="expected an intact log"):
        merge(tmp_path / "a.sqlite", tmp_path / "b.sqlite")


def test_rs_a5_backup_while_in_use_restores_equal_into_either_database(
    database_url, study, clock, read_by, tmp_path, postgres_url
):
    read_by(database_url, study, "r1", 2)
    in_use = open_database(database_url)
    report = backup(database_url, tmp_path / "safe.sqlite")
    in_use.close()
    assert (report.studies, len(report.sessions)) == (("ST",), 1)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith("safe")) == ["safe.sqlite"]
    for target in (tmp_path / "restored.sqlite", postgres_url):
        restore(tmp_path / "safe.sqlite", target)
        assert done(target, study, clock) == [2, 0]
        assert verify_log(target).ok
        database = open_database(target)
        assert database.study("ST") == study
        database.close()


def test_a_backup_never_overwrites_and_never_leaves_halves(study, read_by, tmp_path):
    read_by(tmp_path / "a.sqlite", study, "r1", 1)
    (tmp_path / "safe.sqlite").write_text("precious")
    with pytest.raises(StoreError, match="expected a new file"):
        backup(tmp_path / "a.sqlite", tmp_path / "safe.sqlite")
    assert (tmp_path / "safe.sqlite").read_text() == "precious"
    with pytest.raises(StoreError, match="could not be"):
        backup(tmp_path / "a.sqlite", tmp_path / "no-such-folder" / "safe.sqlite")
    with pytest.raises(StoreError, match="found none"):
        restore(tmp_path / "nothing.sqlite", tmp_path / "b.sqlite")
    assert {p.name for p in tmp_path.iterdir()} == {"a.sqlite", "safe.sqlite"}


GOLDEN = sorted((Path(__file__).parent / "data").glob("study-schema-*.sqlite"))


@pytest.mark.parametrize("golden", GOLDEN, ids=[p.stem for p in GOLDEN])
def test_rs_a5_databases_of_every_version_open_verify_and_read_on(golden, tmp_path, clock, show, normal_form):
    path = tmp_path / golden.name
    path.write_bytes(golden.read_bytes())
    assert verify_log(path).ok
    database = open_database(path)
    study = database.study("ST")
    sessions = Sessions(study=study, store=database.events, clock=clock)
    before = [s.n_done for r in study.readers for s in sessions.worklist(r.reader_id)]
    assert before == [3, 0, 1, 0]
    session_id = study.plans_of("r2")[0].session_id
    sessions.open(session_id, "r2", {})
    show(sessions, session_id, clock)
    sessions.submit(session_id, normal_form)
    sessions.shutdown()
    database.close()
    assert verify_log(path).ok


def test_a_frozen_database_of_each_schema_is_kept():
    from reader_study.store.schema import SCHEMA_VERSION

    assert [p.stem for p in GOLDEN] == [f"study-schema-{n:02}" for n in range(1, SCHEMA_VERSION + 1)]
