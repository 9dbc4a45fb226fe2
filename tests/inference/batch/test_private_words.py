"""Folders and files named after a woman go through a run: nothing that it writes or says names her, but the private list."""

from __future__ import annotations

import csv
import errno
import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread

from inference.batch.passing import NotNow
from inference.batch.public_words import nameless, reason, row_note
from inference.batch.units import list_units
from inference.batch.work import Analyst, WorkSpec, broken
from inference.engine import FakeEngine
from inference.exam import dicom
from inference.exam.types import ExamError, InferenceError
from inference.worker import EngineSpec
from tests.inference.batch.conftest import Station

Start = Callable[..., Station]
SECRETS = ("Quackenbush", "Ottoline", "MRN-889911", "19610412", "1.2.840.99999")
OTHERWISE = "It could not be fetched."


def spoil(path: Path) -> None:
    """The header is whole, the picture is not."""
    ds = dcmread(path)
    ds.compress("1.2.840.10008.1.2.4.80")
    stream = bytearray(ds.PixelData)
    stream[len(stream) // 2 :] = b"\xff\xd9" * ((len(stream) - len(stream) // 2) // 2)
    ds.PixelData = bytes(stream)
    ds.save_as(path)


@pytest.fixture
def archive(phantoms: Path, tmp_path: Path) -> Path:
    """Two women's folders by name: an exam that can be read, one whose pixels are cut off, and files that are none."""
    root = tmp_path / "archive"
    folders = sorted({path.parent for path in phantoms.rglob("*.dcm")})
    for number, folder in enumerate(folders):
        target = root / f"Quackenbush Ottoline 1961041{number}"
        shutil.copytree(folder, target)
        for path in sorted(target.glob("*.dcm")):
            ds = dcmread(path)
            ds.PatientName, ds.PatientID = "Quackenbush^Ottoline", f"MRN-889911{number}"
            ds.StudyInstanceUID = f"1.2.840.99999.{number}"
            ds.save_as(path)
            path.rename(path.with_name(f"Ottoline {path.name}"))
    for path in sorted(target.glob("*.dcm")):
        spoil(path)
    (target / "Quackenbush letter.dcm").write_bytes(b"MRN-889911 is no DICOM")
    (target / "Ottoline.txt").write_text("Quackenbush")
    (root / "empty Quackenbush.dcm").touch()
    return root


def written(folder: Path) -> str:
    files = [path for path in folder.rglob("*") if path.is_file()]
    names = "".join(path.relative_to(folder).as_posix() for path in files)
    return names + "".join(path.read_bytes().decode("utf-8", "replace") for path in files)


def named(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret.lower() in text.lower()]


def test_a_run_over_folders_with_names_writes_and_says_pseudonyms_only(
    archive: Path, tmp_path: Path, start: Start
) -> None:
    out, private = tmp_path / "out", tmp_path / "beside" / "problems.csv"
    private.parent.mkdir()
    code, said = start(archive, out, "workers=1").end()
    assert code == 1, said
    assert named(said) == named(written(out)) == []
    run = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert list(run["failures"].values()) == [
        "The images of this exam: cut off or damaged. --problems FILE says more."
    ]
    assert run["refused_files"] == {"empty": 1, "no DICOM file": 1, "no image by its ending": 1}
    assert "3 files are no part of an exam" in said
    with (out / "detections.csv").open(encoding="utf-8") as stream:
        assert {row["path"] for row in csv.DictReader(stream)} <= {"R-CC", "L-CC", "R-MLO", "L-MLO"}
    (failed,) = run["failures"]
    code, said = start(archive, out, "workers=1", f"problems={private}", "retry_failed=1").end()
    assert named(said) == named(written(out)) == []
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    rows = list(csv.DictReader(private.read_text(encoding="utf-8").splitlines()))
    exam = next(row for row in rows if row["what"] == "exam")
    assert (exam["name"], "Ottoline" in exam["sentence"]) == (failed, True)
    assert sorted(Path(row["name"]).name for row in rows if row["what"] == "file") == [
        "Ottoline.txt", "Quackenbush letter.dcm", "empty Quackenbush.dcm",
    ]  # fmt: skip
    start(archive, out, "workers=1", f"problems={private}").end()
    again = list(csv.DictReader(private.read_text(encoding="utf-8").splitlines()))
    assert again == rows, "what an earlier process noted of an exam stays"


@pytest.fixture
def damaged(archive: Path) -> Path:
    """One woman's exam, one image of which cannot be decoded."""
    folder = min(path for path in archive.iterdir() if path.is_dir())
    spoil(min(folder.glob("*.dcm")))
    return folder


def test_an_image_that_cannot_be_read_is_told_and_the_others_are_analysed(
    damaged: Path, tmp_path: Path, start: Start
) -> None:
    out = tmp_path / "out"
    code, said = start(damaged, out, "workers=1").end()
    assert code == 1, said
    run = json.loads((out / "run.json").read_text(encoding="utf-8"))
    ((case, told),) = run["warnings"].items()
    assert told[0] == ("An image of this exam was left out: cut off or damaged. --problems FILE says more.")
    assert list(run["seconds_per_exam"]) == [case]
    assert f"1 were analysed without an image of theirs: {case}." in said
    assert named(said) == named(written(out)) == []


def test_an_exam_one_image_of_which_is_away_for_a_moment_waits_for_the_next_run(
    damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (unit,) = list_units(damaged).units
    analyst = Analyst(WorkSpec(engine=EngineSpec(model_folder=None)))
    assert "cut off" in analyst.analyse(unit).detail
    load = dicom.load_view

    def away(source: object, name: str = "", **more: object) -> object:
        if name == max(item.member.name for item in unit.content.items):
            raise ExamError(f"{name}: damage") from OSError(errno.ESTALE, "Stale file handle")
        return load(source, name, **more)

    monkeypatch.setattr(dicom, "load_view", away)
    with pytest.raises(NotNow) as waits:
        analyst.analyse(unit)
    assert named(str(waits.value)) == []


def test_the_private_list_never_lies_among_the_results_nor_replaces_another_file(
    archive: Path, tmp_path: Path, start: Start
) -> None:
    out, mine = tmp_path / "out", tmp_path / "mine.csv"
    mine.write_text("my,own\n1,2\n", encoding="utf-8")
    code, said = start(archive, out, "workers=1", f"problems={out / 'problems.csv'}").end()
    assert (code, "outside the results" in said) == (2, True)
    code, said = start(archive, out, "workers=1", f"problems={mine}").end()
    assert (code, "another file" in said) == (2, True)
    assert mine.read_text(encoding="utf-8") == "my,own\n1,2\n"


class Faulty(FakeEngine):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def analyse(self, exam, progress, cancelled):
        raise self.error


@pytest.mark.parametrize(
    ("error", "public"),
    [
        (ValueError("no date: 'Quackenbush^Ottoline'"), "failed inside the model (ValueError); report this."),
        (InferenceError("Ottoline 0-L-CC.dcm: expected two views."), "The model could not analyse this exam."),
        (InferenceError("L MLO: expected 2 views, found CC/MLO only."), "L MLO: expected 2 views, found CC/MLO only."),
    ],
)  # fmt: skip
def test_what_a_model_says_is_recorded_without_what_it_found(
    archive: Path, error: Exception, public: str
) -> None:
    units = list_units(archive).units
    analyst = Analyst(WorkSpec(engine=EngineSpec(model_folder=None)))
    analyst._engine = Faulty(error)
    failures = []
    for unit in units:
        product = analyst.analyse(unit)
        failures.append(product.failure)
        assert named(json.dumps(product.record) + repr(product)) == []
    assert any(public in failure for failure in failures), failures


def test_a_defect_of_the_worker_is_recorded_by_its_class(archive: Path) -> None:
    product = broken(list_units(archive).units[0], KeyError("Quackenbush"))
    assert product.failure == "The analysis failed (KeyError); report this."
    assert named(json.dumps(product.record) + repr(product)) == []


def test_public_words_are_this_programs_own() -> None:
    assert reason("Rossi/empty file.dcm: expected a DICOM file, found text without the DICM mark.",
                  "Rossi/empty file.dcm") == "no DICOM file"  # fmt: skip
    assert reason("Rossi.dcm: expected something, found (Rossi^Anna)") == "cannot be read"
    assert row_note("Manifest", "x.csv, row 3, view: expected CC or MLO, found 'Rossi'.").startswith(
        "Manifest, row 3, view: expected CC or MLO, found something else"
    )
    assert row_note("Lesions", "Lesions row 7: expected the file Rossi/a.png, could not be read.").startswith(
        "Lesions, row 7: not used."
    )
    for words in ("PACS: /srv/Rossi/a is full.", r"C:\Rossi\a.dcm: gone.", "a/Rossi/b: gone."):
        assert nameless(words, otherwise=OTHERWISE).startswith(OTHERWISE)
    assert nameless("web: the server refused user or password (HTTP 401).", otherwise=OTHERWISE).startswith(
        "web:"
    )
