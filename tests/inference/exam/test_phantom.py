"""The phantom's anatomy, physics and truth: issue list 'phantom', models.md sections 5.1 to 5.6."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.exam.phantom import PhantomError, PhantomExam, PhantomSpec, phantom_exam
from inference.exam.phantom_fields import Shape, gland_volume, inside, paired_volumes
from inference.exam.phantom_lesions import Plan, clock_of, draw_lesion, quadrant_of
from inference.exam.phantom_projection import Plane
from inference.exam.phantom_tone import recombination_weight
from inference.exam.types import exam_digest
from resources.vocabulary import (
    FOUR_VIEWS,
    Density,
    FindingType,
    ImageKind,
    Laterality,
    Pathology,
    Projection,
)

COARSE = 0.5


def coarse(seed: int, **asked: object) -> PhantomExam:
    return phantom_exam(PhantomSpec(seed=seed, pixel_mm=COARSE, **asked))  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not() -> None:
    first, again, other = coarse(5, cesm=True), coarse(5, cesm=True), coarse(6, cesm=True)
    assert first.exam.digest == again.exam.digest == exam_digest(first.exam.images)
    assert first.lesions == again.lesions
    assert all(np.array_equal(first.line_integrals[k], again.line_integrals[k]) for k in first.line_integrals)
    assert first.exam.digest != other.exam.digest


def test_the_truth_of_a_seed_does_not_depend_on_the_pixel_size() -> None:
    spec = {"seed": 9, "pathology": Pathology.MALIGNANT}
    fine, rough = (phantom_exam(PhantomSpec(pixel_mm=p, **spec)) for p in (0.25, 0.5))  # type: ignore[arg-type]
    assert [x.position_mm for x in fine.lesions] == [x.position_mm for x in rough.lesions]
    for a, b in zip(fine.lesions, rough.lesions, strict=True):
        for key in a.views:
            gap = np.subtract(a.views[key].center, np.multiply(b.views[key].center, 2.0))
            assert np.abs(gap).max() < 6  # 1.5 mm: half a pixel of the rougher grid and its rounding


def test_an_exam_has_its_four_views_and_a_contrast_exam_its_four_pairs() -> None:
    plain, contrast = coarse(1), coarse(1, cesm=True)
    assert [i.view for i in plain.exam.images] == list(FOUR_VIEWS)
    assert {i.kind for i in plain.exam.images} == {ImageKind.FFDM}
    kinds = [(i.view, i.kind) for i in contrast.exam.images]
    pair = (ImageKind.CESM_LOW, ImageKind.CESM_RECOMBINED)
    assert kinds == [(view, kind) for view in FOUR_VIEWS for kind in pair]


@pytest.mark.parametrize("cesm", [False, True])
def test_mg18_air_is_exactly_zero_and_the_breast_lies_above_the_padding_range(cesm: bool) -> None:
    for seed in range(3):
        exam = coarse(seed, cesm=cesm)
        for image in exam.exam.images:
            air = exam.line_integrals[image.view.key] == 0
            assert image.presentation.padding == (0, 30)
            assert not image.pixels[air].any()
            assert image.pixels[~air].min() > 30
            assert image.pixels.max() <= 4095
            assert 0.1 < (~air).mean() < 0.7


def test_the_chest_wall_lies_where_the_orientation_says_in_stored_pixels() -> None:
    turned = 0
    for seed in range(8):
        for image in coarse(seed).exam.images:
            hung = image.pixels[:, ::-1] if image.orientation.flip_cols else image.pixels
            turned += image.orientation.flip_cols
            wall = hung[:, -1] if image.view.laterality is Laterality.RIGHT else hung[:, 0]
            assert (wall > 0).mean() > 0.3
    assert turned > 0, "some vendor must store a right breast turned"


def test_lesions_lie_inside_the_breast_and_their_boxes_hold_their_centres() -> None:
    for seed in range(12):
        exam = coarse(seed, pathology=Pathology.MALIGNANT)
        for lesion in exam.lesions:
            assert len(lesion.views) == 2
            for key, view in lesion.views.items():
                row, col = view.center
                line = exam.line_integrals[key]
                assert line[round(row), round(col)] > 0
                assert view.box.row0 <= row <= view.box.row1
                assert view.box.col0 <= col <= view.box.col1
                assert view.box.col1 <= line.shape[1]


def test_the_distance_to_the_nipple_agrees_between_cc_and_mlo_within_10_mm() -> None:
    gaps = []
    for seed in range(15):
        exam = coarse(seed, pathology=Pathology.MALIGNANT)
        for lesion in exam.lesions:
            wall = [abs(_from_wall(exam, k, v.center[1])) for k, v in lesion.views.items()]
            tips = [_nipple_line(exam, key) for key in lesion.views]
            depths = [tip - w for tip, w in zip(tips, wall, strict=True)]
            gaps.append(abs(depths[0] - depths[1]))
    assert len(gaps) >= 15
    assert max(gaps) < 10.0
    assert np.mean(gaps) > 0.5, "the views must not agree suspiciously well: tissue moves under compression"


def _from_wall(exam: PhantomExam, key: str, col: float) -> float:
    line = exam.line_integrals[key]
    from_right = (line[:, -1] > 0).sum() > (line[:, 0] > 0).sum()
    return float((line.shape[1] - 1 - col if from_right else col) * COARSE)


def _nipple_line(exam: PhantomExam, key: str) -> float:
    """Chest wall to nipple along the posterior nipple line, measured on the silhouette."""
    line = exam.line_integrals[key]
    row = round(exam.nipples[key][0])
    return float((line[row] > 0).sum() * COARSE)


@pytest.mark.parametrize("projection", [Projection.CC, Projection.MLO])
def test_a_lesion_lies_on_the_side_of_the_nipple_that_its_quadrant_names(projection: Projection) -> None:
    seen = set()
    for seed in range(25):
        exam = coarse(seed, pathology=Pathology.MALIGNANT)
        for lesion in exam.lesions:
            x, y, _ = lesion.position_mm
            key = f"{lesion.laterality.value}-{projection.value}"
            above = exam.nipples[key][0] - lesion.views[key].center[0]
            up = x if projection is Projection.CC else (x + y) * 0.5**0.5
            if abs(up) > 6:  # beyond the jitter of compression
                assert np.sign(above) == np.sign(up)
            if lesion.quadrant != "central":
                assert lesion.quadrant == ("U" if y >= 0 else "L") + ("O" if x >= 0 else "I")
            seen.add(lesion.quadrant)
    assert {"UO", "UI"} <= seen


def test_clock_and_quadrant_follow_the_frame_on_both_sides() -> None:
    shape = Shape(half_x_mm=55, half_y_mm=55, nipple_z_mm=65)
    up, out = (0.0, 30.0, 20.0), (30.0, 0.0, 20.0)
    assert clock_of(up, Laterality.RIGHT) == clock_of(up, Laterality.LEFT) == 12
    assert clock_of(out, Laterality.RIGHT) == 9
    assert clock_of(out, Laterality.LEFT) == 3
    assert clock_of((0.0, -30.0, 20.0), Laterality.LEFT) == 6
    assert quadrant_of((20.0, 20.0, 20.0), shape) == "UO"
    assert quadrant_of((-20.0, -20.0, 20.0), shape) == "LI"
    assert quadrant_of((5.0, -5.0, 55.0), shape) == "central"


def test_most_cancers_lie_in_the_upper_outer_quadrant() -> None:
    from inference.exam.phantom_lesions import plan_lesion

    shape = Shape(half_x_mm=55, half_y_mm=55, nipple_z_mm=65)
    rng = np.random.default_rng(0)
    places = [plan_lesion(rng, shape, FindingType.MASS, True).position_mm for _ in range(1000)]
    share = np.mean([x > 0 and y > 0 for x, y, _ in places])
    assert abs(share - 0.609) < 0.05


def test_left_and_right_gland_correlates_between_0_7_and_0_9() -> None:
    shape = Shape(half_x_mm=55, half_y_mm=55, nipple_z_mm=65)
    breast, values = inside(shape), []
    for seed in range(6):
        pair = paired_volumes(np.random.default_rng(seed), shape)
        right, left = (gland_volume(f, shape, 0.27, np.random.default_rng(1))[breast] for f in pair)
        values.append(np.corrcoef(right, left)[0, 1])
    assert 0.7 < np.mean(values) < 0.9


def _slope(roi: NDArray[np.float64], pixel_mm: float) -> float:
    n = roi.shape[0]
    rows, cols = np.mgrid[:n, :n]
    basis = np.stack([np.ones(n * n), rows.ravel(), cols.ravel()], axis=1)
    flat = roi.ravel() - basis @ np.linalg.lstsq(basis, roi.ravel(), rcond=None)[0]
    window = np.hanning(n)[:, None] * np.hanning(n)
    power = np.abs(np.fft.fft2(flat.reshape(n, n) * window)) ** 2
    f = np.hypot(np.fft.fftfreq(n, pixel_mm)[:, None], np.fft.fftfreq(n, pixel_mm)[None, :])
    edges = np.geomspace(0.15, 0.8, 13)
    bins = [(f >= a) & (f < b) for a, b in itertools.pairwise(edges)]
    x = [np.log(f[b].mean()) for b in bins if b.sum() > 3]
    y = [np.log(power[b].mean()) for b in bins if b.sum() > 3]
    return float(-np.polyfit(x, y, 1)[0])


def test_the_power_law_of_the_texture_has_an_exponent_between_3_0_and_3_4() -> None:
    """Chen 2012 (PMC3298563): CC 3.17 +/- 0.23, MLO 3.30 +/- 0.24; 0.15-0.8 cycles/mm, 51 mm window."""
    slopes: dict[str, list[float]] = {"CC": [], "MLO": []}
    for seed in range(8):
        exam = phantom_exam(PhantomSpec(seed=seed, pixel_mm=0.2, pathology=Pathology.NORMAL))
        for key, line in exam.line_integrals.items():
            left = line if (line[:, 0] > 0).sum() > (line[:, -1] > 0).sum() else line[:, ::-1]
            projection = key[2:]
            row = round(exam.nipples[key][0]) - (128 if projection == "CC" else 20)
            col = 40 if projection == "CC" else 70
            roi = left[row : row + 256, col : col + 256].astype(np.float64)
            if roi.shape == (256, 256) and roi.min() > 0:
                slopes[projection].append(_slope(roi, 0.2))
    for projection, found in slopes.items():
        print(projection, len(found), np.mean(found), np.std(found))
        assert len(found) >= 6, projection
        assert 3.0 <= np.mean(found) <= 3.4, projection


def _plane(pixel_mm: float = 0.1) -> Plane:
    breast = Shape(half_x_mm=55, half_y_mm=55, nipple_z_mm=65)
    return Plane(
        projection=Projection.CC, shape=(2294, 1914), pixel_mm=pixel_mm, row0=1147, squeeze=0.5, thickness_mm=55,
        breast=breast,
    )  # fmt: skip


def _plan(finding: FindingType, malignant: bool, radius: float) -> Plan:
    return Plan(
        finding=finding, malignant=malignant, position_mm=(0.0, 0.0, 30.0), radius_mm=radius, seed=3,
        iodine_mg_ml=2.0, rim=False, shape="round", margin="circumscribed",
    )  # fmt: skip


@pytest.mark.parametrize(("diameter", "expected"), [(5.0, 0.12), (10.0, 0.24)])
def test_the_contrast_of_a_mass_in_fat_follows_its_thickness(diameter: float, expected: float) -> None:
    """models.md 5.3 and 5.5: 5 mm mass about 0.12, 10 mm about 0.24 (low energy, log units)."""
    drawn = draw_lesion(_plan(FindingType.MASS, False, diameter / 2), _plane(), (0.0, 0.0), 0.0)
    middle = drawn.contrast.shape[0] // 2
    assert expected * 0.65 < drawn.contrast[middle, middle] < expected * 1.1


def test_a_lesion_stands_out_less_in_gland_than_in_fat() -> None:
    plan = _plan(FindingType.MASS, False, 5.0)
    fat, gland = (draw_lesion(plan, _plane(), (0.0, 0.0), share).contrast.max() for share in (0.0, 1.0))
    assert gland < 0.75 * fat


def test_specks_of_calcium_have_the_contrast_of_their_thickness_and_average_over_a_big_pixel() -> None:
    """0.2 mm of calcium oxalate is about 0.14-0.18 at low energy: 0.7-0.9 per mm."""
    plan = _plan(FindingType.CALCIFICATION, True, 6.0)
    fine, rough = (draw_lesion(plan, _plane(p), (0.0, 0.0), 0.0).contrast for p in (0.1, 0.5))
    assert 0.14 < fine.max() <= 1.3
    assert rough.max() < fine.max()
    assert rough.sum() * 25 == pytest.approx(fine.sum(), rel=0.02)  # area times contrast is kept


def test_recombined_cancels_gland_against_fat_and_lights_up_the_malignant_mass() -> None:
    """models.md 5.3: about 0.015 per mg/cm2 is left; gland over fat must not be seen."""
    assert 0.23 <= recombination_weight(55.0) <= 0.25
    lit, leaks = [], []
    for seed in range(6):
        exam = coarse(seed, cesm=True, pathology=Pathology.MALIGNANT, finding=FindingType.MASS, lesions=1)
        lesion = exam.lesions[0]
        low = exam.exam.find(lesion.laterality, Projection.CC, ImageKind.CESM_LOW)
        recombined = exam.exam.find(lesion.laterality.other, Projection.CC, ImageKind.CESM_RECOMBINED)
        other = exam.exam.find(lesion.laterality.other, Projection.CC, ImageKind.CESM_LOW)
        mine = exam.exam.find(lesion.laterality, Projection.CC, ImageKind.CESM_RECOMBINED)
        assert low is not None
        assert mine is not None
        assert other is not None
        assert recombined is not None
        inner = exam.line_integrals[other.view.key] > np.quantile(exam.line_integrals[other.view.key], 0.8)
        leaks.append(np.std(recombined.pixels[inner]) / np.std(other.pixels[inner]))
        row, col = (round(v) for v in lesion.views[mine.key].center)
        spot = mine.pixels[row - 3 : row + 4, col - 3 : col + 4].mean()
        lit.append(spot - np.median(mine.pixels[mine.pixels > 0]))
    assert min(lit) > 100
    assert np.median(lit) > 400
    assert np.mean(leaks) < 0.5


@pytest.mark.parametrize("pathology", list(Pathology))
def test_an_asked_pathology_is_the_worst_of_the_two_breasts(pathology: Pathology) -> None:
    for seed in range(4):
        exam = coarse(seed, pathology=pathology)
        assert pathology in exam.pathology.values()
        assert exam.is_malignant == (pathology is Pathology.MALIGNANT)
        if pathology is Pathology.NORMAL:
            assert exam.lesions == ()


@pytest.mark.parametrize("finding", [f for f in FindingType if f is not FindingType.ENHANCEMENT])
def test_an_asked_finding_and_number_are_made(finding: FindingType) -> None:
    exam = coarse(3, pathology=Pathology.MALIGNANT, finding=finding, lesions=2)
    assert [x.finding for x in exam.lesions] == [finding, finding]


def test_denser_classes_hold_more_gland() -> None:
    mean = [
        np.mean([line[line > 0].mean() / exam.thickness_mm[key] for key, line in exam.line_integrals.items()])
        for exam in (coarse(2, density=d, pathology=Pathology.NORMAL) for d in Density)
    ]
    assert mean == sorted(mean)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 1, "pixel_mm": 5.0}, "0.05 to 1 mm"),
        ({"seed": 1, "lesions": 9}, "found 9"),
        ({"seed": 1, "lesions": 2, "pathology": Pathology.NORMAL}, "normal"),
        ({"seed": 1, "lesions": 0, "pathology": Pathology.MALIGNANT}, "at least 1"),
    ],
)
def test_an_impossible_phantom_is_refused_in_one_sentence(asked: dict[str, object], words: str) -> None:
    with pytest.raises(PhantomError, match=words):
        PhantomSpec(**asked)  # type: ignore[arg-type]


def _auc(score: list[float], truth: list[bool]) -> float:
    s, t = np.array(score), np.array(truth)
    wins = (s[t][:, None] > s[~t][None, :]).mean() + 0.5 * (s[t][:, None] == s[~t][None, :]).mean()
    return float(wins)


def test_mean_grey_and_a_blob_detector_do_not_find_the_cancers() -> None:
    """The plain baselines of models.md section 4 must fail, or a model shows nothing."""
    from scipy import ndimage

    mean, blob, truth = [], [], []
    for seed in range(60):
        exam = phantom_exam(PhantomSpec(seed=5000 + seed, pixel_mm=0.8))
        truth.append(exam.is_malignant)
        views = [i.pixels.astype(np.float32) for i in exam.exam.images]
        mean.append(float(np.mean([v[v > 0].mean() for v in views])))
        blob.append(max(float((-ndimage.gaussian_laplace(v, 7.0))[v > 0].max()) for v in views))
    assert 15 <= sum(truth) <= 45
    print("mean grey", _auc(mean, truth), "blob", _auc(blob, truth))
    assert 0.3 < _auc(mean, truth) < 0.7
    assert _auc(blob, truth) < 0.8


def test_incidental_findings_are_told_apart_from_the_truth_and_can_be_seen() -> None:
    """They lie in no list of lesions, make no breast benign, and are where the picture is brighter."""
    brighter = total = 0
    for seed in range(6):
        made = phantom_exam(PhantomSpec(seed=seed, pixel_mm=0.2, pathology=Pathology.NORMAL))
        assert made.lesions == ()
        assert set(made.pathology.values()) == {Pathology.NORMAL}
        images = {image.key: image for image in made.exam.images}
        for finding in made.incidental:
            assert "incidental" in finding.lesion_id
            assert not finding.malignant
            for key, seen in finding.views.items():
                box, pixels = seen.box, images[key].pixels.astype(np.float32)
                rows, cols = (
                    slice(int(box.row0), int(box.row1)),
                    slice(int(box.col0), int(box.col1)),
                )
                half = max(2, (rows.stop - rows.start) // 2)
                around = pixels[max(0, rows.start - half) : rows.stop + half]
                around = around[:, max(0, cols.start - half) : cols.stop + half]
                total += 1
                brighter += float(np.percentile(pixels[rows, cols], 99)) >= float(np.percentile(around, 97))
    assert total >= 12
    assert brighter / total > 0.8
