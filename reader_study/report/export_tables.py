"""What an export's cases.csv and ai_scores.csv tell a report: facts of cases, the AI's scores, its scores by finding type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

Row = Mapping[str, str]
TYPE_PREFIX = "finding:"
NOT_A_STRATUM = frozenset({"study_id", "case_id", "exam_id", "exam_digest", "practice", "malignant", "n_priors", "n_lesions"})  # fmt: skip


def case_facts(rows: Iterable[Row], known: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Case -> characteristic -> value, from cases.csv; what the named truth table says of a case goes before it."""
    found = {case: dict(facts) for case, facts in known.items()}
    for row in rows:
        if row.get("practice") == "1":
            continue
        own = {name: value for name, value in row.items() if name and value and name not in NOT_A_STRATUM}
        found[row["case_id"]] = own | found.get(row["case_id"], {})
    return found


def front_model(rows: Iterable[Row]) -> tuple[list[Row], tuple[str, ...]]:
    """The rows of one model, so that no figure mixes models, and a sentence for each other model that is left out.

    Notes
    -----
    Where a protocol names several models the first one is recorded first in each reading; the one that is first in most
    readings is taken, by id: its version, digest and device may change.
    """
    kept = list(rows)
    first: dict[tuple[str, str, str], str] = {}
    for row in kept:
        key = (row.get("session_id") or "", row.get("case_id") or "", row.get("arm_id") or "")
        first.setdefault(key, _model_id(row))
    names = Counter(first.values())
    ids = {_model_id(row) for row in kept}
    if len(ids) < 2:
        return kept, ()
    front = min(names, key=lambda name: (-names[name], name))
    others = sorted(ids - {front})
    said = tuple(
        f"scores of the model {name or 'without an id'}: the AI alone is {front or 'the model without an id'}"
        for name in others
    )
    return [row for row in kept if _model_id(row) == front], said


def _model_id(row: Row) -> str:
    parts = (part.partition("=") for part in (row.get("model") or "").split("; "))
    return next((value for name, _, value in parts if name == "model_id"), "")


def standalone_scores(rows: Iterable[Row]) -> dict[str, float]:
    """Case -> the AI's score of the exam, or the highest of its parts where it gave none of the whole."""
    whole: dict[str, float] = {}
    parts: dict[str, float] = {}
    for row in rows:
        name = row.get("score_of") or ""
        if not row.get("score") or name.startswith(TYPE_PREFIX):
            continue
        into = whole if name in {"exam", "case", ""} else parts
        into[row["case_id"]] = max(into.get(row["case_id"], -np.inf), float(row["score"]))
    return parts | whole


def standalone_by_type(rows: Iterable[Row]) -> dict[str, dict[str, float]]:
    """Finding type -> case -> highest score of the AI's detections of that type.

    A case that the AI looked at without a detection of the type has 0; empty where the model gives no types.
    """
    seen: set[str] = set()
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        if not row.get("score"):
            continue
        seen.add(row["case_id"])
        name = row.get("score_of") or ""
        if name.startswith(TYPE_PREFIX):
            cases = found.setdefault(name.removeprefix(TYPE_PREFIX), {})
            cases[row["case_id"]] = max(cases.get(row["case_id"], 0.0), float(row["score"]))
    return {kind: dict.fromkeys(sorted(seen), 0.0) | cases for kind, cases in found.items()}
