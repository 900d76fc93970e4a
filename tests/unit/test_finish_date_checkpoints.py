"""Storage that others use too: checkpoints of one run that all take longer than those of another."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from study_on_disk import B200, FINETUNE, StudyOnDisk
from test_finish_date import decided, from_records, stated

from seatrial.analysis.collect import collect
from seatrial.analysis.decisions.basis import read_basis
from seatrial.analysis.decisions.decision import Decision
from seatrial.analysis.decisions.finish_date import finish_date
from seatrial.analysis.decisions.planned_run import SAVING, SAVING_RUN
from seatrial.record import measurement


def measured_on(root: Path, stalls: tuple[float, ...], **more: Any) -> Decision:
    asked = from_records() | {"steps": stated(1e6), **more}
    disk = StudyOnDisk(root, target=B200, economics={"finish_date": asked})
    (case,) = disk.experiment("tune", FINETUNE, repeats=len(stalls))
    for repeat, stall in enumerate(stalls):
        steps = [2.0 * (1 + 0.01 * ((n + repeat) % 3 - 1)) for n in range(200)]
        saved = measurement("train.checkpoint_stall_time", [stall])
        disk.record(case, repeat, measurement("train.step_time", steps), saved)
    collect(disk.paths)
    (found,) = finish_date(read_basis(disk.paths))
    return found


def test_the_spread_of_measured_checkpoints_is_that_of_one_more_run(tmp_path: Path) -> None:
    """By hand: logs 2, 3 and 4 have the mean 3, the deviation 1; t at 97.5 % with 2 degrees is 4.303."""
    found = measured_on(tmp_path, (math.exp(2), math.exp(3), math.exp(4)))
    given = {one.name: one for one in found.inputs}
    assert given[SAVING].value == pytest.approx(math.exp(3)) and given[SAVING].is_exact and given[SAVING].n == 3
    low, high = given[SAVING_RUN].ends
    assert high == pytest.approx(math.exp(4.303 * math.sqrt(4 / 3)), rel=1e-3) and low == pytest.approx(1 / high)
    assert given[SAVING_RUN].measured and SAVING_RUN in {swing.input for swing in found.swings}


def test_checkpoints_that_all_took_as_long_have_no_spread(tmp_path: Path) -> None:
    names = {one.name for one in measured_on(tmp_path, (3.0, 3.0, 3.0)).inputs}
    assert SAVING in names and SAVING_RUN not in names


def test_a_stated_spread_of_checkpoints_widens_the_date_and_leaves_its_middle() -> None:
    # a checkpoint of 5 minutes: what storage does to it shows
    still = decided(checkpoint_seconds=stated(300))
    loud = decided(checkpoint_seconds=stated(300), checkpoint_spread=stated(0.5))
    first, other = still.figures[0], loud.figures[0]
    assert None not in (first.value, first.low, first.high, other.value, other.low, other.high)
    assert other.value == pytest.approx(first.value, rel=0.01)  # type: ignore[arg-type]
    assert other.high - other.low > 1.1 * (first.high - first.low)  # type: ignore[operator]
    assert {one.name for one in loud.inputs} - {one.name for one in still.inputs} == {SAVING_RUN}
