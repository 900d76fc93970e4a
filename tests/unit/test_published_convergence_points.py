"""Own trainings of a benchmark against MLCommons' reference convergence points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from mlperf_logging.rcp_checker.rcp_checker import RCP_Checker
from study_on_disk import B200, training_measurements

from seatrial.record import measurement
from seatrial.reference.convergence_points import PublishedPoint, published_point
from seatrial.reference.own_points import held_against

LORA: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[2] / "conf" / "workload" / "llama2_70b_lora.yaml").read_text()
)


def row_of(make_study: Any, samples: list[float], workload: dict[str, Any] = LORA, **study: Any) -> pd.Series:
    trial = make_study(target=B200, **study)
    (case,) = trial.experiment("lora", workload, len(samples))
    for repeat, value in enumerate(samples):
        found = measurement("train.samples_to_evaluation", [value])
        trial.record(case, repeat, *training_measurements(30.0), found)
    return pd.read_csv(trial.analyse().convergence).iloc[0]


@pytest.mark.parametrize(
    ("samples", "standing"), [(3072.0, "as_reference"), (1536.0, "faster"), (6144.0, "slower")]
)
def test_ten_runs_of_the_lora_stand_against_the_rounds_points(make_study, samples, standing):
    row = row_of(make_study, [samples] * 10)
    assert row["standing"] == standing
    assert row["reference_samples"] == pytest.approx(3178.667, abs=0.001)
    assert (row["reference_n"], row["converged"]) == (20, 10)
    assert "MLPerf's llama2_70b_lora at batch size 8 (rules 5.1.0, reference point)" in row["note"]
    assert "not the same work as llama2_70b_lora" not in row["note"]


def test_the_round_of_the_study_decides_the_rules(make_study):
    row = row_of(make_study, [3072.0] * 10, references={"round": "v5.0"})
    assert "rules 5.0.0" in row["note"]


def test_a_training_that_is_not_the_benchmarks_work_is_told_so(make_study):
    row = row_of(make_study, [3072.0] * 10, LORA | {"weight_decay": 0.1})
    assert row["standing"] == "as_reference"
    assert "not the same work as llama2_70b_lora: weight decay 0.1, not 0.0001" in row["note"]


def test_without_a_point_or_enough_runs_nothing_is_known(make_study):
    large = row_of(make_study, [3072.0] * 10, LORA | {"batch_size": 32})
    assert (large["standing"], large["note"]) == (
        "not_known",
        "no reference point for a batch size as large as 256",
    )
    assert row_of(make_study, [3072.0] * 2)["standing"] == "not_known"


@pytest.mark.parametrize("batch", [8, 16, 24])
def test_the_limit_for_ten_runs_is_the_official_checkers(batch):
    checker = RCP_Checker("training", "5.1.0", "llama2_70b_lora", False)
    official = checker._find_rcp(batch, "pruned_rcps")
    if official is None:
        below, above = (
            find(batch, "pruned_rcps") for find in (checker._find_top_min_rcp, checker._find_bottom_max_rcp)
        )
        official = checker._create_interp_rcp(batch, below, above)[1]
    point = published_point("5.1.0", "llama2_70b_lora", batch)
    assert isinstance(point, PublishedPoint)
    found = held_against(point.spread, [3000.0] * 10)
    assert found.least_accepted == pytest.approx(official["Min Epochs"], abs=0.01)


def test_points_that_do_not_count_samples_hold_no_training_of_ours():
    assert published_point("5.1.0", "rgat", 8192) is None
    assert published_point("5.1.0", "no_such_benchmark", 8) is None
