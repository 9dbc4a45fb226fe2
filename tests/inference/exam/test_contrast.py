"""Contrast images: rules as data, pairs, order and minutes, the reader's word (CEM-01, 02, 04, 06)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from inference.exam.contrast import (
    contrast_notes,
    contrast_pairs,
    contrast_timings,
    kind_of,
    with_kind,
)
from inference.exam.sources import FolderSource
from inference.exam.types import (
    DicomReference,
    Exam,
    Orientation,
    Presentation,
    ViewImage,
    Voi,
    VoiFunction,
    exam_digest,
    with_unique_keys,
)
from resources.code_tables import contrast_rules
from resources.vocabulary import ImageKind, ViewModifier, ViewName

LOW, HIGH, RC = ImageKind.CESM_LOW, ImageKind.CESM_HIGH, ImageKind.CESM_RECOMBINED
START = datetime(2020, 1, 17, 10, 0)


def _image(kind: ImageKind, seconds: float | None, key: str = "R-CC", **changes: Any) -> ViewImage:
    fields: dict[str, Any] = {
        "view": ViewName.parse(key),
        "kind": kind,
        "pixels": np.zeros(changes.pop("shape", (4, 3)), np.uint16),
        "presentation": Presentation(vois=(Voi(label="", function=VoiFunction.LINEAR, center=1, width=2),)),
        "orientation": Orientation(),
        "spacing": None,
        "source_id": f"{key}/{kind}/{seconds}",
        "acquired": None if seconds is None else START + timedelta(seconds=seconds),
        "injected": START - timedelta(minutes=2),
    } | changes
    return ViewImage(**fields)


def test_cem01_every_rule_names_its_source_and_what_it_was_tested_on() -> None:
    rules = contrast_rules().rules
    assert all(rule.source and rule.tested and rule.name for rule in rules)
    assert {rule.tested for rule in rules} <= {"GE layout", "CDD-CESM", "untested on real files"}
    assert {LOW, HIGH, RC} == {rule.kind for rule in rules}
    # The design's order: Image Type, processing code and description, series description, file name.
    order = list(dict.fromkeys(rule.attribute for rule in rules))
    assert order == ["ImageType3", "AcquisitionDeviceProcessingCode", "AcquisitionDeviceProcessingDescription",
                     "SeriesDescription", "FileName"]  # fmt: skip


def test_cem01_the_empty_third_value_of_ge_does_not_hide_the_fourth(header) -> None:
    ruling = kind_of(header(ImageType=["ORIGINAL", "PRIMARY", "", "LOW_ENERGY"]))
    assert ruling.value is LOW
    assert "GE" in ruling.evidence[0]


def test_cem01_a_contrast_agent_alone_decides_nothing_and_says_so(header) -> None:
    ruling = kind_of(header(ContrastBolusAgent="Iohexol"))
    assert ruling.value is ImageKind.FFDM
    assert any("undecided" in text for text in ruling.evidence)


def test_cem01_undecided_contrast_reaches_the_exams_notes(tmp_path, header, file_of, breast) -> None:
    (tmp_path / "a.dcm").write_bytes(file_of(header(ContrastBolusAgent="Iohexol"), breast()))
    source = FolderSource(tmp_path)
    assert any("undecided" in note for note in source.load(source.list()[0].exam_id).notes)


def test_cem01_the_readers_kind_wins_and_the_evidence_keeps_what_the_rules_said() -> None:
    low, wrong = _image(LOW, 0), _image(ImageKind.FFDM, 1)
    images = with_unique_keys((low, wrong))
    exam = Exam(exam_id="E", images=images, digest=exam_digest(images), notes=contrast_notes(images))
    assert any("unpaired" in note for note in exam.notes)
    changed = with_kind(exam, wrong.source_id, RC)
    assert [image.key for image in changed.images] == ["R-CC/cesm_low", "R-CC/cesm_recombined"]
    assert changed.images[1].evidence[0] == (
        "Kind cesm_recombined set by the reader in this session; the rules said ffdm."
    )
    assert not any("unpaired" in note for note in changed.notes)
    assert changed.digest != exam.digest
    again = with_kind(changed, wrong.source_id, HIGH)
    assert "the rules said ffdm" in again.images[1].evidence[0]
    assert with_kind(exam, low.source_id, LOW) == exam


def test_cem02_pairs_are_of_one_side_view_modifier_and_geometry() -> None:
    images = (
        _image(LOW, 0), _image(RC, 0),
        _image(LOW, 60, "L-CC"), _image(RC, 60, "L-CC", shape=(5, 3)),
        _image(LOW, 90, "R-MLO"), _image(RC, 90, "R-MLO", modifiers=(ViewModifier.SPOT,)),
    )  # fmt: skip
    (pair,) = contrast_pairs(images)
    assert (pair.low, pair.recombined) == images[:2]
    notes = contrast_notes(images)
    assert len(notes) == 4
    assert all("unpaired" in note for note in notes)


def test_cem02_of_several_candidates_the_nearest_in_time_is_the_partner() -> None:
    early, late = _image(LOW, 0), _image(LOW, 400)
    late_rc, early_rc = _image(RC, 405), _image(RC, 3)
    pairs = contrast_pairs((early, late, late_rc, early_rc))
    assert {(pair.low.source_id, pair.recombined.source_id) for pair in pairs} == {
        (late.source_id, late_rc.source_id), (early.source_id, early_rc.source_id),
    }  # fmt: skip


def test_cem02_images_minutes_apart_are_no_pair_and_are_flagged() -> None:
    images = (_image(LOW, 0), _image(RC, 600))
    assert contrast_pairs(images) == ()
    assert len(contrast_notes(images)) == 2


def test_cem02_content_times_are_those_of_the_processing_and_refuse_no_pair() -> None:
    said = ("Acquisition time from Content Date and Time.",)
    assert len(contrast_pairs((_image(LOW, 0, evidence=said), _image(RC, 600, evidence=said)))) == 1


def test_cem02_a_recombined_image_that_names_its_source_is_its_partner_whatever_the_time() -> None:
    def referring(uid: str, *sources: str) -> DicomReference:
        return DicomReference(
            sop_class_uid="1", sop_instance_uid=uid, series_uid="2", study_uid="3",
            sources=tuple((source, "YES") for source in sources),
        )  # fmt: skip

    first = _image(LOW, 0, reference=referring("1.1"))
    second = _image(LOW, 100, reference=referring("1.2"))
    recombined = _image(RC, 101, reference=referring("1.3", "1.1"))
    (pair,) = contrast_pairs((first, second, recombined))
    assert pair.low is first


def test_cem02_without_times_order_of_appearance_decides() -> None:
    lows = [_image(LOW, None, source_id=f"l{k}") for k in range(2)]
    recombined = [_image(RC, None, source_id=f"r{k}") for k in range(2)]
    pairs = contrast_pairs((*lows, *recombined))
    assert [(p.low.source_id, p.recombined.source_id) for p in pairs] == [("l0", "r0"), ("l1", "r1")]


def test_cem06_order_minutes_and_phase_of_an_early_and_a_late_series() -> None:
    images = with_unique_keys((
        _image(LOW, 0, "R-CC"), _image(RC, 2, "R-CC"), _image(LOW, 60, "L-CC"), _image(RC, 62, "L-CC"),
        _image(LOW, 480, "R-CC"), _image(RC, 482, "R-CC"),
    ))  # fmt: skip
    found = contrast_timings(images)
    assert [(found[image.key].order, found[image.key].phase) for image in images] == [
        (1, "early"), (1, "early"), (2, ""), (2, ""), (3, "late"), (3, "late"),
    ]  # fmt: skip
    assert [found[image.key].minutes for image in images] == [2.0, 2.0, 3.0, 3.0, 10.0, 10.0]


def test_cem06_a_view_taken_again_at_once_is_a_repeat_and_not_a_late_one() -> None:
    images = with_unique_keys((_image(LOW, 0), _image(LOW, 40), _image(LOW, 500)))
    found = contrast_timings(images)
    assert [found[image.key].phase for image in images] == ["early", "early", "late"]
    pair = with_unique_keys((_image(LOW, 0), _image(LOW, 40)))
    assert {timing.phase for timing in contrast_timings(pair).values()} == {""}


def test_cem06_without_injection_minutes_are_unknown_and_without_times_nothing_is_told() -> None:
    image = _image(LOW, 0, injected=None)
    assert contrast_timings((image,))[image.key].minutes is None
    assert contrast_timings((_image(LOW, None),)) == {}
    assert contrast_timings((_image(ImageKind.FFDM, 0),)) == {}


def test_cem06_times_of_a_written_file_come_through(tmp_path, header, file_of, breast) -> None:
    for number, energy in enumerate(("LOW_ENERGY", "RECOMBINED")):
        ds = header(
            ImageType=["ORIGINAL", "PRIMARY", "", energy], AcquisitionDate="20200117",
            AcquisitionTime=f"10020{number}", ContrastBolusStartTime="100000", ContrastBolusAgent="Iohexol",
        )  # fmt: skip
        (tmp_path / f"{number}.dcm").write_bytes(file_of(ds, breast()))
    source = FolderSource(tmp_path)
    exam = source.load(source.list()[0].exam_id)
    assert len(contrast_pairs(exam.images)) == 1
    assert {timing.minutes for timing in contrast_timings(exam.images).values()} == {2.0}
    assert not any("unpaired" in note for note in exam.notes)


def test_cem04_a_high_energy_image_is_of_no_pair_and_needs_no_partner() -> None:
    images = (_image(LOW, 0), _image(HIGH, 1), _image(RC, 2))
    (pair,) = contrast_pairs(images)
    assert HIGH not in {pair.low.kind, pair.recombined.kind}
    assert contrast_notes(images) == ()


@pytest.mark.data
def test_cem02_every_pair_of_the_real_contrast_set_is_found(data_root) -> None:
    """CDD-CESM: each DM picture has its CM picture of the same woman, side and view (file names)."""
    folder = data_root / "mammograms" / "cdd_cesm_512" / "images"
    names = {path.stem for path in folder.glob("*.jpg")}
    expected = sum(name.replace("_DM_", "_CM_") in names for name in names if "_DM_" in name)
    source = FolderSource(folder)
    exams = [source.load(summary.exam_id) for summary in source.list()]
    assert sum(len(contrast_pairs(exam.images)) for exam in exams) == expected > 20


def test_with_kind_keeps_pixels_and_all_else() -> None:
    image = _image(ImageKind.FFDM, 0)
    exam = Exam(exam_id="E", images=(image,), digest="x")
    (changed,) = with_kind(exam, image.source_id, LOW).images
    assert changed.pixels is image.pixels
    assert replace(changed, kind=image.kind, evidence=image.evidence) == image
