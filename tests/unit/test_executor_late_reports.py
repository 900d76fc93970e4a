"""What ranks and daemons say of an end, seen seconds after Slurm has said it: it still decides what the end was."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_executor_ends import FENCED, Cluster, cluster, job_of

from snakemake_executor_plugin_submitit.live import Live
from snakemake_executor_plugin_submitit.ranks import RankReport, now, output_path, write_report
from snakemake_executor_plugin_submitit.reporting import write_failure
from snakemake_executor_plugin_submitit.status import Accounting

__all__ = ["cluster"]  # a fixture, found by its name
LATENCY = 5.0  # of the files, in `Cluster`
OOM = "slurmstepd: error: Exceeded job memory limit\n"


def reported(folder: Path, job_id: str = "7", rank: int = 0, **words: object) -> None:
    report = RankReport(rank=rank, node="node1", pid=1, started_at=now(), **words)  # type: ignore[arg-type]
    write_report(folder, job_id, report)


def ended(folder: Path, job_id: str = "7", code: int = 1) -> None:
    report = RankReport(rank=0, node="node1", pid=1, started_at=now())
    report.set_end(code)
    write_report(folder, job_id, report)


def failed(cluster: Cluster, *job_ids: str) -> None:
    """Slurm says FAILED, and no queue has them."""
    cluster.accounting = {job: Accounting("FAILED", nodes=("node1",), exit_code=15) for job in job_ids or ("7",)}
    cluster.queue = {}


@pytest.mark.parametrize("seen", ["nothing", "as it was at the start"])
@pytest.mark.parametrize(
    ("said", "state"),
    [({"time_limit": True, "told_to_stop": True}, "TIMEOUT"), ({"told_to_stop": True}, "PREEMPTED")],
)
def test_a_report_that_shows_up_seconds_after_the_end_still_decides_what_the_end_was(
    tmp_path: Path, cluster: Cluster, seen: str, said: dict[str, object], state: str
) -> None:
    """Slurm says FAILED (15:0) of a step that trapped USR2 or TERM; only the rank's report says why."""
    job = job_of(tmp_path)
    if seen != "nothing":
        reported(tmp_path)
    failed(cluster)
    assert cluster.state(job) is None
    cluster.seconds += LATENCY - 1
    reported(tmp_path, ended_at=now(), exit_code=143, signal=15, **said)
    assert cluster.state(job) == state


@pytest.mark.parametrize("rank", ["unheard of", "killed"])
def test_the_line_of_a_daemon_that_memory_ran_out_may_show_up_seconds_late(
    tmp_path: Path, cluster: Cluster, rank: str
) -> None:
    job = job_of(tmp_path)
    if rank == "killed":
        ended(tmp_path, code=-9)
    failed(cluster)
    assert cluster.state(job) is None
    cluster.seconds += LATENCY - 1
    (tmp_path / "7_0_log.err").write_text(OOM)
    assert cluster.state(job) == "OUT_OF_MEMORY"


def test_what_does_not_show_up_is_waited_for_no_longer_than_files_may_be_late(
    tmp_path: Path, cluster: Cluster
) -> None:
    job = job_of(tmp_path)
    reported(tmp_path)
    failed(cluster)
    for _ in range(2):
        assert cluster.state(job) is None
        cluster.seconds += LATENCY / 2
    assert cluster.state(job) == "FAILED"
    assert job.outcome is not None
    assert "died without a word" in str(job.outcome.reason)


def test_slurm_is_asked_nothing_more_about_an_end_that_is_waited_for(tmp_path: Path, cluster: Cluster) -> None:
    job = job_of(tmp_path)
    failed(cluster)
    assert cluster.state(job) is None
    cluster.asked.clear()
    for _ in range(4):
        cluster.seconds += 1
        assert cluster.state(job) is None
    ended(tmp_path)
    assert (cluster.state(job), cluster.asked) == ("FAILED", [])


def test_an_end_that_is_waited_for_keeps_no_other_from_being_judged_at_the_same_look(
    tmp_path: Path, cluster: Cluster
) -> None:
    late, there = job_of(tmp_path, "7"), job_of(tmp_path, "8")
    ended(tmp_path, "8")
    failed(cluster, "7", "8")
    assert cluster.watcher.look([late, there]) == [there]
    later = job_of(tmp_path, "9")
    ended(tmp_path, "9")
    failed(cluster, "7", "9")
    assert cluster.watcher.look([late, later]) == [later]


def judged_at_once(job: Live, cluster: Cluster) -> bool:
    return cluster.state(job) is not None


@pytest.mark.parametrize("state", ["TIMEOUT", "PREEMPTED", "OUT_OF_MEMORY", "CANCELLED", "NODE_FAIL"])
def test_what_slurm_says_itself_waits_for_no_report(tmp_path: Path, cluster: Cluster, state: str) -> None:
    job = job_of(tmp_path)
    reported(tmp_path) if state != "NODE_FAIL" else ended(tmp_path)
    cluster.accounting = {"7": Accounting(state, nodes=("node1",))}
    assert judged_at_once(job, cluster)


@pytest.mark.parametrize("nodes", [("node1",), ()])
def test_a_failure_waits_for_nothing_where_all_has_been_said_or_it_never_started(
    tmp_path: Path, cluster: Cluster, nodes: tuple[str, ...]
) -> None:
    if nodes:
        ended(tmp_path)
    cluster.accounting = {"7": Accounting("FAILED", nodes=nodes)}
    assert judged_at_once(job_of(tmp_path), cluster)


def test_a_failure_waits_for_no_daemon_whose_line_is_there(tmp_path: Path, cluster: Cluster) -> None:
    (tmp_path / "7_0_log.err").write_text(OOM)
    failed(cluster)
    job = job_of(tmp_path)
    assert cluster.state(job) == "OUT_OF_MEMORY"


@pytest.mark.parametrize("said", ["", "slurmstepd: error: something else\n"])
def test_a_killed_command_whose_daemon_said_nothing_of_memory_is_waited_for_no_longer(
    tmp_path: Path, cluster: Cluster, said: str
) -> None:
    ended(tmp_path, code=-9)
    (tmp_path / "7_0_log.err").write_text(said)
    failed(cluster)
    assert cluster.state(job_of(tmp_path)) == "FAILED"


def test_a_job_that_was_fenced_has_been_waited_for_long_enough(tmp_path: Path, cluster: Cluster) -> None:
    job = job_of(tmp_path)
    reported(tmp_path)
    failed(cluster)
    cluster.down = {"node1"}
    assert cluster.state(job) is None
    assert cluster.given_up == ["7"]
    cluster.seconds += FENCED
    assert cluster.state(job) == "FAILED"


# -- a success is not waited for: what had not been seen is said in its log -------------------------------------


@pytest.mark.parametrize("seen", ["nothing", "as it was at the start"])
def test_the_log_of_a_completed_job_whose_report_is_late_is_what_its_rank_printed(
    tmp_path: Path, cluster: Cluster, seen: str
) -> None:
    job = job_of(tmp_path)
    job.entry.log = str(tmp_path / "rule.log")
    if seen != "nothing":
        reported(tmp_path)
    cluster.accounting, cluster.queue = {"7": Accounting("COMPLETED", nodes=("node1",))}, {}
    assert cluster.state(job) == "COMPLETED"
    output_path(tmp_path, "7", 0).write_text("what it printed\n")
    assert job.outcome is not None
    write_failure(job, job.outcome)
    assert Path(job.entry.log).read_text() == "what it printed\n"


@pytest.mark.parametrize("seen", [[], [0], [1]])
def test_the_log_of_completed_ranks_whose_reports_are_late_calls_none_dead_or_never_started(
    tmp_path: Path, cluster: Cluster, seen: list[int]
) -> None:
    job = job_of(tmp_path, ranks=2)
    job.entry.log = str(tmp_path / "rule.log")
    for rank in seen:
        reported(tmp_path, rank=rank)
    output_path(tmp_path, "7", 0).write_text("what rank 0 printed\n")
    cluster.accounting, cluster.queue = {"7": Accounting("COMPLETED", nodes=("node1",))}, {}
    assert cluster.state(job) == "COMPLETED"
    assert job.outcome is not None
    write_failure(job, job.outcome)
    log = Path(job.entry.log).read_text()
    assert "what rank 0 printed" in log
    assert "completed; its report had not been seen" in log
    assert str(tmp_path) in log
    assert "did not start" not in log
    assert "died" not in log
