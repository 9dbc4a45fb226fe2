"""What rows of a manifest mean for training: splits are obeyed by woman, only what is known is taught."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from inference.exam.manifest import Manifest, ManifestImage, ManifestLesion
from inference.training.four_view_cases import Case, Known, Part, Sorting, known_of, sorted_cases, women_of
from resources.vocabulary import FindingType, ImageKind, Laterality, Pathology, Projection, ViewName

L, R = Laterality.LEFT, Laterality.RIGHT


def _image(
    case: str,
    side: Laterality = L,
    *,
    woman: str | None = None,
    split: str = "",
    pathology: Pathology | None = Pathology.NORMAL,
    birads: str | None = None,
) -> ManifestImage:
    return ManifestImage(
        case_id=case,
        view=ViewName(side, Projection.CC),
        kind=ImageKind.FFDM,
        path=f"{case}-{side.value}.png",
        row=2,
        patient_id=woman or case,
        pathology=pathology,
        birads=birads,
        extra={"split": split} if split else {},
    )


def _lesion(
    case: str, side: Laterality = L, kind: FindingType = FindingType.MASS, split: str = ""
) -> ManifestLesion:
    return ManifestLesion(
        case_id=case,
        view=ViewName(side, Projection.CC),
        kind=None,
        lesion_id="1",
        type=kind,
        row=2,
        circle=(9.0, 9.0, 3.0),
        extra={"split": split} if split else {},
    )


def _sorted(*images: ManifestImage, lesions: tuple[ManifestLesion, ...] = ()) -> Sorting:
    return sorted_cases(Manifest(folder=Path(), images=images, lesions=lesions))


def _cases(sorting: Sorting) -> dict[str, Case]:
    return {case.case_id: case for case in sorting.cases}


def test_a_woman_whose_number_stands_in_some_rows_of_a_case_only_is_one_woman() -> None:
    rows = [
        ("a", "P1"),
        ("a", ""),
        ("b", "P1"),
        ("c", ""),
        ("d", "P2"),
        ("d", "P3"),
        ("e", "P3"),
        ("f", "P4"),
    ]
    for order in (rows, rows[::-1]):
        women = women_of(order)
        assert women["a"] == women["b"]
        assert women["d"] == women["e"]
        assert len(set(women.values())) == 4
    half = replace(_image("first", woman="P1"), patient_id=None)
    sorting = _sorted(_image("first", woman="P1"), half, _image("second", woman="P1", split="test"))
    assert {case.part for case in sorting.cases} == {Part.TEST}


def test_rows_marked_test_or_validation_are_never_learnt_from() -> None:
    words = ("train", "test", "validation", "Training", "TEST", "val")
    sorting = _sorted(*(_image(f"c{n}", split=word) for n, word in enumerate(words)))
    parts = [case.part for case in sorting.cases]
    assert parts == [Part.TRAIN, Part.TEST, Part.VALIDATION] * 2
    assert "column split" in sorting.rule


def test_a_woman_with_a_test_exam_gives_no_exam_to_learn_from() -> None:
    sorting = _sorted(
        _image("first", woman="Ada", split="train"),
        _image("second", woman="Ada", split="test"),
        _image("third", woman="Eve", split="train"),
        lesions=(_lesion("third", split="validation"),),
    )
    parts = {name: case.part for name, case in _cases(sorting).items()}
    assert parts == {"first": Part.TEST, "second": Part.TEST, "third": Part.VALIDATION}


def test_a_split_that_is_no_known_word_keeps_the_exam_out_and_is_reported() -> None:
    sorting = _sorted(_image("odd", split="fold7"), _image("fine", split="train"))
    assert _cases(sorting)["odd"].part is Part.TEST
    (said,) = sorting.left_out
    assert said.case_id == "odd"
    assert "expected train, validation or test, found 'fold7'" in said.why


def test_without_a_split_women_and_not_exams_are_divided() -> None:
    images = [_image(f"c{n}", woman=f"w{n // 2}") for n in range(400)]
    sorting = _sorted(*images)
    parts: dict[str, set[Part]] = {}
    for case in sorting.cases:
        parts.setdefault(case.woman, set()).add(case.part)
    assert all(len(found) == 1 for found in parts.values())
    validating = sum(found == {Part.VALIDATION} for found in parts.values())
    assert 20 < validating < 60  # a fifth of 200
    assert "split by patient_id" in sorting.rule


def test_where_the_table_names_nobody_to_validate_only_training_women_are_drawn() -> None:
    sorting = _sorted(*(_image(f"c{n}", split="test" if n % 2 else "train") for n in range(100)))
    for n, case in enumerate(sorting.cases):
        assert (case.part is Part.TEST) == (n % 2 == 1)
    assert any(case.part is Part.VALIDATION for case in sorting.cases)


@pytest.mark.parametrize(
    ("pathology", "birads", "expected"),
    [
        (Pathology.NORMAL, None, Known.NORMAL),
        (Pathology.MALIGNANT, None, Known.UNMARKED),
        (Pathology.BENIGN, None, Known.UNMARKED),
        (Pathology.MALIGNANT, "1", Known.UNMARKED),  # a cancer that nobody saw is no background
        (None, "1", Known.NORMAL),
        (None, "BI-RADS 2", Known.NORMAL),
        (Pathology.BENIGN, "2", Known.NORMAL),
        (None, "4", Known.UNMARKED),
        (None, None, Known.UNMARKED),
    ],
)
def test_a_breast_without_lesion_rows_is_normal_only_where_somebody_says_so(
    pathology: Pathology | None, birads: str | None, expected: Known
) -> None:
    assert known_of([_image("c", pathology=pathology, birads=birads)], [])[L] is expected


def test_a_breast_of_which_nothing_is_said_is_normal_where_the_other_was_marked() -> None:
    rows = [_image("c", L, pathology=None), _image("c", R, pathology=None)]
    assert known_of(rows, [_lesion("c", L)]) == {L: Known.MARKED, R: Known.NORMAL}
    assert known_of(rows, [_lesion("c", L, FindingType.ENHANCEMENT)])[L] is Known.UNMARKED


def test_a_cancer_that_no_row_places_is_not_taught_as_background() -> None:
    sorting = _sorted(
        _image("both", L, pathology=Pathology.MALIGNANT),
        _image("both", R),
        _image("alone", L, pathology=Pathology.MALIGNANT),
    )
    both, alone = sorting.cases
    assert both.labelled
    assert [row.view.laterality for row in both.rows] == [R]
    assert [(x.case_id, x.what) for x in sorting.left_out] == [("both", "left breast")]
    assert not alone.labelled  # pseudo-labels may teach it, truth may not
    assert len(alone.rows) == 1
