"""A command that failed by itself is told from one that Slurm's signal ended, whoever gets the signal first."""

import os
import signal
import time
from pathlib import Path

import pytest

from snakemake_executor_plugin_submitit.command import WatchedCommand
from snakemake_executor_plugin_submitit.ranks import RankReport, now


def run(folder: Path, command: str, warn_at: float = 0.0) -> RankReport:
    """The report of rank 0 on a command of the shell, which runs as on Slurm."""
    report = RankReport(rank=0, node="node1", pid=os.getpid(), started_at=now())
    with (folder / "log").open("wb") as log:
        watch = WatchedCommand(report, folder, "7", siblings=0, warn_at=warn_at)
        report.set_end(watch.run(["/bin/sh", "-c", command], str(folder), {}, log, forward=True))
    return report


@pytest.mark.parametrize(("name", "at_limit"), [("USR2", True), ("TERM", False)])
def test_a_command_that_a_signal_to_all_ended_first_has_not_failed_by_itself(
    tmp_path: Path, name: str, at_limit: bool
) -> None:
    # the command has saved and ended with 1; the same signal comes to the rank a moment later
    report = run(tmp_path, f"(sleep 0.1; kill -{name} {os.getpid()}) & exit 1")
    assert (report.told_to_stop, report.time_limit, report.exit_code) == (True, at_limit, 1)
    assert report.signals == [signal.Signals[f"SIG{name}"].name]


def test_near_the_time_limit_the_warning_may_be_slower(tmp_path: Path) -> None:
    report = run(tmp_path, f"(sleep 1; kill -USR2 {os.getpid()}) & exit 1", warn_at=time.monotonic() + 30)
    assert (report.time_limit, report.exit_code) == (True, 1)


def test_a_command_that_failed_by_itself_is_said_to_have_after_a_moment(tmp_path: Path) -> None:
    began = time.monotonic()
    report = run(tmp_path, "exit 3")
    assert (report.told_to_stop, report.exit_code, report.signals) == (False, 3, [])
    assert time.monotonic() - began >= 0.3


def test_a_command_that_ended_well_is_not_waited_for(tmp_path: Path) -> None:
    report = run(tmp_path, f"(sleep 0.1; kill -USR2 {os.getpid()}) & exit 0")
    assert (report.told_to_stop, report.exit_code) == (False, 0)
