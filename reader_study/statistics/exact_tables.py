"""Fisher's exact test of tables larger than 2 x 2, by enumeration that merges equal states (Freeman & Halton 1951).

The idea is the network of Mehta & Patel (1983, JASA 78:427): columns are filled one after another, and fillings that
leave the same row totals share the rest of the work.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from reader_study.statistics.ratings import Floats, StatisticsError

_Ints = NDArray[np.int64]
_TOLERANCE = 1e-7  # relative; tables as probable as the observed one count, rounding aside (as R has it)
_MOST_STATES = 3_000_000


def freeman_halton(table: _Ints) -> float:
    """Exact two-sided p: the probability of all tables with these margins that are no more probable than this one.

    Parameters
    ----------
    table
        (r, c) counts with non-empty rows and columns.

    Raises
    ------
    StatisticsError
        The table has too many completions to enumerate; merge categories, or use the chi-square.
    """
    counts = table if table.shape[1] >= table.shape[0] else table.T  # few rows keep the states small
    counts = counts[:, np.argsort(counts.sum(0))]
    rows, cols = counts.sum(1), counts.sum(0)
    constant = float(gammaln(rows + 1).sum() + gammaln(cols + 1).sum() - gammaln(rows.sum() + 1))
    limit = constant - float(gammaln(counts + 1).sum()) + np.log1p(_TOLERANCE)
    past: dict[tuple[int, ...], dict[float, float]] = {tuple(sorted(rows.tolist())): {0.0: 1.0}}
    for col in cols[:-2]:
        past = _fill(past, int(col))
    work, total = 0, 0.0
    for rest, paths in past.items():
        tail = np.sort(_last_two(np.array(rest), int(cols[-2])))
        work += len(tail)
        if work > _MOST_STATES:
            _refuse(table)
        cumulative = np.concatenate([[0.0], np.cumsum(np.exp(tail + constant))])
        logs = np.array(list(paths.keys()))
        ways = np.array(list(paths.values()))
        at = np.searchsorted(tail, limit - constant - logs, side="right")
        total += float((ways * np.exp(logs) * cumulative[at]).sum())
    return min(1.0, total)


def _fill(past: dict[tuple[int, ...], dict[float, float]], col: int) -> dict[tuple[int, ...], dict[float, float]]:  # fmt: skip
    """Give one column's count to the rows in every way; equal remainders and equal probabilities are merged."""
    out: dict[tuple[int, ...], dict[float, float]] = {}
    states = 0
    for rest, paths in past.items():
        for given in _shares(rest, col):
            log = -float(gammaln(np.array(given) + 1).sum())
            left = tuple(sorted(a - b for a, b in zip(rest, given, strict=True)))
            at = out.setdefault(left, {})
            for before, ways in paths.items():
                key = round(before + log, 9)
                if key not in at:
                    states += 1
                at[key] = at.get(key, 0.0) + ways
        if states > _MOST_STATES:
            raise StatisticsError(
                "Fisher's exact test: expected a table small enough to enumerate, found one too large; use chi-square."
            )
    return out


def _shares(rest: tuple[int, ...], col: int) -> Iterator[tuple[int, ...]]:
    if len(rest) == 1:
        if col <= rest[0]:
            yield (col,)
        return
    room = sum(rest[1:])
    for here in range(max(0, col - room), min(rest[0], col) + 1):
        for others in _shares(rest[1:], col - here):
            yield (here, *others)


def _last_two(rest: _Ints, col: int) -> Floats:
    """Minus the log factorials of every (rows, 2) table with these row totals and this first column total."""
    axes = [np.arange(0, min(int(r), col) + 1) for r in rest[:-1]]
    if np.prod([float(len(axis)) for axis in axes]) > _MOST_STATES:
        _refuse(rest)
    logs = np.zeros(1)
    used = np.zeros(1, dtype=np.int64)
    for axis, r in zip(axes, rest[:-1], strict=True):
        part = -(gammaln(axis + 1.0) + gammaln(float(r) - axis + 1.0))
        logs, used = (logs[:, None] + part[None, :]).ravel(), (used[:, None] + axis[None, :]).ravel()
        fits = used <= col
        logs, used = logs[fits], used[fits]
    last = col - used
    fits = last <= rest[-1]
    last = last[fits].astype(np.float64)
    return np.asarray(logs[fits] - gammaln(last + 1) - gammaln(float(rest[-1]) - last + 1))


def _refuse(table: _Ints) -> None:
    raise StatisticsError(
        f"Fisher's exact test: expected a table small enough to enumerate, found {int(table.sum())} cases in too many cells; use chi-square."
    )
