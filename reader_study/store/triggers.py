"""The triggers that refuse to change what was once written (RS-A1), on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, text

from reader_study.store.migrate import stored_version

_BEGUN = (
    "EXISTS (SELECT 1 FROM events JOIN plans ON plans.session_id = events.session_id"
    " WHERE plans.study_id = OLD.study_id)"
)
_LOG, _STUDY = "the event log is append-only", "the study has begun"

# name: (table, operation, guard that must hold or "", message); made by the first revision, by the second
FIRST: Mapping[str, tuple[str, str, str, str]] = {
    "events_refuse_update": ("events", "UPDATE", "", _LOG),
    "events_refuse_delete": ("events", "DELETE", "", _LOG),
    "studies_refuse_update": ("studies", "UPDATE", _BEGUN, _STUDY),
    "studies_refuse_delete": ("studies", "DELETE", _BEGUN, _STUDY),
    "plans_refuse_update": ("plans", "UPDATE", _BEGUN, _STUDY),
    "plans_refuse_delete": ("plans", "DELETE", _BEGUN, _STUDY),
}
SECOND: Mapping[str, tuple[str, str, str, str]] = {
    "protocols_refuse_update": ("protocols", "UPDATE", "", "protocol versions are append-only"),
    "protocols_refuse_delete": ("protocols", "DELETE", "", "protocol versions are append-only"),
}
RULES: Mapping[str, tuple[str, str, str, str]] = {**FIRST, **SECOND}


def sqlite_trigger(name: str) -> str:
    """The statement that makes a trigger, exactly as SQLite keeps it."""
    table, operation, guard, message = RULES[name]
    when = f" WHEN {guard}" if guard else ""
    return f"CREATE TRIGGER {name} BEFORE {operation} ON {table}{when} BEGIN SELECT RAISE(ABORT, '{message}'); END"


def _postgresql_body(name: str) -> str:
    _, operation, guard, message = RULES[name]
    refuse = f"RAISE EXCEPTION '{message}';"
    if not guard:
        return f"BEGIN {refuse} END"
    kept = "NEW" if operation == "UPDATE" else "OLD"
    return f"BEGIN IF {guard} THEN {refuse} END IF; RETURN {kept}; END"


def _postgresql(name: str) -> tuple[str, ...]:
    table, operation, _, _ = RULES[name]
    made: tuple[str, ...] = (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ {_postgresql_body(name)} $$",
        f"CREATE TRIGGER {name} BEFORE {operation} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()",
    )
    if name == "events_refuse_delete":  # TRUNCATE fires no row trigger
        made += (
            f"CREATE TRIGGER events_refuse_truncate BEFORE TRUNCATE ON {table}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {name}()",
        )
    return made


def make_triggers(connection: Connection, names: Iterable[str] = tuple(FIRST)) -> None:
    """Create the triggers that a revision brings, those of the first one unless others are named."""
    for name in names:
        statements = (sqlite_trigger(name),) if connection.dialect.name == "sqlite" else _postgresql(name)
        for statement in statements:
            connection.execute(text(statement.replace(":", "\\:")))


def wrong_triggers(connection: Connection) -> tuple[str, ...]:
    """Names of triggers that are missing, switched off, or not as they were made, for the database's own schema."""
    expected = RULES if stored_version(connection) > 1 else FIRST
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
        found = {row.name: row.sql for row in rows}
        return tuple(name for name in expected if found.get(name) != sqlite_trigger(name))
    rows = connection.execute(
        text(
            "SELECT t.tgname AS name, t.tgenabled AS enabled, p.prosrc AS body FROM pg_trigger t"
            " JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_class c ON c.oid = t.tgrelid"
            " WHERE NOT t.tgisinternal AND c.relname IN ('events', 'studies', 'plans', 'protocols')"
        )
    )
    made = {row.name: (_text(row.enabled), row.body.strip()) for row in rows}
    wrong = [name for name in expected if made.get(name) != ("O", _postgresql_body(name))]
    if made.get("events_refuse_truncate") != ("O", _postgresql_body("events_refuse_delete")):
        wrong.append("events_refuse_truncate")
    return tuple(wrong)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
