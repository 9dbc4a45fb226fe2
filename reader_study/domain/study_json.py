"""The JSON form of a study and its hash. Password hashes are no part of the protocol and are left out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

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


def study_to_text(study: Study) -> str:
    """Return the one canonical JSON text of the protocol, without passwords."""
    value = plain(asdict(study))
    assert isinstance(value, dict)
    for reader in value["readers"]:
        del reader["password_hash"]
    if value["scale"]["min_coverage"] is None:  # left out, so that older protocols keep their hash
        del value["scale"]["min_coverage"]
    if not value["scale"]["contrast"]:
        del value["scale"]["contrast"]
    for case in value["cases"]:
        if not case["priors"]:
            del case["priors"]
    return canonical(value)


def protocol_hash(study: Study) -> str:
    """Return the SHA-256 (hex) of the protocol; it is in every SessionOpened."""
    return hashlib.sha256(study_to_text(study).encode("utf-8")).hexdigest()


def study_from_text(text: str) -> Study:
    """Read a study back; readers come without passwords. StudyError when the text is not a study."""
    try:
        value = json.loads(text)
        return Study(
            study_id=value["study_id"],
            title=value["title"],
            protocol_version=value["protocol_version"],
            seed=value["seed"],
            arms=tuple(
                Arm(arm_id=a["arm_id"], title=a["title"], ai=AiPolicy(**a["ai"])) for a in value["arms"]
            ),
            readers=tuple(Reader(**reader) for reader in value["readers"]),
            cases=tuple(_case(case) for case in value["cases"]),
            scale=_scale(value["scale"]),
            plans=tuple(
                SessionPlan(
                    session_id=plan["session_id"],
                    reader_id=plan["reader_id"],
                    period=plan["period"],
                    entries=tuple(PlannedRead(**entry) for entry in plan["entries"]),
                )
                for plan in value["plans"]
            ),
            washout_days=value["washout_days"],
            show_timer=value["show_timer"],
            lexicon_version=value["lexicon_version"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError(
            f"Study definition: expected the stored form, found {error}; restore a backup."
        ) from error


def _case(value: dict[str, object]) -> Case:
    priors = value.get("priors", [])
    if not isinstance(priors, list):
        raise ValueError(f"priors of a case: expected a list, found {priors!r}")
    plain_fields = {name: content for name, content in value.items() if name != "priors"}
    return Case(**plain_fields, priors=tuple(PriorExam(**prior) for prior in priors))  # type: ignore[arg-type]


def _scale(value: dict[str, object]) -> Scale:
    birads, require = value["birads"], value["require"]
    limit, least = value["max_benign_suspicion"], value.get("min_coverage")
    if not isinstance(birads, list) or not isinstance(require, list) or not isinstance(limit, int | None):
        raise ValueError(f"scale {value!r}")
    contrast = value.get("contrast", [])
    if not isinstance(least, int | float | None) or not isinstance(contrast, list):
        raise ValueError(f"scale {value!r}")
    return Scale(
        birads=tuple(birads),
        require=tuple(require),
        max_benign_suspicion=limit,
        match_recall=bool(value["match_recall"]),
        min_coverage=None if least is None else float(least),
        contrast=tuple(contrast),
    )
