"""Fully sharded parameters on accelerators: waits that phases cannot tell from computation are no figures."""

from __future__ import annotations

import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from small_training import alone, case, run, workload
from study_on_disk import FINETUNE, training_measurements
from trainings_on_disk import H100S

from seatrial.analysis.verdict_file import read_verdicts
from seatrial.config.training import LlmFinetune
from seatrial.record import measurement
from seatrial.report.page import report
from seatrial.train import run as training
from seatrial.train.beside import plan_profile
from seatrial.train.layout import Axis
from seatrial.train.sharding import hidden_waits

UNTOLD = {"train.compute_time", "train.exposed_communication_time", "train.productive_fraction", "train.rank_time"}
WHY = "waits lie inside forward and backward: only a profile shows them"
SHARDED = {**FINETUNE, "parallelism": {"fsdp": 2}}


def reason(device: str, fsdp: int) -> str | None:
    place: Any = SimpleNamespace(device=torch.device(device), fsdp=Axis(0, fsdp))
    return hidden_waits(place)


def test_waits_are_hidden_by_sharded_parameters_on_accelerators_only_without_device() -> None:
    assert "over 2 ranks" in (reason("cuda", 2) or "")
    assert reason("cuda", 1) is None
    assert reason("cpu", 2) is None


def test_training_whose_waits_are_hidden_says_so_and_measures_the_rest_without_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = alone(case(workload()), tmp_path / "plain")
    run(plain)
    assert {m.metric for m in plain.measurements} >= UNTOLD
    assert "step_time" not in plain.facts

    monkeypatch.setattr(training, "hidden_waits", lambda layout: WHY)
    hidden = alone(case(workload()), tmp_path / "hidden")
    run(hidden)
    assert {m.metric for m in plain.measurements} - {m.metric for m in hidden.measurements} == UNTOLD
    assert hidden.facts["step_time"] == WHY


def test_sharded_training_is_profiled_where_nothing_is_said_but_no_benchmark_without_device() -> None:
    def planned(device: str = "cuda", **more: Any) -> range:
        return plan_profile(LlmFinetune.model_validate(workload(**more)), device, 10)

    sharded: dict[str, Any] = {"parallelism": {"fsdp": 2}}
    assert planned(**sharded) == range(10, 13)
    assert planned(**sharded, profile_steps=5) == range(10, 15)
    for never in (planned(), planned("cpu", **sharded), planned(**sharded, profile_steps=0)):
        assert not never
    assert not planned(**sharded, benchmark="llama2_70b_lora")


def test_page_says_why_steps_are_not_split_and_what_the_profile_saw(make_study: Any) -> None:
    study = make_study(target=H100S)
    (planned,) = study.experiment("finetune", SHARDED)
    series = {"step_time": [1.0], "data_wait_time": [0.1], "other_time": [0.1]}
    measured = [measurement(f"train.{name}", values) for name, values in series.items()]
    profiled = [measurement("train.profiled_exposed_communication_time", [0.25], {"rank": rank}) for rank in (0, 1)]
    study.record(
        planned, 0, *training_measurements(1.0), *measured, *profiled, provenance={"step_time": WHY}
    )  # fmt: skip
    study.criterion("productive", "train.productive_fraction", at_least=0.0)
    paths = study.analyse()
    row = pd.read_csv(paths.step_time, dtype={"case_id": str}).iloc[0]
    assert math.isnan(row["compute_share"]) and math.isnan(row["productive_fraction"])
    assert row["split_note"] == WHY
    assert row["profiled_exposed_share"] == pytest.approx(0.25)
    (verdict,) = read_verdicts(paths)
    assert verdict["verdict"] == "incomplete"
    report(paths)
    text = re.sub(r"<[^>]+>", " ", study.paths.report.read_text(encoding="utf-8"))
    assert WHY in text
    assert "25 % by profile" in text
