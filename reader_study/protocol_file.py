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
from reader_study.protocol_yaml import TEXTS, endless, yaml_of_file, yaml_values
from reader_study.randomization import allocate
from resources.files import ResourceError
from resources.lexicon import load_lexicon
from resources.vocabulary import BiRads

# As a person would tell it: what, how, then the long lists.
_ORDER = (
    *("study_id", "title", "protocol_version", "purpose", "design", "blocks", "seed", "washout_days", "arms"),
    *("scale", "conduct", "training", "disclosure", "localisation", "show_timer", "lexicon"),
    *("readers", "cases", "allocation"),
)


MAX_ID = 100  # characters
_BIRADS = (*(one.value for one in BiRads), "4")  # 4 where a study does not divide it


def read_protocol(path: Path) -> Study:
    """Return the study a YAML protocol describes, allocation drawn unless the file holds one.

    Keys: study_id, title, protocol_version, seed, arms, readers, cases (required), and those of the schema.

    Raises
    ------
    StudyError
        Names the file and the key that is missing or wrong.
    """
    return protocol_from_values(yaml_of_file(path), where=str(path))


def protocol_from_text(text: str, *, where: str = "Protocol") -> Study:
    """Return the study that YAML text describes; as ``read_protocol``."""
    return protocol_from_values(yaml_values(text, where), where=where)


def protocol_from_values(value: object, *, where: str = "Protocol") -> Study:
    """Return the study of a protocol's keys and values (as a form fills them in); StudyError names the key."""
    if not isinstance(value, dict):
        found = "an empty file" if value is None else f"a {type(value).__name__}"
        raise StudyError(f"{where}: expected keys and values, found {found}; name a study protocol.")
    problem = first_problem(value)
    if problem is not None:
        raise StudyError(f"{where}: {problem}.")
    place = next(endless(value), None)
    if place is not None:
        raise StudyError(f"{where}: {place}: expected a finite number, found an endless one; correct it.")
    try:
        return _study(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise StudyError(f"{where}: {error}; correct it.") from error
    except ResourceError as error:  # a lexicon that this program does not have
        raise StudyError(f"{where}: {error}") from error


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


def is_drawable(study: Study) -> bool:
    """True once there are enough readers and something to be read."""
    return len(study.readers) >= study.blocks and any(not case.practice for case in study.cases)


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


def _with_texts(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _with_texts(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_texts(item, "birads" if name == "birads" else "") for item in value]
    if (name in TEXTS or name == "birads") and not isinstance(value, str):
        return str(value)
    return value


def _study(value: Mapping[str, Any]) -> Study:
    value = _with_texts(value)
    _check_ids(value)
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


def _check_ids(value: Mapping[str, Any]) -> None:
    """Ids end up in the names of sessions, in exports and on screens: text that can be seen, not too long."""
    found = [(name, value[name]) for name in ("study_id", "protocol_version")]
    for part_name, name in (("arms", "arm_id"), ("readers", "reader_id"), ("cases", "case_id")):
        found += [(f"{part_name}.{at}.{name}", one[name]) for at, one in enumerate(value[part_name])]
    plans = value.get("allocation") or ()
    found += [(f"allocation.{at}.session_id", one["session_id"]) for at, one in enumerate(plans)]
    for place, text in found:
        if not text:
            raise ValueError(f"{place}: expected an id, found an empty text")
        if text != text.strip() or not text.isprintable() or len(text) > MAX_ID:
            raise ValueError(
                f"{place}: expected at most {MAX_ID} visible characters without spaces at the ends, found {text[:20]!r}"
            )
        if place.endswith("session_id") and text.startswith("audit."):
            raise ValueError(
                f"{place}: expected another beginning than audit., which the audit has, found {text}"
            )


def _arm(value: Mapping[str, Any]) -> Arm:
    return Arm(arm_id=value["arm_id"], title=value["title"], ai=part(AiPolicy, value["ai"]))


def _scale(value: Mapping[str, Any]) -> Scale:
    contrast = value.get("contrast", [])
    if isinstance(contrast, bool):  # true asks every contrast question (CEM-08)
        contrast = list(CONTRAST_FIELDS) if contrast else []
    strange = [one for one in value.get("birads", ()) if one not in _BIRADS]
    if strange:
        raise ValueError(
            f"scale.birads: expected BI-RADS categories of {', '.join(_BIRADS)}, found {', '.join(strange)}"
        )
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
