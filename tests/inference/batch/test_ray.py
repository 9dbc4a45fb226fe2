"""The same run on a local Ray cluster of two workers, one of which is killed in the middle."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.inference.batch.conftest import Station, assert_once, await_, lines

pytest.importorskip("ray", reason="not run: the extra [cluster] is not installed")


def _actors(station: Station) -> list[psutil.Process]:
    """The cluster's worker processes that hold an analyst."""
    found = []
    for process in psutil.Process(station.process.pid).children(recursive=True):
        try:
            title = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if title.startswith("ray::RayWorker"):
            found.append(process)
    return found


@pytest.mark.timeout(600)
def test_a_run_on_ray_survives_a_killed_worker_and_does_every_exam_once(
    manifest: Path, undisturbed: Path, tmp_path: Path, start: Callable[..., Station]
) -> None:
    station = start(manifest, tmp_path, "workers=2", "ray=local")
    await_(lambda: len(lines(tmp_path)) >= 3, timeout=300)
    actors = await_(lambda: _actors(station))
    assert len(actors) == 2
    actors[0].kill()
    code, said = station.end(timeout=300)
    assert code == 0, said
    assert_once(tmp_path, undisturbed)
    assert len({line["worker"] for line in lines(tmp_path)}) == 3  # two, and the one in place of the killed
    assert "the cluster lost it" in said


def test_a_cluster_that_does_not_answer_is_one_sentence(
    manifest: Path, tmp_path: Path, start: Callable[..., Station]
) -> None:
    os.environ.pop("RAY_ADDRESS", None)
    code, said = start(manifest, tmp_path, "ray=127.0.0.1:1").end(timeout=300)
    assert code == 2
    assert said.strip().startswith("--ray 127.0.0.1:1: expected a Ray cluster that answers")
    assert len(said.strip().splitlines()) == 1
