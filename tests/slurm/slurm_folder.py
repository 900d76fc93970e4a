"""A workflow in a folder of its own on a private Slurm: Snakemake on it, and what Slurm says of its jobs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROFILE = Path(__file__).resolve().parents[2] / "workflow" / "profiles" / "slurm"
CLUSTER = Path(__file__).parent / "cluster"


def until(condition: Callable[[], object], seconds: float = 90, what: str = "it") -> None:
    """Wait for something to come to pass. Raises AssertionError where it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come to pass within {seconds:g} s"
        time.sleep(0.2)


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
        words = ["--submitit-status-interval", "2", "--latency-wait", "5", *options]
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
        rows = self.slurm(
            "sacct", "-nPXD", "-S", "now-1days", "--format=JobID%50,Start,WorkDir%500"
        ).splitlines()  # fmt: skip
        fields = [row.split("|") for row in rows]
        return [job for job, start, folder in fields if folder == str(self.path) and start[:1].isdigit()]

    def queued(self) -> dict[str, str]:
        """This folder's jobs in the queue by their names, with their ids."""
        rows = [line.split("|", 2) for line in self.slurm("squeue", "-hr", "-o", "%i|%j|%Z").splitlines()]
        return {name: job for job, name, folder in rows if folder == str(self.path)}

    def job_of(self, rule: str) -> str:
        """The id of the one job of a rule that is in the queue."""
        until(lambda: any(name.endswith(f"-{rule}") for name in self.queued()), what=f"a job of {rule}")
        return next(job for name, job in self.queued().items() if name.endswith(f"-{rule}"))

    def stop(self, show: bool = True) -> None:
        """Kill what still runs and leave the queue empty; `show` prints what Snakemake has said."""
        for snakemake in self._started:
            snakemake.kill()
            snakemake.wait(timeout=30)
        if show:
            print(self.out)  # pytest shows it where a test fails
        if ids := self.queued().values():
            subprocess.run(["scancel", *ids], env=self.env, timeout=60, check=False)
        until(lambda: not self.queued(), what="an empty queue")
