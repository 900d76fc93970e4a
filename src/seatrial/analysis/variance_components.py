"""Variance components of crossed random factors by MINQUE(0), with intervals, and which of them a design separates.

y = a fixed mean of each cell + one random effect for each factor + the rest. The estimates solve the expectations
of the quadratic forms |Z'My|^2, M taking the cells' means away (Rao 1971); where the design is balanced they are
those of the analysis of variance and, where positive, of REML; in any other they are unbiased, if less sharp than
REML. Effects are taken for normal in the intervals only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

REST = "rest"
DRAWS = 1000
"""Simulated studies behind an interval; fewer, at least FEWEST_DRAWS, where there are very many observations."""
FEWEST_DRAWS = 200
AT_ONCE = 2_000_000
"""Simulated values of one component that are held at the same time."""
TAIL = 0.025
WIDEST = 1e6
"""An upper end beyond this many times the whole variance is left open."""
SINGULAR = 1e-8
"""A combination of components with less than this share of the largest weight is not told apart by the design."""
Floats = NDArray[np.float64]
Codes = NDArray[np.intp]


class Component(NamedTuple):
    """The variance of one factor with its 95 % interval; `high` None where it is open."""

    variance: float
    low: float
    high: float | None
    raw: float
    """The estimate before what lies below 0 is set to 0."""


class Design:
    """Cells and factors of observations as level numbers; `factors` by name, all as long as `cells`."""

    def __init__(self, cells: Sequence[object], factors: Mapping[str, Sequence[object]]) -> None:
        self.n = len(cells)
        self.cells = level_numbers(cells)
        self.factors = {name: level_numbers(levels) for name, levels in factors.items()}
        self.names = [*self.factors, REST]

    def without_cell_means(self, y: Floats) -> Floats:
        """My: y [n] or [n, draws] less the mean of each cell."""
        sums = _sum_by_level(self.cells, y)
        counts = np.bincount(self.cells).astype(float)
        means = sums / (counts if y.ndim == 1 else counts[:, None])
        return np.asarray(y - means[self.cells], dtype=float)

    def sums(self, name: str, centred: Floats) -> Floats:
        """Z'My of one factor (of the rest: My) from `centred` = My."""
        return centred if name == REST else _sum_by_level(self.factors[name], centred)

    def between(self, one: str, other: str) -> sparse.csr_array:
        """[levels of one, levels of other]: Z'MZ of two factors."""
        return self._crossed[one, other] - self._shares[one] @ self._shares[other].T

    @cached_property
    def _crossed(self) -> dict[tuple[str, str], sparse.csr_array]:
        return {(a, b): _crossed(self.factors[a], self.factors[b]) for a in self.factors for b in self.factors}

    @cached_property
    def _shares(self) -> dict[str, sparse.csr_array]:
        """By factor, [levels, cells]: how many observations of a cell have the level, over the root of its size."""
        narrow = sparse.diags_array(1 / np.sqrt(np.bincount(self.cells).astype(float)))
        return {name: _crossed(codes, self.cells) @ narrow for name, codes in self.factors.items()}

    def weights(self) -> Floats:
        """[factors + 1, factors + 1]: tr(M V_i M V_j), what each component adds to each expected quadratic form."""
        found = np.empty((len(self.names), len(self.names)))
        for i, one in enumerate(self.names):
            for j, other in enumerate(self.names):
                if one == REST and other == REST:
                    found[i, j] = self.n - len(np.bincount(self.cells))
                elif REST in (one, other):
                    name = other if one == REST else one
                    found[i, j] = self.n - float(self._shares[name].power(2).sum())
                else:
                    found[i, j] = float(self.between(one, other).power(2).sum())
        return found


def level_numbers(levels: Sequence[object]) -> Codes:
    """Numbers from 0 in the order in which levels first appear: equal partitions have equal numbers."""
    numbers = {level: number for number, level in enumerate(dict.fromkeys(levels))}
    return np.fromiter(map(numbers.__getitem__, levels), dtype=np.intp, count=len(levels))


def inseparable(design: Design) -> tuple[str, ...]:
    """Components (REST may be one) that the design cannot tell apart from each other; () where it can all."""
    weights = design.weights()
    scale = np.sqrt(np.clip(np.diag(weights), 0, None))
    for name, size in zip(design.names, scale, strict=True):
        if size**2 <= SINGULAR * design.n:
            return (name,)
    values, vectors = np.linalg.eigh(weights / np.outer(scale, scale))
    if values[0] > SINGULAR * values[-1]:
        return ()
    return tuple(name for name, part in zip(design.names, vectors[:, 0], strict=True) if abs(part) > 1e-4)


def components(design: Design, y: Sequence[float], seed: int = 0) -> dict[str, Component]:
    """The variance of each factor and of the rest, by name, with intervals; the same seed gives the same ones.

    An interval holds the variances at which a study like this one gives an estimate as low, and as high, as the one
    found in more than 2.5 % of simulated studies, the other components being what they were estimated as. Raises
    ValueError where the design does not separate them all (`inseparable`).
    """
    if inseparable(design):
        raise ValueError(f"the design does not separate {', '.join(inseparable(design))}")
    solve = np.linalg.inv(design.weights())
    values = np.asarray(y, dtype=float)
    centred = design.without_cell_means(values)
    found = solve @ np.array([float((design.sums(name, centred) ** 2).sum()) for name in design.names])
    kept = np.clip(found, 0.0, None)
    forms = _simulated_forms(design, np.random.default_rng(seed))
    return {
        name: Component(float(kept[i]), *_interval(solve[i], forms, kept, i, float(found[i])), float(found[i]))
        for i, name in enumerate(design.names)
    }


def _simulated_forms(design: Design, draw: np.random.Generator) -> Floats:
    """[forms, components, components, draws]: (Z_i'M Z_a u_a)'(Z_i'M Z_b u_b) of standard normal effects u.

    Of factors alone these follow from their levels; as long as the observations are the effects of the rest only.
    """
    draws, names = min(DRAWS, max(FEWEST_DRAWS, AT_ONCE // design.n)), design.names
    levels = {name: design.n if name == REST else int(design.factors[name].max()) + 1 for name in names}
    effects = {name: draw.standard_normal((levels[name], draws)) for name in names}
    rest = design.without_cell_means(effects[REST])
    sums = {
        (i, a): design.sums(i, rest) if a == REST else np.asarray(design.between(i, a) @ effects[a], dtype=float)
        for i in design.factors
        for a in names
    }
    found = np.empty((len(names), len(names), len(names), draws))
    for i, form in enumerate(names):
        for a, one in enumerate(names):
            for b, other in enumerate(names):
                if form != REST:
                    pair = sums[form, one], sums[form, other]
                elif one == REST:
                    pair = (rest, rest) if other == REST else (effects[other], sums[other, REST])
                else:
                    pair = effects[one], sums[one, other]
                found[i, a, b] = np.einsum("ld,ld->d", *pair)
    return found


def _interval(solve: Floats, forms: Floats, kept: Floats, which: int, found: float) -> tuple[float, float | None]:
    """Both ends for component `which`; `solve` is its row of the inverse of the weights."""
    others = np.sqrt(kept)
    others[which] = 0.0
    estimated = np.tensordot(solve, forms, axes=1)
    # the estimate is a quadratic in the component's standard deviation s: square s^2 + mixed s + constant, [draws]
    square, mixed = estimated[which, which], 2 * np.tensordot(others, estimated[which], axes=1)
    constant = np.einsum("a,b,abd->d", others, others, estimated)

    def estimates(deviation: float) -> Floats:
        return square * deviation**2 + mixed * deviation + constant

    whole = float(np.sqrt(max(float(kept.sum()), 1e-300)))
    low = _crossing(lambda s: float(np.mean(estimates(s) >= found)) > TAIL, whole)
    # from an estimate below 0 as from 0: else chance alone could leave no variance at all in the interval
    high = _crossing(lambda s: float(np.mean(estimates(s) <= max(found, 0.0))) <= TAIL, whole)
    return (0.0 if low is None else low**2), (None if high is None else high**2)


def _crossing(holds: Callable[[float], bool], whole: float) -> float | None:
    """The least standard deviation at which `holds`, by bisection; 0 where it holds at once, None where never."""
    if holds(0.0):
        return 0.0
    upper = whole
    while not holds(upper):
        upper *= 2
        if upper > whole * WIDEST**0.5:
            return None
    lower = 0.0
    for _ in range(50):
        middle = (lower + upper) / 2
        lower, upper = (lower, middle) if holds(middle) else (middle, upper)
    return upper


def _sum_by_level(codes: Codes, values: Floats) -> Floats:
    """[levels] or [levels, draws]."""
    return np.asarray(_crossed(codes, np.arange(len(codes))) @ values, dtype=float)


def _crossed(one: Codes, other: Codes) -> sparse.csr_array:
    """[levels of one, levels of other]: how many observations have both."""
    shape = (int(one.max()) + 1, int(other.max()) + 1)
    return sparse.coo_array((np.ones(len(one)), (one, other)), shape=shape).tocsr()
