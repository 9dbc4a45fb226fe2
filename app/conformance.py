"""The score sheet of the mammography checklist, from the tests that name its lines.

A line is done (2) when every test whose name carries its ID passes and nothing is written down as missing; 1 when some
fail or something is missing; 0 when no test names it. Runs the tests itself; where they are not installed, the last
written sheet is shown and says so.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.files import ResourceError, UserFacingError, read_json, resource_path

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
_ID = re.compile(r"(?<![a-z])(mg|cem|qc)(\d\d)(?!\d)")
_EXIT_OK = (0, 1, 5)  # all passed, some failed, none collected


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the checklist; ``missing`` are the sentences written down by hand."""

    line_id: str
    requirement: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one test function; parametrised runs are counted."""

    test: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A scored line: 0 absent, 1 partial, 2 done."""

    id: str
    requirement: str
    score: int
    tests: tuple[str, ...] = ()
    missing: tuple[str, ...] = field(default=())


def checklist() -> tuple[Line, ...]:
    """Read the packaged checklist; ResourceError says what is wrong with it."""
    path = resource_path("conformance", "checklist.json")
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("lines"), list):
        raise ResourceError(f"{path}: expected an object with a list 'lines'; install the program again.")
    return tuple(
        Line(line_id=str(row["id"]), requirement=str(row["requirement"]), missing=tuple(row["missing"]))
        for row in content["lines"]
    )


def ids_in(test_name: str) -> tuple[str, ...]:
    """Checklist IDs that a test's name carries: 'test_mg05_mg06_letters' gives MG-05 and MG-06."""
    return tuple(f"{kind.upper()}-{number}" for kind, number in _ID.findall(test_name.lower()))


def score(lines: Sequence[Line], outcomes: Iterable[Outcome]) -> tuple[Score, ...]:
    """Score every line from the outcomes of the tests that name it.

    A skipped test (no data folder, no such tool) neither proves nor disproves: it counts as missing only where
    nothing else passed.
    """
    by_id: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        for line_id in ids_in(outcome.test.rpartition("::")[2]):
            by_id.setdefault(line_id, []).append(outcome)
    return tuple(_scored(line, by_id.get(line.line_id, [])) for line in lines)


def _scored(line: Line, outcomes: list[Outcome]) -> Score:
    missing = list(line.missing)
    missing += [f"fails: {o.test} ({o.failed} of {o.failed + o.passed})" for o in outcomes if o.failed]
    passed = [o for o in outcomes if o.passed and not o.failed]
    if outcomes and not passed:
        missing += [f"not run: {o.test} ({o.reason})" for o in outcomes if o.skipped]
    if not outcomes:
        missing.append("no test names this line")
    points = 2 if passed and not missing else 1 if passed else 0
    tests = tuple(sorted(o.test for o in outcomes))
    return Score(
        id=line.line_id, requirement=line.requirement, score=points, tests=tests, missing=tuple(missing)
    )


class Collector:
    """A pytest plug-in: keeps the tests that name a line of the checklist, and what became of each."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, Any]] = {}

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Deselect every test that names no line."""
        kept = [item for item in items if ids_in(item.nodeid.rpartition("::")[2])]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count one phase of one test."""
        test = report.nodeid.partition("[")[0]
        counts = self._counts.setdefault(test, {"passed": 0, "failed": 0, "skipped": 0, "reason": ""})
        if report.failed:
            counts["failed"] += 1
        elif report.skipped:
            counts["skipped"] += 1
            counts["reason"] = report.longrepr[2] if isinstance(report.longrepr, tuple) else "skipped"
        elif report.when == "call":
            counts["passed"] += 1

    def outcomes(self) -> tuple[Outcome, ...]:
        """One outcome per test function, in the order in which they ran."""
        return tuple(Outcome(test=test, **counts) for test, counts in self._counts.items())


def run_tests(tests: Path = TESTS) -> tuple[Outcome, ...]:
    """Run the tests that name a line of the checklist; their own output goes to stderr.

    Raises
    ------
    UserFacingError
        pytest or the tests are not there, or the tests cannot even be collected.
    """
    try:
        import pytest
    except ImportError as error:
        raise UserFacingError(
            "Conformance: expected pytest in this environment, found none; run `python3 installer/launch.py test` once."
        ) from error
    if not tests.is_dir():
        raise UserFacingError(
            f"Conformance: expected the tests at {tests}, found none; run it from a source folder."
        )
    os.environ["QT_QPA_PLATFORM"] = "offscreen"  # the tests open windows of their own
    collector = Collector()
    with redirect_stdout(sys.stderr):
        arguments = [str(tests), "-q", "--no-header", "-p", "no:cacheprovider", f"--rootdir={ROOT}", f"-c={ROOT}/pyproject.toml"]  # fmt: skip
        code = pytest.main(arguments, plugins=[collector])
    if int(code) not in _EXIT_OK:
        raise UserFacingError(
            f"Conformance: the tests could not run (pytest ended with {int(code)}); see its lines above."
        )
    return collector.outcomes()


def last_sheet() -> tuple[Score, ...]:
    """The sheet written at release; ResourceError when none is packaged."""
    content = read_json(resource_path("conformance", "sheet.json"))
    assert isinstance(content, list)
    return tuple(
        Score(**{**row, "tests": tuple(row["tests"]), "missing": tuple(row["missing"])}) for row in content
    )


def as_json(sheet: Sequence[Score]) -> str:
    """The sheet as a list of objects id, requirement, score, tests, missing."""
    return json.dumps([asdict(line) for line in sheet], indent=1, ensure_ascii=False)


def totals(sheet: Sequence[Score]) -> str:
    """One sentence: how many lines are done, partial and absent."""
    count = {points: sum(line.score == points for line in sheet) for points in (2, 1, 0)}
    return f"{count[2]} of {len(sheet)} lines done, {count[1]} partial, {count[0]} absent"


def as_page(sheet: Sequence[Score]) -> str:
    """The sheet as a Markdown page."""
    rows = [
        "# Conformance sheet of the viewer",
        "",
        "Written by `negatoscope conformance`; do not edit by hand. 2 = done, with tests that name the line and pass;",
        "1 = partial; 0 = absent. It is our own test record on synthetic and real exams, not a claim of IHE conformance.",
        "",
        f"**{totals(sheet)}.**",
        "",
        "| line | requirement | score | tests | missing |",
        "|---|---|---|---|---|",
    ]
    for line in sheet:
        tests = "<br>".join(f"`{test.rpartition('::')[2]}`" for test in line.tests)
        missing = "<br>".join(line.missing).replace("|", "\\|")
        rows.append(
            f"| {line.id} | {line.requirement.replace('|', chr(92) + '|')} | {line.score} | {tests} | {missing} |"
        )
    return "\n".join(rows) + "\n"
