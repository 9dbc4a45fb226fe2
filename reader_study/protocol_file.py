"""Reads a study protocol that a coordinator wrote (YAML) and makes the frozen ``Study`` of it.

Owns the file's form. The allocation is drawn by ``randomization``; the file never holds passwords or truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from reader_study.domain.study import (
    CONTRAST_FIELDS,
    FIELDS,
    FORCED_BIRADS,
    AiPolicy,
    Arm,
    Case,
    PriorExam,
    Reader,
    Scale,
    Study,
)
from reader_study.errors import StudyError
from reader_study.randomization import allocate
from resources.lexicon import load_lexicon

_KNOWN = frozenset(
    {"study_id", "title", "protocol_version", "seed", "design", "arms", "readers", "cases", "scale"}
    | {"washout_days", "show_timer", "lexicon"}
)


def read_protocol(path: Path) -> Study:
    """Return the study a YAML protocol describes, allocation drawn.

    Keys: study_id, title, protocol_version, seed, arms, readers, cases (required); design, scale,
    washout_days, show_timer, lexicon. An arm has arm_id, title and ai (as ``AiPolicy``); a case has case_id,
    exam_id, exam_digest, perhaps practice, stratum and priors (each with exam_id and exam_digest, newest first).

    Raises
    ------
    StudyError
        Names the file and the key that is missing or wrong.
    """
    value = _parsed(path)
    if not isinstance(value, dict):
        found = "an empty file" if value is None else f"a {type(value).__name__}"
        raise StudyError(f"{path}: expected keys and values, found {found}; name a study protocol.")
    unknown = sorted(str(key) for key in value if key not in _KNOWN)
    if unknown:
        raise StudyError(f"{path}: expected keys of {', '.join(sorted(_KNOWN))}; found {', '.join(unknown)}.")
    try:
        return _study(value)
    except KeyError as error:
        raise StudyError(f"{path}: expected the key {error.args[0]!r}, found none; add it.") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise StudyError(f"{path}: {error}; correct it.") from error


def _parsed(path: Path) -> object:
    try:
        value: object = yaml.safe_load(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise StudyError(f"{path}: could not be read ({error.strerror}); check the path.") from error
    except (UnicodeDecodeError, yaml.reader.ReaderError) as error:
        raise StudyError(
            f"{path}: expected YAML text in UTF-8, found a binary file or another encoding; name a study protocol."
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
        said = " ".join((error.problem or "something else").split())
        raise StudyError(f"{where}: expected YAML, found an error ({said}); correct the line.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # e.g. a date such as 2026-02-31
        said = " ".join(str(error).split())
        raise StudyError(f"{path}: expected YAML, found an error ({said}); correct it.") from error
    return value


def _study(value: Mapping[str, object]) -> Study:
    study_id, seed = str(value["study_id"]), _integer(value["seed"], "seed")
    arms = tuple(
        Arm(arm_id=str(arm["arm_id"]), title=str(arm["title"]), ai=_policy(_object(arm["ai"], "ai")))
        for arm in _objects(value["arms"], "arms")
    )
    readers = tuple(
        Reader(
            reader_id=str(one["reader_id"]),
            name=str(one["name"]),
            experience_years=None
            if one.get("experience_years") is None
            else _integer(one["experience_years"], "experience_years"),
            group=str(one.get("group", "senior")),
        )
        for one in _objects(value["readers"], "readers")
    )
    rows = _objects(value["cases"], "cases")
    cases = tuple(
        Case(
            case_id=str(one["case_id"]),
            exam_id=str(one["exam_id"]),
            exam_digest=str(one["exam_digest"]),
            practice=bool(one.get("practice", False)),
            priors=tuple(
                PriorExam(exam_id=str(prior["exam_id"]), exam_digest=str(prior["exam_digest"]))
                for prior in _objects(one.get("priors", []), "cases.priors")
            ),
        )
        for one in rows
    )
    strata = {str(one["case_id"]): str(one["stratum"]) for one in rows if "stratum" in one}
    return Study(
        study_id=study_id,
        title=str(value["title"]),
        protocol_version=str(value["protocol_version"]),
        seed=seed,
        arms=arms,
        readers=readers,
        cases=cases,
        scale=_scale(_object(value.get("scale", {}), "scale")),
        plans=allocate(
            study_id=study_id,
            seed=seed,
            cases=cases,
            readers=readers,
            arms=arms,
            design=str(value.get("design", "crossover")),
            strata=strata or None,
        ),
        washout_days=_number(value.get("washout_days", 28), "washout_days"),
        show_timer=bool(value.get("show_timer", False)),
        lexicon_version=load_lexicon(str(value.get("lexicon", "birads-5-core/1"))).version,
    )


def _scale(value: Mapping[str, object]) -> Scale:
    unknown = sorted(
        set(value) - {"birads", "require", "max_benign_suspicion", "match_recall", "min_coverage", "contrast"}
    )
    if unknown:
        raise ValueError(f"scale: unknown key {unknown[0]!r}")
    limit = value.get("max_benign_suspicion", 50)
    return Scale(
        birads=tuple(str(item) for item in _list(value.get("birads", list(FORCED_BIRADS)), "scale.birads")),
        require=tuple(str(item) for item in _list(value.get("require", list(FIELDS)), "scale.require")),
        max_benign_suspicion=None if limit is None else _integer(limit, "scale.max_benign_suspicion"),
        match_recall=bool(value.get("match_recall", True)),
        min_coverage=_share(value.get("min_coverage"), "scale.min_coverage"),
        contrast=_contrast(value.get("contrast", False)),
    )


def _contrast(value: object) -> tuple[str, ...]:
    """``true`` asks every contrast question, a list some of them (CEM-08)."""
    if isinstance(value, bool):
        return CONTRAST_FIELDS if value else ()
    return tuple(str(item) for item in _list(value, "scale.contrast"))


def _share(value: object, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise ValueError(f"{where}: expected a number from 0 to 1, found {value!r}")
    return float(value)


def _list(value: object, where: str) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(f"{where}: expected a list, found {value!r}")
    return value


def _object(value: object, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected keys and values, found {value!r}")
    return value


def _objects(value: object, where: str) -> list[dict[str, object]]:
    return [_object(item, where) for item in _list(value, where)]


def _integer(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{where}: expected a whole number, found {value!r}")
    return value


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{where}: expected a number, found {value!r}")
    return float(value)


def _policy(value: Mapping[str, object]) -> AiPolicy:
    unknown = sorted(set(value) - {"shown", "boxes", "heatmap", "score", "operating_threshold"})
    if unknown:
        raise ValueError(f"ai: unknown key {unknown[0]!r}")
    for name in ("shown", "boxes", "heatmap", "score"):
        if not isinstance(value.get(name, True), bool):
            raise ValueError(f"ai.{name}: expected true or false, found {value[name]!r}")
    return AiPolicy(
        shown=bool(value["shown"]),
        boxes=bool(value.get("boxes", True)),
        heatmap=bool(value.get("heatmap", True)),
        score=bool(value.get("score", True)),
        operating_threshold=_number(value.get("operating_threshold", 0.5), "ai.operating_threshold"),
    )
