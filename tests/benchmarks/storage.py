"""The event log: one evidence event from the call to the disk, against one bare fdatasync on the same
disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from reader_study.domain.events import GENESIS, Draft, EventKind, seal
from reader_study.store.database import open_database
from tests.benchmarks.measure import Row, judged, median_ms


def run() -> list[Row]:
    """Compare a commit with fdatasync."""
    with tempfile.TemporaryDirectory() as folder:
        with (Path(folder) / "raw").open("wb", buffering=0) as file:

            def sync() -> None:
                file.write(b"x" * 512)
                os.fdatasync(file.fileno())

            bare = median_ms(sync, n=100, warm=5)
        database = open_database(Path(folder) / "bench.sqlite")
        head = [0, GENESIS]

        def commit() -> None:
            draft = Draft(
                kind=EventKind.FOCUS_LOST,
                body={"case_id": None},
                boot_id="b",
                t_mono_ns=head[0],
                t_utc="2026-01-01T00:00:00Z",
            )
            (event,) = seal("S", [draft], seq=int(head[0]), prev_hash=str(head[1]))
            database.events.append([event], int(head[0]))
            head[0], head[1] = event.seq, event.hash

        ms = median_ms(commit, n=100, warm=5)
        database.close()
    return [
        Row(operation="one fdatasync", ms=bare),
        judged("log: one event committed", ms, ms / bare, "fdatasync", 2.0, 1.25),
    ]
