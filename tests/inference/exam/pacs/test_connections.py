"""Connections and secrets on disk, the pieces of a multipart answer, and the shelf's own rules."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.exam.pacs.connections import CONNECTIONS_FILE, SECRETS_FILE, ConnectionBook, ListenerSettings
from inference.exam.pacs.model import Auth, Connection, Kind, PacsError, PacsUnreachable, Query, Retrieve
from inference.exam.pacs.multipart import boundary_of, first_part
from inference.exam.pacs.shelf import NotWanted, Shelf

WEB = Connection(
    name="Reading room", url="https://pacs.example.org/dicom-web", auth=Auth.PASSWORD, user="station"
)
DIMSE = Connection(
    name="Archive",
    kind=Kind.DIMSE,
    host="10.0.0.7",
    port=104,
    ae_title="ARCHIVE",
    retrieve=Retrieve.MOVE,
    tls=True,
)


def test_pacs_connections_and_the_listener_come_back_as_they_were_kept(book):
    book.keep(WEB, secret="s3cret")
    book.keep(DIMSE)
    book.keep_listener(ListenerSettings(peers={"CT1": ("10.0.0.1",), "CT2": ()}, quota_gb=5.5))
    again = ConnectionBook(book.path.parent)
    assert again.connections() == (DIMSE, WEB)
    assert again.secret(WEB) == "s3cret"
    assert again.secret(DIMSE) == ""
    assert again.listener() == ListenerSettings(peers={"CT1": ("10.0.0.1",), "CT2": ()}, quota_gb=5.5)
    again.remove("Reading room")
    assert again.connections() == (DIMSE,)
    assert "s3cret" not in (book.path.parent / SECRETS_FILE).read_text()


def test_pacs_the_password_is_never_in_the_connections_and_only_its_owner_reads_it(book):
    book.keep(WEB, secret="s3cret")
    folder = book.path.parent
    assert "s3cret" not in (folder / CONNECTIONS_FILE).read_text()
    assert "s3cret" not in repr(WEB)
    secrets = folder / SECRETS_FILE
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    secrets.chmod(0o644)
    with pytest.raises(PacsError, match="only its owner can read"):
        book.secret(WEB)


def test_pacs_changing_a_connection_keeps_its_password_unless_a_new_one_is_given(book):
    book.keep(WEB, secret="old")
    book.keep(WEB)
    assert book.secret(WEB) == "old"
    book.keep(WEB, secret="")
    assert book.secret(WEB) == ""


def test_pacs_a_password_is_never_handed_to_another_server_or_user(book):
    """An imported setting of the same name must not carry this station's password away."""
    for change in ({"url": "http://elsewhere.example/dicom-web"}, {"user": "somebody else"}):
        here = Connection(
            name="web", url="https://pacs.example.org/dicom-web", auth=Auth.PASSWORD, user="reader"
        )
        book.keep(here, secret="hunter2")
        book.keep(replace(here, timeout_s=60.0))
        assert book.secret(here) == "hunter2"
        there = replace(here, **change)
        book.keep(there)
        assert book.secret(there) == ""


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 9}', '{"schema": 1, "connections": [{"name": "x"}]}',
                                  '{"schema": 1, "connections": [{"name": "x", "url": "http://x", "port": "1"}]}',
                                  '{"schema": 1, "connections": 3}'])  # fmt: skip
def test_pacs_a_damaged_file_is_said_and_never_overwritten(book, text):
    book.path.parent.mkdir(parents=True)
    book.path.write_text(text)
    with pytest.raises(PacsError, match="cannot be read"):
        book.connections()
    with pytest.raises(PacsError, match="cannot be read"):
        book.keep(WEB)
    assert book.path.read_text() == text


def test_pacs_an_unknown_connection_is_said_with_those_there_are(book):
    with pytest.raises(PacsError, match="expected one of none yet"):
        book.connection("x")
    book.keep(WEB)
    with pytest.raises(PacsError, match="expected one of Reading room"):
        book.connection("x")


@pytest.mark.skipif(os.geteuid() == 0, reason="not run: root may write everywhere")
def test_pacs_settings_that_cannot_be_written_are_said(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PacsError, match="could not be written"):
        ConnectionBook(tmp_path).keep(WEB)


@pytest.mark.parametrize("wrong", [
    {"url": "ftp://x"}, {"url": ""}, {"name": ""}, {"timeout_s": 0}, {"parallel": 9},
    {"kind": Kind.DIMSE, "ae_title": "A" * 17, "host": "x"}, {"kind": Kind.DIMSE, "ae_title": "A", "host": ""},
    {"kind": Kind.DIMSE, "ae_title": "A", "host": "x", "port": 0}, {"kind": Kind.DIMSE, "ae_title": "A\\B", "host": "x"},
])  # fmt: skip
def test_pacs_a_connection_is_valid_from_its_constructor(wrong):
    with pytest.raises(ValueError, match=r"expected|found"):
        Connection(**({"name": "x", "url": "http://x"} | wrong))


def test_pacs_a_range_of_dates_is_written_as_dicom_wants_it():
    from datetime import date

    day, other = date(2024, 3, 5), date(2024, 4, 1)
    assert Query(first=day, last=other).dates == "20240305-20240401"
    assert Query(first=day).dates == "20240305-"
    assert Query(last=other).dates == "-20240401"
    assert Query(first=day, last=day).dates == "20240305"
    assert Query().dates == ""


@given(st.binary(max_size=400), st.integers(1, 50), st.booleans())
def test_pacs_a_part_is_found_however_the_answer_is_cut_into_pieces(content, size, preamble):
    head = b"" if not preamble else b"\r\n"
    whole = head + b"--B17\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n--B17--\r\n"
    pieces = [whole[i : i + size] for i in range(0, len(whole), size)]
    if b"\r\n--B17" in content:
        return
    assert b"".join(first_part(pieces, b"B17")) == content


@given(st.integers(0, 200))
def test_pacs_an_answer_that_ends_early_is_never_taken_for_whole(end):
    whole = b"--B17\r\nContent-Type: application/dicom\r\n\r\n" + b"x" * 150 + b"\r\n--B17--\r\n"
    cut = min(end, whole.rindex(b"\r\n--B17") + 6)
    with pytest.raises(PacsUnreachable, match="cut in the middle"):
        b"".join(first_part([whole[:cut]], b"B17"))


def test_pacs_the_boundary_is_read_with_and_without_quotes():
    assert boundary_of('multipart/related; type="application/dicom"; boundary="a=b"') == b"a=b"
    assert boundary_of("multipart/related; boundary=xyz; type=x") == b"xyz"
    with pytest.raises(PacsError, match="multipart"):
        boundary_of("text/html")


def test_pacs_the_shelf_takes_only_what_was_asked_for(make_exam, tmp_path):
    shelf, exam = Shelf(tmp_path / "shelf"), make_exam(("RCC",))
    with pytest.raises(NotWanted, match="found another one"):
        shelf.put([exam.files[0]], sop_uid="1.2.3.4")
    with pytest.raises(NotWanted, match="damaged data"):
        shelf.put([b"no dicom"])
    with pytest.raises(NotWanted, match="at most 0 MB"):
        shelf.put([exam.files[0]], max_bytes=100)
    assert not list(shelf.root.rglob("*.dcm"))
    assert list((shelf.root / ".incoming").iterdir()) == []
    kept = shelf.put([exam.files[0][:500], exam.files[0][500:]], sop_uid=exam.sop_uids[0])
    assert kept.path.read_bytes() == exam.files[0]
    assert shelf.holds(exam.sop_uids[0])


def test_pacs_nothing_in_the_shelfs_names_tells_who_she_is(make_exam, tmp_path):
    shelf = Shelf(tmp_path / "shelf")
    for data in make_exam().files:
        shelf.put([data])
    names = " ".join(str(path) for path in shelf.root.rglob("*")) + (shelf.root / "index.jsonl").read_text()
    for word in ("Doe", "SECRET", "1.2.826"):
        assert word not in names
    if os.name == "posix":
        assert stat.S_IMODE(shelf.root.stat().st_mode) == 0o700


def test_pacs_the_studies_of_one_woman_lie_together_and_go_one_by_one(make_exam, tmp_path):
    shelf = Shelf(tmp_path / "shelf")
    now, before, other = make_exam(), make_exam(StudyDate="20220101"), make_exam(PatientID="OTHER")
    for exam in (now, before, other):
        for data in exam.files:
            shelf.put([data])
    folders = [shelf.folder_of(exam.study_uid) for exam in (now, before, other)]
    assert folders[0].parent == folders[1].parent != folders[2].parent
    shelf.remove(now.study_uid)
    assert shelf.folder_of(now.study_uid) is None
    assert shelf.count_of(before.study_uid) == 4
    again = Shelf(shelf.root)
    assert again.used_bytes == shelf.used_bytes
    assert again.count_of(now.study_uid) == 0


def test_pacs_a_changed_file_is_found(make_exam, tmp_path):
    shelf, exam = Shelf(tmp_path / "shelf"), make_exam(("RCC",))
    path = shelf.put([exam.files[0]]).path
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert shelf.damaged() == (path,)


def test_pacs_an_index_that_points_outside_is_not_followed(make_exam, tmp_path):
    shelf, exam = Shelf(tmp_path / "shelf"), make_exam(("RCC",))
    shelf.put([exam.files[0]])
    (tmp_path / "outside.dcm").write_bytes(b"12345")
    line = {"sop": "a" * 24, "file": "../outside.dcm", "size": 5, "sha256": "", "study": "b" * 16}
    with (shelf.root / "index.jsonl").open("a") as index:
        index.write(json.dumps(line) + "\n")
    assert len(Shelf(shelf.root)._index.entries()) == 1
