"""A PACS for the trial of an installed package: Debian's Orthanc, alone with the trial on a network of loopback only.

Owns the server, the study's protocol and what is read from the program's answers. The trial itself is in ``smoke_linux``.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "pacs.md"
PLUGIN = Path("/", "usr", "share", "orthanc", "plugins", "libOrthancDicomWeb.so")
NEEDED_PROGRAMS = ("Orthanc", "ip", "nsenter", "unshare")
STUDY, READER, PASSWORD = "PACS-TRIAL", "reader1", "negatoscope"
START_S = 60.0

PROTOCOL = f"""study_id: {STUDY}
title: Exams from the PACS
protocol_version: '1'
design: crossover
seed: 11
washout_days: 0.0
arms:
- arm_id: unaided
  title: Without AI
  ai: {{shown: false, boxes: false, heatmap: false, score: false, operating_threshold: 0.5}}
- arm_id: aided
  title: With AI
  ai: {{shown: true, boxes: true, heatmap: true, score: true, operating_threshold: 0.5}}
scale:
  birads: ['1', '2', '3', 4A, 4B, 4C, '5']
  require: [birads, suspicion, density, recall]
readers:
- {{reader_id: {READER}, name: Simulated reader, experience_years: 5, group: senior}}
"""

# Run by the installed package's own interpreter: the demo's simulated reader on another study than the demo's.
READ_STUDY = '''"""Reads the trial's study through the installed package's windows; the AI is computed first, as the demo does."""
import os
import sys
from pathlib import Path


def main():
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from app import bootstrap
    from app.files import program_folders
    from app.views.main_window import MainWindow
    from app.views.simulated_reader import read_study
    from app.views.start_window import application
    from inference.exam.sources import FolderSource

    folder, reader, password = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    exams = folder / "cases" / "exams"
    engine = bootstrap.make_engine(program_folders("station").cache)
    source = FolderSource(exams)
    for exam in source.list():
        engine.analyse(source.load(exam.exam_id), lambda *_: None, lambda: False)
    station = bootstrap.study_station(database=folder / "study.sqlite", study_id=None, exams=exams,
                                      anchor=folder / "anchor.jsonl", engine=engine)
    qt = application()
    window = MainWindow(station, version="trial")
    shots = read_study(window, reader=reader, password=password, folder=folder / "screenshots", say=print)
    print(len(shots), "screenshots")
    window.close()


if __name__ == "__main__":
    main()
'''


class NoPacs(Exception):
    """There is no PACS to try with; the text says what is missing or what Orthanc said."""


def missing_programs(found: Callable[[str], str | None] = shutil.which, plugin: Path = PLUGIN) -> str:
    """Return one sentence on what this machine lacks for the trial; empty when nothing is missing."""
    lacking = [name for name in NEEDED_PROGRAMS if found(name) is None]
    if not plugin.exists():
        lacking.append(plugin.name)
    if not lacking:
        return ""
    return (
        f"pacs: expected {', '.join((*NEEDED_PROGRAMS, PLUGIN.name))} on this machine, lacking {', '.join(lacking)}; "
        "install orthanc, orthanc-dicomweb, iproute2 and util-linux."
    )


def guide_configuration(text: str) -> dict[str, object]:
    """Return the Orthanc configuration that the guide tells a new administrator to write.

    Raises
    ------
    NoPacs
        The guide has no indented JSON object that names AE title and DICOMweb plugin.
    """
    lines = text.splitlines()
    try:
        first = lines.index("    {")
        last = lines.index("    }", first)
        value = json.loads("\n".join(lines[first : last + 1]))
    except ValueError as error:
        raise NoPacs(
            f"docs/pacs.md: expected Orthanc's configuration as indented JSON, found none ({error}); mend the guide."
        ) from error
    if not isinstance(value, dict) or not {"DicomAet", "Plugins", "RegisteredUsers"} <= value.keys():
        raise NoPacs(
            "docs/pacs.md: expected DicomAet, Plugins and RegisteredUsers in the configuration; mend the guide."
        )
    return value


def studies_found(text: str) -> list[tuple[str, int]]:
    """Return study UID and number of images of each line that ``pacs query`` printed; ValueError for another line."""
    found = []
    for line in text.splitlines():
        cells = line.split("\t")
        if len(cells) != 7:
            raise ValueError(f"expected seven cells a line of pacs query, found {len(cells)} in {line!r}")
        found.append((cells[6], int(cells[5] or 0)))
    return found


def breast_scores(text: str) -> list[float]:
    """Return the breasts' scores of a table by ``infer`` or by the export, sorted, to five digits (device's rounding)."""
    rows = csv.DictReader(io.StringIO(text))
    kept = [
        row for row in rows if (row.get("level") or row.get("score_of", "").partition(":")[0]) == "breast"
    ]
    return sorted(round(float(row["score"]), 5) for row in kept)


@contextlib.contextmanager
def orthanc() -> Iterator[tuple[int, dict[str, object]]]:
    """Start Orthanc as the guide says, in a network that has nothing but loopback.

    Yields
    ------
    (int, dict)
        Process whose network the trial joins, and the configuration.
    """
    lacking = missing_programs()
    if lacking:
        raise NoPacs(lacking)
    configuration = guide_configuration(GUIDE.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="negatoscope-orthanc-") as name:
        folder = Path(name)
        (folder / "orthanc.json").write_text(json.dumps(configuration), encoding="utf-8")
        with (folder / "orthanc.log").open("wb") as log:
            server = subprocess.Popen(
                ["unshare", "-n", "/bin/sh", "-c", "ip link set lo up && exec Orthanc orthanc.json"],
                cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        try:
            _await(server, folder / "orthanc.log")
            yield server.pid, configuration
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _await(server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while "Orthanc has started" not in (said := log.read_text(errors="replace")):
        if server.poll() is not None or time.monotonic() > deadline:
            raise NoPacs(f"pacs: expected Orthanc to start within {START_S:.0f} s, found: {said[-600:]}")
        time.sleep(0.1)
