"""Snakemake killed on a real Slurm while its jobs are cancelled, time out and lose a node; what later starts do."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_folder import SlurmFolder, until

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(420)]
AT_A_TIME = 3
WORKFLOW = """
rule all:
    input: expand("out/{i}", i=range(8)), "cancelled", "limit", "node"
rule work:
    output: "out/{i}"
    log: "logs/{i}.log"
    resources: runtime=5, mem_mb=200, measuring=1
    shell: "touch begun.{wildcards.i}; until [ -e go ]; do sleep 0.2; done; touch {output}"
rule cancelled:
    output: "cancelled"
    log: "cancelled.log"
    resources: runtime=5, mem_mb=210
    shell: "if [ -e {output}.begun ]; then touch {output}; else touch {output}.begun; sleep 250; fi"
rule limit:
    output: "limit"
    log: "limit.log"
    resources: runtime=1, mem_mb=200
    shell: "if [ -e {output}.begun ]; then touch {output}; else touch {output}.begun; sleep 250; fi"
rule node:  # alone on one
    output: "node"
    log: "node.log"
    threads: 4
    resources: runtime=5, mem_mb=200
    shell: "if [ -e {output}.begun ]; then touch {output}; "
           "else echo $SLURMD_NODENAME > {output}.begun; sleep 250; fi"
"""


@pytest.fixture
def folder(tmp_path: Path, slurm_cluster: dict[str, str]) -> Iterator[SlurmFolder]:
    made = SlurmFolder(tmp_path, slurm_cluster)
    yield made
    (tmp_path / "go").touch()
    made.stop()


def most_at_a_time(folder: SlurmFolder) -> int:
    """How many jobs of the rule `work` have run together, by their attempts."""
    attempts = [folder.attempts(f"logs/{i}")[0] for i in range(8)]
    changes = [(one["started_at"], 1) for one in attempts] + [(one["ended_at"], -1) for one in attempts]
    running, most = 0, 0
    for _, change in sorted(changes):
        running += change
        most = max(most, running)
    return most


def works(folder: SlurmFolder) -> int:
    """How many of them are in the queue."""
    rows = folder.slurm("squeue", "-hr", "-o", "%j|%Z").splitlines()
    return sum(row.partition("|")[2] == str(folder.path) and "-work|" in row for row in rows)


def test_what_happens_while_snakemake_is_dead_is_treated_as_if_it_lived_and_no_more_run_at_a_time(
    folder: SlurmFolder,
) -> None:
    """Killed with -9; one job is cancelled, one times out, one loses its node, and two are asked for no more."""
    folder.write(WORKFLOW)
    # Slurm looks at limits every half a minute, and warns half a minute earlier
    limits = ("--submitit-signal-delay", "30", "--resources", f"measuring={AT_A_TIME}")
    first = folder.start(*limits)
    until(lambda: len(list(folder.path.glob("begun.*"))) == AT_A_TIME, what="jobs that run")
    begun = [folder.path / f"{name}.begun" for name in ("cancelled", "limit", "node")]
    until(
        lambda: all(path.exists() and (path.stat().st_size or path != begun[2]) for path in begun), what="the rest"
    )
    time.sleep(1)  # their ids are written down
    first.kill()
    first.wait(30)
    node = begun[2].read_text().strip()
    ids = {rule: folder.job_of(rule) for rule in ("cancelled", "limit", "node")}
    try:
        folder.daemon("off", node)
        folder.slurm("scancel", ids["cancelled"])
        until(lambda: not set(ids.values()) & set(folder.queued()), 200, "the end of all three")
        running = sorted(int(path.suffix[1:]) for path in folder.path.glob("begun.*"))
        asked_for = [f"out/{i}" for i in range(8) if i not in running[1:]]
        second = folder.start(*asked_for, "cancelled", "limit", "node", *limits)
        until(lambda: "(3 measuring at a time)" in folder.out, 60, "jobs that wait for others")
        assert works(folder) == AT_A_TIME, "what an earlier run left counts"
        (folder.path / "go").touch()
        assert second.wait(timeout=150) != 0
        out = folder.out
        for rule, state in (("cancelled", "CANCELLED"), ("limit", "TIMEOUT")):
            assert f"{rule}: job {ids[rule]} of an earlier run has ended meanwhile as {state} and is" in out
        assert f"node: job {ids['node']} ended as NODE_FAIL, but nobody knows what still runs on {node}" in out
        assert "It is submitted again (1 of 1 times for this)." in out
        assert "It is submitted again (1 of 20 times for this)." in out
        assert f"node: {node} failed under job {ids['node']}" in out
        assert f"Nodes that failed are excluded: {node}" in out
        assert re.search(r"it was cancelled by root \(uid 0\)[^\0]*?It is not submitted again\.", out)
        assert re.search(r"2 job\(s\) still wait or run, and this run does not ask for them\. .*scancel \d+", out)
        third = folder.start(*limits)
        assert third.wait(timeout=90) != 0
        out = folder.out[len(out) :]
        assert out.count("has completed meanwhile and is taken up again") == len(running) - 1
        assert re.search(
            r"cancelled: an earlier run gave it up, at .*uid 0.*the same command with --submitit-again", out
        )
        assert not (folder.path / "cancelled").exists()
        assert folder.start(*limits, "--submitit-again").wait(timeout=90) == 0, folder.out
    finally:
        folder.daemon("on", node)
        until(lambda: "down" not in folder.slurm("sinfo", "-hN", "-n", node, "-o", "%T"), 60, "the node")
    assert {rule: folder.states(rule) for rule in ids} == {
        "cancelled": ["CANCELLED", "COMPLETED"],
        "limit": ["TIMEOUT", "COMPLETED"],
        "node": ["NODE_FAIL", "COMPLETED"],
    }
    assert [folder.states(f"logs/{i}") for i in range(8)] == [["COMPLETED"]] * 8
    assert folder.attempts("node")[0]["failing_node"] == node
    assert most_at_a_time(folder) == AT_A_TIME
    until(lambda: len(folder.started()) >= 14, 60, "14 starts by sacct's count")
    assert len(folder.started()) == 14, "eight jobs once, three twice"
