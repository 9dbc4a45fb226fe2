"""Several processes on one shelf: no list loses what another wrote, and what a killed one left is swept at the next start."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from inference.exam.pacs.leftovers import sweep_shelf
from inference.exam.pacs.model import PacsUnreachable, StudyMatch
from inference.exam.pacs.queue import QUEUE_FILE, DownloadQueue
from inference.exam.pacs.shelf import Shelf
from inference.exam.pacs.shelf_index import Index
from inference.exam.sources import FolderSource

ROOT = Path(__file__).resolve().parents[4]
EACH = 60


def user(*words):
    """Start a process that uses a shelf."""
    command = [sys.executable, "-m", "tests.inference.exam.pacs.shelf_user", *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def until_said():
    """Start a process and wait until it says a word; killed at the end."""
    started = []

    def begin(word, *words):
        process = user(*words)
        started.append(process)
        assert process.stdout.readline().strip() == word
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def small(header, file_of):
    """Bytes of one small object of a study."""

    def made(study, number):
        return file_of(header(StudyInstanceUID=study, SeriesInstanceUID=f"{study}.1", SOPInstanceUID=f"{study}.1.{number}",
                              StudyID="1"), np.full((64, 64), number, np.uint16))  # fmt: skip

    return made


def folder_with(folder, files):
    folder.mkdir()
    for number, data in enumerate(files):
        (folder / f"{number:03d}.dcm").write_bytes(data)
    return folder


def test_pacs_two_processes_that_put_and_remove_at_once_lose_no_object(small, tmp_path):
    gone = [f"1.2.3.9{number}" for number in range(10)]
    shelf = Shelf(tmp_path / "shelf")
    for study in gone:
        for number in range(2):
            shelf.put([small(study, number)])
    puts = folder_with(tmp_path / "a", (small("1.2.3.1", number) for number in range(EACH)))
    takes = folder_with(tmp_path / "b", (small("1.2.3.2", number) for number in range(EACH)))
    both = [user("put", shelf.root, puts), user("take", shelf.root, takes, *gone)]
    for process in both:
        process.communicate(timeout=120)
    assert [process.returncode for process in both] == [0, 0]
    for seen in (shelf, Shelf(shelf.root)):  # the one that was open all the while, and one that is opened now
        assert [seen.count_of(study) for study in ("1.2.3.1", "1.2.3.2", *gone)] == [EACH, EACH, *[0] * 10]
        files = list(seen.root.rglob("*.dcm"))
        assert len(files) == 2 * EACH
        assert seen.used_bytes == sum(path.stat().st_size for path in files)
        assert seen.damaged() == ()
    assert all(shelf.holds(f"1.2.3.1.1.{number}") for number in range(EACH))
    assert sorted(path.name for path in (shelf.root / ".incoming").iterdir()) == []


def test_pacs_a_screen_that_looks_at_the_shelf_does_not_wait_for_what_is_written(small, tmp_path):
    shelf = Shelf(tmp_path / "shelf")
    shelf.put([small("1.2.3.1", 0)])
    held, release = threading.Event(), threading.Event()

    def write_slowly():
        with shelf._index.changing():
            held.set()
            release.wait(60)

    writer = threading.Thread(target=write_slowly)
    writer.start()
    try:
        assert held.wait(30)
        looked = []
        looker = threading.Thread(
            target=lambda: looked.append(
                (shelf.count_of("1.2.3.1"), shelf.folder_of("1.2.3.1"), shelf.used_bytes)
            )
        )
        looker.start()
        looker.join(30)
        assert looked, "it waited for the writer"
        assert looked[0][0] == 1
    finally:
        release.set()
        writer.join()


def test_pacs_a_list_that_is_read_anew_is_never_seen_half(small, tmp_path, monkeypatch):
    """Another process took a study off: the rest is here all the while."""
    shelf = Shelf(tmp_path / "shelf")
    for study in ("1.2.3.1", "1.2.3.2"):
        shelf.put([small(study, 0)])
    Shelf(shelf.root).remove("1.2.3.2")
    seen, take = [], Index._take

    def look_meanwhile(index, *words):
        looker = threading.Thread(
            target=lambda: seen.append((shelf.holds("1.2.3.1.1.0"), shelf.folder_of("1.2.3.1") is not None))
        )
        looker.start()
        looker.join(30)
        take(index, *words)

    monkeypatch.setattr(Index, "_take", look_meanwhile)
    assert shelf.count_of("1.2.3.2") == 0
    assert seen
    assert set(seen) == {(True, True)}


def test_pacs_a_study_whose_images_bear_two_patient_ids_is_imported_whole(header, file_of, tmp_path):
    shelf = Shelf(tmp_path / "shelf")
    for number, patient in enumerate(("a", "b", "b")):
        ds = header(StudyInstanceUID="1.2.3.1", SOPInstanceUID=f"1.2.3.1.1.{number}", PatientID=patient)
        shelf.put([file_of(ds, np.full((64, 64), number, np.uint16))])
    with shelf.staged([StudyMatch(study_uid="1.2.3.1")]) as folder:
        found = sorted(dcmread(path).PatientID for path in folder.rglob("*.dcm"))
    assert found == ["a", "b", "b"]
    fullest = shelf.folder_of("1.2.3.1")
    assert len(list(fullest.glob("*.dcm"))) == 2
    shelf.remove("1.2.3.1")
    assert list(shelf.root.rglob("*.dcm")) == []


def test_pacs_the_quota_holds_for_all_processes_together(small, tmp_path):
    one = small("1.2.3.1", 0)
    mine = Shelf(tmp_path / "shelf", quota_bytes=3 * len(one) + 100)
    other = Shelf(mine.root, quota_bytes=3 * len(one) + 100)
    mine.put([one])
    for number in (1, 2):
        other.put([small("1.2.3.1", number)])
    with pytest.raises(Exception, match="quota"):
        mine.put([small("1.2.3.1", 3)])


def test_pacs_a_line_that_a_crash_cut_off_does_not_swallow_the_next_one(small, tmp_path):
    shelf = Shelf(tmp_path / "shelf")
    shelf.put([small("1.2.3.1", 0)])
    index = shelf.root / "index.jsonl"
    index.write_bytes(
        index.read_bytes() + b'{"sop": "0123',
    )
    Shelf(shelf.root).put([small("1.2.3.1", 1)])
    assert Shelf(shelf.root).count_of("1.2.3.1") == 2


def test_pacs_what_a_killed_import_staged_is_gone_after_the_next_start_and_what_a_living_one_staged_stays(
    small, tmp_path, until_said
):
    shelf = Shelf(tmp_path / "shelf")
    shelf.put([small("1.2.3.1", 0)])
    words = ("staged", "stage", shelf.root, "1.2.3.1")
    killed, living = until_said(*words), until_said(*words)
    incoming = shelf.root / ".incoming"
    staged = list(incoming.rglob("*.dcm"))
    assert len(staged) == 2
    assert "Doe" in str(dcmread(staged[0]).PatientName), "what is staged bears her name"
    assert len(list(incoming.glob("*.part"))) == 2
    sweep_shelf(shelf.root)
    assert len(list(incoming.iterdir())) == 4, "both live"
    killed.kill()
    killed.wait()
    sweep_shelf(shelf.root)
    assert len(list(incoming.rglob("*.dcm"))) == 1
    assert len(list(incoming.glob("*.part"))) == 1
    living.kill()
    living.wait()
    Shelf(shelf.root)
    assert list(incoming.iterdir()) == []
    assert shelf.count_of("1.2.3.1") == 1


def test_pacs_the_queue_of_another_living_process_is_neither_taken_over_nor_forgotten(tmp_path, until_said):
    root = tmp_path / "shelf"
    other = until_said("queued", "queue", root, "1.2.8", 5)

    def gone(_name):
        raise PacsUnreachable("gone.")

    mine = DownloadQueue(Shelf(root), gone, backoff_s=())
    assert mine.jobs() == (), "they are the other's"
    mine.add("gone", StudyMatch(study_uid="1.2.9"))
    while not mine.jobs()[0].state.is_over:
        pass
    mine.close()
    kept = {one["study"] for one in json.loads((root / QUEUE_FILE).read_text())}
    assert kept == {"1.2.9", *(f"1.2.8.{number}" for number in range(5))}
    other.kill()
    other.wait()
    heir = DownloadQueue(Shelf(root), gone)
    assert {job.study.study_uid for job in heir.jobs()} == kept
    late = DownloadQueue(Shelf(root), gone)
    assert late.jobs() == (), "each study is taken up by one of them"
    heir.close()
    late.close()


@pytest.mark.parametrize("how", ["folder", "the folder above", "zip"])
def test_pacs_an_import_of_a_shelf_lists_its_images_only(small, tmp_path, how):
    shelf = Shelf(tmp_path / "above" / "shelf")
    for number in range(2):
        shelf.put([small("1.2.3.1", number)])
    queue = DownloadQueue(shelf, lambda name: (_ for _ in ()).throw(PacsUnreachable(name)), backoff_s=())
    queue.add("gone", StudyMatch(study_uid="1.2.9"))
    queue.close()
    (shelf.root / "notes.jsonl").write_text("{}")
    with shelf.staged([StudyMatch(study_uid="1.2.3.1")]):
        source = {"folder": shelf.root, "the folder above": shelf.root.parent}.get(how)
        if source is None:
            source = Path(shutil.make_archive(str(tmp_path / "shelf"), "zip", shelf.root))
        told = FolderSource(source).report.entries
    names = sorted(Path(entry.path).name for entry in told)
    assert len(names) == 3
    assert names[-1] == "notes.jsonl", "a file that is not the shelf's own is told as ever"
    assert [entry.accepted for entry in told].count(True) == 2


def test_a_file_that_is_called_like_a_shelfs_list_elsewhere_is_told(tmp_path):
    (tmp_path / "index.jsonl").write_text("{}")
    assert [entry.path for entry in FolderSource(tmp_path).report.entries] == ["index.jsonl"]
