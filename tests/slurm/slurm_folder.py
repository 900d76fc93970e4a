"""A workflow in a folder of its own on a private Slurm: Snakemake on it, and what Slurm says of its jobs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from waiting import until

PROFILE = Path(__file__).resolve().parents[2] / "workflow" / "profiles" / "slurm"
CLUSTER = Path(__file__).parent / "cluster"
ENDING_S = 5.0


class SlurmFolder:
    """A folder with a Snakefile."""

    def __init__(self, path: Path, env: dict[str, str]) -> None:
        self.path = path
        self.env = env
        self._started: list[subprocess.Popen[str]] = []

    def write(self, text: str) -> None:
        """Write the Snakefile."""
        (self.path / "Snakefile").write_text(text)

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start Snakemake with the shipped profile; its words go to a file, which grows."""
        words = ["--submitit-status-interval", "2", "--latency-wait", "5", "--submitit-file-latency", "5", *options]
        with (self.path / "said.txt").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "snakemake", "--profile", str(PROFILE), *words],
                cwd=self.path, env=self.env, stdout=log, stderr=log, text=True, start_new_session=True,
            )  # fmt: skip
        self._started.append(process)
        return process

    @property
    def out(self) -> str:
        """What all Snakemakes of this folder have printed."""
        return (self.path / "said.txt").read_text()

    def attempts(self, name: str) -> list[dict[str, Any]]:
        """The attempts at the job whose log is `name`.log."""
        found: list[dict[str, Any]] = json.loads((self.path / f"{name}.attempts.json").read_text())
        return found

    def states(self, name: str) -> list[str]:
        """How those attempts ended."""
        return [attempt["state"] for attempt in self.attempts(name)]

    def slurm(self, *words: str) -> str:
        """What one of Slurm's commands prints."""
        done = subprocess.run(words, env=self.env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def daemon(self, act: str, name: str) -> None:
        """Stop (`off`) or start (`on`) slurmctld, slurmdbd, or a node."""
        script = "slurm-node" if name.startswith("node") else "slurm-daemon"
        self.slurm(str(CLUSTER / script), act, name, "--base", self.env["SLURM_BASE"])

    def started(self) -> list[str]:
        """The ids of this folder's jobs that Slurm has started, once for each start (sacct -D)."""
        return [job for job, start, _ in self._accounted() if start[:1].isdigit()]

    def ended_as(self, state: str) -> int:
        """How many of this folder's jobs have ended in that state by sacct's count, every start counted."""
        return sum(row[2] == state for row in self._accounted())

    def _accounted(self) -> list[list[str]]:
        """Id, start and state of this folder's jobs by sacct, once for each start."""
        words = ("sacct", "-nPXD", "-S", "now-1days", "--format=JobID%50,Start,State%30,WorkDir%500")
        rows = [row.split("|") for row in self.slurm(*words).splitlines()]
        return [row[:3] for row in rows if row[3] == str(self.path)]

    def queued(self) -> dict[str, str]:
        """This folder's jobs that wait, run or are just ending: their ids (a task of an array each) and states."""
        rows = [line.split("|", 2) for line in self.slurm("squeue", "-hr", "-o", "%i|%T|%Z").splitlines()]
        return {job: state for job, state, folder in rows if folder == str(self.path)}

    def job_of(self, name: str) -> str:
        """The id of the job in the queue whose log is `name`.log, by the executor's notes.

        Its name in Slurm does not tell: jobs of several rules may be one array.
        """
        until(lambda: self._noted(name) in self.queued(), what=f"a job whose log is {name}.log in the queue")
        return str(self._noted(name))

    def _noted(self, name: str) -> str | None:
        """The id of the last submission of that job; None where none is noted yet."""
        file = self.path / ".snakemake" / "submitit" / "ledger.jsonl"
        lines = file.read_text().split("\n")[:-1] if file.exists() else []
        ids = [note["job_id"] for line in lines if (note := json.loads(line)).get("log") == f"{name}.log"]
        return ids[-1] if ids else None

    def stop(self, show: bool = True) -> None:
        """Kill what still runs and leave the queue empty; `show` prints what Snakemake has said.

        Raises AssertionError where jobs were left behind; what is only just ending has a few seconds for it.
        """
        for snakemake in self._started:
            snakemake.kill()
            snakemake.wait(timeout=30)
        if show:
            print(self.out)  # pytest shows it where a test fails
        deadline = time.monotonic() + ENDING_S
        while (left := self.queued()) and time.monotonic() < deadline:
            time.sleep(0.2)
        if left:
            subprocess.run(["scancel", *left], env=self.env, timeout=60, check=False)
        until(lambda: not self.queued(), what="an empty queue")
        assert not left, f"jobs were left in the queue: {left}"
