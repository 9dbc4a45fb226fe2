"""Where a report's inputs come from: an exchange file, or the folder that ``negatoscope export`` wrote."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from reader_study.errors import StudyError
from reader_study.exchange.files import read_observer_data
from reader_study.exchange.observer_data import ObserverData, Paradigm, roc_data
from reader_study.report.file_order import modality_order
from reader_study.report.inputs import FlowCounts, ReportInputs
from reader_study.statistics.ratings import Ratings, StatisticsError
from reader_study.statistics.times import ReadTimes, times_from_rows

BIRADS_ORDER = ("1", "2", "3", "4A", "4B", "4C", "5")


class ReportError(StudyError):
    """A report cannot be made of this input; the text says what is missing and what to do."""


def inputs_of_file(path: Path, *, cut: float | None = None) -> ReportInputs:
    """Take an iMRMC, RJafroc, MRMCaov or OR-DBM file."""
    data = read_observer_data(path)
    ratings = data.ratings()
    order = modality_order(path, ratings.modalities)
    return ReportInputs(
        title=f"Reader study {path.stem}",
        study_id=path.name,
        facts=(
            ("Source", path.name),
            ("Paradigm", data.paradigm.value),
            ("Design", data.crossing.value),
        ),
        ratings=ratings if order == ratings.modalities else ratings.pick(modalities=order),
        froc=data.froc() if data.paradigm is Paradigm.FROC else None,
        cut=cut,
    )


def inputs_of_export(
    folder: Path, truth: Path, *, cut: float | None = None, groups: Path | None = None
) -> ReportInputs:
    """Take an export folder and a truth table.

    Parameters
    ----------
    truth
        CSV with columns case_id and malignant (0 or 1).
    cut
        probability of malignancy (0..100) from which a reading is positive.

    Raises
    ------
    ReportError
        A table or a case's truth is missing.
    """
    readings = [row for row in _table(folder / "readings.csv") if row["period"] != "0"]
    if not readings:
        raise ReportError(f"{folder / 'readings.csv'}: expected at least one analysed reading, found none.")
    malignant = _truth(truth)
    missing = sorted({row["case_id"] for row in readings} - set(malignant))
    if missing:
        raise ReportError(
            f"{truth}: expected the truth of case {missing[0]}, found none ({len(missing)} missing); add it."
        )
    rated = [row for row in readings if row.get("suspicion_max")]
    data = roc_data(
        (
            (r["reader_id"], r["arm_id"], r["case_id"], malignant[r["case_id"]], float(r["suspicion_max"]))
            for r in rated
        ),
        title=folder.name,
    )
    sessions = _table(folder / "sessions.csv")
    return ReportInputs(
        title=f"Reader study {readings[0]['study_id']}",
        study_id=readings[0]["study_id"],
        facts=_facts(readings, sessions),
        ratings=_in_arm_order(data, readings),
        rating_name="probability of malignancy",
        cut=cut,
        cut_name="" if cut is None else f"at least {cut:g} %",
        times=_times(_table(folder / "times.csv")),
        categories=_categories(readings),
        category_order=BIRADS_ORDER,
        flow=FlowCounts(
            cases_planned=len({r["case_id"] for r in readings}),
            cases_practice=0,
            cases_read=len({r["case_id"] for r in rated}),
            reads_planned=sum(int(s["n_planned"]) for s in sessions if s["period"] != "0"),
            reads_done=len(rated),
            reads_flagged=sum(r["interrupted"] == "1" for r in rated),
        ),
    )  # fmt: skip


def _table(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            return list(csv.DictReader(stream))
    except OSError as error:
        raise ReportError(
            f"{path}: expected a table of an export, found none ({error.strerror}); run `negatoscope export` first."
        ) from error


def _truth(path: Path) -> Mapping[str, bool]:
    rows = _table(path)
    if rows and not {"case_id", "malignant"} <= set(rows[0]):
        raise ReportError(f"{path}: expected columns case_id and malignant, found {', '.join(rows[0])}.")
    found: dict[str, bool] = {}
    for number, row in enumerate(rows, 2):
        if row["malignant"].strip() not in {"0", "1"}:
            raise ReportError(
                f"{path}, line {number}: expected malignant 0 or 1, found {row['malignant']!r}."
            )
        found[row["case_id"]] = row["malignant"].strip() == "1"
    return found


def _in_arm_order(data: ObserverData, readings: list[dict[str, str]]) -> Ratings:
    ratings = data.ratings()
    order = sorted({r["arm_id"] for r in readings}, key=lambda arm: ("unaided" in arm, arm))
    return ratings.pick(modalities=order)


def _facts(readings: list[dict[str, str]], sessions: list[dict[str, str]]) -> tuple[tuple[str, str], ...]:
    hashes = sorted({s["protocol_hash"] for s in sessions})
    return (
        ("Study", readings[0]["study_id"]),
        ("Arms", ", ".join(sorted({r["arm_id"] for r in readings}))),
        ("Readers", str(len({r["reader_id"] for r in readings}))),
        ("Washout overridden", str(sum(s["washout_overridden"] == "1" for s in sessions))),
        ("Protocol (SHA-256)", ", ".join(hashes)),
    )


def _times(rows: list[dict[str, str]]) -> ReadTimes | None:
    kept = [
        (r["reader_id"], r["case_id"], r["arm_id"], float(r["active_s"]), r["interrupted"] == "1")
        for r in rows
        if r["period"] != "0" and r["active_s"] and float(r["active_s"]) > 0
    ]
    try:
        return times_from_rows(kept) if kept else None
    except StatisticsError:
        return None


def _categories(readings: list[dict[str, str]]) -> dict[str, dict[str, dict[str, str]]]:
    """Reader -> arm -> case -> the higher BI-RADS category of the two breasts."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for row in readings:
        given = [row.get(f"birads_{side}", "") for side in ("R", "L")]
        known = [BIRADS_ORDER.index(g) for g in given if g in BIRADS_ORDER]
        if known:
            cases = found.setdefault(row["reader_id"], {}).setdefault(row["arm_id"], {})
            cases[row["case_id"]] = BIRADS_ORDER[max(known)]
    return found
