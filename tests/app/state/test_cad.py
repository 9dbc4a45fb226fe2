"""Which marks of a CAD report may lie on which image, and what is said instead."""

from __future__ import annotations

import numpy as np
import pytest

from app.state.cad import cad_overlay, has_failed, mark_at, operating_points, report_words, source_of
from inference.exam.objects.model import CadAlgorithm, CadMark, CadOutline, CadReport, CadState, Intent
from inference.exam.types import (
    DicomReference,
    ImageKind,
    Orientation,
    Presentation,
    ViewImage,
    Voi,
    VoiFunction,
)
from resources.vocabulary import FindingType, ViewName


def image(key: str, uid: str, *sources: tuple[str, str]) -> ViewImage:
    return ViewImage(
        view=ViewName.parse(key),
        kind=ImageKind.FFDM,
        pixels=np.zeros((300, 200), np.uint16),
        presentation=Presentation(vois=(Voi(label="", function=VoiFunction.LINEAR, width=100),)),
        orientation=Orientation(),
        spacing=None,
        source_id=uid,
        reference=DicomReference(
            sop_class_uid="1.2",
            sop_instance_uid=uid,
            series_uid="1.3",
            study_uid="1.4",
            sources=tuple(sources),
        ),
    )


def mark(uid: str, name: str = "m", **more: object) -> CadMark:
    facts: dict[str, object] = {
        "mark_id": name, "image_uid": uid, "finding": FindingType.MASS, "meaning": "density", "center": (100.0, 80.0),
    }  # fmt: skip
    return CadMark(**(facts | more))  # type: ignore[arg-type]


def report(*marks: CadMark, state: CadState = CadState.ALL_WITH, **more: object) -> CadReport:
    return CadReport(uid="1.9", state=state, marks=marks, name="cad.dcm", manufacturer="Example", **more)  # type: ignore[arg-type]


def test_mg31_a_mark_lies_on_the_image_it_names() -> None:
    overlay = cad_overlay([report(mark("1.5"))], [image("R-CC", "1.5"), image("L-CC", "1.6")])
    assert list(overlay.items) == ["R-CC"]
    assert overlay.items["R-CC"][0].point == (100.0, 80.0)
    assert overlay.notes == ()


def test_mg31_a_mark_on_the_source_image_is_drawn_where_positions_are_preserved() -> None:
    overlay = cad_overlay([report(mark("1.5.raw"))], [image("R-CC", "1.5", ("1.5.raw", "YES"))])
    assert len(overlay.items["R-CC"]) == 1


@pytest.mark.parametrize(
    ("preserved", "said"),
    [
        ("NO", "Spatial Locations Preserved NO"),
        ("REORIENT_ONLY", "Spatial Locations Preserved REORIENT_ONLY"),
        ("", "Spatial Locations Preserved not stated"),
    ],
)
def test_mg31_where_positions_may_differ_a_sentence_stands_instead_of_a_mark(
    preserved: str, said: str
) -> None:
    view = image("R-CC", "1.5", ("1.5.raw", preserved))
    overlay = cad_overlay([report(mark("1.5.raw"))], [view])
    assert overlay.items == {}
    assert len(overlay.notes) == 1
    assert said in overlay.notes[0]
    assert "R-CC" in overlay.notes[0]
    assert source_of(view, {"1.5.raw"})[0] == ""


def test_mg31_marks_of_images_that_are_not_here_and_marks_outside_the_image_are_said() -> None:
    overlay = cad_overlay(
        [report(mark("1.7"), mark("1.5", "n", center=(900.0, 5.0)))], [image("R-CC", "1.5")]
    )
    assert overlay.items == {}
    assert any("1 CAD marks lie outside" in note for note in overlay.notes)
    assert any("images that are not in this exam" in note for note in overlay.notes)


def test_mg29_optional_marks_wait_for_their_operating_point() -> None:
    reports = [report(mark("1.5"), mark("1.5", "o", intent=Intent.OPTIONAL, operating_point=2.0))]
    views = [image("R-CC", "1.5")]
    assert operating_points(reports) == (None, 2.0)
    few = cad_overlay(reports, views)
    assert (len(few.items["R-CC"]), few.hidden) == (1, 1)
    many = cad_overlay(reports, views, operating_point=2.0)
    assert (len(many.items["R-CC"]), many.hidden) == (2, 0)
    assert [item.dashed for item in many.items["R-CC"]] == [False, True]


def test_mg30_every_state_and_the_absence_of_a_report_have_their_own_words() -> None:
    words = [report_words([report(state=state)])[0] for state in CadState] + list(report_words([]))
    assert len(set(words)) == 7
    failures = [w for w, state in zip(words, CadState, strict=False) if state.has_failed]
    assert all("no findings" not in w or "NOT" in w or "do not take it" in w for w in failures)


def test_mg30_no_findings_is_never_said_of_images_that_the_report_does_not_name() -> None:
    views = [image("R-CC", "1.5"), image("L-CC", "1.6"), image("L-MLO", "1.7", ("1.7.raw", "YES"))]
    clean = CadState.ALL_WITHOUT
    whole = report(state=clean, image_uids=("1.5", "1.6", "1.7.raw"))
    part = report(state=clean, image_uids=("1.5",))
    other = report(state=clean, image_uids=("9.9",))
    assert report_words([whole], views) == report_words([whole])
    assert report_words([part], views)[0].endswith("(says NOTHING about L-CC, L-MLO)")
    assert "NONE of the images of this exam" in report_words([other], views)[0]
    assert [has_failed([one], views) for one in (whole, part, other)] == [False, True, True]


def test_mg32_algorithm_and_version_are_named() -> None:
    said = report_words([report(algorithms=(CadAlgorithm(name="Calc", version="9.4"),))])[0]
    assert "Example" in said
    assert "Calc 9.4" in said


def test_mg28_outlines_are_kept_for_drawing_and_make_the_box() -> None:
    ring = CadOutline(points=((10, 40), (50, 40), (30, 30), (30, 50)), is_ellipse=True)
    item = cad_overlay([report(mark("1.5", outlines=(ring,)))], [image("R-CC", "1.5")]).items["R-CC"][0]
    assert item.outlines == ((ring.points, True),)
    assert item.box is not None
    assert (item.box.row0, item.box.col1) == (10, 50)


def test_mg33_probability_and_certainty_stand_beside_the_mark() -> None:
    item = cad_overlay([report(mark("1.5", probability=0.3, certainty=0.9))], [image("R-CC", "1.5")]).items[
        "R-CC"
    ][0]
    assert item.label == "mass  cancer 30 %  certainty 90 %"


def test_beyond5_choosing_a_mark_lights_its_partner_in_the_other_view() -> None:
    reports = [
        report(mark("1.5", "a", group="g"), mark("1.6", "b", group="g"), mark("1.6", "c", center=(9.0, 9.0)))
    ]
    views = [image("R-CC", "1.5"), image("R-MLO", "1.6")]
    items = cad_overlay(reports, views, selected="cad0:a").items
    assert items["R-CC"][0].selected
    assert [item.selected for item in items["R-MLO"]] == [True, False]


def test_beyond5_a_click_finds_the_smallest_item_under_it() -> None:
    items = cad_overlay(
        [report(
            mark("1.5", "big", outlines=(CadOutline(points=((0, 0), (200, 0), (200, 150), (0, 150))),)),
            mark("1.5", "small", outlines=(CadOutline(points=((90, 70), (110, 70), (110, 90), (90, 90))),)),
        )],
        [image("R-CC", "1.5")],
    ).items["R-CC"]  # fmt: skip
    assert mark_at(items, 95, 75, 5) == "cad0:small"
    assert mark_at(items, 20, 20, 5) == "cad0:big"
    assert mark_at(items, 290, 190, 5) is None


def test_mg32_a_digest_in_the_version_does_not_fill_the_panel() -> None:
    version = f"1.0.0; weights SHA-256 {'97264a5ee2' * 6}abcd"
    said = report_words([report(algorithms=(CadAlgorithm(name="net", version=version),))])[0]
    assert "97264a5ee297…" in said
    assert "97264a5ee29726" not in said
