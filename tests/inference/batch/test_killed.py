"""Processes of a run are killed for real: nothing is lost, nothing is done twice."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.inference.batch.conftest import Station, assert_once, await_, lines, write_cases

Start = Callable[..., Station]


def test_a_run_whose_process_was_killed_goes_on_where_it_stopped(
    manifest: Path, undisturbed: Path, tmp_path: Path, start: Start
) -> None:
    first = start(manifest, tmp_path, "workers=2")
    await_(lambda: len(lines(tmp_path)) >= 5)
    workers = first.workers()
    assert len(workers) == 2
    first.process.kill()
    before = lines(tmp_path)
    assert 5 <= len(before) < 40
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive, "a worker outlived its parent"
    code, said = start(manifest, tmp_path, "workers=2").end()
    assert code == 0, said
    assert lines(tmp_path)[: len(before)] == before or len(lines(tmp_path)) == 40
    assert_once(tmp_path, undisturbed)


def test_a_killed_worker_loses_no_exam_and_repeats_none(
    manifest: Path, undisturbed: Path, tmp_path: Path, start: Start
) -> None:
    station = start(manifest, tmp_path, "workers=2")
    await_(lambda: len(lines(tmp_path)) >= 3)
    for count in (3, 10):
        await_(lambda count=count: len(lines(tmp_path)) >= count)
        station.workers()[0].send_signal(signal.SIGKILL)
    code, said = station.end()
    assert code == 0, said
    assert_once(tmp_path, undisturbed)


def test_an_exam_that_kills_its_worker_twice_is_listed_as_failed_and_the_rest_is_done(
    phantoms: Path, tmp_path: Path, start: Start
) -> None:
    source = write_cases(phantoms, "deadly.csv", 6, long_case=150)
    station = start(source, tmp_path, "workers=1")
    killed: set[int] = set()
    for death in (1, 2):
        claim = await_(lambda: list((tmp_path / "claims").glob("*/*/1")))[0].parent
        worker = await_(lambda: [one for one in station.workers() if one.pid not in killed])[0]
        killed.add(worker.pid)
        worker.kill()
        if death == 1:
            await_(lambda claim=claim: (claim / "death-1").exists())
    code, said = station.end()
    assert code == 1, "not every exam was analysed"
    assert "case000: its worker stopped unexpectedly (it was killed by signal 9" in said
    run = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert list(run["failures"]) == ["case000"]
    assert "2 times" in run["failures"]["case000"]
    assert len(run["seconds_per_exam"]) == 5
    failed = [line for line in lines(tmp_path) if line["status"] == "failed"]
    assert [line["case_id"] for line in failed] == ["case000"]
    code, said = start(source, tmp_path, "workers=1", "retry_failed=1").end()
    assert code == 0, said
    run = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert run["failures"] == {}
    assert len(run["seconds_per_exam"]) == 6


def test_ctrl_c_leaves_tables_and_a_state_that_goes_on(
    manifest: Path, undisturbed: Path, tmp_path: Path, start: Start
) -> None:
    station = start(manifest, tmp_path, "workers=1")
    await_(lambda: len(lines(tmp_path)) >= 3)
    for process in (
        *station.workers(),
        psutil.Process(station.process.pid),
    ):  # a terminal tells the whole group
        process.send_signal(signal.SIGINT)
    code, said = station.end()
    assert code == 130, said
    assert "The same command goes on from here." in said
    done = len(lines(tmp_path))
    assert 3 <= done < 40
    run = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert len(run["seconds_per_exam"]) == done
    assert not [path for path in (tmp_path / "claims").rglob("*") if path.is_file()]
    code, said = start(manifest, tmp_path, "workers=1").end()
    assert code == 0, said
    assert f"{done} exams were done before" in said
    assert_once(tmp_path, undisturbed)


def _both_at_work(
    manifest: Path, out: Path, start: Start
) -> tuple[tuple[Station, Station], list[psutil.Process]]:
    """Two stations that have both recorded something; the first is held up (its processes are returned)."""
    first = start(manifest, out, "workers=1")
    await_(lambda: len(lines(out)) >= 2)
    held = [psutil.Process(first.process.pid), *first.workers()]
    for process in held:
        process.suspend()
    second = start(manifest, out, "workers=1")
    await_(lambda: len(list((out / "journal").glob("*.jsonl"))) == 2)
    return (first, second), held


def test_two_processes_share_one_archive_and_each_exam_is_done_by_one_of_them(
    manifest: Path, undisturbed: Path, tmp_path: Path, start: Start
) -> None:
    both, held = _both_at_work(manifest, tmp_path, start)
    for process in held:
        process.resume()
    for station in both:
        code, said = station.end()
        assert code == 0, said
    journals = list((tmp_path / "journal").glob("*.jsonl"))
    assert len(journals) == 2
    assert all(path.stat().st_size for path in journals), "one process did everything"
    assert_once(tmp_path, undisturbed)


def test_what_a_killed_process_had_claimed_is_taken_over_by_the_other(
    manifest: Path, undisturbed: Path, tmp_path: Path, start: Start
) -> None:
    both, held = _both_at_work(manifest, tmp_path, start)
    both[0].process.kill()
    for process in held[1:]:
        process.resume()  # its worker ends with it
    code, said = both[1].end()
    assert code == 0, said
    assert_once(tmp_path, undisturbed)


@pytest.mark.slow
def test_a_process_that_was_held_up_for_long_does_not_record_an_exam_a_second_time(
    manifest: Path, undisturbed: Path, tmp_path: Path, start: Start
) -> None:
    """As a laptop that slept: it is stopped with an exam in hand, the other takes the exam over, then it wakes."""
    held = start(manifest, tmp_path, "workers=1", "stale_s=1")
    await_(lambda: len(lines(tmp_path)) >= 2)
    everyone = [psutil.Process(held.process.pid), *held.workers()]
    for process in everyone:
        process.suspend()
    other = start(manifest, tmp_path, "workers=1", "stale_s=1")
    code, said = other.end()
    assert code == 0, said
    for process in everyone:
        process.resume()
    code, said = held.end()
    assert code == 0, said
    assert_once(tmp_path, undisturbed)
