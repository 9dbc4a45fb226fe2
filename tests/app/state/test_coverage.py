"""Tissue seen at 1:1: what counts, what does not, and tiles that leave nothing out."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from app.state.coverage import SEEN_MS, ImageCoverage, tissue_cells, tissue_tiles, visible_box
from app.state.display import Pyramid
from app.state.geometry import ViewGeometry, geometry_of
from inference.exam.types import Box, Orientation, Presentation, ViewImage, Voi, VoiFunction
from resources.vocabulary import ImageKind, ViewName

ROWS, COLS = 1403, 1101  # no multiple of any cell


def breast(orientation: Orientation | None = None) -> tuple[ViewImage, np.ndarray]:
    """A half-ellipse of tissue with a small nipple, on air of value 0; and where it is."""
    mask = np.zeros((ROWS, COLS), np.uint8)
    cv2.ellipse(mask, (0, 700), (620, 560), 0, -90, 90, 1, -1)
    cv2.circle(mask, (622, 690), 16, 1, -1)
    pixels = np.where(mask > 0, 1500 + np.random.default_rng(5).integers(0, 400, mask.shape), 0).astype(
        np.uint16
    )
    voi = Voi(label="", function=VoiFunction.LINEAR, center=1500, width=2500)
    view = ViewImage(
        view=ViewName.parse("L-MLO"),
        kind=ImageKind.FFDM,
        pixels=pixels,
        presentation=Presentation(vois=(voi,), padding=(0, 0)),
        orientation=orientation or Orientation(),
        spacing=None,
        source_id="1",
    )
    return view, mask > 0


def account(image: ViewImage) -> ImageCoverage:
    side, cells = tissue_cells(image, Pyramid(image.pixels), image.presentation.padding)
    return ImageCoverage(side=side, tissue=cells, shape=image.pixels.shape)


def test_every_pixel_of_tissue_lies_in_a_tissue_cell_and_air_mostly_does_not() -> None:
    image, mask = breast()
    held = account(image)
    grown = np.kron(held.tissue, np.ones((held.side, held.side), bool))[:ROWS, :COLS]
    assert not (mask & ~grown).any()
    assert (grown & ~mask).sum() < 0.15 * mask.sum()


ORIENTATIONS = [
    Orientation(transpose=t, flip_rows=r, flip_cols=c)
    for t, r, c in itertools.product((False, True), repeat=3)
]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("size", [(500, 850), (333, 287), (1000, 1000), (2000, 2000)])
def test_mg11_the_tiles_show_every_pixel_of_tissue_at_one_to_one(
    orientation: Orientation, size: tuple[int, int]
) -> None:
    image, mask = breast(orientation)
    held, geometry, (height, width) = account(image), geometry_of(image), size
    shown = np.zeros(mask.shape, bool)
    hung = geometry.orient(shown)  # a view of the same memory
    for row, col in tissue_tiles(image, held, height=height, width=width):
        top, left = round(height / 2 - row), round(width / 2 - col)
        hung[max(0, -top) : max(0, height - top), max(0, -left) : max(0, width - left)] = True
        box = visible_box(geometry, top=top, left=left, scale=1.0, height=height, width=width)
        assert box is not None
        held.shown(box, SEEN_MS)
    assert not (mask & ~shown).any()
    assert held.seen().share == 1.0


def test_mg11_leaving_one_tile_out_leaves_tissue_unseen() -> None:
    image, _ = breast()
    held, geometry = account(image), geometry_of(image)
    tiles = tissue_tiles(image, held, height=400, width=400)
    for row, col in tiles[:2] + tiles[3:]:
        box = visible_box(geometry, top=200 - row, left=200 - col, scale=1.0, height=400, width=400)
        assert box is not None
        held.shown(box, SEEN_MS)
    assert 0.5 < held.seen().share < 1.0


def test_a_glimpse_is_not_seen_and_time_adds_up() -> None:
    image, _ = breast()
    held = account(image)
    whole = Box(row0=0, col0=0, row1=ROWS, col1=COLS)
    held.shown(whole, SEEN_MS / 2)
    assert held.seen().share == 0.0
    held.shown(whole, SEEN_MS / 2)
    assert held.seen().share == 1.0
    assert held.seen().dwell_ms == SEEN_MS


def test_a_cell_counts_only_when_all_of_it_was_visible() -> None:
    held = ImageCoverage(side=10, tissue=np.ones((3, 3), bool), shape=(25, 25))
    held.shown(Box(row0=1, col0=0, row1=25, col1=25), SEEN_MS)
    # The first row of cells misses one pixel row; the last cells end with the picture at 25.
    assert held.seen().share == pytest.approx(6 / 9)


def test_what_is_visible_follows_flips_zoom_and_the_pictures_edges() -> None:
    geometry = ViewGeometry(rows=100, cols=200, orientation=Orientation(flip_cols=True))
    box = visible_box(geometry, top=-40.0, left=-60.0, scale=2.0, height=50, width=100)
    # Hung rows 20..45 and columns 30..80; columns count from the other side in the file.
    assert box == Box(row0=20, col0=120, row1=45, col1=170)
    assert visible_box(geometry, top=60.0, left=0.0, scale=1.0, height=50, width=100) is None
