"""FROC by hand, by brute force over every threshold, and its interval over patients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.evaluation.figures import Patients
from inference.evaluation.froc import Curves, Froc, collect, froc_json
from inference.evaluation.regions import box_overlap, filled, holds, is_hit, outline_dice, region_of
from inference.evaluation.run_tables import FoundRow
from inference.evaluation.truth import TruthImage, TruthLesion
from inference.exam.manifest import ManifestImage, ManifestLesion
from inference.exam.types import Box
from inference.metrics import FROC_RATES, ImageMarks, froc
from resources.vocabulary import FindingType, ImageKind, Laterality, Projection, ViewName


def sensitivities(data: Froc, weights: np.ndarray, rates: tuple[float, ...] = FROC_RATES) -> np.ndarray:
    return Curves(data, [data.of(None)]).figures(weights, rates)[0, :-1]


VIEW = ViewName(Laterality.LEFT, Projection.CC)


def image(
    index: int,
    patient: str,
    boxes: list[tuple[float, float, float, float]],
    kind: FindingType = FindingType.MASS,
) -> TruthImage:
    entry = ManifestImage(case_id=patient, view=VIEW, kind=ImageKind.FFDM, path=f"{index}.png", row=index + 2)
    lesions = tuple(
        TruthLesion(
            entry=ManifestLesion(
                case_id=patient,
                view=VIEW,
                kind=None,
                lesion_id=str(k),
                type=kind,
                row=k + 2,
                malignant=k == 0,
            ),
            region=region_of(box=box, circle=None, mask=None),
        )
        for k, box in enumerate(boxes)
    )
    return TruthImage(index=index, patient=patient, entry=entry, lesions=lesions)


def mark(row: float, col: float, score: float, half: float = 2.0) -> FoundRow:
    return FoundRow(
        row=2, case_id="", path="", laterality=VIEW.laterality, view=VIEW.projection, kind=None, score=score,
        box=Box(row0=row - half, col0=col - half, row1=row + half, col1=col + half),
    )  # fmt: skip


LESION = (0.0, 0.0, 10.0, 10.0)


def test_froc_worked_by_hand() -> None:
    # Four images, three lesions. Marks on lesions 0.9 and 0.3; false 0.8, 0.4 and, on the open edge, 0.7.
    pairs = [
        (image(0, "a", [LESION]), [mark(5, 5, 0.9), mark(50, 50, 0.8), mark(4, 4, 0.2)]),
        (image(1, "b", [LESION]), [mark(5, 5, 0.3), mark(50, 50, 0.4)]),
        (image(2, "c", []), []),
        (image(3, "d", [LESION]), [mark(10, 5, 0.7)]),
    ]
    patients = Patients(["a", "b", "c", "d"])
    data = collect(pairs, "centre", patients)
    assert data.false_score.tolist() == [0.8, 0.7, 0.4]
    found = sensitivities(data, np.ones(4), rates=(0.0, 0.25, 0.5, 0.74, 0.75, 4.0))
    # 0.9 alone: 1/3 at no false mark. 0.3 needs the three false ones: 3/4 per image.
    assert found.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1 / 3, 2 / 3, 2 / 3])
    # 1/3 up to 0.75, 2/3 from there to 1.
    assert Curves(data, [data.of(None)]).figures(np.ones(4))[0, -1] == pytest.approx(0.75 / 3 + 0.25 * 2 / 3)


def test_two_lesions_under_one_mark_are_both_found_and_a_benign_one_may_be_no_target() -> None:
    pairs = [(image(0, "a", [LESION, (2.0, 2.0, 12.0, 12.0)]), [mark(6, 6, 0.5), mark(11, 11, 0.6)])]
    patients = Patients(["a"])
    both = collect(pairs, "centre", patients)
    assert both.hit_score.tolist() == [0.5, 0.6]
    assert len(both.false_score) == 0
    cancers = collect(pairs, "centre", patients, malignant_only=True)
    assert cancers.hit_score.tolist() == [0.5]
    assert cancers.false_score.tolist() == [0.6]


def test_equal_scores_of_true_and_false_marks_enter_together() -> None:
    pairs = [(image(0, "a", [LESION]), [mark(5, 5, 0.5), mark(50, 50, 0.5)])]
    data = collect(pairs, "centre", Patients(["a"]))
    assert sensitivities(data, np.ones(1), rates=(0.5, 1.0)).tolist() == [0.0, 1.0]


marks_strategy = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 30), st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5])), max_size=5
)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(st.booleans(), marks_strategy, st.integers(0, 2)), min_size=1, max_size=6),
    st.lists(st.integers(0, 3), min_size=3, max_size=3),
)
def test_froc_equals_trying_every_threshold_on_the_drawn_images(
    drawn: list[tuple[bool, list[tuple[int, int, float]], int]], copies: list[int]
) -> None:
    names = ["a", "b", "c"]
    pairs = [
        (image(k, names[p], [LESION] if has else []), [mark(r, c, s) for r, c, s in marks])
        for k, (has, marks, p) in enumerate(drawn)
    ]
    patients = Patients(names)
    data = collect(pairs, "centre", patients)
    rates = (0.0, 0.1, 0.5, 1.0, 2.0)
    found = sensitivities(data, np.array(copies, dtype=float), rates)
    # brute force: write every image as often as its patient was drawn, then try every score as threshold
    spread = [pair for pair in pairs for _ in range(copies[names.index(pair[0].patient)])]
    lesions = sum(len(i.lesions) for i, _ in spread)
    if not lesions:
        assert np.isnan(found).all()
        return
    best = dict.fromkeys(rates, 0.0)
    for threshold in [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]:
        hits = false = 0
        for truth, marks in spread:
            shown = [m for m in marks if m.score >= threshold]
            inside = [m for m in shown if 0 <= m.box.center[0] < 10 and 0 <= m.box.center[1] < 10]
            hits += bool(truth.lesions) and bool(inside)
            false += len(shown) - (len(inside) if truth.lesions else 0)
        for rate in rates:
            if false / len(spread) <= rate + 1e-9:
                best[rate] = max(best[rate], hits / lesions)
    assert found.tolist() == pytest.approx([best[rate] for rate in rates])


def test_froc_agrees_with_the_one_that_chose_the_models() -> None:
    rng = np.random.default_rng(2)
    pairs, others = [], []
    for k in range(60):
        boxes = [LESION] if rng.random() < 0.5 else []
        marks = [(float(r), float(c), round(float(s), 2)) for r, c, s in rng.random((4, 3)) * [20, 20, 1]]
        pairs.append((image(k, f"p{k // 2}", boxes), [mark(*m) for m in marks]))
        lesions = tuple(Box(row0=b[0], col0=b[1], row1=b[2], col1=b[3]) for b in boxes)
        others.append(ImageMarks(patient=f"p{k // 2}", lesions=lesions, marks=tuple(marks)))
    patients = Patients([i.patient for i, _ in pairs])
    data = collect(pairs, "centre", patients)
    mine = sensitivities(data, np.ones(len(patients.names)))
    assert mine.tolist() == pytest.approx(list(froc(others).values()))


def test_report_counts_false_marks_over_all_images_and_gives_intervals_around_the_value() -> None:
    rng = np.random.default_rng(4)
    pairs = []
    for k in range(80):
        kind = FindingType.MASS if k % 2 else FindingType.CALCIFICATION
        found = [mark(5, 5, float(rng.random()))] if rng.random() < 0.7 else []
        pairs.append(
            (
                image(k, f"p{k // 4}", [LESION] if k < 40 else [], kind),
                [*found, mark(60, 60, float(rng.random()) / 2)],
            )
        )
    patients = Patients([i.patient for i, _ in pairs])
    data = collect(pairs, "centre", patients)
    report = froc_json(data, patients, seed=0, rounds=200)
    assert set(report) == {"all", "mass", "calcification"}
    assert report["all"]["n_images"] == report["mass"]["n_images"] == 80
    assert report["all"]["n_lesions"] == 40
    assert report["mass"]["n_lesions"] == 20
    for entry in report.values():
        for rate in ("0.05", "0.1", "0.2", "0.3", "0.5", "1", "2", "4"):
            assert entry["lo"][rate] <= entry[rate] <= entry["hi"][rate]
        assert entry["4"] >= entry["0.05"]
    assert report == froc_json(data, patients, seed=0, rounds=200)


def test_bootstrap_interval_covers_the_true_sensitivity() -> None:
    rng = np.random.default_rng(9)
    covered = 0
    for _ in range(60):
        n = 120
        hits = np.where(rng.random(n) < 0.7, 0.9, -np.inf)
        patients = Patients([str(k) for k in range(n)])
        data = Froc(
            hit_score=hits, hit_patient=np.arange(n), hit_finding=(FindingType.MASS,) * n,
            false_score=np.zeros(0), false_patient=np.zeros(0, np.int64), images=np.ones(n),
        )  # fmt: skip
        entry = froc_json(data, patients, seed=1, rounds=200)["all"]
        covered += entry["lo"]["1"] <= 0.7 <= entry["hi"]["1"]
    assert covered >= 52  # 95 % of 60 is 57; 52 is three standard deviations below


def test_centre_rule_uses_the_shape_and_iou_rule_its_bounding_box() -> None:
    circle = region_of(box=None, circle=(10.0, 10.0, 5.0), mask=None)
    assert circle.box == Box(row0=5, col0=5, row1=15, col1=15)
    assert holds(circle, 10, 15)
    assert not holds(circle, 6, 6)  # in the bounding box, outside the circle
    corner = Box(row0=5, col0=5, row1=7, col1=7)
    assert not is_hit("centre", corner, circle)
    assert not is_hit("iou", corner, circle)  # 4 / 100
    assert is_hit("iou", Box(row0=5, col0=5, row1=10, col1=10), circle)  # 25 / 100
    assert not is_hit("iou", Box(row0=5, col0=5, row1=9, col1=10), circle)  # 20 / 100 is not more than 0.2
    ring = np.zeros((20, 20), bool)
    ring[4:8, 4:8] = True
    ring[5:7, 5:7] = False
    mask = region_of(box=None, circle=None, mask=ring)
    assert mask.box == Box(row0=4, col0=4, row1=8, col1=8)
    assert holds(mask, 4.5, 4.5)
    assert not holds(mask, 6.0, 6.0)


def test_overlap_by_hand() -> None:
    a, b = Box(row0=0, col0=0, row1=4, col1=4), Box(row0=2, col0=2, row1=6, col1=6)
    assert box_overlap(a, b) == pytest.approx(4 / 28)
    assert box_overlap(a, Box(row0=4, col0=0, row1=8, col1=4)) == 0.0


def test_dice_of_an_outline_by_hand() -> None:
    truth = np.zeros((40, 40), bool)
    truth[10:20, 10:20] = True  # 100 pixels
    region = region_of(box=None, circle=None, mask=truth)
    same = [(10.0, 10.0), (10.0, 20.0), (20.0, 20.0), (20.0, 10.0)]
    assert outline_dice(region, same) == 1.0
    beside = [(r + 30.0, c) for r, c in same]
    assert outline_dice(region, beside) == 0.0
    half = [(10.0, 10.0), (10.0, 20.0), (15.0, 20.0), (15.0, 10.0)]
    assert outline_dice(region, half) == pytest.approx(2 * 50 / 150)


def test_filled_square_has_the_area_of_the_square() -> None:
    square = filled(np.array([(2.0, 2.0), (2.0, 12.0), (12.0, 12.0), (12.0, 2.0)]), (20, 20))
    assert square[2:12, 2:12].all()
    triangle = filled(np.array([(0.0, 0.0), (0.0, 10.0), (10.0, 0.0)]), (10, 10))
    assert int(triangle.sum()) in {45, 50, 55}  # half of 100, the ten centres on the long side either way
    assert int(square.sum()) == 100
