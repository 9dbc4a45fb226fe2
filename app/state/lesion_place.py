"""Where in the breast a finding lies, in the words of a report: quadrant, depth, distance from the nipple.

Combines what the model says in an axial view (CC) with what it says in a lateral or oblique one (MLO). The rule is
in ``quadrant``; nothing here looks at pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inference.results import Detection
from resources.translation import translate
from resources.vocabulary import Laterality, Projection

# Hours of the clock face as the examiner sees it, for the right breast; the left one is its mirror image.
_HOURS = {
    "upper outer": (9, 12),
    "upper inner": (12, 3),
    "lower inner": (3, 6),
    "lower outer": (6, 9),
    "upper central": (12, 12),
    "lower central": (6, 6),
    "outer central": (9, 9),
    "inner central": (3, 3),
}


def _tr(text: str) -> str:
    return translate("lesion_place", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionPlace:
    """Words for a place, each empty where the model does not say."""

    where: str = ""  # "upper outer"; "upper (MLO only)" where one projection is known
    depth: str = ""  # "middle third"
    distance: str = ""  # "3 cm from nipple"
    clock: str = ""  # "about 9 to 12 o'clock", from two projections only

    @property
    def short(self) -> str:
        """One line for a list."""
        return ", ".join(filter(None, (self.where, self.distance)))

    @property
    def long(self) -> str:
        """All of it."""
        return ", ".join(filter(None, (self.where, self.depth, self.distance, self.clock)))


def quadrant(mlo: str, cc: str) -> str:
    """Combine the region in MLO with that in CC to the place of the BI-RADS lexicon.

    Parameters
    ----------
    mlo : one of ``inference.results.MLO_REGIONS``; cc : one of ``inference.results.CC_REGIONS``.

    Returns
    -------
    English key of a place: a quadrant, a line between two quadrants ("upper central", "outer central"), "central",
    "retroareolar" or "axillary tail".

    Notes
    -----
    ACR BI-RADS Atlas, 5th edition, Mammography, "Location of lesion": the oblique or lateral view tells upper from
    lower, the cranio-caudal view tells outer from inner; subareolar (retroareolar), central and axillary tail are
    regions besides the four quadrants. So: the axillary tail, which only MLO shows, wins; "areola" in one view is
    retroareolar unless the other view moves the lesion to a side; "middle" in a view says that the lesion lies on the
    line between two quadrants.
    """
    if mlo == "axillary tail":
        return "axillary tail"
    vertical = mlo if mlo in {"upper", "lower"} else ""
    horizontal = cc if cc in {"outer", "inner"} else ""
    if vertical and horizontal:
        return f"{vertical} {horizontal}"
    if vertical or horizontal:
        return f"{vertical or horizontal} central"
    return "retroareolar" if "areola" in {mlo, cc} else "central"


def quadrant_term(key: str) -> str:
    """A place in the reader's language."""
    return {
        "upper outer": _tr("upper outer"),
        "upper inner": _tr("upper inner"),
        "lower outer": _tr("lower outer"),
        "lower inner": _tr("lower inner"),
        "upper central": _tr("upper central"),
        "lower central": _tr("lower central"),
        "outer central": _tr("outer central"),
        "inner central": _tr("inner central"),
        "central": _tr("central"),
        "retroareolar": _tr("retroareolar"),
        "axillary tail": _tr("axillary tail"),
    }[key]


def region_term(region: str) -> str:
    """A region of one view in the reader's language."""
    return {
        "upper": _tr("upper"),
        "middle": _tr("middle"),
        "lower": _tr("lower"),
        "axillary tail": _tr("axillary tail"),
        "areola": _tr("areola"),
        "outer": _tr("outer"),
        "inner": _tr("inner"),
    }.get(region, region)


def depth_term(depth: float) -> str:
    """Third of the breast for a depth of 0 (nipple) to 1 (pectoral muscle or chest wall), as BI-RADS divides it."""
    if depth < 1 / 3:
        return _tr("anterior third")
    return _tr("middle third") if depth < 2 / 3 else _tr("posterior third")


def clock_words(key: str, side: Laterality) -> str:
    """Hours on the clock face seen from the front; empty for places that have none (central, axillary tail)."""
    hours = _HOURS.get(key)
    if hours is None:
        return ""
    if side is Laterality.LEFT:
        hours = (_mirrored(hours[1]), _mirrored(hours[0]))
    if hours[0] == hours[1]:
        return _tr("about {0} o'clock").format(hours[0])
    return _tr("about {0} to {1} o'clock").format(*hours)


def _mirrored(hour: int) -> int:
    return 12 if hour == 12 else 12 - hour


def lesion_place(side: Laterality, members: Sequence[tuple[Projection, Detection]]) -> LesionPlace:
    """Return the place of one lesion.

    Parameters
    ----------
    members : the lesion's detections with the projection of each; the surest of each family of views counts.
    """
    ordered = sorted(members, key=lambda member: -member[1].score)
    axial = next((one for one in ordered if one[0].is_axial and one[1].region), None)
    lateral = next((one for one in ordered if not one[0].is_axial and one[1].region), None)
    where = clock = ""
    if axial is not None and lateral is not None:
        key = quadrant(str(lateral[1].region), str(axial[1].region))
        where, clock = quadrant_term(key), clock_words(key, side)
    elif axial is not None or lateral is not None:
        projection, only = axial or lateral or ordered[0]
        where = _tr("{0} ({1} only)").format(region_term(str(only.region)), projection.value)
    thirds = dict.fromkeys(depth_term(one.depth) for _, one in ordered if one.depth is not None)
    return LesionPlace(
        where=where, depth=_tr(" to ").join(thirds), distance=_distance([d for _, d in ordered]), clock=clock
    )


def _distance(members: Sequence[Detection]) -> str:
    """Whole centimetres; two where the views differ, because a projection shortens what lies along the beam."""
    found = sorted(
        {round(one.nipple_distance_mm / 10) for one in members if one.nipple_distance_mm is not None}
    )
    if not found:
        return ""
    if found[-1] == 0:
        return _tr("less than 1 cm from nipple")
    if len(found) == 1:
        return _tr("{0} cm from nipple").format(found[0])
    return _tr("{0}–{1} cm from nipple").format(found[0], found[-1])
