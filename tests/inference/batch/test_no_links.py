"""A disk or share where a file cannot have two names: claims and records are whole there too, and made by one process.

On a real exFAT where the machine lets one be mounted, and everywhere with links refused as exFAT refuses them.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inference.batch import durable
from inference.batch.claims import Claims
from inference.batch.durable import write_once
from inference.batch.run_folder import Job, RunFolder
from inference.batch.work import Product
from tests.inference.batch.conftest import ROOT

KEY = "ab" * 16
JOB = Job(model_id="m", model_version="1", weights_sha256="1" * 64, preprocessing="p", source="archive")
REFUSE = f"import os\ndef link(*_): raise OSError({errno.EPERM}, 'Operation not permitted')\nos.link = link\n"


def _exfat(folder: Path) -> Iterator[Path]:
    tools = ("mkfs.exfat", "mount.exfat-fuse", "losetup")
    if os.name != "posix" or os.geteuid() != 0 or not all(map(shutil.which, tools)):
        pytest.skip("not run: needs root, exfatprogs and exfat-fuse")
    image, place = folder / "disk.img", folder / "disk"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.exfat", image], check=True, capture_output=True)
    found = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True, check=False)
    device = found.stdout.strip()
    try:
        done = subprocess.run(["mount.exfat-fuse", device, place], capture_output=True, check=False)
        if found.returncode or done.returncode:
            pytest.skip("not run: this machine mounts no exFAT")
        yield place
    finally:
        subprocess.run(["umount", place], capture_output=True, check=False)
        if device:
            subprocess.run(["losetup", "-d", device], capture_output=True, check=False)


@pytest.fixture(params=["refused", "exfat"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder where hard links are refused."""

    def refuse(*_paths: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if request.param == "exfat":
        yield from _exfat(tmp_path)
    else:
        monkeypatch.setattr(durable.os, "link", refuse)
        yield tmp_path


def test_links_are_refused_here(place: Path) -> None:
    (place / "one").write_text("x")
    with pytest.raises(OSError, match=r"not permitted|not supported|not implemented"):
        os.link(place / "one", place / "two")


def test_of_many_that_write_one_file_without_links_one_is_first_and_no_reader_sees_a_part(
    place: Path,
) -> None:
    seen: set[int] = set()
    over = threading.Event()
    length = 300_000

    def watch() -> None:
        while not over.is_set():
            for number in range(8):
                try:
                    seen.add((place / f"{number}").stat().st_size)
                except FileNotFoundError:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for number in range(8):
            gate = threading.Barrier(6)

            def race(who: int, path: Path = place / f"{number}", gate: threading.Barrier = gate) -> bool:
                gate.wait()
                return write_once(path, f"{who}".encode() * length, durable=False)

            with ThreadPoolExecutor(6) as pool:
                won = list(pool.map(race, range(6)))
            assert won.count(True) == 1
            assert (place / f"{number}").read_bytes() == f"{won.index(True)}".encode() * length
    finally:
        over.set()
        watcher.join()
    assert seen == {length}
    assert not list(place.glob(".*"))


def test_a_living_process_keeps_its_claim_without_links_and_of_many_takers_one_wins(place: Path) -> None:
    with Claims(place) as holder:
        assert holder.take(KEY) == 1
        with Claims(place) as other:
            assert other.take(KEY) is None
    takers = [Claims(place) for _ in range(6)]  # the holder has left
    gate = threading.Barrier(6)

    def race(one: Claims) -> int | None:
        with one:
            gate.wait()
            number = one.take(KEY)
            gate.wait()
            return number

    with ThreadPoolExecutor(6) as pool:
        numbers = list(pool.map(race, takers))
    assert len([number for number in numbers if number is not None]) == 1


KILLED = """
import os, sys
from pathlib import Path
from inference.batch import durable
durable._publish = lambda *_, **__: os._exit(9)  # the power goes after it was elected
durable.write_once(Path(sys.argv[1]), b"of the dead", durable=False)
"""


def _killed(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", REFUSE + KILLED, str(path)], cwd=ROOT, check=False)
    assert done.returncode == 9
    assert not path.exists()


def test_what_a_process_wrote_first_stands_though_it_was_killed_before_it_gave_it_its_name(
    place: Path,
) -> None:
    _killed(place / "a")
    assert not write_once(place / "a", b"of another")
    assert (place / "a").read_bytes() == b"of the dead"


def test_a_failed_exam_is_tried_again_after_its_recorder_was_killed(place: Path) -> None:
    folder = RunFolder(place)
    folder.open(JOB, "p0")
    record = {"failure": "it failed", "scores": [], "detections": []}
    folder.record(Product(case_id="c1", key=KEY, record=record), worker="", attempt=1)
    path = next((place / "exams").glob("*/*.json"))
    election = path.with_name(f".{path.name}.first")
    election.mkdir()
    (election / "content").write_bytes(
        path.read_bytes()
    )  # killed after the name was given, before tidying up
    assert folder.retry_failed() == 1
    assert folder.record(
        Product(case_id="c1", key=KEY, record={**record, "failure": ""}), worker="", attempt=2
    )


def test_a_claim_that_cannot_be_read_at_the_moment_is_somebodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Claims(tmp_path) as one, Claims(tmp_path) as two:
        assert one.take(KEY) == 1
        real = Path.read_text

        def stale(path: Path, *words: object, **more: object) -> str:
            if path.parent.name == KEY:
                raise OSError(errno.ESTALE, "Stale file handle")
            return real(path, *words, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(Path, "read_text", stale)
        assert two.take(KEY) is None
