"""The field's terms for kinds, findings, answers and tools, in the reader's language.

Owns words only; what is stored and logged is the vocabulary's value, whatever the language.
"""

from __future__ import annotations

from app.state.ai_told import told
from resources.translation import translate
from resources.vocabulary import Conspicuity, EnhancementType, FindingType, ImageKind


def _tr(text: str) -> str:
    return translate("terms", text)


def kind_term(kind: ImageKind) -> str:
    """What the pixels are, within a sentence."""
    return {
        ImageKind.FFDM: _tr("FFDM"),
        ImageKind.FILM: _tr("film"),
        ImageKind.CESM_LOW: _tr("low energy"),
        ImageKind.CESM_HIGH: _tr("high energy"),
        ImageKind.CESM_RECOMBINED: _tr("recombined"),
    }[kind]


def energy_flag(kind: ImageKind) -> str:
    """The energy as it stands on an image; "" for images without contrast."""
    return {
        ImageKind.CESM_LOW: _tr("LOW ENERGY"),
        ImageKind.CESM_HIGH: _tr("HIGH ENERGY"),
        ImageKind.CESM_RECOMBINED: _tr("RECOMBINED"),
    }.get(kind, "")


def image_term(key: str) -> str:
    """An image by its key: "R-CC/cesm_low" is "R CC low energy"; the reader meets no file words."""
    view, _, rest = key.partition("/")
    kinds = {kind.value: kind for kind in ImageKind}
    word = kind_term(kinds[rest]) if rest in kinds else rest
    return " ".join(filter(None, [view.replace("-", " "), word]))


def preset_term(label: str) -> str:
    """A window preset; what the file calls it stays as it is."""
    return _tr("Default (from pixels)") if label == "Default (from pixels)" else label


def finding_term(finding: FindingType) -> str:
    """Type of a finding."""
    return {
        FindingType.MASS: _tr("mass"),
        FindingType.CALCIFICATION: _tr("calcification"),
        FindingType.ASYMMETRY: _tr("asymmetry"),
        FindingType.DISTORTION: _tr("distortion"),
        FindingType.ENHANCEMENT: _tr("enhancement"),
    }[finding]


def finding_short(finding: FindingType) -> str:
    """Type of a finding on a narrow button."""
    return {
        FindingType.MASS: _tr("mass"),
        FindingType.CALCIFICATION: _tr("calc"),
        FindingType.ASYMMETRY: _tr("asym"),
        FindingType.DISTORTION: _tr("dist"),
        FindingType.ENHANCEMENT: _tr("enha"),
    }[finding]


def attribute_term(name: str, term: str) -> str:
    """A descriptor of a lesion by the BI-RADS lexicon; ``name`` is shape, margin, morphology or distribution.

    A term that the lexicon does not have stays as the model says it.
    """
    known = {
        "round": _tr("round"),
        "oval": _tr("oval"),
        "irregular": _tr("irregular"),
        "circumscribed": _tr("circumscribed"),
        "obscured": _tr("obscured"),
        "microlobulated": _tr("microlobulated"),
        "indistinct": _tr("indistinct"),
        "spiculated": _tr("spiculated"),
        "punctate": _tr("punctate"),
        "amorphous": _tr("amorphous"),
        "coarse heterogeneous": _tr("coarse heterogeneous"),
        "fine pleomorphic": _tr("fine pleomorphic"),
        "fine linear": _tr("fine linear"),
        "fine linear branching": _tr("fine linear branching"),
        "diffuse": _tr("diffuse"),
        "regional": _tr("regional"),
        "grouped": _tr("grouped"),
        "linear": _tr("linear"),
        "segmental": _tr("segmental"),
    }
    phrases = {
        "shape": _tr("{0} shape"),
        "margin": _tr("{0} margin"),
        "morphology": _tr("{0} calcifications"),
        "distribution": _tr("{0} distribution"),
    }
    return phrases.get(name, "{0}").format(known.get(term, term))


def contrast_term(answer: EnhancementType | Conspicuity) -> str:
    """What a reader answered about the enhancement of a finding."""
    known: dict[EnhancementType | Conspicuity, str] = {
        EnhancementType.NONE: _tr("none"),
        EnhancementType.MASS: _tr("mass"),
        EnhancementType.NON_MASS: _tr("NME"),
        EnhancementType.ASYMMETRY: _tr("asymmetry"),
        Conspicuity.LOW: _tr("low"),
        Conspicuity.MODERATE: _tr("moderate"),
        Conspicuity.HIGH: _tr("high"),
    }
    return known[answer]


def tool_term(name: str) -> str:
    """What the left mouse button does now."""
    return {
        "window": _tr("window"),
        "zoom": _tr("zoom"),
        "pan": _tr("pan"),
        "magnifier": _tr("magnifier"),
        "mark": _tr("mark"),
        "ruler": _tr("ruler"),
        "angle": _tr("angle"),
        "ellipse": _tr("ellipse"),
        "text": _tr("text"),
        "nipple": _tr("nipple"),
    }.get(name, name)


def progress_term(text: str) -> str:
    """What the AI is doing; the engine says it in English."""
    return _tr("done") if text == "done" else told(text)


def evidence_term(label: str) -> str:
    """What a heat map shows; a model's own words stay as they are."""
    known = {
        "cancer evidence": _tr("cancer evidence"),
        "Grad-CAM of malignancy": _tr("Grad-CAM of malignancy"),
    }
    return known.get(label, label)
