"""A variant is measured beside the shipped weights on the same cases, and replaces them by a rule set before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.evaluation.compare import paired_delong
from inference.metrics import delong_auc
from inference.model_card import read_card
from inference.phantom_evaluation import run_phantoms, run_together
from inference.torch_engine import TorchEngine
from inference.training.dib_mg_page import document, roc_figure
from inference.training.dib_mg_variants import paired_auc, paired_share, replaces
from resources.files import ROOT

SHIPPED = ROOT / "models" / "dib-mg"
PAGES = Path(__file__).resolve().parents[3] / "docs" / "models"


def _measured(exam: float, pointing: float, view: float, film_pointing: float) -> dict[str, Any]:
    def gap(value: float) -> dict[str, Any]:
        return {"difference": {"value": value}}

    return {
        "phantom": {"auc_exam": gap(exam), "pointing_game": gap(pointing)},
        "film": {"auc_view": gap(view), "pointing_game": gap(film_pointing)},
    }


def test_b_a_variant_replaces_the_shipped_weights_only_if_better_on_phantoms_and_not_worse_on_film() -> None:
    assert replaces(_measured(0.01, 0.0, 0.0, 0.02))
    assert replaces(_measured(0.0, 0.02, 0.1, 0.0))
    assert not replaces(_measured(0.0, 0.0, 0.1, 0.1))  # no better on phantoms
    assert not replaces(_measured(0.02, -0.01, 0.1, 0.1))
    assert not replaces(_measured(0.02, 0.01, -0.01, 0.1))
    assert not replaces(_measured(0.02, 0.01, 0.1, -0.03))
    unseen = _measured(0.02, 0.02, 0.0, 0.0)
    del unseen["film"]
    assert not replaces(unseen)


def test_b_paired_difference_is_variant_less_shipped_and_its_bootstrap_agrees_with_delong() -> None:
    rng = np.random.default_rng(3)
    truth = np.arange(200) % 2 == 0
    common = rng.normal(truth * 1.0, 1.0)
    first, second = common + rng.normal(0, 1.0, 200), common + rng.normal(0, 0.3, 200)
    pair = paired_auc([str(n) for n in range(200)], truth, first, second)
    assert pair["a"] == pytest.approx(delong_auc(truth, first).value, abs=1e-4)
    assert pair["b"] > pair["a"]
    tested = paired_delong(truth, second, first)
    assert pair["difference"]["value"] == pytest.approx(tested["value"], abs=1e-4)
    for end in ("lo", "hi"):
        assert tested[end] is not None
        assert pair["difference"][end] == pytest.approx(tested[end], abs=0.02)


def test_b_paired_share_draws_a_womans_views_together() -> None:
    # ten women of two views each: the two answers differ by one view, always the same woman's
    women = [str(n // 2) for n in range(20)]
    first = np.ones(20)
    second = first.copy()
    second[0] = 0.0
    pair = paired_share(women, first, second)
    assert (pair["a"], pair["b"], pair["n"]) == (1.0, 0.95, 20)
    assert pair["difference"]["value"] == pytest.approx(-0.05)
    assert pair["difference"]["hi"] == 0.0
    assert -0.2 < pair["difference"]["lo"] < -0.05


def test_b_two_models_on_one_phantom_get_what_each_would_alone() -> None:
    engine = TorchEngine(SHIPPED, "cpu", box_threshold=0.005)
    chain = engine.card.preprocessing
    together = run_together([engine, engine], [2_000_000], chain, 0.5)
    alone = run_phantoms(engine, [2_000_000], chain, 0.5)
    for run in together:
        assert run.exam_score == alone.exam_score
        assert run.images == alone.images
        assert run.pointing == alone.pointing
        assert run.baselines == alone.baselines


def test_b_the_page_of_dib_mg_is_what_its_card_says_and_strata_hold_every_exam(tmp_path: Path) -> None:
    assert (PAGES / "dib-mg.md").read_text(encoding="utf-8") == document(SHIPPED)
    figures = read_card(SHIPPED).evaluation["phantom"]
    for attribute in ("age", "density"):
        of_cases = [group["accuracy"]["n"] for group in figures["strata"][attribute]["groups"].values()]
        assert sum(of_cases) == figures["n_exams"]
    corners = np.array(figures["roc_exam"])
    assert float(np.trapezoid(corners[:, 1], corners[:, 0])) == pytest.approx(
        figures["auc_exam"]["value"], abs=1e-3
    )
    assert roc_figure(SHIPPED, tmp_path / "roc.png").stat().st_size > 5000
    assert (PAGES / "dib-mg-roc.png").is_file()
