"""Places of findings: quadrants of two views after the BI-RADS lexicon, thirds, centimetres, the clock face."""

from __future__ import annotations

import pytest

from app.state.lesion_place import clock_words, lesion_place, quadrant
from inference.exam.types import Box
from inference.results import CC_REGIONS, MLO_REGIONS, Detection
from resources.vocabulary import Laterality, Projection


def _one(
    name: str,
    *,
    region: str | None,
    score: float = 0.5,
    depth: float | None = None,
    distance_mm: float | None = None,
) -> Detection:
    return Detection(
        detection_id=name,
        image_key="R-CC",
        box=Box(row0=0, col0=0, row1=2, col1=2),
        score=score,
        finding=None,
        region=region,
        depth=depth,
        nipple_distance_mm=distance_mm,
    )


# ACR BI-RADS Atlas, 5th edition, Mammography, location of lesion: MLO tells upper from lower, CC outer from inner;
# subareolar, central and axillary tail are regions besides the quadrants.
@pytest.mark.parametrize(
    ("mlo", "cc", "expected"),
    [
        ("upper", "outer", "upper outer"),
        ("upper", "inner", "upper inner"),
        ("lower", "outer", "lower outer"),
        ("lower", "inner", "lower inner"),
        ("upper", "middle", "upper central"),
        ("lower", "middle", "lower central"),
        ("middle", "outer", "outer central"),
        ("middle", "inner", "inner central"),
        ("middle", "middle", "central"),
        ("areola", "areola", "retroareolar"),
        ("areola", "middle", "retroareolar"),
        ("middle", "areola", "retroareolar"),
        ("areola", "outer", "outer central"),
        ("upper", "areola", "upper central"),
        ("axillary tail", "outer", "axillary tail"),
        ("axillary tail", "middle", "axillary tail"),
    ],
)
def test_two_views_make_the_place_of_the_birads_lexicon(mlo: str, cc: str, expected: str) -> None:
    assert quadrant(mlo, cc) == expected


def test_every_pair_of_regions_has_words() -> None:
    for mlo in MLO_REGIONS:
        for cc in CC_REGIONS:
            members = [
                (Projection.MLO, _one("m", region=mlo)),
                (Projection.CC, _one("c", region=cc)),
            ]
            assert lesion_place(Laterality.LEFT, members).where


# Facing the patient, the upper outer quadrant is 9 to 12 o'clock on her right breast and 12 to 3 on her left one.
@pytest.mark.parametrize(
    ("place", "right", "left"),
    [
        ("upper outer", "about 9 to 12 o'clock", "about 12 to 3 o'clock"),
        ("upper inner", "about 12 to 3 o'clock", "about 9 to 12 o'clock"),
        ("lower inner", "about 3 to 6 o'clock", "about 6 to 9 o'clock"),
        ("lower outer", "about 6 to 9 o'clock", "about 3 to 6 o'clock"),
        ("upper central", "about 12 o'clock", "about 12 o'clock"),
        ("lower central", "about 6 o'clock", "about 6 o'clock"),
        ("outer central", "about 9 o'clock", "about 3 o'clock"),
        ("inner central", "about 3 o'clock", "about 9 o'clock"),
        ("retroareolar", "", ""),
        ("axillary tail", "", ""),
    ],
)
def test_the_clock_face_of_the_left_breast_mirrors_the_right_one(place: str, right: str, left: str) -> None:
    assert clock_words(place, Laterality.RIGHT) == right
    assert clock_words(place, Laterality.LEFT) == left


def test_one_view_names_itself_and_claims_no_quadrant() -> None:
    place = lesion_place(
        Laterality.RIGHT, [(Projection.MLO, _one("a", region="upper", depth=0.2, distance_mm=31))]
    )
    assert place.where == "upper (MLO only)"
    assert place.clock == ""
    assert place.short == "upper (MLO only), 3 cm from nipple"
    lateral = lesion_place(Laterality.RIGHT, [(Projection.ML, _one("a", region="lower"))])
    assert lateral.where == "lower (ML only)"


def test_two_views_that_differ_say_both_depths_and_both_distances() -> None:
    members = [
        (Projection.CC, _one("c", region="outer", score=0.9, depth=0.3, distance_mm=18)),
        (Projection.MLO, _one("m", region="upper", score=0.4, depth=0.4, distance_mm=33)),
    ]
    place = lesion_place(Laterality.LEFT, members)
    assert (
        place.long == "upper outer, anterior third to middle third, 2–3 cm from nipple, about 12 to 3 o'clock"
    )


def test_the_surest_detection_of_a_projection_counts() -> None:
    members = [
        (Projection.MLO, _one("weak", region="lower", score=0.2)),
        (Projection.MLO, _one("sure", region="upper", score=0.8)),
        (Projection.CC, _one("c", region="inner", score=0.5)),
    ]
    assert lesion_place(Laterality.RIGHT, members).where == "upper inner"


def test_what_the_model_does_not_say_stays_unsaid() -> None:
    place = lesion_place(Laterality.RIGHT, [(Projection.CC, _one("a", region=None))])
    assert (place.short, place.long) == ("", "")
    near = lesion_place(Laterality.RIGHT, [(Projection.CC, _one("a", region=None, distance_mm=3.0))])
    assert near.short == "less than 1 cm from nipple"
