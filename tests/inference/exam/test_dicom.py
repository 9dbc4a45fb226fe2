"""One DICOM file: what is accepted, listed, refused, and what may leave it."""

from __future__ import annotations

import io
import zlib

import pydicom
import pytest
from pydicom import Dataset

from inference.exam.dicom import Standing, load_view, pseudonym, read_header, spacing_of
from inference.exam.types import ExamError
from resources.vocabulary import ImageKind, Laterality, Projection, ViewName


def _sentence_is_clear(sentence: str, name: str) -> bool:
    return sentence.startswith(f"{name}: ") and "\n" not in sentence and sentence.endswith(".")


def test_mg01_for_presentation_is_hung_and_for_processing_is_listed_only(header, file_of, breast):
    assert read_header(file_of(header(), breast())).standing is Standing.HUNG
    info = read_header(file_of(header(PresentationIntentType="FOR PROCESSING"), breast()), "a.dcm")
    assert info.standing is Standing.LISTED
    assert "not for reading" in info.sentence


def test_mg04_quality_control_image_is_listed_not_hung(header, file_of, breast):
    info = read_header(file_of(header(QualityControlImage="YES"), breast()))
    assert info.standing is Standing.LISTED
    assert "quality control" in info.sentence


@pytest.mark.parametrize(("sop", "words"), [
    ("1.2.840.10008.5.1.4.1.1.13.1.3", "tomosynthesis"), ("1.2.840.10008.5.1.4.1.1.13.1.4", "breast projection"),
])  # fmt: skip
def test_mg01_tomosynthesis_and_breast_projection_are_recognised_and_declined(
    header, file_of, breast, sop, words
):
    info = read_header(file_of(header(SOPClassUID=sop), breast()), "a.dcm")
    assert info.standing is Standing.REFUSED
    assert words in info.sentence


@pytest.mark.parametrize("modality", ["CT", "MR", "US", "PT"])
def test_other_modalities_are_refused_in_one_sentence(header, file_of, breast, modality):
    data = file_of(header(Modality=modality), breast())
    info = read_header(data, "a.dcm")
    assert info.standing is Standing.REFUSED
    assert f"found modality {modality}" in info.sentence
    assert _sentence_is_clear(info.sentence, "a.dcm")
    with pytest.raises(ExamError, match=f"found modality {modality}"):
        load_view(data)


@pytest.mark.parametrize("modality", ["RG", "CR", "DX", "OT"])
def test_other_xray_with_a_breast_view_is_accepted_and_without_one_refused(header, file_of, breast, modality):
    assert read_header(file_of(header(Modality=modality), breast())).standing is Standing.HUNG
    info = read_header(
        file_of(header(Modality=modality, ViewPosition="PA", ImageLaterality=None), breast()), "a"
    )
    assert info.standing is Standing.REFUSED


def test_mg12_spacing_is_imager_spacing_over_magnification_and_never_pixel_spacing(header):
    ds = header(
        ImagerPixelSpacing=[0.1, 0.2], EstimatedRadiographicMagnificationFactor="1.25", PixelSpacing=[9, 9]
    )
    spacing, said = spacing_of(ds)
    assert spacing is not None
    assert (spacing.row_mm, spacing.col_mm) == pytest.approx((0.08, 0.16))
    assert "ERMF" in said
    plane, _ = spacing_of(header(ImagerPixelSpacing=[0.1, 0.1]))
    assert plane is not None
    assert plane.method == "detector plane, no ERMF"
    nothing, said = spacing_of(header(ImagerPixelSpacing=None, PixelSpacing=[0.1, 0.1]))
    assert nothing is None
    assert "not used" in said


def test_loaded_view_carries_technique_and_no_identity(header, file_of, breast):
    view = load_view(file_of(header(), breast()), "a.dcm")
    assert view.view == ViewName(Laterality.LEFT, Projection.MLO)
    assert view.kind is ImageKind.FFDM
    assert view.header["KVP"] == "29"
    everything = repr(view) + repr(dict(view.header)) + repr(view.evidence)
    assert "Doe" not in everything
    assert "SECRET" not in everything
    assert "SECRET" not in repr(read_header(file_of(header(), breast())))


def test_pseudonym_is_stable_and_hides_its_key():
    assert pseudonym("1.2.3") == pseudonym("1.2.3") != pseudonym("1.2.4")
    assert "1.2.3" not in pseudonym("1.2.3")


@pytest.mark.parametrize("keep", [40, 131, 140, 300, 700, -1000, -1])
def test_cut_off_file_gets_one_sentence(header, file_of, breast, keep):
    data = file_of(header(), breast())[:keep]
    info = read_header(data, "cut.dcm")
    assert info.standing is Standing.REFUSED
    assert _sentence_is_clear(info.sentence, "cut.dcm")
    with pytest.raises(ExamError, match=r"^cut\.dcm: expected"):
        load_view(data, "cut.dcm")


@pytest.mark.parametrize(("data", "words"), [
    (b"", "empty file"), (b"this is a text file called .dcm\n" * 20, "found text"), (b"\0\1\2\3" * 100, "found data"),
    (b"\0" * 128 + b"DICM", "expected"), (b"\0" * 128 + b"DICM" + b"\xff" * 400, "expected"),
])  # fmt: skip
def test_files_that_are_no_dicom_get_one_sentence(data, words):
    info = read_header(data, "x.dcm")
    assert info.standing is Standing.REFUSED
    assert words in info.sentence
    with pytest.raises(ExamError, match=words):
        load_view(data, "x.dcm")


@pytest.mark.parametrize(("changes", "words"), [
    ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "true colour"),
    ({"PhotometricInterpretation": "PALETTE COLOR"}, "true colour"),
    ({"NumberOfFrames": 2}, "one frame"),
    ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, "8 or 16 bits"),
    ({"BitsAllocated": None}, "BitsAllocated"),
])  # fmt: skip
def test_images_that_are_not_single_gray_frames_are_refused(header, file_of, breast, changes, words):
    info = read_header(file_of(header(**changes), breast()), "x.dcm")
    assert info.standing is Standing.REFUSED
    assert words in info.sentence


def test_rows_by_columns_that_do_not_match_the_data_are_refused(header, file_of, breast):
    ds = header()
    file_of(ds, breast())
    ds.Rows = 240
    out = io.BytesIO()
    pydicom.dcmwrite(out, ds, enforce_file_format=True)
    info = read_header(out.getvalue(), "x.dcm")
    assert info.standing is Standing.REFUSED
    assert "240 x 90" in info.sentence


def test_header_without_pixels_is_refused(header, file_of, breast):
    ds = header()
    file_of(ds, breast())
    del ds.PixelData
    out = io.BytesIO()
    pydicom.dcmwrite(out, ds, enforce_file_format=True)
    assert "expected Pixel Data, found none" in read_header(out.getvalue(), "x.dcm").sentence


def test_missing_view_is_listed_and_cannot_be_loaded(header, file_of, breast):
    data = file_of(header(ViewPosition=None, PatientOrientation=None), breast())
    assert read_header(data).standing is Standing.LISTED
    with pytest.raises(ExamError, match="side and view"):
        load_view(data)


def test_ge_style_header_reads(header, file_of, breast):
    """GE: View Code in scheme SNM3, Image Laterality set while Laterality is empty, padding range (MG-02, MG-03)."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "R-10242", "SNM3", "cranio-caudal"
    ds = header(ViewCodeSequence=[code], ViewPosition="CC", Laterality="", ImageLaterality="L",
                PatientOrientation=["A", "R"], PixelPaddingValue=0, PixelPaddingRangeLimit=30)  # fmt: skip
    view = load_view(file_of(ds, breast()))
    assert view.view.key == "L-CC"
    assert view.presentation.padding == (0, 30)
    assert not view.orientation.flip_rows


def test_deflate_bomb_is_refused(header, file_of, breast, deflate):
    ds = header()
    data = file_of(ds, breast(), syntax="1.2.840.10008.1.2.1.99")
    end = 144 + int.from_bytes(data[140:144], "little")
    body = zlib.decompress(data[end:], -15)
    at = body.rindex(b"\xe0\x7f\x10\x00OW")
    bomb = body[: at + 8] + (1 << 30).to_bytes(4, "little") + b"\0" * 4096
    with pytest.raises(ExamError, match="deflated data that can fill"):
        load_view(data[:end] + deflate(bomb), "bomb.dcm")


def test_technique_with_several_values_is_joined(header, file_of, breast):
    """GE writes Grid as RECIPROCATING\\FOCUSED; Lorad writes several software versions (MG-24)."""
    ds = header(Grid=["RECIPROCATING", "FOCUSED"], SoftwareVersions=["A_1", "B_2"], ViewPosition="MLO")
    view = load_view(file_of(ds, breast()))
    assert view.header["Grid"] == "RECIPROCATING\\FOCUSED"
    assert view.header["SoftwareVersions"] == "A_1\\B_2"
