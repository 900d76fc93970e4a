"""Does a workflow survive what happens to a Slurm in weeks? Each fault five times, drawn anew. Run by hand:

    make slurm && pytest -s --timeout 3600 tests/soak/slurm_faults.py

as root; about half an hour on two cores. It prints the table of docs/measured.md. SEATRIAL_FAULT_SEED repeats a
run, SEATRIAL_FAULT_TURNS=1 makes one round of it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "slurm"))
from faults import Draw
from private_slurm import slurm_cluster
from slurm_folder import SlurmFolder, until

__all__ = ["slurm_cluster"]
pytestmark = pytest.mark.timeout(900)
JOBS = 20
SAVED_S = 8.0
"""Seconds after the start of a job by which slurmctld has saved it."""
DRAWS = 3
"""So often a fault is drawn until it hits a job."""
NODES = ["node1", "node2", "node3", "node4"]
TURNS = range(1, 1 + int(os.environ.get("SEATRIAL_FAULT_TURNS", "5")))
WORK = f"""
rule all:
    input: expand("out/{{i}}", i=range({JOBS}))
rule work:  # a step a second, and a stopped job goes on where it was
    output: "out/{{i}}"
    log: "logs/{{i}}.log"
    resources: runtime=10, mem_mb=500
    shell: "touch steps.{{wildcards.i}}; while [ $(wc -l < steps.{{wildcards.i}}) -lt 12 ]; do "
           "echo $SLURM_JOB_ID >> steps.{{wildcards.i}}; sleep 1; done; touch {{output}}"
"""


class Run:
    """One workflow under one fault."""

    def __init__(self, folder: SlurmFolder, draw: Draw) -> None:
        self.folder, self.draw = folder, draw
        self.told = ""
        self.lost = 0
        """Jobs that are rightly missing at the end."""
        folder.write(WORK)
        self.snakemake = folder.start("--retries", "2")
        until(lambda: list(folder.path.glob("steps.*")), what="a job begun")
        self.after = draw.seconds(0.0, 20.0)
        time.sleep(self.after)

    def running(self) -> list[tuple[str, str]]:
        """(id, node) of the jobs that run."""
        lines = self.folder.slurm("squeue", "-hr", "-t", "RUNNING", "-p", "main", "-o", "%i|%N").splitlines()
        return sorted((job, node) for job, _, node in (line.partition("|") for line in lines))

    def seconds_run(self) -> list[float]:
        """For how long each job that runs has run, by Slurm's clock, which is this one."""
        starts = self.folder.slurm("squeue", "-hr", "-t", "RUNNING", "-p", "main", "-o", "%S").split()
        return [time.time() - datetime.fromisoformat(start).timestamp() for start in starts]


def node_killed(run: Run) -> None:
    """A node loses its power, and comes back after the workflow."""
    node = run.draw.node(NODES)
    run.told = node
    run.folder.daemon("off", node)


def preempted(run: Run) -> None:
    """A job of higher priority takes a node."""
    node = run.draw.node(NODES)
    run.told = node
    high = ["-p", "high", "-N1", "-w", node, "--exclusive", "-o", "/dev/null"]
    run.folder.slurm("sbatch", *high, "--wrap", "sleep 5")


def drained(run: Run) -> None:
    """A node is drained for a while: what runs on it ends well."""
    node, seconds = run.draw.node(NODES), run.draw.seconds(5.0, 20.0)
    run.told = f"{node}, {seconds:.0f} s"
    run.folder.slurm("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=soak")
    time.sleep(seconds)
    run.folder.slurm("scontrol", "update", f"NodeName={node}", "State=RESUME")


def accounting_away(run: Run) -> None:
    """slurmdbd is away for up to three minutes, longer than jobs take to end."""
    away(run, "slurmdbd", run.draw.seconds(20.0, 180.0))


def controller_away(run: Run) -> None:
    """slurmctld is killed and started again; not within the seconds after which it saves what it has started.

    Else Slurm itself starts those jobs again beside themselves, and drains their nodes ("Duplicate jobid"): its
    accounting no longer counts how often a job was started.
    """
    until(lambda: all(seconds >= SAVED_S for seconds in run.seconds_run()), what="a state of Slurm that is saved")
    away(run, "slurmctld", run.draw.seconds(2.0, 40.0))


def away(run: Run, daemon: str, seconds: float) -> None:
    """A daemon is killed, and started again after a while."""
    run.told = f"for {seconds:.0f} s"
    run.folder.daemon("off", daemon)
    time.sleep(seconds)
    run.folder.daemon("on", daemon)


def snakemake_killed(run: Run) -> None:
    """Snakemake is killed and started again later."""
    seconds = run.draw.seconds(0.0, 25.0)
    run.told = f"started again after {seconds:.0f} s"
    run.snakemake.send_signal(signal.SIGKILL)
    run.snakemake.wait(30)
    time.sleep(seconds)
    run.snakemake = run.folder.start("--retries", "2")


def cancelled(run: Run) -> None:
    """Somebody cancels one of the jobs that run."""
    jobs = run.running()
    if jobs:
        job, node = jobs[int(run.draw.seconds(0.0, 0.999) * len(jobs))]
        run.told, run.lost = f"job {job} on {node}", 1
        run.folder.slurm("scancel", job)


FAULTS: dict[str, tuple[Callable[[Run], None], set[str]]] = {
    "node killed": (node_killed, {"NODE_FAIL"}),
    "preempted": (preempted, {"PREEMPTED"}),
    "node drained": (drained, set()),
    "slurmdbd away": (accounting_away, set()),
    "slurmctld away": (controller_away, set()),
    "Snakemake killed": (snakemake_killed, set()),
    "job cancelled": (cancelled, {"CANCELLED"}),
}


@pytest.fixture(scope="module")
def draw() -> Iterator[Draw]:
    """One generator for all turns; the table's head before them."""
    chosen = Draw()
    print("\n| fault | turn | after | drawn | jobs done | attempts | starts by sacct | ended otherwise | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    yield chosen


@pytest.fixture
def folder(tmp_path: Path, slurm_cluster: dict[str, str]) -> Iterator[SlurmFolder]:
    made = SlurmFolder(tmp_path, slurm_cluster)
    yield made
    for name in ("slurmdbd", "slurmctld", *NODES):
        made.daemon("on", name)
    made.stop(show=False)
    whole(made)


def whole(folder: SlurmFolder) -> None:
    """Wait until every node is up and free."""
    up = ["idle"] * len(NODES)
    until(lambda: folder.slurm("sinfo", "-hN", "-p", "main", "-o", "%T").split() == up, 120, "all nodes idle")


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("turn", TURNS)
def test_nothing_is_lost_nothing_runs_twice_and_nothing_stays(
    turn: int, name: str, folder: SlurmFolder, draw: Draw
) -> None:
    for draws in range(1, 1 + DRAWS):
        if one_turn(turn, name, folder, draw):
            return
        print(f"| {name} | {turn} | hit nothing, drawn again ({draws} of {DRAWS}) | | | | | | |", flush=True)
        for node in NODES:
            folder.daemon("on", node)
        whole(folder)
        folder.path = folder.path.parent / f"{folder.path.name}-{draws}"  # sacct knows jobs by their folder
        folder.path.mkdir()
    pytest.fail(f"{DRAWS} times the fault hit no job")


def one_turn(turn: int, name: str, folder: SlurmFolder, draw: Draw) -> bool:
    """One workflow under that fault, and whether the fault has hit a job of it."""
    began = time.monotonic()
    fault, expected = FAULTS[name]
    run = Run(folder, draw)
    fault(run)
    code = run.snakemake.wait(timeout=600)
    files = sorted(folder.path.glob("logs/*.attempts.json"))
    attempts = [attempt for file in files for attempt in json.loads(file.read_text())]
    done = len(list(folder.path.glob("out/*")))
    until(lambda: not folder.queued(), what="an empty queue")
    # a job that had waited in the queue when somebody ended it never started
    starts = len([attempt for attempt in attempts if attempt["started_at"]])
    until(lambda: len(folder.started()) >= starts, 60, "the starts in accounting")
    until(lambda: folder.ended_as("COMPLETED") >= done, 60, "the ends in accounting")
    states = Counter(attempt["state"] for attempt in attempts if attempt["state"] != "COMPLETED")
    words = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    print(
        f"| {name} | {turn} | {run.after:.0f} s | {run.told} | {done} of {JOBS} | {len(attempts)} | "
        f"{len(folder.started())} | {words} | {time.monotonic() - began:.0f} |",
        flush=True,
    )
    if not states and expected and not run.lost:
        assert (code, done, len(attempts)) == (0, JOBS, JOBS), folder.out[-6000:]
        return False
    assert done == JOBS - run.lost, folder.out[-6000:]
    assert (code == 0) == (run.lost == 0)
    assert set(states) == expected, "what the fault does to jobs, and nothing else"
    orders = [[attempt["state"] for attempt in json.loads(file.read_text())] for file in files]
    assert len(orders) == JOBS
    completed = [order for order in orders if "COMPLETED" in order]
    assert len(completed) == JOBS - run.lost
    assert all(order.index("COMPLETED") == len(order) - 1 for order in completed), "nothing completes twice"
    assert folder.ended_as("COMPLETED") == JOBS - run.lost, "nor by Slurm's count"
    assert len(folder.started()) == starts, "nothing runs twice"
    assert sum(len(set(p.read_text().split())) for p in folder.path.glob("steps.*")) <= len(attempts)
    return True
