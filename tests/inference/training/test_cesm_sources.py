"""The contrast model learnt from a user's own pairs: who is learnt from, what is refused, and what is packaged."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.cesm_engine import CesmEngine
from inference.exam.phantom import PhantomExam, PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_manifest
from inference.exam.types import InferenceError
from inference.models.crop_classifier import CropConfig
from inference.training.cesm_command import train_and_package
from inference.training.cesm_data import prepared_cesm
from inference.training.cesm_manifest import train_on_manifest
from inference.training.cesm_page import document
from inference.training.cesm_recipe import RECIPES, SMALL, CesmOrder
from inference.training.cesm_sources import CesmSource, cesm_source
from resources.vocabulary import FindingType, Pathology

KINDS = (
    Pathology.MALIGNANT,
    Pathology.BENIGN,
    Pathology.MALIGNANT,
    Pathology.BENIGN,
    Pathology.NORMAL,
)
TINY = replace(SMALL, network=CropConfig(level=3, size=48), imagenet="none", batch=4, epochs=1)
Row = dict[str, str]


@pytest.fixture(scope="module")
def phantoms() -> list[PhantomExam]:
    made = []
    for number, kind in enumerate(KINDS):
        ill = kind is not Pathology.NORMAL
        spec = PhantomSpec(
            seed=30 + number,
            cesm=True,
            pixel_mm=0.8,
            pathology=kind,
            finding=FindingType.MASS if ill else None,
            lesions=1 if ill else None,
        )
        made.append(phantom_exam(spec))
    return made


@pytest.fixture(scope="module")
def folder(phantoms: list[PhantomExam], tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("pairs")
    write_manifest(phantoms, home)
    return home


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def source(folder: Path, cache: Path) -> CesmSource:
    return _source(folder / "images.csv", folder / "lesions.csv", cache)


def _source(images: Path, lesions: Path, cache: Path, preprocessing: str = "cesm-pair/1") -> CesmSource:
    return cesm_source(images, lesions, cache, preprocessing, folds=5, seed=1, most_left_out=0.25)


def _rewritten(path: Path, name: str, change: Callable[[Row], Row | None]) -> Path:
    """A table beside ``path`` with each row changed, or left out where the change gives None."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = [new for row in csv.DictReader(stream) if (new := change(dict(row))) is not None]
    target = path.with_name(name)
    with target.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys(k for row in rows for k in row)))
        writer.writeheader()
        writer.writerows(rows)
    return target


def test_pairs_from_files_give_the_crops_that_the_phantoms_give(
    source: CesmSource, phantoms: list[PhantomExam]
) -> None:
    """The boxes' ellipses stand for the masks, so the squares agree; both grey channels are those of the phantom."""
    for phantom, exam in zip(phantoms, source.exams, strict=True):
        expected = prepared_cesm(phantom, "cesm-pair/1", 1)
        np.testing.assert_array_equal(exam.canvases, expected.canvases)
        lesions = [s for s in exam.samples if s.is_lesion]
        truth = [s for s in expected.samples if s.is_lesion]
        assert [(s.lesion_id, s.projection, s.malignant) for s in lesions] == [
            (s.lesion_id, s.projection, s.malignant) for s in truth
        ]
        assert [s.diameter_mm for s in lesions] == pytest.approx([s.diameter_mm for s in truth], rel=0.5)


def test_a_woman_is_in_one_fold_and_both_kinds_are_in_each(folder: Path, cache: Path) -> None:
    """Two exams of one woman, the benign 31 and the malignant 32, must not be parted."""
    twice = {"31": "A", "32": "A"}
    images = _rewritten(
        folder / "images.csv",
        "one_woman.csv",
        lambda row: {**row, "patient_id": twice.get(row["case_id"][-2:], row["case_id"])},
    )
    found = _source(images, folder / "lesions.csv", cache)
    by_seed = {case.case_id[-2:]: found.folds[case.case_id] for case in found.cases}
    assert by_seed["31"] == by_seed["32"]
    assert found.count == 2  # two women with a malignant lesion, two with a benign one
    assert found.trained_on.women == 4


@pytest.mark.parametrize("word", ["test", "validation", "spare"])
def test_a_woman_whom_the_table_holds_out_is_not_learnt_from(folder: Path, cache: Path, word: str) -> None:
    images = _rewritten(
        folder / "images.csv",
        f"split_{word}.csv",
        lambda row: {**row, "split": word if row["case_id"].endswith("34") else "train"},
    )
    found = _source(images, folder / "lesions.csv", cache)
    assert not any(case.case_id.endswith("34") for case in found.cases)
    assert found.trained_on.held_out == 1


def test_one_kind_of_lesion_alone_is_refused_in_one_sentence(folder: Path, cache: Path) -> None:
    lesions = _rewritten(folder / "lesions.csv", "all_malignant.csv", lambda row: {**row, "malignant": "1"})
    with pytest.raises(
        InferenceError, match=r"4 malignant of 4 women and 0 benign of 0; add cases"
    ) as refused:
        _source(folder / "images.csv", lesions, cache)
    assert str(refused.value).startswith("all_malignant.csv: expected malignant and benign lesions")
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("how", ["row", "file"])
def test_an_image_of_a_pair_that_is_missing_is_named(folder: Path, cache: Path, how: str) -> None:
    with (folder / "lesions.csv").open(encoding="utf-8", newline="") as stream:
        first = next(iter(csv.DictReader(stream)))
    at = (first["case_id"], first["laterality"], first["view"], "cesm_low")

    def change(row: Row) -> Row | None:
        if (row["case_id"], row["laterality"], row["view"], row["kind"]) != at:
            return row
        return None if how == "row" else {**row, "path": "gone.dcm"}

    images = _rewritten(folder / "images.csv", f"missing_{how}.csv", change)
    with pytest.raises(InferenceError) as refused:
        _source(images, folder / "lesions.csv", cache)
    said = str(refused.value)
    assert f"of {first['case_id']}, " in said
    assert "found cesm_recombined" in said
    assert ("no file gone.dcm" in said) is (how == "file")
    assert "add the rows and files that are missing" in said


def test_a_lesion_of_unknown_truth_is_neither_judged_nor_background(folder: Path, cache: Path) -> None:
    """Of the case that loses its word nothing is cut, but the place stays a lesion for the segmenter."""
    both = {"30", "32"}
    lesions = _rewritten(
        folder / "lesions.csv",
        "unknown.csv",
        lambda row: {**row, "malignant": "" if row["case_id"].endswith("30") else row["malignant"]},
    )
    more = _rewritten(
        folder / "images.csv", "more.csv", lambda row: row
    )  # the breast is malignant, so the lesion's own word decides
    with pytest.raises(InferenceError, match=r"1 malignant of 1 women"):
        _source(more, lesions, cache)
    lesions = _rewritten(
        folder / "lesions.csv",
        "unknown_benign.csv",
        lambda row: {**row, "malignant": row["malignant"] if row["case_id"][-2:] in both else ""},
    )
    images = _rewritten(folder / "images.csv", "benign.csv", lambda row: row)
    found = _source(images, lesions, cache)  # the breast is benign, so its lesion is
    assert found.trained_on.lesions == {"malignant": 2, "benign": 2, "of unknown truth": 0}
    third = _rewritten(
        images,
        "unsaid.csv",
        lambda row: {**row, "pathology": "" if row["case_id"].endswith("33") else row["pathology"]},
    )
    with pytest.raises(InferenceError, match=r"1 benign of 1;"):
        _source(third, lesions, cache)


def test_categories_of_a_table_come_with_its_lesions(folder: Path, cache: Path) -> None:
    images = _rewritten(folder / "images.csv", "graded.csv", lambda row: {**row, "birads": "4B"})
    found = _source(images, folder / "lesions.csv", cache)
    assert {s.birads for exam in found.exams for s in exam.samples if s.is_lesion} == {"4B"}


def test_a_model_of_ones_own_pairs_is_trained_calibrated_and_packaged(
    folder: Path, cache: Path, tmp_path: Path, phantoms: list[PhantomExam]
) -> None:
    order = CesmOrder(
        out=tmp_path / "run", cache=cache, device="cpu", manifest=folder / "images.csv",
        lesions=folder / "lesions.csv", outline_steps=1, data="Phantoms as files", model_id="mine",
    )  # fmt: skip
    target = train_on_manifest(order, TINY, tmp_path / "model", version="0.1.0")
    assert target is not None
    card = json.loads((target / "card.json").read_text(encoding="utf-8"))
    assert (card["id"], card["version"], card["architecture"]["members"]) == ("mine", "0.1.0", 2)
    assert card["training_data"].startswith("Phantoms as files: 5 exams of 5 women from images.csv")
    assert "not for redistribution" in card["licence"]  # its terms were not named
    points = [p for p in card["operating_points"] if p["level"] == "lesion"]
    assert len(points) == 3
    assert all("2 of 2 folds" in p["how_set"] and "images.csv" in p["how_set"] for p in points)
    assert card["evaluation"]["own"]["auc"]["n_pos"] == card["evaluation"]["own"]["auc"]["n_neg"] == 2
    result = CesmEngine(target, "cpu").analyse(phantoms[0].exam, lambda _f, _t: None, lambda: False)
    assert result.model_id == "mine"
    assert "cross-validated by woman" in document(target)
    before = (tmp_path / "run" / "small-cbam" / "fold0" / "best.safetensors").read_bytes()
    train_on_manifest(order, TINY, tmp_path / "again", version="0.1.0")  # finished folds are not trained anew
    assert (tmp_path / "run" / "small-cbam" / "fold0" / "best.safetensors").read_bytes() == before
    other = _rewritten(folder / "lesions.csv", "fewer.csv", lambda row: {**row, "shape": ""})
    with pytest.raises(InferenceError, match="name another --out"):
        train_on_manifest(replace(order, lesions=other), TINY, tmp_path / "no", version="0.1.0")


def test_a_papers_recipe_learns_from_a_manifest_in_its_own_greys(
    folder: Path, cache: Path, tmp_path: Path
) -> None:
    paper = RECIPES["paper-resnet50"]
    short = replace(
        paper, network=replace(paper.network, size=64), imagenet="none", batch=2, epochs=1, stall=0
    )
    order = CesmOrder(
        out=tmp_path / "run", cache=cache, device="cpu", manifest=folder / "images.csv",
        lesions=folder / "lesions.csv", outline_steps=1, fold=0,
    )  # fmt: skip
    train_on_manifest(order, short, tmp_path / "model", version="0.1.0")
    assert (tmp_path / "run" / "paper-resnet50-cbam" / "fold0" / "finished").is_file()
    assert not (tmp_path / "model").exists()  # one fold is no model


def test_a_manifest_without_its_lesions_is_refused(folder: Path, cache: Path, tmp_path: Path) -> None:
    order = CesmOrder(out=tmp_path / "run", cache=cache, manifest=folder / "images.csv")
    with pytest.raises(InferenceError, match="name both"):
        train_and_package(order, tmp_path / "model", version="0.1.0")
