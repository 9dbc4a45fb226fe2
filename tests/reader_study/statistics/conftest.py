"""Published multi-reader data with known answers, read from the data folder."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reader_study.statistics.froc import FrocData, froc_from_rows
from reader_study.statistics.ratings import Ratings, ratings_from_rows


@pytest.fixture(scope="session")
def mrmc(data_root: Path) -> Path:
    return data_root / "mrmc"


@pytest.fixture(scope="session")
def table(mrmc: Path) -> Callable[[str], list[dict[str, str]]]:
    def read(name: str) -> list[dict[str, str]]:
        with (mrmc / name).open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))

    return read


@pytest.fixture(scope="session")
def expected(mrmc: Path) -> Callable[[str], Any]:
    return lambda name: json.loads((mrmc / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def vandyke(table: Callable[[str], list[dict[str, str]]]) -> Callable[[str], Ratings]:
    """Van Dyke's cine MRI study; ``case``, ``case2`` (cases nested in readers) or ``case3`` (in modalities)."""

    def build(case: str = "case") -> Ratings:
        return ratings_from_rows(
            (r["reader"], r["treatment"], r[case], int(r["truth"]), float(r["rating"]))
            for r in table("vandyke.csv")
        )

    return build


@pytest.fixture(scope="session")
def froc(table: Callable[[str], list[dict[str, str]]]) -> Callable[[str], FrocData]:
    def build(stem: str) -> FrocData:
        truth, fp, tp = (table(f"{stem}.{part}.csv") for part in ("truth", "fp", "tp"))
        return froc_from_rows(
            truth=((r["case"], r["lesion_id"], float(r["weight"])) for r in truth),
            false_positives=((r["reader"], r["treatment"], r["case"], float(r["rating"])) for r in fp),
            true_positives=((r["reader"], r["treatment"], r["case"], r["lesion_id"], float(r["rating"])) for r in tp),
            modalities=sorted({r["treatment"] for r in fp}),
            readers=sorted({r["reader"] for r in fp}),
        )  # fmt: skip

    return build
