"""A protocol as the keys and values that form and YAML share; also of a draft that has no readers or cases yet.

The form of the file is ``reader_study.protocol_file``; here is only what a draft needs beyond it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

import yaml

from reader_study.domain.events import plain
from reader_study.domain.study import AiPolicy, Arm, Case, Reader, Scale, Study
from reader_study.errors import StudyError
from reader_study.protocol_file import (
    drawn,
    is_drawable,
    protocol_from_values,
    protocol_to_values,
)
from reader_study.protocol_yaml import yaml_values
from resources.translation import translate

_STAND_IN = "\ufffd"  # no id of a person's
BIRADS: tuple[str, ...] = ("1", "2", "3", "4A", "4B", "4C", "5")


def _tr(text: str) -> str:
    return translate("coordinating", text)


def new_study(study_id: str, title: str) -> Study:
    """Return an empty draft: two arms, no readers, no cases; washout of four weeks."""
    return Study(
        study_id=study_id,
        title=title,
        protocol_version="1",
        seed=1,
        arms=(
            Arm(arm_id="unaided", title=_tr("Without AI"), ai=AiPolicy(shown=False)),
            Arm(arm_id="aided", title=_tr("With AI"), ai=AiPolicy(shown=True)),
        ),
        readers=(),
        cases=(),
        scale=Scale(birads=BIRADS),
        plans=(),
    )


def redrawn(study: Study) -> Study:
    """Return the study with the allocation that its design and seed give; none while readers or cases lack."""
    bare = replace(study, plans=())
    return replace(bare, plans=drawn(bare)) if is_drawable(study) else bare


def values_of(study: Study) -> dict[str, object]:
    """Return a study's protocol as keys and values; ``study_of_values`` gives an equal study, passwords left out."""
    if is_drawable(study):
        return protocol_to_values(study)
    # The file's form wants readers and cases, and draws the allocation to compare; a draft has nothing to draw yet.
    values = protocol_to_values(redrawn(_with_stand_ins(study)))
    values["readers"] = values["readers"][: len(study.readers)]
    values["cases"] = values["cases"][: len(study.cases)]
    return values


def _with_stand_ins(study: Study) -> Study:
    lacking = study.blocks - len(study.readers)
    readers = [Reader(reader_id=f"{_STAND_IN}{number}", name="") for number in range(max(lacking, 0))]
    cases = [Case(case_id=_STAND_IN, exam_id="", exam_digest="")]
    return replace(study, readers=(*study.readers, *readers), cases=(*study.cases, *cases), plans=())


def study_of_values(values: Mapping[str, object]) -> Study:
    """Return the study of keys and values, the allocation drawn where it can be; StudyError names the key."""
    where = _tr("Protocol")
    readers, cases = values.get("readers"), values.get("cases")
    if readers is None:
        readers = []
    if cases is None:
        cases = []
    if not isinstance(readers, list) or not isinstance(cases, list):
        return protocol_from_values(dict(values), where=where)  # says what is expected
    blocks = values.get("blocks", 1)
    short = max((blocks if isinstance(blocks, int) else 1) - len(readers), 0)
    analysed = any(isinstance(case, Mapping) and not case.get("practice") for case in cases)
    if not short and analysed:
        return protocol_from_values(dict(values), where=where)
    filled = {name: value for name, value in values.items() if name != "allocation"}
    filled["readers"] = [*readers, *({"reader_id": f"{_STAND_IN}{n}", "name": ""} for n in range(short))]
    filled["cases"] = [*cases, {"case_id": _STAND_IN, "exam_id": ""}]
    found = protocol_from_values(filled, where=where)
    return replace(found, readers=found.readers[: len(readers)], cases=found.cases[: len(cases)], plans=())


def text_of(study: Study) -> str:
    """Return the study's protocol as YAML."""
    return text_of_values(values_of(study))


def text_of_values(values: Mapping[str, object]) -> str:
    return yaml.safe_dump(
        dict(values), sort_keys=False, allow_unicode=True, default_flow_style=None, width=110
    )


def study_of_text(text: str) -> Study:
    """Return the study of a YAML text; StudyError names line or key."""
    values = yaml_values(text, _tr("Protocol"))
    if not isinstance(values, dict):
        raise StudyError(
            _tr("Protocol: expected keys and values, found something else; name a study protocol.")
        )
    return study_of_values(values)


def default_values() -> dict[str, object]:
    """Return every key of a protocol's form at its default, those that a file may leave out too."""
    value = plain(asdict(new_study("", "")))
    assert isinstance(value, dict)
    return value
