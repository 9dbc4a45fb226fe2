"""Walks the log row by row as it lies on disk and says whether anything was changed (RS-A2).

Finds a changed, removed, inserted or reordered event, and, with the anchor file, a cut tail or a missing
session; what the tables beside the log say is held against it by ``verify_tables``. Reads only, repairs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reader_study.anchor import read_anchors
from reader_study.domain.events import GENESIS, row_hash
from reader_study.errors import StoreError
from reader_study.ports import Head
from reader_study.store.inspection import RawRow, read_raw
from reader_study.verify_tables import table_problems


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What the walk found; ``ok`` when there is no problem. ``notes`` are facts that are no proof of harm."""

    ok: bool
    problems: tuple[str, ...]
    sessions: int
    events: int
    notes: tuple[str, ...] = ()


def verify_log(db_or_url: str | Path, anchor: Path | None = None) -> VerifyReport:
    """Check every chain of a database, and the chain ends against the anchor file when one is named.

    Parameters
    ----------
    db_or_url : str or Path
        The database file or its sqlite:/// URL.
    anchor : Path, optional
        The anchor file kept elsewhere; without it a cut tail cannot be seen.

    Returns
    -------
    VerifyReport
        A file that is missing or damaged is a problem in the report, not an exception.
    """
    try:
        inspection = read_raw(db_or_url)
    except StoreError as error:
        return VerifyReport(ok=False, problems=(str(error),), sessions=0, events=0)
    problems = []
    if inspection.studies == 0:
        # Also what a log looks like whose every row was taken away: never to be called intact.
        problems.append(f"Study database {db_or_url}: it holds no study; check the path or restore a backup.")
    problems += [
        f"The trigger {name} is missing or changed: the log could be edited."
        for name in inspection.wrong_triggers
    ]
    chains: dict[str, list[RawRow]] = {}
    for row in inspection.rows:
        chains.setdefault(str(row.session_id), []).append(row)
    hashes: dict[str, dict[int, str]] = {}
    for session_id, rows in sorted(chains.items()):
        problems.extend(_walk(session_id, rows))
        hashes[session_id] = {row.seq: str(row.hash) for row in rows if isinstance(row.seq, int)}
    try:
        problems.extend(table_problems(inspection, chains))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        problems.append(
            f"Study database {db_or_url}: its tables hold values that no program writes ({error!r}); restore a backup."
        )
    notes: list[str] = []
    if anchor is None:
        notes.append("No anchor file was named: a cut tail would not be seen.")
    else:
        found, torn = _check_anchors(anchor, hashes)
        problems.extend(found)
        if torn:
            notes.append(f"The anchor file has {torn} unreadable line(s), as a crash leaves behind.")
    return VerifyReport(
        ok=not problems,
        problems=tuple(problems),
        sessions=len(chains),
        events=len(inspection.rows),
        notes=tuple(notes),
    )


def _walk(session_id: str, rows: list[RawRow]) -> list[str]:
    found: list[str] = []
    head = Head(count=0, hash=GENESIS)
    for row in rows:
        where = f"Session {session_id}, event {row.seq}"
        if row.seq != head.count + 1:
            found.append(
                f"{where}: expected event {head.count + 1}; an event was removed, inserted or moved."
            )
        if row.prev_hash != head.hash:
            found.append(
                f"{where}: it does not follow the event before it; one was changed, removed or moved."
            )
        if _digest(row) != row.hash:
            found.append(f"{where}: its content does not match its hash; it was changed.")
        head = Head(count=row.seq if isinstance(row.seq, int) else head.count + 1, hash=str(row.hash))
    return found


def _digest(row: RawRow) -> str | None:
    try:
        return row_hash(
            seq=row.seq,
            session_id=row.session_id,
            kind=row.kind,
            version=row.version,
            boot_id=row.boot_id,
            t_mono_ns=row.t_mono_ns,
            t_utc=row.t_utc,
            body_text=row.body,
            prev_hash=row.prev_hash,
        )
    except (TypeError, ValueError):  # bytes or an endless number, which no event ever held
        return None


def _check_anchors(path: Path, hashes: dict[str, dict[int, str]]) -> tuple[list[str], int]:
    try:
        anchors, torn = read_anchors(path)
    except StoreError as error:
        return [str(error)], 0
    found: list[str] = []
    cut: dict[str, int] = {}
    for anchor in anchors:
        if anchor.count == 0:
            continue
        known = hashes.get(anchor.session_id, {})
        if anchor.count not in known:
            cut[anchor.session_id] = max(anchor.count, cut.get(anchor.session_id, 0))
        elif known[anchor.count] != anchor.hash:
            found.append(
                f"Session {anchor.session_id}, event {anchor.count}: the anchor file knows another event."
            )
    for session_id, count in sorted(cut.items()):
        last = max(hashes.get(session_id, {0: ""}))
        found.append(
            f"Session {session_id}: the anchor file knows {count} events, the log ends at {last}; it was cut."
        )
    return found, torn
