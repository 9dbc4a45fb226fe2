"""The words on an image: identity, view, technique, equipment, flags, and what a blinded reading may say (MG-22..27)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from app.state.annotation import annotation, flags
from app.state.overlays import AnnotationText
from inference.exam.types import Exam, ImageFlags, Orientation, Presentation, ViewImage, Voi, VoiFunction
from resources.vocabulary import ImageKind, ViewModifier, ViewName

IDENTITY = {
    "PatientName": "Doe^Jane^M=Ideographic",
    "PatientID": "4711",
    "PatientBirthDate": "19560213",
    "PatientAge": "064Y",
    "PatientSex": "F",
    "AccessionNumber": "A17",
    "InstanceNumber": "3",
    "InstitutionName": "City Hospital",
    "InstitutionAddress": "1 Main Street\r\nSpringfield",
    "OperatorsName": "Roe^Richard",
    "DeviceSerialNumber": "SN473",
    "DetectorID": "DET9",
    "StationName": "ROOM2",
}
TECHNIQUE = {
    "Manufacturer": "Test Works",
    "ManufacturerModelName": "Model One",
    "KVP": "29",
    "Exposure": "80",
    "ExposureTime": "1289",
    "AnodeTargetMaterial": "RHODIUM",
    "FilterMaterial": "SILVER",
    "BodyPartThickness": "54",
    "CompressionForce": "96.5",
    "PositionerPrimaryAngle": "-45",
    "RelativeXRayExposure": "7550",
    "OrganDose": "0.0123",  # PS3.3 C.8.7.3: dGy, so 1.23 mGy
    "EntranceDoseInmGy": "5.43",
}


def _image(key: str = "R-MLO", **changes: Any) -> ViewImage:
    fields: dict[str, Any] = {
        "view": ViewName.parse(key),
        "kind": ImageKind.FFDM,
        "pixels": np.zeros((4, 3), np.uint16),
        "presentation": Presentation(vois=(Voi(label="", function=VoiFunction.LINEAR, center=1, width=2),)),
        "orientation": Orientation(),
        "spacing": None,
        "source_id": key,
        "identity": IDENTITY,
        "header": TECHNIQUE,
        "acquired": datetime(2020, 1, 17, 10, 33, 12),
    } | changes
    return ViewImage(**fields)


def _words(image: ViewImage, **changes: Any) -> AnnotationText:
    exam = Exam(exam_id="E", images=(image,), digest="0")
    options: dict[str, Any] = {"blinded": False, "technique": True} | changes
    return annotation(image, exam, **options)


def _all(words: AnnotationText) -> str:
    return "\n".join([words.view_label, *words.identity, *words.technique, *words.flags, *words.evidence])


def test_mg22_identity_names_woman_birth_age_sex_time_accession_and_image_number() -> None:
    text = "\n".join(_words(_image()).identity)
    for expected in (
        "DOE, Jane M",
        "ID 4711",
        "1956-02-13",
        "64 y",
        "F",
        "2020-01-17 10:33:12",
        "Acc A17",
        "Im 3",
    ):
        assert expected in text
    assert "Ideographic" not in text


def test_mg22_absent_identity_leaves_no_empty_labels() -> None:
    words = _words(_image(identity={"PatientSex": "F"}, acquired=None))
    assert words.identity == ("F",)


def test_mg23_label_is_side_view_and_modifier_abbreviations() -> None:
    modified = _image(modifiers=(ViewModifier.MAGNIFICATION, ViewModifier.SPOT))
    assert _words(modified).view_label == "R MLO M S"


@pytest.mark.parametrize("expected", [
    "29 kVp", "80 mAs", "1289 ms", "Rh/Ag", "54 mm", "96.5 N", "-45°", "REI 7550", "organ dose 1.23 mGy",
    "entrance 5.43 mGy",
])  # fmt: skip
def test_mg24_technique_is_written_with_units(expected: str) -> None:
    assert expected in "\n".join(_words(_image()).technique)


def test_mg24_exposure_in_microampere_seconds_is_written_in_mas() -> None:
    header = {key: value for key, value in TECHNIQUE.items() if key != "Exposure"} | {
        "ExposureInuAs": "80500"
    }
    assert "80.5 mAs" in "\n".join(_words(_image(header=header)).technique)


def test_mg24_values_that_are_no_numbers_are_left_out() -> None:
    assert _words(_image(header={"KVP": "unknown"}, identity={})).technique == ()


def test_mg25_equipment_names_maker_model_serial_detector_institution_address_and_operator() -> None:
    text = "\n".join(_words(_image()).technique)
    for expected in ("Test Works Model One", "SN SN473", "Det DET9", "City Hospital", "1 Main Street Springfield",
                     "Op ROE, Richard"):  # fmt: skip
        assert expected in text


@pytest.mark.parametrize(("changes", "expected"), [
    ({"flags": ImageFlags(partial=True, partial_region=("Anterior", "Lateral"))}, "PARTIAL ANTERIOR LATERAL"),
    ({"flags": ImageFlags(implant=True)}, "IMPLANT"),
    ({"modifiers": (ViewModifier.IMPLANT_DISPLACED,)}, "IMPLANT"),
    ({"modifiers": (ViewModifier.SPOT,)}, "SPOT"),
    ({"modifiers": (ViewModifier.MAGNIFICATION,)}, "MAGNIFIED"),
    ({"flags": ImageFlags(quality_control=True)}, "QC"),
    ({"flags": ImageFlags(lossy=True, lossy_ratio=10.0)}, "LOSSY 10:1"),
    ({"flags": ImageFlags(lossy=True)}, "LOSSY"),
    ({"flags": ImageFlags(for_processing=True)}, "NOT FOR READING (For Processing)"),
    ({"qualifier": "@P1"}, "PRIOR"),
])  # fmt: skip
def test_mg26_each_flag_of_the_header_is_written(changes: dict[str, Any], expected: str) -> None:
    assert expected in flags(_image(**changes))


def test_mg26_a_plain_image_has_no_flags_and_a_prior_says_how_old_it_is() -> None:
    assert flags(_image()) == ()
    assert "PRIOR 1 y 11 mo" in _words(_image(), prior_gap="1 y 11 mo").flags


def test_mg03_a_laterality_conflict_is_written_on_the_image() -> None:
    said = (
        "Side R from Image Laterality.",
        "Side conflict: Laterality of the series says L; Image Laterality wins.",
    )
    assert flags(_image(evidence=said))[0] == "LATERALITY CONFLICT"


def test_mg27_technique_and_identity_are_switched_apart() -> None:
    assert _words(_image(), technique=False).identity
    assert not _words(_image(), technique=False).technique
    assert _words(_image(), identity=False).technique
    assert not _words(_image(), identity=False).identity


def test_mg27_a_blinded_reading_writes_nothing_that_identifies() -> None:
    """Whatever is asked for: no value of the identity mapping, no date of the examination."""
    text = _all(_words(_image(), blinded=True, technique=True, identity=True))
    assert "29 kVp" in text
    assert "Test Works" in text
    for value in ("Doe", "DOE", "Jane", "4711", "1956", "64", "A17", "City", "Main", "Roe", "ROE", "SN473", "DET9",
                  "ROOM2", "2020"):  # fmt: skip
        assert value not in text


def test_cem06_contrast_images_say_phase_and_minutes_after_injection() -> None:
    shot = {"kind": ImageKind.CESM_LOW, "injected": datetime(2020, 1, 17, 10, 30)}
    early = _image(source_id="1", acquired=datetime(2020, 1, 17, 10, 32, 30), **shot)
    late = _image(source_id="2", acquired=datetime(2020, 1, 17, 10, 38), qualifier="#2", **shot)
    exam = Exam(exam_id="E", images=(early, late), digest="0")
    said = [annotation(image, exam, blinded=True, technique=False).flags[0] for image in exam.images]
    assert said == ["LOW ENERGY EARLY 2.5 min p.i. acq 1", "LOW ENERGY LATE 8.0 min p.i. acq 2"]


def test_cem01_a_kind_set_by_the_reader_is_said_on_the_image() -> None:
    said = ("Kind cesm_recombined set by the reader in this session; the rules said ffdm.",)
    image = replace(_image(), kind=ImageKind.CESM_RECOMBINED, evidence=said)
    assert flags(image) == ("RECOMBINED (kind set by reader)",)
