"""A wrong card ends in one sentence that names the model, whichever engine it is for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference.model_card import ModelError
from inference.registry import load_card, why_not
from inference.worker import EngineSpec, make_engine
from resources.files import ROOT

CALCIFICATION, CONTRAST, SINGLE = "calcification-ensemble", "cesm-cbam", "dib-mg"
WRONG: dict[str, tuple[str, Callable[[dict[str, Any]], object], str]] = {
    "members is a number": (CALCIFICATION, lambda c: c["architecture"].update(members=5), "members"),
    "a scale of one": (CALCIFICATION, lambda c: c["architecture"].update(group_scale=[1.0]), "group_scale"),
    "a floor in words": (CALCIFICATION, lambda c: c["architecture"].update(floor="low"), "floor"),
    "no such level": (CALCIFICATION, lambda c: c["architecture"]["members"][0].update(level=9), "members/0"),
    "another's chain": (CALCIFICATION, lambda c: c.update(preprocessing="cesm-pair/1"), "calcification/1"),
    "two of five": (
        CALCIFICATION,
        lambda c: c["architecture"].update(members=c["architecture"]["members"][:2]),
        "expected 2 networks in the weights, found 5",
    ),
    "no such backbone": (
        CONTRAST,
        lambda c: c["architecture"]["network"].update(backbone="nonsuch"),
        "nonsuch",
    ),
    "no such map": (CONTRAST, lambda c: c["architecture"]["network"].update(level=9), "architecture/network"),
    "no widths": (
        CONTRAST,
        lambda c: c["architecture"]["segmenter"].update(widths=[]),
        "architecture/segmenter",
    ),
    "a slope in words": (
        CONTRAST,
        lambda c: c["architecture"].update(malignancy_slope="x"),
        "malignancy_slope",
    ),
    "a slope beyond numbers": (CONTRAST, lambda c: c["architecture"].update(lesion_slope="inf"), "finite"),
    "a mammogram's chain": (CONTRAST, lambda c: c.update(preprocessing="dib-mg-small/3"), "cesm-pair/1"),
    "five of two": (
        CONTRAST,
        lambda c: c["architecture"].update(members=5),
        "expected 5 networks in the weights, found 2",
    ),
    "a backbone that is not": (SINGLE, lambda c: c["architecture"].update(backbone="nonsuch"), "nonsuch"),
    "one plane for two": (SINGLE, lambda c: c.update(preprocessing="dib-mg-small/1"), "dib-mg-small/2"),
}


def _changed(folder: Path, model: str, change: Callable[[dict[str, Any]], object]) -> Path:
    shutil.copytree(ROOT / "models" / model, folder)
    raw = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    change(raw)
    (folder / "card.json").write_text(json.dumps(raw), encoding="utf-8")
    return folder


@pytest.mark.parametrize("case", list(WRONG))
def test_a_wrong_card_is_refused_in_one_sentence_that_names_the_model(tmp_path: Path, case: str) -> None:
    model, change, word = WRONG[case]
    folder = _changed(tmp_path / "model", model, change)
    with pytest.raises(ModelError) as refused:
        make_engine(EngineSpec(model_folder=folder, device="cpu"))
    said = str(refused.value)
    assert said.startswith(f"Model {model}: ")
    assert word in said
    assert said.endswith(".")
    assert "\n" not in said
    assert said.count("; ") == 1


def test_a_chain_of_another_family_is_told_before_a_model_is_made(tmp_path: Path) -> None:
    folder = _changed(tmp_path / "model", CONTRAST, lambda c: c.update(preprocessing="dib-mg-small/3"))
    assert "does not have the preprocessing" in (why_not(load_card(folder)) or "")
    assert why_not(load_card(ROOT / "models" / CONTRAST)) is None
