"""Time to revenue: from runs per week to months earlier, with every assumption an input."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from study_on_disk import FINETUNE, StudyOnDisk

from seatrial.analysis.collect import collect
from seatrial.analysis.comparison import comparison
from seatrial.analysis.decisions.basis import Basis, read_basis
from seatrial.analysis.decisions.decision import Decision
from seatrial.analysis.decisions.measured_pace import MLPERF_MINUTES
from seatrial.analysis.decisions.months_earlier import days_per_decision, months_earlier, worth
from seatrial.analysis.decisions.time_to_revenue import time_to_revenue
from seatrial.analysis.time_to_quality import time_to_quality
from seatrial.config.study import Study
from seatrial.config.time_to_revenue import TimeToRevenue
from seatrial.paths import StudyPaths, write_text
from seatrial.plan import make_plan
from seatrial.record import measurement

CONF = Path(__file__).parents[2] / "conf"


def stated(value: float, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "as_of": "2026-11", "source": "a test"}


def at(value: float) -> np.ndarray:
    return np.array([value])


WEEKLY: dict[str, Any] = {
    "decisions": stated(20),
    "runs_per_decision": stated(1),
    "system": {"name": "fast", "runs_per_week": stated(3)},
    "against": {"name": "slow", "runs_per_week": stated(1)},
}
REVENUE = {"low": 90_000.0, "high": 110_000.0, "currency": "USD", "as_of": "2026-11", "source": "a test"}
MEASURED: dict[str, Any] = {
    "decisions": stated(10),
    "runs_per_decision": stated(4),
    "people_days_per_decision": stated(2, 1, 3),
    "system": {"runs_at_once": stated(2)},
}


def figures(decision: Decision) -> dict[str, float | None]:
    return {figure.name: figure.value for figure in decision.figures}


def decided(**asked: Any) -> Decision:
    """The decision of a study whose figures are all stated."""
    study = StudyOnDisk(Path("nowhere"), economics={"time_to_revenue": asked}).study
    basis = Basis(StudyPaths(Path("nowhere")), Study.model_validate(study), {})
    (found,) = time_to_revenue(basis)
    return found


def measured(root: Path, asked: dict[str, Any], minutes: float = 60.0, **study: Any) -> StudyOnDisk:
    """A study whose three repeats trained for about `minutes` each and were collected."""
    disk = StudyOnDisk(root, economics={"time_to_revenue": asked}, **study)
    (case,) = disk.experiment("tune", FINETUNE, repeats=3)
    for repeat, factor in enumerate((0.96, 1.0, 1.04)):
        disk.record(
            case,
            repeat,
            measurement("train.time_to_quality", [minutes * factor]),
            started_at="2026-01-02T00:00:00+00:00",
            finished_at=(
                f"2026-01-02T{int(minutes * factor + 6) // 60:02d}:{int(minutes * factor + 6) % 60:02d}:00+00:00"
            ),
        )
    tabled(disk)
    return disk


def tabled(disk: StudyOnDisk) -> None:
    collect(disk.paths)
    time_to_quality(disk.paths)
    comparison(disk.paths)


def queued(disk: StudyOnDisk, hours: list[float], cluster: str = "slurm") -> None:
    """Slurm's notes of how long each repeat waited."""
    (case,) = disk.planned
    for repeat, wait in enumerate(hours):
        start = f"2026-01-02T{int(wait):02d}:{round(wait % 1 * 60):02d}:00+00:00"
        entry = {"cluster": cluster, "state": "COMPLETED"}
        entry |= {"submitted_at": "2026-01-02T00:00:00.000Z", "started_at": start}
        write_text(disk.paths.attempts(case.case_id, repeat), json.dumps([entry]))


def test_the_essays_twenty_decisions_make_three_months_not_four() -> None:
    raw = make_plan(["study=time_to_revenue"], CONF)
    basis = Basis(StudyPaths(Path("nowhere")), raw.study, {})
    (found,) = time_to_revenue(basis)
    said = figures(found)
    assert said["All decisions on the faster system"] == pytest.approx(20 / 3)
    assert said["All decisions on the slower system"] == pytest.approx(20)
    assert said["Earlier than on the slower system"] == pytest.approx(13.333 * 7 / 30.4375, rel=1e-3)
    assert said["Decisions for the 4 months that are claimed"] == pytest.approx(4 * 30.4375 / (7 * 2 / 3))
    assert said["Runs per decision for the 4 months that are claimed"] == pytest.approx(1.304, abs=1e-3)
    assert "6.67 weeks" in found.answer and "3.07 months earlier" in found.answer and "26.09" in found.answer


def test_a_queue_adjusted_run_takes_wait_and_time_to_quality() -> None:
    system = {"name": "a", "run_hours": stated(50), "queue_hours": stated(6), "runs_at_once": stated(1)}
    found = decided(**WEEKLY | {"system": system})
    assert figures(found)["Runs per week on a"] == pytest.approx(168 / 56)
    assert figures(found)["All decisions on a"] == pytest.approx(20 / 3)


def test_days_times_revenue_per_day_is_what_they_are_worth() -> None:
    found = decided(**WEEKLY | {"revenue_per_day": REVENUE})
    assert figures(found)["Worth of what is earlier"] == pytest.approx((20 - 20 / 3) * 7 * 100_000)
    first = found.figures[0]
    assert first.low == pytest.approx(0.905 * 9_333_333, rel=0.01) and "Monte Carlo" in first.method
    assert [swing.input for swing in found.swings] == ["revenue"]


def test_more_runs_at_once_than_a_decision_needs_do_not_make_it_faster() -> None:
    few = days_per_decision(at(4), at(4), at(1), at(24), at(0))
    assert few == days_per_decision(at(4), at(400), at(1), at(24), at(0)) == [1.0]
    assert days_per_decision(at(4), at(2), at(0.5), at(24), at(3)) == [7.0]


@given(
    st.floats(1, 100), st.floats(1, 50), st.floats(1, 20), st.floats(0.1, 1), st.floats(0.1, 500), st.floats(0, 30)
)
def test_a_slower_run_never_brings_revenue_earlier(
    decisions: float, runs: float, at_once: float, completed: float, hours: float, people: float
) -> None:
    one = days_per_decision(at(runs), at(at_once), at(completed), at(hours), at(people))
    slower = days_per_decision(at(runs), at(at_once), at(completed), at(hours * 1.1), at(people))
    months = months_earlier(at(decisions), one, slower, at(1))
    assert months >= 0
    assert worth(months, at(1.0)) == pytest.approx(decisions * (slower - one))


def test_people_between_runs_take_the_same_on_both_systems() -> None:
    without = figures(decided(**WEEKLY))["Earlier than on slow"]
    people = decided(**WEEKLY | {"people_days_per_decision": stated(5)})
    assert figures(people)["Earlier than on slow"] == pytest.approx(without)
    assert figures(people)["Decisions per year on fast"] == pytest.approx(365.25 / (7 / 3 + 5))


def test_a_slower_system_is_said_to_be_later() -> None:
    swapped = WEEKLY | {"system": {"name": "a", "runs_per_week": stated(1)}}
    found = decided(**swapped | {"against": {"name": "b", "runs_per_week": stated(3)}})
    assert "3.07 months later" in found.answer


def test_an_interval_that_holds_nought_tells_nothing_apart() -> None:
    near = {"name": "near", "runs_per_week": stated(1, 0.8, 1.2)}
    assert "not told apart" in decided(**WEEKLY | {"system": near}).answer
    assert "not told apart" not in decided(**WEEKLY).answer


def test_a_measured_pace_without_a_queue_is_not_known(tmp_path: Path) -> None:
    disk = measured(tmp_path, MEASURED)
    (found,) = time_to_revenue(read_basis(disk.paths))
    assert found.figures[0].value is None and "queue" in found.figures[0].method
    assert any("queue_hours" in why for why in found.missing)
    assert found.swings == ()
    queued(disk, [1, 2, 3], cluster="local")
    (found,) = time_to_revenue(read_basis(disk.paths))
    assert found.figures[0].value is None


def test_a_measured_pace_takes_time_to_quality_queue_and_the_rest_of_a_run(tmp_path: Path) -> None:
    disk = measured(tmp_path, MEASURED)
    queued(disk, [1, 2, 3])
    (found,) = time_to_revenue(read_basis(disk.paths))
    inputs = {one.name.partition(",")[0]: one for one in found.inputs}
    assert inputs["time to quality"].value == pytest.approx(1.0) and inputs["time to quality"].measured
    assert inputs["queue"].value == pytest.approx(2.0)
    assert inputs["time besides"].value == pytest.approx(0.1, abs=0.01)
    # 2 waves of (2 h queue, 1 h training, 6 minutes besides), then two days
    day = 2 * (2 + 1 + inputs["time besides"].value) / 24 + 2
    assert figures(found)["One decision on laptop"] == pytest.approx(day)
    first = found.figures[0]
    assert first.low is not None and first.high is not None and first.low < 10 * day / 7 < first.high
    assert found.swings[0].input == "people's days per decision"
    assert not any("completed share" in one.name for one in found.inputs)


def test_the_luck_of_forty_runs_is_smaller_than_that_of_one(tmp_path: Path) -> None:
    disk = measured(tmp_path, MEASURED)
    queued(disk, [1, 1, 1])
    (found,) = time_to_revenue(read_basis(disk.paths))
    (luck,) = [one for one in found.inputs if one.name.startswith("luck")]
    spread = float(np.std(np.log([0.96, 1.0, 1.04]), ddof=1))
    assert luck.high == pytest.approx(math.exp(4.3027 * spread / math.sqrt(40)), rel=1e-4)


def test_a_repeat_that_broke_off_is_run_again(tmp_path: Path) -> None:
    disk = measured(tmp_path, MEASURED)
    queued(disk, [1, 1, 1])
    disk.failed(disk.planned[0], 2, kind="cancelled")  # somebody's doing, not the system's
    tabled(disk)
    (found,) = time_to_revenue(read_basis(disk.paths))
    assert not [one for one in found.inputs if one.name.startswith("completed share")]
    disk.failed(disk.planned[0], 2, kind="node_fail")
    tabled(disk)
    (found,) = time_to_revenue(read_basis(disk.paths))
    (share,) = [one for one in found.inputs if one.name.startswith("completed share")]
    assert share.value == pytest.approx(2 / 3) and share.low is not None and share.low < 0.1


def test_another_studys_pace_is_its_case_of_the_same_experiment(tmp_path: Path) -> None:
    other = measured(tmp_path / "other", MEASURED, minutes=30.0, name="sibling")
    queued(other, [1, 1, 1])
    against = {"results": str(other.paths.root), "runs_at_once": stated(2)}
    disk = measured(tmp_path / "mine", MEASURED | {"against": against, "times_longer": stated(10)})
    queued(disk, [1, 1, 1])
    (found,) = time_to_revenue(read_basis(disk.paths))
    here, there = (figures(found)[f"One decision on {name}"] for name in ("laptop", "laptop (sibling)"))
    assert here is not None and there is not None
    # the runs are ten times as long on both: 2 waves of 10 h and of 5 h, with waits of an hour
    assert (here - there) * 24 == pytest.approx(10, abs=0.1)
    assert "later" in found.answer


def test_another_quality_is_not_compared(tmp_path: Path) -> None:
    easier = FINETUNE | {"quality": {"metric": "evaluation_loss", "target": 3.5}}
    other = StudyOnDisk(tmp_path / "other")
    other.experiment("tune", easier)
    tabled(other)
    against = {"results": str(other.paths.root), "runs_at_once": stated(2)}
    disk = measured(tmp_path / "mine", MEASURED | {"against": against})
    queued(disk, [1, 1, 1])
    (found,) = time_to_revenue(read_basis(disk.paths))
    assert found.figures[0].value is None and "3.5" in found.figures[0].method
    assert figures(found)["All decisions on laptop"] is not None


def test_no_published_median_is_said_to_be_missing(tmp_path: Path) -> None:
    against = {"published_median": True, "name": "the median", "queue_hours": stated(0), "runs_at_once": stated(1)}
    disk = measured(tmp_path, MEASURED | {"against": against})
    queued(disk, [1, 1, 1])
    (found,) = time_to_revenue(read_basis(disk.paths))
    assert found.figures[0].value is None and "not an MLPerf benchmark" in found.figures[0].method


def test_a_published_median_is_run_with_this_studys_start_and_the_stated_queue(tmp_path: Path) -> None:
    against = {"published_median": True, "name": "the median", "queue_hours": stated(2), "runs_at_once": stated(2)}
    disk = measured(tmp_path, MEASURED | {"against": against})
    queued(disk, [2, 2, 2])
    (case,) = disk.planned
    for repeat in range(3):  # 54 minutes of MLPerf's clock, of an hour from start to end
        times = [
            measurement(name, [minutes]) for name, minutes in (("train.time_to_quality", 50), (MLPERF_MINUTES, 54))
        ]
        disk.record(
            case, repeat, *times, finished_at="2026-01-02T04:00:00+00:00", started_at="2026-01-02T03:00:00+00:00"
        )
    tabled(disk)
    table = pd.read_csv(disk.paths.comparison, dtype={"case_id": str})
    table = table.assign(reference_minutes=24.0, reference_submitters=3, round="v5.1", basis="exact")
    table.to_csv(disk.paths.comparison, index=False)
    (found,) = time_to_revenue(read_basis(disk.paths))
    inputs = {one.name: one for one in found.inputs}
    assert inputs["time to quality, the median"].value == pytest.approx(0.4)
    assert not inputs["time to quality, the median"].measured
    assert "3 submitters, MLPerf Training v5.1" in inputs["time to quality, the median"].source
    assert inputs["time besides, the median"].value == pytest.approx(0.1)
    # 2 waves of 2.5 h there and of 3 h here
    here, there = (figures(found)[f"One decision on {name}"] for name in ("laptop", "the median"))
    assert here is not None and there is not None and (here - there) * 24 == pytest.approx(2 * 0.5)


def test_a_study_without_trainings_has_no_pace(tmp_path: Path) -> None:
    disk = StudyOnDisk(tmp_path, economics={"time_to_revenue": MEASURED})
    disk.experiment("gemm", {"kind": "gemm", "m": 8, "n": 8, "k": 8})
    (found,) = time_to_revenue(read_basis(disk.paths))
    assert found.figures[0].value is None and "no training" in found.answer


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"decisions": stated(0)}, "outside what it can be"),
        ({"system": {"name": "a", "runs_per_week": stated(0)}}, "outside what it can be"),
        ({"system": {"name": "a", "runs_per_week": stated(3), "run_hours": stated(3)}}, "says it all"),
        ({"system": {"name": "a", "run_hours": stated(3)}}, "side by side"),
        ({"system": {"runs_per_week": stated(3)}}, "nothing is measured of it"),
        ({"against": {"name": "b"} | {"runs_at_once": stated(1)}}, "nothing says how fast"),
        ({"against": {"name": "b", "runs_per_week": stated(1), "results": "x"}}, "both say"),
        ({"against": {"name": "b", "run_hours": stated(1), "runs_at_once": stated(1)}}, "its queue"),
        ({"against": None, "claimed_months_earlier": stated(4)}, "earlier than what"),
        ({"critical_share": stated(1.5)}, "outside what it can be"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TimeToRevenue.model_validate(WEEKLY | change)
