"""What the user reads, in her language: catalogues of context, English source and translation.

English is the source and needs no catalogue. ``translate`` works without Qt; the window hands Qt's own look-ups on to it.
"""

from __future__ import annotations

import locale
import os
from collections.abc import Mapping
from functools import cache

from resources.files import ResourceError, read_json, resource_path

SOURCE = "en"
Catalogue = Mapping[str, Mapping[str, str]]

_current: dict[str, Catalogue] = {"catalogue": {}}


@cache
def languages() -> tuple[str, ...]:
    """Language codes that the program speaks, English first."""
    found = sorted(path.stem for path in resource_path("translations").glob("*.json"))
    return (SOURCE, *found)


@cache
def catalogue(language: str) -> Catalogue:
    """Return the catalogue of a language; empty for English. ResourceError names what is wrong with the file."""
    if language == SOURCE:
        return {}
    path = resource_path("translations", f"{language}.json")
    content = read_json(path)
    if not isinstance(content, dict) or not all(isinstance(part, dict) for part in content.values()):
        raise ResourceError(f"{path}: expected an object of contexts, each an object of texts.")
    return content


def chosen_language(setting: str) -> str:
    """Turn a setting ('system', 'en', 'zh_CN') into a language that the program speaks; English when it does not."""
    wanted = setting
    if setting == "system":
        wanted = os.environ.get("LC_ALL") or os.environ.get("LANG") or locale.getlocale()[0] or SOURCE
    wanted = wanted.partition(".")[0].replace("-", "_")
    for language in languages():
        if language == wanted or language.partition("_")[0] == wanted.partition("_")[0]:
            return language
    return SOURCE


def use(language: str) -> None:
    """Speak this language from now on."""
    _current["catalogue"] = catalogue(language)


def translate(context: str, source: str) -> str:
    """Return ``source`` in the language in use; the source itself where the catalogue lacks it."""
    return _current["catalogue"].get(context, {}).get(source) or source  # "" = not translated yet


def entries(context: str) -> Mapping[str, str]:
    """Return the translations of one context in the language in use, by English source; empty for English."""
    return _current["catalogue"].get(context, {})
