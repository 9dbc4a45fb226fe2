"""What spoiled files once brought down: each is refused now in one sentence, soon and within bearable memory."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import yaml
from pydicom import dcmread, dcmwrite, uid

from reader_study.verify import verify_log
from resources.files import ResourceError, UserFacingError, read_json
from tests.hostile.importers import BY_NAME
from tests.hostile.seeds_images import Seeds, dicom_file, image_seeds, images
from tests.hostile.seeds_study import study_seeds
from tests.hostile.spoil_text import places_of
from tests.hostile.trial import Trial, try_bytes, try_file

MORE_BYTES = 700 << 20  # that one file may take beyond what the tests hold already


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Seeds:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return study_seeds(tmp_path_factory.mktemp("study")) | image_seeds(tmp_path_factory.mktemp("images"))


def held_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


def told(name: str, file: str, data: bytes, beside: dict[str, bytes] | None = None) -> Trial:
    """Try the bytes; whatever comes must be a load or one sentence, within 5 s and 700 MB."""
    before = held_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trial = try_bytes(name, file, data, beside)
    assert not trial.failed or trial.verdict == "memory", f"{trial.verdict}: {trial.words}"
    assert trial.peak_bytes - before < MORE_BYTES, f"{(trial.peak_bytes - before) >> 20} MB"
    return trial


def refused(name: str, file: str, data: bytes, beside: dict[str, bytes] | None = None) -> str:
    trial = told(name, file, data, beside)
    assert trial.verdict == "refusal"
    return trial.words


def repacked(book: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, change(info.filename, old.read(info)))
    return out.getvalue()


def element(tag: bytes, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    return tag + vr + struct.pack("<H", len(value) if length is None else length) + value


PLAIN = images()[1].data  # explicit little endian, uncompressed


def with_element(data: bytes, extra: bytes) -> bytes:
    at = data.index(b"\x08\x00\x16\x00UI")
    return data[:at] + extra + data[at:]


def test_hostile_a_refusal_stays_one_short_line_whatever_the_file_holds() -> None:
    words = str(
        UserFacingError("a.csv: expected a number, found '" + "x\n\u2028\u202e" * 100_000 + "'; correct it.")
    )
    assert len(words) <= 1_000
    assert words.startswith("a.csv: expected a number")
    assert words.endswith("correct it.")
    assert not set("\n\u2028\u202e") & set(words)


# ------------------------------------------------------------------------------------------------ JSON, YAML


@pytest.mark.parametrize(
    "data",
    [b'{"a": "\xff"}', b"[" * 100_000, b'{"a":' * 50_000 + b"1", b"9" * 5_000, b"\xef\xbb\xbf{}", b""],
    ids=["no UTF-8", "brackets", "braces", "digits", "mark", "empty"],
)  # fmt: skip
def test_hostile_json_that_no_program_writes_is_refused_by_every_reader(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(data)
    with pytest.raises(ResourceError, match=r"x\.json"):
        read_json(path)
    for name, file in (
        ("truth json", "truth.json"), ("case store", "cases.json"), ("model card", "card.json"),
        ("settings bundle", "b.json"), ("hanging protocol", "h.json"), ("settings", "settings.json"),
        ("pacs connections", "pacs.json"), ("pacs connections", "pacs-secrets.json"), ("site key", "site.key"),
    ):  # fmt: skip
        refused(name, file, data)
    for file in ("index.jsonl", "queue.json"):
        told("pacs shelf", file, data)
    told("anchors", "anchors.jsonl", data)


def test_hostile_json_of_a_million_empty_lists_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    refused("truth json", "truth.json", b"[" + b"[]," * (9 << 20) + b"[]]")


HUGE = 10**400  # JSON and YAML hold it, a float does not


@pytest.mark.parametrize(
    "name",
    ["truth json", "case store", "model card", "settings", "settings bundle", "hanging protocol", "pacs connections",
     "case json", "run tables", "anchors", "protocol yaml"],
)  # fmt: skip
def test_hostile_a_number_of_four_hundred_digits_in_any_field_is_refused_or_passed_over(
    seeds: Seeds, name: str
) -> None:
    for seed in seeds[name]:
        if not seed.name.endswith((".json", ".jsonl", "own.yaml")):
            continue
        read, write = (
            (yaml.safe_load, yaml.safe_dump) if seed.name.endswith("yaml") else (json.loads, json.dumps)
        )
        for *above, last in places_of(read(seed.data)):
            value = read(seed.data)
            home = value
            for key in above:
                home = home[key]
            if home[last] is None or isinstance(home[last], int | float):
                home[last] = HUGE
                told(name, seed.name, write(value).encode(), dict(seed.beside))


@pytest.mark.parametrize(
    "key", ["title: {0}", "purpose: {{hypotheses: {0}}}", "cases: {0}", "arms: [{0}]", "seed: {0}"]
)
@pytest.mark.parametrize("levels", [4, 9])
def test_hostile_yaml_anchors_that_multiply_are_refused_soon(seeds: Seeds, key: str, levels: int) -> None:
    laughs = "a0: &a0 [lol]\n" + "".join(
        f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, levels)
    )
    own = next(seed for seed in seeds["protocol yaml"] if seed.name == "own.yaml").data
    kept = b"\n".join(
        line
        for line in own.split(b"\n")
        if not line.startswith(key.split(":", maxsplit=1)[0].encode() + b":")
    )
    assert "own.yaml" in refused(
        "protocol yaml", "own.yaml", laughs.encode() + kept + ("\n" + key.format(f"*a{levels - 1}")).encode()
    )
    refused("protocol yaml", "own.yaml", kept + ("\n" + key.format("&x [*x]")).encode())


def test_hostile_a_lexicon_that_is_not_there_is_refused_with_the_protocols_name(seeds: Seeds) -> None:
    own = next(seed for seed in seeds["protocol yaml"] if seed.name == "own.yaml").data
    assert "own.yaml" in refused("protocol yaml", "own.yaml", own.replace(b"birads-5", b"birads-99"))


# ------------------------------------------------------------------------------------------------ tables


def test_hostile_a_cell_of_two_hundred_thousand_letters_is_refused_with_its_line(seeds: Seeds) -> None:
    for seed in seeds["exchange text"]:
        long = seed.data.replace(b"r1", b"r" * 200_000, 1)
        told("exchange text", seed.name, long)
    header = b"reader,treatment,case,truth,rating," + b"c" * 200_000 + b"\n"
    assert "line 1" in refused("exchange text", "a.csv", header)


def test_hostile_short_rows_under_a_wide_header_are_refused_before_they_fill_the_memory() -> None:
    head = b"case_id,laterality,view,kind,path," + b",".join(b"c%d" % k for k in range(10_000))
    words = refused("images csv", "images.csv", head + b"\na,L,CC,ffdm,x.dcm" * 20_000, {"lesions.csv": b""})
    assert "10000000 cells" in words


@pytest.mark.parametrize(
    ("table", "old", "new", "words"),
    [
        ("sessions.csv", "period", "season", "period"),
        ("sessions.csv", "n_planned", "planned", "n_planned"),
        ("readings.csv", "case_id", "case", "case_id"),
        ("times.csv", "reader_id", "reader", "reader_id"),
        ("washout.csv", "case_id", "case\0", ""),
    ],
)
def test_hostile_an_export_without_a_column_is_refused_with_the_tables_name(
    seeds: Seeds, table: str, old: str, new: str, words: str
) -> None:
    seed = next(one for one in seeds["study export"] if one.name == table)
    trial = told("study export", table, seed.data.replace(old.encode(), new.encode(), 1), dict(seed.beside))
    if words:
        assert trial.verdict == "refusal"
        assert table in trial.words
        assert words in trial.words


@pytest.mark.parametrize("cell", ["NaN", "inf", "1e999", "x", "9" * 5_000])
def test_hostile_a_cell_that_is_counted_with_must_be_a_finite_number(seeds: Seeds, cell: str) -> None:
    seed = next(one for one in seeds["study export"] if one.name == "times.csv")
    lines = seed.data.decode().splitlines()
    column = lines[0].split(",").index("active_s")
    cells = lines[1].split(",")
    cells[column] = cell
    words = refused(
        "study export",
        "times.csv",
        "\n".join([lines[0], ",".join(cells), *lines[2:]]).encode(),
        dict(seed.beside),
    )
    assert "times.csv, line 2, column active_s" in words


def test_hostile_a_short_line_in_the_table_of_patients_is_refused_with_its_line() -> None:
    head = b"case_id,role,patient_id,study_uid,study_date\n"
    assert "line 2" in refused("links", "links.csv", head + b"C0001,current\n")


@pytest.mark.parametrize("path", ["A" * 5_000, "a\\u0000b", "../../../etc/passwd", "/etc/passwd"])
def test_hostile_a_manifest_path_that_names_no_file_is_told(path: str) -> None:
    case = '{"case_id": "c", "images": [{"path": "%s", "laterality": "L", "view": "CC"}]}' % path  # noqa: UP031 - braces
    told("case json", "case.json", case.encode())


def test_hostile_a_mask_that_claims_a_giant_size_is_refused_before_it_is_unpacked(seeds: Seeds) -> None:
    seed = seeds["truth mask"][0]
    giant = seed.data[:16] + struct.pack(">LL", 60_000, 60_000) + seed.data[24:]
    trial = told("truth mask", seed.name, giant, dict(seed.beside))
    assert trial.seconds < 1
    table = dict(seed.beside)["truth.csv"].replace(b"m.png", b"m\0.png")
    told("truth csv", "truth.csv", table, {"m.png": seed.data})
    refused("luminances", "lum.csv", b"level,cd\n0," + b"1" * 200_000 + b"\n")


# ------------------------------------------------------------------------------------------------ workbooks


@pytest.mark.parametrize("name", ["exchange xlsx", "dataset sheet"])
def test_hostile_a_workbook_of_broken_parts_is_refused(seeds: Seeds, name: str) -> None:
    good = seeds["exchange xlsx"][0].data
    for change in (
        lambda part, data: data[: len(data) // 2] if part.endswith(".xml") else data,
        lambda part, data: data.replace(b"<worksheet", b'<!DOCTYPE z [<!ENTITY x SYSTEM "file:///etc/passwd">]><worksheet', 1),
        lambda part, data: data.replace(b"UTF-8", b"KLINGON"),
        lambda part, data: data.replace(b"<v>", b"<v>NaN"),
    ):  # fmt: skip
        told(name, "a.xlsx", repacked(good, change))
    at = good.index(b"PK\x01\x02")
    refused(name, "a.xlsx", good[:200] + b"\xff" * 40 + good[240:])
    told(name, "a.xlsx", good[: at + 6] + b"\x63\x00" + good[at + 8 :])


def test_hostile_cells_in_the_last_column_do_not_make_every_row_as_wide(seeds: Seeds) -> None:
    rows = b"".join(b'<row r="%d"><c r="XFD%d"><v>1</v></c></row>' % (k, k) for k in range(2, 20_000))

    def change(part: str, data: bytes) -> bytes:
        return data.replace(b"</sheetData>", rows + b"</sheetData>") if "sheet" in part else data

    assert told("exchange xlsx", "a.xlsx", repacked(seeds["exchange xlsx"][0].data, change)).seconds < 5


def test_hostile_a_workbook_that_unpacks_to_gigabytes_is_refused(seeds: Seeds) -> None:
    def change(part: str, data: bytes) -> bytes:
        return data + b" " * (300 << 20) if "sheet1" in part else data

    assert "256 MB" in refused("exchange xlsx", "a.xlsx", repacked(seeds["exchange xlsx"][0].data, change))


# ------------------------------------------------------------------------------------------------ DICOM


@pytest.mark.parametrize(
    "extra",
    [
        element(b"\x08\x00\x14\x00", b"FD", b"\0" * 4),  # not a multiple of eight
        element(b"\x08\x00\x14\x00", b"UL", b"\0" * 3),
        element(b"\x08\x00\x14\x00", b"7U", b"1.2 "),  # no such VR
        b"\x09\x00\x10\x00UN\0\0\xf0\xff\xff\x7f",  # 2 GB announced in a file of 22 kB
        (b"\x40\x00\x30\xa7SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff") * 10_000,
    ],
    ids=["odd FD", "odd UL", "unknown VR", "2 GB", "10 000 deep"],
)  # fmt: skip
def test_hostile_an_element_that_cannot_be_does_no_harm_to_any_reader(extra: bytes) -> None:
    for name in ("dicom", "folder", "deidentify", "cad sr", "gsps", "key objects"):
        told(name, "x.dcm", with_element(PLAIN, extra))


def test_hostile_a_report_whose_study_cannot_be_read_is_told_in_the_list(seeds: Seeds) -> None:
    data = seeds["cad sr"][0].data
    at = data.index(b"\x20\x00\x0d\x00UI")
    told("folder", "x.dcm", data[: at + 4] + b"7U" + data[at + 6 :])


def claiming(side: int, syntax: str, stream: bytes) -> bytes:
    """A file of a few kilobytes whose frame unpacks to side x side pixels."""
    from tests.hostile.seeds_images import _header

    ds = dcmread(io.BytesIO(dicom_file(_header(2), np.zeros((8, 8), np.uint16), syntax, stream)))
    ds.Rows = ds.Columns = side
    out = io.BytesIO()
    dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()


@pytest.mark.slow
def test_hostile_a_frame_larger_than_any_detectors_is_refused_before_it_is_unpacked() -> None:
    stream = bytes(imagecodecs.jpegls_encode(np.zeros((15_000, 15_000), np.uint16)))
    data = claiming(15_000, uid.JPEGLSLossless, stream + b"\0" * 460_000)
    assert "128 MB" in refused("dicom", "x.dcm", data)
    told("folder", "x.dcm", data)


def test_hostile_deflated_data_that_swells_is_refused_by_whoever_reads_it_whole() -> None:
    meta = PLAIN[: 144 + struct.unpack("<L", PLAIN[140:144])[0]].replace(
        b"\x14\x001.2.840.10008.1.2.1\0", b"\x16\x001.2.840.10008.1.2.1.99"
    )
    meta = meta[:140] + struct.pack("<L", len(meta) - 144) + meta[144:]
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = PLAIN[144 + struct.unpack("<L", PLAIN[140:144])[0] :]
    packed = (
        packer.compress(body)
        + b"".join(packer.compress(b"\0" * (1 << 20)) for _ in range(200))
        + packer.flush()
    )
    for name in ("deidentify", "cad sr", "gsps", "key objects"):
        assert "deflated" in refused(name, "x.dcm", meta + packed)
    told("dicom", "x.dcm", meta + packed)
    told("folder", "x.dcm", meta + packed)


# ------------------------------------------------------------------------------------------------ kept things


def with_head_cut(kept: bytes) -> bytes:
    """An array whose head says that it is shorter than its text: Python's own tokenizer meets its end."""

    def change(part: str, data: bytes) -> bytes:
        return data[:8] + struct.pack("<H", 20) + data[10:] if part.startswith("head") else data

    return repacked(kept, change)


def test_hostile_a_damaged_kept_result_is_made_anew(seeds: Seeds) -> None:
    (seed,) = seeds["result cache"]
    at = seed.data.index(b"PK\x03\x04", 4)
    for data in (
        seed.data[: at + 60] + b"\xff" * 30 + seed.data[at + 90 :],
        seed.data[:6] + b"\x21" + seed.data[7:],
        b"PK",
        b"",
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = try_file(BY_NAME["result cache"], seed, data)
        assert trial.verdict in {"load", "refusal"}, trial.words


@pytest.mark.parametrize(
    "spoil",
    [
        "DROP TABLE plans; CREATE VIEW plans AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
        " SELECT x AS session_id, x AS study_id FROM c",
        "ALTER TABLE plans RENAME COLUMN session_id TO gone",
        "ALTER TABLE studies RENAME COLUMN body TO gone",
        "UPDATE protocols SET number = 'x'",
        "UPDATE studies SET body = x'ff'",
    ],
)
def test_hostile_a_database_of_other_tables_is_refused_and_never_waited_for(
    seeds: Seeds, tmp_path: Path, spoil: str
) -> None:
    import sqlite3
    from contextlib import closing

    file = tmp_path / "backup.sqlite"
    file.write_bytes(seeds["study database"][0].data)
    with closing(sqlite3.connect(file, isolation_level=None)) as raw:
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f'DROP TRIGGER "{name}"')
        raw.executescript(spoil)
    assert not verify_log(file).ok
    refused("study database", "backup.sqlite", file.read_bytes())


def test_hostile_a_case_that_a_protocol_refuses_is_refused_with_the_manifests_name(seeds: Seeds) -> None:
    value = json.loads(seeds["case store"][0].data)
    value["cases"][2]["age_years"] = -5
    value["cases"][2]["case_id"] = ""
    told("case store", "cases.json", json.dumps(value).encode())


def test_hostile_a_key_file_of_megabytes_is_refused_unread() -> None:
    assert "expected a key of 32 bytes" in refused("site key", "site.key", b"[" * (80 << 20))
