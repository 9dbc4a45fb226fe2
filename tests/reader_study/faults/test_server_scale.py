"""1000 cases x 20 readers on PostgreSQL: the monitor and the work list stay quick."""

from __future__ import annotations

import time

from sqlalchemy import text

from reader_study.monitor import monitor
from reader_study.sessions import Sessions
from reader_study.store.database import open_database
from tests.benchmarks.study_scale import big_study

# Six kinds of event a reading and both of a sitting; hashes are none, and nobody verifies them here.
_SITTING = """
INSERT INTO events (session_id, seq, kind, version, boot_id, t_mono_ns, t_utc, body, prev_hash, hash)
SELECT session_id, 1, 'SessionOpened', 1, 'b', 0, '2026-01-01T00:00:00.000Z', '{}', '', '' FROM plans
"""
_READINGS = """
INSERT INTO events (session_id, seq, kind, version, boot_id, t_mono_ns, t_utc, body, prev_hash, hash)
SELECT session_id, 2 + 6 * (n - 1) + k, (ARRAY['CaseOpened', 'FramePainted', 'ViewChanged', 'ViewChanged',
       'AssessmentSubmitted', 'ReadingLocked'])[k + 1], 1, 'b', n, '2026-01-01T08:00:00.000Z', repeat('x', 200), '', ''
FROM plans, generate_series(1, 1000) AS n, generate_series(0, 5) AS k
"""


def test_rs_u4_monitor_and_work_list_of_a_full_study_take_less_than_100_ms(
    postgres_url, clock, record_property
):
    study = big_study()
    database = open_database(postgres_url, busy_timeout_s=60)
    database.save_study(study)
    with database._engine.connect() as connection, connection.begin():
        for statement in (_SITTING, _READINGS):
            connection.execute(text(statement))
        assert connection.execute(text("SELECT count(*) FROM events")).scalar() == 20 * 2 * (1 + 6 * 1000)
    with database._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE events"))  # as the server itself does some minutes later
    sessions = Sessions(study=study, store=database.events, clock=clock)
    took: dict[str, float] = {}
    for name, ask in {
        "monitor": lambda: monitor(study, database.events, clock.utc_now()),
        "work list": lambda: sessions.worklist("r07"),
    }.items():
        for _ in range(7):
            begun = time.perf_counter()
            rows = ask()
            took[name] = min(took.get(name, 60.0), time.perf_counter() - begun)
        assert {row.n_done for row in rows} == {1000}
    database.close()
    for name, seconds in took.items():
        print(f"{name}: {1000 * seconds:.1f} ms")
        assert seconds < 0.1, (name, seconds)
