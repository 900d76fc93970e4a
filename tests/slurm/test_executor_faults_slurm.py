"""Faults of jobs, nodes and daemons on a real Slurm: nothing is lost, nothing runs twice, nothing stays behind."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_folder import SlurmFolder, until

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(280)]


@pytest.fixture
def folder(tmp_path: Path, slurm_cluster: dict[str, str]) -> Iterator[SlurmFolder]:
    made = SlurmFolder(tmp_path, slurm_cluster)
    yield made
    made.stop()


FAULTS_OF_JOBS = """
rule all:
    input: "limit", "long", "short", "memory", "cancelled", "preempted", "unable", "wide", "depends",
           expand("waits.{i}", i=range(2))
rule limit:  # saves at the warning and needs a third start, which it does not get
    output: "limit"
    log: "limit.log"
    resources: runtime=1, exclude="node1"
    shell: "trap 'echo saved >> {output}.saved; exit 1' USR2; touch {output}.begun; "
           "(trap '' USR2; exec sleep 200) & wait"
rule long:  # takes no notice of the warning
    output: "long"
    log: "long.log"
    retries: 0
    resources: runtime=1, exclude="node1"
    shell: "sleep 300"
rule short:  # goes on although Slurm warns up to a minute too early
    output: "short"
    log: "short.log"
    resources: runtime=1, exclude="node1"
    shell: "sleep 40; touch {output}"
rule memory:  # a second attempt asks for more
    output: "memory"
    log: "memory.log"
    resources: runtime=5, exclude="node1", mem_mb=lambda wildcards, attempt: 250 * 3 ** (attempt - 1)
    shell: "python3 -c 'import time; x = bytearray(400_000_000); time.sleep(5)'; touch {output}"
rule cancelled:
    output: "cancelled"
    log: "cancelled.log"
    resources: runtime=5, exclude="node1"
    shell: "touch {output}.begun; sleep 200"
rule preempted:  # goes on from what it saved
    output: "preempted"
    log: "preempted.log"
    resources: nodelist="node1", runtime=5
    shell: "[ -e {output}.saved ] || {{ trap 'touch {output}.saved; exit 1' TERM; touch {output}.begun; "
           "(trap '' USR2; exec sleep 200) & wait; }}; touch {output}"
rule unable:
    output: "unable"
    log: "unable.log"
    resources: slurm_partition="small", nodes=2, runtime=5
    shell: "touch {output}"
rule wide:  # its partition has no limit but its size
    output: "wide"
    log: "wide.log"
    resources: slurm_partition="pair", nodes=3, runtime=5
    shell: "touch {output}"
rule depends:
    output: "depends"
    log: "depends.log"
    resources: slurm_extra="--dependency=afterok:DEAD", runtime=5
    shell: "touch {output}"
rule waits:  # an array, of which one is cancelled before it starts: Slurm keeps no trace of it
    output: "waits.{i}"
    log: "waits.{i}.log"
    resources: nodelist="node4", runtime=5
    shell: "touch {output}"
"""


RULES = ("limit", "long", "short", "memory", "cancelled", "preempted", "waits.0", "waits.1")


def test_every_fault_of_a_job_is_said_and_treated_as_what_it_is(folder: SlurmFolder) -> None:
    """All at once: limit, memory, one cancelled as it runs, one as it waits, preempted, three that never start."""
    folder.slurm("scontrol", "create", "PartitionName=small", "Nodes=node[2-3]", "MaxNodes=1", "State=UP")
    folder.slurm("scontrol", "create", "PartitionName=pair", "Nodes=node[2-3]", "State=UP")
    folder.slurm("scontrol", "update", "NodeName=node4", "State=DRAIN", "Reason=test")
    dead = folder.slurm("sbatch", "--parsable", "-o", "/dev/null", "--wrap", "exit 1").strip()
    until(lambda: "FAILED" in folder.slurm("sacct", "-nPXj", dead, "-o", "State"), what="a failed job")
    try:
        folder.write(FAULTS_OF_JOBS.replace("DEAD", dead))
        # Slurm looks at limits every half a minute, and warns half a minute earlier: at its next two looks
        early = ("--submitit-signal-delay", "30")
        snakemake = folder.start("--retries", "1", "--submitit-max-timeouts", "1", *early)
        began = time.monotonic()
        for name in ("cancelled", "preempted"):
            until((folder.path / f"{name}.begun").exists, what=f"{name} begun")
        folder.slurm("scancel", folder.job_of("cancelled"))
        high = ["-p", "high", "-N1", "-w", "node1", "--exclusive", "-o", "/dev/null"]
        folder.slurm("sbatch", *high, "--wrap", "sleep 3")
        reasons = ("PartitionNodeLimit", "DependencyNeverSatisfied", "ReqNodeNotAvail")
        for reason in reasons:
            until(lambda r=reason: r in folder.out, 75 - (time.monotonic() - began), f"the word {reason}")  # type: ignore[misc]
        taken_out = folder.job_of("waits.0")
        assert "_" in taken_out
        folder.slurm("scancel", taken_out)
        folder.slurm("scontrol", "update", "NodeName=node4", "State=RESUME")
        assert snakemake.wait(timeout=240) != 0
    finally:
        if "drain" in folder.slurm("sinfo", "-hN", "-n", "node4", "-p", "main", "-o", "%T"):
            folder.slurm("scontrol", "update", "NodeName=node4", "State=RESUME")
        until(lambda: not folder.slurm("squeue", "-h", "-p", "small,pair"), what="two empty partitions")
        for partition in ("small", "pair"):
            folder.slurm("scontrol", "delete", f"PartitionName={partition}")
    out = folder.out
    found = {rule: folder.states(rule) for rule in RULES}
    assert found == {
        "limit": ["TIMEOUT", "TIMEOUT"],
        "long": ["TIMEOUT"],
        "short": ["COMPLETED"],
        "memory": ["OUT_OF_MEMORY", "COMPLETED"],
        "cancelled": ["CANCELLED"],
        "preempted": ["PREEMPTED", "COMPLETED"],
        "waits.0": ["CANCELLED"],
        "waits.1": ["COMPLETED"],
    }, out
    assert (folder.path / "limit.saved").read_text() == "saved\nsaved\n", "warned before it was killed, both times"
    assert re.search(
        r"limit: Slurm job \d+ .* ended as TIMEOUT[^\0]*?this has happened 2 times, 1 are allowed", out
    )
    assert re.search(r"long: Slurm job \S+ \(\S+\) ended as TIMEOUT: it reached its time limit", out)
    assert re.search(
        r"cancelled: Slurm job \d+ .*it was cancelled by root \(uid 0\)[^\0]*?not submitted again", out
    )
    assert re.search(
        r"waits \(i=0\): Slurm job \S+ .*it was cancelled; it never started[^\0]*?not submitted again", out
    )
    for rule in ("unable", "wide", "depends"):
        (attempt,) = folder.attempts(rule)
        assert attempt["state"] == "CANCELLED"
        assert "it can never start" in attempt["reason"]
    until(lambda: not folder.queued(), what="an empty queue")  # what was ended may still be completing
    until(lambda: len(folder.started()) >= 10, 30, "10 starts by sacct's count")
    assert len(folder.started()) == 10, "two each of three jobs, and four once"


OUTAGES = """
rule all:
    input: expand("out/{i}", i=range(6)), "crashed", expand("late/{i}", i=range(2)), "later"
rule work:
    output: "out/{i}"
    log: "logs/{i}.log"
    resources: runtime=5, mem_mb=500
    shell: "touch begun.{wildcards.i}; until [ -e go ]; do sleep 0.2; done; echo done > {output}"
rule crashed:  # without a result, while nobody keeps accounts
    output: "crashed"
    log: "crashed.log"
    resources: runtime=5, mem_mb=500
    shell: "touch begun.crash; until [ -e crash ]; do sleep 0.2; done; [ -e {output}.once ] || "
           "{{ touch {output}.once; kill -KILL $PPID; sleep 60; }}; touch {output}"
rule late:  # becomes ready while the controller is away
    input: "local.done"
    output: "late/{i}"
    log: "late.{i}.log"
    resources: runtime=5, mem_mb=500
    shell: "touch {output}"
rule signal:
    output: "local.done"
    localrule: True
    shell: "until [ -e ready ]; do sleep 0.2; done; touch {output}"
rule later:
    input: "out/0"
    output: "later"
    log: "later.log"
    resources: runtime=5, mem_mb=500
    shell: "touch {output}"
"""


def test_no_job_is_lost_or_run_twice_while_slurms_daemons_and_snakemake_are_killed(folder: SlurmFolder) -> None:
    """slurmdbd away, a job dies; slurmctld away, jobs become ready and end; Snakemake killed in between."""
    folder.write(OUTAGES)
    first = folder.start("--local-cores", "1")
    try:
        until(lambda: len(list(folder.path.glob("begun.*"))) == 7, what="seven jobs begun")
        folder.daemon("off", "slurmdbd")
        (folder.path / "crash").touch()
        until(lambda: "its queue is asked instead" in folder.out, 60, "the warning")
        until((folder.path / "crashed").exists, 60, "the second attempt")
        time.sleep(6)  # the controller saves its jobs every few seconds
        folder.daemon("off", "slurmctld")
        (folder.path / "ready").touch()
        until(lambda: "is submitted when it does" in folder.out, 60, "a submission that waits")
        first.kill()
        first.wait(30)
        (folder.path / "go").touch()  # jobs end while both are away and nobody looks
        until(lambda: len(list(folder.path.glob("out/*"))) == 6, what="six jobs ended")
        (folder.path / "out" / "5").unlink()
        folder.daemon("on", "slurmdbd")
        second = folder.start("--local-cores", "1")
        until(lambda: "Waiting until Slurm says" in folder.out, 60, "a restart that waits")
        folder.daemon("on", "slurmctld")
        code = second.wait(timeout=150)
    finally:
        folder.daemon("on", "slurmdbd")
        folder.daemon("on", "slurmctld")
    assert code == 0, folder.out
    assert folder.states("crashed") == ["FAILED", "COMPLETED"]
    states = [folder.states(name) for name in (*(f"logs/{i}" for i in range(5)), "late.0", "late.1", "later")]
    assert states == [["COMPLETED"]] * 8
    assert "ended as COMPLETED, but out/5 is not there" in folder.out
    # Slurm may take a while to note the end of jobs that ended without it
    until(lambda: not folder.queued(), what="an empty queue")
    until(lambda: len(folder.started()) >= 12, 60, "twelve starts by sacct's count")
    assert len(folder.started()) == 12, "each once, but what crashed and whose output was removed"
