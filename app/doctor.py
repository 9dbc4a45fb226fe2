"""What a check of this installation found: one line each, with a verdict and a remedy; as text, as JSON, as exit code.

Owns the lines' form and the order of the checks; what is looked at is in ``app.doctor_program``, ``app.doctor_station``
and ``app.doctor_data``. No line holds anything of a patient: images of users are never opened.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from multiprocessing.connection import Connection
from typing import Any

from resources.files import UserFacingError
from resources.translation import translate

log = logging.getLogger(__name__)

SCHEMA = 1
_PROBE_S = 90.0


def _tr(text: str) -> str:
    return translate("doctor", text)


class Verdict(StrEnum):
    """How a line stands: as it should be, worth knowing, or in the way of work."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"

    def words(self) -> str:
        """The same for people."""
        return {"ok": _tr("OK"), "warning": _tr("WARNING"), "fault": _tr("FAULT")}[self.value]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthLine:
    """One thing that was looked at. ``area`` is a stable English word for programs; ``remedy`` is empty when OK."""

    area: str
    title: str
    verdict: Verdict
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """All lines of one run, and when it was made (UTC)."""

    program: str
    made_utc: str
    lines: tuple[HealthLine, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all lines."""
        found = {line.verdict for line in self.lines}
        return next((one for one in (Verdict.FAULT, Verdict.WARNING) if one in found), Verdict.OK)


Check = Callable[[], Iterable[HealthLine]]
Told = Callable[[float, str], None]


def ok(area: str, title: str, found: str) -> HealthLine:
    """A line that needs nothing."""
    return HealthLine(area=area, title=title, verdict=Verdict.OK, found=found)


def warning(area: str, title: str, found: str, remedy: str) -> HealthLine:
    """A line worth knowing; work goes on."""
    return HealthLine(area=area, title=title, verdict=Verdict.WARNING, found=found, remedy=remedy)


def fault(area: str, title: str, found: str, remedy: str) -> HealthLine:
    """A line that stands in the way of work."""
    return HealthLine(area=area, title=title, verdict=Verdict.FAULT, found=found, remedy=remedy)


def examine(
    checks: Iterable[tuple[str, str, Check]], *, program: str, made_utc: str, told: Told = lambda _f, _t: None
) -> HealthReport:
    """Run all checks; one that fails by a defect becomes a fault of its own and stops no other.

    Parameters
    ----------
    checks : area, title and function of each
    told : hears of the progress, 0 to 1
    """
    wanted = list(checks)
    lines: list[HealthLine] = []
    for number, (area, title, check) in enumerate(wanted):
        told(number / max(1, len(wanted)), title)
        lines += _lines_of(area, title, check)
    told(1.0, "")
    return HealthReport(program=program, made_utc=made_utc, lines=tuple(lines))


def _lines_of(area: str, title: str, check: Check) -> Iterator[HealthLine]:
    try:
        yield from check()
    except UserFacingError as error:
        yield fault(area, title, str(error), _tr("Follow the sentence, then run the doctor again."))
    except Exception as error:
        log.warning("a check of the installation failed", exc_info=error)
        yield fault(
            area,
            title,
            _tr("could not be checked ({0})").format(type(error).__name__),
            _tr("Report this with the log file of the commands."),
        )


def in_a_process(
    probe: Callable[[], dict[str, object]], *, seconds: float = _PROBE_S
) -> dict[str, Any] | None:
    """Run a probe in a process of its own, which it may take down with it; None when it ended or took too long."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(probe, there), name="negatoscope-doctor", daemon=True)
    process.start()
    there.close()
    try:
        return dict(here.recv()) if here.poll(seconds) else None
    except EOFError:
        return None
    finally:
        here.close()
        process.join(3.0)
        if process.is_alive():
            process.kill()
            process.join()
        process.close()


def _answer(probe: Callable[[], dict[str, object]], pipe: Connection) -> None:
    pipe.send(probe())


def as_text(report: HealthReport) -> str:
    """The report for people: faults and warnings with what to do about them."""
    width = max((len(line.title) for line in report.lines), default=0)
    mark = max(len(one.words()) for one in Verdict)
    rows = [f"{report.program}   {report.made_utc}", ""]
    for line in report.lines:
        rows.append(f"{line.verdict.words():{mark}}  {line.title:{width}}  {line.found}")
        if line.remedy:
            rows.append(f"{'':{mark}}  {'':{width}}  → {line.remedy}")
    count = {one: sum(line.verdict is one for line in report.lines) for one in Verdict}
    words = _tr("{0} faults, {1} warnings, {2} in order.")
    rows += ["", words.format(count[Verdict.FAULT], count[Verdict.WARNING], count[Verdict.OK])]
    return "\n".join(rows)


def as_json(report: HealthReport) -> str:
    """The report for programs."""
    plain = {
        "schema": SCHEMA,
        "program": report.program,
        "made_utc": report.made_utc,
        "verdict": report.verdict.value,
        "lines": [asdict(line) for line in report.lines],
    }
    return json.dumps(plain, indent=1, ensure_ascii=False)
