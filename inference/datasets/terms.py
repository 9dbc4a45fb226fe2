"""Older or set-specific descriptors of lesions in the words of BI-RADS 5, which the program and its models use.

A word that has no such term is left out rather than guessed; the set's own words stay in a column of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# The 4th edition's lobulated became oval (gently lobulated), ill-defined indistinct, clustered grouped.
_SHAPES = {"round": "round", "oval": "oval", "lobulated": "oval", "irregular": "irregular"}
_MARGINS = {
    "circumscribed": "circumscribed", "obscured": "obscured", "microlobulated": "microlobulated",
    "ill_defined": "indistinct", "indistinct": "indistinct", "spiculated": "spiculated",
}  # fmt: skip
_MORPHOLOGIES = {
    "round_and_regular": "round", "round": "round", "punctate": "punctate", "amorphous": "amorphous",
    "coarse_heterogeneous": "coarse heterogeneous", "pleomorphic": "fine pleomorphic",
    "fine_pleomorphic": "fine pleomorphic", "fine_linear": "fine linear",
    "fine_linear_branching": "fine linear branching",
}  # fmt: skip
_DISTRIBUTIONS = {
    "diffusely_scattered": "diffuse", "diffuse": "diffuse", "regional": "regional", "clustered": "grouped",
    "grouped": "grouped", "linear": "linear", "segmental": "segmental",
}  # fmt: skip
_TABLES: Mapping[str, Mapping[str, str]] = {
    "shape": _SHAPES, "margin": _MARGINS, "morphology": _MORPHOLOGIES, "distribution": _DISTRIBUTIONS,
}  # fmt: skip
# Of several words the most suspicious counts, as a reader takes it; the tables above run from harmless on.
_ORDER: Mapping[str, Sequence[str]] = {name: tuple(dict.fromkeys(t.values())) for name, t in _TABLES.items()}
# Words that stand in a column of shapes and are findings of their own.
_FINDINGS = {
    "architectural_distortion": "distortion",
    "asymmetric_breast_tissue": "asymmetry",
    "focal_asymmetric_density": "asymmetry",
}


def birads_term(name: str, text: str) -> str:
    """The BI-RADS 5 term for a set's words, e.g. "AMORPHOUS-PLEOMORPHIC" -> "fine pleomorphic".

    Parameters
    ----------
    name
        "shape", "margin", "morphology" or "distribution".
    text
        One or several words, joined by hyphens, blanks within a word as underscores; any case.

    Returns
    -------
    The most suspicious of the terms; "" where none of the words has one.
    """
    found = [_TABLES[name][word] for word in _words(text) if word in _TABLES[name]]
    return max(found, key=_ORDER[name].index, default="")


def finding_of_shape(text: str) -> str:
    """The lesion type that a shape column tells when it names no shape: "distortion", "asymmetry", else ""."""
    words = _words(text)
    if any(word in _SHAPES for word in words):
        return ""
    return next((_FINDINGS[word] for word in words if word in _FINDINGS), "")


def _words(text: str) -> list[str]:
    return [word.strip().replace(" ", "_") for word in text.lower().split("-") if word.strip()]
