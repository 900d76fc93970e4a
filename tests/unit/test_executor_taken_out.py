"""A waiting element of an array that somebody cancels leaves no trace in Slurm: what else is known tells.

The answers of sacct are those of Slurm 22.05, seen after `scancel 7_1` of 7_[0-3] and after the others had run.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from test_executor_ends import FENCED, Cluster, cluster, job_of

from snakemake_executor_plugin_submitit import slurm
from snakemake_executor_plugin_submitit.live import Live
from snakemake_executor_plugin_submitit.ranks import RankReport, now, write_report
from snakemake_executor_plugin_submitit.restarts import NEVER, Restarts
from snakemake_executor_plugin_submitit.status import read_sacct

__all__ = ["cluster"]  # a fixture, found by its name
UNSEEN = 120.0
ASKED = 10.0  # seconds between two questions to the queue
WAIT = "7_[0,2-3]|PENDING|0:0|None assigned|Unknown|Unknown|2026-11-23T20:22:50|ReqNodeNotAvail|n\n"
RAN = (
    "7_0|COMPLETED|0:0|node4|2026-11-23T20:25:06|2026-11-23T20:25:06|2026-11-23T20:22:50|None|n\n"
    "7_0.batch|COMPLETED|0:0|node4|2026-11-23T20:25:06|2026-11-23T20:25:06|2026-11-23T20:25:06||batch\n"
)
WERE_CANCELLED = "7_[0,2-3]|CANCELLED by 0|0:0|None assigned|None|2026-11-23T20:22:59|2026-11-23T20:22:50|None|n\n"
ANOTHER_ARRAY = WAIT.replace("7_", "77_")


def ends_as(cluster: Cluster, job: Live, seconds: float = UNSEEN) -> str | None:
    """How a job ends of which Slurm has said nothing for that long, once its ranks had the time to stop."""
    cluster.seconds += ASKED
    assert cluster.state(job) is None
    cluster.seconds += seconds - ASKED
    assert cluster.state(job) is None, "it may have been too early to ask"
    assert job.fenced_since is None
    cluster.seconds += ASKED
    assert cluster.state(job) is None
    assert job.fenced_since is not None
    cluster.seconds += FENCED
    return cluster.state(job)


@pytest.mark.parametrize("said", [WAIT, RAN, WERE_CANCELLED])
@pytest.mark.parametrize("seen", ["PENDING", None])
def test_an_element_that_is_gone_while_others_of_its_array_are_known_was_cancelled_by_somebody(
    tmp_path: Path, cluster: Cluster, said: str, seen: str | None
) -> None:
    job = job_of(tmp_path, "7_1")
    cluster.accounting = read_sacct(said)
    if seen:
        cluster.queue = {"7_1": seen}
        assert cluster.state(job) is None
        cluster.queue = {}
    assert ends_as(cluster, job) == "CANCELLED"
    assert job.outcome is not None
    assert str(job.outcome.reason).startswith("it was cancelled; it never started, and is neither in the queue nor")
    decision = Restarts(tmp_path, 1, 1, False, print).decide("k", job.outcome, True, retries=5)
    assert decision.how == NEVER
    assert set(cluster.asked) == {"sacct", "squeue"}


@pytest.mark.parametrize(
    ("job_id", "said", "seen"),
    [
        ("7_1", WAIT, "RUNNING"),
        ("7_1", WAIT, "COMPLETING"),
        ("7_1", ANOTHER_ARRAY, "PENDING"),
        ("7_1", "", "PENDING"),
        ("7", "", "PENDING"),  # that of a job by itself would be known
        ("7", WAIT, "PENDING"),
    ],
)
def test_what_is_gone_with_nothing_that_says_why_is_lost(
    tmp_path: Path, cluster: Cluster, job_id: str, said: str, seen: str
) -> None:
    job = job_of(tmp_path, job_id)
    cluster.accounting, cluster.queue = read_sacct(said), {job_id: seen}
    assert cluster.state(job) is None
    cluster.queue = {}
    assert ends_as(cluster, job) == "FAILED"
    assert job.outcome is not None
    assert "it is not in the queue and accounting does not know it" in str(job.outcome.reason)


def test_an_element_that_has_left_a_report_was_not_cancelled_while_it_waited(
    tmp_path: Path, cluster: Cluster
) -> None:
    job = job_of(tmp_path, "7_1")
    write_report(tmp_path, "7_1", RankReport(rank=0, node="node1", pid=1, started_at=now()))
    cluster.accounting = read_sacct(WAIT)
    assert ends_as(cluster, job) == "FAILED"


def test_an_element_that_accounting_still_has_as_waiting_was_not_taken_out(
    tmp_path: Path, cluster: Cluster
) -> None:
    job = job_of(tmp_path, "7_2")
    cluster.accounting = read_sacct(WAIT)
    assert ends_as(cluster, job, 900) == "FAILED"


@pytest.mark.parametrize(("error", "seconds"), [(slurm.SlurmUnavailable, 1800), (slurm.NoAccounting, UNSEEN)])
def test_without_an_answer_of_accounting_nobody_is_said_to_have_cancelled_it(
    tmp_path: Path,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    error: type[slurm.SlurmUnavailable],
    seconds: float,
) -> None:
    def silent(*_: object) -> None:
        raise error("no answer")

    job = job_of(tmp_path, "7_1")
    cluster.queue = {"7_0": "PENDING", "7_1": "PENDING"}
    monkeypatch.setattr(slurm, "accounting", silent)
    assert cluster.state(job) is None
    cluster.queue = {"7_0": "PENDING"}
    assert ends_as(cluster, job, seconds) == "FAILED"
