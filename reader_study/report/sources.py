"""Where a report's inputs come from: an exchange file, or the folder that ``negatoscope export`` wrote.

Tables are read by column name; what is not there leaves out what is made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np

from reader_study.exchange.files import read_observer_data
from reader_study.exchange.observer_data import Paradigm, roc_data
from reader_study.report.birads_columns import BIRADS_ORDER, birads_categories
from reader_study.report.export_rows import ReportError, table_rows
from reader_study.report.export_tables import case_facts, front_model, standalone_by_type, standalone_scores
from reader_study.report.file_order import aided_first, modality_order
from reader_study.report.inputs import FlowCounts, Localised, ReportInputs, TypeRatings
from reader_study.report.lesion_places import TypedOutline, localised_of
from reader_study.statistics.froc import FrocData
from reader_study.statistics.localisation import Rule, froc_data
from reader_study.statistics.ratings import Ratings, StatisticsError
from reader_study.statistics.times import ReadTimes

DAY_S = 86_400.0
BREAST_UNIT = "the breast; the breasts of one woman are resampled together"
RATINGS = (
    ("suspicion_max", "probability of malignancy"),
    ("call", "call (1 = malignant)"),
)  # the first that is there
Row = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTruth:
    """Truth of all cases, their characteristics, and, where known, where the lesions are."""

    malignant: Mapping[str, bool]
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # case -> characteristic -> value
    lesions: tuple[TypedOutline, ...] = ()
    rule: Rule | None = None


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
        default_fom="wAFROC" if data.paradigm is Paradigm.FROC else "AUC",
        unit=BREAST_UNIT if ratings.clusters is not None else "the case (one rating a case)",
        cut=cut,
    )


def inputs_of_export(
    folder: Path, truth: Path | StudyTruth, *, cut: float | None = None, groups: Path | None = None
) -> ReportInputs:
    """Take an export folder and the truth.

    Parameters
    ----------
    truth
        CSV with columns case_id and malignant (0 or 1); every other column is a characteristic of the case.
    cut
        probability of malignancy (0..100) from which a reading is positive.
    groups
        CSV with reader_id and group; other columns are printed with the readers.

    Raises
    ------
    ReportError
        A table or a case's truth is missing.
    """
    readings = [row for row in table_rows(folder / "readings.csv") if _analysed(row)]
    if not readings:
        raise ReportError(f"{folder / 'readings.csv'}: expected at least one analysed reading, found none.")
    known = truth if isinstance(truth, StudyTruth) else read_truth_table(truth)
    name = truth if isinstance(truth, Path) else "Truth"
    missing = sorted({row["case_id"] for row in readings} - set(known.malignant))
    if missing:
        raise ReportError(
            f"{name}: expected the truth of case {missing[0]}, found none ({len(missing)} missing); add it."
        )
    rating, rating_name = next((pair for pair in RATINGS if any(row.get(pair[0]) for row in readings)), ("", ""))  # fmt: skip
    if not rating:
        raise ReportError(
            f"{folder / 'readings.csv'}: expected ratings in {' or '.join(name for name, _ in RATINGS)}, found none."
        )
    rated = [row for row in readings if row.get(rating)]
    if rating == "call" and cut is None:
        cut = 0.5
    data = roc_data(
        ((r["reader_id"], r["arm_id"], r["case_id"], known.malignant[r["case_id"]], float(r[rating])) for r in rated),
        title=folder.name,
    )  # fmt: skip
    ratings = data.ratings()
    with_ai = {
        r.get("arm_id", "")
        for name in ("ai_scores.csv", "exposure.csv")
        for r in table_rows(folder / name, needed=False)
    }
    ratings = ratings.pick(modalities=aided_first(ratings.modalities, with_ai))
    categories, no_category = birads_categories(readings)
    sessions = table_rows(folder / "sessions.csv")
    people = _readers(folder, groups)
    group_of = {reader: facts["group"] for reader, facts in people.items() if facts.get("group")}
    timed = [row for row in table_rows(folder / "times.csv") if _analysed(row)]
    findings = [row for row in table_rows(folder / "findings.csv", needed=False) if row.get("status", "kept") == "kept" and _analysed(row)]  # fmt: skip
    ai_rows, other_models = front_model(table_rows(folder / "ai_scores.csv", needed=False))
    facts = case_facts(table_rows(folder / "cases.csv", needed=False), known.facts)
    strata, numbers = _characteristics(facts, set(ratings.cases))
    localised, not_localised = localised_of(findings, known.lesions, known.malignant, set(ratings.cases), known.rule)  # fmt: skip
    refused: list[str] = []
    times, opened_times = (
        _times(timed, column, group_of, refused) for column in ("active_s", "opened_to_submit_s")
    )
    flow = FlowCounts(
        cases_planned=len({r["case_id"] for r in readings} | set(known.malignant)),
        cases_practice=_practice(folder),
        cases_read=len({r["case_id"] for r in rated}),
        reads_planned=sum(int(s["n_planned"] or 0) for s in sessions if s["period"] != "0"),
        reads_done=len(rated),
        reads_flagged=sum(r.get("interrupted") == "1" for r in rated),
    )
    unrated = len(readings) - len(rated)
    return ReportInputs(
        title=f"Reader study {readings[0]['study_id']}",
        study_id=readings[0]["study_id"],
        facts=_facts(readings, sessions),
        ratings=ratings,
        rating_name=rating_name,
        froc=_froc(localised, ratings) or _exported_froc(folder, ratings),
        localised=localised,
        cut=cut,
        cut_name=_cut_name(cut, rating),
        times=times,
        opened_times=opened_times,
        categories=categories,
        category_order=BIRADS_ORDER,
        flow=flow,
        washout_days=_washout(folder, readings),
        groups=group_of,
        reader_facts={r: {k: v for k, v in facts.items() if k != "group"} for r, facts in people.items()},
        standalone=standalone_scores(ai_rows),
        strata=strata,
        case_numbers=numbers,
        order=_order(readings),
        by_type=_by_type(findings, known, ratings, standalone_by_type(ai_rows)),
        exclusions=(
            *((f"{unrated} readings without a rating",) if unrated else ()),
            *no_category,
            *not_localised,
            *refused,
            *other_models,
        ),
    )


def _cut_name(cut: float | None, rating: str) -> str:
    if cut is None:
        return ""
    return "malignant" if rating == "call" else f"at least {cut:g} %"


# ------------------------------------------------------------------------------------------------ tables


def _analysed(row: Row) -> bool:
    return row.get("period", "1") != "0"


def read_truth_table(path: Path) -> StudyTruth:
    """Read a truth CSV; ReportError names the line that is wrong."""
    rows = table_rows(path, counted=False)
    if rows and not {"case_id", "malignant"} <= set(rows[0]):
        raise ReportError(f"{path}: expected columns case_id and malignant, found {', '.join(rows[0])}.")
    malignant: dict[str, bool] = {}
    facts: dict[str, dict[str, str]] = {}
    for number, row in enumerate(rows, 2):
        if (row["malignant"] or "").strip() not in {"0", "1"}:
            raise ReportError(f"{path}, line {number}: expected malignant 0 or 1, found {row['malignant']!r}.")  # fmt: skip
        case = row["case_id"]
        malignant[case] = row["malignant"].strip() == "1"
        facts[case] = {k: v.strip() for k, v in row.items() if k and k not in {"case_id", "malignant"} and v and v.strip()}  # fmt: skip
    return StudyTruth(malignant=malignant, facts=facts)


def _characteristics(
    facts: Mapping[str, Mapping[str, str]], cases: set[str]
) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, float]]]:
    """Columns of which every value is a number, with more than ten of them, are numbers; the rest are levels."""
    columns: dict[str, dict[str, str]] = {}
    for case, values in facts.items():
        for name, value in values.items():
            if case in cases:
                columns.setdefault(name, {})[case] = value
    strata: dict[str, dict[str, str]] = {}
    numbers: dict[str, dict[str, float]] = {}
    for name, column in columns.items():
        try:
            as_number = {case: float(value) for case, value in column.items()}
        except ValueError:
            as_number = {}
        if len(set(as_number.values())) > 10 and all(np.isfinite(list(as_number.values()))):
            numbers[name] = as_number
        elif len(set(column.values())) <= max(12, len(column) // 4):
            strata[name] = column
    return strata, numbers


def _readers(folder: Path, groups: Path | None) -> dict[str, dict[str, str]]:
    """What is known of the readers: the export's readers.csv, then the table that was named."""
    found: dict[str, dict[str, str]] = {}
    rows = table_rows(folder / "readers.csv", needed=False)
    if groups is not None:
        rows += table_rows(groups, counted=False)
        if rows and not any("reader_id" in row and "group" in row for row in rows):
            raise ReportError(f"{groups}: expected columns reader_id and group, found {', '.join(rows[-1])}.")
    for row in rows:
        if row.get("reader_id"):
            known = found.setdefault(row["reader_id"], {})
            known.update({k: v for k, v in row.items() if k and v and k not in {"reader_id", "study_id", "name"}})  # fmt: skip
    return found


def _practice(folder: Path) -> int:
    rows = table_rows(folder / "sessions.csv")
    return max((int(s["n_planned"] or 0) for s in rows if s["period"] == "0"), default=0)


def _facts(readings: list[dict[str, str]], sessions: list[dict[str, str]]) -> tuple[tuple[str, str], ...]:
    hashes = sorted({s["protocol_hash"] for s in sessions if s.get("protocol_hash")})
    periods = sorted({r["period"] for r in readings if r.get("period")})
    return (
        ("Study", readings[0]["study_id"]),
        ("Arms", ", ".join(sorted({r["arm_id"] for r in readings}))),
        ("Readers", str(len({r["reader_id"] for r in readings}))),
        ("Reading periods", ", ".join(periods)),
        ("Sessions taken up again after a crash", str(sum(int(s.get("n_recovered") or 0) > 0 for s in sessions))),
        ("Washout overridden", str(sum(s.get("washout_overridden") == "1" for s in sessions))),
        ("Protocol (SHA-256)", ", ".join(hashes)),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ times and order


def _times(
    rows: Iterable[Row], column: str, groups: Mapping[str, str], refused: list[str]
) -> ReadTimes | None:
    """Times of one interval; None where there are none, or with a sentence in ``refused`` where they cannot be analysed."""
    kept = [r for r in rows if r.get(column) and float(r[column]) > 0]
    if not kept:
        return None
    whole = all(r.get("period", "").isdecimal() and r.get("position", "").isdecimal() for r in kept)
    try:
        return ReadTimes(
            readers=tuple(r["reader_id"] for r in kept),
            cases=tuple(r["case_id"] for r in kept),
            arms=tuple(r["arm_id"] for r in kept),
            seconds=np.array([float(r[column]) for r in kept]),
            flagged=np.array([r.get("interrupted") == "1" for r in kept]),
            periods=np.array([int(r["period"]) for r in kept]) if whole else None,
            positions=np.array([int(r["position"]) for r in kept]) if whole else None,
            groups=dict(groups),
        )
    except StatisticsError as error:
        refused.append(f"{column} as a whole: {error}")
        return None


def _order(readings: Iterable[Row]) -> dict[tuple[str, str, str], tuple[int, int]]:
    return {
        (r["reader_id"], r["arm_id"], r["case_id"]): (int(r["period"]), int(r["position"]))
        for r in readings
        if r.get("period", "").isdecimal() and r.get("position", "").isdecimal()
    }


def _washout(folder: Path, readings: Iterable[Row]) -> tuple[float, ...]:
    """Days between the reads of one case by one reader, as they really were; two answers of one sitting are one read."""
    kept = [
        r["interval_days"] for r in table_rows(folder / "washout.csv", needed=False) if r.get("interval_days")
    ]
    if kept:
        return tuple(float(days) for days in kept)
    when: dict[tuple[str, str], list[datetime]] = {}
    for r in readings:
        if r.get("stage") == "provisional":
            continue
        try:
            moment = datetime.fromisoformat(r.get("locked_utc") or "")
        except ValueError:
            continue
        when.setdefault((r["reader_id"], r["case_id"]), []).append(moment)
    days = [
        (b - a).total_seconds() / DAY_S
        for moments in when.values()
        for a, b in zip(sorted(moments), sorted(moments)[1:], strict=False)
    ]
    return tuple(days)


# ------------------------------------------------------------------------------------------------ the AI, findings, lesions


def _froc(localised: Localised | None, ratings: Ratings) -> FrocData | None:
    """Marks scored by the declared rule, for every case that was read; None unless the study is fully crossed."""
    if localised is None or not ratings.is_complete:
        return None
    if not localised.outlines or {o.case for o in localised.outlines} == set(ratings.cases):
        return None
    data, _ = froc_data(localised.marks, localised.outlines, localised.rule, cases=ratings.cases, readers=ratings.readers, modalities=ratings.modalities)  # fmt: skip
    return data


def _exported_froc(folder: Path, ratings: Ratings) -> FrocData | None:
    """The marks as the export scored them by the protocol's rule, where it wrote such a workbook; arms as in the ratings."""
    path = folder / "mrmc" / "froc_rjafroc.xlsx"
    found = read_observer_data(path).froc() if path.is_file() else None
    if found is None or set(found.modalities) != set(ratings.modalities):
        return found
    return found.in_order(ratings.modalities)


def _by_type(
    findings: Iterable[Row], known: StudyTruth, ratings: Ratings, alone: Mapping[str, Mapping[str, float]]
) -> dict[str, TypeRatings]:
    """Present or absent for every finding type that the truth knows, from the kept marks of that type.

    ``alone`` are the AI's scores of cases by type."""
    rows = list(findings)
    kinds = {(lesion.outline.case, lesion.finding) for lesion in known.lesions}
    marked = {(f["reader_id"], f["arm_id"], f["case_id"], f.get("finding_type", "")) for f in rows}
    found: dict[str, TypeRatings] = {}
    for kind in sorted({finding for _, finding in kinds}):
        truth = np.array([(case, kind) in kinds for case in ratings.cases])
        if truth.all():
            continue
        scores = np.array(
            [
                [
                    [float((reader, arm, case, kind) in marked) for case in ratings.cases]
                    for reader in ratings.readers
                ]
                for arm in ratings.modalities
            ]
        )
        scores[np.isnan(ratings.scores)] = np.nan
        found[kind] = TypeRatings(
            standalone=alone.get(kind, {}),
            ratings=Ratings(modalities=ratings.modalities, readers=ratings.readers, cases=ratings.cases, truth=truth, scores=scores)
        )  # fmt: skip
    return found
