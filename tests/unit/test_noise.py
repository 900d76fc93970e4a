"""tables/noise.csv: how much iterations scatter, stall and drift, by repeat and rank; bands are configuration."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from study_on_disk import COLLECTIVE, FINETUNE, GEMM

from seatrial.analysis.noise import COLUMNS, band
from seatrial.analysis.series_noise import allan_deviation, series_noise
from seatrial.config.findings import FindingRules
from seatrial.config.noise_bands import NoiseBands
from seatrial.record import measurement
from seatrial.report.page import report

DRAW = np.random.default_rng(8)
QUIET = (1 + 0.005 * DRAW.normal(size=400)).tolist()
BANDS, RULES = NoiseBands(), FindingRules()


def test_figures_of_a_series_are_those_of_their_definitions():
    times = [1.0] * 95 + [1.4, 1.6, 1.6, 2.0, 3.0]
    found = series_noise(times)
    assert found.cov == pytest.approx(np.std(times, ddof=1) / np.mean(times))
    assert found.hiccups == 0.04  # 1.4 is none
    assert found.max_over_median == 3.0
    assert found.p99_over_p50 == pytest.approx(np.percentile(times, 99))
    assert series_noise(times, hiccup=1.3).hiccups == 0.05


def test_what_a_series_is_too_short_for_is_left_out():
    found = series_noise([1.0, 1.1, 1.2])
    assert found.cov is not None and found.hiccups == 0.0
    short = (found.p95_over_p50, found.p99_over_p50, found.autocorrelation_time, found.allan_long)
    assert short == (None, None, None, None)
    assert series_noise([1.0]).cov is None
    assert series_noise(QUIET[:50]).p99_over_p50 is None and series_noise(QUIET[:50]).p95_over_p50 is not None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.01, 10.0), min_size=20, max_size=60), st.floats(0.1, 10.0))
def test_figures_do_not_depend_on_the_unit(times, factor):
    one, other = series_noise(times), series_noise([factor * t for t in times])
    for name in ("cov", "p95_over_p50", "max_over_median", "allan_first", "allan_long"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), abs=1e-7)


def test_allan_deviation_of_white_noise_falls_with_the_root_of_the_window_and_rises_where_it_drifts():
    white = 1 + 0.01 * np.random.default_rng(3).normal(size=20_000)
    assert allan_deviation(white, 1) == pytest.approx(0.01, rel=0.05)
    assert allan_deviation(white, 100) == pytest.approx(0.001, rel=0.2)
    ramp = 1 + np.arange(1000) / 1000
    assert allan_deviation(ramp, 100) == pytest.approx(0.1 / math.sqrt(2) / ramp.mean())
    assert allan_deviation([1.0, 2.0, 3.0], 2) is None
    assert series_noise(white[:400]).allan_over_white < BANDS.drift.value < series_noise(ramp).allan_over_white


def test_bands_are_the_configurations():
    assert band(series_noise(QUIET), BANDS, RULES) == ("quiet", None)
    usual = (1 + 0.03 * DRAW.normal(size=400)).tolist()
    assert band(series_noise(usual), BANDS, RULES)[0] == "usual"
    level, note = band(series_noise([*QUIET, *([1.6] * 8)]), BANDS, RULES)
    assert level == "noisy" and "hiccups" in note and "CoV" in note
    strict = NoiseBands.model_validate({"quiet_cov": {"value": 0.001, "source": "ours"}})
    assert band(series_noise(QUIET), strict, RULES)[0] == "usual"
    assert band(series_noise(QUIET[:19]), BANDS, RULES) == ("not_known", "19 samples are fewer than 20")
    drifting = [t * (1 + 0.1 * i / len(QUIET)) for i, t in enumerate(QUIET)]
    assert "slow changes" in band(series_noise(drifting), BANDS, RULES)[1]


@pytest.fixture
def measured(make_study):
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE, 3)
    step = [9.0, *QUIET]  # the first step compiles
    ranks = [measurement("train.rank_time", step, {"rank": rank}) for rank in (0, 1)]
    study.record(case, 0, measurement("train.step_time", step), *ranks)
    study.record(case, 1, measurement("train.step_time", [*QUIET * 3, *([2.0] * 30)]), resumed=2)
    study.failed(case, 2)
    (probe,) = study.experiment("gemm", GEMM)
    rates = [1 / t for t in [*QUIET[:90], *([2.0] * 10)]]
    study.record(probe, 0, measurement("gemm.throughput", rates, {"rank": 1, "dtype": "float32"}))
    return study


def rows(paths):
    return pd.read_csv(paths.noise, dtype={"case_id": str})


def test_a_row_for_every_series_of_a_completed_repeat(measured):
    found = rows(measured.analyse())
    assert list(found.columns) == list(COLUMNS)
    assert list(found["metric"]) == [
        "train.step_time",
        *["train.rank_time"] * 2,
        "train.step_time",
        "gemm.throughput",
    ]
    assert found["host"].tolist()[1:3] == ["n1", "n2"] and found["rank"].tolist()[1:3] == [0, 1]
    assert np.isnan(found["rank"][0]) and pd.isna(found["host"][0])


def test_warm_up_is_left_out_and_long_series_are_read_from_their_file(measured):
    paths = measured.analyse()
    found = rows(paths)
    assert found["left_out"].tolist()[:2] == [1, 1] and found["n"][0] == 400
    assert found["band"][0] == "quiet"
    assert found["median_low"][0] <= found["median"][0] <= found["median_high"][0]
    assert found["interval_method"][0].startswith("moving-block bootstrap 95 %")
    assert paths.record(found["case_id"][3], 1).with_name("1.series.parquet").exists()
    assert found["n"][3] == 1229 and found["band"][3] == "noisy"
    assert "taken up again 2 times" in found["note"][3]


def test_of_a_rate_the_slow_end_counts(measured):
    """Ten of a hundred products take twice as long: hiccups, though as rates they lie below the median."""
    found = rows(measured.analyse()).iloc[4]
    assert found["hiccups"] == 0.1 and found["max_over_median"] == pytest.approx(2, rel=0.02)
    assert found["unit"] == "TFLOP/s" and found["median"] == pytest.approx(1, rel=0.02)


def test_the_page_names_bands_and_bounds(measured):
    paths = measured.analyse()
    report(paths)
    page = paths.report.read_text()
    assert 'id="noise"' in page and "1 noisy" in page and "noisy is a CoV over 5 %" in page


def test_without_a_series_there_is_no_row_and_no_section(make_study):
    study = make_study()
    (case,) = study.experiment("all_reduce", COLLECTIVE)
    study.failed(case, 0)
    paths = study.analyse()
    assert rows(paths).empty
    report(paths)
    assert 'id="noise"' not in paths.report.read_text()


def test_what_is_no_time_is_refused():
    for wrong in ([1.0, 0.0], [1.0, float("nan")]):
        with pytest.raises(ValueError, match="not finite and positive"):
            series_noise(wrong)
