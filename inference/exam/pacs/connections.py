"""The connections file and, apart from it, the secrets file: passwords and tokens, readable by their owner only.

The connections hold no secret and may be copied to another station; the secrets never leave this one with them.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from inference.exam.pacs.model import Auth, Connection, Kind, PacsError, Retrieve
from resources.translation import translate

CONNECTIONS_FILE = "pacs.json"
SECRETS_FILE = "pacs-secrets.json"
SCHEMA = 1
_ENUMS: Mapping[str, type[Enum]] = {"kind": Kind, "auth": Auth, "retrieve": Retrieve}
_TYPES: Mapping[str, tuple[type, ...]] = {
    "port": (int,),
    "parallel": (int,),
    "timeout_s": (int, float),
    "tls": (bool,),
    "check_host": (bool,),
    "mammography_only": (bool,),
}

_NAMED_IN_URL = re.compile(r"(https?://)[^/\s]*@")
_T = TypeVar("_T", "Connection", "ListenerSettings")


def _tr(text: str) -> str:
    return translate("pacs", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSettings:
    """What our own storage service is called, where it listens and whom it takes images from.

    Attributes
    ----------
    host : address to listen on; 127.0.0.1 = this machine only, '' = all.
    peers : AE title -> addresses it may come from, () = any address. An AE title that is not here is refused.
    max_object_mb : larger objects are refused while they arrive, 1..16384.
    max_associations : at once, 1..64.
    per_minute : associations of one address a minute, 1..6000.
    quota_gb : the shelf takes nothing beyond it, 0.1..100000.
    mammography_only : other images are refused.
    cert_file, key_file, ca_file : given = TLS; with ca_file a peer must show a certificate.
    """

    ae_title: str = "NEGATOSCOPE"
    host: str = "127.0.0.1"
    port: int = 11112
    peers: Mapping[str, tuple[str, ...]] | None = None
    max_object_mb: int = 1024
    max_associations: int = 8
    per_minute: int = 120
    quota_gb: float = 100.0
    mammography_only: bool = True
    cert_file: str = ""
    key_file: str = ""
    ca_file: str = ""

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                words = _tr("{0}: expected {1} to {2}, found {3}")
                raise ValueError(words.format(name, low, high, value))
        Connection(name="listener", kind=Kind.DIMSE, ae_title=self.ae_title, host="-", port=max(self.port, 1))


_RANGES = (
    ("port", 0, 65535), ("max_object_mb", 1, 16_384), ("max_associations", 1, 64), ("per_minute", 1, 6000),
    ("quota_gb", 0.1, 100_000),
)  # fmt: skip


class ConnectionBook:
    """The connections of one user on one station."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def path(self) -> Path:
        return self._folder / CONNECTIONS_FILE

    def connections(self) -> tuple[Connection, ...]:
        """Return all connections by name; PacsError names what in the file cannot be read."""
        try:
            found = connections_of(self._read().get("connections", []))
        except ValueError as error:
            raise self._damaged(str(error)) from error
        return tuple(sorted(found, key=lambda one: one.name.casefold()))

    def check(self) -> None:
        """Read all that is kept; PacsError names what cannot be read."""
        self.connections()
        self.listener()
        self._secrets()

    @property
    def files(self) -> tuple[Path, ...]:
        """Where all that is kept lies, whether it is there or not."""
        return self.path, self._folder / SECRETS_FILE

    def connection(self, name: str) -> Connection:
        """Return one connection by its name; PacsError names those there are."""
        known = self.connections()
        for one in known:
            if one.name == name:
                return one
        words = _tr("PACS connection {0}: expected one of {1}; choose one of them or add it.")
        raise PacsError(words.format(name, ", ".join(one.name for one in known) or _tr("none yet")))

    def keep(self, connection: Connection, *, secret: str | None = None) -> None:
        """Add or replace a connection; a secret of None leaves the one that is kept.

        A connection that leads to another server, or as another user, loses its old secret first: a password is
        never handed to a server that it was not given for.
        """
        if _NAMED_IN_URL.match(connection.url):
            words = _tr(
                "PACS connection {0}: expected an address without user and password, found them in it; enter them in their fields."
            )
            raise PacsError(words.format(connection.name))
        known = [one for one in self.connections() if one.name == connection.name]
        if secret is None and any(_whose(one) != _whose(connection) for one in known):
            self._keep_secret(connection.name, "")
        others = [one for one in self.connections() if one.name != connection.name]
        self._write(self._read() | {"connections": [_plain(one) for one in (*others, connection)]})
        if secret is not None:
            self._keep_secret(connection.name, secret)

    def remove(self, name: str) -> None:
        """Remove a connection and its secret."""
        self.connection(name)
        kept = [_plain(one) for one in self.connections() if one.name != name]
        self._write(self._read() | {"connections": kept})
        self._keep_secret(name, "")

    def listener(self) -> ListenerSettings:
        """Return how our own storage service is set up."""
        plain = self._read().get("listener", {})
        try:
            return _made(ListenerSettings, plain)
        except (ValueError, TypeError, OverflowError) as error:
            raise self._damaged(str(error)) from error

    def keep_listener(self, settings: ListenerSettings) -> None:
        """Keep how our own storage service is set up."""
        self._write(self._read() | {"listener": _plain(settings)})

    def secret(self, connection: Connection) -> str:
        """Return the password or token of a connection, '' where none is kept."""
        return self._secrets().get(connection.name, "")

    # ---- files

    def _read(self) -> dict[str, object]:
        try:
            plain = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"schema": SCHEMA}
        except (OSError, ValueError, RecursionError) as error:
            raise self._damaged(str(error)) from error
        if not isinstance(plain, dict) or plain.get("schema") != SCHEMA:
            raise self._damaged(_tr("expected schema {0}").format(SCHEMA))
        return plain

    def _damaged(self, why: str) -> PacsError:
        words = _tr("{0}: the PACS connections cannot be read ({1}); mend the file or move it away.")
        return PacsError(words.format(self.path, why))

    def _write(self, plain: Mapping[str, object]) -> None:
        self._swap(self.path, plain, mode=0o644)

    def _secrets(self) -> dict[str, str]:
        path = self._folder / SECRETS_FILE
        try:
            if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
                words = _tr(
                    "{0}: expected a file that only its owner can read, found open rights; chmod 600 it."
                )
                raise PacsError(words.format(path))
            plain = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            words = _tr("{0}: the passwords cannot be read ({1}); remove the file and enter them again.")
            raise PacsError(words.format(path, error)) from error
        return {str(k): str(v) for k, v in plain.items()} if isinstance(plain, dict) else {}

    def _keep_secret(self, name: str, secret: str) -> None:
        secrets = self._secrets()
        if not secret and name not in secrets:
            return
        secrets.pop(name, None)
        if secret:
            secrets[name] = secret
        self._swap(self._folder / SECRETS_FILE, secrets, mode=0o600)

    def _swap(self, path: Path, plain: Mapping[str, object], *, mode: int) -> None:
        scratch = path.with_suffix(".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch.unlink(missing_ok=True)
            with os.fdopen(
                os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8"
            ) as file:
                json.dump(plain, file, indent=1, ensure_ascii=False)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(path)
        except OSError as error:
            words = _tr("{0}: could not be written ({1}); free the disk or the folder's rights.")
            raise PacsError(words.format(path, error.strerror or error)) from error


def connections_of(plain: object) -> tuple[Connection, ...]:
    """Read connections as a file holds them; ValueError says what makes no sense."""
    if not isinstance(plain, list):
        raise ValueError(_tr("connections is no list"))
    try:
        return tuple(_made(Connection, one) for one in plain)
    except (TypeError, OverflowError) as error:
        raise ValueError(str(error)) from error


def to_carry(connection: Connection) -> dict[str, object]:
    """Return a connection as a file to be carried to another station holds it; no password, not even in its address."""
    return _plain(connection) | {"url": _NAMED_IN_URL.sub(r"\1", connection.url)}


def _plain(settings: Connection | ListenerSettings) -> dict[str, object]:
    return {
        name: value.value if isinstance(value, Enum) else value for name, value in asdict(settings).items()
    }


def _made(kind: type[_T], plain: object) -> _T:
    if not isinstance(plain, dict):
        raise ValueError(_tr("expected names with values, found {0!r}").format(plain))
    values: dict[str, Any] = {}
    for part in fields(kind):
        if part.name not in plain:
            continue
        values[part.name] = _value(part.name, plain[part.name])
    return kind(**values)


def _value(name: str, value: object) -> object:
    if name in _ENUMS:
        return _ENUMS[name](value)
    if name == "peers":
        return _peers(value)
    wanted = _TYPES.get(name, (int, float) if name in {row[0] for row in _RANGES} else (str,))
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise ValueError(_tr("{0}: found {1!r}").format(name, value))
    return value


def _peers(value: object) -> Mapping[str, tuple[str, ...]] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not all(isinstance(hosts, list | tuple) for hosts in value.values()):
        raise ValueError(_tr("{0}: found {1!r}").format("peers", value))
    return {str(title): tuple(str(host) for host in hosts) for title, hosts in value.items()}


def _whose(connection: Connection) -> tuple[object, ...]:
    """Whom a connection's secret was given for, and by whom."""
    return (
        connection.kind, connection.url, connection.auth, connection.user, connection.host, connection.port,
    )  # fmt: skip
