"""Judges a run's tables against a manifest's truth: the figures of the evaluation contract."""
