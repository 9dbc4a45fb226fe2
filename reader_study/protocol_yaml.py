"""YAML text of a protocol to plain values, ids as they are written. What the values mean is ``protocol_file``.

YAML makes 10 of the case 0012 and 1.1 of the version 1.10, takes the last of two equal keys and knows endless numbers;
a protocol means none of that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from reader_study.errors import StudyError

# Keys whose values are text, also where YAML would see a number, a time, a date or a truth value.
TEXTS = frozenset(
    {"study_id", "protocol_version", "arm_id", "reader_id", "case_id", "exam_id", "exam_digest", "session_id"}
    | {"stratum"}
)
_LISTS_OF_TEXT = frozenset({"birads", "read"})
MAX_BYTES = 3 << 20  # 25 000 cases; read at about 1.5 s a megabyte
MAX_VALUES = 1_000_000  # with every alias written out: a hundred thousand cases
_MADE_UP = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "timestamp"))
_STR, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"


def yaml_of_file(path: Path) -> object:
    """Return the values of a YAML file; StudyError names file and line."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise StudyError(
                f"{path}: expected a protocol of at most {MAX_BYTES >> 20} MB, found {path.stat().st_size >> 20} MB;"
                " name a study protocol."
            )
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise StudyError(f"{path}: could not be read ({error.strerror}); check the path.") from error
    except UnicodeDecodeError as error:
        raise StudyError(_binary(str(path))) from error
    return yaml_values(text, str(path))


def yaml_values(text: str, where: str) -> object:
    """Return the values of YAML text; StudyError names ``where``, line and column."""
    loader: yaml.SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _weigh(node, where, {})
        _keep_texts(node, where)
        value: object = loader.construct_document(node)
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
    finally:
        if loader is not None:
            loader.dispose()
    return value


def endless(value: object, place: str = "") -> Iterator[str]:
    """Yield where in a protocol's values a number is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        yield place
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from endless(item, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from endless(item, f"{place}.{number}")


def _binary(where: str) -> str:
    return f"{where}: expected YAML text in UTF-8, found a binary file or another encoding; name a study protocol."


def _weigh(node: yaml.Node, where: str, known: dict[int, int]) -> int:
    """Count the values below a node, aliases written out; refuses those that multiply or lead back to themselves."""
    if known.setdefault(id(node), 0):
        return known[id(node)]
    known[id(node)] = -1  # being counted
    count = 1
    for child in _children(node):
        part = _weigh(child, where, known)
        count += part
        if part < 0 or count > MAX_VALUES:
            found = "an anchor that holds itself" if part < 0 else "anchors that multiply"
            line = child.start_mark.line + 1
            raise StudyError(
                f"{where}, line {line}: expected at most {MAX_VALUES} values, found {found}; write them out."
            )
    known[id(node)] = count
    return count


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for key, item in node.value:
            yield key
            yield item


def _keep_texts(node: yaml.Node, where: str, seen: set[int] | None = None) -> None:
    """Turn what stands under a text's key into text, and refuse a key that stands twice in one place."""
    seen = set() if seen is None else seen
    if id(node) in seen:  # an alias
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _keep_texts(item, where, seen)
    if not isinstance(node, yaml.MappingNode):
        return
    known: set[Any] = set()
    for key, item in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
            if key.value in known:
                line = key.start_mark.line + 1
                raise StudyError(
                    f"{where}, line {line}: expected the key {key.value!r} once, found it twice; leave one out."
                )
            known.add(key.value)
            if key.value in TEXTS:
                _as_text(item)
            elif key.value in _LISTS_OF_TEXT:
                _as_texts(item)
        _keep_texts(item, where, seen)


def _as_text(node: yaml.Node) -> None:
    if isinstance(node, yaml.ScalarNode) and node.tag in _MADE_UP:
        node.tag = _STR


def _as_texts(node: yaml.Node) -> None:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _as_texts(item)
    else:
        _as_text(node)
