"""What the crossover demo must have shown, each claim with its evidence from the export, the log or the protocol.

Reads the files as the statistician gets them; changes nothing.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.crossover_demo import (
    EARLY_READER,
    FALSE_REASON,
    IDLE_READER,
    KILLED_READER,
    OVERRIDE_REASON,
    CrossoverRun,
)
from app.crossover_reading import IDLE_S
from reader_study.audit import audit_list, audit_session
from reader_study.domain.events import EventKind
from reader_study.protocol_file import read_protocol
from reader_study.report.analysis import Choice
from reader_study.report.analysis import run as analyse
from reader_study.report.make import write_report
from reader_study.report.sources import inputs_of_export

READERS, CASES, PRACTICE = 10, 60, 4
FORMATS = (
    *("readings.csv", "times.csv", "findings.csv", "washout.csv", "audit.csv", "data_dictionary.csv"),
    *("study_tables.xlsx", "mrmc/roc_suspicion.imrmc", "mrmc/roc_suspicion_rjafroc.xlsx"),
    *("mrmc/roc_suspicion_mrmcaov.csv", "mrmc/roc_suspicion.lrc", "mrmc/froc_rjafroc.xlsx"),
)
Row = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One claim, whether it holds, and where that can be seen."""

    claim: str
    ok: bool
    evidence: str


def table(run: CrossoverRun, name: str) -> list[Row]:
    """Return the rows of an exported table."""
    with (run.exports / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def checks(run: CrossoverRun) -> tuple[Check, ...]:
    """Return every claim about a finished run, in the order a coordinator meets them."""
    return (*_design(run), *_conduct(run), *_washout(run), *_log(run), *_results(run))


def _design(run: CrossoverRun) -> Iterator[Check]:
    frozen = read_protocol(run.folder / "protocol-frozen.yaml")
    yield Check(
        claim="The protocol came from YAML, was frozen before the first read, and is the same study when read back",
        ok=frozen == _blind(run) and _frozen_first(run),
        evidence=f"protocol-frozen.yaml; audit entry 'ProtocolFrozen'; {len(frozen.plans)} sessions planned",
    )
    readings = table(run, "readings")
    cells = Counter((row["reader_id"], row["case_id"], row["arm_id"]) for row in readings)
    wanted = READERS * CASES * 2
    yield Check(
        claim=f"{READERS} readers read {CASES} cases once in each arm",
        ok=len(readings) == len(cells) == wanted and len({c for _, c, _ in cells}) == CASES,
        evidence=f"readings.csv: {len(readings)} rows, {len(cells)} different of reader, case and arm",
    )
    halves = Counter((row["reader_id"], row["period"], row["arm_id"]) for row in readings)
    yield Check(
        claim="Counterbalanced: half of the cases of every session are aided",
        ok=len(halves) == READERS * 4 and max(halves.values()) - min(halves.values()) <= 2,
        evidence=f"readings.csv: {min(halves.values())} to {max(halves.values())} cases by reader, session and arm",
    )


def _conduct(run: CrossoverRun) -> Iterator[Check]:
    practice = [row for row in table(run, "sessions") if row["period"] == "0"]
    sessions = [row["session_id"] for row in practice]
    shown = len(run.opened.events.read_kinds((EventKind.FEEDBACK_SHOWN,), sessions))
    leaked = {row["case_id"] for row in table(run, "readings")} & _practice_cases(run)
    yield Check(
        claim="Everybody read the practice set first, with feedback, and it is in no analysis",
        ok=len(practice) == READERS
        and {row["n_locked"] for row in practice} == {str(PRACTICE)}
        and shown == READERS * PRACTICE
        and not leaked,
        evidence=f"sessions.csv: {len(practice)} practice sessions; log: {shown} feedbacks; readings.csv: {len(leaked)} practice cases",
    )
    idle = [row for row in table(run, "times") if float(row["idle_s"] or 0) > 0]
    yield Check(
        claim=f"The idle read is flagged and its {IDLE_S:g} s are kept apart from reading time",
        ok=len(idle) == 1 and idle[0]["reader_id"] == IDLE_READER and float(idle[0]["idle_s"]) == IDLE_S,
        evidence="; ".join(f"times.csv: {r['reader_id']} {r['case_id']} idle {r['idle_s']} s of raw {r['raw_s']} s" for r in idle),
    )  # fmt: skip
    cut, recovered = run.interrupted, [r for r in table(run, "sessions") if r["n_recovered"] != "0"]
    yield Check(
        claim="A killed program lost nothing: same case, answers, mark and half-filled form; the read is flagged",
        ok=cut is not None
        and cut.exit_code != 0
        and cut.case_id == cut.found_case_id
        and cut.answers_found == cut.answers_before
        and cut.mark_kept
        and cut.form_kept
        and [r["reader_id"] for r in recovered] == [KILLED_READER]
        and _interrupted_cases(run) == [cut.case_id],
        evidence=f"exit code {cut.exit_code if cut else '?'}; sessions.csv: n_recovered of"
        f" {', '.join(r['session_id'] for r in recovered)}; times.csv: interrupted {', '.join(_interrupted_cases(run))}",
    )
    signed = sum(row["signed_by"] == row["reader_id"] for row in table(run, "sessions"))
    yield Check(
        claim="Every session is signed by its reader",
        ok=signed == READERS * 3,
        evidence=f"sessions.csv: {signed} of {READERS * 3}",
    )


def _washout(run: CrossoverRun) -> Iterator[Check]:
    overrides = [
        e for e in audit_list(run.opened.events, run.study_id) if e.action is EventKind.OVERRIDE_RECORDED
    ]
    yield Check(
        claim="A read before the washout was refused; an override without a reason too",
        ok="washout of 28 days is not over" in run.refusal
        and "expected a reason" in run.override_without_reason,
        evidence=f"{run.refusal} / {run.override_without_reason}",
    )
    yield Check(
        claim="The override is in the audit with who, what, from, why and when",
        ok=len(overrides) == 1
        and overrides[0].why == OVERRIDE_REASON
        and overrides[0].who == "coordinator"
        and "washout" in str((overrides[0].old or {}).get("why_not")),
        evidence="; ".join(
            f"audit entry {e.number}, {e.when}, {e.who}, {e.subject}: {e.why}" for e in overrides
        ),
    )
    short, long = _intervals(run)
    yield Check(
        claim="Actual washouts are exported; only the overridden session is short",
        ok=[len(short), len(long)] == [CASES, (READERS - 1) * CASES] and {who for who, _ in short} == {EARLY_READER},
        evidence=f"washout.csv: {len(long)} intervals of {min(d for _, d in long):.1f} days or more;"
        f" {len(short)} shorter, {EARLY_READER}, from {min((d for _, d in short), default=0):.1f} days",
    )  # fmt: skip


def _log(run: CrossoverRun) -> Iterator[Check]:
    whole, damaged = run.verdict, run.tampered
    yield Check(
        claim="verify-log finds the log intact",
        ok=whole is not None and whole.ok and whole.sessions == READERS * 3 + 1,
        evidence="" if whole is None else f"{whole.sessions} chains, {whole.events} events, {len(whole.problems)} problems",
    )  # fmt: skip
    chain = audit_session(run.study_id)
    yield Check(
        claim="verify-log finds the one changed audit row in a copy, triggers in place again",
        ok=damaged is not None
        and len(damaged.problems) == 1
        and chain in damaged.problems[0]
        and FALSE_REASON != OVERRIDE_REASON,
        evidence="" if damaged is None else " ".join(damaged.problems),
    )
    if run.screen_verdicts:
        intact, found = run.screen_verdicts
        yield Check(
            claim="The audit page says the same of both",
            ok=intact.startswith("Intact") and found.startswith("NOT intact") and chain in found,
            evidence=f"{intact} / {found}",
        )
    yield Check(
        claim="Export was closed to the coordinator until she had locked and signed the study",
        ok="before the study is locked" in run.closed_before_lock,
        evidence=run.closed_before_lock,
    )


def _results(run: CrossoverRun) -> Iterator[Check]:
    missing = [name for name in FORMATS if not (run.exports / name).is_file()]
    yield Check(
        claim="Tidy CSV with codebook, Excel, iMRMC, RJafroc, MRMCaov and OR-DBM files are there",
        ok=not missing,
        evidence=f"export: {len(FORMATS) - len(missing)} of {len(FORMATS)}" + "".join(f", lacks {one}" for one in missing),
    )  # fmt: skip
    readings = table(run, "readings")
    exposed = {row["arm_id"] for row in table(run, "exposure")}
    yield Check(
        claim="AI was shown in aided readings only",
        ok=exposed == {"aided"} and len(readings) > 0,
        evidence=f"exposure.csv: arms {', '.join(sorted(exposed))}",
    )
    yield _report(run)


def _report(run: CrossoverRun) -> Check:
    inputs = inputs_of_export(run.exports, run.exports / "truth.csv")
    pages = write_report(inputs, run.folder / "report")
    analysed = analyse(inputs, Choice())
    means = {arm: sum(own.values()) / len(own) for arm, own in analysed.fom.items()}
    gain, p = means["aided"] - means["unaided"], analysed.analyses["RRRC"].p
    return Check(
        claim="The analysis report is made, and has the gain with AI that the simulated readers were given",
        ok=pages[0].is_file() and len(analysed.fom["aided"]) == READERS and gain > 0,
        evidence=f"report/{pages[0].name}: mean AUC aided - unaided {gain:+.3f}, p {p:.3f} (random readers and cases),"
        f" {len(pages) - 1} tables and figures",
    )


def _blind(run: CrossoverRun) -> object:
    return run.office.study


def _frozen_first(run: CrossoverRun) -> bool:
    entries = audit_list(run.opened.events, run.study_id)
    frozen = [entry.when for entry in entries if entry.action is EventKind.PROTOCOL_FROZEN]
    begun = min(row["first_event_utc"] for row in table(run, "sessions"))
    return len(frozen) == 1 and frozen[0] <= begun


def _practice_cases(run: CrossoverRun) -> set[str]:
    return {case.case_id for case in run.reading.study.cases if case.practice}


def _interrupted_cases(run: CrossoverRun) -> list[str]:
    return [row["case_id"] for row in table(run, "times") if row["interrupted"] == "1"]


def _intervals(run: CrossoverRun) -> tuple[Sequence[tuple[str, float]], Sequence[tuple[str, float]]]:
    """Reader and days between her two reads of a case: shorter than the washout, and the others."""
    days = [(row["reader_id"], float(row["interval_days"])) for row in table(run, "washout")]
    least = run.reading.study.washout_days
    return [one for one in days if one[1] < least], [one for one in days if one[1] >= least]


def write_summary(found: Sequence[Check], path: Path) -> None:
    """Write the claims as a Markdown table."""
    lines = [
        f"| {'yes' if one.ok else 'NO'} | {one.claim} | {one.evidence.replace('|', '/')} |" for one in found
    ]
    head = "# What the crossover demo showed\n\nResearch use only. Synthetic women, simulated readers and AI scores.\n\n"
    path.write_text(
        head + "| | claim | evidence |\n|---|---|---|\n" + "\n".join(lines) + "\n", encoding="utf-8"
    )
