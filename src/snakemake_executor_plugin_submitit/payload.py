"""What runs on each task of a job: the command, with the environment of its rank, watched until it ends.

submitit's default mode is used: its own `srun` starts this function on every task. The other mode (once, in the
batch step, which would start `srun` itself) was weighed: it saves nothing, for the command starts after one
`srun` either way (54-67 ms), but signals at the time limit reach only steps, so that forwarding them would be
ours to write, and no process of ours would stand beside a rank to say when and how it ended. Commands that must
start once although the job has several tasks (nested Snakemake, MPI launchers) do use the other mode.

submitit's handler for USR2 (checkpoint and requeue) is replaced: near the time limit and on SIGTERM the signal
goes to the command's process group, and the rank's report says so.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from .allocations import OF_SLURM, of_allocation
from .command import Superseded, WatchedCommand
from .fencing import Fence
from .ranks import RankReport, now, output_path, write_report

# Ports below the range that Linux hands out by itself (32768 and up).
_FIRST_PORT, _PORTS = 20000, 12000
_LONGEST_ARGUMENT = 100_000  # bytes; Linux takes 131,072 for one argument
SUPERSEDED = 75  # exit code (EX_TEMPFAIL) of a rank whose submission is no longer the current one


class RankFailed(RuntimeError):
    """The command of this rank did not end with 0."""


def master_port(job_id: int) -> int:
    """The port for rendezvous: the same on all ranks, different for jobs that may share a node."""
    return _FIRST_PORT + job_id % _PORTS


def rank_environment(place: Any, port: int | None) -> dict[str, str]:
    """The variables that tell a rank its place (as torchrun sets them).

    `place` is submitit's JobEnvironment; `port` None takes one from the job's id.
    """
    local_size = max(1, place.num_tasks // place.num_nodes)
    local = place.cluster != "slurm"
    return {
        "RANK": str(place.global_rank),
        "LOCAL_RANK": str(place.local_rank),
        "WORLD_SIZE": str(place.num_tasks),
        "LOCAL_WORLD_SIZE": str(local_size),
        "NODE_RANK": str(place.node),
        "MASTER_ADDR": "127.0.0.1" if local else place.hostnames[0],
        "MASTER_PORT": str(port if port is not None else master_port(int(place.raw_job_id))),
    }


def thread_environment(threads: int) -> dict[str, str]:
    """The variables by which Snakemake tells numerical libraries how many threads to take."""
    libraries = ("OMP", "GOTO", "OPENBLAS", "MKL", "VECLIB_MAXIMUM", "NUMEXPR")
    names = [f"{library}_THREADS" if "MAXIMUM" in library else f"{library}_NUM_THREADS" for library in libraries]
    return {name: str(threads) for name in names}


class RankCommand:
    """A command to be run on every task of a job; submitit pickles it and calls it there.

    `key` and `index` (its place in the array) let a restarted Snakemake find out which job this is; `key` and
    `submitted_at`, the ledger's, tell whether this is the current submission of it.
    """

    def __init__(
        self,
        *,
        key: str,
        index: int,
        command: str,
        shell: tuple[str, ...],
        prefix: tuple[str, ...],
        folder: str,
        cwd: str,
        threads: int,
        spmd: bool,
        port: int | None,
        minutes: int | None,
        signal_delay: int,
        debug: bool,
        timeouts_left: int = 0,
        submitted_at: str = "",
    ) -> None:
        self.key = key
        self.index = index
        self.command = command
        self.shell = shell
        self.prefix = prefix
        self.folder = folder
        self.cwd = cwd
        self.threads = threads
        self.spmd = spmd
        self.port = port
        self.minutes = minutes
        self.signal_delay = signal_delay
        self.debug = debug
        self.timeouts_left = timeouts_left
        self.submitted_at = submitted_at

    def __call__(self) -> dict[str, Any]:
        """Run the command; the rank's report. Raises RankFailed where the command did not end with 0."""
        import submitit

        if self.debug:
            job_id, report, environment = os.environ["SUBMITIT_DEBUG_JOB_ID"], self._report(0), {}
        else:
            place = submitit.JobEnvironment()
            if place.cluster == "local":  # Snakemake may itself run in a job of Slurm's, which this rank is none of
                for name in of_allocation(os.environ, OF_SLURM):
                    del os.environ[name]
            job_id, report = place.job_id, self._report(0 if not self.spmd else place.global_rank)
            environment = rank_environment(place, self.port) if self.spmd else {}
        environment |= thread_environment(self.threads) | {"SUBMITIT_TIMEOUTS_LEFT": str(self.timeouts_left)}
        folder = Path(self.folder)
        log = output_path(folder, job_id, report.rank)
        if not self.debug:
            # put back after the command: a second warning must not reach submitit while the report is written
            signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        with log.open("ab") as output:
            fence = None
            if _on_slurm():
                fence = Fence(self.key, folder, job_id, self.submitted_at, report.rank, report.restart)
            watch = WatchedCommand(report, folder, job_id, self._siblings(environment), self._warn_at(), fence)
            try:
                returncode = watch.run(self._words(log), self.cwd, environment, output, forward=not self.debug)
            except Superseded as why:
                _leave(f"rank {report.rank} on {report.node} of job {job_id} stops and writes nothing: {why}")
        report.set_end(returncode)
        write_report(folder, job_id, report)
        # in this process submitit would open a debugger on an exception
        if returncode and not self.debug:
            raise RankFailed(f"rank {report.rank} on {report.node} {report.ending()}; its log: {log}")
        return {"rank": report.rank, "returncode": returncode}

    def _report(self, rank: int) -> RankReport:
        restart = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
        node = os.environ.get("SLURMD_NODENAME") or os.uname().nodename
        return RankReport(rank=rank, node=node, pid=os.getpid(), started_at=now(), restart=restart)

    def _siblings(self, environment: dict[str, str]) -> int:
        """How many ranks must be watched from here: on Slurm srun ends them all, on one machine nobody does."""
        return 0 if _on_slurm() else int(environment.get("WORLD_SIZE", "1"))

    def _warn_at(self) -> float:
        """When (monotonic seconds) USR2 may be passed on: Slurm may send it a minute too early."""
        if self.minutes is None:
            return 0.0
        return time.monotonic() + max(0, self.minutes * 60 - self.signal_delay)

    def _words(self, log: Path) -> list[str]:
        # Slurm sends USR2 to every process, up to a minute too early: it must not end those that do not expect it.
        # On TERM the shell waits for its program before it ends; a nested Snakemake would wait for its jobs.
        traps = "trap '' USR2; trap 'exit 143' TERM; " if self.spmd else "trap '' USR2; "
        command = traps + self.command
        if len(command.encode()) > _LONGEST_ARGUMENT:
            script = log.with_suffix(".sh")
            script.write_text(command, encoding="utf-8")
            return [*self.prefix, self.shell[0], str(script)]
        return [*self.prefix, *self.shell, command]


class RankBatch:
    """The commands of an array, by their place in it: every job of it has the same pickle, and runs its own."""

    def __init__(self, commands: Sequence[RankCommand]) -> None:
        self.commands = tuple(commands)

    def __call__(self) -> dict[str, Any]:
        """Run the command of this job's place in the array; see RankCommand."""
        return self.commands[int(os.environ["SLURM_ARRAY_TASK_ID"])]()


def _on_slurm() -> bool:
    return "SLURM_JOB_ID" in os.environ and os.environ.get("SUBMITIT_EXECUTOR") == "slurm"


def _leave(words: str) -> NoReturn:
    """End this process at once: submitit would write a result, and the files may be another submission's."""
    print(words, file=sys.stderr, flush=True)
    os._exit(SUPERSEDED)
