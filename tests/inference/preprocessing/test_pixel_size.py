"""One decision an exam on how large pixels are: recorded, guessed together, or guessed alone; and what is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Orientation, Spacing, ViewImage
from inference.preprocessing.pipeline import ModelInput, dib_mg_small, dib_mg_small_spots
from inference.preprocessing.pixel_size import (
    believed_mm,
    believed_stored_mm,
    is_absurd,
    pixel_sizes,
    size_sentences,
)


@dataclass(frozen=True)
class _Breast:
    shape: tuple[int, int]
    found: bool = True


@pytest.fixture(scope="module")
def views() -> tuple[ViewImage, ...]:
    return phantom_exam(PhantomSpec(seed=11, pixel_mm=0.6)).exam.images


def _spaced(image: ViewImage, mm: float | None) -> ViewImage:
    return replace(image, spacing=None if mm is None else Spacing(row_mm=mm, col_mm=mm, method="file"))


def test_sizes_of_real_breasts_are_possible_and_those_of_no_breast_are_not() -> None:
    assert not is_absurd((170.0, 90.0))
    assert not is_absurd((290.0, 200.0))  # fills a 300 x 240 mm detector
    assert not is_absurd((95.0, 50.0))
    assert is_absurd((680.0, 360.0))
    assert is_absurd((45.0, 25.0))


def test_what_a_file_records_is_believed_where_it_makes_a_breast(views: tuple[ViewImage, ...]) -> None:
    breast = _Breast((1700, 900))
    assert believed_mm(_spaced(views[0], 0.1), breast) == (0.1, 0.1)
    assert believed_mm(_spaced(views[0], 0.4), breast) is None
    assert believed_mm(_spaced(views[0], None), breast) is None
    unseen = _Breast((4000, 3000), found=False)  # the whole picture gainsays nothing
    assert believed_mm(_spaced(views[0], 0.1), unseen) == (0.1, 0.1)


def test_a_turned_file_has_its_rows_and_columns_exchanged(views: tuple[ViewImage, ...]) -> None:
    oblong = Spacing(row_mm=0.1, col_mm=0.2, method="file")
    turned = replace(views[0], spacing=oblong, orientation=Orientation(transpose=True))
    assert believed_mm(turned, _Breast((800, 900))) == (0.2, 0.1)


def test_blind_views_share_the_guess_of_the_tallest_and_a_coarser_picture_has_its_own(
    views: tuple[ViewImage, ...],
) -> None:
    heights = (1200, 1300, 1700, 600)  # the last was stored at less than half the matrix
    pairs = [(_spaced(i, None), _Breast((h, 700))) for i, h in zip(views, heights, strict=True)]
    sizes = pixel_sizes(pairs)
    assert [sizes[i.key].mm[0] for i, _ in pairs] == pytest.approx([0.1, 0.1, 0.1, 170 / 600])
    assert not any(size.measured for size in sizes.values())


def test_one_sentence_tells_of_all_images_with_one_reason(views: tuple[ViewImage, ...]) -> None:
    pairs = [
        (_spaced(i, mm), _Breast((1700, 900))) for i, mm in zip(views, (None, None, 0.4, 0.1), strict=True)
    ]
    told = size_sentences(pairs, pixel_sizes(pairs))
    assert len(told) == 3
    assert len(set(told.values())) == 2
    assert told[views[0].key] == (
        "R CC and L CC: no pixel spacing; 0.100 mm was assumed from the breast's height (170 mm), so sizes are "
        "approximate and distances are not given."
    )
    assert told[views[2].key].startswith(
        "R MLO: with the recorded pixel spacing of 0.400 mm the breast would be 680 mm high and 360 mm wide; "
        "0.100 mm was assumed instead"
    )


@pytest.mark.parametrize("chain", [dib_mg_small, dib_mg_small_spots])
def test_a_chain_of_single_views_does_not_believe_a_spacing_that_makes_an_impossible_breast(
    views: tuple[ViewImage, ...], chain: Callable[[ViewImage], ModelInput]
) -> None:
    absurd, bare = chain(_spaced(views[0], 3.0)), chain(_spaced(views[0], None))
    assert (absurd.planes == bare.planes).all()
    assert "with the recorded pixel spacing of 3.000 mm the breast would be" in absurd.warnings[0]
    assert not any("larger than the model's field" in said for said in absurd.warnings)


def test_a_turned_files_stored_rows_are_what_makes_the_breasts_breadth(views: tuple[ViewImage, ...]) -> None:
    oblong = Spacing(row_mm=0.1, col_mm=0.2, method="file")
    turned = replace(views[0], spacing=oblong, orientation=Orientation(transpose=True))
    assert believed_stored_mm(turned, _Breast((900, 800))) == (0.1, 0.2)
    assert believed_stored_mm(turned, _Breast((900, 1700))) is None  # 340 mm high by the stored columns
    unseen = _Breast(views[0].pixels.shape, found=False)
    assert believed_stored_mm(_spaced(views[0], 3.0), unseen) is None  # a picture of more than a metre
