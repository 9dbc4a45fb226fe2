"""Finds the sentences that the AI's engines say, as templates: "{0}: the image is blank", a number for each value put in.

The engines write English, for what they say is kept in caches, logs and tables and must not depend on a screen. The
window finds the template again in what it is told (``app.state.ai_told``); this lists them for the catalogue.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENGINES = (
    "cache", "calcification_engine", "cesm_engine", "device", "engine", "engine_parts", "four_view_choice", "four_view_engine",
    "lesion_places", "matching", "model_card", "models/calcification",
    "preprocessing/calcification", "preprocessing/cesm", "preprocessing/four_view", "preprocessing/input_checks",
    "preprocessing/pipeline", "preprocessing/pixel_size", "registry", "torch_engine", "worker",
)  # fmt: skip
_BESIDE = ("app/model_shelf.py", "resources/files.py")  # what else says why a model cannot run
_NOT_SHOWN = frozenset({"ValueError", "compile", "debug", "info", "warning", "error", "exception", "define"})
_LEAST_LETTERS = 6
_WORDS = re.compile(r"[A-Za-z]{2,}[^A-Za-z{}]* [^{}]*[A-Za-z]{2,}|\w+ \{|\} \w{2,}")


def engine_sentences() -> Iterator[str]:
    """Yield every template of the engines' modules; a module that is gone raises FileNotFoundError."""
    for name in (*(f"inference/{name}.py" for name in ENGINES), *_BESIDE):
        yield from templates_of((ROOT / name).read_text(encoding="utf-8"))


def templates_of(source: str) -> Iterator[str]:
    """Yield the texts of one module that have two words or more: no docstrings, patterns, log lines or enum values."""
    tree = ast.parse(source)
    left_out = {id(node) for node in _not_shown(tree)}
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        text = _template(node)
        if _is_sentence(text):
            yield text.strip()


def _is_sentence(text: str) -> bool:
    """True for words that a person reads; a pattern, or a joining word between values, is none."""
    letters = sum(c.isalpha() for c in re.sub(r"\{\d*\}", "", text))
    if text.startswith("[") or ("{" not in text and re.search(r"\w_\w", text)):
        return False  # a pattern, names of a card's fields
    return letters >= _LEAST_LETTERS and _WORDS.search(text) is not None


def _template(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.replace("{", "{{").replace("}", "}}")
    if not isinstance(node, ast.JoinedStr):
        return ""
    said, count = "", 0
    for part in node.values:
        if isinstance(part, ast.Constant):
            said += str(part.value).replace("{", "{{").replace("}", "}}")
        else:
            said += f"{{{count}}}"
            count += 1
    return said


def _not_shown(tree: ast.Module) -> Iterator[ast.AST]:
    """Texts that nobody at the screen reads, and the parts of those that are found whole."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield from (part for part in node.values if isinstance(part, ast.Constant))
            yield from (x for part in node.values if isinstance(part, ast.FormattedValue) and part.format_spec
                        for x in ast.walk(part.format_spec))  # fmt: skip
        elif isinstance(node, ast.ClassDef):
            yield from (x for part in node.body if isinstance(part, ast.Assign) for x in ast.walk(part))
        elif isinstance(node, ast.Compare):
            yield from node.comparators
        elif isinstance(node, ast.Call) and _called(node) in _NOT_SHOWN:
            yield from (x for part in node.args for x in ast.walk(part))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
