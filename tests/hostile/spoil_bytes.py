"""Spoiled bytes: flips, cuts, repeats, lengths that lie; and the words and numbers that no field expects."""

from __future__ import annotations

import struct
from collections.abc import Callable

from numpy.random import Generator

Mutation = Callable[[bytes, Generator], bytes]
NUMBERS = ("NaN", "nan", "inf", "-inf", "1e308", "1e-308", "-1e308", "-1", "0", "-0", "1e999", "9" * 400, "0x10",
           "١٢", "1_000", "1,5", " 7 ", "true")  # fmt: skip
TEXTS = (*NUMBERS, "", " ", "\0", "a\0b", "=HYPERLINK(\"http://x\")", "@SUM(1)", "../../etc/passwd", "/etc/passwd",
         "C:\\x", "\ufeff", "\u202egnp.exe", "\ud7ff\U0010ffff", "\"", "'", "\"\"\"", "\r", "\n", "\t", ";", "|",
         "%s%n", "{0}{x}", "<b>", "A" * 5_000, "R", "L", "malignant", "\x1b$B", "\x85\u2028")  # fmt: skip
LENGTHS = (
    0,
    1,
    3,
    0x7F,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFE,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFE,
    0xFFFFFFFF,
)
LARGE_CELL = 10 * 1024 * 1024


def spoiled_at(data: bytes, rng: Generator) -> int:
    """A place in the file, more often near its beginning, where headers are."""
    if not data:
        return 0
    top = len(data) if rng.random() < 0.5 else min(len(data), 2048)
    return int(rng.integers(0, top))


def flip_bits(data: bytes, rng: Generator) -> bytes:
    made = bytearray(data)
    for _ in range(int(rng.choice([1, 1, 2, 8, 64]))):
        if made:
            made[spoiled_at(data, rng)] ^= 1 << int(rng.integers(0, 8))
    return bytes(made)


def set_bytes(data: bytes, rng: Generator) -> bytes:
    at, count = spoiled_at(data, rng), int(rng.choice([1, 2, 4, 16, 300]))
    filled = (
        rng.bytes(count) if rng.random() < 0.5 else bytes([int(rng.choice([0, 0xFF, 0x20, 0x80]))]) * count
    )
    return data[:at] + filled + data[at + count :]


def cut_off(data: bytes, rng: Generator) -> bytes:
    return data[: spoiled_at(data, rng)]


def cut_out(data: bytes, rng: Generator) -> bytes:
    at = spoiled_at(data, rng)
    return data[:at] + data[at + int(rng.choice([1, 2, 3, 8, 100, 5_000])) :]


def repeat(data: bytes, rng: Generator) -> bytes:
    at, count = spoiled_at(data, rng), int(rng.choice([1, 8, 64, 1_000, 20_000]))
    times = int(rng.choice([1, 2, 50]))
    return data[: at + count] + data[at : at + count] * times + data[at + count :]


def insert(data: bytes, rng: Generator) -> bytes:
    at = spoiled_at(data, rng)
    return data[:at] + rng.bytes(int(rng.choice([1, 2, 7, 64, 4_096]))) + data[at:]


def length_field(data: bytes, rng: Generator) -> bytes:
    """Write a length that lies: none, odd, negative, endless."""
    at, value = spoiled_at(data, rng), int(rng.choice(LENGTHS))
    form = str(rng.choice(["<L", ">L", "<H", ">H"]))
    packed = struct.pack(form, value & (0xFFFFFFFF if "L" in form else 0xFFFF))
    return data[:at] + packed + data[at + len(packed) :]


def trailing(data: bytes, rng: Generator) -> bytes:
    return data + rng.bytes(int(rng.choice([1, 2, 512, 65_536])))
