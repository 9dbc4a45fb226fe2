"""Judges a run's tables against a manifest's truth: the figures of the evaluation contract."""

from __future__ import annotations

ROUNDS = 1000  # draws of a bootstrap; here, where reading it imports nothing else
