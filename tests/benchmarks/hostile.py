"""``python -m tests.benchmarks hostile --count 10000 --seed 1``: spoiled files before every importer, and a table.

Exit code 1 where any crashed, hung, took over 1 GB or was refused in more or less than one sentence.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.hostile.crew import trials
from tests.hostile.importers import TABLE
from tests.hostile.trial import Trial, make_corpus

_SHOWN = 40


def main(argv: list[str]) -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks hostile", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="files to spoil")
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes at once")
    parser.add_argument("--json", type=Path, help="write every trial that failed to this file")
    options = parser.parse_args(argv)
    console = Console(width=180)
    done: list[Trial] = []
    with tempfile.TemporaryDirectory() as scratch:
        corpus = make_corpus(Path(scratch))
        numbers = range(options.first, options.first + options.count)
        for trial in trials(corpus, options.seed, numbers, workers=options.workers):
            done.append(trial)
            if trial.failed:
                console.print(
                    f"{trial.number} {trial.importer} {trial.verdict}: {trial.words}",
                    highlight=False,
                    markup=False,
                )
            if len(done) % 1_000 == 0:
                console.print(f"{len(done)} files, {sum(one.failed for one in done)} failed")
    console.print(table(done))
    failed = [one for one in done if one.failed]
    for words, example in sorted({one.words: one for one in failed}.items())[:_SHOWN]:
        console.print(
            f"{example.number} {example.importer} {example.done}: {words}", highlight=False, markup=False
        )
    if options.json is not None:
        rows = [{name: getattr(one, name) for name in Trial.__slots__} for one in failed]
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return 1 if failed else 0


def table(done: list[Trial]) -> Table:
    """One row an importer: loads, refusals, failures by kind, slowest file and largest memory."""
    by_name: dict[str, list[Trial]] = defaultdict(list)
    for trial in done:
        by_name[trial.importer].append(trial)
    kinds = ("load", "refusal", "crash", "died", "hang", "memory", "sentence")
    made = Table(
        "importer",
        "files",
        *(f"{kind}s" if kind in {"load", "refusal"} else kind for kind in kinds),
        "slowest s",
        "peak MB",
    )
    rows = [(one.name, by_name[one.name]) for one in TABLE if one.name in by_name]
    for name, group in [*rows, ("all", done)]:
        counts = [str(sum(one.verdict == kind for one in group)) for kind in kinds]
        slowest, peak = max(one.seconds for one in group), max(one.peak_bytes for one in group)
        made.add_row(name, str(len(group)), *counts, f"{slowest:.2f}", str(peak >> 20))
    return made
