"""Cross-validation: no woman is in two folds, and two readings of the same exams are compared lesion by lesion."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from inference.exam.manifest import read_manifest
from inference.training.four_view_cases import Part, sorted_cases
from inference.training.four_view_folds import beside, fold_tables
from inference.training.four_view_judged import JudgedExam
from inference.training.four_view_measures import ImageResult, Mark, Truth
from inference.training.four_view_trials import trial_lines
from resources.vocabulary import FindingType

COLUMNS = ("case_id", "patient_id", "laterality", "view", "path", "pathology", "split")


def _table(folder: Path) -> Path:
    path = folder / "images.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for case in range(30):
            for side in "LR":
                row = (f"c{case}", f"w{case // 2}", side, "MLO", f"{case}{side}.png", "normal", "train")
                writer.writerow(row)
    return path


def test_each_woman_is_tested_in_one_fold_and_never_learnt_from_there(tmp_path: Path) -> None:
    tested: list[str] = []
    for path in fold_tables(_table(tmp_path), 3):
        sorting = sorted_cases(read_manifest(path))
        own = {case.woman for case in sorting.of(Part.TEST, labelled=True)}
        others = {case.woman for case in sorting.cases if case.part is not Part.TEST}
        assert len(own) == 5
        assert not own & others
        tested += own
    assert sorted(tested) == sorted({f"w{n}" for n in range(15)})


def test_a_number_that_only_some_rows_of_a_case_have_keeps_the_woman_in_one_fold(tmp_path: Path) -> None:
    table = _table(tmp_path)
    lines = table.read_text(encoding="utf-8").splitlines()
    for n in range(2, len(lines), 2):  # the second row of each case names nobody
        cells = lines[n].split(",")
        lines[n] = ",".join([cells[0], "", *cells[2:]])
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for path in fold_tables(table, 3):
        sorting = sorted_cases(read_manifest(path))
        tested = {int(case.case_id[1:]) // 2 for case in sorting.of(Part.TEST, labelled=True)}
        others = {int(case.case_id[1:]) // 2 for case in sorting.cases if case.part is not Part.TEST}
        assert len(tested) == 5
        assert not tested & others


def _exam(number: int, *, finds: bool) -> JudgedExam:
    lesion = Truth(box=(10.0, 10.0, 30.0, 30.0), finding=FindingType.MASS, malignant=True)
    box = (12.0, 12.0, 28.0, 28.0) if finds else (60.0, 60.0, 80.0, 80.0)
    mark = Mark(box=box, score=0.9 - number / 100, finding=FindingType.MASS, malignancy=0.5)
    image = ImageResult(case_id=f"c{number}", lesions=(lesion,), marks=(mark,))
    return JudgedExam(case_id=f"c{number}", images=(image,), breasts=())


def test_what_one_reading_finds_and_the_other_does_not_is_the_difference() -> None:
    tuned = [_exam(n, finds=n < 8) for n in range(10)]
    plain = [_exam(n, finds=n < 3) for n in range(11)]  # one exam more, which the other did not read
    found = beside(tuned, plain)
    assert (found["exams"], found["images"], found["lesions"]) == (10, 10, 10)
    first, second = found["at"]["1.0"]
    assert (first["name"], first["value"]) == ("fine-tuned", 0.8)
    assert (second["name"], second["value"]) == ("untouched", 0.3)
    assert first["difference"] == pytest.approx(0.5)
    assert first["lo"] > 0


def test_a_card_without_trials_gets_no_lines_on_them() -> None:
    class Card:
        evaluation: dict[str, object] = {}  # noqa: RUF012 - a stand-in for what the page reads of a card
        architecture: dict[str, object] = {}  # noqa: RUF012

    assert trial_lines(Card()) == []  # type: ignore[arg-type]
