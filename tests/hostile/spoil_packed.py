"""Spoiled containers: members and flags of a zip, the XML of a workbook, rows and tables of an SQLite file."""

from __future__ import annotations

import io
import json
import sqlite3
import struct
import tempfile
import zipfile
from contextlib import closing
from pathlib import Path

from numpy.random import Generator

from tests.hostile.spoil_bytes import Mutation, cut_off, cut_out, flip_bits, insert, repeat, trailing
from tests.hostile.spoil_text import hostile_value, text_cell


def zip_member(data: bytes, rng: Generator) -> bytes:
    """Spoil one member and pack all again: the zip stays whole, its content does not."""
    inner: tuple[Mutation, ...] = (
        flip_bits,
        cut_off,
        cut_out,
        repeat,
        insert,
        text_cell,
        xml_trick,
        trailing,
    )
    chosen, how = int(rng.integers(0, 1 << 30)), inner[int(rng.integers(0, len(inner)))]
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        infos = old.infolist()
        for number, info in enumerate(infos):
            content = old.read(info)
            name = info.filename
            if number == chosen % len(infos):
                if rng.random() < 0.15:
                    continue
                content = how(content, rng)
                if rng.random() < 0.15:
                    name = str(
                        rng.choice(
                            [
                                "../x.dcm",
                                "/x.dcm",
                                "C:/x.dcm",
                                "a\\..\\..\\x",
                                "x\0y",
                                "\u202ex",
                                "a/" * 200 + "x",
                            ]
                        )
                    )
            new.writestr(name.replace("\0", "_") or "x", content)
    return out.getvalue()


def zip_flags(data: bytes, rng: Generator) -> bytes:
    """Say of a member that it is encrypted, packed another way, or of another size."""
    places = [k for k in range(len(data) - 4) if data[k : k + 4] in {b"PK\1\2", b"PK\3\4"}]
    if not places:
        return flip_bits(data, rng)
    at = places[int(rng.integers(0, len(places)))] + (8 if data[places[0] + 2] == 1 else 6)
    made = bytearray(data)
    shift = int(rng.choice([0, 2, 10, 12, 14, 16, 18]))
    if at + shift + 4 < len(made):
        made[at + shift : at + shift + 2] = struct.pack("<H", int(rng.choice([1, 8, 9, 12, 14, 99, 0xFFFF])))
    return bytes(made)


def xml_trick(data: bytes, rng: Generator) -> bytes:
    """Entities that multiply or read files, cells far out, cells of odd kinds, formulas, references out of range."""
    bomb = b'<!DOCTYPE z [<!ENTITY a "aaaaaaaaaa">' + b"".join(
        b'<!ENTITY %c "%s">' % (98 + k, b"&%c;" % (97 + k) * 10) for k in range(9)) + b"]>"  # fmt: skip
    swaps = (
        (b"<worksheet", bomb + b"<worksheet"),
        (b"<workbook", b'<!DOCTYPE z [<!ENTITY x SYSTEM "file:///etc/passwd">]><workbook'),
        (b'r="A', b'r="XFD'), (b'r="B', b'r="B104857'), (b'<row r="2"', b'<row r="1048576"'), (b"<v>", b"<v>1e308"),
        (b"<v>", b"<v>NaN"), (b"<t>", b"<t>&j;"), (b"<v>", b"<f>SUM(A1:XFD1048576)</f><v>"), (b't="s"', b't="e"'),
        (b't="s"', b't="zz"'), (b"<v>", b"<v>99999999"), (b"</sheetData>", b""), (b"inlineStr", b"b"),
        (b"<is>", b"<is>" * 3_000), (b"sheetId=", b'state="veryHidden" sheetId='), (b"Target=\"", b"Target=\"http://x/"),
        (b"<sheetData>", b'<dimension ref="A1:XFD1048576"/><sheetData>'), (b"UTF-8", b"UTF-7"),
    )  # fmt: skip
    old, new = swaps[int(rng.integers(0, len(swaps)))]
    return data.replace(old, new, int(rng.choice([1, 1, 1_000])))


def sqlite_rows(data: bytes, rng: Generator) -> bytes:
    """Change rows, drop tables and triggers, or put an endless view in a table's place, with SQLite's own hand."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "x.sqlite"
        file.write_bytes(data)
        try:
            with closing(sqlite3.connect(file, isolation_level=None)) as raw:
                _spoil_database(raw, rng)
        except (sqlite3.Error, OverflowError, ValueError):
            return flip_bits(data, rng)
        return file.read_bytes()


def _spoil_database(raw: sqlite3.Connection, rng: Generator) -> None:
    tables = [
        row[0]
        for row in raw.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        )
    ]
    for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        if rng.random() < 0.8:
            raw.execute(f'DROP TRIGGER "{name}"')
    table = str(rng.choice(tables))
    columns = [row[1] for row in raw.execute(f'PRAGMA table_info("{table}")')]
    column, how = str(rng.choice(columns)), rng.random()
    if how < 0.6:
        value = hostile_value(rng)
        if isinstance(value, list | dict):
            value = json.dumps(value)
        elif isinstance(value, bool) or (isinstance(value, int) and abs(value) >= 2**63):
            value = str(value)
        raw.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid IN (SELECT rowid FROM "{table}" LIMIT ?)',
                    (value, int(rng.choice([1, 1, 100]))))  # fmt: skip
    elif how < 0.7:
        raw.execute(f'DROP TABLE "{table}"')
    elif how < 0.8:
        raw.execute(f'ALTER TABLE "{table}" RENAME COLUMN "{column}" TO "gone"')
    elif how < 0.9:
        raw.execute(f'DELETE FROM "{table}" WHERE rowid = 1')
    else:
        endless = ", ".join(f"x AS {name}" for name in columns)
        raw.execute(f'DROP TABLE "{table}"')
        raw.execute(f'CREATE VIEW "{table}" AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT {endless} FROM c')  # fmt: skip
