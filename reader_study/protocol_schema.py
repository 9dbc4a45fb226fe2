"""Checks a protocol's keys and values against the JSON schema and says the first problem as a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from resources.files import read_json, resource_path

if TYPE_CHECKING:
    from jsonschema import ValidationError

SCHEMA_FILE = "study_protocol.schema.json"
_NAMES = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "keys and values",
    "string": "text",
    "null": "nothing",
}


def protocol_schema() -> Mapping[str, Any]:
    """Return the JSON schema of the protocol file, e.g. for a form."""
    schema = read_json(resource_path(SCHEMA_FILE))
    assert isinstance(schema, dict)
    return schema


def first_problem(value: Mapping[str, Any]) -> str | None:
    """Return what keeps ``value`` from being a protocol: key, expected, found, remedy; None when nothing does."""
    from jsonschema import Draft202012Validator  # 0.1 s, paid only where a protocol is read

    errors = sorted(Draft202012Validator(protocol_schema()).iter_errors(value), key=_order)
    return _sentence(errors[0]) if errors else None


def _order(error: ValidationError) -> tuple[bool, list[str]]:
    # A mistyped key is named before the key that is missing because of it.
    return error.validator != "additionalProperties", [str(step) for step in error.absolute_path]


def _sentence(error: ValidationError) -> str:
    place = ".".join(str(step) for step in error.absolute_path)
    at = f"{place}: " if place else ""
    found: Any = error.instance
    wanted: Any = error.validator_value
    schema: Any = error.schema
    match error.validator:
        case "additionalProperties":
            known = schema["properties"]
            strange = sorted(str(key) for key in found if key not in known)
            return f"{at}expected keys of {', '.join(sorted(known))}; found {', '.join(strange)}"
        case "required":
            missing = next(key for key in wanted if key not in found)
            return f"{at}expected the key {missing!r}, found none; add it"
        case "type":
            kinds = [wanted] if isinstance(wanted, str) else list(wanted)
            return f"{at}expected {' or '.join(_NAMES[kind] for kind in kinds)}, found {_short(found)}; correct it"
        case "enum":
            return f"{at}expected one of {', '.join(map(str, wanted))}, found {_short(found)}; correct it"
        case "minimum" | "exclusiveMinimum" | "maximum" | "minItems" | "maxItems":
            words = {
                "minimum": f"{wanted} or more",
                "exclusiveMinimum": f"more than {wanted}",
                "maximum": f"{wanted} or less",
                "minItems": f"{wanted} or more entries",
                "maxItems": f"{wanted} or fewer entries",
            }
            return f"{at}expected {words[str(error.validator)]}, found {_short(found)}; correct it"
    return f"{at}{error.message}; correct it"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
