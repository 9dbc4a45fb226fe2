"""The synthetic cases of the crossover demo: phantoms as DICOM, their truth as the CSV that a coordinator would import.

Small pixels are not needed here: 1 mm keeps making and importing 64 exams under a minute.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.phantom_spec import PhantomExam
from reader_study.case_import import open_store
from reader_study.domain.truth import Truth, read_truth
from reader_study.simulation import ImageFrame
from resources.vocabulary import Pathology

PIXEL_MM = 1.0
FIRST_SEED = 7_000_000
COLUMNS = (
    *("patient_id", "side", "pathology", "lesion_id", "image_key", "type", "malignant"),
    *("row", "col", "radius_mm"),
)
_PATHOLOGIES = (
    Pathology.MALIGNANT,
    Pathology.NORMAL,
    Pathology.BENIGN,
    Pathology.MALIGNANT,
    Pathology.NORMAL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseBook:
    """What simulated readers know of the imported cases: images of each, and what is really there."""

    frames: Mapping[str, tuple[ImageFrame, ...]]  # by case id
    truth: Mapping[str, Truth]


def write_cases(folder: Path, count: int, say: Callable[[str], object]) -> Path:
    """Write ``count`` phantoms below ``folder`` and return the truth file; the same count gives the same bytes."""
    rows: list[dict[str, object]] = []
    for number in range(count):
        spec = PhantomSpec(
            seed=FIRST_SEED + number, pixel_mm=PIXEL_MM, pathology=_PATHOLOGIES[number % len(_PATHOLOGIES)]
        )
        exam = phantom_exam(spec)
        write_phantom_dicom(exam, folder / f"{spec.seed}")
        rows.extend(_truth_rows(exam))
        if (number + 1) % 16 == 0:
            say(f"phantom {number + 1} of {count}")
    path = folder.with_name("truth.csv")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def _truth_rows(exam: PhantomExam) -> Sequence[dict[str, object]]:
    """One row a breast; one more for each image of a lesion. What a normal breast has by the way is no lesion."""
    woman = exam.exam.exam_id
    rows: list[dict[str, object]] = [
        {"patient_id": woman, "side": side.value, "pathology": found.value}
        for side, found in exam.pathology.items()
    ]
    for lesion in exam.lesions:
        if exam.pathology[lesion.laterality] is Pathology.NORMAL:
            continue
        rows.extend(
            {
                "patient_id": woman,
                "side": lesion.laterality.value,
                "lesion_id": lesion.lesion_id,
                "image_key": key,
                "type": lesion.finding.value,
                "malignant": int(lesion.malignant),
                "row": round(view.center[0], 2),
                "col": round(view.center[1], 2),
                "radius_mm": round(max(lesion.radius_mm, PIXEL_MM), 2),
            }
            for key, view in lesion.views.items()
        )
    return rows


def case_book(cases: Path, truth: Path) -> CaseBook:
    """Read back what was imported: image sizes of the case folder, truth of the coordinator's file."""
    frames = {
        case.case_id: tuple(
            ImageFrame(
                image_key=key,
                source_id=f"{case.exam.exam_id}/{key}",
                rows=image.rows,
                cols=image.cols,
                spacing_mm=image.spacing_mm,
            )
            for key, image in case.exam.images.items()
        )
        for case in open_store(cases).cases
    }
    return CaseBook(frames=frames, truth={one.case_id: one for one in read_truth(truth)})
