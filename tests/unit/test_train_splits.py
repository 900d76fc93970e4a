"""Where a step's time goes, against sleeps put into it: on two ranks, in processes of their own.

Every other step sleeps. What was measured is compared with how long the sleep really was, step by step and by the
median, so that other work on the machine does not matter.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest
from small_training import case, losses, notes, samples, start, wait, workload

from seatrial.record import Record

STEPS = 20
PARTS = {
    "compute": "train.compute_time",
    "communication": "train.exposed_communication_time",
    "data": "train.data_wait_time",
    "other": "train.other_time",
}


def trained(folder: Path, change: str, **more: Any) -> tuple[Record, list[dict[str, list[Any]]]]:
    """The record of a run of two ranks, and what each rank noted."""
    budget = {"max_steps": STEPS, "evaluation_interval_steps": STEPS, "quality": UNREACHABLE}
    processes = start(case(workload(**{**budget, **more}), ranks=2), folder, change)
    codes, said = wait(processes)
    assert codes == [0, 0], said
    record = Record.read(folder / "records" / "0.json")
    assert record.error is not None and record.error.kind == "target_not_reached", record.error
    assert len(losses(record)) == 2
    return record, [notes(folder, rank) for rank in (0, 1)]


UNREACHABLE = {"metric": "evaluation_loss", "target": 1e-9}


def added(series: list[float], slept: list[float]) -> float:
    """What every other step (from the second) has more than the steps between, over how long it slept."""
    plain = statistics.median(series[2::2])  # the first step warms up
    return statistics.median((long - plain) / s for long, s in zip(series[1::2], slept, strict=True))


@pytest.mark.parametrize(
    ("change", "shares"),
    [
        ("slow_data", {"data": 1.0}),
        ("slow_collective", {"communication": 1.0}),
        # one of two ranks computes for longer, the other waits for it: half of the mean over ranks each
        ("late_rank", {"compute": 0.5, "communication": 0.5}),
    ],
)
def test_inserted_sleep_comes_out_in_its_part_and_nowhere_else(
    change: str, shares: dict[str, float], tmp_path: Path
) -> None:
    record, noted = trained(tmp_path, change)
    slept = noted[1]["slept"]
    assert len(slept) == STEPS / 2
    for part, metric in PARTS.items():
        assert added(samples(record, metric), slept) == pytest.approx(shares.get(part, 0.0), abs=0.05), part
    assert added(samples(record, "train.step_time"), slept) == pytest.approx(1.0, abs=0.05)

    parts = [samples(record, metric) for metric in PARTS.values()]
    whole = [sum(step) for step in zip(*parts, strict=True)]
    for mean, longest in zip(whole, samples(record, "train.step_time"), strict=True):
        assert mean <= longest * (1 + 1e-9)
    # That nothing is left out shows where steps are long: short ones are as uneven as the machine is busy.
    assert added(whole, slept) == pytest.approx(1.0, abs=0.05)
    (fraction,) = samples(record, "train.productive_fraction")
    assert fraction == pytest.approx(sum(parts[0]) / sum(whole))
    lost = sum(slept) * (1 - shares.get("compute", 0.0))
    natural = sum(whole) - sum(slept)
    assert (1 - fraction) * sum(whole) == pytest.approx(lost, abs=0.05 * lost + natural)


def test_straggler_stands_out_though_steps_take_equally_long(tmp_path: Path) -> None:
    record, noted = trained(tmp_path, "late_rank")
    slept = noted[1]["slept"]
    assert "slept" not in noted[0]
    own = [samples(record, "train.rank_time", rank=rank) for rank in (0, 1)]
    assert added(own[1], slept) == pytest.approx(1.0, abs=0.05)
    assert added(own[0], slept) == pytest.approx(0.0, abs=0.05)


def test_stall_of_a_checkpoint_is_neither_a_step_nor_on_the_clock(tmp_path: Path) -> None:
    record, noted = trained(tmp_path, "slow_checkpoint", checkpoint_interval_steps=STEPS // 2)
    (stall,) = samples(record, "train.checkpoint_stall_time")
    (slept,) = noted[0]["slept"]
    longest = max(slept, noted[1]["slept"][0])
    assert longest <= stall <= longest + 1.0
    steps = samples(record, "train.step_time")
    assert sum(steps) < 0.5 * slept, "20 steps of a few milliseconds"
    first, second = samples(record, "train.productive_fraction")
    compute = sum(samples(record, "train.compute_time")[: STEPS // 2])
    parts = sum(sum(samples(record, metric)[: STEPS // 2]) for metric in PARTS.values())
    assert first == pytest.approx(compute / (parts + stall))
    assert second > first


def test_writing_beside_the_training_stalls_it_only_while_it_is_staged(tmp_path: Path) -> None:
    more = {"checkpoint_interval_steps": 4, "checkpoint_mode": "asynchronous", "max_steps": 8}
    record, noted = trained(tmp_path, "slow_checkpoint", evaluation_interval_steps=8, **more)
    (stall,) = samples(record, "train.checkpoint_stall_time")
    assert stall < 0.5 * noted[0]["slept"][0]
