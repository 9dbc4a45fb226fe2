"""Writes a study's ratings and marks in the files of the MRMC programs; what a format cannot hold is said, not bent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from reader_study.domain.conduct import CallOf
from reader_study.domain.reading import SessionRecord
from reader_study.domain.study import Study
from reader_study.domain.truth import Truth
from reader_study.errors import StudyError
from reader_study.exchange.delimited import write_imrmc, write_long_csv, write_lrc
from reader_study.exchange.observer_data import ObserverData
from reader_study.exchange.workbook_writer import write_workbook
from reader_study.observers import Rating, answers_of, froc_observer_data, roc_observer_data


def write_observer_files(
    study: Study, records: Sequence[SessionRecord], folder: Path, truth: Mapping[str, Truth]
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Write every rating as iMRMC, RJafroc, MRMCaov and OR-DBM, and the marks as a free-response workbook.

    Returns
    -------
    The files, and a sentence for each that could not be written.
    """
    answers = tuple(answer for record in records for answer in answers_of(record))
    wanted: list[tuple[str, Callable[[], ObserverData]]] = [
        (f"roc_{rating.value}", partial(roc_observer_data, study, answers, truth, rating=rating))
        for rating in Rating
        if rating is not Rating.CALL or study.scale.call is CallOf.CASE
    ]
    folder.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    left_out: list[str] = []
    for name, make in wanted:
        try:
            data = make()
        except StudyError as error:
            left_out.append(f"{name}: {error}")
            continue
        for path, write in _roc_writers(folder / name):
            _try(path, partial(write, data, path), made, left_out)
    try:
        marks = froc_observer_data(study, answers, truth)
    except StudyError as error:
        left_out.append(f"froc: {error}")
    else:
        path = folder / "froc_rjafroc.xlsx"
        _try(path, partial(write_workbook, marks, path), made, left_out)
    return tuple(made), tuple(left_out)


def _roc_writers(stem: Path) -> tuple[tuple[Path, Callable[[ObserverData, Path], object]], ...]:
    return (
        (stem.with_name(stem.name + ".imrmc"), write_imrmc),
        (stem.with_name(stem.name + "_rjafroc.xlsx"), write_workbook),
        (stem.with_name(stem.name + "_mrmcaov.csv"), write_long_csv),
        (stem.with_name(stem.name + ".lrc"), write_lrc),
    )


def _try(path: Path, write: Callable[[], object], made: list[Path], left_out: list[str]) -> None:
    try:
        beside = write()
    except StudyError as error:
        left_out.append(f"{path.name}: {error}")
        return
    made.append(path)
    if isinstance(beside, Path):  # the key table of whole-number case ids
        made.append(beside)
