"""Where the four-view training's exams come from: phantoms made on the way, or a manifest with its lesions.

Owns what a training is given and the record of it (``TrainedOn``); how a manifest's exams are sorted is
``four_view_cases``, how one is read ``four_view_reading``.
"""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from inference.exam.manifest import read_manifest
from inference.exam.types import InferenceError
from inference.four_view_engine import FourViewEngine
from inference.model_card import file_sha256
from inference.training.four_view_cases import Case, LeftOut, Part, Sorting, sorted_cases
from inference.training.four_view_data import (
    PreparedExam,
    chain_digest,
    load_exam,
    phantom_cache,
    phantom_path,
    seeds_of,
)
from inference.training.four_view_judged import JudgedExam, judged_exams
from inference.training.four_view_reading import Reader, read_all

_LOG = logging.getLogger(__name__)
MOST_LEFT_OUT = 0.25  # of the exams to learn from; more and the table, not the odd file, is at fault


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedOn:
    """What a run learns from, for its report and its model's card."""

    kind: str  # "phantoms" or "manifest"
    tables: tuple[str, ...] = ()  # names of images and lesions table with the digest's first digits
    rule: str = ""  # how exams were split
    exams: int = 0  # with truth
    women: int = 0
    normal: int = 0  # exams with truth and without a lesion
    malignant: int = 0  # exams with a cancer
    lesions: dict[str, int] = field(default_factory=dict)  # by type, counted in each view
    kinds: tuple[str, ...] = ()  # of images
    unlabelled: int = 0  # exams without truth, learnt from by pseudo-labels
    unused: int = 0  # exams without truth that the recipe leaves alone
    validation: int = 0
    validation_women: int = 0
    held_out: int = 0  # exams that the table keeps for testing
    left_out: int = 0  # exams and views, listed in left_out.csv


class PhantomExams:
    """Training phantoms by index, validation phantoms in order; each is made once and kept in the cache."""

    unlabelled = 0

    def __init__(self, cache: Path, preprocessing: str, *, count: int, validation: int) -> None:
        self.count = count
        self._folder = phantom_cache(cache, preprocessing)
        self._preprocessing = preprocessing
        self._train = seeds_of("train", count)
        self._validation = seeds_of("validation", validation)
        self.identity = f"{count} phantoms {chain_digest(preprocessing)}"
        self.trained_on = TrainedOn(kind="phantoms", exams=count, women=count, validation=validation)

    def exam(self, index: int) -> PreparedExam:
        """Return a training exam."""
        return load_exam(phantom_path(self._folder, self._train[index], self._preprocessing))

    def validation(self) -> Iterator[PreparedExam]:
        """Yield the validation exams."""
        for seed in self._validation:
            yield load_exam(phantom_path(self._folder, seed, self._preprocessing))


class ManifestExams:
    """The exams of an images table and its lesions table, sorted by ``sorted_cases`` and read before training.

    Exams without truth come last: only recipes that make pseudo-labels learn from them. Of women who validate
    or test none is ever learnt from, with or without truth.
    """

    def __init__(
        self,
        manifest: Path,
        lesions: Path,
        cache: Path,
        preprocessing: str,
        *,
        rank: int = 0,
        world: int = 1,
        workers: int = 1,
        most_left_out: float = MOST_LEFT_OUT,
        unlabelled: bool = True,
    ) -> None:
        """Read the tables and prepare every image that is not in the cache.

        Parameters
        ----------
        rank, world
            Each of several processes begins with its own share of the exams.
        workers
            Processes that read images.
        most_left_out
            Largest share of the exams to learn from that may be left out, 0 .. 1.
        unlabelled
            Also take exams without truth; False = they are not even read.

        Raises
        ------
        InferenceError
            No exam is left to learn from or to validate with, no lesion to validate with, or too many had to be
            left out.
        """
        table = read_manifest(manifest, lesions)
        for sentence in table.problems:
            _LOG.warning("%s", sentence)
        sorting = sorted_cases(table)
        self._reader = Reader(
            folder=table.folder,
            lesion_folder=lesions.parent,
            cache=cache / f"{preprocessing.replace('/', '-')}-manifest-{chain_digest(preprocessing)}",
            preprocessing=preprocessing,
        )
        taught = [*sorting.of(Part.TRAIN, labelled=True), *sorting.of(Part.VALIDATION, labelled=True)]
        bare = sorting.of(Part.TRAIN, labelled=False)
        asked = [*taught, *(bare if unlabelled else ())]
        readable, left_out = read_all(self._reader, asked, rank=rank, world=world, workers=workers)
        self.left_out: tuple[LeftOut, ...] = (
            *(LeftOut(case_id="", what=manifest.name, why=text) for text in table.problems),
            *(x for x in sorting.left_out if x.what == "exam" or x.case_id in readable),
            *left_out,
        )
        self._learning = [c for c in sorting.of(Part.TRAIN, labelled=True) if c.case_id in readable]
        without = [c for c in bare if c.case_id in readable]
        self._held = [c for c in sorting.of(Part.VALIDATION, labelled=True) if c.case_id in readable]
        self.unlabelled = len(without)
        self.count = len(self._learning) + len(without)
        self._check(manifest.name, sorting, most_left_out)
        digests = [file_sha256(path)[:12] for path in (manifest, lesions)]
        self.identity = (
            f"manifest {manifest.name} {digests[0]} {lesions.name} {digests[1]}, {self.count} exams"
        )
        self.trained_on = self._record((manifest, lesions), digests, sorting)
        self._learning += without

    def _check(self, name: str, sorting: Sorting, most_left_out: float) -> None:
        meant = len(sorting.of(Part.TRAIN, labelled=True))
        lost = meant - len(self._learning)
        first = f" The first: {self.left_out[0].what}: {self.left_out[0].why}" if self.left_out else ""
        if not self._learning or not self._held:
            raise InferenceError(
                f"{name}: expected labelled exams of at least two women in both parts, found {len(self._learning)} "
                f"to learn from and {len(self._held)} to validate with; add exams or mend those left out.{first}"
            )
        if not any(case.lesions for case in self._held):
            raise InferenceError(
                f"{name}: expected a lesion to find among the {len(self._held)} exams to validate with, found none; "
                f"name women with a lesion in the column split.{first}"
            )
        if lost > most_left_out * meant:
            raise InferenceError(
                f"{name}: expected at most {most_left_out:.0%} of the exams to learn from to be unreadable, found "
                f"{lost} of {meant}; mend them or raise --most-left-out.{first}"
            )
        if self.left_out:
            _LOG.warning("%s: %d exams or views left out.%s", name, len(self.left_out), first)

    def _record(self, paths: Sequence[Path], digests: Sequence[str], sorting: Sorting) -> TrainedOn:
        cases = self._learning
        lesions = Counter(x.type.value for case in cases for x in case.lesions)
        return TrainedOn(
            kind="manifest",
            tables=tuple(f"{path.name} ({digest})" for path, digest in zip(paths, digests, strict=True)),
            rule=sorting.rule,
            exams=len(cases),
            women=len({case.woman for case in cases}),
            normal=sum(not case.lesions for case in cases),
            malignant=sum(case.malignant for case in cases),
            lesions=dict(sorted(lesions.items())),
            kinds=tuple(sorted({row.kind.value for case in cases for row in case.rows})),
            unlabelled=self.unlabelled,
            unused=len(sorting.of(Part.TRAIN, labelled=False)) - self.unlabelled,
            validation=len(self._held),
            validation_women=len({case.woman for case in self._held}),
            held_out=sum(case.part is Part.TEST for case in sorting.cases),
            left_out=len(self.left_out),
        )

    @property
    def learning(self) -> tuple[Case, ...]:
        """The exams to learn from by index, those without truth last."""
        return tuple(self._learning)

    def exam(self, index: int) -> PreparedExam:
        """Return an exam to learn from."""
        return self._reader.prepared(self._learning[index])

    def validation(self) -> Iterator[PreparedExam]:
        """Yield the validation exams, with and without a lesion in turn: a recipe looks at the first few only."""
        for case in _in_turn(self._held):
            yield self._reader.prepared(case)

    def judged(self, engine: FourViewEngine) -> list[JudgedExam]:
        """Read the validation exams with an engine, beside their truth."""
        return judged_exams(engine, self._held, self._reader.folder, self._reader.lesion_folder)


def _in_turn(cases: Sequence[Case]) -> list[Case]:
    """Exams with a lesion and exams without one by turns, each kind in its order, what is left over last."""
    pairs = zip_longest([c for c in cases if c.lesions], [c for c in cases if not c.lesions])
    return [case for pair in pairs for case in pair if case is not None]


def write_left_out(left_out: Sequence[LeftOut], path: Path) -> None:
    """Write what was not learnt from and why, as CSV."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("case_id", "what", "why"))
        writer.writerows((x.case_id, x.what, x.why) for x in left_out)
