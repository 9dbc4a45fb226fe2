"""Side, view, kind and hanging orientation: the rules MG-02..05 and CEM-01."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping as snomed

from inference.exam import contrast, views
from inference.exam.types import Orientation
from resources.vocabulary import ImageKind, Laterality, Projection, ViewModifier

R, L = Laterality.RIGHT, Laterality.LEFT


def _code(value: str, scheme: str = "SCT") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "x"
    return item


@pytest.mark.parametrize(("cid", "known"), [(4014, views.PROJECTION_CODES), (4015, views.MODIFIER_CODES)])
def test_mg02_every_code_of_the_standards_tables_is_known(cid, known):
    """pydicom carries CID 4014 and 4015 of the standard; each of its codes must mean something here."""
    codes = {
        code
        for scheme, keywords in cid_concepts[cid].items()
        for keyword in keywords
        for code, (_, cids) in concepts[scheme][keyword].items()
        if cid in cids
    }
    assert len(codes) >= 11
    assert codes <= known.keys()


@pytest.mark.parametrize("code", ["399162004", "R-10242"])
@pytest.mark.parametrize("scheme", ["SCT", "SRT", "SNM3", "99SDM"])
def test_mg02_view_code_wins_over_view_position_and_says_so(header, code, scheme):
    ds = header(ViewCodeSequence=[_code(code, scheme)], ViewPosition="MLO")
    ruling = views.projection_of(ds)
    assert ruling.value is Projection.CC
    assert any("conflict" in text and "View Position says MLO" in text for text in ruling.evidence)


def test_mg02_series_description_alone_is_not_enough(header):
    ruling = views.projection_of(header(ViewPosition=None, SeriesDescription="L MLO"))
    assert ruling.value is None
    assert "not enough" in ruling.evidence[0]


def test_mg02_modifiers_are_read_from_their_codes(header):
    view = _code("399162004")
    view.ViewModifierCodeSequence = [_code("399163009"), _code("R-102D7", "SRT")]
    assert views.modifiers_of(header(ViewCodeSequence=[view])).value == (
        ViewModifier.MAGNIFICATION,
        ViewModifier.SPOT,
    )


def test_mg03_image_laterality_wins_over_the_series_and_the_conflict_is_told(header):
    ruling = views.laterality_of(header(ImageLaterality="R", Laterality="L"))
    assert ruling.value is R
    assert any("conflict" in text for text in ruling.evidence)
    assert views.laterality_of(header(ImageLaterality="", Laterality="L")).value is L


@pytest.mark.parametrize(("side", "letters", "expected"), [
    (R, ["P", "F"], Orientation()),
    (L, ["A", "F"], Orientation()),
    (R, ["P", "FL"], Orientation()),
    (R, ["A", "F"], Orientation(flip_cols=True)),
    (L, ["A", "H"], Orientation(flip_rows=True)),
    (L, ["P", "H"], Orientation(flip_rows=True, flip_cols=True)),
    (L, ["F", "A"], Orientation(transpose=True)),
    (R, ["H", "A"], Orientation(transpose=True, flip_rows=True, flip_cols=True)),
])  # fmt: skip
def test_mg05_oblique_hangs_head_up_with_chest_wall_to_the_middle(side, letters, expected):
    ruling = views.orientation_from_letters(letters, side, Projection.MLO)
    assert ruling is not None
    assert ruling.value == expected


@pytest.mark.parametrize(("side", "letters", "expected"), [
    (R, ["P", "L"], Orientation()),
    (L, ["A", "R"], Orientation()),
    (R, ["P", "R"], Orientation(flip_rows=True)),
    (L, ["P", "L"], Orientation(flip_rows=True, flip_cols=True)),
    (L, ["R", "A"], Orientation(transpose=True)),
])  # fmt: skip
def test_mg05_axial_column_never_points_to_the_breasts_own_side(side, letters, expected):
    ruling = views.orientation_from_letters(letters, side, Projection.CC)
    assert ruling is not None
    assert ruling.value == expected


def test_mg05_the_same_anatomy_hangs_alike_from_all_eight_storage_layouts():
    """Store one labelled picture in all eight ways, with the letters that belong to each, and hang it."""
    hung = np.arange(12).reshape(3, 4)
    opposite = {"P": "A", "A": "P", "F": "H", "H": "F", "L": "R", "R": "L"}
    for projection, base in ((Projection.MLO, ("P", "F")), (Projection.CC, ("P", "L"))):
        for turn, up_down, left_right in itertools.product([False, True], repeat=3):
            row, col = base
            stored = hung
            if left_right:
                stored, row = stored[:, ::-1], opposite[row]
            if up_down:
                stored, col = stored[::-1], opposite[col]
            if turn:
                stored, row, col = stored.T, col, row
            ruling = views.orientation_from_letters([row, col], R, projection)
            assert ruling is not None
            found = ruling.value
            assert found is not None
            back = stored.T if found.transpose else stored
            back = back[::-1] if found.flip_rows else back
            back = back[:, ::-1] if found.flip_cols else back
            assert np.array_equal(back, hung), (projection, turn, up_down, left_right)


@pytest.mark.parametrize("letters", [["CC"], ["MLO"], [], ["L", "F"], ["A", "P"], ["A", ""]])
def test_mg05_letters_that_are_no_directions_of_a_mammogram_are_not_used(letters):
    assert views.orientation_from_letters(letters, R, Projection.MLO) is None


@pytest.mark.parametrize("dark_air", [True, False])
@pytest.mark.parametrize("chest_left", [True, False])
def test_mg05_fallback_finds_the_chest_wall_and_reports_the_rule(breast, chest_left, dark_air):
    pixels = breast(chest_left=chest_left)
    pixels = pixels if dark_air else 4095 - pixels
    ruling = views.orientation_from_pixels(pixels, L, dark_air=dark_air)
    assert ruling.value == Orientation(flip_cols=not chest_left)
    assert "fallback" in ruling.evidence[0]


def test_mg05_fallback_on_an_empty_image_hangs_it_as_stored():
    ruling = views.orientation_from_pixels(np.zeros((50, 40), np.uint16), R)
    assert ruling.value == Orientation()
    assert "not plain" in ruling.evidence[0]


@pytest.mark.parametrize(("changes", "name", "kind"), [
    ({"ImageType": ["ORIGINAL", "PRIMARY", "", "LOW_ENERGY"]}, "", ImageKind.CESM_LOW),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "", "RECOMBINED"]}, "", ImageKind.CESM_RECOMBINED),
    ({"ImageType": ["DERIVED", "PRIMARY", "POST_CONTRAST", "SUBTRACTION"]}, "", ImageKind.CESM_RECOMBINED),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "POST_CONTRAST", "", "HIGH_ENERGY"]}, "", ImageKind.CESM_HIGH),
    ({"AcquisitionDeviceProcessingCode": "GEMS_CESM_1"}, "", ImageKind.CESM_RECOMBINED),
    ({"AcquisitionDeviceProcessingCode": "GEMS_FFDM_PV"}, "", ImageKind.FFDM),
    ({"AcquisitionDeviceProcessingCode": "GEMS_FFDM_PV", "ContrastBolusAgent": "x"}, "", ImageKind.CESM_LOW),
    ({"SeriesDescription": "L CC recombined"}, "", ImageKind.CESM_RECOMBINED),
    ({}, "images/P1_L_DM_MLO.jpg", ImageKind.CESM_LOW),
    ({}, "P1_L_CM_MLO.jpg", ImageKind.CESM_RECOMBINED),
    ({}, "plain.dcm", ImageKind.FFDM),
    ({"ImageType": ["LOW_ENERGY", "PRIMARY"]}, "", ImageKind.FFDM),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "", ImageKind.FILM),
])  # fmt: skip
def test_cem01_kind_comes_from_the_rule_table(header, changes, name, kind):
    ruling = contrast.kind_of(header(**changes), name)
    assert ruling.value is kind
    assert ruling.evidence


def test_cem01_order_of_rules_decides_and_the_conflict_is_told(header):
    ds = header(ImageType=["ORIGINAL", "PRIMARY", "", "LOW_ENERGY"], SeriesDescription="recombined", KVP="47")
    ruling = contrast.kind_of(ds)
    assert ruling.value is ImageKind.CESM_LOW
    assert "rule 'Image Type low energy'" in ruling.evidence[0]
    assert sum("conflict" in text for text in ruling.evidence) == 2


@pytest.mark.parametrize(("name", "side", "projection"), [
    ("Mass-Test_P_00820_LEFT_CC", L, Projection.CC), ("images/0_R-MLO.png", R, Projection.MLO),
    ("P102_R_CM_CC.jpg", R, Projection.CC), ("LMLO.dcm", L, Projection.MLO), ("x/right cc/1.dcm", R, Projection.CC),
])  # fmt: skip
def test_names_give_side_and_view(name, side, projection):
    found = views.view_from_name(name)
    assert found is not None
    assert found[:2] == (side, projection)


@pytest.mark.parametrize(
    "name", ["mdb001", "1-130.dcm", "P10_Ddense_L5.0_X8.67e09.jpg", "FULL_MLOX", "CC", "calcc"]
)
def test_names_without_side_and_view_give_nothing(name):
    assert views.view_from_name(name) is None


def _pairs_of(cid: int) -> list[tuple[str, str]]:
    """SNOMED CT code and its older SRT style twin, both from pydicom's copy of the standard's tables."""
    codes = [
        code
        for keyword in cid_concepts[cid]["SCT"]
        for code, (_, cids) in concepts["SCT"][keyword].items()
        if cid in cids
    ]
    return [(code, snomed["SCT"][code]) for code in codes]


@pytest.mark.parametrize(("sct", "srt"), _pairs_of(4014))
def test_mg02_each_view_means_the_same_under_sct_srt_and_snm3(header, sct, srt):
    found = {
        views.projection_of(header(ViewCodeSequence=[_code(value, scheme)], ViewPosition=None)).value
        for value, scheme in ((sct, "SCT"), (srt, "SRT"), (srt, "SNM3"), (srt, "99SDM"))
    }
    assert len(found) == 1
    assert found != {None}


@pytest.mark.parametrize(("sct", "srt"), _pairs_of(4015))
def test_mg02_each_modifier_means_the_same_under_sct_srt_and_snm3(header, sct, srt):
    def modifiers(value: str, scheme: str) -> tuple[ViewModifier, ...] | None:
        view = _code("399162004")
        view.ViewModifierCodeSequence = [_code(value, scheme)]
        return views.modifiers_of(header(ViewCodeSequence=[view])).value

    found = {modifiers(sct, "SCT"), modifiers(srt, "SRT"), modifiers(srt, "SNM3")}
    assert len(found) == 1
    assert all(len(one or ()) == 1 for one in found)


def test_mg02_the_sheets_codes_carry_the_sheets_names():
    """The commonest codes as the checklist itself spells them."""
    views_of = {"399162004": "CC", "R-10226": "MLO", "399260004": "ML", "R-10228": "LM", "399099002": "LMO",
                "R-1024A": "XCCL", "399101009": "XCCM", "R-10244": "FB"}  # fmt: skip
    assert {code: views.PROJECTION_CODES[code].value for code in views_of} == views_of
    modifiers = {"399163009": "M", "399055006": "S", "399209000": "ID", "399161006": "CV", "399011000": "AT",
                 "399197002": "RL", "399226006": "RM", "415670009": "RS", "414493004": "RI", "399110001": "TAN",
                 "442581004": "NP"}  # fmt: skip
    assert {code: views.MODIFIER_CODES[code].value for code in modifiers} == modifiers


def test_mg02_a_code_of_a_private_scheme_is_not_taken_for_the_standards_and_is_told(header):
    view = _code("399162004", "99ACME")
    view.ViewModifierCodeSequence = [_code("399163009", "99ACME")]
    ds = header(ViewCodeSequence=[view], ViewPosition="MLO")
    ruling = views.projection_of(ds)
    assert ruling.value is Projection.MLO
    assert any("99ACME:399162004" in text and "not of CID 4014" in text for text in ruling.evidence)
    modifiers = views.modifiers_of(ds)
    assert modifiers.value == ()
    assert "not of CID 4015" in modifiers.evidence[0]


def test_mg02_modifiers_beside_the_view_code_are_read_too(header):
    ds = header(ViewCodeSequence=[_code("399162004")], ViewModifierCodeSequence=[_code("399055006")])
    assert views.modifiers_of(ds).value == (ViewModifier.SPOT,)


def test_mg03_frame_laterality_comes_before_that_of_the_series(header):
    anatomy, shared = Dataset(), Dataset()
    anatomy.FrameLaterality = "R"
    shared.FrameAnatomySequence = [anatomy]
    ds = header(ImageLaterality=None, Laterality="L", SharedFunctionalGroupsSequence=[shared])
    ruling = views.laterality_of(ds)
    assert ruling.value is R
    assert any("Side conflict: Laterality of the series says L" in text for text in ruling.evidence)
