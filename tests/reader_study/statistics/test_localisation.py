"""Which mark hits which lesion."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reader_study.statistics.froc import FrocFigure, froc_estimates
from reader_study.statistics.localisation import (
    Correspondence,
    Hit,
    Mark,
    Outline,
    Rule,
    Surplus,
    froc_data,
    radius_sweep,
    score_marks,
)
from reader_study.statistics.ratings import StatisticsError


def mark(row, column, rating, view="LCC", case="1"):
    return Mark(reader="r", modality="m", case=case, view=view, row=row, column=column, rating=rating)


def lesion(row, column, half=50, name="a", view="LCC", case="1", **more):
    box = (row - half, column - half, row + half, column + half)
    return Outline(case=case, lesion=name, view=view, box=box, spacing_mm=(0.1, 0.1), **more)


def test_rs_l2_radius_is_in_millimetres_of_the_detector_and_its_edge_belongs_to_it():
    rule = Rule(radius_mm=10.0)
    stretched = Outline(case="1", lesion="a", view="LCC", box=(0, 0, 2, 2), spacing_mm=(0.1, 0.2))
    for row, column, hit in ((101, 1, True), (101.1, 1, False), (1, 51, True), (1, 51.1, False)):
        scored = score_marks([mark(row, column, 50)], [stretched], rule)
        assert bool(scored.true_positives) is hit, (row, column)
        assert len(scored.false_positives) == (not hit)


def test_rs_l2_box_and_contour_are_hit_inside_only():
    triangle = lesion(100, 100, contour=((50.0, 50.0), (50.0, 150.0), (150.0, 50.0)))
    assert triangle.centre == pytest.approx((250 / 3, 250 / 3))
    for rule, row, column, hit in (
        (Rule(hit=Hit.BOX), 50, 50, True),
        (Rule(hit=Hit.BOX), 150, 100, False),  # half-open
        (Rule(hit=Hit.CONTOUR), 60, 60, True),
        (Rule(hit=Hit.CONTOUR), 140, 140, False),  # in the box, outside of the triangle
    ):
        found = score_marks([mark(row, column, 1)], [triangle], rule).true_positives
        assert bool(found) is hit, (rule.hit, row, column)


def test_rs_l3_one_mark_serves_one_lesion_and_the_assignment_finds_the_most_hits():
    # the first mark could take either lesion, the second only lesion a: a greedy choice would lose a hit
    lesions = [lesion(100, 100, name="a"), lesion(100, 160, name="b")]
    scored = score_marks([mark(100, 125, 90), mark(100, 60, 40)], lesions, Rule(radius_mm=5.0))
    assert {(row[3], row[4]) for row in scored.true_positives} == {("a", 40), ("b", 90)}


def test_rs_l3_further_marks_on_a_lesion_follow_the_declared_rule():
    marks = [mark(100, 100, 30), mark(102, 100, 80), mark(500, 500, 10)]
    ignored = score_marks(marks, [lesion(100, 100)], Rule(radius_mm=5.0))
    assert ignored.true_positives == (("r", "m", "1", "a", 80),)
    assert ignored.false_positives == (("r", "m", "1", 10),)
    assert ignored.surplus == 1
    counted = score_marks(marks, [lesion(100, 100)], Rule(radius_mm=5.0, surplus=Surplus.FALSE_POSITIVE))
    assert sorted(row[3] for row in counted.false_positives) == [10, 30]
    assert "counted as false positives" in counted.rule.sentence()


def test_rs_l4_a_lesion_marked_in_either_view_counts_once_with_its_highest_rating():
    lesions = [lesion(100, 100), lesion(300, 200, view="LMLO")]
    marks = [mark(100, 100, 30), mark(300, 200, 70, view="LMLO"), mark(100, 100, 99, view="RCC")]
    joined = score_marks(marks, lesions, Rule(radius_mm=5.0))
    assert joined.true_positives == (("r", "m", "1", "a", 70),)
    assert joined.false_positives == (("r", "m", "1", 99),)
    apart = score_marks(marks, lesions, Rule(radius_mm=5.0, correspondence=Correspondence.VIEW))
    assert {(row[3], row[4]) for row in apart.true_positives} == {("a LCC", 30), ("a LMLO", 70)}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=4),
    st.lists(st.integers(0, 6), min_size=1, max_size=3),
)
def test_rs_l3_assignment_is_the_best_of_all_assignments(marks, lesions):
    placed = [mark(0, 10 * at, rating) for at, rating in marks]
    outlines = [lesion(0, 10 * at, name=str(k)) for k, at in enumerate(lesions)]
    scored = score_marks(placed, outlines, Rule(radius_mm=1.5))
    found = (len(scored.true_positives), sum(row[4] for row in scored.true_positives))
    best = (0, 0)
    places = [*range(len(outlines)), *[None] * len(placed)]
    for choice in set(itertools.permutations(places, len(placed))):
        pairs = [(m, c) for m, c in zip(placed, choice, strict=True) if c is not None]
        if all(math.hypot(0, (m.column - 10 * lesions[c]) * 0.1) <= 1.5 for m, c in pairs):
            best = max(best, (len(pairs), sum(m.rating for m, _ in pairs)))
    assert found[0] == best[0]
    assert len({row[3] for row in scored.true_positives}) == found[0]
    levels = sorted({rating for _, rating in marks})
    if levels == list(
        range(levels[0], levels[0] + len(levels))
    ):  # ratings one step apart: sums compare as ranks do
        assert found[1] == best[1]


def test_rs_l5_scored_marks_give_froc_figures_and_a_wider_radius_never_loses_a_hit():
    rng = np.random.default_rng(11)
    cases = [str(k) for k in range(30)]
    outlines = [lesion(500, 500, case=str(k), view=view) for k in range(15) for view in ("LCC", "LMLO")]
    marks = []
    for reader, modality, case in itertools.product(("r1", "r2"), ("unaided", "aided"), cases):
        spread = 80 if modality == "unaided" else 40
        if int(case) < 15:
            row, column = 500 + rng.normal(0, spread, 2)
            marks.append(Mark(reader=reader, modality=modality, case=case, view="LCC", row=row, column=column, rating=60 + rng.normal(0, 15)))  # fmt: skip
        if rng.random() < 0.4:
            marks.append(Mark(reader=reader, modality=modality, case=case, view="LMLO", row=100, column=50, rating=40 + rng.normal(0, 15)))  # fmt: skip
    names = {"cases": cases, "readers": ["r1", "r2"], "modalities": ["unaided", "aided"]}
    sweep = radius_sweep(marks, outlines, [2.0, 5.0, 10.0, 20.0], **names)
    hits = [len(scored.true_positives) for _, _, scored in sweep]
    assert hits == sorted(hits)
    assert hits[0] < hits[-1] == 60
    for radius, data, scored in sweep:
        assert scored.rule.radius_mm == radius
        assert len(scored.true_positives) + len(scored.false_positives) + scored.surplus == len(marks)
        assert data.truth.sum() == 15
    values = froc_estimates(sweep[1][1], FrocFigure.WAFROC).values
    assert values[1].mean() > values[0].mean()
    by_view, _ = froc_data(marks, outlines, Rule(radius_mm=20.0, correspondence=Correspondence.VIEW), **names)
    assert by_view.lesion_weight == pytest.approx(np.full(30, 0.5))


def test_rs_l2_a_rule_without_a_radius_and_a_lesion_without_a_case_are_refused():
    with pytest.raises(StatisticsError, match="radius above 0"):
        Rule()
    with pytest.raises(StatisticsError, match="case 9"):
        froc_data(
            [], [lesion(0, 0, case="9")], Rule(radius_mm=5), cases=["1"], readers=["r"], modalities=["m"]
        )
    uneven = [lesion(0, 0, weight=0.4), lesion(0, 0, view="LMLO", weight=0.6)]
    with pytest.raises(StatisticsError, match="one weight"):
        froc_data([], uneven, Rule(radius_mm=5), cases=["1"], readers=["r"], modalities=["m"])
