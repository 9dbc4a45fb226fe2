"""The part of a model's page that is told of every model alike: head, outputs, limits and operating points of its card."""

from __future__ import annotations

from collections.abc import Sequence

from inference.model_card import ModelCard


def card_head(
    card: ModelCard,
    written_by: str,
    network: Sequence[str],
    *,
    weights_note: str = "",
    scores: str = "The scores",
) -> list[str]:
    """Return the Markdown lines from the title to the card's plain facts, an empty one at the end.

    Parameters
    ----------
    written_by
        The command that writes the page.
    network
        The lines on the network, with their bullets.
    weights_note
        Stands after the weights' size.
    scores
        What the line on the scores' meaning is called.
    """
    return [
        f"# {card.name}",
        "",
        f"Model `{card.model_id}` version {card.version}. {card.intended_use}",
        "",
        f"Written by `{written_by}`; do not edit by hand.",
        "",
        f"* Task: {card.task}",
        *network,
        f"* Preprocessing: `{card.preprocessing}`",
        f"* Weights: `{card.weights_file}`, SHA-256 `{card.weights_sha256}`, "
        f"{card.weights_path.stat().st_size / 1e6:.1f} MB{weights_note}",
        f"* Training data: {card.training_data}",
        f"* Licence: {card.licence}",
        f"* {scores}: {card.score_meaning}",
        "",
    ]


def card_sections(card: ModelCard) -> list[str]:
    """Return the Markdown lines of these three sections, an empty one at the end."""
    return [
        "## What it gives",
        "",
        "| output | unit | meaning |",
        "|---|---|---|",
        *[f"| {o.name} | {o.unit} | {o.meaning} |" for o in card.outputs],
        "",
        "## Known limits",
        "",
        *[f"* {limit}" for limit in card.known_limits],
        "",
        "## Operating points",
        "",
        "| level | name | threshold | how set |",
        "|---|---|---|---|",
        *[f"| {p.level} | {p.name} | {p.threshold:.3f} | {p.how_set} |" for p in card.operating_points],
        "",
    ]


def prevalence_words(positive: int, negative: int, sensitivity: float, specificity: float, point: str) -> str:
    """Say under which share of malignant lesions predictive values hold, and what they were under other shares.

    Bayes' rule at 30 % and 5 % malignant, for the operating point of that name.
    """

    def ppv(share: float) -> float:
        right, wrong = sensitivity * share, (1.0 - specificity) * (1.0 - share)
        return right / (right + wrong) if right + wrong > 0 else float("nan")

    return (
        f"PPV, NPV and accuracy hold for the {positive / (positive + negative):.0%} that are malignant here; at the "
        f"point {point!r} PPV would be {ppv(0.3):.2f} if 30 %, and {ppv(0.05):.2f} if 5 % were malignant."
    )
