"""Spoiled text: cells and lines of tables, encodings, values and depth of JSON, tags and anchors of YAML."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import yaml
from numpy.random import Generator

from tests.hostile.spoil_bytes import LARGE_CELL, TEXTS, flip_bits, spoiled_at


def _separator(line: bytes) -> bytes:
    return max((b",", b";", b"\t", b" "), key=line.count)


def text_cell(data: bytes, rng: Generator) -> bytes:
    """Put a hostile word into one cell of a delimited line."""
    lines = data.split(b"\n")
    at = int(rng.integers(0, len(lines)))
    mark = _separator(lines[at])
    cells = lines[at].split(mark)
    word = "x" * LARGE_CELL if rng.random() < 0.01 else str(rng.choice(TEXTS))
    cells[int(rng.integers(0, len(cells)))] = word.encode("utf-8", "surrogatepass")
    lines[at] = mark.join(cells)
    return b"\n".join(lines)


def text_lines(data: bytes, rng: Generator) -> bytes:
    """Drop, repeat, swap or join lines, or add and drop a cell."""
    lines = data.split(b"\n")
    a, b, how = int(rng.integers(0, len(lines))), int(rng.integers(0, len(lines))), int(rng.integers(0, 6))
    if how == 0:
        del lines[a]
    elif how == 1:
        lines[a:a] = [lines[b]] * int(rng.choice([1, 2, 2_000]))
    elif how == 2:
        lines[a], lines[b] = lines[b], lines[a]
    elif how == 3:
        lines[a] += b"," * int(rng.choice([1, 5, 50_000]))
    elif how == 4:
        lines[a] = lines[a].rsplit(b",", 1)[0]
    else:
        lines[a] = b'"' + lines[a]
    return b"\n".join(lines)


def text_encoding(data: bytes, rng: Generator) -> bytes:
    """Another encoding, another end of line, a byte order mark in the wrong place, NULs."""
    text = data.decode("utf-8", "replace")
    makers: tuple[Callable[[], bytes], ...] = (
        lambda: text.encode("utf-16"),
        lambda: text.encode("utf-32"),
        lambda: b"\xef\xbb\xbf" * 3 + data,
        lambda: data.replace(b"\n", b"\r"),
        lambda: data.replace(b"\n", b"\r\n"),
        lambda: data.replace(b"\n", "\u2028".encode()),
        lambda: data.replace(b",", b";"),
        lambda: data.replace(b"e", b"\xe9"),
        lambda: data.replace(b" ", b"\0"),
        data.upper,
    )
    return makers[int(rng.integers(0, len(makers)))]()


def hostile_value(rng: Generator) -> Any:
    """A value that no field expects."""
    nested: Any = 1
    for _ in range(200):
        nested = [nested]
    values: tuple[Any, ...] = (
        None, True, False, 0, -1, 2**31, 2**63, 10**400, 1e308, -1e308, float("nan"), float("inf"), 0.5, "", "\0",
        "../../x", "A" * 100_000, [], {}, [None], [[]], [{}], {"": None}, {"a": {"b": []}}, nested, list(range(3_000)),
        str(rng.choice(TEXTS)), str(rng.choice(TEXTS)),
    )  # fmt: skip
    return values[int(rng.integers(0, len(values)))]


def places_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        found += places_of(child, (*path, key))
    return found


def changed_value(value: Any, rng: Generator) -> Any:
    """Replace, remove, rename or repeat one value of a tree of dicts and lists."""
    places = places_of(value)
    if not places or rng.random() < 0.05:
        return hostile_value(rng)
    *above, last = places[int(rng.integers(0, len(places)))]
    home = value
    for key in above:
        home = home[key]
    how = rng.random()
    if how < 0.6:
        home[last] = hostile_value(rng)
    elif how < 0.75:
        del home[last]
    elif isinstance(home, list):
        home += [home[last]] * int(rng.choice([1, 3, 500]))
    else:
        home[str(rng.choice(TEXTS))] = home[last]
    return value


def json_value(data: bytes, rng: Generator) -> bytes:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return flip_bits(data, rng)
    for _ in range(int(rng.choice([1, 1, 1, 3]))):
        value = changed_value(value, rng)
    return json.dumps(value).encode()


def json_depth(data: bytes, rng: Generator) -> bytes:
    """Nest brackets without end, alone or in the place of a value."""
    depth = int(rng.choice([500, 10_000, 200_000]))
    opening, shut = ((b"[", b"]"), (b'{"a":', b"}"))[int(rng.integers(0, 2))]
    nest = opening * depth + b"1" + shut * (depth if rng.random() < 0.7 else 0)
    at = data.find(b":", spoiled_at(data, rng)) if rng.random() < 0.6 else -1
    return nest if at < 0 else data[: at + 1] + nest + b"," + data[at + 1 :]


def yaml_value(data: bytes, rng: Generator) -> bytes:
    if b"&" in data:  # anchors that multiply: written out they would fill the memory here
        return text_lines(data, rng)
    try:
        value = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text_lines(data, rng)
    return yaml.safe_dump(changed_value(value, rng), sort_keys=False).encode("utf-8", "replace")


def yaml_trick(data: bytes, rng: Generator) -> bytes:
    """Tags that make objects, anchors that multiply or bite their own tail, merges, documents in a row."""
    laughs = ["a0: &a0 [lol]"] + [
        f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, int(rng.choice([3, 8, 12])))
    ]
    tricks = (
        "\n".join(laughs), "x: !!python/object/apply:os.system ['true']", "x: !!binary AAAA", "x: &x [*x]",
        "x: &x {y: *x}", "<<: &m {seed: 1}\n<<: *m", "---\n...\n---\nseed: 2", "x: !!set {a, b}", "x: 12:30:45",
        "? [a, b]\n: c", "? {a: b}\n: c", "x: " + "[" * int(rng.choice([50, 900, 5_000])), "x: *nowhere", "%YAML 9.9\n---",
        "x: !!timestamp 2026-99-99", "x: " + "9" * 5_000, "x: 0o777\ny: 1e400", "\t- x", "x: |\n" + " y\n" * 50,
    )  # fmt: skip
    trick = tricks[int(rng.integers(0, len(tricks)))].encode()
    lines = data.split(b"\n")
    at = int(rng.choice([0, len(lines)]))
    lines[at:at] = trick.split(b"\n")
    return b"\n".join(lines)
