"""Reading other vendors' Mammography CAD SR; trees are built from PS3.16 TID 4000..4021, item by item."""

from __future__ import annotations

import math
import re
from types import SimpleNamespace

import pytest

from inference.exam.objects.cad_sr_read import read_cad_sr
from inference.exam.objects.model import CadState, Intent, ObjectError, Status
from resources.vocabulary import FindingType


def simple(sr: SimpleNamespace, *children: object, state: str = "111242", **more: object) -> bytes:
    """One finding of image 1.1.1 in one impression, both Presentation Required unless ``children`` say otherwise."""
    found = sr.finding(sr.CLUSTER, "CONTAINS", sr.intent("111150"), *children)
    return sr.as_bytes(
        sr.report(state, ["1.9.1", "1.9.2"], sr.impression(sr.intent("111150"), found), **more)
    )


def test_mg28_point_polyline_and_rotated_ellipse_are_read_as_rows_and_columns(sr: SimpleNamespace) -> None:
    at = sr.by_reference("SELECTED FROM", 1, 1, 2)
    data = simple(
        sr,
        sr.scoord(sr.CENTER, "POINT", [100.5, 200.25], at),
        sr.scoord(
            sr.OUTLINE,
            "POLYLINE",
            [90, 190, 110, 190, 110, 210, 90, 190],
            sr.by_reference("SELECTED FROM", 1, 1, 2),
        ),
        sr.scoord(
            sr.OUTLINE,
            "ELLIPSE",
            [90, 190, 110, 210, 96, 204, 104, 196],
            sr.by_reference("SELECTED FROM", 1, 1, 2),
        ),
    )
    (mark,) = read_cad_sr(data).marks
    assert mark.image_uid == "1.9.2"  # the second entry of the Image Library, item 1.1.2
    assert mark.center == (200.25, 100.5)
    assert mark.outlines[0].points == ((190, 90), (190, 110), (210, 110), (190, 90))
    assert mark.outlines[1].is_ellipse
    assert mark.outlines[1].points == ((190, 90), (210, 110), (204, 96), (196, 104))
    assert mark.finding is FindingType.CALCIFICATION


def test_mg28_an_image_given_by_value_counts_as_well_as_one_of_the_library(sr: SimpleNamespace) -> None:
    data = simple(sr, sr.scoord(sr.CENTER, "POINT", [1, 2], sr.image("1.9.7", "SELECTED FROM")))
    assert read_cad_sr(data).marks[0].image_uid == "1.9.7"


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        ("111150", "111150", Intent.REQUIRED),
        ("111150", "111151", Intent.OPTIONAL),
        ("111151", "111150", Intent.OPTIONAL),  # O.2.2.1: rendered down to the first that is not required
        ("111152", "111150", Intent.NEVER),
        ("111150", "111152", Intent.NEVER),
    ],
)
def test_mg29_the_stricter_rendering_intent_on_the_way_down_holds(
    sr: SimpleNamespace, outer: str, inner: str, expected: Intent
) -> None:
    point = sr.scoord(sr.CENTER, "POINT", [5, 6], sr.by_reference("SELECTED FROM", 1, 1, 1))
    found = sr.finding(sr.CLUSTER, "CONTAINS", sr.intent(inner), point)
    report = read_cad_sr(sr.as_bytes(sr.report("111242", ["1.9.1"], sr.impression(sr.intent(outer), found))))
    (mark,) = report.marks
    assert mark.intent is expected


def test_mg29_optional_marks_appear_at_their_operating_point_and_never_marks_at_none(
    sr: SimpleNamespace,
) -> None:
    def one(value: str, point: str | None) -> object:
        place = sr.scoord(sr.CENTER, "POINT", [5, 6], sr.by_reference("SELECTED FROM", 1, 1, 1))
        return sr.finding(sr.CLUSTER, "CONTAINS", sr.intent(value, point), place)

    whole = sr.impression(
        sr.intent("111150"),
        one("111150", None),
        one("111151", "1"),
        one("111151", "3"),
        one("111151", None),
        one("111152", None),
    )
    report = read_cad_sr(sr.as_bytes(sr.report("111242", ["1.9.1"], whole)))
    shown = {p: [m.is_shown_at(p) for m in report.marks] for p in (None, 1, 2, 3)}
    assert shown[None] == [True, False, False, False, False]
    assert shown[1] == [True, True, False, True, False]
    assert shown[2] == shown[1]
    assert shown[3] == [True, True, True, True, False]
    assert report.operating_points == (0.0, 1.0, 3.0)


@pytest.mark.parametrize("state", list(CadState)[:5])
def test_mg30_each_of_the_five_states_is_told_apart(sr: SimpleNamespace, state: CadState) -> None:
    report = read_cad_sr(sr.as_bytes(sr.report(state.value, ["1.9.1"])))
    assert report.state is state
    assert report.state.has_failed == (state.value in {"111243", "111244", "111245"})


def test_mg30_a_report_without_a_state_is_not_one_without_findings(sr: SimpleNamespace) -> None:
    for state in (None, "999999"):
        report = read_cad_sr(sr.as_bytes(sr.report(state, ["1.9.1"])))
        assert report.state is CadState.UNSTATED
        assert report.state.has_failed
        assert any("does not state" in problem for problem in report.problems)


def test_mg30_failed_and_successful_algorithms_are_named(sr: SimpleNamespace) -> None:
    def performed(value: object, name: str) -> object:
        return sr.coded(
            ("111022", "Detection Performed"), value, "CONTAINS",
            sr.text(("111001", "Algorithm Name"), name), sr.text(("111003", "Algorithm Version"), "2.1"),
        )  # fmt: skip

    good = sr.item(
        "CONTAINER", ("111063", "Successful Detections"), "INFERRED FROM", performed(sr.CLUSTER, "Calc")
    )
    bad = sr.item(
        "CONTAINER", ("111025", "Failed Detections"), "INFERRED FROM", performed(sr.DENSITY, "Mass")
    )
    report = read_cad_sr(sr.as_bytes(sr.report("111243", ["1.9.1"], detections="111223", more=(good, bad))))
    assert report.detections is Status.PARTLY
    assert report.analyses is Status.NOT_ATTEMPTED
    assert [(a.name, a.version, a.failed) for a in report.algorithms] == [
        ("Calc", "2.1", False),
        ("Mass", "2.1", True),
    ]


@pytest.mark.parametrize(
    ("value", "scheme", "expected"),
    [
        ("129769006", "SCT", FindingType.CALCIFICATION),
        ("F-01775", "SRT", FindingType.CALCIFICATION),
        ("F-01775", "99SDM", FindingType.CALCIFICATION),
        ("129793001", "SCT", FindingType.MASS),
        ("F-01796", "SRT", FindingType.MASS),
        ("129792006", "SCT", FindingType.DISTORTION),
        ("F-01795", "SNM3", FindingType.DISTORTION),
        ("111099", "DCM", None),
    ],
)
def test_mg32_finding_types_are_known_in_new_and_legacy_codes(
    sr: SimpleNamespace, value: str, scheme: str, expected: FindingType | None
) -> None:
    point = sr.scoord(sr.CENTER, "POINT", [5, 6], sr.by_reference("SELECTED FROM", 1, 1, 1))
    found = sr.finding(sr.code(value, "meaning", scheme), "CONTAINS", sr.intent("111150"), point)
    report = read_cad_sr(
        sr.as_bytes(sr.report("111242", ["1.9.1"], sr.impression(sr.intent("111150"), found)))
    )
    assert report.marks[0].finding is expected
    assert report.marks[0].meaning == "meaning"


def test_mg33_certainty_and_probability_are_shares_and_absent_stays_absent(sr: SimpleNamespace) -> None:
    at = sr.by_reference("SELECTED FROM", 1, 1, 1)
    point = sr.scoord(sr.CENTER, "POINT", [5, 6], at)
    full = read_cad_sr(
        simple(
            sr,
            sr.number(("111012", "Certainty of Finding"), "87.5", "%"),
            sr.number(("111047", "Probability of cancer"), "3", "%"),
            sr.text(("111001", "Algorithm Name"), "Calc"),
            sr.text(("111003", "Algorithm Version"), "9.4"),
            point,
        )
    ).marks[0]
    assert (full.certainty, full.probability) == (0.875, 0.03)
    assert (full.algorithm, full.version) == ("Calc", "9.4")
    bare = read_cad_sr(
        simple(sr, sr.scoord(sr.CENTER, "POINT", [5, 6], sr.by_reference("SELECTED FROM", 1, 1, 1)))
    ).marks[0]
    assert (bare.certainty, bare.probability) == (None, None)
    odd = sr.number(("111047", "Probability of cancer"), "140", "%")
    point = sr.scoord(sr.CENTER, "POINT", [5, 6], sr.by_reference("SELECTED FROM", 1, 1, 1))
    assert read_cad_sr(simple(sr, odd, point)).marks[0].probability is None


def test_beyond5_findings_of_one_composite_feature_share_a_group_and_its_type(sr: SimpleNamespace) -> None:
    def one(library: int) -> object:
        place = sr.scoord(sr.CENTER, "POINT", [5, 6], sr.by_reference("SELECTED FROM", 1, 1, library))
        return sr.finding(sr.DENSITY, "INFERRED FROM", sr.intent("111150"), place)

    feature = sr.coded(
        ("111015", "Composite Feature"), sr.code("129789007", "Focal asymmetric breast tissue", "SCT"), "CONTAINS",
        sr.intent("111150"), one(1), one(2),
    )  # fmt: skip
    alone = sr.finding(
        sr.CLUSTER, "CONTAINS", sr.intent("111150"),
        sr.scoord(sr.CENTER, "POINT", [7, 8], sr.by_reference("SELECTED FROM", 1, 1, 1)),
    )  # fmt: skip
    ds = sr.report("111242", ["1.9.1", "1.9.2"], sr.impression(sr.intent("111150"), feature, alone))
    first, second, single = read_cad_sr(sr.as_bytes(ds)).marks
    assert first.group == second.group is not None
    assert (first.image_uid, second.image_uid) == ("1.9.1", "1.9.2")
    assert first.finding is FindingType.ASYMMETRY
    assert single.group is None


def test_mg28_references_that_run_in_a_circle_or_nowhere_end(sr: SimpleNamespace) -> None:
    circle = sr.impression(
        sr.intent("111150"),
        sr.by_reference("CONTAINS", 1, 2, 1, 3),
        sr.by_reference("CONTAINS", 1, 2, 1, 2),
        sr.by_reference("CONTAINS", 1, 2),
        sr.by_reference("CONTAINS", 9, 9, 9),
        sr.finding(
            sr.CLUSTER, "CONTAINS", sr.intent("111150"),
            sr.scoord(sr.CENTER, "POINT", [5, 6], sr.by_reference("SELECTED FROM", 7, 7)),
        ),
    )  # fmt: skip
    report = read_cad_sr(sr.as_bytes(sr.report("111242", ["1.9.1"], circle)))
    assert report.marks == ()
    assert any(re.search(r"names no image.*not drawn", problem) for problem in report.problems)


def test_mg28_positions_that_are_no_numbers_are_said_and_not_drawn(sr: SimpleNamespace) -> None:
    at = sr.by_reference("SELECTED FROM", 1, 1, 1)
    report = read_cad_sr(simple(sr, sr.scoord(sr.CENTER, "POINT", [math.nan, 4], at)))
    assert report.marks == ()
    assert any("no usable position" in problem for problem in report.problems)


def test_mg28_a_tree_of_fifty_levels_is_read_and_a_deeper_one_gets_a_sentence(
    sr: SimpleNamespace,
) -> None:
    def nested(levels: int) -> object:
        at = sr.scoord(sr.CENTER, "POINT", [5, 6], sr.by_reference("SELECTED FROM", 1, 1, 1))
        node = sr.finding(sr.CLUSTER, "INFERRED FROM", sr.intent("111150"), at)
        for _ in range(levels):
            node = sr.coded(("111015", "Composite Feature"), sr.CLUSTER, "INFERRED FROM", node)
        return sr.report("111242", ["1.9.1"], sr.impression(node))

    assert len(read_cad_sr(sr.as_bytes(nested(50))).marks) == 1
    deep = sr.as_bytes(nested(100))
    assert any("deeper than" in problem for problem in read_cad_sr(deep).problems)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "damage"),
        (b"\0" * 128 + b"DICM" + b"\xff" * 200, "damage|found SOP class"),
        (b"This is no report.", "damage"),
    ],
)
def test_mg28_files_that_are_no_report_get_a_sentence(data: bytes, said: str) -> None:
    with pytest.raises(ObjectError, match=said):
        read_cad_sr(data, "bad.dcm")


def test_mg28_a_report_cut_off_anywhere_is_read_or_refused_in_a_sentence(sr: SimpleNamespace) -> None:
    whole = simple(sr, sr.scoord(sr.CENTER, "POINT", [5, 6], sr.by_reference("SELECTED FROM", 1, 1, 1)))
    refused = []
    for end in range(140, len(whole), 97):
        try:
            read_cad_sr(whole[:end], "cut.dcm")
        except ObjectError as error:
            refused.append(str(error))
    assert all("cut.dcm" in sentence for sentence in refused)
