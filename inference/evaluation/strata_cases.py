"""Cases for the strata: from a run judged by a manifest, in the groups that Kim et al. 2018 compare.

Age under 50 or not, manufacturer, density, type of finding, invasive or not, size under 20 mm or not. The tables of
them are made here too; the statistics are ``strata``'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inference.evaluation.run_tables import read_run
from inference.evaluation.strata import Case, strata_json
from inference.evaluation.subgroups import size_mm
from inference.evaluation.tables import Sheet, figure
from inference.evaluation.truth import read_truth
from inference.evaluation.units import Unit, units_of

AGE, SIZE_MM = 50, 20.0
_DENSITIES = {"1": "a", "2": "b", "3": "c", "4": "d"}
_WORDS = {
    **dict.fromkeys(("1", "yes", "true", "invasive"), "invasive"),
    **dict.fromkeys(("0", "no", "false", "in situ", "dcis", "non-invasive"), "non-invasive"),
}


def age_group(age: float | None) -> frozenset[str]:
    """Under 50 or not; empty when not known."""
    return frozenset() if age is None else frozenset({f"< {AGE}" if age < AGE else f">= {AGE}"})


def size_group(size: float | None) -> frozenset[str]:
    """Under 20 mm or not; empty when not known."""
    return (
        frozenset()
        if size is None
        else frozenset({f"< {SIZE_MM:g} mm" if size < SIZE_MM else f">= {SIZE_MM:g} mm"})
    )


def case_of(unit: Unit, threshold: float) -> Case:
    """A scored unit as a case, called positive at and above the threshold."""
    age = next((image.age for image in unit.images if image.age is not None), None)
    density = {image.density.strip().lower() for image in unit.images if image.density}
    extras = [*(mark.extra for mark in unit.lesions), *(image.extra for image in unit.images)]
    invasive = {
        extra.get(column, "").strip().lower() for extra in extras for column in ("invasiveness", "invasive")
    }
    groups = {
        "age": age_group(age),
        "manufacturer": frozenset(image.manufacturer for image in unit.images if image.manufacturer),
        "density": frozenset(_DENSITIES.get(word, word) for word in density),
    }
    if unit.positive:
        groups |= {
            "type": frozenset(finding.value for finding in unit.types),
            "invasiveness": frozenset(_WORDS.get(word, word) for word in invasive - {""}),
            "size": size_group(size_mm(unit)),
        }
    return Case(patient=unit.patient, positive=unit.positive, called=unit.score >= threshold, groups=groups)


def strata_of_run(
    manifest: Path,
    run: Path,
    lesions: Path | None,
    *,
    level: str = "exam",
    threshold: float = 0.5,
    negatives: str = "all",
    split: str | None = None,
) -> dict[str, Any]:
    """Judge a run of infer by stratum.

    Parameters
    ----------
    level
        "view", "breast" or "exam".
    threshold
        Score at and above which a case is called positive.

    Returns
    -------
    ``{"level", "threshold", "n_pos", "n_neg", "strata", "warnings"}``.
    """
    truth = read_truth(manifest, lesions, split=split)
    units, notes = units_of(truth, read_run(run), level, negatives=negatives)
    cases = [case_of(unit, threshold) for unit in units]
    strata, unknown = strata_json(cases)
    return {
        "level": level,
        "threshold": threshold,
        "n_pos": sum(case.positive for case in cases),
        "n_neg": sum(not case.positive for case in cases),
        "strata": strata,
        "warnings": [*truth.notes, *notes, *unknown],
    }


def strata_sheets(strata: dict[str, Any]) -> list[Sheet]:
    """The tables: shares of each stratum with counts, and the tests."""
    shares = [
        (name, group, *(_share(measures.get(m)) for m in ("sensitivity", "specificity", "accuracy")))
        for name, entry in strata.items()
        for group, measures in entry["groups"].items()
    ]
    tests = [
        (name, measure, found["test"], _statistic(found), _p(found), _said(found))
        for name, entry in strata.items()
        for measure, found in entry["tests"].items()
    ]
    return [
        Sheet(
            title="Strata (Wilson 95 % interval)",
            columns=("attribute", "group", "sensitivity", "specificity", "accuracy"),
            rows=tuple(shares),
        ),
        Sheet(
            title="Differences between strata",
            columns=("attribute", "measure", "test", "statistic (df)", "p", "odds ratios, remarks"),
            rows=tuple(tests),
        ),
    ]


def markdown_tables(sheets: Sequence[Sheet]) -> list[str]:
    """Sheets as lines of Markdown, without a page around them."""
    lines: list[str] = []
    for sheet in sheets:
        lines += [f"{sheet.title}:", "", "| " + " | ".join(sheet.columns) + " |"]
        lines += [
            "|" + "---|" * len(sheet.columns),
            *("| " + " | ".join(row) + " |" for row in sheet.rows),
            "",
        ]
    return lines


def _share(entry: dict[str, Any] | None) -> str:
    return "-" if entry is None else f"{figure(entry, 2)}, {entry['met']}/{entry['n']}"


def _statistic(found: dict[str, Any]) -> str:
    return "-" if found.get("statistic") is None else f"{found['statistic']:.2f} ({found['df']})"


def _p(found: dict[str, Any]) -> str:
    p = found.get("p")
    return "-" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _said(found: dict[str, Any]) -> str:
    ratios = [f"{group} {figure(entry, 2)}" for group, entry in found.get("odds_ratios", {}).items()]
    words = [f"against {found['reference']}: {', '.join(ratios)}"] if ratios else []
    return "; ".join([*words, *([found["note"]] if "note" in found else [])])
