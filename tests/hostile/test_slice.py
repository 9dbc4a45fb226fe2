"""A slice of the long run, with fixed seeds: ``python -m tests.benchmarks hostile`` does ten thousand."""

from __future__ import annotations

import pickle
import time
import warnings
from pathlib import Path

import pytest

from tests.hostile.crew import trials
from tests.hostile.importers import BY_NAME, TABLE, at_number
from tests.hostile.seeds_images import Seeds
from tests.hostile.trial import make_corpus, spoiled_file, try_file

BUDGET_S = 45.0
SEED = 20261121
LEAST = 2 * len(TABLE)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def seeds(corpus: Path) -> Seeds:
    made: Seeds = pickle.loads(corpus.read_bytes())
    return made


def test_hostile_every_good_file_is_taken_by_its_importer(seeds: Seeds) -> None:
    assert set(seeds) == set(BY_NAME)
    for name, good in seeds.items():
        for seed in good:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                trial = try_file(BY_NAME[name], seed, seed.data)
            if seed.name == "frames.dcm":  # several frames are refused, and stay a seed
                assert trial.verdict == ("refusal" if name == "dicom" else "load"), trial
            elif name == "model card":  # its weights are cut off beside it
                assert "SHA-256" in trial.words
            else:
                assert trial.verdict == "load", trial


def test_hostile_the_same_seed_and_number_spoil_the_same_file_alike(seeds: Seeds) -> None:
    assert {at_number(number).name for number in range(1_000)} == set(BY_NAME)
    for number in range(60):
        one, other = spoiled_file(seeds, SEED, number), spoiled_file(seeds, SEED, number)
        assert one == other


def test_hostile_spoiled_files_are_taken_or_refused_in_one_sentence(corpus: Path) -> None:
    start, done, failed = time.perf_counter(), 0, []
    for trial in trials(corpus, SEED, range(100_000)):
        done += 1
        if trial.failed:
            failed.append(
                f"{trial.importer}, number {trial.number}, {trial.done}: {trial.verdict}: {trial.words}"
            )
        if done >= LEAST and time.perf_counter() - start > BUDGET_S:
            break
    assert not failed, "\n".join(failed)
    assert done >= LEAST
