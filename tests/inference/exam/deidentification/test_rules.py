"""The profile's rules one by one, against the words of PS3.15 Table E.1-1, and the small parts they are made of."""

from __future__ import annotations

import io
import json
import re
import struct
from datetime import date, timedelta

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import config, dcmread, dcmwrite
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian

from inference.exam.deidentification import dates
from inference.exam.deidentification.burned_in import header_warning, text_like_lines
from inference.exam.deidentification.codestream import blank_comments
from inference.exam.deidentification.dataset import Pseudonym, deidentify_dataset
from inference.exam.deidentification.free_text import harmless, identifiers_of
from inference.exam.deidentification.profile import Decision, rule_of
from inference.exam.deidentification.site_key import SiteKey
from inference.exam.deidentification.whole_file import deidentify
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import ExamError, ViewImage
from resources.files import resource_path

KEY = SiteKey(secret=bytes(range(32)))
WHO = Pseudonym(subject_id="C0001", shift_days=-700)

# Read off the published table (2024 to 2026 editions agree on them), options of this program applied.
PUBLISHED = {
    "PatientID": Decision.DUMMY,  # Z/D, replaced by the case id in any event
    "AccessionNumber": Decision.EMPTY, "PatientName": Decision.EMPTY,
    "PatientBirthDate": Decision.EMPTY, "ReferringPhysicianName": Decision.EMPTY, "StudyID": Decision.EMPTY,
    "OtherPatientIDs": Decision.REMOVE, "PatientAddress": Decision.REMOVE, "EthnicGroup": Decision.KEEP,
    "PatientAge": Decision.KEEP, "PatientSex": Decision.KEEP, "PatientSize": Decision.KEEP,
    "SmokingStatus": Decision.KEEP, "PatientWeight": Decision.KEEP, "RequestAttributesSequence": Decision.REMOVE,
    "SOPInstanceUID": Decision.UID, "StudyInstanceUID": Decision.UID, "FrameOfReferenceUID": Decision.UID,
    "InstanceCreatorUID": Decision.UID, "ReferencedSOPInstanceUID": Decision.UID, "DeviceUID": Decision.UID,
    "StudyDate": Decision.SHIFT, "SeriesDate": Decision.SHIFT, "AcquisitionDateTime": Decision.SHIFT,
    "ContentTime": Decision.SHIFT, "SeriesDescription": Decision.CLEAN, "ContrastBolusAgent": Decision.CLEAN,
    "ImageComments": Decision.CLEAN, "ContentSequence": Decision.DESCEND, "GraphicAnnotationSequence": Decision.DESCEND,
    "InstitutionName": Decision.DUMMY, "StationName": Decision.DUMMY, "DeviceSerialNumber": Decision.DUMMY,
    "SourceImageSequence": Decision.DESCEND, "IconImageSequence": Decision.REMOVE,
    "VerifyingObserverName": Decision.DUMMY, "ContentCreatorName": Decision.DUMMY,
    "Manufacturer": Decision.KEEP, "ViewPosition": Decision.KEEP, "KVP": Decision.KEEP, "Rows": Decision.KEEP,
}  # fmt: skip


@pytest.mark.parametrize("keyword", PUBLISHED)
def test_rsa6_the_rule_is_that_of_the_published_table(keyword: str) -> None:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    assert rule_of(Tag(tag), dictionary_VR(tag), keyword).decision is PUBLISHED[keyword]


def test_rsa6_every_attribute_that_the_profile_removes_is_gone() -> None:
    """A data set with every attribute of Table E.1-1 in it: nothing with action X and no option survives."""
    rows = json.loads(resource_path("deidentification", "ps3_15_e1_1.json").read_text())["attributes"]
    assert len(rows) > 650
    ds = Dataset()
    for row in rows:
        if "XX" in row["tag"]:
            tag = Tag(int(row["tag"].replace("XX", "00"), 16))
            ds.add_new(tag, "OW", b"ab")
        elif row["keyword"]:
            vr = dictionary_VR(Tag(int(row["tag"], 16))).split(" ")[0]
            ds.add_new(Tag(int(row["tag"], 16)), vr, _value(vr))
    before = {f"{int(element.tag):08X}" for element in ds}
    deidentify_dataset(ds, key=KEY, who=WHO, identifiers=identifiers_of(ds))
    for row in rows:
        tag = row["tag"].replace("XX", "00")
        if tag in before and row["basic"] == "X" and "options" not in row:
            assert int(tag, 16) not in ds, row
    left = {str(element.value) for element in ds.iterall() if element.VR not in {"SQ", "UI"}}
    assert not any("Zephyrine" in value or "19990909" in value for value in left)
    kept = [e for e in ds.iterall() if e.VR == "UI" and str(e.value).startswith("1.2.3.4.5")]
    assert kept == []


def _value(vr: str) -> object:
    values: dict[str, object] = {
        "DA": "19990909", "TM": "101010", "DT": "19990909101010", "UI": "1.2.3.4.5.6", "AS": "052Y", "IS": "7",
        "DS": "7.5", "SQ": [Dataset()], "CS": "ZEPHYRINE",
    }  # fmt: skip
    if vr in {"US", "UL", "SS", "SL", "FL", "FD", "UV", "SV", "AT"}:
        return 7
    if vr in {"OB", "OW", "OF", "OD", "OL", "OV", "UN"}:
        return b"Zephyrine "
    return values.get(vr, "Zephyrine" if vr != "UR" else "https://x.example/Zephyrine")


def _full(depth: int) -> Dataset:
    """Every attribute of the data dictionary that takes a text, a name, an address or a date, with one woman in it."""
    ds = Dataset()
    for number, (vr, *_, keyword) in DicomDictionary.items():
        tag, kind = Tag(number), vr.split(" ")[0]
        if not keyword or number == 0x00080005 or tag.group < 8 or tag.group in {0x5000, 0x6000, 0x7FE0}:
            continue
        if kind in {"LO", "SH", "ST", "LT", "UT", "UC", "PN", "AE", "CS", "UR", "DA", "DT", "UI", "OB"}:
            ds.add_new(tag, kind, _value(kind))
        elif kind == "SQ" and depth:
            ds.add_new(
                tag,
                kind,
                [_full(depth - 1)] if number in {0x0040A730, 0x00081140, 0x00700001, 0x00082218} else [],
            )
    return ds


def test_rsr2_whatever_attribute_of_the_dictionary_repeats_her_name_or_day_it_is_gone() -> None:
    ds = _full(2)
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = (
        ds.SOPClassUID,
        "1.2.3.4.5.6",
    )
    out = io.BytesIO()
    with config.disable_value_validation():
        dcmwrite(out, ds, enforce_file_format=True)
    assert len(ds) > 2000
    before = out.getvalue()
    clean = deidentify(before, "x.dcm", key=KEY, who=WHO).data
    for secret in (b"Zephyrine", b"ZEPHYRINE", b"19990909", b"1.2.3.4.5"):
        assert secret in before
        found = [clean[max(0, k.start() - 40) : k.end() + 4] for k in re.finditer(re.escape(secret), clean)]
        assert found == []


def test_rsa6_private_and_unknown_attributes_are_removed() -> None:
    assert rule_of(Tag(0x00091001), "LO", "").decision is Decision.REMOVE
    assert rule_of(Tag(0x60003000), "OW", "OverlayData").decision is Decision.REMOVE
    assert rule_of(Tag(0x00081234), "LO", "").decision is Decision.REMOVE
    assert keyword_for_tag(Tag(0x00081234)) == ""


@pytest.mark.parametrize(
    "text",
    [
        "R CC",
        "L-MLO 2 views",
        "Dual energy recombined",
        "12.3 mm",
        "45 mm²",
        "Mammography, screening, both breasts",
    ],
)
def test_rsr2_words_of_the_craft_and_measures_survive(text: str) -> None:
    assert harmless(text)


@pytest.mark.parametrize(
    "text",
    ["Mrs Larch R CC", "R CC 20240506", "R CC 26/08/04", "R CC 2004", "malignant mass", "L MLO 12345", "born 3 May",
     "Özgül", "R CC 26.08.2004", "view 1-2-3"],
)  # fmt: skip
def test_rsr2_names_dates_numbers_and_findings_do_not(text: str) -> None:
    assert not harmless(text)


@given(st.dates(min_value=date(1901, 1, 1)), st.integers(-3650, -366))
def test_rsa6_dates_move_by_whole_days_and_keep_intervals(day: date, shift: int) -> None:
    text = day.strftime("%Y%m%d").zfill(8)
    later = (day + timedelta(days=365)).strftime("%Y%m%d") if day.year < 9998 else None
    moved = dates.shifted_date(text, shift)
    assert moved is not None
    parsed = date(int(moved[:4]), int(moved[4:6]), int(moved[6:]))
    assert (day - parsed).days == -shift
    if later is not None:
        after = dates.shifted_date(later, shift)
        assert after is not None
        assert (date(int(after[:4]), int(after[4:6]), int(after[6:])) - parsed).days == 365


@pytest.mark.parametrize(
    "text", ["", "2024", "202405", "20241301", "20240230", "yesterday", "20240506-20240507"]
)
def test_rsa6_what_is_no_date_is_not_taken_for_one(text: str) -> None:
    assert dates.shifted_date(text, -400) is None


def test_rsa6_date_times_keep_time_and_lose_nothing_else() -> None:
    assert dates.shifted_datetime("20240301101112.5+0100", -366) == "20230301101112.5+0100"
    assert dates.shifted_datetime("20240301 Larch", -366) is None
    assert dates.is_time("101112.123456")
    assert not dates.is_time("10h Larch")


@pytest.mark.parametrize(
    ("born", "day", "age"),
    [("19510203", "20240202", "072Y"), ("19510203", "20240203", "073Y"), ("19200101", "20240101", "090Y"),
     ("", "20240101", None), ("20250101", "20240101", None)],
)  # fmt: skip
def test_rsa6_age_is_in_whole_years_and_told_up_to_ninety(born: str, day: str, age: str | None) -> None:
    assert dates.age_on(born, day) == age


@given(st.text("0123456789.", min_size=1, max_size=40), st.text("0123456789.", min_size=1, max_size=40))
def test_rsa6_new_uids_are_valid_and_as_different_as_the_old(one: str, other: str) -> None:
    new = KEY.uid(one)
    if one.startswith("1.2.840.10008."):
        assert new == one
        return
    assert re.fullmatch(r"2\.25\.(0|[1-9][0-9]*)", new)
    assert len(new) <= 64
    assert (KEY.uid(other) == new) == (one == other)
    assert SiteKey(secret=bytes(32)).uid(one) != new


@given(st.text(max_size=20))
def test_rsa6_the_shift_lies_one_to_ten_years_back(woman: str) -> None:
    assert -3650 <= KEY.shift_days(woman) <= -366


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">HH", marker, len(payload) + 2) + payload


def test_rsa6_comments_inside_compressed_pixels_are_blanked_and_the_image_decodes_the_same() -> None:
    pixels = np.random.default_rng(3).integers(0, 255, (64, 48)).astype(np.uint8)
    jpeg = bytes(imagecodecs.jpeg8_encode(pixels, level=90))
    named = (
        jpeg[:2]
        + _segment(0xFFFE, b"Zephyrine Quackenbush")
        + _segment(0xFFE1, b"Exif\0\0Ottoline")
        + jpeg[2:]
    )
    j2k = bytes(imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True))
    size = struct.unpack(">H", j2k[4:6])[0]  # after SIZ
    named_j2k = j2k[: 4 + size] + _segment(0xFF64, b"\0\1Zephyrine") + j2k[4 + size :]
    for stream, decode in ((named, imagecodecs.jpeg8_decode), (named_j2k, imagecodecs.jpeg2k_decode)):
        packed = encapsulate([stream])
        clean, count = blank_comments(packed)
        assert count >= 1
        assert len(clean) == len(packed)
        assert b"Zephyrine" in packed
        assert b"Zephyrine" not in clean
        assert b"Ottoline" not in clean
        frame = clean[clean.index(stream[:2]) :][: len(stream)]
        np.testing.assert_array_equal(decode(frame), decode(stream))


@given(st.binary(max_size=300))
def test_rsa6_no_bytes_break_the_search_for_comments(junk: bytes) -> None:
    packed = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(junk) + 2) + b"\xff\xd8" + junk
    clean, _ = blank_comments(packed)
    assert len(clean) == len(packed)


def test_rsa6_what_is_no_whole_object_is_refused_in_a_sentence() -> None:
    with pytest.raises(ExamError, match=r"^x\.dcm: expected"):
        deidentify(b"no dicom at all" * 40, "x.dcm", key=KEY, who=WHO)
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.PatientName = "Doe^Jane"
    out = io.BytesIO()
    ds.save_as(out)
    with pytest.raises(ExamError, match="SOP Class and Instance UID"):
        deidentify(out.getvalue(), "x.dcm", key=KEY, who=WHO)


def test_rsa6_an_overlay_hidden_in_the_pixels_unused_bits_is_refused() -> None:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.3"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.add_new(0x60000102, "US", 12)
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    with pytest.raises(ExamError, match="unused bits"):
        deidentify(out.getvalue(), "x.dcm", key=KEY, who=WHO)


def test_rsa6_an_overlay_left_in_the_unused_bits_is_wiped_and_the_values_stay() -> None:
    """Its group may be gone from the header while its bits are still there: other programs bring them to light."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.3"
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = (
        2,
        3,
        16,
        12,
        11,
        0,
    )
    values = np.array([[0, 1, 4095], [7, 8, 9]], np.uint16)
    overlay = np.array([[1, 0, 1], [0, 1, 0]], np.uint16)
    ds.add_new(0x7FE00010, "OW", (values | overlay << 15).tobytes())
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    clean = deidentify(out.getvalue(), "x.dcm", key=KEY, who=WHO)
    assert clean.counts["unused bits"] == 1
    kept = np.frombuffer(dcmread(io.BytesIO(clean.data)).PixelData, np.uint16).reshape(2, 3)
    assert kept.tolist() == values.tolist()


def test_rsa6_burned_in_text_is_warned_of_by_the_header() -> None:
    ds = Dataset()
    assert "does not say" in header_warning(ds)
    ds.BurnedInAnnotation = "YES"
    assert "burned into" in header_warning(ds)
    ds.BurnedInAnnotation = "NO"
    assert header_warning(ds) == ""


@pytest.fixture(scope="module")
def phantom() -> ViewImage:
    return phantom_exam(PhantomSpec(seed=8, pixel_mm=0.2)).exam.images[0]


@pytest.mark.parametrize("scale", [0.6, 1.0, 2.0])
@pytest.mark.parametrize("sideways", [False, True])
def test_rsa6_a_name_written_beside_the_breast_is_found(
    phantom: ViewImage, scale: float, sideways: bool
) -> None:
    from dataclasses import replace

    import cv2

    pixels = phantom.pixels.T.copy() if sideways else phantom.pixels
    assert text_like_lines(replace(phantom, pixels=np.ascontiguousarray(pixels))) == 0
    ink = np.zeros(phantom.pixels.shape, np.uint8)
    width = int(180 * scale)
    left = 20 if phantom.pixels[:, :60].mean() < phantom.pixels[:, -60:].mean() else ink.shape[1] - width - 20
    cv2.putText(
        ink,
        "DOE JANE 1950",
        (max(left, 20), int(40 * scale) + 20),
        cv2.FONT_HERSHEY_SIMPLEX,
        scale,
        255,
        max(1, round(scale * 2)),
    )
    written = np.where(ink > 127, phantom.pixels.max(), phantom.pixels)
    written = np.ascontiguousarray(written.T if sideways else written)
    assert text_like_lines(replace(phantom, pixels=written)) >= 1


def test_rsr2_long_identifiers_are_found_inside_words_and_short_ones_as_words_only() -> None:
    ds = Dataset()
    ds.PatientName, ds.StudyID = "Quackenbush^Ann", "77"
    known = identifiers_of(ds)
    assert known.named_in("exportQUACKENBUSH2")
    assert known.named_in("for ann_2")
    assert not known.named_in("Hannover 77")
    assert not known.named_in("mammography")
