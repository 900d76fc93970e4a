"""A file system that shows files seconds late: what Snakemake has not seen yet is no end, and no rank starts twice.

Records are waited for by Snakemake (tests/workflow/test_faults_of_files_local.py). Here are the executor's files:
ranks' reports and results, seen late where Snakemake runs, and the pickles of batches, seen late on the nodes.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from submitit.core.utils import DelayedSubmission
from test_executor_ends import Cluster, cluster, job_of

from snakemake_executor_plugin_submitit import pickles
from snakemake_executor_plugin_submitit.payload import RankBatch, RankCommand
from snakemake_executor_plugin_submitit.ranks import RankReport, now, read_reports, report_path, write_report
from snakemake_executor_plugin_submitit.status import Accounting

__all__ = ["cluster"]  # a fixture, found by its name
SUCCESS = pickle.dumps(("success", {"rank": 0, "returncode": 0}))


def reported(folder: Path, rank: int, code: int | None) -> None:
    """A rank's report, as it is at the start where `code` is None."""
    report = RankReport(rank=rank, node=f"node{rank + 1}", pid=1, started_at=now())
    if code is not None:
        report.set_end(code)
    write_report(folder, "7", report)


def left(folder: Path, rank: int, content: bytes = SUCCESS) -> None:
    (folder / f"7_{rank}_result.pkl").write_bytes(content)


def test_a_job_of_which_nothing_is_seen_yet_has_completed_where_accounting_says_so(
    tmp_path: Path, cluster: Cluster
) -> None:
    """Its reports are seen as they were at the start, or not at all, and no result is there."""
    job = job_of(tmp_path, ranks=2)
    reported(tmp_path, 0, None)
    cluster.accounting, cluster.queue = {"7": Accounting("RUNNING", nodes=("node1", "node2"))}, {"7": "RUNNING"}
    assert cluster.state(job) is None
    facts = Accounting("COMPLETED", nodes=("node1", "node2"), ended_at="2026-01-01T00:00:00Z")
    cluster.accounting, cluster.queue = {"7": facts}, {}
    assert cluster.state(job) == "COMPLETED"
    assert job.outcome is not None
    assert (job.outcome.nodes, job.outcome.ended_at) == (("node1", "node2"), "2026-01-01T00:00:00Z")
    assert (job.outcome.exit_code, job.outcome.reason, cluster.given_up) == (0, None, [])


def test_results_that_show_up_one_after_the_other_are_waited_for_while_slurm_has_the_job(
    tmp_path: Path, cluster: Cluster
) -> None:
    job = job_of(tmp_path, ranks=2)
    cluster.accounting, cluster.queue = {"7": Accounting("RUNNING", nodes=("node1",))}, {"7": "RUNNING"}
    assert cluster.state(job) is None
    left(tmp_path, 1)
    assert cluster.state(job) is None
    left(tmp_path, 0)
    assert cluster.state(job) == "COMPLETED"


@pytest.mark.parametrize("seen", range(0, len(SUCCESS), 7))
def test_a_result_of_which_only_the_beginning_is_seen_is_none_yet(
    tmp_path: Path, cluster: Cluster, seen: int
) -> None:
    job = job_of(tmp_path)
    cluster.accounting, cluster.queue = {"7": Accounting("RUNNING", nodes=("node1",))}, {"7": "RUNNING"}
    left(tmp_path, 0, SUCCESS[:seen])
    assert (job.results(), cluster.state(job)) == ([], None)
    left(tmp_path, 0)
    assert (job.results(), cluster.state(job)) == ([True], "COMPLETED")


def test_a_report_of_which_only_the_beginning_is_seen_says_nothing_yet(tmp_path: Path) -> None:
    reported(tmp_path, 0, 3)
    path = report_path(tmp_path, "7", 0)
    whole = path.read_bytes()
    for seen in range(len(whole) - 2):  # but for its last brace and line end
        path.write_bytes(whole[:seen])
        assert read_reports(tmp_path, "7", 1) == []
    path.write_bytes(whole)
    assert [report.exit_code for report in read_reports(tmp_path, "7", 1)] == [3]


def rank_command(folder: Path, index: int, command: str) -> RankCommand:
    return RankCommand(
        key=f"k{index}", index=index, command=command, shell=("/bin/sh", "-c"), prefix=(), folder=str(folder),
        cwd=str(folder), threads=1, spmd=True, port=23456, minutes=5, signal_delay=60, debug=False,
    )  # fmt: skip


@pytest.fixture
def node(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """submitit's own start of place 1 of the array 7, as on a node, which sees no pickle of it yet."""
    tmp_path.chmod(0o700)
    place = {"SUBMITIT_EXECUTOR": "local", "SUBMITIT_LOCAL_JOB_ID": "7_1", "SLURM_ARRAY_TASK_ID": "1"}
    place |= {"SUBMITIT_LOCAL_NTASKS": "1", "SUBMITIT_LOCAL_GLOBALID": "0", "SUBMITIT_LOCAL_LOCALID": "0"}
    place |= {"SUBMITIT_LOCAL_NNODES": "1", "SUBMITIT_LOCAL_NODEID": "0", "SUBMITIT_LOCAL_SIGNAL_DELAY_S": "30"}
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "submitit.core._submit", str(tmp_path)],
        env={**os.environ, **place},
        stdout=(tmp_path / "out").open("wb"),
        stderr=subprocess.STDOUT,
    )
    yield process
    process.kill()
    process.wait(timeout=30)


def test_a_rank_waits_for_the_pickle_of_its_batch_and_runs_its_own_command_once(
    tmp_path: Path, node: subprocess.Popen[bytes]
) -> None:
    commands = [rank_command(tmp_path, n, f"echo {n} >> ran") for n in range(3)]
    unnamed = tmp_path / "0123456789abcdef.pkl"
    DelayedSubmission(RankBatch(commands)).dump(unnamed)
    deadline = time.monotonic() + 60
    while "Loading pickle" not in (tmp_path / "out").read_text():
        assert time.monotonic() < deadline, (tmp_path / "out").read_text()
        time.sleep(0.1)
    time.sleep(2.5)  # it looks every second
    assert node.poll() is None, (tmp_path / "out").read_text()
    assert not (tmp_path / "ran").exists()
    unnamed.rename(tmp_path / "7_1_submitted.pkl")
    assert node.wait(timeout=60) == 0, (tmp_path / "out").read_text()
    assert (tmp_path / "ran").read_text() == "1\n"
    assert pickles.load(tmp_path / "7_1_0_result.pkl") == ("success", {"rank": 0, "returncode": 0})
    (report,) = read_reports(tmp_path, "7_1", 1)
    assert report.exit_code == 0
