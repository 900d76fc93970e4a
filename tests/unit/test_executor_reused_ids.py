"""A controller that lost what it had not saved gives the id of a lost job to another: no answer is taken for ours.

Seen on Slurm 22.05: slurmctld was killed within a second of a submission, and the next job got the same id.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from test_executor_earlier_jobs import PERSISTENCE, Restarted, again, wanted
from test_executor_ends import FENCED, Cluster, cluster, job_of
from test_executor_stopping import Commands, commands

from snakemake_executor_plugin_submitit import slurm
from snakemake_executor_plugin_submitit.fencing import seconds_until_fenced
from snakemake_executor_plugin_submitit.jobs import Prepared
from snakemake_executor_plugin_submitit.ledger import STOPPING
from snakemake_executor_plugin_submitit.live import Live
from snakemake_executor_plugin_submitit.restarts import COUNTED, Restarts
from snakemake_executor_plugin_submitit.status import Accounting, Queued, read_sacct
from snakemake_executor_plugin_submitit.stopping import stop_jobs

__all__ = ["again", "cluster", "commands"]  # fixtures, found by their names
UNSEEN = 120.0
ASKED = 10.0  # seconds between two questions to the queue


def answers(monkeypatch: pytest.MonkeyPatch, *places: Queued) -> None:
    monkeypatch.setattr(slurm, "queue", lambda *_: {place.job_id: place for place in places})


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "CANCELLED", "NODE_FAIL", "RUNNING"])
@pytest.mark.parametrize("element", ["7", "7_0"])
def test_the_end_of_another_job_under_its_id_is_not_its_own(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, state: str, element: str
) -> None:
    """Its own is not known: it is lost, once its ranks had the time to stop."""
    job = job_of(tmp_path)
    cluster.accounting = {"7": Accounting("RUNNING", name="n")}
    cluster.queue = {"7": "RUNNING"}
    assert cluster.state(job) is None
    cluster.accounting = {element: Accounting(state, nodes=("node1",), name="another")}
    answers(monkeypatch, Queued(element, state, "None", "another"))
    cluster.seconds += 60  # all run: the queue is asked once a minute
    assert cluster.state(job) is None, "its ranks may live on"
    assert job.id_given_to == "another"
    assert cluster.given_up == ["7"]
    cluster.seconds += FENCED
    assert cluster.state(job) == "FAILED"
    assert job.outcome is not None
    said = str(job.outcome.reason)
    assert said.startswith("a process of it failed; Slurm has lost it, and given its id to another;")


def test_an_old_job_of_its_id_in_accounting_is_not_the_one_that_waits(tmp_path: Path, cluster: Cluster) -> None:
    """Ids begin again after the highest, and accounting hears of a job later than the queue."""
    job = job_of(tmp_path)
    cluster.accounting = {"7": Accounting("COMPLETED", name="of last year")}
    cluster.queue = {"7": "PENDING"}
    assert cluster.state(job) is None
    cluster.seconds += 10_000
    assert cluster.state(job) is None
    assert job.id_given_to is None


def test_another_jobs_array_does_not_say_that_one_was_taken_out_of_it(tmp_path: Path, cluster: Cluster) -> None:
    job = job_of(tmp_path, "7_1")
    cluster.accounting = {"7_0": Accounting("RUNNING", name="another")}
    for seconds in (ASKED, UNSEEN, ASKED, FENCED):
        assert cluster.state(job) is None
        cluster.seconds += seconds
    assert cluster.state(job) == "FAILED"


def test_what_can_never_start_is_cancelled_where_it_is_ours_alone(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled: list[str] = []
    monkeypatch.setattr(slurm, "cancel", lambda ids, _: cancelled.extend(ids))
    for name, taken_out in (("another", []), ("n", ["7"])):
        answers(monkeypatch, Queued("7", "PENDING", "DependencyNeverSatisfied", name))
        job = job_of(tmp_path)
        for _ in range(3):
            cluster.state(job)
            cluster.seconds += 2 * ASKED
        assert cancelled == taken_out


@pytest.mark.parametrize("shown", ["7", "7_0"])
def test_cancelling_leaves_an_id_alone_that_is_another_jobs_now(
    tmp_path: Path, cluster: Cluster, commands: Commands, monkeypatch: pytest.MonkeyPatch, shown: str
) -> None:
    lost, ours = job_of(tmp_path), job_of(tmp_path, "8")
    answers(monkeypatch, Queued(shown, "RUNNING", "None", "another"), Queued("8", "RUNNING", "None", "n"))
    assert cluster.watcher.look([lost, ours], ask=True) == []
    stop_jobs([lost, ours], 5)
    assert [words[2:] for words in commands.calls] == [["8"]]


def test_an_id_that_the_queue_shows_as_its_own_again_is_its_own(
    tmp_path: Path, cluster: Cluster, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    job: Live = job_of(tmp_path)
    for name in ("another", "n"):
        answers(monkeypatch, Queued("7", "RUNNING", "None", name))
        assert cluster.watcher.look([job], ask=True) == []
    stop_jobs([job], 5)
    assert [words[2:] for words in commands.calls] == [["7"]]


def test_a_job_that_the_controller_forgot_counts_as_ended_once_its_ranks_have_stopped(
    tmp_path: Path, cluster: Cluster
) -> None:
    """A controller that starts without its jobs closes them in accounting at once; the node ends them later."""
    job = job_of(tmp_path)
    cluster.accounting = read_sacct(
        "7|CANCELLED|0:0|node1|2026-01-01T00:00:00|2026-01-01T00:00:01|Unknown|None|n\n"
    )
    assert cluster.state(job) is None
    assert cluster.given_up == ["7"]
    cluster.seconds += FENCED
    assert cluster.state(job) == "FAILED"
    assert job.outcome is not None
    assert Restarts(tmp_path, 1, 1, False, print).decide("k", job.outcome, True, retries=1).how == COUNTED


def test_a_start_says_that_a_job_of_an_earlier_run_lost_its_id_and_waits_for_its_end(again: Restarted) -> None:
    again.leave((member := wanted("out")).label)
    again.names["7"] = "another"
    taken, fresh, unclear = again.earlier.take_up([member], PERSISTENCE)
    assert ([taken_up for taken_up, _ in taken], fresh, unclear) == ([member], [], [])
    assert again.said[-1].endswith("job 7 of an earlier run has lost its id to another and is taken up again")


@pytest.mark.parametrize("changed", [{"status": STOPPING}, {"fingerprint": "before"}])
def test_a_start_that_ends_what_an_earlier_run_left_cancels_no_job_that_got_its_id(
    again: Restarted, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str]
) -> None:
    seconds = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])
    monkeypatch.setattr(time, "sleep", lambda s: seconds.append(seconds.pop() + s))
    monkeypatch.setattr(Prepared, "fingerprint", "now")
    again.leave((member := wanted("out")).label, **changed)
    again.names["7"] = "another"
    assert again.earlier.take_up([member], PERSISTENCE) == ([], [member], [])
    assert again.cancelled == []
    assert 1000 + seconds_until_fenced(0) <= seconds[0] < 1060, "its ranks had the time to stop"
