"""Holds protocols, allocation and accounts against what the log says of them (RS-A2): a row changed by hand shows.

Pure functions over rows as they lie on disk. The log itself is walked by ``verify``; without a chain of the
coordinator's (demo, simulation) only what the sessions recorded can be compared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from reader_study.accounts import password_mark
from reader_study.audit import audit_session
from reader_study.domain.events import EventKind
from reader_study.store.inspection import Inspection, RawRow

_K = EventKind
_IN_FORCE = (_K.PROTOCOL_FROZEN.value, _K.PROTOCOL_AMENDED.value)
_ACCOUNT = (_K.ACCOUNT_CHANGED.value, _K.READER_ENROLLED.value)
_AFTER_LOCK = (_K.SESSION_CLOSED.value, _K.VIEW_CHANGED.value)  # who sat there when it was locked may leave
Row = Mapping[str, Any]


def table_problems(inspection: Inspection, chains: Mapping[str, Sequence[RawRow]]) -> list[str]:
    """Return one sentence for each row beside the log that the log does not bear out."""
    found: list[str] = []
    openings: dict[str, list[tuple[str, Row]]] = {}
    for session_id, rows in chains.items():
        for row in rows:
            if row.kind == _K.SESSION_OPENED:
                body = _body(row)
                openings.setdefault(str(body.get("study_id")), []).append((session_id, body))
    for study in inspection.tables["studies"]:
        study_id = str(study["study_id"])
        versions = [v for v in inspection.tables["protocols"] if v["study_id"] == study_id]
        versions.sort(key=lambda row: int(row["number"]))
        audit = chains.get(audit_session(study_id), ())
        found += _protocols(study, versions, audit)
        found += _sessions(study, versions, openings.get(study_id, []))
        found += _plans(study, versions, inspection.tables["plans"])
        if any(row.kind == _K.PROTOCOL_DRAFTED for row in audit):
            accounts = [row for row in inspection.tables["accounts"] if row["study_id"] == study_id]
            found += _accounts(study_id, accounts, audit, _readers([study, *versions]))
            found += _after_lock(study_id, audit, chains)
    return found


def _protocols(study: Row, versions: Sequence[Row], audit: Sequence[RawRow]) -> Iterator[str]:
    study_id = study["study_id"]
    if _digest(study["body"]) != study["protocol_hash"]:
        yield f"Study {study_id}: the text of its draft does not match its hash; it was changed."
    for row in versions:
        if _digest(row["body"]) != row["protocol_hash"]:
            yield f"Study {study_id}, protocol version {row['number']}: its text does not match its hash; it was changed."
    said = [_new(row).get("protocol_hash") for row in audit if row.kind in _IN_FORCE]
    kept = [str(row["protocol_hash"]) for row in versions]
    differ = len(said) != len(kept) or any(a is not None and a != b for a, b in zip(said, kept, strict=False))
    if any(row.kind == _K.PROTOCOL_DRAFTED for row in audit) and differ:
        yield (
            f"Study {study_id}: the audit tells of {len(said)} protocol versions, the database keeps {len(kept)}"
            " or others; a protocol version was changed, added or removed."
        )
    if versions and str(study["protocol_hash"]) != kept[0]:
        yield f"Study {study_id}: its draft is not the text that was frozen; it was changed."


def _sessions(study: Row, versions: Sequence[Row], openings: Iterable[tuple[str, Row]]) -> Iterator[str]:
    known = {str(row["protocol_hash"]) for row in (study, *versions)}
    for session_id in sorted({one for one, body in openings if body.get("protocol_hash") not in known}):
        yield f"Session {session_id}: it was read under a protocol that the database does not keep; a protocol was changed or removed."


def _plans(study: Row, versions: Sequence[Row], plans: Iterable[Row]) -> Iterator[str]:
    """Each planned session has its row, and each row its plan: rows say which study a session's events belong to."""
    study_id = study["study_id"]
    kept = {str(row["session_id"]) for row in plans if row["study_id"] == study_id}
    planned = [{str(p.get("session_id")) for p in _list(row, "plans")} for row in (study, *versions)]
    for session_id in sorted(planned[-1] - kept):
        yield f"Session {session_id}: its row among the plans of study {study_id} is missing; it was removed."
    for session_id in sorted(kept - set().union(*planned)):
        yield f"Session {session_id}: no protocol of study {study_id} plans it; its row was added."


def _accounts(
    study_id: str, accounts: Iterable[Row], audit: Sequence[RawRow], readers: frozenset[str]
) -> Iterator[str]:
    told: dict[str, Row] = {}
    for entry in (*_taken_in(audit), *audit):  # what was done here itself counts
        if entry.kind in _ACCOUNT:
            told[str(_body(entry).get("subject"))] = {"role": "reader", **_new(entry)}
    kept = {str(row["reader_id"]): row for row in accounts}
    for who, row in sorted(kept.items()):
        role = str(row.get("role", "reader"))
        expected = told.get(who, {"role": "reader"} if who in readers else {})
        if not told:
            return  # an audit from before accounts were in it
        if not expected:
            yield f"Study {study_id}, account {who}: nobody made it, as far as the audit tells; it was added."
        elif role != expected["role"]:
            yield f"Study {study_id}, account {who}: the audit knows it as {expected['role']}, found {role}; it was changed."
        elif "password_mark" in expected and password_mark(row["password_hash"]) != expected["password_mark"]:
            yield f"Study {study_id}: the password of {who} is not the one that was set; it was changed."
    for who in sorted(set(told) - set(kept)):
        yield f"Study {study_id}, account {who}: the audit knows it, the database does not; it was removed."


def _taken_in(audit: Sequence[RawRow]) -> list[RawRow]:
    """Other stations' audit entries that merges kept inside this chain."""
    found: list[RawRow] = []
    for row in audit:
        entries = _new(row).get("entries") if row.kind == _K.AUDIT_TAKEN_IN else None
        for one in entries if isinstance(entries, list) else ():
            if isinstance(one, dict) and set(one) == set(RawRow.__dataclass_fields__):
                found.append(RawRow(**one))
    return found


def _after_lock(
    study_id: str, audit: Sequence[RawRow], chains: Mapping[str, Sequence[RawRow]]
) -> Iterator[str]:
    locked = next((row for row in audit if row.kind == _K.STUDY_LOCKED), None)
    if locked is None:
        return
    opened = _K.SESSION_OPENED.value
    for session_id, rows in sorted(chains.items()):
        if not any(row.kind == opened and _body(row).get("study_id") == study_id for row in rows):
            continue
        if any(str(row.t_utc) > str(locked.t_utc) and row.kind not in _AFTER_LOCK for row in rows):
            yield f"Session {session_id}: it went on after the study was locked; compare it with the export."


def _readers(rows: Iterable[Row]) -> frozenset[str]:
    return frozenset(str(one.get("reader_id")) for row in rows for one in _list(row, "readers"))


def _list(row: Row, name: str) -> list[Row]:
    try:
        value = json.loads(row["body"])[name]
    except (ValueError, KeyError, TypeError, RecursionError):  # told by its hash already
        return []
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _digest(body: object) -> str:
    return hashlib.sha256(str(body).encode("utf-8")).hexdigest()


def _body(row: RawRow) -> Row:
    try:
        value = json.loads(str(row.body))
    except (ValueError, RecursionError):  # told by the walk
        return {}
    return value if isinstance(value, dict) else {}


def _new(row: RawRow) -> Row:
    value = _body(row).get("new")
    return value if isinstance(value, dict) else {}
