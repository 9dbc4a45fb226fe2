"""Calibrates a run's scores of one level: join with truth, choice of method, report and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inference.evaluation.calibration import choose
from inference.evaluation.figures import Patients
from inference.evaluation.reliability import reliability_plot
from inference.evaluation.run_tables import EvaluationError, read_run
from inference.evaluation.truth import read_truth
from inference.evaluation.units import arrays, units_of
from inference.metrics import delong_auc


def calibrate_scores(
    manifest: Path,
    run: Path,
    lesions: Path | None,
    *,
    level: str,
    split: str | None = None,
    plot: Path | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Choose and fit a calibration on a run.

    Returns
    -------
    ``{"level", "chosen": the map, "held_out": {method: log_loss, brier, ece}, "n_pos", "n_neg", "plots",
    "warnings"}``.

    Raises
    ------
    UserFacingError
        A table is wrong, or there are too few patients of a class to hold any out.
    """
    truth = read_truth(manifest, lesions, split=split)
    tables = read_run(run)
    units, notes = units_of(truth, tables, level)
    flags, scores = arrays(units)
    patients = Patients([u.patient for u in units])
    try:
        choice = choose(flags, scores, patients.indices([u.patient for u in units]), seed=seed)
    except ValueError as error:
        raise EvaluationError(f"{run.name}, level {level}: {error}; name a run on more cases.") from error
    area = delong_auc(flags, scores)
    if area.value < 1.0 and (area.value if area.lo is None else area.lo) <= 0.5:
        notes.append(
            f"level {level}: the AUC is {area}: on these data the score does not tell malignant from other, "
            "and a calibrated probability is little more than their share."
        )
    plots = []
    if plot is not None:
        beside = plot.with_name(f"{plot.stem}-dark.png")
        for path, style in ((plot, "paper"), (beside, "dark")):
            title = f"{tables.facts.get('card_id', run.name)}, {level} scores"
            method = choice.calibration.method
            reliability_plot(path, flags, scores, choice.probability, style=style, title=title, method=method)
            plots.append(path.name)
    return {
        "level": level,
        "chosen": choice.calibration.as_json(),
        "held_out": choice.held_out,
        "n_pos": int(flags.sum()),
        "n_neg": int((~flags).sum()),
        "plots": plots,
        "warnings": [*truth.notes, *tables.notes, *notes],
    }
