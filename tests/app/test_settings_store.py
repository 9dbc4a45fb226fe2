"""The settings file: whole, atomic, and never lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from app.language import language_setting
from app.settings_store import JsonSettings, SettingsError
from app.state.calibration import MonitorRecord
from app.state.gsdf import LuminanceResponse
from app.state.settings import HeatColour, Settings, WheelUse

RESPONSE = LuminanceResponse(levels=(0, 100, 200, 255), cd_m2=(1.0, 40.0, 250.5, 480.0))
CHANGED = Settings(
    language="zh_CN",
    text_scale=1.4,
    wheel=WheelUse.STAGE,
    heat_colour=HeatColour.JET,
    cache_mb=4096,
    keys={"view.invert": ("J", "Ctrl+I")},
    monitors=(MonitorRecord(monitor="EIZO|RX|1", pitch_mm=0.165, response=RESPONSE, ambient_lux=20.0),),
    panel_apart=True,
    window_place="AAAA",
)


def test_what_was_kept_is_read_again_by_the_next_start(tmp_path: Path) -> None:
    JsonSettings(tmp_path).keep(CHANGED)
    again = JsonSettings(tmp_path)
    assert again.current == CHANGED
    assert again.problem == ""
    assert language_setting(tmp_path) == "zh_CN"
    assert json.loads(again.path.read_text())["schema"] == 1


def test_no_file_is_no_problem(tmp_path: Path) -> None:
    assert JsonSettings(tmp_path).current == Settings()
    assert JsonSettings(tmp_path).problem == ""


@pytest.mark.parametrize("damage", [b"{ half a file", b"\xff\xfe\x00", b"[1, 2]", b""])
def test_a_damaged_file_gives_a_sentence_and_defaults_and_is_kept(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "settings.json").write_bytes(damage)
    store = JsonSettings(tmp_path)
    assert store.current == Settings()
    assert "defaults" in store.problem
    store.keep(Settings(text_scale=1.2))
    assert (tmp_path / "settings.damaged-1.json").read_bytes() == damage
    assert JsonSettings(tmp_path).current.text_scale == 1.2


def test_one_bad_field_costs_only_that_field_and_a_copy_is_kept(tmp_path: Path) -> None:
    JsonSettings(tmp_path).keep(CHANGED)
    path = tmp_path / "settings.json"
    plain = json.loads(path.read_text()) | {"text_scale": 9}
    path.write_text(json.dumps(plain))
    store = JsonSettings(tmp_path)
    assert store.current == replace(CHANGED, text_scale=1.0)
    assert "text_scale" in store.problem
    assert (tmp_path / "settings.damaged-1.json").exists()


def test_fields_of_a_newer_version_are_carried_along(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"schema": 2, "text_scale": 1.5, "new_thing": [1]}))
    store = JsonSettings(tmp_path)
    assert store.current.text_scale == 1.5
    assert "newer version" in store.problem
    store.keep(replace(store.current, text_scale=1.1))
    assert json.loads(path.read_text())["new_thing"] == [1]


def test_a_disk_that_refuses_is_said_and_the_old_file_stays(tmp_path: Path) -> None:
    store = JsonSettings(tmp_path)
    store.keep(CHANGED)
    (tmp_path / "settings.new").mkdir()
    with pytest.raises(SettingsError, match="expected to write"):
        store.keep(Settings())
    assert JsonSettings(tmp_path).current == CHANGED
