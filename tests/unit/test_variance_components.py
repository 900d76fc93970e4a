"""Variance components: those of statsmodels' REML where the design is balanced; intervals that hold."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.tools.sm_exceptions import ConvergenceWarning

from seatrial.analysis.variance_components import REST, Design, components, inseparable

SEEDS, NODES, TIMES = 5, 4, 3
SEED = np.repeat(np.arange(SEEDS), NODES * TIMES)
NODE = np.tile(np.repeat(np.arange(NODES), TIMES), SEEDS)
ONE_CELL = [0] * len(SEED)


def crossed(draw, seed, node, rest):
    effects = seed * draw.normal(size=SEEDS)[SEED] + node * draw.normal(size=NODES)[NODE]
    return effects + rest * draw.normal(size=len(SEED))


def reml(y, factors):
    frame = pd.DataFrame({"y": y, "all": 1, **factors})
    formula = {name: f"0 + C({name})" for name in factors}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = smf.mixedlm("y ~ 1", frame, groups="all", vc_formula=formula).fit(reml=True)
    return [*fit.vcomp, fit.scale]


def test_of_a_balanced_design_they_are_those_of_statsmodels_reml():
    y = crossed(np.random.default_rng(0), 0.1, 0.05, 0.03)
    found = components(Design(ONE_CELL, {"a_seed": SEED, "b_node": NODE}), y)
    expected = reml(y, {"a_seed": SEED, "b_node": NODE})
    assert [one.variance for one in found.values()] == pytest.approx(expected, rel=1e-3)


def test_of_an_unbalanced_design_they_are_right_on_average():
    draw = np.random.default_rng(1)
    kept = draw.random(len(SEED)) < 0.7
    design = Design([0] * int(kept.sum()), {"seed": SEED[kept], "node": NODE[kept]})
    solve = np.linalg.inv(design.weights())
    raw = []
    for _ in range(3000):
        centred = design.without_cell_means(crossed(draw, 0.1, 0.07, 0.03)[kept])
        raw.append(solve @ [(design.sums(name, centred) ** 2).sum() for name in design.names])
    assert np.mean(raw, axis=0) == pytest.approx([0.01, 0.0049, 0.0009], rel=0.06)


def test_one_way_is_the_textbooks_analysis_of_variance():
    y = np.array([1.0, 1.2, 2.0, 2.1, 3.0, 3.3])
    group = np.array([0, 0, 1, 1, 2, 2])
    within = sum(y[group == g].var(ddof=1) for g in range(3)) / 3
    between = 2 * np.var([y[group == g].mean() for g in range(3)], ddof=1)
    found = components(Design([0] * 6, {"node": group}), y)
    assert found[REST].variance == pytest.approx(within)
    assert found["node"].variance == pytest.approx((between - within) / 2)


@pytest.mark.parametrize(("seed", "node", "rest"), [(0.1, 0.05, 0.03), (0.0, 0.05, 0.05)])
def test_intervals_hold(seed, node, rest):
    """5 seeds, 4 nodes, 3 repeats, 100 studies: below 87 % has a chance of 1 in 1,000 for a coverage of 95 %."""
    draw = np.random.default_rng(9)
    hits = np.zeros(3)
    for _ in range(100):
        found = components(Design(ONE_CELL, {"seed": SEED, "node": NODE}), crossed(draw, seed, node, rest))
        for i, truth in enumerate((seed, node, rest)):
            one = list(found.values())[i]
            hits[i] += one.low <= truth**2 and (one.high is None or one.high >= truth**2)
    assert (hits / 100 >= 0.87).all()


def test_what_is_estimated_below_0_says_so_and_has_an_upper_end_above_0():
    draw = np.random.default_rng(0)
    for _ in range(50):
        found = components(Design(ONE_CELL, {"seed": SEED, "node": NODE}), crossed(draw, 0.0, 0.0, 1.0))["node"]
        if found.raw < 0:
            assert found.variance == 0.0 and found.low == 0.0 and found.high > 0
            return
    pytest.fail("of 50 studies without an effect none was estimated below 0")


def test_designs_that_cannot_tell_components_apart_are_named():
    assert inseparable(Design([0] * 6, {"seed": range(6)})) == ("seed", REST)
    assert inseparable(Design([0] * 6, {"seed": [0, 0, 1, 1, 2, 2], "node": [0, 0, 1, 1, 2, 2]})) == (
        "seed",
        "node",
    )
    assert inseparable(Design([0, 0, 1, 1], {"seed": [0, 0, 1, 1]})) == ("seed",)
    assert inseparable(Design([0, 0, 0, 1, 1, 1], {"seed": [0, 1, 2, 0, 1, 2]})) == ()
    with pytest.raises(ValueError, match="does not separate seed, rest"):
        components(Design([0] * 3, {"seed": range(3)}), [1.0, 2.0, 3.0])


@settings(max_examples=25, deadline=None)
@given(st.floats(-5, 5), st.floats(0.1, 10), st.integers(0, 1000))
def test_means_of_cells_do_not_count_and_units_square(shift, factor, number):
    draw = np.random.default_rng(number)
    cells = np.tile([0, 1], len(SEED) // 2)
    y = crossed(draw, 0.1, 0.05, 0.03)
    design = Design(cells, {"seed": SEED, "node": NODE})
    one, other = components(design, y), components(design, factor * y + shift * cells)
    for name in one:
        assert other[name].raw == pytest.approx(factor**2 * one[name].raw, rel=1e-6, abs=1e-9)
