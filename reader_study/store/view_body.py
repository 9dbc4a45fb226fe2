"""The body of a view change, read only when somebody asks: most of a log is view changes, and few readers look."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from reader_study.errors import StoreError

_BEFORE = '{"case_id":"'  # canonical JSON: sorted keys, no spaces


class ViewBody(Mapping[str, object]):
    """The JSON text of a body as a mapping; ``case_id`` is found without reading the rest."""

    __slots__ = ("_known", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._known: Mapping[str, object] | None = None

    @property
    def case_id(self) -> str:
        """The case, from the text's beginning where it is written as this program writes it."""
        end = self._text.find('"', len(_BEFORE))
        case_id = self._text[len(_BEFORE) : end]
        if end < 0 or "\\" in case_id or not self._text.startswith(_BEFORE):
            return str(self._all()["case_id"])
        return case_id

    def _all(self) -> Mapping[str, object]:
        if self._known is None:
            try:
                self._known = json.loads(self._text)
            except ValueError as error:
                raise StoreError(
                    "A view change: expected JSON, found damage; run verify-log on the database."
                ) from error
        assert isinstance(self._known, dict)
        return self._known

    def __getitem__(self, name: str) -> object:
        return self.case_id if name == "case_id" and self._known is None else self._all()[name]

    def get(self, name: str, default: object = None) -> object:
        """Return a field, or ``default`` where there is none."""
        return self.case_id if name == "case_id" and self._known is None else self._all().get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return f"ViewBody({self._text})"
