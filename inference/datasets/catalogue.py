"""The public sets by name."""

from __future__ import annotations

from inference.datasets import cbis, cesm, cmmd, inbreast, mias, vindr
from inference.datasets.layout import Dataset, DatasetError

DATASETS: dict[str, Dataset] = {
    entry.name: entry
    for entry in (
        vindr.DATASET,
        cbis.DATASET,
        inbreast.DATASET,
        cmmd.DATASET,
        mias.DATASET,
        cesm.DATASET,
    )
}


def dataset(name: str) -> Dataset:
    """Find a set by its name, upper or lower case, with or without hyphens; DatasetError lists those there are."""
    plain = name.lower().replace("-", "").replace("_", "")
    for entry in DATASETS.values():
        if plain in {entry.name.replace("-", ""), entry.name.split("-")[0]}:
            return entry
    if plain == "cesm":
        return cesm.DATASET
    raise DatasetError(f"Set {name!r}: expected {', '.join(DATASETS)}, found another name.")
