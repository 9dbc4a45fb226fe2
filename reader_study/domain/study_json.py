"""The JSON form of a study and its hash. Password hashes are no part of the protocol and are left out.

What was added to the form later is written only where it differs from its default, so that an older protocol keeps
its text and its hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, fields
from enum import StrEnum
from typing import Any, TypeVar

from reader_study.domain.conduct import Conduct, Disclosure, Localisation, Purpose, Training
from reader_study.domain.events import canonical, plain
from reader_study.domain.study import (
    AiPolicy,
    Arm,
    Case,
    PlannedRead,
    PriorExam,
    Reader,
    Scale,
    SessionPlan,
    Study,
)
from reader_study.errors import StudyError

PARTS: Mapping[str, type[Any]] = {
    "purpose": Purpose,
    "conduct": Conduct,
    "training": Training,
    "disclosure": Disclosure,
    "localisation": Localisation,
}
_FIRST_FORM: Mapping[type[Any], frozenset[str]] = {
    Study: frozenset(
        {"study_id", "title", "protocol_version", "seed", "arms", "readers", "cases", "scale", "plans"}
        | {"washout_days", "show_timer", "lexicon_version"}
    ),
    Scale: frozenset({"birads", "require", "max_benign_suspicion", "match_recall"}),
    AiPolicy: frozenset({"shown", "boxes", "heatmap", "score", "operating_threshold"}),
    Reader: frozenset({"reader_id", "name", "experience_years", "group"}),
    Case: frozenset({"case_id", "exam_id", "exam_digest", "practice"}),
    PlannedRead: frozenset({"case_id", "arm_id"}),
}
T = TypeVar("T")


def _default(field: Field[Any]) -> object:
    if field.default_factory is not MISSING:
        return plain(asdict(field.default_factory()))
    return MISSING if field.default is MISSING else plain(field.default)


def sparse(kind: type[Any], value: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of an object's JSON form what was added to its kind later and stands at its default."""
    kept = _FIRST_FORM.get(kind, frozenset())
    return {
        field.name: value[field.name]
        for field in fields(kind)
        if field.name in value and (field.name in kept or value[field.name] != _default(field))
    }


def _leave_out_defaults(value: dict[str, Any]) -> dict[str, Any]:
    for reader in value["readers"]:
        del reader["password_hash"]
    value["readers"] = [sparse(Reader, reader) for reader in value["readers"]]
    value["cases"] = [sparse(Case, case) for case in value["cases"]]
    for arm in value["arms"]:
        arm["ai"] = sparse(AiPolicy, arm["ai"])
    value["scale"] = sparse(Scale, value["scale"])
    for plan in value["plans"]:
        plan["entries"] = [sparse(PlannedRead, entry) for entry in plan["entries"]]
    value = sparse(Study, value)
    return {
        name: sparse(PARTS[name], content) if name in PARTS else content for name, content in value.items()
    }


def study_to_json(study: Study) -> dict[str, Any]:
    """Return the protocol as JSON values, without passwords."""
    value = plain(asdict(study))
    assert isinstance(value, dict)
    return _leave_out_defaults(value)


def study_to_text(study: Study) -> str:
    """Return the one canonical JSON text of the protocol, without passwords."""
    return canonical(study_to_json(study))


def protocol_hash(study: Study) -> str:
    """Return the SHA-256 (hex) of the protocol; it is in every SessionOpened."""
    return hashlib.sha256(study_to_text(study).encode("utf-8")).hexdigest()


def study_from_text(text: str) -> Study:
    """Read a study back; readers come without passwords. StudyError when the text is not a study."""
    try:
        return study_from_json(json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError(
            f"Study definition: expected the stored form, found {error}; restore a backup."
        ) from error


def study_from_json(value: Mapping[str, Any]) -> Study:
    """Make the study of its JSON values; ValueError, KeyError or TypeError where they are not one."""
    unknown = sorted(set(value) - {field.name for field in fields(Study)})
    if unknown:
        raise ValueError(f"unknown part {unknown[0]!r}")
    parts = {name: part(kind, value.get(name, {})) for name, kind in PARTS.items()}
    rest = {
        name: value[name]
        for name in (
            *("study_id", "title", "protocol_version", "seed", "washout_days"),
            *("show_timer", "lexicon_version"),
        )
    }
    plans = tuple(
        SessionPlan(
            session_id=plan["session_id"],
            reader_id=plan["reader_id"],
            period=plan["period"],
            entries=tuple(PlannedRead(**entry) for entry in plan["entries"]),
        )
        for plan in value["plans"]
    )
    return Study(
        **rest,
        **parts,
        arms=tuple(
            Arm(arm_id=a["arm_id"], title=a["title"], ai=part(AiPolicy, a["ai"])) for a in value["arms"]
        ),
        readers=tuple(Reader(**reader) for reader in value["readers"]),
        cases=tuple(case_from_json(case) for case in value["cases"]),
        scale=part(Scale, value["scale"]),
        plans=plans,
        design=type(_study_default("design"))(value.get("design", _study_default("design"))),
        blocks=value.get("blocks", 1),
    )


def _study_default(name: str) -> Any:
    return next(field.default for field in fields(Study) if field.name == name)


def part(kind: type[T], value: Mapping[str, Any]) -> T:
    """Make a flat part of a protocol of its JSON form; lists become tuples and words their enumeration."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{kind.__name__.lower()}: expected an object, found {value!r}")
    known = {field.name: field.default for field in fields(kind)}  # type: ignore[arg-type]
    made: dict[str, Any] = {}
    for name, content in value.items():
        if name not in known:
            raise ValueError(f"{kind.__name__.lower()}: unknown key {name!r}")
        default = known[name]
        if isinstance(content, list):
            made[name] = tuple(content)
        elif isinstance(default, StrEnum):
            made[name] = type(default)(content)
        elif isinstance(default, float) and isinstance(content, int) and not isinstance(content, bool):
            made[name] = float(content)
        else:
            made[name] = content
    return kind(**made)


def case_from_json(value: Mapping[str, Any]) -> Case:
    """Make one case of its JSON form."""
    priors = value.get("priors", [])
    if not isinstance(priors, list):
        raise ValueError(f"priors of a case: expected a list, found {priors!r}")
    rest = {name: content for name, content in value.items() if name != "priors"}
    return Case(**rest, priors=tuple(PriorExam(**prior) for prior in priors))
