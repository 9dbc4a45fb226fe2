"""Spoils a good file in one to three ways that fit its kind; the same seed and number give the same bytes.

What the ways are is in ``spoil_bytes``, ``spoil_dicom``, ``spoil_text`` and ``spoil_packed``.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.random import Generator

from tests.hostile.spoil_bytes import (
    Mutation,
    cut_off,
    cut_out,
    flip_bits,
    insert,
    length_field,
    repeat,
    set_bytes,
    trailing,
)
from tests.hostile.spoil_dicom import (
    dicom_drop,
    dicom_length,
    dicom_nested,
    dicom_size,
    dicom_syntax,
    dicom_twice,
    dicom_value,
    dicom_vr,
)
from tests.hostile.spoil_packed import sqlite_rows, zip_flags, zip_member
from tests.hostile.spoil_text import (
    json_depth,
    json_value,
    text_cell,
    text_encoding,
    text_lines,
    yaml_trick,
    yaml_value,
)

BYTES: tuple[Mutation, ...] = (flip_bits, set_bytes, cut_off, cut_out, repeat, insert, length_field, trailing)
FAMILIES: Mapping[str, tuple[Mutation, ...]] = {
    "bytes": BYTES,
    "dicom": (dicom_value, dicom_value, dicom_vr, dicom_length, dicom_drop, dicom_twice, dicom_size, dicom_syntax, dicom_nested),
    "text": (text_cell, text_cell, text_lines, text_encoding),
    "json": (json_value, json_value, json_value, json_depth),
    "yaml": (yaml_value, yaml_value, yaml_trick),
    "zip": (zip_member, zip_member, zip_flags),
    "sqlite": (sqlite_rows, sqlite_rows, sqlite_rows),
}  # fmt: skip


def spoiled(data: bytes, families: tuple[str, ...], rng: Generator) -> tuple[bytes, str]:
    """Spoil a file one to three times; returns it and the names of what was done."""
    done = []
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        family = FAMILIES[families[int(rng.integers(0, len(families)))]]
        one = family[int(rng.integers(0, len(family)))]
        try:
            data = one(data, rng)
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            RuntimeError,
            OSError,
            ValueError,
            KeyError,
            zlib.error,
            UnicodeError,
            struct.error,
        ):
            data, one = flip_bits(data, rng), flip_bits  # spoiled beyond what this one can open
        done.append(one.__name__)
    return data, "+".join(done)


def generator(seed: int, number: int) -> Generator:
    """The generator of one file: a finding is made again from these two numbers alone."""
    return np.random.default_rng([seed, number])
