"""What a run to quality costs: from hours held, failed ones too, to money, runs per budget and energy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from study_on_disk import B200, FINETUNE, LAPTOP, StudyOnDisk, crossing, training_measurements

from seatrial.analysis.collect import collect
from seatrial.analysis.decisions.basis import read_basis
from seatrial.analysis.decisions.cost import cost
from seatrial.analysis.decisions.decision import Decision, Figure
from seatrial.analysis.decisions.held import Held, bootstrap_ratio, failures_unseen, goodput, hours_per_completed
from seatrial.analysis.time_to_quality import time_to_quality
from seatrial.case import Case
from seatrial.record import measurement

PRICE = {"low": 2.0, "high": 4.0, "as_of": "2026-11", "source": "a quote"}
EXACT = {"low": 3.0, "high": 3.0, "as_of": "2026-11", "source": "a quote"}


def stated(value: float) -> dict[str, Any]:
    return {"value": value, "as_of": "2026-11", "source": "a source"}


def on_disk(tmp_path: Path, price: dict[str, Any] | None = EXACT, **economics: Any) -> StudyOnDisk:
    prices = {} if price is None else {"accelerator_hour": price}
    return StudyOnDisk(tmp_path, target={**B200, "prices": prices}, economics=economics)


def ran(study: StudyOnDisk, case: Case, repeat: int, hours: float, *more: Any, **words: Any) -> None:
    """A repeat that held its nodes for so many hours and reached its quality, unless `words` say otherwise."""
    minutes = round(60 * hours)
    end = f"2026-01-{2 + minutes // 1440:02}T{minutes % 1440 // 60:02}:{minutes % 60:02}:00+00:00"
    words = {"quality": crossing(30.0)} | words
    start = "2026-01-02T00:00:00+00:00"
    study.record(case, repeat, *training_measurements(30.0), *more, started_at=start, finished_at=end, **words)


def decided(study: StudyOnDisk) -> Decision:
    collect(study.paths)
    time_to_quality(study.paths)
    (found,) = cost(read_basis(study.paths))
    return found


def figure(decision: Decision, name: str) -> Figure:
    (found,) = [one for one in decision.figures if one.name.startswith(name)]
    return found


def test_cost_is_accelerators_times_hours_times_price(tmp_path: Path) -> None:
    study = on_disk(tmp_path)
    (case,) = study.experiment("finetune", FINETUNE, repeats=3)
    for repeat, hours in enumerate((1.0, 1.5, 2.0)):
        ran(study, case, repeat, hours)
    found = decided(study)
    whole = figure(found, "Cost of a run to quality")
    assert whole.value == pytest.approx(8 * 1.5 * 3.0)
    assert whole.low is not None and whole.high is not None and whole.low < 36 < whole.high
    assert "bootstrap over 3 repeats" in found.inputs[0].source and found.inputs[0].measured
    assert figure(found, "Runs to quality for 1,000 USD").value == pytest.approx(1000 / 36)
    assert "3 of 3 repeats that were started reached the quality" in found.evidence[0]
    assert "63 % of runs fail" in found.evidence[0]


def test_three_of_three_leave_63_percent_open_and_the_answer_says_what_a_run_costs_then(tmp_path: Path) -> None:
    """1 - 0.05^(1/3) = 63.2 %, so that a run takes 2.714 times the hours: 36 USD become 97.7; storage 7 stays 7."""
    run = {"kept_gb": stated(100.0), "kept_months": stated(1.0)}
    run["storage_gb_month"] = {**EXACT, "low": 0.07, "high": 0.07}  # type: ignore[dict-item]
    study = on_disk(tmp_path, run=run)
    (case,) = study.experiment("finetune", FINETUNE, repeats=3)
    for repeat, hours in enumerate((1.0, 1.5, 2.0)):
        ran(study, case, repeat, hours)
    found = decided(study)
    worst = figure(found, "Cost if as many runs fail as cannot be ruled out")
    assert worst.value == pytest.approx(36 / 0.05 ** (1 / 3) + 7) == pytest.approx(104.7, abs=0.1)
    assert "with 3 of 3 runs reaching it, which leaves open that up to 63 % (95 %) fail and it costs 105 USD" in (
        found.answer
    )
    assert "holds no failures: up to 63 % (95 %) of runs may fail, 3 of 3 completed" in found.figures[0].method


def test_where_a_run_failed_the_hours_hold_it_and_no_bound_stands_beside_them(tmp_path: Path) -> None:
    study = on_disk(tmp_path)
    (case,) = study.experiment("finetune", FINETUNE, repeats=3)
    for repeat in range(2):
        ran(study, case, repeat, 2.0)
    ends = {"started_at": "2026-01-02T00:00:00+00:00", "finished_at": "2026-01-02T03:00:00+00:00"}
    study.record(case, 2, outcome="failed", error={"kind": "crashed", "message": "it died"}, **ends)
    found = decided(study)
    assert "leaves open" not in found.answer and "holds no failures" not in found.figures[0].method
    assert not any(one.name.startswith("Cost if") for one in found.figures)


def test_what_failed_runs_used_is_paid_by_those_that_completed(tmp_path: Path) -> None:
    study = on_disk(tmp_path)
    (case,) = study.experiment("finetune", FINETUNE, repeats=4)
    for repeat in range(3):
        ran(study, case, repeat, 2.0)
    study.record(
        case,
        3,
        outcome="failed",
        error={"kind": "crashed", "message": "it died"},
        started_at="2026-01-02T00:00:00+00:00",
        finished_at="2026-01-02T03:00:00+00:00",
    )
    found = decided(study)
    goodput_share = figure(found, "Goodput").value
    assert goodput_share == pytest.approx(6 / 9)
    assert figure(found, "Cost of a run").value == pytest.approx(8 * 3.0 * 2.0 / goodput_share)  # type: ignore[operator]
    assert figure(found, "Cost of this result").value == pytest.approx(8 * 3.0 * 9.0)


def test_every_attempt_counts_and_the_queue_does_not(tmp_path: Path) -> None:
    study = on_disk(tmp_path)
    (case,) = study.experiment("finetune", FINETUNE, repeats=2)
    for repeat in range(2):
        ran(study, case, repeat, 1.0)
    entry = {"cluster": "slurm", "submitted_at": "2026-01-01T00:00:00+00:00"}
    study.attempts(
        case,
        0,
        {**entry, "started_at": "2026-01-01T05:00:00+00:00", "ended_at": "2026-01-01T07:00:00+00:00"},
        {**entry, "started_at": "2026-01-01T09:00:00+00:00", "ended_at": "2026-01-01T10:00:00+00:00"},
    )
    found = decided(study)
    assert figure(found, "Hours held per run").value == pytest.approx((3.0 + 1.0) / 2)
    assert figure(found, "Wait in the queue").value == pytest.approx(7.0)
    assert "not in the cost" in figure(found, "Wait in the queue").method


def test_a_budget_pays_for_whole_runs_and_storage_and_egress_are_in_their_cost(tmp_path: Path) -> None:
    run = {
        "kept_gb": stated(100.0),
        "kept_months": stated(6.0),
        "storage_gb_month": {**EXACT, "low": 0.02, "high": 0.02},
        "egress_gb": stated(50.0),
        "egress_price_gb": {**EXACT, "low": 0.08, "high": 0.08},
    }
    budget = {"amount": 1000.0, "source": "the board", "as_of": "2026-11"}
    study = on_disk(tmp_path, run=run, budget=budget)
    (case,) = study.experiment("finetune", FINETUNE, repeats=3)
    for repeat, hours in enumerate((0.9, 1.0, 1.1)):
        ran(study, case, repeat, hours)
    found = decided(study)
    assert figure(found, "of it storage and egress").value == pytest.approx(100 * 6 * 0.02 + 50 * 0.08)
    assert figure(found, "Cost of a run").value == pytest.approx(24 + 16)
    runs = figure(found, "Runs that a budget")
    assert runs.value == 25.0
    assert runs.low is not None and runs.high is not None and runs.low < 25 < runs.high
    assert runs.low == math.floor(runs.low) and runs.high == math.floor(runs.high)
    assert "1,000 USD pay for 25 runs" in found.answer
    assert any(one.name == "budget" and one.source == "the board" for one in found.inputs)
    assert {one.input for one in found.swings} == {"hours held per run to quality"}


def test_energy_is_of_all_devices_and_costs_at_the_meter(tmp_path: Path) -> None:
    energy = {"price_kwh": {**EXACT, "low": 0.1, "high": 0.1}, "pue": stated(1.25)}
    study = on_disk(tmp_path, energy=energy)
    (case,) = study.experiment("finetune", FINETUNE, repeats=2)
    for repeat, kwh in enumerate((0.9, 1.1)):
        counted = [
            measurement("telemetry.energy", [kwh * 3.6e6 / 8], {"device": n, "scope": "training"}) for n in range(8)
        ]
        ran(study, case, repeat, 1.0, *counted)
    found = decided(study)
    assert figure(found, "Energy of a run to quality, accelerators").value == pytest.approx(1.0)
    assert figure(found, "Energy of 2 completed runs").value == pytest.approx(2.0)
    assert figure(found, "Cost of the energy").value == pytest.approx(1.0 * 1.25 * 0.1)


def test_what_no_sensor_counted_is_not_known_in_words(tmp_path: Path) -> None:
    study = on_disk(tmp_path)
    (case,) = study.experiment("finetune", FINETUNE, repeats=1)
    counted = measurement("telemetry.energy", [1e6], {"device": 0, "scope": "training"})
    ran(study, case, 0, 1.0, counted)
    found = decided(study)
    of_energy = figure(found, "Energy of a run to quality")
    assert of_energy.value is None and of_energy.method.startswith("not known")
    assert figure(found, "Cost of a run").low is None
    assert "spread of the hours: one repeat says nothing of the next" in found.missing


def test_where_nothing_reached_its_quality_there_is_no_cost_and_not_a_cost_of_0(tmp_path: Path) -> None:
    study = on_disk(tmp_path)
    (case,) = study.experiment("finetune", FINETUNE, repeats=2)
    for repeat in range(2):
        study.failed(case, repeat)
    found = decided(study)
    assert found.figures[0].value is None and found.swings == ()
    assert "none of 2 repeats reached its quality" in found.answer


def test_without_a_price_there_is_no_decision_unless_one_is_asked_for(tmp_path: Path) -> None:
    for number, economics in enumerate(({}, {"budget": {"amount": 10.0, "source": "me", "as_of": "2026"}})):
        study = StudyOnDisk(tmp_path / str(number), target=LAPTOP, economics=economics)
        (case,) = study.experiment("finetune", FINETUNE, repeats=1)
        ran(study, case, 0, 1.0)
        collect(study.paths)
        time_to_quality(study.paths)
        found = cost(read_basis(study.paths))
        assert len(found) == number
    assert found[0].figures[0].value is None and "price of an hour" in found[0].answer
    assert figure(found[0], "Hours held per run").value == pytest.approx(1.0)


def test_a_node_has_a_price_where_there_are_no_accelerators(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path, target={**LAPTOP, "nodes": 4, "prices": {"node_hour": PRICE}})
    (case,) = study.experiment("finetune", FINETUNE, repeats=1)
    ran(study, case, 0, 0.5)
    found = decided(study)
    whole = figure(found, "Cost of a run")
    assert whole.value == pytest.approx(4 * 0.5 * 3.0)
    assert (whole.low, whole.high) == pytest.approx((2 * 2.05, 2 * 3.95), rel=0.01)


def test_the_bootstrap_covers_the_mean_of_few_runs() -> None:
    """95 % intervals of three log-normal runs' mean hold it in 88 of 100 sets or more; plain percentiles do not."""
    random = np.random.default_rng(5)
    mean, held_by, plain = math.exp(0.02), 0, 0
    for number in range(200):
        hours = np.exp(random.normal(0.0, 0.2, 3))
        found = bootstrap_ratio(list(hours), [1.0] * 3, number, 400)
        assert found is not None
        low, high = np.quantile(found, [0.025, 0.975])
        held_by += low <= mean <= high
        chosen = hours[random.integers(0, 3, (400, 3))].mean(axis=1)
        low, high = np.quantile(chosen, [0.025, 0.975])
        plain += low <= mean <= high
    assert held_by >= 176 > plain


def test_one_repeat_has_no_bootstrap_and_many_failures_no_upper_end() -> None:
    assert bootstrap_ratio([1.0], [1.0], 1) is None
    found = bootstrap_ratio([1.0, 1.0, 1.0], [1.0, 0.0, 0.0], 1)
    assert found is not None and np.isinf(np.quantile(found, 0.975, method="inverted_cdf"))


def test_three_runs_without_a_failure_leave_63_per_cent_open() -> None:
    """1 - 0.05^(1/3); for many runs the rule of three, 3 / n (Hanley and Lippman-Hand, JAMA 1983)."""
    assert failures_unseen(3) == pytest.approx(0.632, abs=0.001)
    assert failures_unseen(300) == pytest.approx(3 / 300, rel=0.01)


runs = st.lists(st.tuples(st.floats(0.1, 50), st.booleans()), min_size=1, max_size=8)


@settings(max_examples=50, deadline=None)
@given(runs, st.floats(0.1, 50))
def test_one_more_failure_never_makes_a_run_cheaper(found: list[tuple[float, bool]], lost: float) -> None:
    repeats = [Held(n, hours, 1, done) for n, (hours, done) in enumerate(found)]
    before = hours_per_completed(repeats)
    after = hours_per_completed([*repeats, Held(99, lost, 1, False)])
    if before is None:
        assert after is None and goodput(repeats) is None
        return
    assert after is not None and after > before
    share = goodput(repeats)
    done = [one.hours for one in repeats if one.completed and one.hours is not None]
    assert share is not None and before == pytest.approx(math.fsum(done) / len(done) / share)
