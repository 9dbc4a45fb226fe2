"""Ten workstations read one study at once: one PostgreSQL, images from one share, two of them lose the network."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import make_url

from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_manifest
from inference.exam.sources import FolderSource
from reader_study.clock import SystemClock
from reader_study.domain.events import EventKind
from reader_study.domain.study import AiPolicy, Arm, Case, Reader, Scale, SessionPlan, Study
from reader_study.monitor import monitor
from reader_study.randomization import allocate
from reader_study.store.database import open_database
from reader_study.verify import verify_log
from tests.reader_study.faults.conftest import Network
from tests.reader_study.store import conftest as servers
from tests.story.reading_station import suspicion_of

postgres = servers.postgres
postgres_url = servers.postgres_url

ROOT = Path(__file__).resolve().parents[2]
READERS, CASES = 10, 6
PATIENCE_S = 280.0


class Station:
    """One station's process and what it told, with the time at which it was heard."""

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.story.reading_station", *words],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.told: list[tuple[float, dict[str, Any]]] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.told.append((time.monotonic(), json.loads(line)))

    def all(self, word: str) -> list[dict[str, Any]]:
        return [told for _, told in list(self.told) if word in told]

    def await_(self, word: str, count: int = 1) -> None:
        until = time.monotonic() + PATIENCE_S
        while len(self.all(word)) < count:
            assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
            assert time.monotonic() < until, f"waited in vain for {word}: {self.told[-3:]}"
            time.sleep(0.01)

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.wait(PATIENCE_S)
        self._thread.join(10)
        assert self.process.returncode == 0, self.process.stderr and self.process.stderr.read()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("share")
    write_manifest([phantom_exam(PhantomSpec(seed=seed, pixel_mm=1.0)) for seed in (71, 72)], folder)
    return folder


def make_study(share: Path) -> Study:
    source = FolderSource(share)
    exams = [source.load(one.exam_id) for one in source.list()]
    arms = (Arm(arm_id="aided", title="With AI", ai=AiPolicy(shown=True)),)
    readers = tuple(Reader(reader_id=f"r{i}", name=f"Reader {i}") for i in range(1, READERS + 1))
    cases = tuple(
        Case(case_id=f"c{i}", exam_id=exams[i % 2].exam_id, exam_digest=exams[i % 2].digest)
        for i in range(CASES)
    )
    plans = allocate(study_id="ST", seed=5, cases=cases, readers=readers, arms=arms, design="single")
    return Study(
        study_id="ST", title="Ten stations", protocol_version="1", seed=5, arms=arms, readers=readers, cases=cases,
        scale=Scale(), plans=plans, design="single",
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_rs_a5_ten_stations_read_at_once_while_two_lose_the_network_and_every_answer_is_there_once(
    postgres: servers.PostgresServer, postgres_url: str, share: Path, record_property
) -> None:
    study = make_study(share)
    database = open_database(postgres_url)
    database.save_study(study)
    networks = {"r9": Network("127.0.0.1", postgres.port), "r10": Network("127.0.0.1", postgres.port)}
    stations: dict[str, Station] = {}
    try:
        for reader in study.readers:
            plan = study.plans_of(reader.reader_id)[0]
            url, network = postgres_url, networks.get(reader.reader_id)
            if network is not None:
                url = make_url(url).set(port=network.port).render_as_string(hide_password=False)
            stations[reader.reader_id] = Station(url, str(share), reader.reader_id, case_ids(plan)[2])
        for station in stations.values():  # all stand at their third case, then all go on at once
            station.await_("ready")
        networks["r9"].fault, networks["r10"].fault = (
            "before",
            "after",
        )  # the answer never arrives; its receipt does not
        for network in networks.values():
            network.down = True
        begun, events_before = time.monotonic(), count_events(database, study)
        for station in stations.values():
            station.go()
        seen = watch_monitor(database, study, stations, until=("r9", "r10"))
        for network in networks.values():
            network.down = False
        for station in stations.values():
            station.end()
        took = max(station.told[-1][0] for station in stations.values()) - begun
        check_log(database, study, stations, postgres_url)
        assert len(set(seen)) >= 3, f"the monitor did not follow: {seen}"
        cut_stations_kept_their_case(stations)
        report(record_property, stations, count_events(database, study) - events_before, took)
    finally:
        for station in stations.values():
            station.kill()
        for network in networks.values():
            network.close()
        database.close()


def case_ids(plan: SessionPlan) -> list[str]:
    return [entry.case_id for entry in plan.entries]


def count_events(database, study: Study) -> int:
    return sum(len(database.events.read(plan.session_id)) for plan in study.plans)


def watch_monitor(
    database, study: Study, stations: dict[str, Station], *, until: tuple[str, str]
) -> list[int]:
    """Ask the monitor all the time until the stations with a cut line have said so and all others are done.

    At no time does it know less than the stations were told before it was asked.
    """
    seen: list[int] = []
    others = [station for name, station in stations.items() if name not in until]
    deadline = time.monotonic() + PATIENCE_S
    while not (
        all(station.all("finished") for station in others)
        and any(stations[name].all("refused") for name in until)
    ):
        assert time.monotonic() < deadline, [station.told[-1:] for station in stations.values()]
        confirmed = sum(len(station.all("confirmed")) for station in stations.values())
        rows = monitor(study, database.events, SystemClock().utc_now())
        done = sum(row.n_done for row in rows)
        assert done >= confirmed, f"the monitor shows {done} readings, the stations were told of {confirmed}"
        seen.append(done)
        time.sleep(0.05)
    return seen


def check_log(database, study: Study, stations: dict[str, Station], url: str) -> None:
    """Every session holds each of its cases exactly once, with the answer its reader gave; the chains are whole."""
    checked = verify_log(url)
    assert (checked.ok, checked.problems, checked.sessions) == (True, (), READERS)
    for reader in study.readers:
        plan = study.plans_of(reader.reader_id)[0]
        events = database.events.read(plan.session_id)
        locked = Counter(event.body["case_id"] for event in events if event.kind is EventKind.READING_LOCKED)
        assert locked == Counter(case_ids(plan)), reader.reader_id
        marks = Counter(event.body["case_id"] for event in events if event.kind is EventKind.MARK_ADDED)
        assert marks == Counter(case_ids(plan)), reader.reader_id
        answers = {
            event.body["case_id"]: {one["suspicion"] for one in event.body["assessment"]["breasts"]}
            for event in events
            if event.kind is EventKind.ASSESSMENT_SUBMITTED
        }
        assert answers == {case: {suspicion_of(reader.reader_id, case)} for case in case_ids(plan)}
        assert stations[reader.reader_id].all("finished")


def cut_stations_kept_their_case(stations: dict[str, Station]) -> None:
    """Who lost the network was told so in words, and nobody else was told anything."""
    for name, station in stations.items():
        refused = station.all("refused")
        if name not in {"r9", "r10"}:
            assert not refused, f"{name} was locked out: {refused}"
    lost = stations["r9"].all("refused")
    assert lost[0]["kept"]
    assert lost[0]["marks"] == 1
    assert "your marks and answers are still here" in lost[0]["refused"]
    assert all(one["s"] < 10 for one in lost if "s" in one), "a station hung instead of saying that it cannot"


def report(record_property, stations: dict[str, Station], events: int, took: float) -> None:
    times = [
        told["ms"] for name, station in stations.items() if name not in {"r9", "r10"}
        for told in station.all("confirmed")
    ]  # fmt: skip
    figures = {
        "events_per_s": round(events / took, 1),
        "submit_p50_ms": round(float(np.percentile(times, 50)), 1),
        "submit_p95_ms": round(float(np.percentile(times, 95)), 1),
        "submits": len(times),
    }
    for name, value in figures.items():
        record_property(name, value)
    print(f"\nten stations: {figures}")
