"""What is really in each case: alone in its file, so that a contract keeps the screen away from it.

Truth comes from a file of the coordinator's and is read by analysis and simulation only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reader_study.errors import StudyError
from resources.files import read_json
from resources.vocabulary import Density, FindingType, Laterality, Pathology


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueLesion:
    """One lesion in one image: centre (row, col) in stored-file pixels; ``lesion_id`` joins its views.

    ``contour`` are its corners (row, col) in order, () = not drawn; ``radius_mm`` its size where it is a circle;
    ``spacing_mm`` the (row, col) distance of pixels; None = not known.
    """

    lesion_id: str
    image_key: str
    row: float
    col: float
    finding: FindingType
    malignant: bool
    contour: tuple[tuple[float, float], ...] = ()
    radius_mm: float | None = None
    spacing_mm: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One case: pathology per breast, and where its lesions are."""

    case_id: str
    breasts: Mapping[Laterality, Pathology]
    lesions: tuple[TrueLesion, ...] = ()
    density: Density | None = None  # of the breasts, as the truth's panel gave it; None = it did not

    @property
    def malignant(self) -> bool:
        return Pathology.MALIGNANT in self.breasts.values()


def read_truth(path: Path) -> tuple[Truth, ...]:
    """Read a truth file: ``{"cases": [{"case_id", "breasts": {"R": "malignant", ...}, "lesions": [...]}]}``.

    Raises
    ------
    StudyError
        Names the case and the field that is wrong.
    """
    value = read_json(path)
    if not isinstance(value, dict) or not isinstance(value.get("cases"), list):
        raise StudyError(f"{path}: expected an object with a list 'cases', found {type(value).__name__}.")
    return tuple(_truth(path, item) for item in value["cases"])


def _truth(path: Path, item: object) -> Truth:
    if not isinstance(item, dict):
        raise StudyError(f"{path}: expected each case to be an object, found {item!r}.")
    try:
        return Truth(
            case_id=str(item["case_id"]),
            breasts={Laterality(side): Pathology(word) for side, word in item["breasts"].items()},
            lesions=tuple(
                TrueLesion(
                    lesion_id=str(lesion["lesion_id"]),
                    image_key=str(lesion["image_key"]),
                    row=float(lesion["row"]),
                    col=float(lesion["col"]),
                    finding=FindingType(lesion["finding"]),
                    malignant=bool(lesion["malignant"]),
                    contour=tuple((float(row), float(col)) for row, col in lesion.get("contour", [])),
                    radius_mm=None if lesion.get("radius_mm") is None else float(lesion["radius_mm"]),
                    spacing_mm=_spacing(lesion.get("spacing_mm")),
                )
                for lesion in item.get("lesions", [])
            ),
            density=None if item.get("density") is None else Density(item["density"]),
        )
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
        case = item.get("case_id", "?")
        raise StudyError(
            f"{path}: case {case}: expected case_id, breasts and lesions, found {error!r}."
        ) from error


def _spacing(value: object) -> tuple[float, float] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"spacing_mm: expected row and column distance, found {value!r}")
    return float(value[0]), float(value[1])
