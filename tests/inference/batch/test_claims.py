"""Lock files and heartbeats, as two machines over a share see them; records that only one process can make."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inference.batch import claims as claims_module
from inference.batch import durable
from inference.batch.claims import Claims
from inference.batch.durable import write_once
from inference.batch.run_folder import BatchError, Job, RunFolder
from inference.batch.work import Product

KEY = "ab" * 16
JOB = Job(model_id="m", model_version="1", weights_sha256="1" * 64, preprocessing="p", source="archive")


def product(key: str = KEY, case: str = "c1", failure: str = "") -> Product:
    return Product(
        case_id=case, key=key, record={"failure": failure, "seconds": 1.0, "scores": [], "detections": []}
    )


def test_of_many_that_write_one_file_at_the_same_time_one_is_first_and_its_words_stay(tmp_path: Path) -> None:
    for number in range(20):
        path, gate = tmp_path / f"{number}", threading.Barrier(8)

        def race(who: int, path: Path = path, gate: threading.Barrier = gate) -> bool:
            gate.wait()
            return write_once(path, f"{who}".encode() * 1000, durable=False)

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(race, range(8)))
        assert won.count(True) == 1
        assert path.read_bytes() == f"{won.index(True)}".encode() * 1000
    assert not list(tmp_path.glob(".*"))


def test_a_share_without_hard_links_is_served_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_paths: object) -> None:
        raise PermissionError(1, "Operation not permitted")  # what a FAT or some SMB shares say

    monkeypatch.setattr(durable.os, "link", refuse)
    assert write_once(tmp_path / "a", b"first")
    assert not write_once(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"


def test_an_exam_held_by_a_machine_that_beats_is_left_to_it_and_one_of_a_silent_machine_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Claims(tmp_path, stale_s=1.0, beat_s=0.1) as other:
        assert other.take(KEY) == 1
        monkeypatch.setattr(claims_module, "_station", lambda: "elsewhere_00000000")  # pids say nothing there
        with Claims(tmp_path, stale_s=1.0, beat_s=0.1) as mine:
            until = time.monotonic() + 2.5
            while time.monotonic() < until:
                assert mine.take(KEY) is None
                time.sleep(0.05)
            other._stop.set()  # the machine is switched off
            begun = time.monotonic()
            while mine.take(KEY) is None:
                time.sleep(0.02)
            assert 0.8 < time.monotonic() - begun < 10
            assert mine.holds(KEY)
            assert not other.holds(KEY)


def test_a_claim_given_back_is_free_at_once(tmp_path: Path) -> None:
    with Claims(tmp_path) as one, Claims(tmp_path) as two:
        assert one.take(KEY) == 1
        assert two.take(KEY) is None
        one.release(KEY)
        assert two.take(KEY) == 1
        assert two.take(KEY) == 1, "asking again for one's own claim makes no second one"


def test_of_two_that_take_over_a_dead_claim_at_once_one_gets_it(tmp_path: Path) -> None:
    gone = Claims(tmp_path)
    with gone:
        gone.take(KEY)
    claims = [Claims(tmp_path) for _ in range(6)]
    gate = threading.Barrier(6)

    def race(one: Claims) -> int | None:
        with one:
            gate.wait()
            number = one.take(KEY)
            gate.wait()
            return number

    with ThreadPoolExecutor(6) as pool:
        numbers = list(pool.map(race, claims))
    assert [number for number in numbers if number is not None] == [2]


def test_an_exam_is_recorded_once_whoever_comes_second(tmp_path: Path) -> None:
    folders = [RunFolder(tmp_path) for _ in range(2)]
    for number, folder in enumerate(folders):
        folder.open(JOB, f"p{number}")
    assert folders[0].record(product(), worker="w", attempt=1)
    assert not folders[1].record(product(), worker="w", attempt=2)
    assert [line["attempt"] for line in folders[0].journal()] == [1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_id": "n"}, "model m, found one with n|model n, found one with m"),
        ({"weights_sha256": "2" * 64}, "weights 222222222222…, found one with 111111111111…"),
        ({"floor": 0.01}, r"--floor 0\.01, found one with none"),
        ({"source": "other"}, "source other, found one with archive"),
        ({"lesions_sha256": "3" * 64}, "--lesions 333333333333…"),
    ],
)
def test_another_model_other_weights_or_another_source_are_refused_in_a_sentence(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    from dataclasses import replace

    RunFolder(tmp_path).open(JOB, "p0")
    RunFolder(tmp_path).open(JOB, "p1")
    with pytest.raises(BatchError, match=words) as refused:
        RunFolder(tmp_path).open(replace(JOB, **change), "p2")  # type: ignore[arg-type]
    assert "--fresh" in str(refused.value)
    assert not (tmp_path / "journal" / "p2.jsonl").exists()


def test_a_journal_line_torn_by_a_power_cut_is_passed_over_and_its_record_gets_a_new_line(
    tmp_path: Path,
) -> None:
    folder = RunFolder(tmp_path)
    folder.open(JOB, "p0")
    other = "cd" * 16
    folder.record(product(), worker="w", attempt=1)
    folder.record(product(other, "c2"), worker="w", attempt=1)
    journal = tmp_path / "journal" / "p0.jsonl"
    journal.write_bytes(journal.read_bytes()[:-30])  # the power went while the second line was written
    assert [line["case_id"] for line in folder.journal()] == ["c1"]
    again = RunFolder(tmp_path)
    again.open(JOB, "p1")
    assert again.recorded() == {KEY, other}, "a recorded exam is not done again"
    assert again.adopt([other]) == 1
    assert sorted(line["case_id"] for line in again.journal()) == ["c1", "c2"]


def test_a_damaged_record_is_set_aside_and_its_exam_is_done_again(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.open(JOB, "p0")
    folder.record(product(), worker="w", attempt=1)
    path = next((tmp_path / "exams").glob("*/*.json"))
    path.write_bytes(path.read_bytes()[:20])
    folder.write_tables([], [], {})
    assert folder.recorded() == set()
    assert folder.record(product(), worker="w", attempt=1)


def test_of_an_exam_whose_files_changed_the_tables_hold_the_newest_only(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.open(JOB, "p0")
    folder.record(product(KEY, "c1", failure="two views only"), worker="w", attempt=1)
    time.sleep(0.02)
    folder.record(product("cd" * 16, "c1"), worker="w", attempt=1)
    folder.write_tables([], [], {"card_id": "m"})
    run = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert run["failures"] == {}
    assert list(run["seconds_per_exam"]) == ["c1"]
