"""An exam is known by its objects' UIDs: renamed or copied it is not analysed again, nor is what an older program recorded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from inference.batch.units import as_recorded, list_units
from tests.inference.batch.conftest import Station, lines

Start = Callable[..., Station]


def renamed(source: Path, target: Path) -> Path:
    """Copy all images flat, each under another name."""
    target.mkdir()
    for number, path in enumerate(sorted(source.rglob("*.dcm"))):
        shutil.copyfile(path, target / f"{97 - number}.dcm")
    return target


@pytest.fixture
def archive(phantoms: Path, tmp_path: Path) -> Path:
    root = tmp_path / "Rossi Anna"
    for number, path in enumerate(sorted(phantoms.rglob("*.dcm"))):
        target = root / path.parent.name / f"first-{number}.dcm"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return root


def test_a_copy_under_other_names_is_the_same_exam(archive: Path, tmp_path: Path) -> None:
    here, there = list_units(archive).units, list_units(renamed(archive, tmp_path / "copy")).units
    assert len(here) == 2
    assert {(unit.case_id, unit.key) for unit in here} == {(unit.case_id, unit.key) for unit in there}
    assert {unit.former_key for unit in here}.isdisjoint(unit.former_key for unit in there)
    first = next(archive.rglob("*.dcm"))
    first.write_bytes(first.read_bytes() + b"\0\0")
    assert len({unit.key for unit in here} & {unit.key for unit in list_units(archive).units}) == 1


def test_what_an_older_program_recorded_by_names_goes_on_and_the_job_names_no_folder(
    archive: Path, tmp_path: Path, start: Start
) -> None:
    out = tmp_path / "out"
    code, said = start(archive, out, "workers=1").end()
    assert code == 0, said
    job = json.loads((out / "job.json").read_text(encoding="utf-8"))
    assert "Rossi" not in json.dumps(job)
    tables = {name: (out / name).read_bytes() for name in ("scores.csv", "detections.csv", "run.json")}
    for unit in list_units(archive).units:  # as it was recorded formerly
        path = out / "exams" / unit.key[:2] / f"{unit.key}.json"
        text = path.read_text(encoding="utf-8").replace(unit.key, unit.former_key)
        path.unlink()
        target = out / "exams" / unit.former_key[:2] / f"{unit.former_key}.json"
        target.parent.mkdir(exist_ok=True)
        target.write_text(text, encoding="utf-8")
    (out / "job.json").write_text(json.dumps({**job, "source": archive.name}), encoding="utf-8")
    before = len(lines(out))
    code, said = start(archive, out, "workers=1").end()
    assert (code, "2 exams were done before" in said) == (0, True), said
    assert len([line for line in lines(out)[before:] if not line.get("adopted")]) == 0
    assert {name: (out / name).read_bytes() for name in tables} == tables
    other = archive.rename(tmp_path / "another")
    code, said = start(other, out, "workers=1").end()
    assert (code, "expected a run with source" in said) == (2, True)


def test_a_unit_is_looked_up_by_its_former_key_only_where_that_is_recorded(archive: Path) -> None:
    unit = list_units(archive).units[0]
    former = replace(unit, key=unit.former_key)
    assert as_recorded(unit, {unit.former_key}) == former
    assert as_recorded(unit, {unit.former_key, unit.key}) == unit
    assert as_recorded(unit, set()) == unit
    assert as_recorded(replace(unit, former_key=""), {""}).key == unit.key
