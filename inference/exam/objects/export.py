"""Writes all DICOM objects of one AI run: the CAD report, and each heat map as an object of its own (MG-34)."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from inference.exam.objects.cad_sr_write import CadRun, cad_sr
from inference.exam.objects.document import read_headers, save
from inference.exam.objects.heat_map import heat_map_image


def write_run(run: CadRun, root: Path, folder: Path, *, created: datetime, version: str) -> tuple[Path, ...]:
    """Write a run's objects into ``folder``; the report first.

    Parameters
    ----------
    root : the folder, zip, manifest or file that the exam was read from; headers are read from there again
    created : when the objects are made, no time zone
    version : version of this program

    Raises
    ------
    ObjectError
        The exam holds pictures that are no DICOM, its files are gone, or the folder cannot be written.
    """
    headers = read_headers(root, run.exam)
    report = cad_sr(
        run, headers, created=created, version=version
    )  # refuses pictures before anything is written
    stem = file_stem(run.exam.exam_id)
    paths = [save(report, folder, f"{stem}_cad_sr.dcm")]
    images = {image.key: image for image in run.exam.images}
    for heat in run.result.heatmaps if run.result is not None else ():
        assert run.result is not None
        ds = heat_map_image(
            heat, images[heat.image_key], run.result, headers, created=created, version=version
        )
        paths.append(save(ds, folder, f"{stem}_heat_{file_stem(heat.image_key)}.dcm"))
    return tuple(paths)


def file_stem(words: str) -> str:
    """Turn a key or id into something every file system takes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", words).strip("._") or "exam"
