"""Settings carried from one station to another: all of them, no passwords, and no half import of a bad file."""

from __future__ import annotations

import json
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.settings_bundle import export_settings, import_settings
from app.settings_store import JsonSettings, SettingsError
from app.state.calibration import MonitorRecord
from app.state.hanging import load_protocols
from app.state.hanging_rules import protocol_json
from app.state.settings import HeatColour, Settings
from inference.exam.pacs.connections import ConnectionBook
from inference.exam.pacs.model import Connection, Kind
from resources.files import UserFacingError


@pytest.fixture
def station(tmp_path: Path) -> Path:
    """The settings folder of a station that was used for a while."""
    home = tmp_path / "config"
    JsonSettings(home).keep(
        Settings(
            language="zh_CN",
            text_scale=1.4,
            heat_colour=HeatColour.JET,
            keys={"view.invert": ("X",)},
            monitors=(MonitorRecord(monitor="EIZO|RX560|123", pitch_mm=0.165, measured_on="2026-11-01"),),
            window_place="QUJD",
        )
    )
    own = home / "hanging_protocols"
    own.mkdir()
    (own / "mine.json").write_text(json.dumps(protocol_json(load_protocols()[0])), encoding="utf-8")
    connection = Connection(name="archive", kind=Kind.DICOMWEB, url="https://pacs.example/dicom-web")
    ConnectionBook(home).keep(connection, secret="s3cret-token")
    return home


def test_everything_arrives_but_passwords_and_places_of_windows(station: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "settings.json", tmp_path / "other"
    JsonSettings(other).keep(Settings(window_place="REVG"))
    carried = export_settings(file, folder=station)
    assert (carried.monitors, carried.hanging_protocols, carried.pacs_connections) == (1, 1, 1)
    assert "s3cret" not in file.read_text(encoding="utf-8")
    assert import_settings(file, folder=other) == carried
    here, there = JsonSettings(station).current, JsonSettings(other).current
    assert there.monitors == here.monitors
    assert (there.language, there.text_scale, dict(there.keys)) == ("zh_CN", 1.4, {"view.invert": ("X",)})
    assert there.window_place == "REVG"
    assert ConnectionBook(other).connections() == ConnectionBook(station).connections()
    assert ConnectionBook(other).secret(ConnectionBook(other).connection("archive")) == ""
    assert (other / "hanging_protocols" / "mine.json").is_file()


def test_an_export_never_overwrites_a_file(station: Path, tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(SettingsError, match="expected a new file"):
        export_settings(file, folder=station)
    assert file.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda c: c.update(form="x"), "expected an exported settings file"),
        (lambda c: c.update(version=2), "expected version 1"),
        (lambda c: c.pop("settings"), "the part settings"),
        (lambda c: c["settings"].update(text_scale=9), "text_scale"),
        (lambda c: c["hanging_protocols"].update({"../evil.json": {}}), "evil"),
        (lambda c: c["hanging_protocols"].update({"bad.json": {"stages": 3}}), "hanging protocols"),
        (lambda c: c.update(pacs_connections=[{"name": 3}]), "PACS connections"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence_and_changes_nothing(station, tmp_path, change, word) -> None:
    file = tmp_path / "settings.json"
    export_settings(file, folder=station)
    content = json.loads(file.read_text(encoding="utf-8"))
    change(content)
    file.write_text(json.dumps(content), encoding="utf-8")
    other = tmp_path / "other"
    with pytest.raises(SettingsError, match=word) as refused:
        import_settings(file, folder=other)
    assert "nothing was changed" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not other.exists()


@pytest.mark.parametrize(
    ("trouble", "word"),
    [
        ("damaged connections", "PACS connections cannot be read"),
        ("passwords that all may read", "open rights"),
        ("a disk that fails in the middle", "could not be written"),
        ("a password in an address", "without user and password"),
    ],
)
def test_an_import_that_cannot_take_everything_takes_nothing(station, tmp_path, trouble, word) -> None:
    file, other = tmp_path / "settings.json", tmp_path / "other"
    export_settings(file, folder=station)
    JsonSettings(other).keep(Settings(text_scale=1.2))
    link = Connection(name="archive", kind=Kind.DICOMWEB, url="https://old.example/dicom-web")
    ConnectionBook(other).keep(link, secret="kept")
    if trouble == "damaged connections":
        (other / "pacs.json").write_text('{"schema": 1, "connections": [', encoding="utf-8")
    elif trouble == "passwords that all may read":
        (other / "pacs-secrets.json").chmod(0o644)
    elif trouble == "a disk that fails in the middle":
        (other / "hanging_protocols").write_text("a file in the folder's place", encoding="utf-8")
    else:
        content = json.loads(file.read_text(encoding="utf-8"))
        content["pacs_connections"][0]["url"] = "https://ada:s3cret@pacs.example/dicom-web"
        file.write_text(json.dumps(content), encoding="utf-8")
    before = {path.name: path.read_bytes() for path in other.iterdir()}
    with pytest.raises(SettingsError, match=word) as refused:
        import_settings(file, folder=other)
    assert "s3cret" not in str(refused.value)
    assert {path.name: path.read_bytes() for path in other.iterdir()} == before
    if trouble != "passwords that all may read":
        assert stat.S_IMODE((other / "pacs-secrets.json").stat().st_mode) == 0o600


def test_copies_of_passwords_lie_where_the_next_start_looks_for_what_a_killed_import_left(
    station, tmp_path, monkeypatch
) -> None:
    file, other, place = tmp_path / "settings.json", tmp_path / "other", tmp_path / "tmp"
    place.mkdir()
    export_settings(file, folder=station)
    link = Connection(name="archive", kind=Kind.DICOMWEB, url="https://old.example/dicom-web")
    ConnectionBook(other).keep(link, secret="kept")
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    found: list[Path] = []
    keep = ConnectionBook.keep

    def look(book: ConnectionBook, connection: Connection) -> None:
        found.extend(path for path in place.rglob("*") if path.is_file() and b"kept" in path.read_bytes())
        keep(book, connection)

    monkeypatch.setattr(ConnectionBook, "keep", look)
    import_settings(file, folder=other)
    assert [path.relative_to(place).parts[0].startswith("negatoscope-settings-") for path in found] == [True]
    assert list(place.iterdir()) == []


def test_a_password_that_an_older_station_kept_in_an_address_is_not_carried(station, tmp_path) -> None:
    kept = station / "pacs.json"
    kept.write_text(kept.read_text().replace("https://", "https://ada:s3cret@"), encoding="utf-8")
    export_settings(tmp_path / "settings.json", folder=station)
    text = (tmp_path / "settings.json").read_text(encoding="utf-8")
    assert "s3cret" not in text
    assert "https://pacs.example/dicom-web" in text


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_mangled_file_gets_past_one_sentence(tmp_path_factory, data) -> None:
    folder = tmp_path_factory.mktemp("mangled")
    file = folder / "settings.json"
    export_settings(file, folder=folder / "empty")
    text = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
    file.write_bytes(text)
    said = "nothing"
    try:
        import_settings(file, folder=folder / "other")
    except UserFacingError as error:
        said = str(error)
    assert said
    assert "\n" not in said
