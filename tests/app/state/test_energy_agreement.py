"""Low energy against recombined: matched by the declared rule, worked by hand; what was not looked at is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.state.energy_agreement import (
    Energies,
    agreement_words,
    energy_agreement,
    overlap,
)
from inference.exam.types import Box, Orientation, Presentation, Spacing, ViewImage, Voi, VoiFunction
from inference.results import Detection, ExamResult
from resources.vocabulary import FindingType, ImageKind, Laterality, Projection, ViewName

SPACING = Spacing(row_mm=0.1, col_mm=0.2, method="made up")


def image(kind: ImageKind, *, spacing: Spacing | None = SPACING, qualifier: str = "") -> ViewImage:
    return ViewImage(
        view=ViewName(laterality=Laterality.RIGHT, projection=Projection.CC),
        kind=kind,
        pixels=np.zeros((400, 300), np.uint16),
        presentation=Presentation(vois=(Voi(label="", function=VoiFunction.LINEAR, center=1, width=2),)),
        orientation=Orientation(),
        spacing=spacing,
        source_id=kind.value,
        qualifier=qualifier,
    )


LOW, RECOMBINED = image(ImageKind.CESM_LOW), image(ImageKind.CESM_RECOMBINED)


def at(where: ViewImage, row: float, col: float, score: float, *, half: float = 10.0) -> Detection:
    return Detection(
        detection_id=f"{where.key}{row}",
        image_key=where.key,
        box=Box(row0=row - half, col0=col - half, row1=row + half, col1=col + half),
        score=score,
        finding=FindingType.MASS,
    )


def result(*found: Detection, seen: tuple[ViewImage, ...] = (LOW, RECOMBINED)) -> ExamResult:
    return ExamResult(
        exam_digest="0" * 64,
        model_id="m",
        model_version="1",
        weights_digest="0" * 64,
        preprocessing="none",
        device="cpu",
        seconds=0.0,
        exam_score=None,
        view_scores={one.key: 0.5 for one in seen},
        detections=found,
    )


def test_beyond6_centres_in_millimetres_decide_and_rows_and_columns_have_their_own_spacing() -> None:
    # 60 rows of 0.1 mm and 40 columns of 0.2 mm: 6 and 8 mm, so 10 mm apart, the most that is one lesion.
    (one,) = energy_agreement(
        result(at(LOW, 100, 100, 0.8), at(RECOMBINED, 160, 140, 0.6)), (LOW, RECOMBINED), threshold=0.5
    ).lesions
    assert one.found is Energies.BOTH
    assert one.distance_mm == pytest.approx(10.0)
    apart = energy_agreement(
        result(at(LOW, 100, 100, 0.8), at(RECOMBINED, 160, 141, 0.6)), (LOW, RECOMBINED), threshold=0.5
    ).lesions
    assert {lesion.found for lesion in apart} == {Energies.LOW, Energies.RECOMBINED}


def test_beyond6_the_nearest_pair_is_matched_first_and_each_finding_once() -> None:
    found = result(
        at(LOW, 100, 100, 0.9), at(LOW, 150, 100, 0.7), at(RECOMBINED, 145, 100, 0.8), at(LOW, 300, 250, 0.6)
    )
    lesions = energy_agreement(found, (LOW, RECOMBINED), threshold=0.5).lesions
    assert [(one.found, one.score) for one in lesions] == [
        (Energies.LOW, 0.9),
        (Energies.BOTH, 0.8),
        (Energies.LOW, 0.6),
    ]
    both = lesions[1]
    assert both.low is not None
    assert both.low.box.center == (150.0, 100.0)


def test_beyond6_below_the_threshold_a_finding_counts_on_neither_image() -> None:
    found = result(at(LOW, 100, 100, 0.9), at(RECOMBINED, 100, 100, 0.49))
    (one,) = energy_agreement(found, (LOW, RECOMBINED), threshold=0.5).lesions
    assert one.found is Energies.LOW
    assert energy_agreement(found, (LOW, RECOMBINED), threshold=0.4).lesions[0].found is Energies.BOTH


def test_beyond6_without_spacing_the_overlap_decides() -> None:
    low = image(ImageKind.CESM_LOW, spacing=None)
    recombined = image(ImageKind.CESM_RECOMBINED, spacing=None)
    # Squares of side 20 moved by 12 columns: 20*8 / (2*400 - 160) = 160 / 640 = 0.25, the least that is one lesion.
    for moved, found in ((12, Energies.BOTH), (13, Energies.LOW)):
        lesions = energy_agreement(
            result(at(low, 100, 100, 0.8), at(recombined, 100, 100 + moved, 0.6)),
            (low, recombined),
            threshold=0.5,
        ).lesions
        assert lesions[0].found is found
        assert lesions[0].distance_mm is None
    one = Box(row0=0, col0=0, row1=20, col1=20)
    assert overlap(one, Box(row0=0, col0=12, row1=20, col1=32)) == pytest.approx(0.25)
    assert overlap(one, Box(row0=20, col0=0, row1=40, col1=20)) == 0.0


def test_beyond6_a_recombined_image_the_model_never_saw_is_not_taken_for_nothing_found() -> None:
    agreement = energy_agreement(
        result(at(LOW, 100, 100, 0.9), seen=(LOW,)), (LOW, RECOMBINED), threshold=0.5
    )
    assert agreement.lesions == ()
    assert agreement.pairs == 0
    assert agreement_words(agreement) == ("R CC: the model did not look at: recombined",)


def test_beyond6_early_and_late_pairs_are_compared_apart_and_a_lone_image_is_named() -> None:
    late_low = replace(LOW, qualifier="#2")
    found = result(at(LOW, 100, 100, 0.9), at(late_low, 100, 100, 0.9), seen=(LOW, RECOMBINED, late_low))
    agreement = energy_agreement(found, (LOW, RECOMBINED, late_low), threshold=0.5)
    assert [one.found for one in agreement.lesions] == [Energies.LOW]
    assert agreement.not_compared == ("R CC: no recombined image of the same exposure",)


def test_beyond6_the_words_name_view_scores_and_energy_and_state_the_rule() -> None:
    lines = agreement_words(
        energy_agreement(
            result(at(LOW, 100, 100, 0.8), at(RECOMBINED, 130, 100, 0.6), at(RECOMBINED, 300, 100, 0.7)),
            (LOW, RECOMBINED),
            threshold=0.5,
        )
    )
    assert lines[0] == "R CC  mass  80 % / 60 %  BOTH, 3 mm apart"
    assert lines[1] == "R CC  mass  70 %  recombined only"
    assert "10 mm" in lines[2]
    plain = image(ImageKind.FFDM)
    assert agreement_words(energy_agreement(result(), (plain,), threshold=0.5)) == ()
    assert agreement_words(energy_agreement(result(), (LOW, RECOMBINED), threshold=0.5))[0].startswith(
        "no AI"
    )
