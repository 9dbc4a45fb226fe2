"""What coordinators did at two stations since their databases parted, brought together (RS-U4, RS-A1).

The target's audit chain stays as it is; the other station's entries are kept whole inside one new entry of it, each
with its own hash. Protocols and locks made apart cannot be brought together and are refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from reader_study.audit import audit_study
from reader_study.domain.events import Draft, Event, EventKind, seal
from reader_study.errors import StoreError
from reader_study.ports import Clock

Row = Mapping[str, object]

_K = EventKind
# What stays one station's to do: which protocol and which end a study has cannot differ between databases.
_ALONE = frozenset(
    {_K.PROTOCOL_DRAFTED.value, _K.PROTOCOL_FROZEN.value, _K.PROTOCOL_AMENDED.value}
    | {_K.ALLOCATION_MADE.value, _K.CASES_IMPORTED.value, _K.STUDY_LOCKED.value}
)


def taken_in(ours: Sequence[Row], theirs: Sequence[Row], *, name: str, clock: Clock) -> Event | None:
    """Return the entry that takes ``theirs`` into ``ours``, two audit chains that parted; None = nothing is new.

    Parameters
    ----------
    ours, theirs : sequence of row
        The whole chains, as they lie.
    name : str
        The other database, as it may stand in a sentence.

    Raises
    ------
    StoreError
        Either station changed the protocol, or the other locked the study, since they parted.
    """
    session_id = str(ours[0]["session_id"])
    shared = sum(a["hash"] == b["hash"] for a, b in zip(ours, theirs, strict=False))
    known = {str(row["hash"]) for row in (*ours, *_inside(ours))}
    apart = [row for row in (*theirs[shared:], *_inside(theirs)) if row["kind"] != _K.AUDIT_TAKEN_IN.value]
    fresh = [row for row in apart if str(row["hash"]) not in known]
    alone = next((row for row in fresh if row["kind"] in _ALONE), None)
    if alone is not None:
        raise StoreError(
            f"Study {audit_study(session_id)}: expected its protocol and its lock from one database, found {alone['kind']}"
            f" in {name} after the two parted; nothing was copied: draft, amend and lock in one database only."
        )
    if not fresh:
        return None
    last = ours[-1]
    body: dict[str, object] = {
        "who": "merge",
        "role": "",
        "subject": name,
        "old": None,
        "new": {"entries": [dict(row) for row in fresh]},
        "why": "",
    }
    draft = Draft(
        kind=_K.AUDIT_TAKEN_IN,
        body=body,
        boot_id=clock.boot_id,
        t_mono_ns=clock.monotonic_ns(),
        t_utc=clock.utc_now(),
    )
    seq = last["seq"]
    assert isinstance(seq, int)
    return seal(session_id, [draft], seq=seq, prev_hash=str(last["hash"]))[0]


def _inside(chain: Sequence[Row]) -> Iterator[Row]:
    """The entries that earlier merges took into a chain."""
    for row in chain:
        if row["kind"] == _K.AUDIT_TAKEN_IN.value:
            yield from json.loads(str(row["body"]))["new"]["entries"]
