"""Spoiled DICOM: values, VRs, lengths, sizes, syntaxes and nests of attributes in explicit little endian."""

from __future__ import annotations

import struct

from numpy.random import Generator

from tests.hostile.spoil_bytes import LENGTHS, TEXTS, cut_out, flip_bits, length_field, repeat, set_bytes

_LONG = {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UR", b"UT", b"UN", b"SV", b"UV"}
_VRS = ("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "OB", "OW", "PN", "SH", "SQ", "SS", "TM",
        "UC", "UI", "UL", "UN", "US", "UT", "XX", "\0\0", "Ã")  # fmt: skip
_SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99",
             "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80",
             "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.5", "1.2.3", "")  # fmt: skip
_CHARSETS = ("ISO_IR 192", "ISO 2022 IR 87", "ISO 2022 IR 149\\ISO 2022 IR 58", "\\ISO 2022 IR 87", "GB18030", "KLINGON", "\x1b")  # fmt: skip
_WORDS = {
    b"\x28\x00\x10\x00": "rows", b"\x28\x00\x11\x00": "columns", b"\x28\x00\x08\x00": "frames",
    b"\x28\x00\x00\x01": "allocated", b"\x28\x00\x01\x01": "stored", b"\x28\x00\x02\x01": "high bit",
}  # fmt: skip


def _elements(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """(start, start of value, length, VR) of each top-level element in explicit little endian; stops at what is odd."""
    found: list[tuple[int, int, int, bytes]] = []
    at = 132 if data[128:132] == b"DICM" else 0
    while at + 8 <= len(data) and len(found) < 3_000:
        vr = data[at + 4 : at + 6]
        if vr in _LONG:
            if at + 12 > len(data):
                break
            value, length = at + 12, int(struct.unpack("<L", data[at + 8 : at + 12])[0])
        else:
            value, length = at + 8, int(struct.unpack("<H", data[at + 6 : at + 8])[0])
        if not vr.isalpha():
            break
        found.append((at, value, length, vr))
        if length == 0xFFFFFFFF:
            break
        at = value + length
    return found


def _element(tag: bytes, vr: bytes, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    if vr in _LONG:
        return tag + vr + b"\0\0" + struct.pack("<L", len(value) & 0xFFFFFFFF) + value
    return tag + vr + struct.pack("<H", len(value) & 0xFFFF) + value


def _chosen(data: bytes, rng: Generator) -> tuple[int, int, int, bytes] | None:
    found = _elements(data)
    return found[int(rng.integers(0, len(found)))] if found else None


def dicom_value(data: bytes, rng: Generator) -> bytes:
    """Put a hostile value into one attribute, its length told truly."""
    one = _chosen(data, rng)
    if one is None:
        return flip_bits(data, rng)
    start, value, length, vr = one
    if vr in {b"US", b"SS", b"UL", b"SL", b"FL", b"FD", b"AT"}:
        size = {b"UL": 4, b"SL": 4, b"FL": 4, b"FD": 8, b"AT": 4}.get(vr, 2)
        fresh = bytes(rng.choice([b"\xff", b"\0", b"\x7f", b"\x80", b"\1"])) * (
            size * int(rng.choice([1, 1, 2, 3, 500]))
        )
    else:
        fresh = "\\".join(str(rng.choice(TEXTS)) for _ in range(int(rng.choice([1, 1, 2, 4])))).encode(
            "utf-8", "replace"
        )[:60_000]
    return (
        data[:start] + _element(data[start : start + 4], vr, fresh) + data[min(value + length, len(data)) :]
    )


def dicom_vr(data: bytes, rng: Generator) -> bytes:
    one = _chosen(data, rng)
    if one is None:
        return set_bytes(data, rng)
    at = one[0] + 4
    return data[:at] + str(rng.choice(_VRS)).encode("latin-1").ljust(2, b"\0")[:2] + data[at + 2 :]


def dicom_length(data: bytes, rng: Generator) -> bytes:
    one = _chosen(data, rng)
    if one is None:
        return length_field(data, rng)
    start, _, _, vr = one
    value = int(rng.choice(LENGTHS))
    if vr in _LONG:
        return data[: start + 8] + struct.pack("<L", value) + data[start + 12 :]
    return data[: start + 6] + struct.pack("<H", value & 0xFFFF) + data[start + 8 :]


def dicom_drop(data: bytes, rng: Generator) -> bytes:
    one = _chosen(data, rng)
    return cut_out(data, rng) if one is None else data[: one[0]] + data[one[1] + one[2] :]


def dicom_twice(data: bytes, rng: Generator) -> bytes:
    one = _chosen(data, rng)
    if one is None:
        return repeat(data, rng)
    start, value, length, _ = one
    return (
        data[: value + length]
        + data[start : value + length] * int(rng.choice([1, 3, 200]))
        + data[value + length :]
    )


def dicom_size(data: bytes, rng: Generator) -> bytes:
    """Claim giant, empty or odd dimensions and bits."""
    made = data
    for start, value, length, vr in reversed(_elements(data)):
        if data[start : start + 4] in _WORDS and rng.random() < 0.6:
            if vr == b"IS":
                fresh = str(rng.choice(["0", "-1", "2", "65535", "99999999999", "NaN", ""])).encode()
            else:
                fresh = struct.pack("<H", int(rng.choice([0, 1, 7, 8, 12, 15, 16, 32, 64, 0x7FFF, 0xFFFF])))
            made = made[:start] + _element(data[start : start + 4], vr, fresh) + made[value + length :]
    return made


def dicom_syntax(data: bytes, rng: Generator) -> bytes:
    """Name another transfer syntax, or another character set, than the file has."""
    for start, value, length, vr in _elements(data):
        tag = data[start : start + 4]
        if tag == b"\x02\x00\x10\x00" and rng.random() < 0.7:
            fresh = str(rng.choice(_SYNTAXES)).encode()
            return data[:start] + _element(tag, vr, fresh) + data[value + length :]
        if tag[:2] == b"\x08\x00":
            fresh = _element(b"\x08\x00\x05\x00", b"CS", str(rng.choice(_CHARSETS)).encode("latin-1"))
            return data[:start] + fresh + data[start:]
    return length_field(data, rng)


def dicom_nested(data: bytes, rng: Generator) -> bytes:
    """Put a sequence in a sequence in a sequence, of told and of untold length, whole and cut off."""
    depth = int(rng.choice([3, 60, 300, 1_000, 10_000]))
    tags = (b"\x40\x00\x30\xa7", b"\x08\x00\x18\x22", b"\x28\x00\x10\x30", b"\x09\x00\x01\x10")
    tag = tags[int(rng.integers(0, len(tags)))]
    if rng.random() < 0.6:
        opening = tag + b"SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
        closing_ = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
        nest = opening * depth + (closing_ * depth if rng.random() < 0.7 else b"")
    else:
        nest = b""
        for _ in range(min(depth, 2_000)):
            inner = b"\xfe\xff\x00\xe0" + struct.pack("<L", len(nest)) + nest
            nest = tag + b"SQ\0\0" + struct.pack("<L", len(inner)) + inner
    found = [one for one in _elements(data) if data[one[0] : one[0] + 2] != b"\x02\x00"]
    at = found[int(rng.integers(0, len(found)))][0] if found else len(data)
    return data[:at] + nest + data[at:]
