"""Hybrid attention in a procurement: the steps that another study measured, their interval, and what follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from procurement_cases import procurement
from study_on_disk import StudyOnDisk
from test_procurement import decided, figure, study, watched

from seatrial.analysis.decisions.words import with_interval
from seatrial.errors import ConfigError, UnreadableFile

SHIPPED = Path(__file__).parents[2] / "conf" / "study" / "procurement_windows.yaml"
ASKED: dict[str, Any] = {"window": 128, "full_every": 4, "against": 8}


def elsewhere(root: Path) -> dict[str, Any]:
    """A procurement that takes its steps from a study called trial below `root`."""
    there = StudyOnDisk(root)
    there.experiment("finetune", {"kind": "gemm", "m": 8, "n": 8, "k": 8})
    there.write()
    watched(there.paths.root, runs=5)
    return procurement(hybrid=ASKED | {"study": str(there.paths.root)})


def test_the_steps_of_another_study_are_taken_with_their_interval_and_say_whose_they_are(tmp_path: Path) -> None:
    _, one, *_, hybrid = decided(tmp_path, elsewhere(tmp_path / "windows"))
    steps = hybrid.figures[0]
    assert (steps.value, steps.low, steps.high) == (3.1, 2.0, 5.6)
    (taken,) = hybrid.inputs
    assert taken.source.startswith("measured in study trial: tables/emergence.csv") and taken.n == 5
    assert taken not in one.inputs and "against one of 8" in hybrid.where


def test_the_interval_goes_on_into_the_days_of_the_training(tmp_path: Path) -> None:
    asked = elsewhere(tmp_path / "windows")
    asked["planned"]["training_tokens"] = {"value": 2e12, "as_of": "2026-11", "source": "a plan"}
    _, one, *_, hybrid = decided(tmp_path, asked)
    days = figure(hybrid, one.figures[0].name + ", with hybrid attention")
    over = figure(hybrid, "Training time with hybrid attention over that without")
    full = one.figures[0]
    assert days.unit == "days" and None not in (days.value, days.low, days.high, over.value, full.value)
    # windows of 8 and 128 tokens take next to as long as full attention at this width
    assert days.value == pytest.approx(3.1 * full.value, rel=0.05)  # type: ignore[operator]
    assert f"with hybrid attention: {with_interval(days)} on dense" in hybrid.answer
    assert days.low < 0.75 * days.value and days.high > 1.4 * days.value  # type: ignore[operator]


def test_a_study_that_was_not_run_is_one_clear_error_with_the_command(tmp_path: Path) -> None:
    asked = procurement(hybrid=ASKED | {"study": str(tmp_path / "results" / "windows")})
    with pytest.raises(UnreadableFile, match=r"hybrid.study names; run that study first: .*study=windows"):
        decided(tmp_path, asked)


def test_steps_are_stated_or_measured_elsewhere_and_not_both() -> None:
    steps = {"value": 2.0, "as_of": "2026-11", "source": "a paper"}
    with pytest.raises(ConfigError, match="nothing is read there"):
        study(procurement(hybrid=ASKED | {"study": "results/windows", "steps": steps}))


def test_the_shipped_study_takes_what_the_study_windows_measures_into_its_default_folder() -> None:
    hybrid = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))["economics"]["procurement"]["hybrid"]
    swept = yaml.safe_load((SHIPPED.parent / "windows.yaml").read_text(encoding="utf-8"))
    windows = swept["experiments"]["windows"]["sweep"]["axes"]["workload"]["window"]
    assert hybrid["study"] == "results/windows" and {hybrid["window"], hybrid["against"]} <= set(windows)
