"""Measures a packaged four-view detector and writes every figure into its card: phantoms, cost, films, real exams.

The page for the docs (``four_view_page``) is made of the card alone, so that the command on the page makes the
page again. Nothing is learnt or set here, but for which outlines are shown.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inference.evaluation import report as judging
from inference.evaluation.run_tables import read_run
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import InferenceError
from inference.four_view_engine import MASK_HEAD, FourViewEngine
from inference.model_card import read_card, write_card
from inference.models.four_view import BOTH
from inference.outlines import BEST
from inference.training.data import TEST_SEEDS, VALIDATION_SEEDS
from inference.training.four_view_evaluation import VARIANTS, PhantomCase, run_phantoms
from inference.training.four_view_figures import Variant, compared, figures, outline_figures
from inference.training.four_view_measures import strict
from inference.training.four_view_page import document
from inference.training.four_view_real import real_lines
from inference.training.four_view_reliability import breast_reliability, lesion_reliability
from inference.worker import EngineSpec, WorkerEngine
from resources.vocabulary import FindingType

_LOG = logging.getLogger(__name__)
# beyond the phantoms that chose the weights and those that set the calibration
APART_FIRST, APART_EXAMS = VALIDATION_SEEDS + 300, 60
WEAK = 0.5  # film sensitivity at 0.2 false marks per image below which the card calls the model weak
_WEAK_WORDS = "On real films it is weak:"


def measured_page(
    folder: Path,
    *,
    exams: int,
    beside: Path | None = None,
    films: Path | None = None,
    films_run: Path | None = None,
) -> str:
    """Measure a model folder on test phantoms, write the figures into its card, return its page.

    Parameters
    ----------
    exams
        How many test phantoms.
    beside
        Where the page will lie: its reliability plots are drawn there; None = not drawn.
    films, films_run
        Folder that ``datasets prepare`` wrote of a set of films, and the one that ``infer --floor 0.01`` wrote of
        this model on it; without them the card keeps what it says of films.
    """
    if films is not None:
        note_films(folder, films, films_run)  # first: a wrong folder is told before the long part
    engine = FourViewEngine(folder, "cpu", outlines=MASK_HEAD)
    apart = run_phantoms(engine, range(APART_FIRST, APART_FIRST + APART_EXAMS), _said)
    choose_outlines(folder, apart)
    evaluate(folder, exams=exams)
    if beside is not None:
        beside.parent.mkdir(parents=True, exist_ok=True)
        lesion_reliability(folder, beside.with_name(f"{engine.card.model_id}-reliability.png"), apart)
        breast_reliability(folder, beside.with_name(f"{engine.card.model_id}-breast-reliability.png"), apart)
    note_real(folder, real_lines(FourViewEngine(folder, "cpu")))
    return document(folder)


def evaluate(folder: Path, *, exams: int, fusion: bool = True) -> dict[str, Any]:
    """Measure a packaged model on test phantoms and write the figures into its card.

    Parameters
    ----------
    exams
        How many test phantoms.
    fusion
        Also compare the fusion parts, switched off in the same weights.
    """
    engine = FourViewEngine(folder, "cpu", outlines=MASK_HEAD)
    less = {name: fused for name, fused in VARIANTS.items() if fused != BOTH} if fusion else {}
    others = {name: FourViewEngine(folder, "cpu", fused=fused) for name, fused in less.items()}
    cases = run_phantoms(engine, range(TEST_SEEDS, TEST_SEEDS + exams), _said, others=others)
    found = figures(cases)
    if fusion:
        found["fusion"] = compared(_variants(cases))
        found["fusion_strict"] = compared(
            [Variant(name=v.name, exams=tuple(tuple(strict(e)) for e in v.exams)) for v in _variants(cases)]
        )
    found |= cost(folder)
    card = _raw(folder)
    known = card.get("evaluation", {}).get("phantom", {})
    kept = {name: known[name] for name in ("reliability", "breast_reliability") if name in known}
    card["evaluation"] = {**card.get("evaluation", {}), "phantom": {**found, **kept}}
    write_card(folder, card)
    return found


def _variants(cases: Sequence[PhantomCase]) -> list[Variant]:
    return [
        Variant(name=name, exams=tuple(case.variants.get(name, case.images) for case in cases))
        for name in VARIANTS
    ]


def cost(folder: Path, *, exams: int = 3) -> dict[str, Any]:
    """What one exam of four views at 0.1 mm costs on the CPU, in the process that reads for the program.

    Returns
    -------
    ``worker_seconds`` (wall-clock, median; other programs of the machine lengthen it), and where the system tells
    them (Linux) ``worker_cpu_seconds`` (of all threads, a mean) and ``peak_memory_mb`` of the process.
    """
    worker = WorkerEngine(EngineSpec(model_folder=folder, device="cpu"))
    seconds = []
    try:
        exam = phantom_exam(PhantomSpec(seed=TEST_SEEDS, pixel_mm=0.1)).exam
        worker.analyse(exam, lambda _fraction, _text: None, lambda: False)  # loads the model
        before = cpu_seconds(worker.pid)
        for _ in range(exams):
            result = worker.analyse(exam, lambda _fraction, _text: None, lambda: False)
            seconds.append(result.seconds)
        after, peak = cpu_seconds(worker.pid), peak_memory_mb(worker.pid)
    finally:
        worker.close()
    told: dict[str, Any] = {"worker_seconds": round(sorted(seconds)[len(seconds) // 2], 2)}
    if before is not None and after is not None:
        told["worker_cpu_seconds"] = round((after - before) / exams, 2)
    return told if peak is None else told | {"peak_memory_mb": peak}


def cpu_seconds(pid: int | None) -> float | None:
    """Processor time that a living process has used, all threads; None where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None


def peak_memory_mb(pid: int | None) -> int | None:
    """Largest resident memory that a living process has had, MB; None where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kilobytes = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return round(kilobytes[0] / 1024) if kilobytes else None


def choose_outlines(folder: Path, cases: Sequence[PhantomCase]) -> dict[str, str]:
    """Choose, type by type, between the mask head's outline and the one drawn from the picture.

    The choice goes into the card with the median Dice that it rests on; the engine obeys it.

    Parameters
    ----------
    cases
        Phantoms that are not those of the report, read with ``outlines=MASK_HEAD``.
    """
    measured = outline_figures(cases)
    chosen = {
        name: BEST[FindingType(name)] if row["picture"] > row["mask_head"] else MASK_HEAD
        for name, row in measured.items()
    }
    card = _raw(folder)
    card["architecture"]["outlines"] = chosen
    card["evaluation"] = {
        **card.get("evaluation", {}),
        "outline_choice": {"exams": len(cases), "median_dice": measured},
    }
    write_card(folder, card)
    return chosen


def note_real(folder: Path, lines: Sequence[str]) -> None:
    """Write what the model says of real exams into its card, as lines of words."""
    card = _raw(folder)
    found = card.get("evaluation", {})
    real = {**found.get("real", {}), "level": "real", "lines": list(lines)}
    card["evaluation"] = {**found, "real": real}
    write_card(folder, card)


def note_films(folder: Path, films: Path, run: Path | None) -> str:
    """Judge a run of this model on a prepared set of films and write the figures, and what they mean, into its card.

    Returns
    -------
    The line that the card now has for the set.

    Raises
    ------
    InferenceError
        No run was named, or it is not of these weights.
    """
    if run is None:
        raise InferenceError(
            "--films: expected --films-run beside it, found none; name the folder that infer wrote of the films."
        )
    card = read_card(folder)
    facts = read_run(run).facts
    if facts.get("weights_digest") != card.weights_sha256:
        raise InferenceError(
            f"{run.name}: expected a run of {card.model_id} with the weights of {folder.name}, found one of "
            f"{facts.get('card_id') or 'no model'} with other weights; run infer again."
        )
    report = judging.evaluate(
        judging.Question(manifest=films / "images.csv", lesions=films / "lesions.csv", run=run)
    )
    line, least = _film_line(films.name, report)
    raw = _raw(folder)
    raw["known_limits"] = [x for x in raw["known_limits"] if not x.startswith(_WEAK_WORDS)]
    if least < WEAK:
        raw["known_limits"].insert(
            1,
            f"{_WEAK_WORDS} it finds {least:.0%} of the lesions of {films.name} at 0.2 false marks per image.",
        )
    real = raw.get("evaluation", {}).get("real", {})
    others = [x for x in real.get("measured", ()) if not x.startswith(f"{films.name}:")]
    raw["evaluation"] = {**raw.get("evaluation", {}), "real": {**real, "measured": [line, *others]}}
    write_card(folder, raw)
    return line


def _film_line(name: str, report: dict[str, Any]) -> tuple[str, float]:
    table = report["froc"]["centre"]
    whole = table["all"]

    def at(rate: str) -> str:
        return f"{whole[rate]:.3f} ({whole['lo'][rate]:.3f} to {whole['hi'][rate]:.3f})"

    types = ", ".join(f"{k} {v['1']:.3f} ({v['n_lesions']})" for k, v in table.items() if k != "all")
    line = (
        f"{name}: {whole['n_images']} images, {whole['n_lesions']} lesions: lesion sensitivity {at('0.2')} at 0.2 and "
        f"{at('1')} at 1 false mark per image, centre in the truth; at 1 by type: {types}"
    )
    view = report["auc"].get("view", {}).get("all")
    if view is not None:
        line += (
            f"; AUC per image, malignant against all others, {view['value']:.3f} ({view['lo']:.3f} to "
            f"{view['hi']:.3f}), {view['n_pos']} / {view['n_neg']}"
        )
    return f"{line}.", float(whole["0.2"])


def _raw(folder: Path) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    return raw


def _said(done: int) -> None:
    if done % 20 == 0:
        _LOG.info("%d phantoms measured", done)
