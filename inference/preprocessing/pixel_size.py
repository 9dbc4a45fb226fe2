"""How large the pixels of an exam's images are: as recorded, or guessed where nothing or nonsense is recorded.

One decision an exam, so that the network, the landmarks and the distances go by the same size; a guess is never
called measured. No picture is looked at here: where the breast lies is ``breast``'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from inference.exam.types import ViewImage

ASSUMED_BREAST_MM = 170.0  # height of a breast in the picture when nothing says how large a pixel is
LARGEST_BREAST_MM = (
    330.0,
    240.0,
)  # the largest detectors are 300 x 240 mm; beyond it a spacing is not believed
LARGEST_PICTURE_MM = 500.0  # no detector or film is so long: a picture that would be has a wrong spacing
LEAST_BREAST_CM2 = 45.0  # height times breadth of a whole breast; docs/models/places.md
_SHORTEST_SHARE = (
    0.5  # of the assumed height: a breast that the exam's guess makes shorter has pixels of its own
)


class Extent(Protocol):
    """What is known of a breast in a canonical picture at its full size, e.g. a ``breast.BreastRegion``."""

    @property
    def shape(self) -> tuple[int, int]: ...  # rows and columns of its bounding box

    @property
    def found(self) -> bool: ...  # False = it could not be told from the background


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelSize:
    """Size of one pixel in the canonical picture, rows then columns; ``measured`` is False for a guess."""

    mm: tuple[float, float]
    measured: bool


def recorded_mm(image: ViewImage) -> tuple[float, float] | None:
    """The file's pixel size along rows and columns of the canonical picture; None where it records none."""
    if image.spacing is None:
        return None
    pair = (image.spacing.row_mm, image.spacing.col_mm)
    return pair[::-1] if image.orientation.transpose else pair


def is_absurd(breast_mm: tuple[float, float]) -> bool:
    """Tell whether no whole breast is of this height and breadth, so that the spacing behind it is wrong."""
    high, wide = breast_mm
    return (
        high > LARGEST_BREAST_MM[0] or wide > LARGEST_BREAST_MM[1] or high * wide / 100.0 < LEAST_BREAST_CM2
    )


def breast_mm(region: Extent, mm: tuple[float, float]) -> tuple[float, float]:
    """Height and breadth of the breast."""
    return region.shape[0] * mm[0], region.shape[1] * mm[1]


def believed_mm(image: ViewImage, region: Extent) -> tuple[float, float] | None:
    """The recorded pixel size where there is one and it makes a possible breast; None otherwise.

    A breast that was not found in the picture cannot gainsay what the file records.
    """
    mm = recorded_mm(image)
    if mm is None or (region.found and is_absurd(breast_mm(region, mm))):
        return None
    return mm


def believed_stored_mm(image: ViewImage, region: Extent) -> tuple[float, float] | None:
    """As ``believed_mm``, with ``region`` in the picture as it is stored, and rows and columns of the stored file.

    What a spacing makes of the whole picture counts too, so that no working grid grows beyond all bounds.
    """
    turned = image.orientation.transpose
    mm = believed_mm(image, _Turned(shape=region.shape[::-1] if turned else region.shape, found=region.found))
    if mm is None:
        return None
    stored = mm[::-1] if turned else mm
    sides = (n * each for n, each in zip(image.pixels.shape, stored, strict=True))
    return None if max(sides) > LARGEST_PICTURE_MM else stored


def disbelieved_words(image: ViewImage, made_mm: tuple[float, float], guess: str, end: str) -> str:
    """One sentence on a recorded spacing that is not believed: what it would make of the breast, what was assumed.

    Parameters
    ----------
    made_mm
        Height and breadth of the breast by the recorded spacing.
    guess
        The pixel size that was assumed, mm.
    end
        Whence it was taken and what follows, with the full stop.
    """
    recorded = max(recorded_mm(image) or (0.0, 0.0))
    return (
        f"{image.view.label}: with the recorded pixel spacing of {recorded:.3f} mm the breast would be "
        f"{made_mm[0]:.0f} mm high and {made_mm[1]:.0f} mm wide; {guess} mm was assumed instead {end}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turned:
    """A breast's extent with rows and columns changed about."""

    shape: tuple[int, int]
    found: bool


def pixel_sizes(pairs: Iterable[tuple[ViewImage, Extent]]) -> Mapping[str, PixelSize]:
    """Decide for the images of one exam, by ViewImage.key.

    Parameters
    ----------
    pairs
        Each image with where its breast lies in the canonical picture.

    Returns
    -------
    The recorded sizes that can be believed; for all others one guess from the tallest breast among them, an
    oblique view's as a rule, so that CC and MLO stay comparable. An image that this guess would make absurdly
    small was stored with pixels of its own and is guessed alone.
    """
    listed = list(pairs)
    out: dict[str, PixelSize] = {}
    blind: list[tuple[ViewImage, Extent]] = []
    for image, region in listed:
        mm = believed_mm(image, region)
        if mm is None:
            blind.append((image, region))
        else:
            out[image.key] = PixelSize(mm=mm, measured=True)
    seen = [region for _, region in blind if region.found] or [region for _, region in blind]
    tallest = max((region.shape[0] for region in seen), default=1)
    for image, region in blind:
        alone = region.found and region.shape[0] < _SHORTEST_SHARE * tallest
        guess = ASSUMED_BREAST_MM / (region.shape[0] if alone else tallest)
        out[image.key] = PixelSize(mm=(guess, guess), measured=False)
    return out


def size_sentences(
    pairs: Iterable[tuple[ViewImage, Extent]], sizes: Mapping[str, PixelSize]
) -> Mapping[str, str]:
    """What a reader must be told of guessed sizes, by ViewImage.key: one sentence for all images of one reason.

    Images that share a reason and a guess share the sentence, word for word.
    """
    groups: dict[tuple[str, str], list[tuple[ViewImage, Extent]]] = {}
    for image, region in pairs:
        if not sizes[image.key].measured:
            mm = recorded_mm(image)
            key = ("" if mm is None else f"{max(mm):.3f}", f"{sizes[image.key].mm[0]:.3f}")
            groups.setdefault(key, []).append((image, region))
    out: dict[str, str] = {}
    for (recorded, guess), members in groups.items():
        sentence = _sentence(recorded, guess, members)
        out |= {image.key: sentence for image, _ in members}
    return out


def _sentence(recorded: str, guess: str, members: list[tuple[ViewImage, Extent]]) -> str:
    names = listed([image.view.label for image, _ in members])
    end = (
        f"from the breast's height ({ASSUMED_BREAST_MM:.0f} mm), so sizes are approximate and distances are not "
        "given."
    )
    if not recorded:
        return f"{names}: no pixel spacing; {guess} mm was assumed {end}"
    made = [breast_mm(region, recorded_mm(image) or (0.0, 0.0)) for image, region in members]
    high, wide = max(made)
    return (
        f"{names}: with the recorded pixel spacing of {recorded} mm the breast would be {high:.0f} mm high and "
        f"{wide:.0f} mm wide; {guess} mm was assumed instead {end}"
    )


def listed(names: list[str]) -> str:
    """Join names as a sentence does: "R CC", "R CC and L CC", "R CC, L CC and R MLO"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
