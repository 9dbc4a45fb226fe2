"""The AI panel on a contrast exam: agreement of the energies with the boxes, and once what the numbers mean."""

from __future__ import annotations

from pathlib import Path

from app.bootstrap import browsing_station
from app.views.main_window import MainWindow
from inference.engine import FakeEngine
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom


def test_beyond6_agreement_of_the_energies_is_called_up_with_the_boxes_and_meaning_stands_once(
    qtbot, tmp_path: Path
) -> None:
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=41, pixel_mm=0.5, cesm=True)), tmp_path)
    window = MainWindow(browsing_station(FakeEngine()), version="0.1.0")
    qtbot.addWidget(window)
    window.resize(1500, 950)
    window.show()
    window.open_exams(tmp_path)
    qtbot.waitUntil(lambda: window._browser is not None and bool(window._browser._exams), timeout=20_000)
    assert window._browser is not None
    window._open_exam(window._browser._exams[0].exam_id)
    qtbot.waitUntil(lambda: window.reading.ai.result is not None, timeout=20_000)
    panel = window.reading.ai_panel
    assert panel is not None
    assert panel._energies.isHidden()  # nothing of a result before the reader calls it up
    assert panel._meaning.isHidden()
    while window.reading.threshold > 0.06:
        window.reading.ai_layers.change_threshold(-1)
    window.reading.ai_layers.toggle("boxes")
    said = panel._energies.text()
    result = window.reading.ai.result
    assert result is not None
    # Every box is in one line: as many percent figures as there are detections at the threshold.
    assert said.count(" %") == sum(d.score >= window.reading.threshold for d in result.detections)
    assert "10 mm" in said
    assert "means nothing" in panel._meaning.text()
    window.reading.ai_layers.toggle("score")
    assert panel._meaning.text().count("means nothing") == 1
    window.reading.ai_layers.toggle("boxes")
    assert panel._energies.isHidden()
    window.close()
