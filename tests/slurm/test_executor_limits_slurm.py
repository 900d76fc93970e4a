"""Limits of a real Slurm: of arrays, of submitted jobs, of accounts and partitions; and answers that get lost."""

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from private_slurm import slurm_of_nodes
from slurm_folder import CLUSTER, SlurmFolder, until

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(420)]
JOBS = """
rule all:
    input: expand("out/{{i}}", i=range({jobs}))
rule work:
    output: "out/{{i}}"
    log: "logs/{{i}}.log"
    resources: runtime=5, mem_mb=200
    shell: "sleep {seconds}; echo {{wildcards.i}} > {{output}}"
"""


@pytest.fixture(scope="module")
def limited() -> Iterator[dict[str, str]]:
    """A cluster of its own with a small MaxArraySize, that enforces the limits of its accounting."""
    with contextmanager(slurm_of_nodes)("uts") as env:
        conf = Path(env["SLURM_CONF"])
        changed = conf.read_text().replace("MaxArraySize=10001", "MaxArraySize=11")
        assert "MaxArraySize=11\n" in changed
        assert "NodeName=node4" in changed
        changed = re.sub(r"(NodeName=node4 .*RealMemory=)\d+", r"\g<1>20000", changed)
        conf.write_text(changed + "AccountingStorageEnforce=limits\n")
        for act in ("off", "on"):
            daemon = [str(CLUSTER / "slurm-daemon"), act, "slurmctld", "--base", env["SLURM_BASE"]]
            subprocess.run(daemon, env=env, timeout=60, check=True)
        until(lambda: "MaxArraySize            = 11" in answer(env, "scontrol", "show", "config"))
        until(lambda: answer(env, "sinfo", "-h", "-t", "idle", "-o", "%D").strip().startswith("4"))
        yield env


def answer(env: dict[str, str], *words: str) -> str:
    """What one of Slurm's commands prints; nothing where it fails."""
    return subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False).stdout


@pytest.fixture
def folder(tmp_path: Path, limited: dict[str, str]) -> Iterator[SlurmFolder]:
    made = SlurmFolder(tmp_path, limited)
    yield made
    made.stop()


def outputs(folder: SlurmFolder, jobs: int) -> list[str]:
    return [(folder.path / "out" / str(i)).read_text().strip() for i in range(jobs)]


def test_more_jobs_than_an_array_may_have_are_several_arrays(folder: SlurmFolder) -> None:
    folder.write(JOBS.format(jobs=25, seconds=0))
    assert folder.start().wait(timeout=200) == 0, folder.out
    assert outputs(folder, 25) == [str(i) for i in range(25)]
    ids = [folder.attempts(f"logs/{i}")[0]["external_jobid"] for i in range(25)]
    arrays = [job.split("_")[0] for job in ids]
    assert sorted(arrays.count(array) for array in set(arrays)) == [3, 11, 11]
    assert len(folder.started()) == 25


ADMINISTRATED = """
localrules: all, after
rule all:
    input: expand("out/{i}", i=range(13)), "after", "down", "wall", "big", "spread", "lost"
rule work:  # its account may have five jobs in the queue
    output: "out/{i}"
    log: "logs/{i}.log"
    resources: slurm_account="small", runtime=5, mem_mb=200
    shell: "sleep 2; echo {wildcards.i} > {output}"
rule after:  # Snakemake starts it while others wait
    input: "spread"
    output: "after"
    shell: "ls out | wc -l > {output}"
rule down:
    output: "down"
    log: "down.log"
    resources: slurm_partition="closed", runtime=5, mem_mb=200
    shell: "touch {output}"
rule wall:  # its account gives one minute
    output: "wall"
    log: "wall.log"
    resources: slurm_account="short", runtime=5, mem_mb=200
    shell: "touch {output}"
rule big:  # only node4 has as much memory, and it has failed
    output: "big"
    log: "big.log"
    resources: runtime=5, mem_mb=18000
    shell: "touch {output}"
rule spread:
    output: "spread"
    log: "spread.log"
    resources: runtime=5, mem_mb=200, exclude="node1", slurm_extra="--exclude=node[2]"
    shell: "touch {output}"
rule lost:  # sbatch is killed when Slurm has taken it
    output: "lost"
    log: "lost.log"
    resources: runtime=5, mem_mb=200
    shell: "touch {output}"
"""
ONCE = ("down", "wall", "big", "spread", "lost")
# it takes the jobs, and then is killed, or says nothing
SBATCH = """#!/bin/sh
case "$*" in *--test-only*) exec SBATCH "$@";; esac
if grep -q -- "job-name=.*-lost$" "$1"; then SBATCH "$@" >> killed; kill -9 $$; fi
if grep -q -- "job-name=.*-hangs$" "$1"; then SBATCH "$@" >> hung; while :; do sleep 0.5; done; fi
exec SBATCH "$@"
"""
STUCK = """
rule all:
    input: expand("held/{i}", i=range(3)), "never", "hangs"
rule held:  # its account may have one job in the queue
    output: "held/{i}"
    log: "held/{i}.log"
    resources: slurm_account="tiny", runtime=5, mem_mb=200
    shell: "touch {output}.begun; sleep 250"
rule never:
    output: "never"
    log: "never.log"
    resources: slurm_partition="closed_too", runtime=5, mem_mb=200
    shell: "touch {output}"
rule signal:
    output: "ready"
    localrule: True
    shell: "until [ -e go ]; do sleep 0.2; done; touch {output}"
rule hangs:
    input: "ready"
    output: "hangs"
    log: "hangs.log"
    resources: runtime=5, mem_mb=200
    shell: "sleep 250"
"""


def test_limits_blocks_and_lost_answers_end_with_every_job_run_once_or_given_up_in_words(
    folder: SlurmFolder, limited: dict[str, str]
) -> None:
    """Two Snakemakes at once: what an administrator sets right in time, and what nobody does, interrupted."""
    for account, limit in (("small", "MaxSubmitJobs=5"), ("tiny", "MaxSubmitJobs=1"), ("short", "MaxWall=1")):
        folder.slurm("sacctmgr", "-i", "add", "account", account)
        folder.slurm("sacctmgr", "-i", "add", "user", "root", f"account={account}", limit)
    for partition in ("closed", "closed_too"):
        folder.slurm("scontrol", "create", f"PartitionName={partition}", "Nodes=node[1-4]", "State=DOWN")
    (folder.path / "bin").mkdir()
    wrapper = folder.path / "bin" / "sbatch"
    wrapper.write_text(SBATCH.replace("SBATCH", str(shutil.which("sbatch"))))
    wrapper.chmod(0o755)
    env = folder.env = {**limited, "PATH": f"{folder.path / 'bin'}:{limited['PATH']}"}
    submitit = folder.path / ".snakemake" / "submitit"
    submitit.mkdir(mode=0o700, parents=True)
    (submitit / "failed_nodes.json").write_text(json.dumps({"node4": time.time()}))
    folder.write(ADMINISTRATED)
    (folder.path / "stuck").mkdir()
    stuck = SlurmFolder(folder.path / "stuck", env)
    stuck.write(STUCK)
    try:
        ends = folder.start("--local-cores", "1", "--show-failed-logs")
        interrupted = stuck.start("--submitit-blocked-hours", "0.004", "--local-cores", "1")
        for reason in ("PartitionDown", "AssocMaxWallDurationPerJobLimit"):
            until(lambda r=reason: f"Slurm's reason: {r}" in folder.out, 120, f"the word {reason}")  # type: ignore[misc]
        folder.slurm("scontrol", "update", "PartitionName=closed", "State=UP")
        change = ["where", "name=root", "account=short", "set", "MaxWall=10"]
        folder.slurm("sacctmgr", "-i", "modify", "user", *change)
        until(lambda: "nobody has changed for 0.004 hours" in stuck.out, 120, "a job given up")
        until(lambda: list(stuck.path.glob("held/*.begun")), what="a job begun")
        (stuck.path / "go").touch()
        until(
            lambda: (stuck.path / "hung").exists() and (stuck.path / "hung").read_text(), 60, "an sbatch that hangs"
        )
        interrupted.send_signal(signal.SIGINT)  # to Snakemake alone
        assert interrupted.wait(timeout=40) != 0
        until(lambda: not stuck.queued(), 20, "what the sbatch that hangs had submitted is cancelled too")
        assert ends.wait(timeout=200) == 0, folder.out
    finally:
        stuck.stop()
    assert (stuck.attempts("never")[0]["state"], stuck.states("never")) == ("CANCELLED", ["CANCELLED"])
    assert "its partition is down (Slurm's reason: PartitionDown)" in stuck.attempts("never")[0]["reason"]
    assert "2 job(s) wait here" in stuck.out
    assert stuck.states("hangs") == ["CANCELLED"]
    assert len(stuck.started()) <= 2, "two of three were never submitted"
    assert outputs(folder, 13) == [str(i) for i in range(13)]
    assert folder.out.count("Slurm takes no more jobs now") == 1
    assert "AssocMaxSubmitJobLimit" in folder.out
    assert int((folder.path / "after").read_text()) < 13, "started while others waited"
    assert len(list((submitit / "batches").iterdir())) < 13 + 5, "tries that were refused leave no folders"
    states = [folder.states(name) for name in (*(f"logs/{i}" for i in range(13)), *ONCE)]
    assert states == [["COMPLETED"]] * 18, "nothing failed, nothing ran twice"
    assert "failed are not excluded where a job could start nowhere else: node4" in folder.out
    assert folder.slurm("sacct", "-nXPo", "NodeList", "-j", node_job(folder, "spread")).split() == ["node3"]
    assert folder.slurm("sacct", "-nXPo", "NodeList", "-j", node_job(folder, "big")).split() == ["node4"]
    assert (folder.path / "killed").read_text().count("Submitted") == 1
    until(lambda: len(folder.started()) >= 18, 30, "18 starts by sacct's count")
    assert len(folder.started()) == 18


def node_job(folder: SlurmFolder, name: str) -> str:
    """The id of the one job whose log is `name`.log."""
    return str(folder.attempts(name)[0]["external_jobid"])
