"""A manifest of many cases over few phantom files, and stations: real processes that work through it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_manifest

ROOT = Path(__file__).resolve().parents[3]
CASES = 40
PATIENCE_S = 120.0  # a machine may be busy with other things


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two exams of 1 mm pixels."""
    folder = tmp_path_factory.mktemp("archive")
    write_manifest([phantom_exam(PhantomSpec(seed=seed, pixel_mm=1.0)) for seed in (61, 62)], folder)
    return folder


@pytest.fixture(scope="session")
def manifest(phantoms: Path) -> Path:
    """CASES cases that take turns at the exams."""
    return write_cases(phantoms, "many.csv", CASES)


def write_cases(folder: Path, name: str, count: int, *, long_case: int = 0) -> Path:
    """Write a manifest of so many cases; ``long_case`` repeats the first case's images so often (it takes seconds)."""
    with (folder / "images.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    exams: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        exams.setdefault(row["case_id"], []).append(row)
    kinds = list(exams.values())
    path = folder / name
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        for number in range(count):
            repeat = long_case if number == 0 and long_case else 1
            for row in kinds[number % len(kinds)] * repeat:
                writer.writerow({**row, "case_id": f"case{number:03d}"})
    return path


class Station:
    """One process of a run."""

    def __init__(self, source: Path, out: Path, *words: str) -> None:
        self.out = out
        command = [sys.executable, "-m", "tests.inference.batch.station", str(source), str(out), *words]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def workers(self) -> list[psutil.Process]:
        """The living worker processes."""
        try:
            children = psutil.Process(self.process.pid).children()
        except psutil.NoSuchProcess:
            return []
        return [one for one in children if "spawn_main" in " ".join(_words(one))]

    def end(self, timeout: float = PATIENCE_S) -> tuple[int, str]:
        """Wait for its end: exit status and what it said."""
        said, _ = self.process.communicate(timeout=timeout)
        return self.process.returncode, said

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=30)


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.fixture
def start() -> Iterator[Callable[..., Station]]:
    stations: list[Station] = []

    def begin(source: Path, out: Path, *words: str) -> Station:
        stations.append(Station(source, out, *words))
        return stations[-1]

    yield begin
    for station in stations:
        station.kill()


def await_(what: Callable[[], Any], timeout: float = PATIENCE_S) -> Any:
    """Wait until something is true, and return it."""
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        found = what()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("waited in vain")


def lines(out: Path) -> list[dict[str, Any]]:
    """All whole journal lines of a run."""
    found = []
    for path in sorted((out / "journal").glob("*.jsonl")):
        for text in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if text.endswith("\n"):
                found.append(json.loads(text))
    return found


@pytest.fixture(scope="session")
def undisturbed(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of one process that nobody disturbed."""
    out = tmp_path_factory.mktemp("undisturbed")
    station = Station(manifest, out, "workers=1")
    code, said = station.end()
    assert code == 0, said
    return out


def assert_once(out: Path, undisturbed: Path) -> None:
    """Every exam has exactly one journal line, and the tables are byte for byte those of an undisturbed run."""
    cases = [line["case_id"] for line in lines(out)]
    assert sorted(cases) == [f"case{number:03d}" for number in range(CASES)]
    for name in ("scores.csv", "detections.csv", "run.json"):
        assert (out / name).read_bytes() == (undisturbed / name).read_bytes(), name
    assert not [path for path in (out / "claims").rglob("*") if path.is_file()]
