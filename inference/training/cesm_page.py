"""The contrast-mammography model's page for the docs, as Markdown; every figure comes from the model's card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inference.evaluation.radiomics import PIXEL_MM
from inference.model_card import ModelCard, read_card
from inference.training.cesm_cases import CASE_MM
from inference.training.cesm_data import EVALUATION_MM
from inference.training.model_page import card_head, card_sections, prevalence_words

_WORDS = {
    "cbam": "with CBAM",
    "plain": "without CBAM",
    "low": "trained on the low-energy image alone",
    "recombined": "trained on the recombined image alone",
    "low image alone": "same networks, recombined image blanked, outline kept",
    "recombined image alone": "same networks, low-energy image blanked, outline kept",
    "outline alone": "same networks, both images blanked: size and outline alone",
}


def document(folder: Path) -> str:
    """Return the page of a packaged contrast-mammography model."""
    card = read_card(folder)
    lines = [
        *card_head(
            card,
            "negatoscope evaluate-phantoms --model cesm-cbam --page docs/models/cesm-cbam.md",
            [
                f"* Network: {card.architecture['source']}; backbone `{card.architecture['network']['backbone']}`, "
                f"{card.architecture['members']} members, recipe `{card.architecture['recipe']}`"
            ],
        ),
        *card_sections(card),
        *_own(card),
        *_true_masks(card),
        *_end_to_end(card),
        *_real(card),
        *_real_folds(card),
        "## Where it differs from the paper",
        "",
        "The recipes `paper-densenet121`, `paper-xception` and `paper-resnet50` are as published (RMSProp, rate 1e-4, a "
        "tenth after ten epochs without better accuracy, batches of 12, cross-entropy, lowest validation loss, five "
        "folds averaged, 5 mm margin, each crop's grey 0 to 255 and equalised); they are tested for shape, a step and "
        "resuming, and need a GPU to be trained. The shipped recipe `small` uses EfficientNet-Lite0 cut off at stride "
        "16, and equalises the low-energy image over the whole breast while the recombined image is measured against "
        "the breast's own background: equalising a crop alone would take away how much a lesion enhances. What the "
        "paper lists as its limits is closed here: lesions are outlined by the program, every lesion counts and not "
        "only the largest, both views of a breast are fused, and the way from DICOM to score has no manual step.",
        "",
        "pyradiomics 3.1.0 does not install on this Python, and the successors that can be had are a few weeks old; the "
        "radiomics baseline has its own first-order, co-occurrence and shape features, each lesion brought to pixels "
        f"of {PIXEL_MM} mm first. The first-order and co-occurrence features are tested against the values that the "
        "Image Biomarker Standardisation Initiative published for its digital phantom; the features of shape, which it "
        "publishes for volumes alone, against figures worked by hand.",
        "",
        "## How to train and measure it",
        "",
        "```",
        "negatoscope train cesm-cbam --out build/cesm --model-folder build/cesm/model",
        "negatoscope train cesm-cbam --recipe small-plain --out build/cesm      # also -low, -recombined",
        "negatoscope train cesm-cbam --recipe paper-xception --device cuda --out build/cesm-xception",
        "negatoscope train cesm-cbam --manifest images.csv --lesions lesions.csv --out build/own      # own pairs",
        "negatoscope train cesm-cbam --recipe compare --out build/cesm --model-folder build/cesm/model",
        "negatoscope datasets prepare cesm FOLDER --out build/cdd",
        "negatoscope evaluate-phantoms --model cesm-cbam --exams 60 --films build/cdd --page docs/models/cesm-cbam.md",
        "negatoscope train cesm-cbam --recipe outlines --manifest build/cdd/images.csv --lesions build/cdd/lesions.csv "
        "--out build/cdd-folds --model-folder build/cesm/model",
        "negatoscope infer build/cdd/images.csv --model cesm-cbam --lesions build/cdd/lesions.csv --out build/cdd-run",
        "negatoscope evaluate build/cdd/images.csv --lesions build/cdd/lesions.csv --run build/cdd-run",
        "```",
        "",
    ]
    return "\n".join(lines)


def cell(figure: Mapping[str, Any]) -> str:
    """A figure with its interval in brackets."""
    if figure.get("value") is None:
        return ""
    if figure.get("lo") is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} ({figure['lo']:.3f} to {figure['hi']:.3f})"


def gap(figure: Mapping[str, Any]) -> str:
    """A difference with its interval and p."""
    if figure.get("lo") is None:
        return f"{figure['value']:+.3f}"
    p = "p < 0.001" if figure["p"] < 0.001 else f"p = {figure['p']:.3f}"
    return f"{figure['value']:+.3f} ({figure['lo']:+.3f} to {figure['hi']:+.3f}), {p}"


def _reached(value: float, least: float) -> str:
    return f"{least:g}: {'reached' if value >= least else 'NOT reached'}"


def _true_masks(card: ModelCard) -> list[str]:
    found = card.evaluation.get("phantom", {}).get("true_masks")
    if not found:
        return []
    auc = found["auc"]
    best = auc["cbam"]
    rows = [
        f"| {_WORDS.get(name, name)} | {cell(auc[name])} | {found['against'][name]['folds'] if name != 'cbam' else found['folds']} "
        f"| {'' if name == 'cbam' else gap(found['against'][name])} |"
        for name in auc
    ]
    base = [
        f"| {name} | {cell(value)} | | {gap(found['against_baselines'][name])} |"
        for name, value in found["baselines"].items()
    ]
    plain = found["against"].get("plain")
    verdict = ""
    if plain and plain.get("lo") is not None:
        better = plain["lo"] > 0
        verdict = (
            "CBAM is better than the same network without it in the paired test."
            if better
            else "CBAM is NOT shown to be better than the same network without it: the interval of the paired "
            "difference reaches 0."
            if plain["hi"] >= 0
            else "CBAM is worse than the same network without it in the paired test."
        )
    views = found["views"]
    verdict = " ".join([verdict, *_alone(found["against"])])
    return [
        f"## Lesions outlined by their true masks: {found['n_exams']} held-out phantoms",
        "",
        "Synthetic validation only: these figures say nothing about patients. Per lesion, both views averaged, "
        f"{best['n_pos']} malignant and {best['n_neg']} benign, pixels of {EVALUATION_MM} mm; areas under the ROC curve and "
        "differences (the model minus the row, on the folds that both have) with DeLong's components summed within a "
        "phantom, because its lesions are not independent (Obuchowski 1997).",
        "",
        f"Target for the lesion AUC {_reached(best['value'], 0.92)} ({best['value']:.3f}). {verdict}",
        "",
        *(
            [
                "Each fold's network alone: " + ", ".join(cell(one) for one in found["single_network"]) + ".",
                "",
            ]
            if len(found.get("single_network", ())) > 1
            else []
        ),
        "| what | AUC | folds | model minus this |",
        "|---|---|---|---|",
        *rows,
        *base,
        "",
        *_not_beaten(found["against_baselines"]),
        "The radiomics baseline kept " + ", ".join(found["radiomics_features"]) + ".",
        "",
        "| views of lesions that both show | AUC | fused minus this |",
        "|---|---|---|",
        f"| both fused | {cell(views['fused'])} | |",
        *[f"| {v} alone | {cell(views[v])} | {gap(views[f'fused less {v}'])} |" for v in ("CC", "MLO")],
        "",
        "| subgroup | AUC | malignant / benign |",
        "|---|---|---|",
        *[f"| {n} | {cell(v)} | {v['n_pos']} / {v['n_neg']} |" for n, v in found["subgroups"].items()],
        "",
        "The paper's subgroup BI-RADS 4 has no counterpart: phantoms carry no category. Of a manifest with a column "
        "`birads` it is reported by `negatoscope evaluate` and, where a model is trained on one, here.",
        "",
        *_operating_table(found["operating"], (best["n_pos"], best["n_neg"])),
    ]


def _alone(against: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say where networks trained on one image alone are better than those that are shown both."""
    low = against.get("low")
    if low is None or low.get("hi") is None or low["hi"] >= 0:
        return []
    return [
        "Networks trained on the low-energy image alone are BETTER than those that are shown both: by construction "
        "phantoms draw malignant lesions of every type otherwise than benign ones on that image (spicules, strands, "
        "density, edge), and networks that are shown enhancement, too, learn less of it in as many epochs. This says "
        "nothing of what iodine adds in life; the model that ships is shown both, for real lesions need not differ so.",
    ]


def _own(card: ModelCard) -> list[str]:
    """Figures of a model that learnt from a user's own pairs."""
    found = card.evaluation.get("own")
    if not found:
        return []
    auc, froc = found["auc"], found["froc"]
    rows = [
        ("all lesions", auc),
        *found["subgroups"].items(),
        ("enhancement alone", found["enhancement_alone"]),
    ]
    median = found["dice"]["pictures_median"]
    return [
        f"## Own images, {found['folds']} folds cross-validated by woman: {found['n_exams']} exams, {found['n_pairs']} pairs",
        "",
        "Each woman was judged by networks that never saw her; lesions outlined by their own masks, both views averaged.",
        "",
        "| lesions | AUC | malignant / benign |",
        "|---|---|---|",
        *[f"| {name} | {cell(value)} | {value['n_pos']} / {value['n_neg']} |" for name, value in rows],
        "",
        *_operating_table(found["operating"], (auc["n_pos"], auc["n_neg"])),
        *(
            []
            if median is None
            else [f"Outlines: median Dice {median:.3f} over {found['dice']['pictures']} pairs.", ""]
        ),
        "| false marks per pair | " + " | ".join(froc["all"]) + " |",
        "|---|" + "---|" * len(froc["all"]),
        "| lesions found | "
        + " | ".join("" if v is None else f"{v:.3f}" for v in froc["all"].values())
        + " |",
        "",
    ]


def _operating_table(operating: Mapping[str, Mapping[str, Any]], counts: tuple[int, int]) -> list[str]:
    """Shares at each operating point; ``counts`` malignant and benign."""
    point = operating.get("youden")
    words = (
        [
            prevalence_words(*counts, point["sensitivity"]["value"], point["specificity"]["value"], "youden"),
            "",
        ]
        if point
        else []
    )
    return [
        "| operating point | threshold | sensitivity | specificity | PPV | NPV | accuracy | F1 | TP / FP / FN / TN |",
        "|---|---|---|---|---|---|---|---|---|",
        *[
            f"| {name} | {o['threshold']:.3f} | "
            + " | ".join(cell(o[m]) for m in ("sensitivity", "specificity", "ppv", "npv", "accuracy", "f1"))
            + f" | {' / '.join(str(c) for c in o['confusion'])} |"
            for name, o in operating.items()
        ],
        "",
        *words,
    ]


def _not_beaten(against: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say which baselines the network is not shown to beat."""
    level = [name for name, gap_ in against.items() if gap_.get("lo") is None or gap_["lo"] <= 0]
    if not level:
        return []
    return [
        f"NOT shown to be better than {'; '.join(level)}: the features of shape are taken from the exact outlines, and in "
        "these phantoms a lobed outline alone tells a malignant lesion; half of the network's own training masks are "
        "drawn less exactly on purpose, as the segmenter's are.",
        "",
    ]


def _end_to_end(card: ModelCard) -> list[str]:
    found = card.evaluation.get("phantom", {}).get("end_to_end")
    if not found:
        return []
    masks, breast, froc = found["masks"], found["breast"], found["froc"]
    rates = list(froc["all"])
    within = masks.get("loss_found", masks["loss_all"])
    loss_all, loss_found = masks["loss_all"]["value"], within["value"]
    found_share = (
        f"Target of 0.02 at most: {'reached' if loss_all <= 0.02 else 'NOT reached'} over all lesions"
        f" ({loss_all:+.3f}; a lesion that is not found counts as 0, right for a benign and wrong for a malignant one), "
        f"{'reached' if loss_found <= 0.02 else 'NOT reached'} over those found ({loss_found:+.3f})."
    )
    return [
        f"## End to end, from pixels to breasts: {found['n_exams']} held-out phantoms, {found['n_pairs']} pairs, shipped "
        "networks",
        "",
        f"Pixels of {CASE_MM} mm, to spare time; the working grid is 0.25 mm whatever the file's pixels are. "
        f"Outlines: median Dice {found['dice']['pictures_median']:.3f} over {found['dice']['pictures']} pairs with a lesion "
        f"(map above one half against all lesions together), {found['dice']['found_median'] or 0:.3f} over "
        f"{found['dice']['found']} lesions found.",
        "",
        "Lesions found, per lesion and pair, centre in the truth; marks on harmless structures that the truth does not "
        f"list count as neither ({froc['n_lesions']} lesion views, {froc['n_malignant']} malignant):",
        "",
        "| false marks per pair | " + " | ".join(rates) + " |",
        "|---|" + "---|" * len(rates),
        *[
            f"| {name} | " + " | ".join("" if v is None else f"{v:.3f}" for v in froc[name].values()) + " |"
            for name in ("all", "malignant", "benign")
        ],
        "",
        f"| masks | AUC per lesion, all {masks['lesions']} | those found in a view, {masks['found']} |",
        "|---|---|---|",
        f"| true masks | {cell(masks['true_mask'])} | {cell(masks.get('true_mask_found', {}))} |",
        f"| the segmenter's | {cell(masks['automatic_all'])} | {cell(masks.get('automatic_found', {}))} |",
        f"| loss | {gap(masks['loss_all'])} | {gap(within)} |",
        "",
        found_share,
        "",
        *(
            [
                f"Seconds per exam of four pairs at 0.1 mm (the fastest of five, CPU): {found['seconds_per_exam']:.2f}.",
                "",
            ]
            if "seconds_per_exam" in found
            else []
        ),
        f"| AUC per breast, cancer or not ({breast['fused']['n_pos']} / {breast['fused']['n_neg']}) | value | fused minus "
        "this |",
        "|---|---|---|",
        f"| both views fused | {cell(breast['fused'])} | |",
        *[f"| {v} alone | {cell(breast[v])} | {gap(breast[f'fused less {v}'])} |" for v in ("CC", "MLO")],
        "",
    ]


def _real(card: ModelCard) -> list[str]:
    found = card.evaluation.get("real")
    if not found:
        return []
    froc = found["froc"]
    return [
        f"## Real contrast mammograms: CDD-CESM, {found['n_women']} women, {found['n_pairs']} pairs, "
        f"{found['n_lesions']} drawn lesions",
        "",
        "The shipped model, which has seen no real image. All these women have a cancer, so there is no figure of "
        "malignancy. 95 % intervals by bootstrap over women.",
        "",
        "| figure | value |",
        "|---|---|",
        f"| median Dice of the outlines with the drawn masks, a pair | {cell(found['dice_median'])} |",
        f"| pairs with a Dice above 0.5 | {found['dice_over_half']:.3f} |",
        f"| share of Grad-CAM inside the drawn mask (median) | {cell(found['cam_inside_median'])} |",
        f"| share of the crop that the mask is (what an even map would give) | {cell(found['mask_share_median'])} |",
        f"| peak of Grad-CAM inside the drawn mask | {found['cam_peak_inside']:.3f} |",
        "",
        *_carried_over(found),
        "| false marks per pair | " + " | ".join(froc) + " |",
        "|---|" + "---|" * len(froc),
        "| drawn lesions found | " + " | ".join(f"{v:.3f}" for v in froc.values()) + " |",
        "",
        *[str(line) for line in found.get("notes", [])],
        "",
    ]


def _carried_over(found: Mapping[str, Any]) -> list[str]:
    """What must be said where outlines learnt on phantoms do not fit real images."""
    if found["dice_median"]["value"] >= 0.5:
        return []
    return [
        "It does NOT carry over to real images as it stands: outlines and detection are poor, and Grad-CAM is little more "
        "inside the mask than an even map would be.",
        "",
        "Looked at with boxes, Grad-CAM and the drawn masks (eight pairs of eight women): most false marks lie on bright "
        "skin folds, on the rim of the breast and behind the nipple of the recombined image, some with a chance above "
        "0.9. Skin to 4 mm deep and the nipple are left out of the search, but these bands are wider, and 4 mm is a guess "
        "where no pixel size is recorded, as in this set. A mass or a dense core that enhances is outlined, with the "
        "Grad-CAM on it; of a wide non-mass enhancement only the brightest part is, and lesions that hardly enhance, or "
        "are small, are missed. One recombined image was overexposed; its marks lay along the edge of the white. "
        "Phantoms show none of this. It has to be trained on real pairs before it says anything of them: "
        "`train cesm-cbam --manifest` does that where malignant and benign lesions are at hand, which this set has not.",
        "",
    ]


def _real_folds(card: ModelCard) -> list[str]:
    found = card.evaluation.get("real_folds")
    if not found:
        return []
    return [
        "## The segmenter trained on real pairs, cross-validated by woman",
        "",
        f"{found['folds']} of {found['of']} folds, {found['n_women']} women and {found['n_pairs']} pairs held out; it starts "
        "from the shipped weights and learns 120 steps. What it learnt from real images is not shipped (the set's terms "
        "are for research).",
        "",
        "| figure | value |",
        "|---|---|",
        f"| median Dice before, on the held-out pairs | {cell(found['before_median'])} |",
        f"| median Dice after | {cell(found['dice_median'])} |",
        f"| pairs with a Dice above 0.5 after | {found['dice_over_half']:.3f} |",
        "",
    ]
