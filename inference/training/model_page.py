"""The part of a model's page that is told of every model alike: outputs, limits and operating points of its card."""

from __future__ import annotations

from inference.model_card import ModelCard


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
