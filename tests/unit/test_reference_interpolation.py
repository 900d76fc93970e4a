"""Interpolation between counts: what it takes from its neighbours, and how its error is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.reference.equivalent import find_reference
from seatrial.reference.interpolation import (
    COVERAGE,
    FLOOR,
    LEAST_PREDICTIONS,
    bracket,
    count_medians,
    error_band,
    interpolate,
    leave_one_out,
)
from seatrial.reference.published import COLUMNS, PublishedResult, as_results, load_published
from seatrial.reference.reasons import accuracy
from seatrial.reference.selection import comparable

TABLE = load_published()
ONE = as_results(TABLE[TABLE["benchmark"] == "llama31_8b"].head(1))[0]


def made(accelerators: int, minutes: float, submitter: str = "A", **other: object) -> PublishedResult:
    """A result of its own system."""
    name = f"{submitter} {accelerators} {minutes}"
    facts = {"system": name, "system_id": name, "source": name, "accelerator_family": "B200", "round": "v5.1"}
    return replace(ONE, accelerators=accelerators, minutes=minutes, submitter=submitter, **(facts | other))


def table_of(results: list[PublishedResult]) -> pd.DataFrame:
    rows = [{"runs": r.n_runs, **{c: getattr(r, c) for c in COLUMNS if c != "runs"}} for r in results]
    return pd.DataFrame(rows)


def reference(results: list[PublishedResult], accelerators: int):  # type: ignore[no-untyped-def]
    return find_reference("llama31_8b", "v5.1", "B200", accelerators, table=table_of(results))


COUNTS = st.integers(1, 8192)
RESULTS = st.lists(
    st.tuples(st.sampled_from([4, 8, 16, 32, 64, 128]), st.floats(0.1, 1e4), st.sampled_from("ABCD")),
    min_size=2,
    max_size=14,
    unique=True,
)


@given(results=RESULTS, accelerators=st.integers(5, 127))
def test_an_interpolation_lies_between_the_medians_around_it(results, accelerators) -> None:  # type: ignore[no-untyped-def]
    medians = count_medians([made(*r) for r in results])
    around = bracket(medians, accelerators)
    if around is None:
        return
    below, above = around
    assert below.accelerators < accelerators < above.accelerators
    assert accelerators <= 4 * below.accelerators and above.accelerators <= 4 * accelerators
    between = {m.accelerators for m in medians if below.accelerators < m.accelerators < above.accelerators}
    assert between <= {accelerators}
    minutes = interpolate(below, above, accelerators)
    ends = sorted([below.minutes, above.minutes])
    assert ends[0] * (1 - 1e-9) <= minutes <= ends[1] * (1 + 1e-9)


@given(
    exponent=st.floats(-1.2, 0.2),
    first=st.floats(0.1, 1e4),
    low=COUNTS,
    up=st.floats(1.05, 4),
    over=st.floats(1.05, 4),
)
def test_it_is_exact_on_a_power_law(exponent, first, low, up, over) -> None:  # type: ignore[no-untyped-def]
    middle = max(low + 1, int(low * up))
    high = max(middle + 1, int(middle * over))
    if middle > 4 * low or high > 4 * middle:
        return
    found = reference([made(n, first * n**exponent) for n in (low, high)], middle)
    assert found.basis == "interpolated"
    assert found.minutes == pytest.approx(first * middle**exponent, rel=1e-9)


@settings(deadline=None)
@given(results=RESULTS, accelerators=st.integers(3, 150), order=st.randoms(use_true_random=False))
def test_order_twins_rounded_claims_and_unverified_results_never_change_it(results, accelerators, order) -> None:  # type: ignore[no-untyped-def]
    plain = [made(*r) for r in results]
    twins = [replace(r, source=f"{r.source}-ac-power", minutes=r.minutes * 3) for r in plain]
    claims = [replace(r, submitter="Z", minutes=r.minutes / 7, confidence="rounded") for r in plain]
    claims.append(made(accelerators, 0.5, "Y", confidence="rounded"))
    claims += [replace(r, submitter="V", minutes=r.minutes / 9, confidence="unverified") for r in plain]
    claims.append(made(accelerators, 0.4, "W", confidence="unverified"))
    more = [*plain, *twins, *claims]
    order.shuffle(more)
    assert reference(more, accelerators) == reference(plain, accelerators)


def test_a_neighbour_may_be_four_times_off_and_no_more() -> None:
    at = {n: made(n, 1000 / n) for n in (8, 32, 128, 129)}
    assert reference([at[8], at[128]], 32).basis == "interpolated"
    assert "the nearest above is 129" in reference([at[8], at[129]], 32).note
    assert "the nearest below is 8" in reference([at[8], at[128]], 33).note


def test_nothing_is_extrapolated() -> None:
    results = [made(8, 80.0), made(16, 45.0)]
    for outside, missing in ((4, "none below"), (17, "none above")):
        found = reference(results, outside)
        assert (found.basis, found.minutes) == ("undefined", None)
        assert missing in found.note


def test_neighbours_of_another_family_round_or_division_are_none() -> None:
    below = made(8, 80.0)
    for other in ({"accelerator_family": "B300"}, {"round": "v5.0"}, {"division": "open"}, {"benchmark": "flux1"}):
        assert reference([below, made(32, 25.0, **other), made(8, 9.0, **other)], 16).basis == "undefined"


def test_it_says_what_it_rests_on() -> None:
    results = [made(8, 80.0, "A"), made(8, 90.0, "B"), made(8, 86.0, "A"), made(32, 25.0, "A")]
    found = reference(results, 16)
    assert (found.n, found.submitters, found.quartiles) == (4, 2, None)
    below, above = found.neighbours
    assert (below.minutes, below.n, below.submitters, below.quartiles) == (86.0, 3, 2, (83.0, 88.0))
    assert (above.minutes, above.n, above.submitters, above.quartiles) == (25.0, 1, 1, (25.0, 25.0))
    assert set(found.results) == set(results)
    assert "86 min at 8 (median of 3 results by 2 submitters) and 25 min at 32 (single result by A)" in found.note


def test_an_even_median_is_the_mean_of_the_middle_two() -> None:
    found = reference([made(8, 80.0, "A"), made(8, 90.0, "B"), made(32, 25.0)], 16)
    assert found.neighbours[0].minutes == 85.0
    assert found.minutes == pytest.approx(math.sqrt(85.0 * 25.0))


def test_what_is_published_at_the_count_itself_is_shown_but_not_mixed_in() -> None:
    at_count = made(16, 44.0)
    found = reference([made(8, 80.0), at_count, made(32, 25.0)], 16)
    assert found.basis == "interpolated" and found.nearest == (at_count,)
    assert found.minutes == pytest.approx(math.sqrt(80.0 * 25.0))
    assert found.nearest[0].confidence == "official"
    assert "1 result by 1 submitter at exactly 16 x B200; 3 by 3 are needed: A with" in found.note


def test_every_inner_count_is_predicted_from_its_neighbours_by_the_same_rule() -> None:
    medians = {8: 100.0, 16: 60.0, 32: 25.0, 256: 5.0}
    predictions = leave_one_out([made(n, m) for n, m in medians.items()])
    assert [(p.accelerators, p.minutes) for p in predictions] == [(16, 60.0)]  # 256 is more than four times 32
    assert predictions[0].predicted_minutes == pytest.approx(50.0)
    assert predictions[0].log_error == pytest.approx(math.log(1.2))


def test_the_published_rounds_predict_themselves_as_the_floor_says() -> None:
    closed = comparable(as_results(TABLE[TABLE["division"] == "closed"]))
    predictions = leave_one_out(closed)
    within = sum(abs(p.log_error) <= math.log(FLOOR) for p in predictions)
    assert (len(predictions), round(within / len(predictions), 2)) == (109, 0.81)


def errors(*factors: float, round_: str = "v5.1") -> list[PublishedResult]:
    """Counts 8, 16, 32 of one family for each factor, the middle one off by it."""
    return [
        made(n, 800 / n * (f if n == 16 else 1.0), accelerator_family=f"F{i}", round=round_)
        for i, f in enumerate(factors)
        for n in (8, 16, 32)
    ]


def test_the_band_is_of_the_most_alike_errors_that_suffice() -> None:
    few, some, many = errors(2.0), errors(1.1, 1.5, 1 / 1.4, 1.3), errors(*[3.0] * 9)
    band = error_band([("few", few), ("some", some), ("many", many)])
    assert LEAST_PREDICTIONS == 4
    assert (band.pool, band.predictions, band.coverage, band.is_floor) == ("some", 4, COVERAGE, False)
    assert band.factor == pytest.approx(1.5)


@pytest.mark.parametrize(("predictions", "rank"), [(4, 4), (8, 8), (9, 8), (10, 9), (14, 12), (19, 16)])
def test_the_band_is_the_conformal_quantile(predictions: int, rank: int) -> None:
    factors = [1.2 + i / 10 for i in range(predictions)]
    assert error_band([("all", errors(*factors))]).factor == pytest.approx(factors[rank - 1])


def test_the_band_holds_its_share_of_further_errors() -> None:
    """Simulated: log-normal errors of 20 %, bands from seven of them."""
    random = np.random.default_rng(20261122)
    logs = random.normal(0, 0.2, (800, 8))
    held = 0
    for row in logs:
        band = error_band([("seven", errors(*np.exp(row[:7])))])
        held += abs(row[7]) <= math.log(band.factor)
    assert held / len(logs) > COVERAGE - 0.03


def test_how_many_were_predicted_within_the_band_is_counted() -> None:
    band = error_band([("ten", errors(*[1.2 + i / 10 for i in range(10)]))])
    assert (band.within, band.predictions, band.single_results) == (9, 10, 10)
    assert accuracy(band) == (
        "9 of 10 left-out medians of ten (10 of them single results) were predicted within a factor of 2.00 "
        "either way (90 %; they share neighbours: what was seen, not a confidence)"
    )
    twice = [replace(r, submitter="B", system_id=f"{r.system_id} b") for r in errors(1.2, 1.3, 1.4, 1.5)]
    mixed = error_band([("four", [*errors(1.2, 1.3, 1.4, 1.5), *twice[:6]])])
    assert (mixed.within, mixed.predictions, mixed.single_results) == (4, 4, 2)


def test_a_neighbour_by_one_submitter_is_said_to_be_its_own() -> None:
    found = reference([made(8, 80.0, "A"), made(8, 90.0, "A"), made(32, 25.0, "B")], 16)
    assert "(median of 2 results, all by A) and 25 min at 32 (single result by B)" in found.note


def test_small_errors_leave_the_floor_and_it_says_so() -> None:
    band = error_band([("all", errors(1.01, 1.02, 1.03, 1.04))])
    assert (band.factor, band.is_floor, band.coverage) == (FLOOR, True, COVERAGE)


def test_too_few_predictions_leave_the_coverage_unknown() -> None:
    band = error_band([("few", errors(2.0, 1.1)), ("all", errors(2.0, 1.1))])
    assert (band.coverage, band.predictions) == (None, 2)
    assert band.factor == pytest.approx(2.0)
    found = reference([made(8, 80.0), made(32, 25.0)], 16)
    assert found.band is not None and found.band.coverage is None and found.band.predictions == 0
    assert "only 0 left-out medians of all benchmarks and rounds could be predicted" in found.note


@pytest.mark.parametrize(
    ("benchmark", "round_", "family", "accelerators", "pool", "predictions"),
    [
        ("llama2_70b_lora", "v5.0", "GB200", 100, "llama2_70b_lora on GB200 in v5.0", 7),
        ("llama2_70b_lora", "v5.1", "B200", 24, "llama2_70b_lora in v5.1", 5),
        ("rgat", "v5.1", "B200", 12, "all benchmarks in v5.1", 16),
    ],
)
def test_whose_errors_are_taken_is_said(
    benchmark: str, round_: str, family: str, accelerators: int, pool: str, predictions: int
) -> None:
    found = find_reference(benchmark, round_, family, accelerators)
    assert found.band is not None and found.minutes is not None and found.interval is not None
    assert (found.band.pool, found.band.predictions) == (pool, predictions)
    assert f"{found.band.within} of {predictions} left-out medians of {pool}" in found.note
    assert "confidence" not in found.note.replace("what was seen, not a confidence", "")
    assert found.interval == pytest.approx((found.minutes / found.band.factor, found.minutes * found.band.factor))


def test_errors_never_come_from_the_submitter_that_is_left_out() -> None:
    found = find_reference("llama31_8b", "v5.1", "B200", 16, exclude_submitter="University-of-Florida")
    everyone = find_reference("llama31_8b", "v5.1", "B200", 24)
    assert found.band is not None and everyone.band is not None
    assert found.band.pool == "all benchmarks in v5.1" and found.band.predictions == 6
    assert everyone.band.pool == "llama31_8b on B200 in v5.1"
