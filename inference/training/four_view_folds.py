"""Cross-validation of the four-view detector on a manifest: folds by woman, one run a fold, lesions found.

Each fold goes on from given weights and is judged on the women that it never saw, beside those weights
untouched. Nothing made here ships.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

_SEED = 2026


def fold_tables(manifest: Path, folds: int) -> list[Path]:
    """Write a copy of an images table for each fold beside it, with a column ``split`` by woman.

    Parameters
    ----------
    manifest
        Images CSV; its own column ``split`` is replaced.
    folds
        2 or more.

    Returns
    -------
    Tables in which a fold's women are marked test and all others train, each woman in one fold.
    """
    with manifest.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    women = sorted({row.get("patient_id") or row["case_id"] for row in rows})
    order = np.random.default_rng(_SEED).permutation(len(women))
    fold_of = {women[int(n)]: place % folds for place, n in enumerate(order)}
    columns = [*(name for name in rows[0] if name != "split"), "split"]
    paths = []
    for fold in range(folds):
        path = manifest.with_name(f"{manifest.stem}-fold{fold + 1}of{folds}.csv")
        for row in rows:
            own = fold_of[row.get("patient_id") or row["case_id"]] == fold
            row["split"] = "test" if own else "train"
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, columns, lineterminator="\n", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        paths.append(path)
    return paths
