"""Keeps every frozen version of a protocol, the first one too; none is ever changed or removed (RS-D1)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from reader_study.domain.amendment import check_amendment
from reader_study.domain.study import Study
from reader_study.domain.study_json import protocol_hash, study_from_text, study_to_text
from reader_study.errors import StoreError
from reader_study.store.schema import EVENTS, PLANS, PROTOCOLS, STUDIES


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolVersion:
    """One frozen version; ``number`` counts from 1, ``made_utc`` is ISO 8601 UTC."""

    number: int
    protocol_hash: str
    reason: str
    made_by: str
    made_utc: str
    study: Study


def newest_body(connection: Connection, study_id: str) -> str | None:
    """Return the text of the version in force, else of the draft; None when there is no such study."""
    frozen = connection.execute(
        select(PROTOCOLS.c.body)
        .where(PROTOCOLS.c.study_id == study_id)
        .order_by(PROTOCOLS.c.number.desc())
        .limit(1)
    ).scalar()
    draft = select(STUDIES.c.body).where(STUDIES.c.study_id == study_id)
    return str(frozen) if frozen is not None else connection.execute(draft).scalar()


def is_frozen(connection: Connection, study_id: str) -> bool:
    found = connection.execute(select(PROTOCOLS.c.number).where(PROTOCOLS.c.study_id == study_id).limit(1))
    return found.first() is not None


def freeze(connection: Connection, study_id: str, *, made_by: str, made_utc: str, reason: str) -> None:
    """Keep the draft as version 1; StoreError when it is frozen already."""
    if is_frozen(connection, study_id):
        raise StoreError(f"Study {study_id}: expected a draft, found a frozen protocol; amend it instead.")
    body = newest_body(connection, study_id)
    if body is None:
        raise StoreError(f"Study {study_id}: not in this database; save its protocol first.")
    _keep(connection, study_from_text(body), 1, made_by=made_by, made_utc=made_utc, reason=reason)


def amend(connection: Connection, study: Study, *, made_by: str, made_utc: str, reason: str) -> None:
    """Keep a new version of a frozen protocol, with its reason; StudyError when it may not follow the last."""
    if not reason.strip():
        raise StoreError(
            f"Study {study.study_id}: expected a reason for the amendment, found none; give one."
        )
    if not is_frozen(connection, study.study_id):
        raise StoreError(
            f"Study {study.study_id}: expected a frozen protocol, found a draft; save it instead."
        )
    body = newest_body(connection, study.study_id)
    assert body is not None, "a frozen protocol has a text"
    check_amendment(study_from_text(body), study, begun_sessions(connection, study.study_id))
    last = select(func.max(PROTOCOLS.c.number)).where(PROTOCOLS.c.study_id == study.study_id)
    number = int(connection.execute(last).scalar_one()) + 1
    _keep(connection, study, number, made_by=made_by, made_utc=made_utc, reason=reason)
    kept = select(PLANS.c.session_id).where(PLANS.c.study_id == study.study_id)
    known = set(connection.execute(kept).scalars())
    fresh = [plan.session_id for plan in study.plans if plan.session_id not in known]
    if fresh:
        connection.execute(PLANS.insert(), [{"session_id": s, "study_id": study.study_id} for s in fresh])


def versions(connection: Connection, study_id: str) -> tuple[ProtocolVersion, ...]:
    """Return every frozen version, oldest first."""
    query = select(PROTOCOLS).where(PROTOCOLS.c.study_id == study_id).order_by(PROTOCOLS.c.number)
    return tuple(
        ProtocolVersion(
            number=row.number,
            protocol_hash=row.protocol_hash,
            reason=row.reason,
            made_by=row.made_by,
            made_utc=row.t_utc,
            study=study_from_text(row.body),
        )
        for row in connection.execute(query)
    )


def begun_sessions(connection: Connection, study_id: str) -> frozenset[str]:
    """Return the sessions of a study that have events."""
    first = (EVENTS.c.session_id == PLANS.c.session_id) & (EVENTS.c.seq == 1)
    query = select(PLANS.c.session_id).join(EVENTS, first).where(PLANS.c.study_id == study_id)
    return frozenset(connection.execute(query).scalars())


def _keep(
    connection: Connection, study: Study, number: int, *, made_by: str, made_utc: str, reason: str
) -> None:
    row = {
        "study_id": study.study_id,
        "number": number,
        "protocol_hash": protocol_hash(study),
        "body": study_to_text(study),
        "reason": reason,
        "made_by": made_by,
        "t_utc": made_utc,
    }
    connection.execute(PROTOCOLS.insert(), [row])
