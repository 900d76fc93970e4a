"""One Snakemake on a real Slurm: what it takes, which scheduler commands it calls, how late its commands start."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE_S = 1200.0
METER = "meter.json"
CLIENTS = ("sbatch", "squeue", "sacct", "scontrol", "sinfo", "scancel", "sacctmgr")
"""What a submit host calls; srun is called on the compute nodes."""
NOTED = """#!/bin/sh
read now idle < /proc/uptime
only=
for word in "$@"; do [ "$word" = --test-only ] && only=" --test-only"; done
echo "$now {name}$only" >> {log}
exec {real} "$@"
"""
APART_S = 3.0
"""Calls that lie further apart belong to two looks at the jobs, between which more time passes."""

# The same rule for both. The first line of the command is its clock: it notes the machine's time since boot and,
# from the process table of its node, when the batch script of its job was started (hundredths of a second, both).
SNAKEFILE = """
rule all:
    input: expand("out/{{i}}.txt", i=range({jobs}))

rule work:
    output: "out/{{i}}.txt"
    log: "logs/{{i}}.log"
    threads: 1
    resources: runtime=10, mem_mb=1000
    shell: "sh {clock} started/{{wildcards.i}} && sleep {seconds} && echo result {{wildcards.i}} > {{output}}"
"""
CLOCK = """read now idle < /proc/uptime
for process in /proc/[0-9]*; do
    if tr '\\\\0' ' ' < $process/cmdline 2>/dev/null | grep -q "job0*$SLURM_JOB_ID/slurm_script"; then
        echo $now $(sed 's/.*) //' $process/stat | cut -d ' ' -f 20) >> $1
    fi
done
"""


@dataclass(frozen=True)
class Peer:
    """A way to submit: its name, its package and its options of Snakemake."""

    name: str
    package: str
    options: tuple[str, ...]


OURS = Peer(
    "submitit", "snakemake_executor_plugin_submitit", ("--profile", str(ROOT / "workflow" / "profiles" / "slurm"))
)
STOCK = Peer(
    "stock",
    "snakemake_executor_plugin_slurm",
    ("--executor", "slurm", "--jobs", "200", "--slurm-no-account", "--latency-wait", "60"),
)
# Snakemake's usual way to choose jobs starts a solver of integer programs, before and while jobs are submitted: no
# process of the executor's, and those that a meter sees end are all taken for the executor's.
CHOOSING = ("--scheduler", "greedy")


@dataclass(frozen=True)
class Run:
    """What a run took: CPU seconds of Snakemake with all it started here; of these what its executor `spent`, by
    what it did, and the scheduler's client commands; seconds from the start of each job's batch script to the first
    line of its command."""

    cpu_s: float
    spent: dict[str, float]
    wall_s: float
    late_s: list[float]


class Folder:
    """A workflow of some jobs in a folder of its own, and a Slurm to run it on."""

    def __init__(self, path: Path, jobs: int, slurm: dict[str, str], seconds: int = 0) -> None:
        self.path, self.jobs, self.slurm = path, jobs, slurm
        (path / "started").mkdir(parents=True)
        (path / "clock.sh").write_text(CLOCK.replace("\\\\0", "\\0"))
        (path / "Snakefile").write_text(SNAKEFILE.format(jobs=jobs, seconds=seconds, clock=path / "clock.sh"))

    def run(self, peer: Peer) -> Run:
        """Run all jobs. Raises SystemExit where not every output is there with its content."""
        cpu_s, wall_s = self._snakemake(peer)
        for i in range(self.jobs):
            file = self.path / "out" / f"{i}.txt"
            if not file.is_file() or file.read_text() != f"result {i}\n":
                raise SystemExit(f"{peer.name}: {file} is not what the rule makes")
        return Run(cpu_s, json.loads((self.path / METER).read_text()), wall_s, self._late())

    def _late(self) -> list[float]:
        ticks = os.sysconf("SC_CLK_TCK")
        lines = [line for file in (self.path / "started").iterdir() for line in file.read_text().splitlines()]
        if len(lines) != self.jobs:
            raise SystemExit(f"{len(lines)} commands noted when they started, {self.jobs} jobs ran")
        return [float(now) - int(began) / ticks for now, began in (line.split() for line in lines)]

    def _snakemake(self, peer: Peer) -> tuple[float, float]:
        metered = str(Path(__file__).with_name("slurm_metered.py"))
        words = [sys.executable, metered, peer.package, METER, *peer.options, *CHOOSING]
        before, began = os.times(), time.monotonic()
        with (self.path / "snakemake.log").open("wb") as log:
            process = subprocess.Popen(
                words, cwd=self.path, env=self.slurm, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            try:
                code = process.wait(PATIENCE_S)
            finally:
                process.kill()
                process.wait()
        after, wall_s = os.times(), time.monotonic() - began
        if code:
            said = (self.path / "snakemake.log").read_text(errors="replace")
            raise SystemExit(f"{' '.join(words)} ended with {code}:\n{said[-2000:]}")
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        return spent, wall_s


class Counted:
    """Slurm's client commands with a script before each that notes every call and its time."""

    def __init__(self, folder: Path, slurm: dict[str, str]) -> None:
        self._log = folder / "calls"
        folder.mkdir(parents=True)
        for name in CLIENTS:
            real = shutil.which(name, path=slurm["PATH"])
            if real is not None:
                script = folder / name
                script.write_text(NOTED.format(name=name, log=self._log, real=real))
                script.chmod(script.stat().st_mode | stat.S_IXUSR)
        self.slurm = {**slurm, "PATH": f"{folder}:{slurm['PATH']}"}

    def calls(self) -> list[tuple[float, str]]:
        """Every call by Snakemake and its children here: when (seconds since boot), and which command.

        An sbatch that only tests is the command "sbatch --test-only".
        """
        lines = [line.split(maxsplit=1) for line in self._log.read_text().splitlines()]
        return sorted(((float(now), name) for now, name in lines), key=lambda call: call[0])

    def of_each_look(self) -> list[int]:
        """How many calls each look at the jobs took: all of them, whatever their command, after the last sbatch
        that submitted."""
        calls = self.calls()
        submitted = [number for number, (_, name) in enumerate(calls) if name == "sbatch"]
        looks: list[int] = []
        last = float("-inf")
        for now, _ in calls[submitted[-1] + 1 if submitted else 0 :]:
            looks = [*looks, 1] if now - last > APART_S else [*looks[:-1], looks[-1] + 1]
            last = now
        return looks
