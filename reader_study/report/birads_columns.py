"""BI-RADS categories of an export: the woman's category from those of her breasts, for agreement only.

Category 0 asks for more images and has no place in an order: a woman who was given it has no category here and is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

BIRADS_ORDER = ("1", "2", "3", "4A", "4B", "4C", "5")
Categories = dict[str, dict[str, dict[str, str]]]


def birads_categories(readings: Iterable[Mapping[str, str]]) -> tuple[Categories, tuple[str, ...]]:
    """Reader -> arm -> case -> the higher BI-RADS category of the two breasts, and what was left out.

    Parameters
    ----------
    readings
        rows with reader_id, arm_id, case_id, birads_R and birads_L (text, empty = not asked).

    Returns
    -------
    The categories, and a sentence with the number of readings of category 0 (none where there is none).
    """
    found: Categories = {}
    incomplete = 0
    for row in readings:
        given = [(row.get(f"birads_{side}") or "").strip() for side in ("R", "L")]
        if "0" in given:  # the other breast's category would pass for the woman's
            incomplete += 1
            continue
        known = [BIRADS_ORDER.index(g) for g in given if g in BIRADS_ORDER]
        if known:
            cases = found.setdefault(row["reader_id"], {}).setdefault(row["arm_id"], {})
            cases[row["case_id"]] = BIRADS_ORDER[max(known)]
    if not incomplete:
        return found, ()
    readings_word = "reading" if incomplete == 1 else "readings"
    return found, (f"{incomplete} {readings_word} of BI-RADS 0, from agreement of categories only",)
