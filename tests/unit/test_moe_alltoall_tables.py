"""Tables and section of the probe moe_alltoall, from records that were made up so that the answer is known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moe_alltoall_cases import workload
from study_on_disk import LAPTOP, StudyOnDisk

from seatrial.analysis.probes.moe_alltoall import quantile_interval, quantile_of
from seatrial.analysis.probes.moe_alltoall_slope import slope
from seatrial.analysis.tables import read_csv, rows_of
from seatrial.config.probe.moe_alltoall import load_words
from seatrial.paths import StudyPaths
from seatrial.record import Measurement, measurement
from seatrial.report.page import report

LOADS: list[dict[str, Any]] = [
    {"kind": "uniform"},
    {"kind": "gini", "target": 0.24},
    {"kind": "zipf", "exponent": 1.0},
    {"kind": "adversarial", "share": 0.95},
]
IMBALANCE = (1.01, 1.2, 1.5, 1.9)
STEEPNESS = 0.8
ITERATIONS = 40


def recorded(imbalance: float, ceiling: float | None) -> list[Measurement]:
    """Dispatch takes 10 ms at an even load and grows with the imbalance to STEEPNESS; combine takes twice that."""
    jitter = np.linspace(0.97, 1.03, ITERATIONS)
    factors = imbalance * jitter
    seconds = {"counts": jitter * 1e-4, "dispatch": 0.01 * factors**STEEPNESS, "combine": 0.02 * factors**STEEPNESS}
    found = [measurement("moe_alltoall.time", of, {"direction": part}) for part, of in seconds.items()]
    found += [
        measurement("moe_alltoall.layer_time", [3 * s for s in seconds[of]], {"direction": of})
        for of in ("dispatch", "combine")
    ]
    found += [
        measurement("moe_alltoall.rank_imbalance", factors),
        measurement("moe_alltoall.expert_gini", [0.235, 0.243] * (ITERATIONS // 2)),
        measurement("moe_alltoall.ranks_per_token", [1.5] * ITERATIONS),
        measurement("moe_alltoall.nodes_per_token", [1.0] * ITERATIONS),
    ]
    basis = "made up" if ceiling else None
    for direction in ("dispatch", "combine"):
        labels: dict[str, Any] = {"direction": direction}
        found += [
            measurement("moe_alltoall.bytes", [4e6] * ITERATIONS, {**labels, "scope": "logical"}),
            measurement("moe_alltoall.bytes", [2e6] * ITERATIONS, {**labels, "scope": "wire"}),
            measurement("moe_alltoall.logical_bandwidth", [8.0] * ITERATIONS, labels),
            measurement(
                "moe_alltoall.wire_bandwidth",
                [4.0] * ITERATIONS,
                {**labels, "over": "busiest_rank"},
                ceiling,
                basis,
            ),
            measurement("moe_alltoall.wire_bandwidth", [6.0] * ITERATIONS, {**labels, "over": "all_ranks"}),
            measurement("moe_alltoall.balanced_bandwidth", [3.0] * ITERATIONS, labels),
        ]
    return found


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyPaths:
    """Four loads of two repeats, of which one has failed, and a fifth case of which nothing is there."""
    root = tmp_path_factory.mktemp("moe") / "trial"
    made = StudyOnDisk(root, target={**LAPTOP, "tasks_per_node": 2})
    loads = [*LOADS, {"kind": "gini", "target": 0.1}]
    cases = made.experiment("moe", workload(tokens=256), 2, {"workload.load": loads})
    for case, imbalance, ceiling in zip(cases, IMBALANCE, (8.0, 5.0, None, 3.2), strict=False):
        made.record(case, 0, *recorded(imbalance, ceiling))
        if case is cases[1]:
            made.record(
                case,
                1,
                *recorded(9.0, None),
                outcome="failed",
                error={"kind": "timeout", "message": "a rank did not come", "rank": None},
            )
    return made.analyse()


def table(study: StudyPaths, name: str) -> list[dict[str, Any]]:
    return rows_of(read_csv(study.probe_table(name), (), ("load", "note")))


def test_a_row_for_each_case_and_direction_with_what_was_asked_and_what_came(study: StudyPaths) -> None:
    rows = table(study, "moe_alltoall")
    assert [(row["load"], row["direction"]) for row in rows][:3] == [
        ("uniform", "dispatch"),
        ("uniform", "combine"),
        ("gini 0.24", "dispatch"),
    ]
    skewed = rows[2]
    assert (skewed["gini_asked"], skewed["gini"]) == (0.24, pytest.approx(0.239))
    assert (skewed["repeats"], skewed["measured"], skewed["iterations"]) == (2, 1, ITERATIONS)
    assert skewed["p50_s"] == pytest.approx(0.01 * 1.2**STEEPNESS, rel=0.01)
    assert skewed["p50_s_low"] < skewed["p50_s"] < skewed["p50_s_high"]
    assert skewed["p99_s"] == pytest.approx(0.01 * (1.2 * 1.03) ** STEEPNESS)
    assert skewed["p99_s_high"] is None
    assert skewed["counts_p50_s"] == pytest.approx(1e-4, rel=0.01)
    assert skewed["layer_p50_s"] == pytest.approx(3 * skewed["p50_s"])
    assert skewed["layer_p50_s_low"] < skewed["layer_p50_s"] < skewed["layer_p50_s_high"]
    assert (skewed["bytes_logical"], skewed["bytes_wire"], skewed["bytes_node_deduplicated"]) == (4e6, 2e6, None)
    # 8 experts on two ranks, top 2: 2 (1 - C(4, 2) / C(8, 2))
    assert skewed["ranks_per_token_uniform"] == pytest.approx(2 * (1 - 6 / 28))
    rates = [skewed[f"{name}_gbps"] for name in ("logical", "wire", "wire_all_ranks", "balanced")]
    assert rates == [8.0, 4.0, 6.0, 3.0]


def test_a_reading_above_its_ceiling_is_explained_and_what_was_not_measured_is_empty(study: StudyPaths) -> None:
    rows = [row for row in table(study, "moe_alltoall") if row["direction"] == "dispatch"]
    assert [row["fraction_of_ceiling"] for row in rows] == [0.5, 0.8, None, 1.25, None]
    assert [bool(row["note"]) for row in rows] == [False, False, False, True, False]
    assert "125 % of the bound" in rows[3]["note"]
    missing = rows[4]
    assert (missing["measured"], missing["iterations"]) == (0, 0)
    assert {missing[name] for name in ("gini", "imbalance", "p50_s", "p99_s", "wire_gbps")} == {None}


def test_latency_grows_with_imbalance_by_the_slope_that_was_put_in(study: StudyPaths) -> None:
    rows = table(study, "moe_alltoall_slope")
    over_loads = [row for row in rows if row["scope"] == "loads"]
    assert [row["direction"] for row in over_loads] == ["dispatch", "combine"]
    for row in [*over_loads, *(row for row in rows if row["scope"] == "iterations" and row["points"])]:
        assert row["slope"] == pytest.approx(STEEPNESS, rel=1e-6)
        assert row["slope_low"] <= row["slope"] * (1 + 1e-9) and row["slope"] <= row["slope_high"] * (1 + 1e-9)
    assert over_loads[0]["points"] == 4
    assert over_loads[0]["load"] == "uniform; gini 0.24; zipf 1; adversarial 0.95; gini 0.1"
    (missing,) = [row for row in rows if row["load"] == "gini 0.1" and row["direction"] == "dispatch"]
    assert missing["slope"] is None and missing["note"] == "0 iterations measured, 3 or more are needed"


def test_the_page_has_a_section_with_figure_and_tables(study: StudyPaths) -> None:
    report(study)
    page = study.report.read_text(encoding="utf-8")
    section = page[page.index('<section id="moe-alltoall">') :].partition("</section>")[0]
    assert "<svg" in section and (study.figures / "moe_alltoall.svg").exists()
    for words in (
        "gini 0.24, dispatch",
        "asked 0.24",
        "125 % of the bound",
        "not measured",
        "0.8",
        "Theil-Sen",
        "40 iterations give it no upper end",
        "not known",
    ):
        assert words in section
    assert "made up" in section


def test_a_slope_needs_points_and_imbalance() -> None:
    assert slope([1.0, 2.0], [1.0, 2.0]).note == "2 points measured, 3 or more are needed"
    flat = slope([1.0, 1.01, 1.02], [1.0, 2.0, 3.0])
    assert flat.value is None and flat.note is not None and "varies by less than 5 %" in flat.note
    rough = slope([1.01, 1.05, 1.08, 1.12, 1.15, 1.1], [1.0, 2.4, 0.9, 1.9, 1.6, 0.5])
    assert rough.value is None and rough.low is None and rough.note is not None
    assert "varies by 1.14 x only, less than 1.5 x" in rough.note and "wider than the slope itself" in rough.note
    sharp = slope([1.01, 1.05, 1.08, 1.12, 1.15], [x**0.8 for x in (1.01, 1.05, 1.08, 1.12, 1.15)])
    assert sharp.value == pytest.approx(0.8), "few imbalances are enough where the slope is sharp"
    outlier = slope([1, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2], [1, 1.2, 1.4, 1.6, 90.0, 2.0, 2.2])
    assert outlier.value == pytest.approx(1, abs=0.05)
    many = np.linspace(1, 3, 5001)
    assert slope(many, many**2).value == pytest.approx(2)


@given(st.integers(1, 300), st.sampled_from([0.5, 0.99]), st.integers(0, 99))
def test_an_interval_of_a_quantile_brackets_it(n: int, quantile: float, seed: int) -> None:
    values = np.random.default_rng(seed).lognormal(size=n).tolist()
    interval, middle = quantile_interval(values, quantile), quantile_of(values, quantile)
    assert middle in values
    assert interval.low is None or interval.low <= middle
    assert interval.high is None or interval.high >= middle


def test_intervals_of_quantiles_cover_them() -> None:
    """Of 400 samples of 60 values about 95 % have the true median, and its p99 only seldom has an upper end."""
    samples = np.random.default_rng(1).exponential(size=(400, 60))
    covered = [
        (i.low is not None and i.low <= math.log(2)) and (i.high is not None and math.log(2) <= i.high)
        for i in (quantile_interval(row.tolist(), 0.5) for row in samples)
    ]
    assert 0.93 <= np.mean(covered) <= 0.99
    assert quantile_interval(samples[0].tolist(), 0.99).high is None
    assert quantile_interval(list(range(400)), 0.99).high is not None


def test_loads_have_short_names() -> None:
    made = [workload(load=load) for load in LOADS]
    case = StudyOnDisk(Path("nowhere"), target={**LAPTOP, "tasks_per_node": 2})
    named = [load_words(case._case("moe", one, 1, {}).workload.load) for one in made]
    assert named == ["uniform", "gini 0.24", "zipf 1", "adversarial 0.95"]
