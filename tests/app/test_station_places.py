"""Where a coordinator's key and truth lie."""

from __future__ import annotations

from app.bootstrap import truth_places


def test_rs_a6_two_case_folders_of_one_name_never_share_a_truth_or_a_key(tmp_path, monkeypatch):
    monkeypatch.setenv("NEGATOSCOPE_HOME", str(tmp_path / "home"))
    places = [
        truth_places(tmp_path / "s.sqlite", tmp_path / site / "cases")[1] for site in ("north", "south")
    ]
    assert places[0] != places[1]
    assert all("cases" in place.name for place in places)
    again = truth_places(tmp_path / "s.sqlite", tmp_path / "north" / "cases")[1]
    assert again == places[0]
