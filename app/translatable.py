"""Finds every text that the user can read in the source code, by context: what a catalogue must hold.

``python -m app.translatable zh_CN`` prints what a language lacks and what it holds in vain; with ``--json`` the whole
catalogue, "" where a translation is lacking, to begin or to mend a language's file.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from app.control.commands import COMMANDS
from app.engine_sentences import engine_sentences
from resources.files import ResourceError
from resources.translation import catalogue

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("app", "reader_study", "inference")


def texts() -> dict[str, tuple[str, ...]]:
    """Return every translatable text by context, sorted."""
    found: dict[str, set[str]] = {}
    for path in sorted(p for room in ROOMS for p in (ROOT / room).rglob("*.py")):
        for context, text in texts_of(path.read_text(encoding="utf-8")):
            found.setdefault(context, set()).add(text)
    commands = found.setdefault("commands", set())
    for command in COMMANDS:
        commands.update({command.title, command.group})
    found["engines"] = set(engine_sentences())
    for context, text in (*_protocol_titles(), *_model_words(), *_demo_titles()):
        found.setdefault(context, set()).add(text)
    return {context: tuple(sorted(group)) for context, group in sorted(found.items())}


def texts_of(source: str) -> Iterator[tuple[str, str]]:
    """Yield (context, text) of each call of ``_tr("...")`` and of translate("context", "...") in one module."""
    tree = ast.parse(source)
    own = _context_of_tr(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        words = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        if name == "_tr" and own is not None and len(words) == len(node.args) == 1:
            yield own, words[0]
        elif name == "translate" and len(words) == len(node.args) == 2:
            yield words[0], words[1]


def _context_of_tr(tree: ast.Module) -> str | None:
    """Context that the module's own ``_tr`` looks its texts up in."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "_tr":
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Constant):
                    return str(call.args[0].value)
    return None


def _protocol_titles() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "resources" / "hanging_protocols").glob("*.json")):
        if not path.name.endswith(".schema.json"):
            yield from _titles(json.loads(path.read_text(encoding="utf-8")))


def _titles(content: object) -> Iterator[tuple[str, str]]:
    if isinstance(content, dict):
        for key, value in content.items():
            if key == "title" and isinstance(value, str):
                yield "hanging", value
            else:
                yield from _titles(value)
    elif isinstance(content, list):
        for value in content:
            yield from _titles(value)


def _model_words() -> Iterator[tuple[str, str]]:
    """What the packaged models do, what their scores mean and what they are for."""
    for path in sorted((ROOT / "resources" / "models").glob("*/card.json")):
        card = json.loads(path.read_text(encoding="utf-8"))
        for name in ("name", "licence", "score_meaning", "task", "intended_use"):
            yield "model", str(card[name])


def _demo_titles() -> Iterator[tuple[str, str]]:
    """Titles of the demo study and its arms; those of other studies are their authors' words."""
    for node in ast.walk(ast.parse((ROOT / "app" / "demo_study.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "title" and isinstance(node.value, ast.Constant):
            yield "study", str(node.value.value)


def _known(language: str) -> Mapping[str, Mapping[str, str]]:
    """The catalogue; empty for a language that has no file yet."""
    try:
        return catalogue(language)
    except ResourceError:
        return {}


def skeleton(language: str) -> str:
    """The language's file as it should be: every text, translated where it is so far, nothing in vain."""
    known = _known(language)
    whole = {c: {t: known.get(c, {}).get(t, "") for t in group} for c, group in texts().items()}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def gaps(language: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Texts that a language lacks, and texts it translates that no code shows."""
    wanted: Mapping[str, tuple[str, ...]] = texts()
    known = _known(language)
    lacking = [(c, t) for c, group in wanted.items() for t in group if not known.get(c, {}).get(t)]
    needless = [(c, t) for c, group in known.items() for t in group if t not in wanted.get(c, ())]
    return lacking, needless


if __name__ == "__main__":
    named = [word for word in sys.argv[1:] if not word.startswith("-")] or ["zh_CN"]
    if "--json" in sys.argv:
        sys.stdout.write(skeleton(named[0]))
        sys.exit(0)
    missing, vain = gaps(named[0])
    lines = [f"lacks  {context}: {text!r}" for context, text in missing]
    lines += [f"vain   {context}: {text!r}" for context, text in vain]
    sys.stdout.write("\n".join([*lines, f"{len(missing)} lacking, {len(vain)} in vain"]) + "\n")
