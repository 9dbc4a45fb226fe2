"""The score sheet: what makes a line 0, 1 or 2."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from app.conformance import Line, Outcome, as_json, as_page, checklist, ids_in, run_tests, score

LINE = Line(line_id="MG-05", requirement="Orientation")


def test_ids_are_read_from_test_names_only_as_whole_words():
    assert ids_in("test_mg05_mg06_letters") == ("MG-05", "MG-06")
    assert ids_in("test_cem07_linked") == ("CEM-07",)
    assert ids_in("test_img05_something") == ()
    assert ids_in("test_mg123_no") == ()


def test_a_line_without_a_test_scores_0_and_says_so():
    (row,) = score([LINE], [Outcome(test="t.py::test_mg06_x", passed=1)])
    assert (row.score, row.missing) == (0, ("no test names this line",))


def test_a_failing_test_or_a_written_gap_keeps_a_line_from_being_done():
    passing = Outcome(test="t.py::test_mg05_a", passed=3)
    failing = Outcome(test="t.py::test_mg05_b", passed=1, failed=1)
    assert score([LINE], [passing])[0].score == 2
    assert score([LINE], [passing, failing])[0].score == 1
    assert score([LINE], [failing])[0].score == 0
    gap = Line(line_id="MG-05", requirement="Orientation", missing=("no real file seen",))
    assert score([gap], [passing])[0].score == 1


def test_a_skipped_test_alone_proves_nothing():
    skipped = Outcome(test="t.py::test_mg05_a", skipped=1, reason="no data")
    assert score([LINE], [skipped])[0].score == 0
    assert score([LINE], [skipped, Outcome(test="t.py::test_mg05_b", passed=1)])[0].score == 2


def test_the_checklist_holds_all_lines_once():
    wanted = [f"MG-{n:02}" for n in range(1, 45)] + [f"CEM-{n:02}" for n in range(1, 9)]
    wanted += [f"QC-{n:02}" for n in range(1, 5)]
    assert [line.line_id for line in checklist()] == wanted


def test_tests_are_run_and_counted_by_pytest_itself(tmp_path: Path):
    (tmp_path / "test_lines.py").write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_mg05_half(n): assert n == 1\n"
        "def test_mg06_good(): pass\n"
        "def test_no_line(): assert False\n"
        "def test_mg07_absent(): pytest.skip('no tool')\n"
    )
    program = (
        "from pathlib import Path; import json, sys; from app.conformance import run_tests;"
        f"print(json.dumps([[o.test.rpartition('::')[2], o.passed, o.failed, o.skipped] for o in run_tests(Path({str(tmp_path)!r}))]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [
        ["test_mg05_half", 1, 1, 0],
        ["test_mg06_good", 1, 0, 0],
        ["test_mg07_absent", 0, 0, 1],
    ]
    assert run_tests.__doc__


def test_json_and_page_carry_the_same_scores():
    sheet = score([LINE], [Outcome(test="t.py::test_mg05_a", passed=1)])
    (row,) = json.loads(as_json(sheet))
    assert row == {
        "id": "MG-05",
        "requirement": "Orientation",
        "score": 2,
        "tests": ["t.py::test_mg05_a"],
        "missing": [],
    }
    assert "| MG-05 | Orientation | 2 | `test_mg05_a` |  |" in as_page(sheet)
