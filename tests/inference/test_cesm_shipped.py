"""The contrast-mammography model as it ships: it loads, fits its size, and tells plain cases apart."""

from __future__ import annotations

import pytest

from inference.cesm_engine import CesmEngine
from inference.exam.phantom import PhantomExam, PhantomSpec, phantom_exam
from inference.registry import load_card, why_not
from inference.results import ExamResult
from inference.training.cesm_page import document
from resources.files import ROOT
from resources.vocabulary import FindingType, Pathology

SHIPPED = ROOT / "models" / "cesm-cbam"


@pytest.fixture(scope="module")
def engine() -> CesmEngine:
    return CesmEngine(SHIPPED, "cpu")


def _read(engine: CesmEngine, pathology: Pathology) -> tuple[PhantomExam, ExamResult]:
    mass = None if pathology is Pathology.NORMAL else FindingType.MASS
    spec = PhantomSpec(
        seed=2_000_700, cesm=True, pixel_mm=0.4, pathology=pathology, finding=mass, lesions=mass and 1
    )
    phantom = phantom_exam(spec)
    return phantom, engine.analyse(phantom.exam, lambda _fraction, _text: None, lambda: False)


@pytest.fixture(scope="module")
def malignant(engine: CesmEngine) -> tuple[PhantomExam, ExamResult]:
    return _read(engine, Pathology.MALIGNANT)


def test_the_model_is_found_can_run_and_is_small() -> None:
    card = load_card("cesm-cbam")
    assert why_not(card) is None
    assert card.weights_path.stat().st_size < 10e6
    assert {p.name for p in card.operating_points if p.level == "lesion"} == {
        "high sensitivity",
        "youden",
        "high specificity",
    }


def test_the_docs_page_says_what_the_card_says() -> None:
    page = (ROOT.parent / "docs" / "models" / "cesm-cbam.md").read_text(encoding="utf-8")
    assert page.rstrip() == document(SHIPPED).rstrip()


def test_an_enhancing_spiculated_mass_is_outlined_and_called(
    malignant: tuple[PhantomExam, ExamResult],
) -> None:
    phantom, result = malignant
    lesion = phantom.lesions[0]
    hits = []
    for key, seen in lesion.views.items():
        for mark in result.detections:
            row, col = mark.box.center
            inside = seen.box.row0 <= row < seen.box.row1 and seen.box.col0 <= col < seen.box.col1
            if mark.image_key == key and inside:
                hits.append(mark)
    assert len(hits) >= 2  # one pair at least, on both of its images
    assert max(mark.malignancy or 0.0 for mark in hits) > 0.5
    assert all(len(mark.outline) > 4 for mark in hits)


def test_the_breast_with_the_cancer_scores_above_the_other_and_above_a_normal_exam(
    engine: CesmEngine, malignant: tuple[PhantomExam, ExamResult]
) -> None:
    phantom, result = malignant
    side = phantom.lesions[0].laterality
    assert result.breast_scores[side] > result.breast_scores[side.other]
    _, normal = _read(engine, Pathology.NORMAL)
    assert normal.exam_score is not None
    assert result.breast_scores[side] > normal.exam_score
