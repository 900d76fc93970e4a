"""The executor on a real Slurm, by the command a user types: arrays, ranks, failures, kills and restarts."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from snakemake.common.tests import TestWorkflowsLocalStorageBase
from waiting import until

from snakemake_executor_plugin_submitit import ExecutorSettings

PROFILE = Path(__file__).resolve().parents[2] / "workflow" / "profiles" / "slurm"
pytestmark = [pytest.mark.slurm, pytest.mark.timeout(280)]


class Folder:
    """A workflow in a folder of its own, Snakemake on it, and what Slurm says of its jobs."""

    def __init__(self, path: Path, env: dict[str, str]) -> None:
        self.path = path
        self.env = env
        self.started: list[subprocess.Popen[str]] = []

    def write(self, text: str) -> None:
        (self.path / "Snakefile").write_text(text)

    def start(self, *options: str) -> "subprocess.Popen[str]":
        words = ["--submitit-status-interval", "1", "--latency-wait", "5", "--submitit-file-latency", "5", *options]
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--profile", str(PROFILE), *words],
            cwd=self.path,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def finish(self, *options: str, timeout: float = 200) -> tuple[int, str]:
        process = self.start(*options)
        output, _ = process.communicate(timeout=timeout)
        return process.returncode, output

    def attempts(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((self.path / name).read_text())
        return found

    def slurm(self, *words: str) -> str:
        done = subprocess.run(words, env=self.env, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    def names(self) -> list[str]:
        """The names under which this folder's jobs were submitted, from Slurm's own records of their folders."""
        listed = self.slurm("sacct", "-nPXD", "--format=JobName%200,WorkDir%500", "-S", "now-1days")
        pairs = [line.split("|") for line in listed.splitlines()]
        return [name for name, workdir in pairs if workdir == str(self.path)]

    def starts(self) -> int:
        """How many jobs of this folder Slurm has started, by its accounting, every start counted."""
        listed = self.slurm("sacct", "-nPXD", "--format=Start,WorkDir%500", "-S", "now-1days")
        pairs = [line.split("|") for line in listed.splitlines()]
        return sum(workdir == str(self.path) and start not in ("Unknown", "None") for start, workdir in pairs)

    def queued(self) -> list[str]:
        """Ids of this folder's jobs that wait, run or are just ending."""
        lines = self.slurm("squeue", "-hr", "-o", "%i|%Z").splitlines()
        return [job for job, _, workdir in (line.partition("|") for line in lines) if workdir == str(self.path)]

    def stop(self) -> None:
        for snakemake in self.started:
            snakemake.kill()
            if snakemake.stdout and not snakemake.stdout.closed:
                snakemake.stdout.close()
            snakemake.wait(timeout=30)
        if ids := self.queued():
            subprocess.run(["scancel", *ids], env=self.env, timeout=60, check=False)
        until(lambda: not self.queued())


@pytest.fixture
def folder(tmp_path: Path, slurm_cluster: dict[str, str]) -> Iterator[Folder]:
    made = Folder(tmp_path, slurm_cluster)
    yield made
    made.stop()


class TestSuite(TestWorkflowsLocalStorageBase):
    """Snakemake's own test-suite for executor plugins, on Slurm."""

    __test__ = True

    @pytest.fixture(autouse=True)
    def _on_the_private_cluster(self, slurm_cluster: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("PATH", "SLURM_CONF"):
            monkeypatch.setenv(name, slurm_cluster[name])

    def get_executor(self) -> str:
        return "submitit"

    def get_executor_settings(self) -> ExecutorSettings:
        return ExecutorSettings(cluster="slurm", status_interval=1.0)


def test_jobs_that_ask_for_the_same_are_one_array_of_spmd_jobs(folder: Folder) -> None:
    folder.write("""
rule all:
    input: expand("out/{i}", i=range(3)), "alone"
rule ranks:
    output: "out/{i}"
    log: "logs/{i}.log"
    resources: nodes=2, tasks_per_node=2, gpus=2, runtime=5
    threads: 2
    shell: "echo $RANK $LOCAL_RANK $NODE_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE $MASTER_ADDR $MASTER_PORT"
           " $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES $SLURM_CPUS_PER_TASK; [ $RANK != 0 ] || touch {output}"
rule alone:
    output: "alone"
    resources: runtime=5
    shell: "echo once >> {output}"
""")
    code, output = folder.finish()
    assert code == 0, output
    until(lambda: len(folder.names()) == 4)  # accounting lags behind the queue
    names = folder.names()
    assert len({name for name in names if name.endswith("-ranks")}) == 1, "one array"
    arrays = {folder.attempts(f"logs/{i}.attempts.json")[0]["external_jobid"] for i in range(3)}
    assert {job.split("_")[1] for job in arrays} == {"0", "1", "2"}
    assert len({job.split("_")[0] for job in arrays}) == 1
    assert (folder.path / "alone").read_text() == "once\n"
    ports = set()
    for job in arrays:
        files = sorted((folder.path / ".snakemake/submitit/batches").glob(f"*/{job}_*_output.log"))
        lines = [file.read_text().split() for file in files]
        assert [line[:5] for line in lines] == [
            ["0", "0", "0", "4", "2"],
            ["1", "1", "0", "4", "2"],
            ["2", "0", "1", "4", "2"],
            ["3", "1", "1", "4", "2"],
        ]
        assert {line[5] for line in lines} == {lines[0][7]}, "the first rank's node"
        assert len({line[6] for line in lines}) == 1
        assert lines[0][7] == lines[1][7] != lines[2][7] == lines[3][7]
        assert {(line[8], line[9]) for line in lines} == {("0", "2")}, "one GPU a node, two CPUs a task"
        ports.add(lines[0][6])
    assert len(ports) == 3, "jobs that may share a node have ports of their own"


def test_asking_for_two_gpus_starts_the_command_once(folder: Folder) -> None:
    folder.write("""
rule gpus:
    output: "done"
    resources: gpu=2, runtime=5
    shell: "echo $CUDA_VISIBLE_DEVICES >> {output}"
""")
    code, output = folder.finish("done")
    assert code == 0, output
    assert (folder.path / "done").read_text() == "0,1\n"


def test_failures_name_the_rank_and_slurms_state(folder: Folder) -> None:
    folder.write("""
rule all:
    input: "rank", "memory", "cancelled", "nowhere"
rule rank:
    output: "rank"
    log: "rank.log"
    resources: nodes=2, tasks_per_node=2, runtime=5
    shell: "echo rank $RANK is here; [ $RANK != 3 ] || {{ sleep 1; echo it broke >&2; exit 7; }}; sleep 100"
rule memory:
    output: "memory"
    log: "memory.log"
    resources: mem_mb=200, runtime=5
    shell: "python3 -c 'import time; x = bytearray(900_000_000); time.sleep(60)'"
rule cancelled:
    output: "cancelled"
    log: "cancelled.log"
    resources: runtime=5
    shell: "scancel $SLURM_JOB_ID; sleep 100"
rule nowhere:
    output: "nowhere"
    log: "nowhere.log"
    resources: slurm_partition="absent", runtime=5
    shell: "touch {output}"
""")
    code, output = folder.finish("--retries", "0")
    assert code != 0
    assert re.search(
        r"rank: Slurm job \d+ \(\S+\) ended as FAILED: .*rank 3 on node\d ended with exit code 7", output
    )
    assert re.search(r"last lines of rank 3's log \(\S+\):\s+rank 3 is here\s+it broke", output)
    assert re.search(r"memory: Slurm job \d+ \(\S+\) ended as OUT_OF_MEMORY: .*exceeded memory limit", output)
    assert re.search(r"cancelled: Slurm job \d+ \(\S+\) ended as CANCELLED", output)
    assert re.search(r"nowhere: it could not be submitted .*invalid partition", output)
    states = {
        name: folder.attempts(f"{name}.attempts.json")[0]["state"] for name in ("rank", "memory", "cancelled")
    }
    assert states == {"rank": "FAILED", "memory": "OUT_OF_MEMORY", "cancelled": "CANCELLED"}
    assert folder.attempts("rank.attempts.json")[0]["failing_rank"] == 3
    assert folder.attempts("nowhere.attempts.json")[0]["external_jobid"] is None
    assert "==== rank 3 on node" in (folder.path / "rank.log").read_text()


def test_a_process_that_is_killed_is_submitted_again_and_both_attempts_are_kept(folder: Folder) -> None:
    folder.write("""
rule flaky:
    output: "done"
    log: "flaky.log"
    resources: runtime=5
    shell: "echo try >> tries; [ $(wc -l < tries) = 2 ] || kill -KILL $PPID; touch {output}"
""")
    code, output = folder.finish("done")
    assert code == 0, output
    attempts = folder.attempts("flaky.attempts.json")
    assert [a["state"] for a in attempts] == ["FAILED", "COMPLETED"]
    assert attempts[0]["external_jobid"] != attempts[1]["external_jobid"]


WORK = """
rule all:
    input: expand("out/{{i}}", i=range({count}))
rule work:
    output: "out/{{i}}"
    log: "logs/{{i}}.log"
    threads: 2
    resources: runtime=5, mem_mb=1000
    shell: "touch begun.{{wildcards.i}}; {wait}; echo done > {{output}}"
"""


def test_a_killed_snakemake_is_started_again_and_every_job_has_started_once(folder: Folder) -> None:
    """24 jobs of 2 CPUs on 16 CPUs: at the kill some have ended, some run and some wait."""
    count = 24
    folder.write(WORK.format(count=count, wait="sleep 4"))
    first = folder.start("--submitit-max-array-size", "10")
    until(lambda: len(list(folder.path.glob("out/*"))) >= 1)
    first.kill()
    first.wait(30)
    states = set(folder.slurm("squeue", "-hr", "-o", "%T").split())
    assert {"RUNNING", "PENDING"} <= states
    time.sleep(3)  # some end while nobody looks
    code, output = folder.finish()
    assert code == 0, output
    assert "has completed meanwhile and is taken up again" in output
    assert "is still there and is taken up again" in output
    assert len(list(folder.path.glob("out/*"))) == count
    until(lambda: folder.starts() >= count, seconds=30)  # accounting lags behind
    assert folder.starts() == count
    until(lambda: len(folder.names()) == 24)  # accounting lags behind the queue
    assert sorted(map(folder.names().count, set(folder.names()))) == [4, 10, 10], "arrays of at most ten"
    assert all(len(folder.attempts(f"logs/{i}.attempts.json")) == 1 for i in range(count))


@pytest.mark.parametrize("count", [1, 6])
def test_jobs_that_slurm_took_but_nobody_recorded_do_not_run_twice(folder: Folder, count: int) -> None:
    """Snakemake dies while sbatch has answered and before anyone has read the answer."""
    folder.write(WORK.format(count=count, wait="until [ -e go ]; do sleep 0.2; done"))
    wrapper = folder.path / "bin" / "sbatch"
    wrapper.parent.mkdir()
    wrapper.write_text(
        '#!/bin/bash\n/usr/bin/sbatch "$@"\n[ -e "$0.used" ] || { touch "$0.used"; kill -KILL $PPID; }\n'
    )
    wrapper.chmod(0o755)
    folder.env = {**folder.env, "PATH": f"{wrapper.parent}:{folder.env['PATH']}"}
    first = folder.start()
    first.wait(timeout=60)
    assert first.returncode == -signal.SIGKILL
    assert len(folder.queued()) == count
    (folder.path / "go").touch()
    code, output = folder.finish()
    assert code == 0, output
    assert output.count("is taken up again") == count
    until(lambda: folder.starts() >= count, seconds=30)
    assert folder.starts() == count


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_the_queue_empty(folder: Folder, number: signal.Signals) -> None:
    folder.write(WORK.format(count=12, wait="sleep 200"))
    snakemake = folder.start()
    until(lambda: len(list(folder.path.glob("begun.*"))) >= 8)
    assert len(folder.queued()) == 12
    if number == signal.SIGINT:
        os.killpg(snakemake.pid, number)
    else:
        snakemake.send_signal(number)
    snakemake.communicate(timeout=60)
    assert snakemake.returncode != 0
    until(lambda: not folder.queued(), seconds=20)
    assert {folder.attempts(f"logs/{i}.attempts.json")[0]["state"] for i in range(12)} == {"CANCELLED"}


def test_a_preempted_job_and_one_whose_node_fails_say_so(folder: Folder) -> None:
    folder.write("""
rule all:
    input: "preempted", "node"
rule preempted:
    output: "preempted"
    log: "preempted.log"
    resources: nodelist="node[1-2]", nodes=2, exclusive=True, runtime=5
    shell: "touch begun.{output}.$RANK; sleep 100"
rule node:
    output: "node"
    log: "node.log"
    resources: nodelist="node[3-4]", nodes=2, runtime=5
    shell: "touch begun.{output}.$RANK; sleep 100"
""")
    node = [str(Path(__file__).parent / "cluster" / "slurm-node")]
    base = ["--base", folder.env["SLURM_BASE"]]
    snakemake = folder.start("--retries", "0")
    try:
        until(lambda: len(list(folder.path.glob("begun.*"))) == 4)
        folder.slurm(
            "sbatch", "-p", "high", "-N2", "-w", "node[1-2]", "--exclusive", "-o", "/dev/null", "--wrap", "true"
        )
        folder.slurm(*node, "off", "node4", *base)
        output, _ = snakemake.communicate(timeout=120)
    finally:
        folder.slurm(*node, "on", "node4", *base)
        until(lambda: "node4 idle" in folder.slurm("sinfo", "-hN", "-p", "main", "-o", "%N %T"))
    assert re.search(r"preempted: Slurm job \d+ \(\S+\) ended as PREEMPTED", output), output
    lost = r"node: Slurm job \d+ \(\S+\) ended as NODE_FAIL: .*rank 1 on node4 died without a word"
    assert re.search(lost, output), output
    states = {name: folder.attempts(f"{name}.attempts.json")[0]["state"] for name in ("preempted", "node")}
    assert states == {"preempted": "PREEMPTED", "node": "NODE_FAIL"}


def test_accounting_that_does_not_answer_is_no_failure(folder: Folder) -> None:
    folder.write(WORK.format(count=2, wait="sleep 6; [ {wildcards.i} = 0 ] || kill -KILL $$"))
    broken = folder.path / "bin" / "sacct"
    broken.parent.mkdir()
    broken.write_text("#!/bin/bash\necho 'sacct: error: Problem talking to the database' >&2; exit 1\n")
    broken.chmod(0o755)
    folder.env = {**folder.env, "PATH": f"{broken.parent}:{folder.env['PATH']}"}
    code, output = folder.finish("--retries", "0")
    assert code != 0
    assert "its queue is asked instead" in output
    assert (folder.path / "out/0").exists()
    assert re.search(r"work \(i=1\): Slurm job \S+ \(\S+\) ended as FAILED", output)


def test_no_job_reaches_slurm_but_through_submitit(folder: Folder) -> None:
    """Every submission that Slurm has on record is of submitit's file, and nothing else called sbatch or srun."""
    folder.write("""
rule all:
    input: "shell", "run", "script", expand("array.{i}", i=range(3)), "group.b"
rule shell:
    output: "shell"
    resources: runtime=5
    shell: "touch {output}"
rule array:
    output: "array.{i}"
    resources: runtime=6
    shell: "touch {output}"
rule run:
    output: "run"
    run: open(output[0], "w").close()
rule script:
    output: "script"
    script: "script.py"
rule group_a:
    output: "group.a"
    group: "together"
    shell: "touch {output}"
rule group_b:
    input: "group.a"
    output: "group.b"
    group: "together"
    shell: "touch {output}"
""")
    (folder.path / "script.py").write_text("open(snakemake.output[0], 'w').close()\n")
    record = folder.path / "calls"
    for command in ("sbatch", "srun", "salloc"):
        wrapper = folder.path / "bin" / command
        wrapper.parent.mkdir(exist_ok=True)
        caller = "$(tr '\\0' ' ' < /proc/$PPID/cmdline)"
        wrapper.write_text(
            f'#!/bin/bash\necho "{command} $* <- {caller}" >> {record}\nexec /usr/bin/{command} "$@"\n'
        )
        wrapper.chmod(0o755)
    folder.env = {**folder.env, "PATH": f"{folder.path}/bin:{folder.env['PATH']}"}
    code, output = folder.finish()
    assert code == 0, output
    calls = record.read_text().splitlines()
    # submitit hands sbatch one file of its own; srun is called from that file alone
    sbatch = [line for line in calls if line.startswith("sbatch")]
    assert len(sbatch) == 3  # the array, the shell rule, and one array of what a nested Snakemake runs
    for line in sbatch:
        assert re.match(r"sbatch \S+/\.snakemake/submitit/batches/\S+/\.submission_file_\w+\.sh <- ", line), line
        assert " -m snakemake " in line
    for line in (line for line in calls if not line.startswith("sbatch")):
        assert "-m submitit.core._submit" in line, line
        assert line.startswith("srun "), line
        assert "slurm_script" in line.partition(" <- ")[2], line
    listed = folder.slurm("sacct", "-nPX", "--format=SubmitLine%500,WorkDir%500", "-S", "now-1days")
    lines = [line.split("|")[0] for line in listed.splitlines() if line.split("|")[1] == str(folder.path)]
    assert len(lines) == 7, "what was called is what Slurm has"
    assert all("/.submission_file_" in line for line in lines)
