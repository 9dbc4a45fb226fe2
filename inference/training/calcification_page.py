"""The calcification ensemble's page for the docs, as Markdown; every figure comes from the model's card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inference.model_card import ModelCard, read_card
from inference.training.calcification_data import COARSE, EXAM, GROUP, TRAPS
from inference.training.calcification_evaluation import ENSEMBLE, MEASURES, best_of
from inference.training.model_page import card_head, card_sections, prevalence_words

_WORLDS = {
    GROUP: "hard views: benign and malignant groups drawn to overlap",
    EXAM: "exam phantoms, as the rest of the program makes them",
    TRAPS: "difficult views: faint groups among lone specks and fibres",
    COARSE: "difficult views as scanned film: pixels of 0.2 mm",
}
_TARGET = 0.9
_COMMAND = (
    "negatoscope evaluate-phantoms --model calcification-ensemble --exams 100 --films build/mias --page "
    "docs/models/calcification-ensemble.md"
)


def document(folder: Path) -> str:
    """Return the page of a packaged calcification ensemble."""
    card = read_card(folder)
    members = [m["backbone"] for m in card.architecture["members"]]
    lines = [
        *card_head(
            card,
            _COMMAND,
            [
                f"* Networks: {card.architecture['source']}; recipe `{card.architecture['recipe']}`: "
                f"{', '.join(members)}",
                *_lacking(card),
            ],
            weights_note=": every member listed above",
        ),
        *card_sections(card),
        *_phantom(card),
        *_real(card),
        "## How to train and measure it",
        "",
        "```",
        "negatoscope train calcification-ensemble --recipe small --out build/calcification --model-folder "
        "build/calcification/model",
        "negatoscope train calcification-ensemble --recipe small --member 2 --out build/calcification",
        "negatoscope train calcification-ensemble --recipe paper --device cuda --out build/calcification-paper",
        "negatoscope datasets prepare mias FOLDER --out build/mias",
        _COMMAND,
        "negatoscope infer images.csv --model calcification-ensemble --lesions lesions.csv --out build/run --heatmaps",
        "negatoscope evaluate images.csv --lesions lesions.csv --run build/run",
        "```",
        "",
        "The recipe `paper` (DenseNet-201, ResNet-101, Xception, Inception-v3, Inception-ResNet-v2 from ImageNet) "
        "runs the same code; it was tested here for shape, one step and resume, not trained.",
        "",
    ]
    return "\n".join(lines)


def _lacking(card: ModelCard) -> list[str]:
    lacking = card.architecture.get("not_trained", [])
    return [f"* NOT trained, so not part of this model: {', '.join(lacking)}"] if lacking else []


def _phantom(card: ModelCard) -> list[str]:
    found = card.evaluation.get("phantom")
    if not found:
        return []
    out = [
        "## Measured on held-out phantoms",
        "",
        "Synthetic validation only: these figures say nothing about patients, and are not comparable with the "
        "paper's. 95 % intervals in brackets: DeLong for areas (groups taken as independent), bootstrap over views or "
        "exams for the rest. A member's threshold is that of the highest Youden index on the validation phantoms of fine pixels, "
        "all kinds together, or of coarse ones; it is on the plain mean or the member's own chance, before calibration. "
        "Baselines are fitted on training phantoms: exams on exams, hard views and traps on hard views, coarse views on "
        "coarse ones.",
        "",
        *_speed(found),
    ]
    for world, title in _WORLDS.items():
        if world in found:
            out += _world(title, found[world])
    return [*out, *_exams(found.get("whole_exams"))]


def _exams(found: Mapping[str, Any] | None) -> list[str]:
    if not found:
        return []
    harmless = found["harmless"]
    return [
        f"### Whole exams of four views, harmless calcifications included ({found['exams']})",
        "",
        f"Exam score, cancer with calcifications against benign and normal exams ({found['auc']['n_pos']} / "
        f"{found['auc']['n_neg']}): AUC {_cell(found['auc'])}. Cancers without calcifications are not this model's.",
        "",
        "| exams | number | median exam score | with a mark shown | with a mark called malignant |",
        "|---|---|---|---|---|",
        *[
            f"| {row['kind']} | {row['exams']} | {row['median_score']:.3f} | {row['shown']} | {row['called']} |"
            for row in found["kinds"]
        ],
        "",
        f"Of {harmless['groups']} harmless groups of normal tissue (each in each view), {harmless['shown']} are marked and "
        f"{harmless['called']} called malignant. Thresholds: the card's first of boxes and its Youden point of lesions.",
        "",
    ]


def _world(title: str, found: Mapping[str, Any]) -> list[str]:
    rows = found["members"]
    ensemble = next(r for r in rows if r["name"] == ENSEMBLE)
    best, gain = best_of(rows), found["gain"]
    value = ensemble["auc"]["value"]
    ahead = value >= best["auc"]["value"]
    spot = found["attention"]
    return [
        f"### {title[0].upper()}{title[1:]} ({found['cases']})",
        "",
        f"Malignant against benign, given groups ({ensemble['auc']['n_pos']} / {ensemble['auc']['n_neg']}):",
        "",
        "| network | AUC | threshold | " + " | ".join(_word(m) for m in MEASURES) + " |",
        "|---|---|---|" + "---|" * len(MEASURES),
        *[
            f"| {r['name']} | {_cell(r['auc'])} | {r['threshold']:.3f} | "
            + " | ".join(_cell(r[m]) for m in MEASURES)
            + " |"
            for r in rows
        ],
        "",
        f"Targets: AUC of the ensemble at least {_TARGET:.2f}: {_met(value >= _TARGET)}. Ensemble at least its best "
        f"member ({gain['best_member']}, best on these very groups): {_met(ahead)}; difference {gain['value']:+.4f} "
        f"({_limits(gain)}).",
        "",
        prevalence_words(
            ensemble["auc"]["n_pos"],
            ensemble["auc"]["n_neg"],
            ensemble["sensitivity"]["value"],
            ensemble["specificity"]["value"],
            "ensemble",
        ),
        "",
        *_points(found.get("points", ())),
        "Plain baselines on the same groups, without a network. The first three are drawn alike for both kinds of groups on "
        "hard and difficult views, so there they can know nothing; the shapes of the specks are what sets the kinds apart, "
        "and plain measuring sees them too:",
        "",
        "| what is known of the group | AUC |",
        "|---|---|",
        *[f"| {r['name']} | {_cell(r['auc'])} |" for r in found["baselines"]],
        "",
        *_candidates(found["candidates"]),
        "Whether a candidate is a group at all:",
        "",
        "| network | AUC |",
        "|---|---|",
        *[f"| {r['name']} | {_cell(r['auc'])} |" for r in found["group"]],
        "",
        f"Grad-CAM of the ensemble on {spot['maps']} malignant groups: the peak lies within 1 mm of a speck in "
        f"{_share(spot['on_specks'])}; the middle of the crop, which is the group's, does in {_share(spot['middle'])}, and of "
        f"the crop's area {_share(spot['by_chance'])}. {_share(spot['mass'])} of the map lies there.",
        "",
    ]


def _speed(found: Mapping[str, Any]) -> list[str]:
    seconds = found.get("seconds_per_exam")
    if seconds is None:
        return []
    return [
        f"{seconds:.2f} s of one CPU core an exam of four views at 0.1 mm, Grad-CAM included (median of three).",
        "",
    ]


def _points(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return []
    return [
        "At the card's operating points, as the engine applies them (box: groups marked, one without a candidate is "
        "missed; lesion: malignancy of given groups):",
        "",
        "| level | name | threshold | sensitivity | false marks a view | specificity |",
        "|---|---|---|---|---|---|",
        *[
            f"| {r['level']} | {r['name']} | {r['threshold']:.3f} | {r['sensitivity']:.3f} | "
            f"{_or_blank(r.get('false_per_view'))} | {_or_blank(r.get('specificity'))} |"
            for r in rows
        ],
        "",
    ]


def _or_blank(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _candidates(found: Mapping[str, Any]) -> list[str]:
    rates = list(found["strength"]["all"])
    groups = found["groups"]
    return [
        f"Candidate stage: {groups['malignant']} malignant and {groups['benign']} benign groups in {found['views']} "
        f"views, {found['false_per_view']} false candidates a view. Sensitivity at false marks per view, a "
        "candidate's middle in the truth's box; marks on the harmless calcifications of normal tissue count as "
        "neither:",
        "",
        "| ranked by | groups | " + " | ".join(rates) + " |",
        "|---|---|" + "---|" * len(rates),
        *[
            f"| {words} | {kind} | " + " | ".join(f"{v:.3f}" for v in line.values()) + " |"
            for name, words in (("strength", "strength, no network"), ("ensemble", "ensemble"))
            for kind, line in found[name].items()
        ],
        "",
    ]


def _real(card: ModelCard) -> list[str]:
    lines: Sequence[str] = card.evaluation.get("real", {}).get("lines", [])
    if not lines:
        return []
    return ["## On real films, described only", "", *[f"* {line}" for line in lines], ""]


def _cell(figure: Mapping[str, Any]) -> str:
    if figure.get("lo") is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} ({figure['lo']:.3f} to {figure['hi']:.3f})"


def _limits(gain: Mapping[str, Any]) -> str:
    if gain.get("lo") is None:
        return "no interval: the same in every draw of views"
    return f"{gain['lo']:+.4f} to {gain['hi']:+.4f}"


def _share(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.0f} %"


def _met(reached: bool) -> str:
    return "reached" if reached else "NOT reached"


def _word(name: str) -> str:
    return name.upper() if name in {"ppv", "npv"} else name
