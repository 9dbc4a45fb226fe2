"""A process that uses a shelf: what the tests start beside others, and kill.

python -m tests.inference.exam.pacs.shelf_user put|take|stage|queue SHELF ...
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from inference.exam.pacs.model import PacsUnreachable, StudyMatch
from inference.exam.pacs.queue import DownloadQueue, State
from inference.exam.pacs.shelf import Shelf


def put(shelf: Shelf, folder: str) -> None:
    """Put every file of a folder."""
    for path in sorted(Path(folder).glob("*.dcm")):
        shelf.put([path.read_bytes()])


def take(shelf: Shelf, folder: str, *studies: str) -> None:
    """Put every file of a folder, and take studies off in between."""
    for number, path in enumerate(sorted(Path(folder).glob("*.dcm"))):
        shelf.put([path.read_bytes()])
        if number % 4 == 3 and number // 4 < len(studies):
            shelf.remove(studies[number // 4])


def stage(shelf: Shelf, study: str) -> None:
    """Stage a study for an import and write half an object; then wait to be killed."""

    def chunks():
        yield b"half an object" * 1000
        print("staged", flush=True)
        threading.Event().wait(60)

    with shelf.staged([StudyMatch(study_uid=study)]):
        shelf.put(chunks())


def queue(shelf: Shelf, first: str, count: str) -> None:
    """Queue so many studies of a PACS that is gone, until all of them have failed; then wait to be killed."""

    def gone(_name):
        raise PacsUnreachable("gone.")

    line = DownloadQueue(shelf, gone, backoff_s=())
    for number in range(int(count)):
        line.add("gone", StudyMatch(study_uid=f"{first}.{number}"))
    while not all(job.state is State.FAILED for job in line.jobs()):
        threading.Event().wait(0.01)
    print("queued", flush=True)
    threading.Event().wait(60)


if __name__ == "__main__":
    what, root, *more = sys.argv[1:]
    {"put": put, "take": take, "stage": stage, "queue": queue}[what](Shelf(Path(root)), *more)
