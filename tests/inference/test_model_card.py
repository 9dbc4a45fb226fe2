"""Cards and weights that are not what they should be are refused in one sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from inference.model_card import ModelError, checked_weights, read_card
from inference.registry import load_card, model_folders, why_not
from resources.files import ROOT

SHIPPED = ROOT / "models" / "dib-mg"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "dib-mg"))


def _edit(folder: Path, **changes: object) -> None:
    path = folder / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def test_shipped_card_reads_and_its_weights_are_the_ones_it_names() -> None:
    card = read_card(SHIPPED)
    assert card.model_id == "dib-mg"
    assert "research use only" in card.intended_use.lower()
    assert len(checked_weights(card)) < 15_000_000
    assert why_not(card) is None
    assert SHIPPED in model_folders()


def test_one_changed_byte_in_the_weights_is_refused(folder: Path) -> None:
    weights = folder / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ModelError, match=r"expected SHA-256 .* found .* copy the model folder again"):
        checked_weights(read_card(folder))


def test_missing_weights_are_named_as_the_reason(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    assert "weights.safetensors is missing" in (why_not(read_card(folder)) or "")
    with pytest.raises(ModelError, match="found none"):
        checked_weights(read_card(folder))


def test_a_card_that_promises_more_than_research_is_refused(folder: Path) -> None:
    _edit(folder, intended_use="Diagnosis")
    with pytest.raises(ModelError, match="intended_use"):
        read_card(folder)


def test_a_weights_name_that_leaves_the_folder_is_refused(folder: Path) -> None:
    _edit(folder, weights={"file": "../evil.safetensors", "sha256": "0" * 64})
    with pytest.raises(ModelError, match="weights/file"):
        read_card(folder)


def test_unknown_network_and_preprocessing_are_reasons_why_not(folder: Path) -> None:
    _edit(folder, preprocessing="other/9")
    assert "other/9" in (why_not(read_card(folder)) or "")
    _edit(folder, architecture={"family": "oracle"})
    assert "oracle" in (why_not(read_card(folder)) or "")


def test_unknown_model_id_lists_the_known_ones() -> None:
    with pytest.raises(ModelError, match="dib-mg"):
        load_card("nothing")
