"""The server is gone while a coordinator works: every question is one sentence, nothing is half done, and it goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reader_study.accounts import SignedIn, hash_password
from reader_study.desk import Desk
from reader_study.errors import StoreError
from reader_study.permissions import Account, Role
from reader_study.store.database import open_database
from reader_study.store.transfer import backup, merge
from reader_study.verify import verify_log

COORDINATOR = Account(
    account_id="co", name="Carla", role=Role.COORDINATOR, password_hash=hash_password("pass-word")
)


def test_rs_a5_a_coordinator_whose_server_is_gone_reads_one_sentence_a_step_and_goes_on_later(
    postgres, postgres_url, make_study, clock, tmp_path
):
    database = open_database(postgres_url, busy_timeout_s=1)
    desk = Desk(database=database, clock=clock, signed_in=SignedIn(COORDINATOR, clock), study_id="ST")
    study = make_study(n_cases=2)
    desk.draft(study)
    desk.put_account(COORDINATOR)
    steps = {
        "studies": database.studies,
        "study": lambda: database.study("ST"),
        "accounts": lambda: database.accounts("ST"),
        "versions": lambda: database.protocol_versions("ST"),
        "begun": lambda: database.begun_sessions("ST"),
        "monitor": desk.monitor,
        "audit": desk.audit,
        "draft": lambda: desk.draft(replace(study, washout_days=7.0)),
        "account": lambda: desk.put_account(replace(COORDINATOR, account_id="co2")),
        "freeze": desk.freeze,
        "backup": lambda: backup(postgres_url, tmp_path / "safe.sqlite"),
        "merge": lambda: merge(postgres_url, tmp_path / "none.sqlite"),
    }
    postgres.stop()
    try:
        for name, step in steps.items():
            with pytest.raises(StoreError) as refused:
                step()
            assert "\n" not in str(refused.value), name
            assert "pg8000" not in str(refused.value), name
    finally:
        postgres.start()
    assert database.study("ST") == study
    desk.freeze()
    assert [one.action.value for one in desk.audit()][-1] == "ProtocolFrozen"
    database.close()
    assert verify_log(postgres_url).ok


def test_rs_a2_rows_changed_by_hand_on_the_server_are_told(postgres_url, make_study, clock):
    from sqlalchemy import text

    database = open_database(postgres_url)
    desk = Desk(database=database, clock=clock, signed_in=SignedIn(COORDINATOR, clock), study_id="ST")
    desk.draft(make_study(n_cases=2))
    desk.put_account(COORDINATOR)
    desk.freeze()
    assert verify_log(postgres_url).ok, verify_log(postgres_url).problems
    with database._engine.connect() as connection, connection.begin():
        connection.execute(text("ALTER TABLE protocols DISABLE TRIGGER USER"))
        connection.execute(text("""UPDATE protocols SET body = replace(body, '"seed"\\:7', '"seed"\\:8')"""))
        connection.execute(text("ALTER TABLE protocols ENABLE TRIGGER USER"))
        connection.execute(text("UPDATE accounts SET role = 'administrator'"))
    database.close()
    problems = " ".join(verify_log(postgres_url).problems)
    assert "protocol version 1" in problems
    assert "account co" in problems
