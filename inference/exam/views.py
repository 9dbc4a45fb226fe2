"""Which breast, which view, and how an image hangs: rules over header, names, pixels.

Every answer carries a sentence that names its rule and the evidence it overruled. No decoding here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from inference.exam.types import Orientation
from resources.code_tables import mammography_codes
from resources.vocabulary import Laterality, Projection, ViewModifier

# DICOM CID 4014 and 4015 by code, SNOMED CT and the older style alike.
PROJECTION_CODES: dict[str, Projection] = {
    code: Projection(word.value) for word in mammography_codes().views for code in (word.sct, word.srt)
}
MODIFIER_CODES: dict[str, ViewModifier] = {
    code: ViewModifier(word.value) for word in mammography_codes().modifiers for code in (word.sct, word.srt)
}

_SCHEMES = frozenset({*mammography_codes().schemes, ""})  # some files name no scheme

T = TypeVar("T")

_SIDES = {"R": Laterality.RIGHT, "RIGHT": Laterality.RIGHT, "L": Laterality.LEFT, "LEFT": Laterality.LEFT}
_VIEW_WORDS = "XCCL|XCCM|XCC|MLO|LMO|SIO|ISO|CC|ML|LM|FB"
_NAME_RULE = re.compile(  # "P_00820_LEFT_CC", "0_R-MLO", "P102_R_CM_CC", "lmlo"
    rf"(?:^|[^A-Za-z])(?P<side>LEFT|RIGHT|L|R)[\s_\-]*(?:(?:DM|CM|CESM|LE|HE)[\s_\-]+)?"
    rf"(?P<view>{_VIEW_WORDS})(?![A-Za-z])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling(Generic[T]):
    """An answer and the sentences that explain it; ``value`` None means no rule applied."""

    value: T | None
    evidence: tuple[str, ...] = ()


_WEAK = 0.65  # below this share the detected side is no better than the habit of storing images as they hang
_PLAIN = 0.75  # from this share on the pixels contradict a header
_PART_OF_BREAST = frozenset(
    {ViewModifier.MAGNIFICATION, ViewModifier.SPOT, ViewModifier.TANGENTIAL, ViewModifier.CLEAVAGE}
)
_FALLBACK = "Orientation by fallback: no anatomical Patient Orientation;"


def laterality_of(ds: Dataset, name: str = "") -> Ruling[Laterality]:
    """Say which breast a header shows (MG-03): Image, Frame, then series Laterality, then the name."""
    found: list[tuple[str, Laterality]] = []
    for source, value in (
        ("Image Laterality", ds.get("ImageLaterality")),
        ("Frame Laterality", _frame_laterality(ds)),
        ("Laterality of the series", ds.get("Laterality")),
    ):
        side = _SIDES.get(str(value or "").strip().upper())
        if side is not None:
            found.append((source, side))
    named = view_from_name(name)
    if named is not None:
        found.append((f"the name {named[2]!r}", named[0]))
    return _first_wins("Side", found)


def projection_of(ds: Dataset, name: str = "") -> Ruling[Projection]:
    """Say which view a header shows (MG-02): code, View Position, Patient Orientation text, then the name.

    The series description only confirms or contradicts; it is never the sole evidence.
    """
    found: list[tuple[str, Projection]] = []
    unknown: list[str] = []
    for item in ds.get("ViewCodeSequence") or ():
        code, scheme = code_of(item)
        if code in PROJECTION_CODES and scheme in _SCHEMES:
            found.append((f"View Code {scheme}:{code}", PROJECTION_CODES[code]))
        else:
            unknown.append(f"View Code {scheme}:{code} ({item.get('CodeMeaning', '')}) is not of CID 4014.")
    position = _projection_word(str(ds.get("ViewPosition", "") or ""))
    if position is not None:
        found.append(("View Position", position))
    oriented = _projection_word(joined(ds.get("PatientOrientation")))
    if oriented is not None:
        found.append(("Patient Orientation used as view text", oriented))
    named = view_from_name(name)
    if named is not None:
        found.append((f"the name {named[2]!r}", named[1]))
    if not found:
        return Ruling(value=None, evidence=(*unknown, *_described_only(ds)))
    described = view_from_name(str(ds.get("SeriesDescription", "") or ""))
    if described is not None:
        found.append(("Series Description", described[1]))
    ruling = _first_wins("View", found)
    return Ruling(value=ruling.value, evidence=(*ruling.evidence, *unknown))


def modifiers_of(ds: Dataset) -> Ruling[tuple[ViewModifier, ...]]:
    """List the view modifiers of a header (CID 4015), in file order and without repeats."""
    found: dict[ViewModifier, str] = {}
    unknown: list[str] = []
    nested = [
        m for view in ds.get("ViewCodeSequence") or () for m in view.get("ViewModifierCodeSequence") or ()
    ]
    # Some files carry the modifiers beside the view code and not inside it.
    for item in (*nested, *(ds.get("ViewModifierCodeSequence") or ())):
        code, scheme = code_of(item)
        if code in MODIFIER_CODES and scheme in _SCHEMES:
            found.setdefault(MODIFIER_CODES[code], f"{scheme}:{code}")
        else:
            unknown.append(
                f"View Modifier Code {scheme}:{code} ({item.get('CodeMeaning', '')}) is not of CID 4015."
            )
    evidence = tuple(f"Modifier {m.value} from View Modifier Code {code}." for m, code in found.items())
    return Ruling(value=tuple(found), evidence=(*evidence, *unknown))


def code_of(item: Dataset) -> tuple[str, str]:
    """Return code value and coding scheme of one item of a code sequence."""
    return str(item.get("CodeValue", "")).strip(), str(item.get("CodingSchemeDesignator", "")).strip()


def view_from_name(name: str) -> tuple[Laterality, Projection, str] | None:
    """Find side and view in a file, folder or patient name; returns side, view and the text that matched."""
    for part in reversed(name.replace("\\", "/").split("/")):
        match = _NAME_RULE.search(part)
        if match:
            return (
                _SIDES[match["side"].upper()],
                Projection(match["view"].upper()),
                match.group(0).strip("_- "),
            )
    return None


def orientation_of(
    ds: Dataset,
    laterality: Laterality,
    projection: Projection,
    pixels: NDArray[np.uint16],
    *,
    dark_air: bool = True,
) -> Ruling[Orientation]:
    """Say how stored pixels turn to the hanging orientation (MG-05).

    The hung image has its chest wall towards the middle of the screen (right edge for R, left for L), its
    head at the top, and for axial views the outer side at the top.

    Parameters
    ----------
    ds : header; Patient Orientation is used when it is anatomical
    pixels : (rows, cols) uint16 as stored, for the fallback
    dark_air : False when air is stored bright (MONOCHROME1)
    """
    declared = orientation_from_letters(values_of(ds.get("PatientOrientation")), laterality, projection)
    if declared is not None and declared.value is not None:
        conflict = _wall_conflict(ds, declared.value, laterality, pixels, dark_air=dark_air)
        return Ruling(value=declared.value, evidence=(*declared.evidence, *conflict))
    return orientation_from_pixels(pixels, laterality, dark_air=dark_air)


def _wall_conflict(
    ds: Dataset, turned: Orientation, laterality: Laterality, pixels: NDArray[np.uint16], *, dark_air: bool
) -> tuple[str, ...]:
    """Say where the pixels plainly show the chest wall at the other edge: side or Patient Orientation is wrong."""
    if _PART_OF_BREAST & set(modifiers_of(ds).value or ()):
        return ()
    side, share = chest_wall_side(pixels.T if turned.transpose else pixels, dark_air=dark_air)
    hung = {"left": "right", "right": "left"}[side] if turned.flip_cols else side
    wanted = "right" if laterality is Laterality.RIGHT else "left"
    if hung == wanted or share < _PLAIN:
        return ()
    return (
        f"Orientation conflict: by Patient Orientation the chest wall hangs at the {wanted} edge, the pixels show it "
        f"at the {hung} ({share:.0%} of the evidence); Patient Orientation wins. Check the side.",
    )


def orientation_from_letters(
    letters: list[str], laterality: Laterality, projection: Projection
) -> Ruling[Orientation] | None:
    """Apply the Patient Orientation rule; None when the values are not anatomical directions."""
    if len(letters) != 2 or not all(re.fullmatch(r"[APLRHF]{1,3}", text.upper()) for text in letters):
        return None
    row, col = (text.upper() for text in letters)
    transpose = not _has(row, "AP") and _has(col, "AP")
    along, down = (col, row) if transpose else (row, col)
    if not _has(along, "AP"):
        return None
    wanted = "P" if laterality is Laterality.RIGHT else "A"
    flip_cols = next(letter for letter in along if letter in "AP") != wanted
    if not projection.is_axial and _has(down, "HF"):
        flip_rows = "H" in down
    elif _has(down, "LR"):
        flip_rows = laterality.value in down  # the column must not point to the breast's own side
    elif _has(down, "HF"):
        flip_rows = "H" in down
    else:
        return None
    turned = Orientation(transpose=transpose, flip_rows=flip_rows, flip_cols=flip_cols)
    return Ruling(value=turned, evidence=(
        f"Orientation from Patient Orientation {row}\\{col}: {_turn_words(turned)}.",))  # fmt: skip


def orientation_from_pixels(
    pixels: NDArray[np.uint16], laterality: Laterality, *, dark_air: bool = True
) -> Ruling[Orientation]:
    """Fall back on the side of the image that the breast touches; the top is taken as it lies in the file.

    Where the pixels do not tell (a breast that fills the film), the file is taken to be stored as it hangs.
    """
    side, share = chest_wall_side(pixels, dark_air=dark_air)
    wanted = "right" if laterality is Laterality.RIGHT else "left"
    if share < _WEAK:
        said = (
            f"chest wall not plain in the pixels ({share:.0%} for the {side} edge), taken to hang as stored."
        )
        return Ruling(value=Orientation(), evidence=(f"{_FALLBACK} {said}",))
    turned = Orientation(flip_cols=side != wanted)
    said = f"chest wall detected at the {side} edge ({share:.0%} of the evidence), top as in the file: "
    return Ruling(value=turned, evidence=(f"{_FALLBACK} {said}{_turn_words(turned)}.",))


def chest_wall_side(pixels: NDArray[np.uint16], *, dark_air: bool = True) -> tuple[str, float]:
    """Find the edge ("left" or "right") that the breast touches, and the share of evidence for it, 0.5..1.

    Parameters
    ----------
    pixels : (rows, cols) uint16
    dark_air : False when air is stored bright
    """
    votes = [_side_vote(mask) for mask in breast_masks(pixels, dark_air=dark_air) if mask.any()]
    vote = max(votes, key=abs, default=0.0)
    return ("left" if vote >= 0 else "right"), 0.5 + abs(vote) / 2


def _side_vote(breast: NDArray[np.bool_]) -> float:
    """-1 (chest wall at the right edge) .. 1 (left edge)."""
    columns, rows = np.flatnonzero(breast.any(axis=0)), np.flatnonzero(breast.any(axis=1))
    first, last = int(columns[0]), int(columns[-1])
    # A breast is widest at the chest wall: its centre of area lies nearer, its outline is straight.
    centre = float(np.average(columns, weights=breast[:, columns].sum(axis=0)))
    lean = float(np.clip(((first + last) / 2 - centre) / max(last - first, 1) * 4, -1, 1))
    inner = breast[rows]
    starts, ends = inner.argmax(axis=1), inner.shape[1] - 1 - inner[:, ::-1].argmax(axis=1)
    rough_left, rough_right = float(np.mean(starts - first)), float(np.mean(last - ends))
    straight = (rough_right - rough_left) / max(rough_left + rough_right, 1.0)
    return (lean + straight) / 2


def breast_masks(pixels: NDArray[np.uint16], *, dark_air: bool = True) -> tuple[NDArray[np.bool_], ...]:
    """Outline the breast roughly, on a copy whose longer side is 256: its largest bright region, twice.

    Returns
    -------
    (rows', cols') bool each: first for film, whose base is not black, then for constant air. All False when
    nothing stands out.
    """
    height, width = pixels.shape
    scale = 256.0 / max(height, width)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    step = max(
        1, max(height, width) // 1024
    )  # an outline needs no more; full-size averaging costs 16 ms a view
    small = cv2.resize(pixels[::step, ::step], size, interpolation=cv2.INTER_AREA).astype(np.float32)
    low, high = np.percentile(small, (1, 99))
    scaled = np.clip((small - low) / max(float(high - low), 1.0), 0, 1)
    levels = (scaled * 255 if dark_air else 255 - scaled * 255).astype(np.uint8)
    cut, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    # Otsu parts dense from fatty tissue and the skin line lies below its cut; constant air parts at once.
    return _largest_region(levels > 0.6 * cut), _largest_region(levels > 3)


def _largest_region(bright: NDArray[np.bool_]) -> NDArray[np.bool_]:
    mask = cv2.morphologyEx(bright.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((7, 7), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return np.zeros(mask.shape, dtype=np.bool_)
    return np.asarray(labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])))


def _first_wins(what: str, found: list[tuple[str, T]]) -> Ruling[T]:
    if not found:
        return Ruling(value=None, evidence=(f"{what}: no rule applied.",))
    source, value = found[0]
    evidence = [f"{what} {value} from {source}."]
    evidence += [
        f"{what} conflict: {other} says {said}; {source} wins." for other, said in found[1:] if said != value
    ]
    return Ruling(value=value, evidence=tuple(evidence))


def _described_only(ds: Dataset) -> tuple[str, ...]:
    described = view_from_name(str(ds.get("SeriesDescription", "") or ""))
    if described is None:
        return ("View: no rule applied.",)
    return (f"View: only the Series Description suggests {described[1]}, which is not enough.",)


def _frame_laterality(ds: Dataset) -> object:
    for group in ds.get("SharedFunctionalGroupsSequence") or ():
        for item in group.get("FrameAnatomySequence") or ():
            return item.get("FrameLaterality")
    return None


def _projection_word(text: str) -> Projection | None:
    match = re.fullmatch(rf"[LR]?[\s_\-]?({_VIEW_WORDS})", text.strip().upper())
    return Projection(match[1]) if match else None


def values_of(value: object) -> list[str]:
    """Turn an attribute's value, single or multiple, into texts; an absent one gives none."""
    if value is None:
        return []
    if isinstance(value, str) or not isinstance(value, Iterable):
        return [str(value)] if str(value) else []
    return [str(item) for item in value]


def joined(value: object) -> str:
    """Turn an attribute's value into one text, several values parted by backslashes."""
    return "\\".join(values_of(value))


def _has(text: str, letters: str) -> bool:
    return any(letter in text for letter in letters)


def _turn_words(turned: Orientation) -> str:
    words = [
        text for on, text in (
            (turned.transpose, "transposed"), (turned.flip_rows, "flipped top to bottom"),
            (turned.flip_cols, "flipped left to right"),
        ) if on
    ]  # fmt: skip
    return ", ".join(words) if words else "hung as stored"
