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
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from .ranks import RankReport, now, output_path, read_reports, write_report

# Ports below the range that Linux hands out by itself (32768 and up).
_FIRST_PORT, _PORTS = 20000, 12000
_LONGEST_ARGUMENT = 100_000  # bytes; Linux takes 131,072 for one argument
_SECONDS_TO_STOP = {signal.SIGTERM: 5.0, signal.SIGINT: 0.6}
_SIBLING_INTERVAL = 0.5
_SIGNAL_LAG = 0.3


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

    `key` and `index` (its place in the array) let a restarted Snakemake find out which job this is.
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

    def __call__(self) -> dict[str, Any]:
        """Run the command; the rank's report. Raises RankFailed where the command did not end with 0."""
        import submitit

        if self.debug:
            job_id, report, environment = os.environ["SUBMITIT_DEBUG_JOB_ID"], self._report(0), {}
        else:
            place = submitit.JobEnvironment()
            job_id, report = place.job_id, self._report(0 if not self.spmd else place.global_rank)
            environment = rank_environment(place, self.port) if self.spmd else {}
        environment |= thread_environment(self.threads)
        folder = Path(self.folder)
        log = output_path(folder, job_id, report.rank)
        with log.open("ab") as output:
            watch = _Watch(report, folder, job_id, self._siblings(environment), self._warn_at())
            returncode = watch.run(self._words(log), self.cwd, environment, output, forward=not self.debug)
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
        on_slurm = "SLURM_JOB_ID" in os.environ and os.environ.get("SUBMITIT_EXECUTOR") == "slurm"
        return 0 if on_slurm else int(environment.get("WORLD_SIZE", "1"))

    def _warn_at(self) -> float:
        """When (monotonic seconds) USR2 may be passed on: Slurm may send it a minute too early."""
        if self.minutes is None:
            return 0.0
        return time.monotonic() + max(0, self.minutes * 60 - self.signal_delay)

    def _words(self, log: Path) -> list[str]:
        command = self.command
        if self.spmd:
            # Slurm sends USR2 to every process, up to a minute too early: it must not end those that do not
            # expect it. On TERM the shell waits for its program before it ends.
            command = f"trap '' USR2; trap 'exit 143' TERM; {command}"
        if len(command.encode()) > _LONGEST_ARGUMENT:
            script = log.with_suffix(".sh")
            script.write_text(command, encoding="utf-8")
            return [*self.prefix, self.shell[0], str(script)]
        return [*self.prefix, *self.shell, command]


class _Watch:
    """Runs one command in a process group of its own and passes signals on until it has ended."""

    def __init__(self, report: RankReport, folder: Path, job_id: str, siblings: int, warn_at: float) -> None:
        self.report = report
        self.folder = folder
        self.job_id = job_id
        self.siblings = siblings
        self.warn_at = warn_at
        self.received: list[int] = []
        self.warning_due: float | None = None
        self.kill_due: float | None = None

    def run(self, words: list[str], cwd: str, environment: dict[str, str], output: IO[bytes], forward: bool) -> int:
        """Start the command and wait for it; its return code as subprocess gives it."""
        with self._signals(forward) as wake:
            child = subprocess.Popen(
                words,
                cwd=cwd,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
            self.report.command_pid = child.pid
            write_report(self.folder, self.job_id, self.report)
            try:
                return self._wait(child, wake)
            finally:
                # what the command left running must not outlive the rank
                _signal_group(child, signal.SIGKILL)
                child.wait()

    def _wait(self, child: "subprocess.Popen[bytes]", wake: int | None) -> int:
        if wake is None:
            return child.wait()
        while (returncode := child.poll()) is None:
            self._pass_on(child)
            ready, _, _ = select.select([wake], [], [], self._pause())
            if ready:
                os.read(wake, 4096)
        if _stopped_by(returncode) and not self.report.told_to_stop:
            # Slurm signals every process of a job at once: ours may be a moment later than the command's
            select.select([wake], [], [], _SIGNAL_LAG)
        self._note_signals()
        return returncode

    def _pause(self) -> float | None:
        """Seconds until something must be looked at without a signal; None: nothing, sleep undisturbed."""
        times = [due - time.monotonic() for due in (self.warning_due, self.kill_due) if due is not None]
        if self.siblings > 1 and not self.report.told_to_stop:
            times.append(_SIBLING_INTERVAL)
        return max(0.0, min(times)) if times else None

    def _pass_on(self, child: "subprocess.Popen[bytes]") -> None:
        current = time.monotonic()
        for number in self._note_signals():
            if number == signal.SIGUSR2:
                self.warning_due = max(current, self.warn_at)
            else:
                self._stop(child, number)
        if self.warning_due is not None and current >= self.warning_due:
            self.warning_due = None
            _signal_group(child, signal.SIGUSR2)
        if self.kill_due is not None and current >= self.kill_due:
            self.kill_due = None
            _signal_group(child, signal.SIGKILL)
        if self.siblings > 1 and not self.report.told_to_stop and self._sibling_failed():
            self.report.signals.append("another rank failed")
            self.report.told_to_stop = True
            write_report(self.folder, self.job_id, self.report)
            self._stop(child, signal.SIGINT)

    def _note_signals(self) -> list[signal.Signals]:
        """Take what has been received into the report; the signals."""
        numbers = [signal.Signals(self.received.pop(0)) for _ in range(len(self.received))]
        if numbers:
            self.report.signals += [number.name for number in numbers]
            self.report.told_to_stop = True
            self.report.time_limit |= signal.SIGUSR2 in numbers
            write_report(self.folder, self.job_id, self.report)
        return numbers

    def _stop(self, child: "subprocess.Popen[bytes]", cause: signal.Signals) -> None:
        """Ask the command to end. On Slurm, Slurm decides how long it may take; on one machine we do."""
        _signal_group(child, signal.SIGTERM)
        if self.siblings:
            due = time.monotonic() + _SECONDS_TO_STOP[cause]
            self.kill_due = due if self.kill_due is None else min(due, self.kill_due)

    def _sibling_failed(self) -> bool:
        for other in read_reports(self.folder, self.job_id, self.siblings):
            if other.rank != self.report.rank and (other.failed or _died_unheard(other)):
                return True
        return False

    @contextmanager
    def _signals(self, forward: bool) -> Iterator[int | None]:
        """Collect signals in `received`, each of them readable as a byte on the yielded descriptor."""
        if not forward:
            yield None
            return
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        os.set_blocking(reader, False)
        watched = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)
        before = {number: signal.signal(number, self._receive) for number in watched}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda number, frame: None)
        wake_before = signal.set_wakeup_fd(writer)
        try:
            yield reader
        finally:
            signal.set_wakeup_fd(wake_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(reader)
            os.close(writer)

    def _receive(self, number: int, frame: object) -> None:
        self.received.append(number)


def _stopped_by(returncode: int) -> bool:
    """Whether a return code says that a signal to stop ended the command."""
    return (-returncode if returncode < 0 else returncode - 128) in (signal.SIGTERM, signal.SIGUSR2)


def _signal_group(child: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    # PermissionError: macOS, for a group of zombies
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def _died_unheard(other: RankReport) -> bool:
    """Whether a rank on this machine has gone without having written its end."""
    if other.ended_at is not None:
        return False
    try:
        os.kill(other.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
