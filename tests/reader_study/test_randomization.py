"""The allocation: the same anywhere, balanced, each case once a period and once in every arm."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from reader_study.domain.study import AiPolicy, Arm, Case, Reader
from reader_study.errors import StudyError
from reader_study.randomization import allocate, generator, shuffled


def _arms(count):
    return tuple(Arm(arm_id=f"a{i}", title=f"Arm {i}", ai=AiPolicy(shown=i > 0)) for i in range(count))


def _cases(count, practice=0):
    return tuple(
        Case(case_id=f"c{i:03}", exam_id=f"e{i}", exam_digest="d", practice=i >= count)
        for i in range(count + practice)
    )


def _readers(count):
    return tuple(
        Reader(reader_id=f"r{i}", name=f"R{i}", group="senior" if i % 2 else "junior") for i in range(count)
    )


def _allocate(cases=12, readers=4, arms=2, **more):
    return allocate(
        study_id="S", seed=5, cases=_cases(cases), readers=_readers(readers), arms=_arms(arms), **more
    )


def test_rs_r1_same_seed_gives_the_list_written_down_here():
    """Written by this algorithm (latin-blocks/1) once; it must come out on any machine and numpy release."""
    assert shuffled(range(8), generator("S", 5, "r0")) == GOLDEN_SHUFFLE
    plan = _allocate(cases=6, readers=2)[0]
    assert [(entry.case_id, entry.arm_id) for entry in plan.entries] == GOLDEN_PLAN


def test_rs_r1_another_seed_study_or_reader_gives_another_order():
    one = _allocate()
    other = allocate(study_id="S", seed=6, cases=_cases(12), readers=_readers(4), arms=_arms(2))
    assert [plan.entries for plan in one] != [plan.entries for plan in other]
    orders = [tuple(entry.case_id for entry in plan.entries) for plan in one]
    assert len(set(orders)) == len(orders)


def test_rs_r1_order_of_the_protocol_file_does_not_matter():
    turned = allocate(
        study_id="S", seed=5, cases=_cases(12)[::-1], readers=_readers(4)[::-1], arms=_arms(2), strata=None
    )
    assert sorted(turned, key=lambda plan: plan.session_id) == sorted(
        _allocate(), key=lambda plan: plan.session_id
    )


@pytest.mark.parametrize("arms", [2, 3])
def test_rs_d3_every_case_is_read_once_a_period_and_once_in_every_arm(arms):
    plans = _allocate(cases=13, readers=6, arms=arms)
    for reader in _readers(6):
        mine = [plan for plan in plans if plan.reader_id == reader.reader_id]
        assert [plan.period for plan in mine] == list(range(1, arms + 1))
        for plan in mine:
            assert len({entry.case_id for entry in plan.entries}) == 13
        reads = Counter((entry.case_id, entry.arm_id) for plan in mine for entry in plan.entries)
        assert len(reads) == 13 * arms
        assert set(reads.values()) == {1}


def test_rs_d3_in_each_period_half_the_readers_read_a_case_with_ai():
    plans = _allocate(cases=12, readers=4)
    for period in (1, 2):
        aided = Counter(
            entry.case_id
            for plan in plans
            if plan.period == period
            for entry in plan.entries
            if entry.arm_id == "a1"
        )
        assert set(aided.values()) == {2}


def test_rs_r3_block_order_is_balanced_over_readers_and_blocks_are_not_mixed():
    plans = [plan for plan in _allocate(cases=12, readers=8) if plan.period == 1]
    assert Counter(plan.entries[0].arm_id for plan in plans) == {"a0": 4, "a1": 4}
    for plan in plans:
        arms = [entry.arm_id for entry in plan.entries]
        assert sum(a != b for a, b in pairwise(arms)) == 1


def test_rs_d3_strata_are_split_evenly_over_the_arms():
    strata = {f"c{i:03}": "malignant" if i < 7 else "normal" for i in range(20)}
    for plan in _allocate(cases=20, readers=3, strata=strata):
        counts = Counter((entry.arm_id, strata[entry.case_id]) for entry in plan.entries)
        assert {counts["a0", "malignant"], counts["a1", "malignant"]} == {3, 4}
        assert abs(counts["a0", "normal"] - counts["a1", "normal"]) <= 1


def test_rs_t1_practice_cases_are_a_session_of_their_own():
    plans = allocate(study_id="S", seed=5, cases=_cases(6, practice=2), readers=_readers(1), arms=_arms(2))
    assert [(plan.period, len(plan.entries)) for plan in plans] == [(0, 2), (1, 6), (2, 6)]
    assert {entry.case_id for entry in plans[0].entries} == {"c006", "c007"}


def test_parallel_and_single_designs_have_one_period():
    parallel = _allocate(readers=4, design="parallel")
    assert Counter(plan.entries[0].arm_id for plan in parallel) == {"a0": 2, "a1": 2}
    assert all(len({entry.arm_id for entry in plan.entries}) == 1 for plan in parallel)
    single = _allocate(design="single")
    assert {entry.arm_id for plan in single for entry in plan.entries} == {"a0"}


def test_unknown_design_and_empty_study_are_refused_by_name():
    with pytest.raises(StudyError, match="split"):
        _allocate(design="split")
    with pytest.raises(StudyError, match="at least one case"):
        _allocate(cases=0)


def test_shuffle_is_uniform_over_the_six_orders_of_three():
    rng = generator("uniform")
    counts = Counter(shuffled("abc", rng) for _ in range(6000))
    assert len(counts) == 6
    chi2 = sum((count - 1000) ** 2 / 1000 for count in counts.values())
    assert chi2 < 20.5  # 99.9 % point of chi-square with 5 degrees of freedom


GOLDEN_SHUFFLE = (1, 3, 7, 4, 5, 6, 0, 2)
GOLDEN_PLAN = [("c005", "a1"), ("c003", "a1"), ("c004", "a1"), ("c000", "a0"), ("c001", "a0"), ("c002", "a0")]
