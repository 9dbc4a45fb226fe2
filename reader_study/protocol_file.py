"""The YAML form of a study protocol, read and written; the same thing both ways (RS-D1).

Owns the file's form, which ``resources/study_protocol.schema.json`` describes. The allocation is drawn by
``randomization``; the file never holds passwords or truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from reader_study.domain.conduct import Design
from reader_study.domain.study import (
    CONTRAST_FIELDS,
    AiPolicy,
    Arm,
    PlannedRead,
    Reader,
    Scale,
    SessionPlan,
    Study,
)
from reader_study.domain.study_json import PARTS, case_from_json, part, study_to_json
from reader_study.errors import StudyError
from reader_study.protocol_schema import first_problem
from reader_study.randomization import allocate
from resources.lexicon import load_lexicon

# Text in a file may look like a number (a study called 12, BI-RADS 1); these are text all the same.
_TEXTS = frozenset(
    {"study_id", "protocol_version", "arm_id", "reader_id", "case_id", "exam_id", "stratum"}
) | {
    "exam_digest",
    "session_id",
}
# As a person would tell it: what, how, then the long lists.
_ORDER = (
    *("study_id", "title", "protocol_version", "purpose", "design", "blocks", "seed", "washout_days", "arms"),
    *("scale", "conduct", "training", "disclosure", "localisation", "show_timer", "lexicon"),
    *("readers", "cases", "allocation"),
)


def read_protocol(path: Path) -> Study:
    """Return the study a YAML protocol describes, allocation drawn unless the file holds one.

    Keys: study_id, title, protocol_version, seed, arms, readers, cases (required), and those of the schema.

    Raises
    ------
    StudyError
        Names the file and the key that is missing or wrong.
    """
    return protocol_from_values(_parsed(path), where=str(path))


def protocol_from_text(text: str, *, where: str = "Protocol") -> Study:
    """Return the study that YAML text describes; as ``read_protocol``."""
    return protocol_from_values(_yaml(text, where), where=where)


def protocol_from_values(value: object, *, where: str = "Protocol") -> Study:
    """Return the study of a protocol's keys and values (as a form fills them in); StudyError names the key."""
    if not isinstance(value, dict):
        found = "an empty file" if value is None else f"a {type(value).__name__}"
        raise StudyError(f"{where}: expected keys and values, found {found}; name a study protocol.")
    problem = first_problem(value)
    if problem is not None:
        raise StudyError(f"{where}: {problem}.")
    try:
        return _study(value)
    except (ValueError, TypeError) as error:
        raise StudyError(f"{where}: {error}; correct it.") from error


def protocol_to_values(study: Study) -> dict[str, Any]:
    """Return the keys and values of a study's protocol; the allocation only where it is not the drawn one."""
    value = study_to_json(study)
    value["lexicon"] = value.pop("lexicon_version")
    plans = value.pop("plans")
    if study.plans != drawn(study):
        value["allocation"] = [
            {
                **{name: plan[name] for name in ("session_id", "reader_id", "period")},
                "read": [list(entry.values()) for entry in plan["entries"]],
            }
            for plan in plans
        ]
    value["design"], value["title"] = study.design.value, study.title
    return {name: value[name] for name in _ORDER if name in value}


def protocol_to_text(study: Study) -> str:
    """Return the YAML text of a study; ``protocol_from_text`` gives an equal study, passwords left out."""
    return yaml.safe_dump(
        protocol_to_values(study), sort_keys=False, allow_unicode=True, default_flow_style=None, width=110
    )


def drawn(study: Study) -> tuple[SessionPlan, ...]:
    """Return the allocation that the study's own design and seed give."""
    return allocate(
        study_id=study.study_id,
        seed=study.seed,
        cases=study.cases,
        readers=study.readers,
        arms=study.arms,
        design=study.design,
        blocks=study.blocks,
    )


def _parsed(path: Path) -> object:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise StudyError(f"{path}: could not be read ({error.strerror}); check the path.") from error
    except UnicodeDecodeError as error:
        raise StudyError(_binary(str(path))) from error
    return _yaml(text, str(path))


def _binary(where: str) -> str:
    return f"{where}: expected YAML text in UTF-8, found a binary file or another encoding; name a study protocol."


def _yaml(text: str, where: str) -> object:
    try:
        value: object = yaml.safe_load(text)
    except yaml.reader.ReaderError as error:
        raise StudyError(_binary(where)) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{where}, line {mark.line + 1}, column {mark.column + 1}" if mark else where
        said = " ".join((error.problem or "something else").split())
        raise StudyError(f"{place}: expected YAML, found an error ({said}); correct the line.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # e.g. a date such as 2026-02-31
        said = " ".join(str(error).split())
        raise StudyError(f"{where}: expected YAML, found an error ({said}); correct it.") from error
    return value


def _with_texts(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _with_texts(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_texts(item, "birads" if name == "birads" else "") for item in value]
    if (name in _TEXTS or name == "birads") and not isinstance(value, str):
        return str(value)
    return value


def _study(value: Mapping[str, Any]) -> Study:
    value = _with_texts(value)
    study = Study(
        study_id=value["study_id"],
        title=value["title"],
        protocol_version=value["protocol_version"],
        seed=value["seed"],
        arms=tuple(_arm(arm) for arm in value["arms"]),
        readers=tuple(Reader(**one) for one in value["readers"]),
        cases=tuple(case_from_json({"exam_digest": "", **one}) for one in value["cases"]),
        scale=_scale(value.get("scale", {})),
        plans=(),
        washout_days=float(value.get("washout_days", 28)),
        show_timer=value.get("show_timer", False),
        lexicon_version=load_lexicon(value.get("lexicon", "birads-5-core/1")).version,
        design=Design(value.get("design", "crossover")),
        blocks=value.get("blocks", 1),
        **{name: part(kind, value.get(name, {})) for name, kind in PARTS.items()},
    )
    explicit = value.get("allocation")
    return replace(study, plans=drawn(study) if explicit is None else tuple(_plan(one) for one in explicit))


def _arm(value: Mapping[str, Any]) -> Arm:
    return Arm(arm_id=value["arm_id"], title=value["title"], ai=part(AiPolicy, value["ai"]))


def _scale(value: Mapping[str, Any]) -> Scale:
    contrast = value.get("contrast", [])
    if isinstance(contrast, bool):  # true asks every contrast question (CEM-08)
        contrast = list(CONTRAST_FIELDS) if contrast else []
    return part(Scale, {**value, "contrast": contrast})


def _plan(value: Mapping[str, Any]) -> SessionPlan:
    return SessionPlan(
        session_id=value["session_id"],
        reader_id=value["reader_id"],
        period=value["period"],
        entries=tuple(
            PlannedRead(case_id=str(r[0]), arm_id=str(r[1]), first_arm_id=str(r[2]) if len(r) > 2 else None)
            for r in value["read"]
        ),
    )
