"""On a real Slurm: a job is submitted again only when nothing of its old submission lives."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_folder import SlurmFolder, until

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(300)]

STUBBORN = """
rule all:
    input: expand("{name}", name=["limit", "preempted", "cancelled", "frozen"])
rule limit:  # the node has room for two of them
    output: "limit"
    log: "limit.log"
    resources: nodelist="node3", runtime=1, mem_mb=500
    shell: "python3 -u stubborn.py {output}"
rule cancelled:
    output: "cancelled"
    log: "cancelled.log"
    resources: nodelist="node3", runtime=5, mem_mb=500
    shell: "python3 -u stubborn.py {output}"
rule preempted:  # two nodes may take it, and it fills one
    output: "preempted"
    log: "preempted.log"
    resources: exclude="node2,node3", cpus_per_task=4, runtime=5, mem_mb=500
    shell: "python3 -u stubborn.py {output}"
rule frozen:
    output: "frozen"
    log: "frozen.log"
    resources: exclude="node1,node3", cpus_per_task=4, runtime=5, mem_mb=500
    shell: "python3 -u stubborn.py {output}"
"""

# Ignores what can be ignored, and writes that it lives; the second of a name ends at once.
PROGRAM = """
import os, pathlib, signal, sys, time

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, signal.SIG_IGN)
name, job = sys.argv[1], os.environ["SLURM_JOB_ID"]
others = list(pathlib.Path("lives").glob(f"{name}.*"))
with open(f"lives/{name}.{job}", "a", buffering=1) as lives:
    while True:
        print(time.time(), os.environ["SLURMD_NODENAME"], file=lives)
        if others:
            break
        time.sleep(0.1)
pathlib.Path(name).write_text(job)
"""


@pytest.fixture
def folder(tmp_path: Path, slurm_cluster: dict[str, str]) -> Iterator[SlurmFolder]:
    made = SlurmFolder(tmp_path, slurm_cluster)
    yield made
    made.stop()


def lives(folder: SlurmFolder, name: str) -> list[list[str]]:
    """What the submissions of a job have written: by submission its lines, in the order in which they began."""
    written = [path.read_text().splitlines() for path in (folder.path / "lives").glob(f"{name}.*")]
    return sorted(lines for lines in written if lines)


def seconds(line: str) -> float:
    return float(line.split()[0])


def test_submissions_of_a_job_never_live_at_the_same_time(folder: SlurmFolder) -> None:
    """Time limit, preemption, somebody's scancel, and a lost node that lives; the program ignores SIGTERM."""
    folder.write(STUBBORN)
    (folder.path / "stubborn.py").write_text(PROGRAM)
    (folder.path / "lives").mkdir()
    snakemake = folder.start("--retries", "1", "--submitit-max-timeouts", "1")
    names = ("limit", "preempted", "cancelled", "frozen")
    for name in names:
        until(lambda n=name: lives(folder, n), what=f"{name} begun")  # type: ignore[misc]
    lost, taken = (lives(folder, name)[0][0].split()[1] for name in ("frozen", "preempted"))
    folder.daemon("freeze", lost)
    try:
        high = ["-p", "high", "-N1", "-w", taken, "--exclusive", "-o", "/dev/null"]
        folder.slurm("sbatch", *high, "--wrap", "true")
        folder.slurm("scancel", folder.job_of("cancelled"))
        until(lambda: "ended as CANCELLED" in folder.out, what="the word that it was cancelled")
        ended = [seconds(lives(folder, "cancelled")[0][-1]), time.time()]
        assert snakemake.wait(timeout=240) != 0  # what was cancelled is not submitted again
    finally:
        folder.daemon("thaw", lost)
        until(
            lambda: "idle" in folder.slurm("sinfo", "-hN", "-n", lost, "-p", "main", "-o", "%T"),
            what="the node back",
        )
    out = folder.out
    assert {name: folder.states(name) for name in names} == {
        "limit": ["TIMEOUT", "COMPLETED"],
        "preempted": ["PREEMPTED", "COMPLETED"],
        "cancelled": ["CANCELLED"],
        "frozen": ["NODE_FAIL", "COMPLETED"],
    }, out
    gaps = {}
    for name in ("limit", "preempted", "frozen"):
        first, second = lives(folder, name)
        gaps[name] = seconds(second[0]) - seconds(first[-1])
    print("seconds between the last sign of life of one submission and the first of the next:", gaps)
    assert min(gaps.values()) > 0, gaps
    assert [seconds(lives(folder, "cancelled")[0][-1])] == ended[:1], "it lived on after its end was told"
    assert f"nobody knows what still runs on {lost}" in out
    late = [
        path
        for path in (folder.path / ".snakemake/submitit").glob("batches/*/*_log.err")
        if "writes nothing" in path.read_text()
    ]
    assert len(late) == 1, "the rank on the node that was lost has stopped by itself"
    until(lambda: not folder.queued(), 20, "an empty queue")
    until(lambda: len(folder.started()) >= 7, 60, "7 starts by sacct's count")
    assert len(folder.started()) == 7, "three of the four jobs twice"
