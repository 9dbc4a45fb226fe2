"""The words of a methods chapter for what this report computed, and the reporting checklists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reader_study.report.analysis import Choice, Fom, Method
from reader_study.report.inputs import ReportInputs
from reader_study.report.page import Absent, Cell, Link, Section, Table
from reader_study.statistics.obuchowski_rockette import Claim
from reader_study.statistics.provenance import software_versions
from resources.files import ResourceError, read_json, resource_path

METHODS, CHECKLISTS = "Statistical methods", "Reporting checklists"
AUTHORS = "to be written by the authors"


def methods(inputs: ReportInputs, choice: Choice) -> Section:
    """Sentences that a journal would take, true of what was computed."""
    r = inputs.ratings
    fom = choice.fom or Fom(inputs.default_fom)
    named = {
        Method.OR: f"the Obuchowski-Rockette method with {choice.covariance.value} covariance and Hillis' degrees of freedom",
        Method.DBM: "the Dorfman-Berbaum-Metz method on normalised jackknife pseudovalues with Hillis' degrees of freedom",
        Method.USTAT: "U-statistics for multi-reader multi-case data with missing reads (Gallas)",
    }[choice.method]
    count = f"{len(r.readers)} readers" if len(r.readers) > 1 else "One reader"
    words = [
        f"{count} interpreted {len(r.cases)} cases ({int(r.truth.sum())} with and {int((~r.truth).sum())} without disease)"
        f" under {len(r.modalities)} reading condition{'s' if len(r.modalities) > 1 else ''} ({', '.join(r.modalities)}). The unit of analysis was {inputs.unit}.",
        f"The figure of merit was {'the area under the empirical ROC curve' if fom is Fom.AUC else fom.value}; {_compared(inputs, choice, named)}",
    ]
    if inputs.claim is not None:
        margin = f" with a margin of {inputs.margin:g}" if inputs.claim is Claim.NON_INFERIORITY else ""
        against = f" to {', '.join(r.modalities[1:])}" if len(r.modalities) > 1 else ""
        words.append(f"The claim was {inputs.claim.value} of {r.modalities[0]}{against}{margin}: {r.modalities[0]} minus the other, tested one-sided at 0.025.")  # fmt: skip
    if inputs.cut is not None:
        words.append(
            f"A reading was positive when the {inputs.rating_name} was {inputs.cut_name or f'at least {inputs.cut:g}'}. Sensitivity and specificity were compared by the same"
            " method, and for each reader by McNemar's exact test (not adjusted for the number of readers); intervals of single shares are Wilson's. A rating equal to the cut-off is positive."
        )  # fmt: skip
    missing = 0 if r.is_complete else int((r.scores != r.scores).sum())
    words.append(
        "Every reader rated every case under every condition; no rating was missing."
        if not missing
        else f"{missing} of {r.scores.size} possible ratings were missing by design or otherwise; each estimate uses the cases that its reader rated, none was imputed."
    )
    words.append("A case in which nothing was marked ranks below every rating. BI-RADS 0 is no place on an ordinal scale and was not used as a rating.")  # fmt: skip
    if inputs.times is not None:
        words.append(
            "Reading times were compared by Wilcoxon's signed-rank test with Hodges-Lehmann intervals over readers, over cases and over pooled reads,"
            " and by a linear mixed model of log time with reader and case as crossed random effects (REML, Satterthwaite), with and without flagged reads."
        )  # fmt: skip
    words.append(
        "Agreement is given as Cohen's and Fleiss' kappa with bands after Landis and Koch. p-values within one table of subgroups or of readers were adjusted by Holm's method."
    )
    if inputs.bootstrap:
        words.append(f"Bootstrap intervals ({inputs.bootstrap} replicates, percentile and BCa) resampled cases within truth, with readers fixed and with readers resampled.")  # fmt: skip
    software = ", ".join(f"{name} {version}" for name, version in software_versions())
    words.append(f"Software: {software}. Data SHA-256 {r.digest()}.")
    words += [f"Excluded: {sentence}" for sentence in inputs.exclusions] or ["Nothing was excluded."]
    return Section(title=METHODS, words=tuple(words))


def _compared(inputs: ReportInputs, choice: Choice, named: str) -> str:
    """To whom the comparison speaks: only what was computed is said."""
    if len(inputs.ratings.modalities) < 2:
        return f"it was estimated by {named}; there was nothing to compare it with."
    said = f"reading conditions were compared by {named},"
    if choice.method is Method.USTAT:
        return f"{said} readers and cases being random."
    if len(inputs.ratings.readers) < 2:
        return f"{said} for this reader only (reader fixed, cases random); with one reader nothing can be said of others."
    return f"{said} generalising to readers and cases; results for fixed readers and for fixed cases are given beside it."


def checklists(present: Mapping[str, bool]) -> Section:
    """Each item of the reporting guidelines and where this report answers it.

    Parameters
    ----------
    present
        section title -> whether it holds anything; an item whose section is empty falls to the authors.
    """
    try:
        found: Any = read_json(resource_path("reporting", "checklists.json"))
    except ResourceError as error:
        return Section(title=CHECKLISTS, parts=(Absent(title=CHECKLISTS, why=str(error)),))
    parts = []
    for one in found["checklists"]:
        rows: list[tuple[Cell, ...]] = []
        for item in one["items"]:
            section = item["section"]
            where: Cell = Link(section, section) if section and present.get(section) else AUTHORS
            rows.append((item["item"], item["asks"], where))
        name = one["name"].lower().replace("-", "_").replace(" ", "_")
        parts.append(Table(name=f"checklist_{name}", title=one["name"], head=("item", "asks for", "where"), rows=tuple(rows), note=one["source"] + "."))  # fmt: skip
    return Section(title=CHECKLISTS, words=("Items are in our own short words; the published guidelines bind. A link says where this report holds the material, not that the item is met.",), parts=tuple(parts))  # fmt: skip
