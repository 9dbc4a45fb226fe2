"""Studies that arrive in a watched folder are analysed once each, when they are complete."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from inference.batch.watching import Watch
from tests.inference.batch.conftest import Station, await_, lines


class Time:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def _studies(phantoms: Path) -> list[list[Path]]:
    folders: dict[Path, list[Path]] = {}
    for path in sorted(phantoms.rglob("*.dcm")):
        folders.setdefault(path.parent, []).append(path)
    found = list(folders.values())
    assert len(found) == 2
    assert all(len(files) == 4 for files in found)
    return found


def test_a_study_is_complete_when_none_of_its_files_has_changed_for_the_time_given(
    phantoms: Path, tmp_path: Path
) -> None:
    time, (first, second) = Time(), _studies(phantoms)
    watch = Watch(tmp_path, settle_s=30, now=time)
    assert watch.look() == ()
    for path in first[:3]:
        shutil.copy(path, tmp_path)
    whole = first[3].read_bytes()
    growing = tmp_path / first[3].name
    for part in (1000, 5000, len(whole)):
        growing.write_bytes(whole[:part])
        time.s += 20
        units = watch.look()
        assert all(len(unit.content.items) < 4 for unit in units)
        if part == 5000:
            assert watch.unsettled == 4 if time.s < 30 else watch.unsettled >= 1
    time.s += 31
    (unit,) = watch.look()
    assert len(unit.content.items) == 4
    for path in second:
        shutil.copy(path, tmp_path / f"second-{path.name}")
    assert [one.key for one in watch.look()] == [unit.key], "the complete study does not wait for the new one"
    time.s += 31
    assert len(watch.look()) == 2


def test_an_unchanged_folder_is_not_read_again(phantoms: Path, monkeypatch) -> None:
    from inference.batch import watching

    reads: list[Path] = []
    real = watching.list_units
    monkeypatch.setattr(watching, "list_units", lambda root: reads.append(root) or real(root))
    time = Time()
    watch = Watch(phantoms, settle_s=1, now=time)
    for _ in range(10):
        time.s += 1
        watch.look()
    assert len(reads) == 1


def test_a_watched_folder_takes_new_studies_until_ctrl_c_and_again_after_it(
    phantoms: Path, tmp_path: Path, start: Callable[..., Station]
) -> None:
    inbox, out, (first, second) = tmp_path / "inbox", tmp_path / "out", _studies(phantoms)
    shutil.copytree(first[0].parent, inbox / "one")
    words = ("workers=1", "watch=1", "settle_s=0.5", "poll_s=0.2")
    station = start(inbox, out, *words)
    await_(lambda: len(lines(out)) == 1)
    shutil.copytree(second[0].parent, inbox / "two")
    await_(lambda: len(lines(out)) == 2)
    station.process.send_signal(signal.SIGINT)
    code, said = station.end()
    assert code == 130, said
    run = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert len(run["seconds_per_exam"]) == 2
    shutil.rmtree(inbox / "one")  # the archive moves on; what was said of it stays
    station = start(inbox, out, *words)
    await_(lambda: "exams were done" in "".join(said) or len(list((out / "journal").glob("*.jsonl"))) >= 1)
    await_(lambda: list((out / "processes").glob("*.beat")))
    station.process.send_signal(signal.SIGTERM)
    code, said = station.end()
    assert code == 130, said
    assert len(lines(out)) == 2
    run = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert len(run["seconds_per_exam"]) == 2
