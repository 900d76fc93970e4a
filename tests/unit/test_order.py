"""Medians and quantiles of many rows at a time are those of each row, to the last digit."""

from __future__ import annotations

from statistics import median

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seatrial.analysis.order import group_medians, row_medians, row_quantiles
from seatrial.analysis.tables import csv_text

ROWS = arrays(np.float64, st.tuples(st.integers(0, 4), st.integers(1, 12)), elements=st.floats(-1e9, 1e9))


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_rows_have_the_medians_and_quantiles_that_numpy_finds_one_by_one(values):
    assert row_medians(values).tolist() == [float(np.median(row)) for row in values]
    found = row_quantiles(values, (0.05, 0.5, 0.95, 0.99))
    for quantile, of in zip((0.05, 0.5, 0.95, 0.99), found, strict=True):
        assert of.tolist() == [float(np.quantile(row, quantile)) for row in values]


def test_a_row_with_what_is_no_number_has_no_median():
    values = np.array([[1.0, np.nan, 3.0], [1.0, 2.0, 3.0]])
    assert np.isnan(row_medians(values)[0]) and row_medians(values)[1] == 2.0
    assert np.isnan(row_quantiles(values, (0.5,))[0][0])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.floats(-1e9, 1e9)), max_size=30))
def test_groups_have_the_medians_of_their_values(pairs):
    keys, values = (np.array(list(of)) for of in (zip(*pairs, strict=True) if pairs else ((), ())))
    found, medians = group_medians(keys.astype(np.int64), values.astype(np.float64))
    expected = {key: median(v for k, v in pairs if k == key) for key in sorted({k for k, _ in pairs})}
    assert dict(zip(found.tolist(), medians.tolist(), strict=True)) == expected


def test_what_is_no_number_and_what_is_nothing_are_empty_cells_and_names_that_hold_nan_stay():
    rows = [{"a": float("nan"), "b": "nancy"}, {"a": 0.5}, {"a": None, "b": "x"}]
    assert csv_text(["a", "b"], rows) == "a,b\n,nancy\n0.5,\n,x\n"
