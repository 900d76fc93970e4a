"""A finish date says where its noise was measured, if that is not the machine that the run is planned on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from study_on_disk import B200, FINETUNE, StudyOnDisk
from test_finish_date import decided, from_records, measured, stated

from seatrial.analysis.collect import collect
from seatrial.analysis.decisions.basis import read_basis
from seatrial.analysis.decisions.finish_date import finish_date
from seatrial.record import measurement
from seatrial.report.study_tables import read_study
from seatrial.report.summary import summary

ASKED: dict[str, Any] = from_records() | {"steps": stated(1e6), "checkpoint_seconds": stated(30)}


def on_eight(root: Path, planned: int) -> str:
    """The answer for `planned` accelerators, with the noise of three repeats on eight."""
    disk = StudyOnDisk(root, target=B200, economics={"finish_date": ASKED | {"accelerators": planned}})
    (case,) = disk.experiment("tune", FINETUNE, repeats=3)
    for repeat, speed in enumerate((0.98, 1.0, 1.02)):
        steps = [2.0 * speed * (1 + 0.01 * (n % 3 - 1)) for n in range(200)]
        disk.record(case, repeat, measurement("train.step_time", steps))
    collect(disk.paths)
    (found,) = finish_date(read_basis(disk.paths))
    assert found.figures[0].value is not None
    return found.answer


def test_noise_of_a_laptop_is_not_that_of_1_024_accelerators_and_the_sentence_says_so(tmp_path: Path) -> None:
    disk = measured(tmp_path, ASKED)
    (found,) = finish_date(read_basis(disk.paths))
    warning = (
        "How runs, steps and hiccups differ was measured on laptop, with no accelerator and steps of 2 s, not on "
        "the 1,024 accelerators planned: the dates hold only if they differ as much there."
    )
    assert found.answer.endswith(f" {warning}") and warning.rstrip(".") in found.missing
    assert warning in " ".join(summary(read_study(disk.analyse()), [found]).splitlines()[2].split())


@pytest.mark.parametrize(("planned", "far"), [(8, False), (64, False), (65, True)])
def test_up_to_eight_times_the_accelerators_measured_on_nothing_is_said(
    tmp_path: Path, planned: int, far: bool
) -> None:
    answer = on_eight(tmp_path, planned)
    assert ("with 8 accelerators and steps of 2 s, not on the 65 accelerators planned" in answer) is far
    assert ("was measured on" in answer) is far


def test_a_run_that_is_all_stated_was_measured_nowhere() -> None:
    assert "was measured on" not in decided().answer
