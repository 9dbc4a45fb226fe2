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
