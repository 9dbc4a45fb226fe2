"""Faulty inputs are named in one sentence, sound ones are passed in silence: phantoms and real images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.exam.manifest import ManifestImage, load_picture
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import ImageFlags, ViewImage
from inference.preprocessing.input_checks import Fault, check, triage
from inference.training.places_inputs import MADE, respaced
from resources.vocabulary import ImageKind, Laterality, Projection, ViewModifier, ViewName


@pytest.fixture(scope="module")
def views() -> list[ViewImage]:
    exams = [phantom_exam(PhantomSpec(seed=9_400_000 + k, pixel_mm=0.4, cesm=k == 2)) for k in range(3)]
    return [image for exam in exams for image in exam.exam.images]


def test_sound_views_of_phantoms_raise_no_flag(views: list[ViewImage]) -> None:
    for image in views:
        assert check(image) == (), image.key


@pytest.mark.parametrize("name", sorted(MADE))
def test_each_made_fault_is_named_in_one_sentence_that_names_the_view(
    name: str, views: list[ViewImage]
) -> None:
    fault, make = MADE[name]
    for image in views[:4]:
        flags = check(make(image))
        mine = [flag for flag in flags if flag.fault is fault]
        assert len(mine) == 1, (name, image.key, flags)
        assert mine[0].sentence.startswith(image.view.label)
        assert mine[0].sentence.endswith(".")
        assert mine[0].refused == (fault in {Fault.BLANK, Fault.INVERTED})


def test_a_missing_spacing_is_flagged_with_the_size_that_was_assumed(views: list[ViewImage]) -> None:
    (flag,) = check(replace(views[0], spacing=None))
    assert flag.fault is Fault.SPACING_MISSING
    assert not flag.refused
    assert "mm was assumed" in flag.sentence


def test_black_pictures_and_pictures_with_a_label_only_are_refused(views: list[ViewImage]) -> None:
    image = views[0]
    black = replace(image, pixels=np.zeros_like(image.pixels))
    label = np.zeros_like(image.pixels)
    label[10:30, 10:80] = 4000
    for pixels in (black.pixels, label):
        (flag,) = check(replace(image, pixels=pixels))
        assert flag.fault is Fault.BLANK
        assert flag.refused


def test_an_implant_that_the_file_declares_is_flagged_whatever_the_picture_shows(
    views: list[ViewImage],
) -> None:
    (flag,) = check(replace(views[0], flags=ImageFlags(implant=True)))
    assert flag.fault is Fault.IMPLANT
    assert "the file says so" in flag.sentence


def test_an_exam_is_read_without_its_refused_views_and_the_reasons_are_kept(views: list[ViewImage]) -> None:
    first, second, third = views[0], views[1], views[2]
    found = triage([MADE["inverted"][1](first), second, replace(third, spacing=None)])
    assert [image.key for image in found.images] == [second.key, third.key]
    assert list(found.unread) == [first.key]
    assert len(found.warnings) == 1
    assert triage([replace(third, spacing=None)], spacing=False).warnings == ()


def test_a_spot_view_is_not_called_cropped_or_wrongly_spaced(views: list[ViewImage]) -> None:
    spot = replace(MADE["front cut off"][1](views[0]), modifiers=(ViewModifier.SPOT,))
    assert not [f for f in check(spot) if f.fault is Fault.CROPPED]
    assert not [f for f in check(respaced(spot, 2.5)) if f.fault is Fault.SPACING_WRONG]


@pytest.mark.data
def test_on_real_film_few_sound_images_are_flagged_and_inverted_ones_are_refused(data_root: Path) -> None:
    paths = sorted((data_root / "mammograms" / "mias" / "images").glob("*.png"))[:240:12]
    if not paths:
        pytest.skip("not run: no MIAS images")
    flagged = caught = 0
    for path in paths:
        side = Laterality.RIGHT if int(path.stem[3:]) % 2 else Laterality.LEFT
        row = ManifestImage(
            case_id=path.stem,
            view=ViewName(side, Projection.MLO),
            kind=ImageKind.FILM,
            path=path.name,
            row=1,
            spacing_mm=0.2,
        )
        image = load_picture(path.read_bytes(), row)
        flagged += bool(check(image))
        caught += any(flag.fault is Fault.INVERTED for flag in check(MADE["inverted"][1](image)))
        assert any(f.fault is Fault.SPACING_WRONG for f in check(respaced(image, 2.5)))
    assert flagged <= 0.1 * len(paths)
    assert caught == len(paths)
