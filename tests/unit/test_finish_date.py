"""When a run of weeks is done: failures against Daly's formula, the measured noise, the date."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import signal
from study_on_disk import FINETUNE, LAPTOP, StudyOnDisk

from seatrial.analysis.analyse import analyse
from seatrial.analysis.checkpointing import waste, young_interval
from seatrial.analysis.collect import collect
from seatrial.analysis.decisions.basis import Basis, read_basis
from seatrial.analysis.decisions.decision import Decision, Figure
from seatrial.analysis.decisions.finish_date import finish_date
from seatrial.analysis.decisions.finish_date_table import COLUMNS, TEXT, finish_date_table
from seatrial.analysis.decisions.measured_steps import (
    hiccup_share,
    run_factor,
    run_factor_ends,
    steps_of,
    within_deviation,
)
from seatrial.analysis.decisions.run_time import expected_seconds, simulated_run
from seatrial.analysis.tables import read_csv, rows_of
from seatrial.config.finish_date import FinishDate
from seatrial.config.study import Study
from seatrial.paths import StudyPaths
from seatrial.record import measurement
from seatrial.report.figures import drawers
from seatrial.report.study_tables import read_study

HOUR, DAY = 3600.0, 86_400.0
N = 20_000


def stated(value: float, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "as_of": "2026-11", "source": "a test"}


RUN: dict[str, Any] = {
    "name": "six weeks",
    "starts": "2026-12-01",
    "steps": stated(1_000_000),
    "step_seconds": stated(2.592),
    "run_spread": stated(0.02),
    "accelerators": 1024,
    "accelerator_hours_between_failures": stated(50_700),
    "checkpoint_seconds": stated(30),
    "restart_minutes": stated(15),
}


def every(value: float) -> np.ndarray:
    return np.full(N, float(value))


def decided(**changes: Any) -> Decision:
    economics = {"finish_date": RUN | changes}
    study = Study.model_validate({"name": "trial", "title": "A trial", "target": LAPTOP, "economics": economics})
    (found,) = finish_date(Basis(StudyPaths(Path("nowhere")), study, {}))
    return found


def named(decision: Decision, name: str) -> Figure:
    return next(figure for figure in decision.figures if figure.name.startswith(name))


@pytest.mark.parametrize(
    ("days", "saving", "interval", "between", "restart"),
    [
        (30, 60.0, 1138.0, 3 * HOUR, 300.0),
        (10, 5.0, 600.0, 5 * DAY, 900.0),
        (3, 600.0, 3600.0, 2 * HOUR, HOUR),
        (60, 60.0, 7000.0, 12 * HOUR, 1800.0),
    ],
)
def test_simulated_runs_take_as_long_on_average_as_dalys_formula_says(
    days: float, saving: float, interval: float, between: float, restart: float
) -> None:
    work = math.floor(days * DAY / interval) * interval
    timing = (saving, interval, between, restart)
    s, t, b, r = (every(one) for one in timing)
    found = simulated_run(every(work), s, t, b, r, np.random.default_rng(1))
    expected = float(expected_seconds(every(work), s, t, b, r)[0])
    error = float(found.seconds.std()) / math.sqrt(N)
    assert abs(float(found.seconds.mean()) - expected) < 3.5 * error
    # and failures come as often as time passes
    assert float(found.failures.mean()) == pytest.approx(expected / between, rel=0.03)


def test_an_hours_checkpoints_and_a_failure_each_three_hours_cost_what_young_and_daly_say() -> None:
    # C = 60 s, mu = 3 h: tau 1,138 s, waste 10.5 %
    mu = 3 * HOUR
    tau = young_interval(60, mu)
    assert (tau, waste(60, tau, mu)) == (pytest.approx(1138, abs=1), pytest.approx(0.105, abs=5e-4))
    exact = expected_seconds(*(np.array([one]) for one in (1e6, 60.0, tau, mu, 0.0)))[0] / 1e6 - 1
    second_order = ((tau + 60) / mu) ** 2
    assert waste(60, tau, mu) < exact < waste(60, tau, mu) + second_order


def test_llama_3s_interruptions_in_54_days_come_out() -> None:
    # Grattafiori et al. 2024: 419 unexpected interruptions in 54 days on 16,384 accelerators, over 90 % effective
    mu = 50_700 * HOUR / 16_384
    assert mu / HOUR == pytest.approx(3.1, abs=0.01)
    tau = 600.0
    work = 54 * DAY / (expected_seconds(*(np.array([x]) for x in (1.0, 5.0, tau, mu, 240.0)))[0])
    found = simulated_run(every(work), every(5), every(tau), every(mu), every(240), np.random.default_rng(0))
    assert float(found.seconds.mean()) / DAY == pytest.approx(54, rel=1e-3)
    assert float(found.failures.mean()) == pytest.approx(419, rel=0.01)
    assert work / (54 * DAY) > 0.9


def test_a_run_that_cannot_get_through_a_stretch_never_ends() -> None:
    found = simulated_run(every(1e6), every(60), every(1e5), every(600), every(60), np.random.default_rng(0))
    assert np.isinf(found.seconds).all()


def test_work_without_end_never_ends() -> None:
    work = np.array([1e6, 1e300, math.inf])
    rest = (np.full(3, one) for one in (60.0, 1000.0, 1e6, 60.0))
    saving, interval, between, restart = rest
    found = simulated_run(work, saving, interval, between, restart, np.random.default_rng(0))
    assert np.isfinite(found.seconds).tolist() == [True, False, False]


def test_two_runs_that_differ_widely_leave_the_end_open(tmp_path: Path) -> None:
    disk = measured(tmp_path, from_records() | {"steps": stated(1e6)}, speeds=(0.05, 20.0))
    (found,) = finish_date(read_basis(disk.paths))
    first = found.figures[0]
    assert first.value is not None and first.low is not None
    assert first.high is None or first.high > 100 * first.value


def test_without_failures_a_run_takes_its_work_and_its_checkpoints() -> None:
    found = simulated_run(every(1050), every(10), every(100), every(1e15), every(60), np.random.default_rng(0))
    assert found.seconds == pytest.approx(1050 + 11 * 10)


def test_steps_are_told_from_hiccups_and_runs_from_steps() -> None:
    draw = np.random.default_rng(3)
    series = []
    for speed in (0.98, 1.0, 1.02):
        steps = 2.0 * speed * (1 + 0.01 * draw.standard_normal(1000))
        steps[::100] *= 3
        series.append(steps)
    found = steps_of(series, 1.5)
    assert found.seconds == pytest.approx(2.0, rel=1e-3)
    assert found.run_spread == pytest.approx(0.02, rel=0.05)
    assert found.within == pytest.approx(0.01, rel=0.1)
    assert len(found.excess) == 30 and found.hiccups == pytest.approx(0.02, rel=0.02)
    share = hiccup_share(found, 1e6, np.random.default_rng(0), N)
    assert float(share.mean()) == pytest.approx(0.02, rel=0.05)
    # 30 were seen: their rate is known to about 1 in sqrt(30)
    assert float(share.std()) == pytest.approx(0.02 / math.sqrt(30), rel=0.15)


def test_noise_within_a_run_averages_out_as_fast_as_its_autocorrelation_lets_it() -> None:
    draw = np.random.default_rng(5)
    means = []
    for _ in range(200):
        # each step keeps half of the one before: (1 + 0.5) / (1 - 0.5) neighbours tell as much as one
        steps = signal.lfilter([1], [1, -0.5], draw.standard_normal(2100))[100:]
        means.append(1 + 0.01 * steps)
    found = steps_of(means, 1.5)
    assert found.together == pytest.approx(3, rel=0.1)
    assert within_deviation(found, 2000) == pytest.approx(float(np.std([m.mean() for m in means])), rel=0.15)


def test_one_more_run_lies_within_its_prediction_interval() -> None:
    spread, repeats = 0.05, 3
    factors = run_factor(every(spread), repeats, np.random.default_rng(0))
    low, high = run_factor_ends(spread, repeats)
    assert float(np.mean((factors > low) & (factors < high))) == pytest.approx(0.95, abs=0.005)
    # three runs drawn, and a fourth: the interval of the first three holds it in 95 of 100 cases
    draw = np.random.default_rng(1)
    logs = spread * draw.standard_normal((4000, 4))
    half = math.log(run_factor_ends(1.0, 3)[1])
    hits = np.abs(logs[:, 3] - logs[:, :3].mean(axis=1)) < half * logs[:, :3].std(axis=1, ddof=1)
    assert float(np.mean(hits)) == pytest.approx(0.95, abs=0.015)


def test_a_stated_run_has_a_date_and_a_chance_to_keep_another() -> None:
    found = decided(must_finish="2026-12-31")
    first = named(found, "Until it is done")
    assert first.low is not None and first.value is not None and first.high is not None
    assert 29 < first.low < 30 < first.value < 31 < first.high < 33
    assert first.value == pytest.approx(named(found, "Expected").value, rel=0.01)
    # 50,700 h over 1,024 accelerators: one in 49.5 h
    assert named(found, "Failures").value == pytest.approx(first.value * 24 / 49.5, abs=1)
    chance = named(found, "Chance to be done by 2026-12-31").value
    assert chance is not None and 0.5 < chance < 1
    assert "2026-12-01" in found.answer and "2026-12-30" in found.answer
    assert found.swings[0].input == "this run against others"
    assert decided(must_finish="2026-12-31") == found


def test_the_days_to_allow_for_grow_with_the_spread_from_run_to_run() -> None:
    found = [decided(run_spread=stated(spread)) for spread in (0.0, 0.01, 0.05)]
    days = [named(one, "To allow for").value for one in found]
    assert days[0] == 0 and days[1] is not None and days[2] is not None and 0 < days[1] < days[2]
    last = named(found[2], "Until it is done")
    assert last.value is not None and last.high == pytest.approx(last.value * math.exp(1.645 * 0.05), rel=0.01)


def test_what_nobody_measured_or_stated_leaves_no_date() -> None:
    for key, words in (("accelerator_hours_between_failures", "how often"), ("checkpoint_seconds", "checkpoint")):
        found = decided(**{key: None})
        assert found.figures[0].value is None and words in found.figures[0].method
        assert found.swings == () and any(words in why for why in found.missing)


def measured(root: Path, asked: dict[str, Any], speeds: tuple[float, ...] = (0.98, 1.0, 1.02)) -> StudyOnDisk:
    """A study whose repeats have 200 steps of about 2 s each, saved for 3 s, and were collected."""
    disk = StudyOnDisk(root, economics={"finish_date": asked})
    (case,) = disk.experiment("tune", FINETUNE, repeats=len(speeds))
    draw = np.random.default_rng(0)
    for repeat, speed in enumerate(speeds):
        steps = (2.0 * speed * (1 + 0.01 * draw.standard_normal(200))).tolist()
        stall = measurement("train.checkpoint_stall_time", [3.0, 3.0])
        disk.record(case, repeat, measurement("train.step_time", steps), stall)
    collect(disk.paths)
    return disk


def from_records() -> dict[str, Any]:
    left_out = ("steps", "step_seconds", "run_spread", "checkpoint_seconds")
    return {key: value for key, value in RUN.items() if key not in left_out}


def test_measured_steps_and_checkpoints_make_a_date(tmp_path: Path) -> None:
    # 256 tokens in a step: 4 sequences of 64
    disk = measured(tmp_path, from_records() | {"tokens": stated(256e6), "times_longer": stated(1.25)})
    (found,) = finish_date(read_basis(disk.paths))
    inputs = {one.name: one for one in found.inputs}
    assert inputs["steps"].value == 1e6 and inputs["checkpoint"].value == 3.0
    assert inputs["step time"].value == pytest.approx(2.0, rel=2e-3) and inputs["step time"].measured
    run = inputs["this run against others"]
    assert run.low is not None and run.low == pytest.approx(math.exp(-4.303 * 0.02 * math.sqrt(4 / 3)), rel=0.02)
    assert named(found, "Work alone").value == pytest.approx(1e6 * 2.5 / DAY, rel=5e-3)
    assert len(found.missing) == 1 and found.missing[0] in found.answer and "3 repeats" in found.evidence[0]


def test_one_repeat_says_nothing_of_how_runs_differ(tmp_path: Path) -> None:
    disk = measured(tmp_path, from_records() | {"steps": stated(1e6)}, speeds=(1.0,))
    (found,) = finish_date(read_basis(disk.paths))
    assert found.figures[0].value is None and "fewer than two repeats" in found.answer


def test_the_table_and_its_figure_say_by_which_day_how_many_are_done(tmp_path: Path) -> None:
    asked = from_records() | {"steps": stated(1e6), "must_finish": "2027-01-10"}
    disk = measured(tmp_path, asked, speeds=(0.99, 1.0, 1.0, 1.01))
    finish_date_table(disk.paths)
    rows = rows_of(read_csv(disk.paths.finish_date, COLUMNS, TEXT))
    assert len(rows) == 2 * 99
    days = {(row["sort"], row["share_done"]): row["days"] for row in rows}
    (found,) = finish_date(read_basis(disk.paths))
    first = named(found, "Until it is done")
    assert (days["as_they_differ", 0.05], days["as_they_differ", 0.95]) == (first.low, first.high)
    assert days["as_they_differ", 0.05] < days["alike", 0.05] < days["alike", 0.95] < days["as_they_differ", 0.95]
    analyse(disk.paths)
    (drawing,) = [one for draw in drawers(read_study(disk.paths)) for one in draw() if one.name == "finish_date"]
    assert "50% by 2026-12-2" in drawing.caption and "2027-01-10" in drawing.svg
    assert drawing.data is not None and len(drawing.data.rows) == len(rows)


def test_a_study_that_plans_no_run_has_no_table(tmp_path: Path) -> None:
    disk = StudyOnDisk(tmp_path)
    disk.experiment("tune", FINETUNE)
    disk.paths.finish_date.parent.mkdir()
    disk.paths.finish_date.touch()
    finish_date_table(disk.paths)
    assert not disk.paths.finish_date.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tokens": stated(1e9)}, "how much work"),
        ({"steps": None}, "how much work"),
        ({"steps": None, "tokens": stated(1e9)}, "measured tokens"),
        ({"steps": stated(0)}, "outside what it can be"),
        ({"must_finish": "2026-11-30"}, "before it starts"),
        ({"run_spread": stated(2)}, "outside what it can be"),
        ({"starts": "soon"}, "starts"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        FinishDate.model_validate(RUN | changes)
