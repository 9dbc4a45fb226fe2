"""Where the four-view training's exams come from: phantoms made on the way, or a manifest with its lesions.

Owns the split into training and validation and the cache's use; what an exam is lies in ``four_view_data``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from inference.training.four_view_data import (
    PreparedExam,
    load_exam,
    phantom_cache,
    phantom_path,
    seeds_of,
)


class PhantomExams:
    """Training phantoms by index, validation phantoms in order; each is made once and kept in the cache."""

    unlabelled = 0

    def __init__(self, cache: Path, preprocessing: str, *, count: int, validation: int) -> None:
        self.count = count
        self._folder = phantom_cache(cache, preprocessing)
        self._preprocessing = preprocessing
        self._train = seeds_of("train", count)
        self._validation = seeds_of("validation", validation)

    def exam(self, index: int) -> PreparedExam:
        """Return a training exam."""
        return load_exam(phantom_path(self._folder, self._train[index], self._preprocessing))

    def validation(self) -> Iterator[PreparedExam]:
        """Yield the validation exams."""
        for seed in self._validation:
            yield load_exam(phantom_path(self._folder, seed, self._preprocessing))
