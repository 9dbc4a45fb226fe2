"""Linear mixed model with crossed random intercepts, by REML; what statsmodels cannot fit at the size of a study.

The profiled likelihood of Bates, Maechler, Bolker & Walker 2015 (J Stat Softw 67(1)), degrees of freedom by
Satterthwaite's method as in Kuznetsova, Brockhoff & Christensen 2017 (J Stat Softw 82(13)). Knows no reading times.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize, sparse, stats

from reader_study.statistics.ratings import Floats, StatisticsError

_ZERO = 1e-4  # a standard deviation this small against the residual's is on the boundary


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedEffect:
    """One coefficient with its t test; ``df`` by Satterthwaite."""

    name: str
    estimate: float
    error: float
    df: float
    statistic: float
    p_value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedFit:
    """A fitted model. ``deviance`` is -2 log restricted likelihood; ``sds`` name -> standard deviation."""

    effects: tuple[FixedEffect, ...]
    sds: dict[str, float] = field(default_factory=dict)
    residual_sd: float
    deviance: float
    n: int
    levels: dict[str, int]
    singular: tuple[str, ...]
    dropped: tuple[str, ...]

    def effect(self, name: str) -> FixedEffect:
        """The coefficient of this name; StatisticsError where the model has none."""
        for effect in self.effects:
            if effect.name == name:
                return effect
        raise StatisticsError(f"Mixed model: expected a coefficient of {', '.join(e.name for e in self.effects)}, found {name!r}.")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sums:
    """Cross-products that the likelihood needs; the observations themselves are not looked at again."""

    ztz: Floats
    ztx: Floats
    zty: Floats
    xtx: Floats
    xty: Floats
    yty: float
    n: int
    block: NDArray[np.intp]  # (q,) which random term each column belongs to
    largest: int  # columns of the first term


def fit_mixed(
    y: Floats,
    columns: Mapping[str, Floats],
    grouping: Mapping[str, Sequence[str]],
    *,
    level: float = 0.95,
) -> MixedFit:
    """Fit y = intercept + columns + crossed random intercepts + error.

    Parameters
    ----------
    y
        (n,) float64.
    columns
        name -> (n,) float64 fixed-effect column; the intercept is added. A column that the ones before it determine
        is dropped and named in ``dropped``.
    grouping
        name -> (n,) labels of a random intercept. A term with one level is left to the intercept and dropped.

    Notes
    -----
    Normal, independent random effects and errors. A term at the boundary (variance 0) is named in ``singular`` and
    kept out of the degrees of freedom.

    Raises
    ------
    StatisticsError
        Too few observations, a perfect fit, or a likelihood that does not converge.
    """
    y = np.asarray(y, dtype=np.float64)
    names, x, dropped = _fixed_columns(len(y), columns)
    sizes = {name: len(set(labels)) for name, labels in grouping.items()}
    dropped += [name for name in grouping if sizes[name] < 2]
    # the term with most levels comes first: its own block is diagonal and is eliminated without a matrix
    order = sorted((name for name in grouping if sizes[name] > 1), key=lambda name: -sizes[name])
    terms = {name: grouping[name] for name in order}
    if len(y) <= x.shape[1] + len(terms):
        raise StatisticsError(
            f"Mixed model: expected more observations than effects, found {len(y)} and {x.shape[1]}."
        )
    sums, levels = _cross_products(y, x, terms)
    try:
        theta = _optimum(sums, len(terms))
        deviance, sigma, beta, covariance = _profile(sums, theta)
        components = np.append(theta**2, 1.0) * sigma**2
        effects = tuple(
            _effect(sums, names[k], k, beta, covariance, components, level) for k in range(len(names))
        )
    except np.linalg.LinAlgError as error:  # scipy raises the same
        raise StatisticsError(
            "Mixed model: expected observations that determine its variances, found that they do not (no convergence); leave out a random term."
        ) from error
    return MixedFit(
        effects=effects,
        sds={name: float(theta[order.index(name)]) * sigma for name in grouping if name in terms},
        residual_sd=sigma,
        deviance=deviance,
        n=len(y),
        levels=levels,
        singular=tuple(name for t, name in enumerate(terms) if theta[t] < _ZERO),
        dropped=tuple(dropped),
    )


def _fixed_columns(n: int, columns: Mapping[str, Floats]) -> tuple[list[str], Floats, list[str]]:
    names, kept, dropped = ["intercept"], [np.ones(n)], []
    for name, column in columns.items():
        trial = np.column_stack([*kept, np.asarray(column, dtype=np.float64)])
        scale = np.linalg.norm(trial, axis=0)
        if scale[-1] == 0 or np.linalg.matrix_rank(trial / scale, tol=1e-8) < trial.shape[1]:
            dropped.append(name)
            continue
        names.append(name)
        kept.append(trial[:, -1])
    return names, np.column_stack(kept), dropped


def _cross_products(y: Floats, x: Floats, terms: Mapping[str, Sequence[str]]) -> tuple[_Sums, dict[str, int]]:
    parts, block, levels = [], [], {}
    for t, (name, labels) in enumerate(terms.items()):
        place = {label: k for k, label in enumerate(dict.fromkeys(labels))}
        at = np.array([place[label] for label in labels])
        parts.append(sparse.csr_array((np.ones(len(y)), (np.arange(len(y)), at)), shape=(len(y), len(place))))
        block += [t] * len(place)
        levels[name] = len(place)
    z = sparse.hstack(parts, format="csr") if parts else sparse.csr_array((len(y), 0))
    return _Sums(
        ztz=np.asarray((z.T @ z).todense()), ztx=np.asarray(z.T @ x), zty=np.asarray(z.T @ y), xtx=x.T @ x,
        xty=x.T @ y, yty=float(y @ y), n=len(y), block=np.array(block, dtype=np.intp), largest=block.count(0),
    ), levels  # fmt: skip


def _solve(sums: _Sums, theta: Floats) -> tuple[float, float, float, Floats, Floats]:
    """Log determinants, residual sum of squares, coefficients and their unscaled covariance at relative sds theta."""
    scale = theta[sums.block] if len(sums.block) else np.zeros(0)
    k = sums.largest
    root = np.sqrt(scale[:k] ** 2 * np.diagonal(sums.ztz)[:k] + 1.0)
    cross = sums.ztz[:k, k:] * np.outer(scale[:k] / root, scale[k:])
    m = sums.ztz[k:, k:] * np.outer(scale[k:], scale[k:]) - cross.T @ cross
    m[np.diag_indices_from(m)] += 1.0
    lower = linalg.cholesky(m, lower=True, check_finite=False)

    def half_solve(right: Floats) -> Floats:
        first = scale[:k, None] * right[:k] / root[:, None]
        rest = scale[k:, None] * right[k:] - cross.T @ first
        return np.concatenate([first, linalg.solve_triangular(lower, rest, lower=True, check_finite=False)])

    cu, rzx = half_solve(sums.zty[:, None])[:, 0], half_solve(sums.ztx)
    inner = sums.xtx - rzx.T @ rzx
    rx = linalg.cholesky(inner, lower=True)
    cb = linalg.solve_triangular(rx, sums.xty - rzx.T @ cu, lower=True)
    beta = linalg.solve_triangular(rx.T, cb)
    rss = sums.yty - float(cu @ cu) - float(cb @ cb)
    half = linalg.solve_triangular(rx, np.eye(len(beta)), lower=True)
    return (
        2 * float(np.log(root).sum() + np.log(np.diag(lower)).sum()),
        2 * float(np.log(np.diag(rx)).sum()),
        rss,
        np.asarray(beta),
        np.asarray(half.T @ half),
    )


def _profile(sums: _Sums, theta: Floats) -> tuple[float, float, Floats, Floats]:
    """REML deviance with the residual variance profiled out, residual sd, coefficients, their covariance."""
    log_l, log_x, rss, beta, unscaled = _solve(sums, theta)
    free = sums.n - len(beta)
    if rss <= 1e-12 * max(sums.yty, 1e-300):
        raise StatisticsError(
            "Mixed model: expected observations that vary about the fit, found a perfect fit."
        )
    variance = rss / free
    deviance = log_l + log_x + free * (1 + math.log(2 * math.pi * variance))
    return deviance, math.sqrt(variance), beta, unscaled * variance


def _optimum(sums: _Sums, terms: int) -> Floats:
    if terms == 0:
        return np.zeros(0)

    def deviance(theta: Floats) -> float:
        return _profile(sums, np.abs(theta))[0]

    best: Floats | None = None
    value = math.inf
    for start in (1.0, 0.2):
        found = optimize.minimize(
            deviance, np.full(terms, start), method="L-BFGS-B", bounds=[(0.0, None)] * terms,
            options={"ftol": 1e-13, "gtol": 1e-7},
        )  # fmt: skip
        if float(found.fun) < value:
            best, value = np.asarray(found.x), float(found.fun)
    assert best is not None
    simplex = np.vstack([best, best + np.diag(np.maximum(0.02 * best, 1e-3))])
    polished = optimize.minimize(
        deviance, best, method="Nelder-Mead",
        options={"xatol": 1e-6, "fatol": 1e-8, "maxiter": 150 * terms, "initial_simplex": simplex},
    )  # fmt: skip
    if not polished.success and value - float(polished.fun) > 1e-3:  # still falling: not the optimum
        raise StatisticsError(
            "Mixed model: expected its likelihood to reach a maximum, found that it did not converge; leave out a random term."
        )
    return np.abs(np.asarray(polished.x))


def _effect(
    sums: _Sums, name: str, k: int, beta: Floats, covariance: Floats, components: Floats, level: float
) -> FixedEffect:
    error = math.sqrt(float(covariance[k, k]))
    df = _satterthwaite(sums, k, components)
    t = float(beta[k]) / error
    half = float(stats.t.ppf(0.5 + level / 2, df)) * error
    return FixedEffect(
        name=name, estimate=float(beta[k]), error=error, df=df, statistic=t, p_value=float(2 * stats.t.sf(abs(t), df)),
        lower=float(beta[k]) - half, upper=float(beta[k]) + half,
    )  # fmt: skip


def _satterthwaite(sums: _Sums, k: int, components: Floats) -> float:
    """2 v^2 / var(v), v the variance of the coefficient, by the curvature of the likelihood in the components."""
    inside = components > _ZERO**2 * components[-1]

    def spread(free: Floats) -> tuple[Floats, float]:
        full = components.copy()
        full[inside] = free
        full[~inside] = 0.0
        return np.sqrt(full[:-1] / full[-1]), float(full[-1])

    def deviance(free: Floats) -> float:
        theta, residual = spread(free)
        log_l, log_x, rss, beta, _ = _solve(sums, theta)
        return log_l + log_x + (sums.n - len(beta)) * math.log(2 * math.pi * residual) + rss / residual

    def variance(free: Floats) -> float:
        theta, residual = spread(free)
        return float(_solve(sums, theta)[4][k, k]) * residual

    at = components[inside]
    step = 1e-3 * at
    size = len(at)
    hessian, gradient = np.empty((size, size)), np.empty(size)
    units = np.eye(size) * step
    for a in range(size):
        gradient[a] = (variance(at + units[a]) - variance(at - units[a])) / (2 * step[a])
        for b in range(a, size):
            corner = (
                deviance(at + units[a] + units[b]) - deviance(at + units[a] - units[b])
                - deviance(at - units[a] + units[b]) + deviance(at - units[a] - units[b])
            )  # fmt: skip
            hessian[a, b] = hessian[b, a] = corner / (4 * step[a] * step[b])
    spread_of_variance = float(gradient @ np.linalg.solve(hessian / 2, gradient))
    if spread_of_variance <= 0:
        return float(sums.n - len(sums.xty))
    return 2 * variance(at) ** 2 / spread_of_variance
