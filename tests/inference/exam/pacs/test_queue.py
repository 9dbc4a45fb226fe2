"""The queue: progress, cancel, a cut in the middle and resume, disk trouble, and what outlives the program."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from dataclasses import replace

import pytest

from inference.exam.pacs.fetching import fetch_study
from inference.exam.pacs.model import PacsError, PacsUnreachable, StudyMatch
from inference.exam.pacs.queue import QUEUE_FILE, DownloadQueue, State
from inference.exam.pacs.shelf import Shelf

every_way = pytest.mark.parametrize("way", ["web", "get", "move"], indirect=True)


def await_(condition, seconds=30.0):
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        threading.Event().wait(0.02)
    raise AssertionError("it did not happen in time")


@pytest.fixture
def big_study(orthanc, header, file_of, noise):
    """Eight incompressible images of 2 MB."""
    study = "1.2.3.77"
    for number in range(8):
        ds = header(StudyInstanceUID=study, SeriesInstanceUID=f"{study}.{number % 2}", StudyID="1",
                    ViewPosition="CC" if number % 2 else "MLO", ImageLaterality="LR"[number // 4])  # fmt: skip
        orthanc.add(file_of(ds, noise))
    return StudyMatch(study_uid=study)


@pytest.fixture
def way_web(orthanc):
    return orthanc.web()


@pytest.fixture
def own_orthanc(tmp_path, orthanc):
    """An Orthanc of this test's own, which may be killed."""
    if shutil.which("Orthanc") is None:
        pytest.skip("not run: orthanc is not installed")
    server = type(orthanc)(tmp_path / "own")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 8 MB."""
    if os.geteuid() != 0:
        pytest.skip("not run: only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("not run: no small disk can be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def queue_of(peer_of, listening, orthanc, shelf):
    made = []

    def build(link, *, target=None, **more):
        peer = peer_of(link, settings=listening(port=orthanc.own_port))
        queue = DownloadQueue(target or shelf, lambda _name: peer, **more)
        made.append(queue)
        return queue

    yield build
    for queue in made:
        queue.close()


@every_way
def test_pacs_the_queue_fetches_with_progress(way, big_study, queue_of, shelf):
    queue = queue_of(way)
    number = queue.add(way.name, big_study)
    assert queue.add(way.name, big_study) == number, "one that runs is not queued twice"
    await_(lambda: queue.jobs()[0].state.is_over)
    (job,) = queue.jobs()
    assert (job.state, job.done, job.total, job.sentence) == (State.DONE, 8, 8, "")
    assert job.new_bytes > 8 * 1_980_000
    assert len(list(job.folder.glob("*.dcm"))) == 8


@every_way
def test_pacs_a_cancelled_download_stops_soon_and_resumes_with_the_rest(way, big_study, queue_of, shelf):
    queue = queue_of(replace(way, parallel=1))
    number = queue.add(way.name, big_study)
    await_(lambda: queue.jobs()[0].done >= 1)
    queue.cancel(number)
    await_(lambda: queue.jobs()[0].state.is_over)
    job = queue.jobs()[0]
    if job.state is State.DONE:
        pytest.skip("not run: all images came before the cancel")
    assert job.state is State.CANCELLED
    here = shelf.count_of(big_study.study_uid)
    assert 1 <= here < 8
    queue.resume(number)
    await_(lambda: queue.jobs()[0].state.is_over)
    job = queue.jobs()[0]
    assert (job.state, job.done) == (State.DONE, 8)
    assert job.new_bytes < (8 - here + 1) * 2_020_000, "what was here is not fetched again"


@pytest.mark.parametrize("way", ["web", "get"], indirect=True)
def test_pacs_a_cut_in_the_middle_is_told_and_resume_fetches_only_the_rest(
    way, big_study, queue_of, shelf, proxy_to, orthanc
):
    proxy = proxy_to(orthanc.http if way.name == "web" else orthanc.dicom)
    through = (
        replace(way, url=f"http://127.0.0.1:{proxy.port}/dicom-web", parallel=2)
        if way.name == "web"
        else replace(way, port=proxy.port, parallel=2)
    )
    proxy.cut_after = 7_000_000
    queue = queue_of(through, backoff_s=())
    number = queue.add(through.name, big_study)
    await_(lambda: queue.jobs()[0].state.is_over)
    job = queue.jobs()[0]
    assert job.state is State.FAILED
    assert "cut" in job.sentence or "closed the connection" in job.sentence
    here = shelf.count_of(big_study.study_uid)
    assert 1 <= here < 8
    assert list((shelf.root / ".incoming").iterdir()) == [], "nothing half is left"
    assert shelf.damaged() == ()
    proxy.cut_after = None
    proxy.bytes = 0
    queue.resume(number)
    await_(lambda: queue.jobs()[0].state.is_over)
    assert queue.jobs()[0].state is State.DONE
    assert proxy.bytes < (8 - here + 1) * 2_020_000


@pytest.mark.parametrize("way", ["web", "get"], indirect=True)
def test_pacs_short_cuts_are_survived_without_being_asked(way, big_study, peer_of, shelf, proxy_to, orthanc):
    proxy = proxy_to(orthanc.http if way.name == "web" else orthanc.dicom)
    through = (
        replace(way, url=f"http://127.0.0.1:{proxy.port}/dicom-web")
        if way.name == "web"
        else replace(way, port=proxy.port)
    )
    proxy.cut_after = 7_000_000
    pauses, said = [], []

    def mended(seconds):
        pauses.append(seconds)
        proxy.bytes = 0  # the line is cut again after the next 7 MB

    got = fetch_study(
        peer_of(through), big_study, shelf, wait=mended, report=said.append, backoff_s=(1, 4, 15)
    )
    assert got.done == 8
    assert 1 <= len(pauses) <= 6
    assert any("Trying again in 1 s" in one.sentence for one in said)


def test_pacs_a_pacs_killed_in_the_middle_and_started_again_loses_nothing(
    own_orthanc, header, file_of, noise, peer_of, shelf, proxy_to
):
    study = StudyMatch(study_uid="1.2.3.78")
    for number in range(6):
        ds = header(StudyInstanceUID=study.study_uid, StudyID="1", ViewPosition="CC", InstanceNumber=number)
        own_orthanc.add(file_of(ds, noise))
    link = own_orthanc.web(parallel=1)

    def kill_in_the_middle(now):
        if now.done == 2:
            own_orthanc.stop(kill=True)

    with pytest.raises(PacsUnreachable, match=r"nothing listens|cut"):
        fetch_study(peer_of(link), study, shelf, report=kill_in_the_middle, backoff_s=())
    assert shelf.count_of(study.study_uid) in {2, 3}
    own_orthanc.start()
    came = []
    got = fetch_study(peer_of(link), study, shelf, report=came.append)
    assert (got.done, came[0].done) == (6, 2)
    assert shelf.damaged() == ()


def test_pacs_the_queue_is_taken_up_after_a_restart_without_names(way_web, big_study, queue_of, shelf):
    queue = queue_of(way_web, backoff_s=())
    queue._peer_of = lambda _name: (_ for _ in ()).throw(PacsUnreachable("web: gone."))
    named = replace(big_study, patient_name="Doe^Jane", patient_id="SECRET-17")
    queue.add(way_web.name, named)
    await_(lambda: queue.jobs()[0].state is State.FAILED)
    queue.close()
    kept = (shelf.root / QUEUE_FILE).read_text()
    assert big_study.study_uid in kept
    assert "Doe" not in kept
    assert "SECRET" not in kept
    later = queue_of(way_web)
    (job,) = later.jobs()
    assert job.state is State.FAILED
    assert "resume" in job.sentence
    later.resume(job.job_id)
    await_(lambda: later.jobs()[0].state is State.DONE)
    later.forget()
    assert later.jobs() == ()


def test_pacs_a_silent_server_does_not_keep_the_program_from_ending(peer_of, shelf, big_study):
    import socket
    import time

    from inference.exam.pacs.model import Connection

    with socket.create_server(("127.0.0.1", 0)) as silent:
        link = Connection(name="web", url=f"http://127.0.0.1:{silent.getsockname()[1]}/x", timeout_s=4)
        peer = peer_of(link)
        queue = DownloadQueue(shelf, lambda _name: peer)
        queue.add("web", big_study)
        await_(lambda: queue.jobs()[0].state is State.RUNNING)
        start = time.perf_counter()
        queue.close(patience_s=0.5)
        assert time.perf_counter() - start < 2
        assert "1.2.3.77" in (shelf.root / QUEUE_FILE).read_text(), "taken up at the next start"
        await_(lambda: queue._running == 0)


def test_pacs_half_an_object_of_another_process_is_left_alone_and_a_days_old_one_is_swept(shelf):
    incoming = shelf.root / ".incoming"
    fresh, stale = incoming / "fresh.part", incoming / "stale.part"
    for one in (fresh, stale):
        one.write_bytes(b"half")
    os.utime(stale, (1, 1))
    Shelf(shelf.root)
    assert [path.name for path in incoming.iterdir()] == ["fresh.part"]


@every_way
def test_pacs_a_full_disk_is_one_sentence_and_resume_goes_on(
    way, big_study, peer_of, listening, orthanc, small_disk
):
    peer = peer_of(way, settings=listening(port=orthanc.own_port))
    target = Shelf(small_disk / "shelf")
    with pytest.raises(PacsError, match=r"the disk is full; free some space and resume"):
        fetch_study(peer, big_study, target, backoff_s=())
    assert 1 <= target.count_of(big_study.study_uid) < 8
    assert list((target.root / ".incoming").iterdir()) == []


@every_way
def test_pacs_a_quota_is_kept(way, big_study, peer_of, listening, orthanc, tmp_path):
    peer = peer_of(way, settings=listening(port=orthanc.own_port))
    target = Shelf(tmp_path / "small", quota_bytes=7_000_000)
    with pytest.raises(PacsError, match=r"the quota of 0\.0 GB is used up"):
        fetch_study(peer, big_study, target, backoff_s=())
    assert target.used_bytes <= 7_000_000


def test_pacs_a_folder_that_cannot_be_written_is_one_sentence(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(PacsError, match="cannot be written"):
        Shelf(small_disk / "shelf")


def test_pacs_a_damaged_index_costs_a_second_fetch_and_nothing_else(way_web, big_study, peer_of, shelf):
    peer = peer_of(way_web)
    fetch_study(peer, big_study, shelf)
    index = shelf.root / "index.jsonl"
    index.write_bytes(index.read_bytes()[:-40] + b'\xff garbage\n{"sop": 3}\n')
    again = Shelf(shelf.root)
    assert again.count_of(big_study.study_uid) == 7
    assert fetch_study(peer, big_study, again).done == 8
    assert again.damaged() == ()
