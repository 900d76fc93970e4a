"""Running one command on a rank: in a process group of its own, with signals passed on, until it has ended.

A signal wakes us. Nothing polls while the command runs, but that ranks on one machine watch each other, and that
every 15 s a rank on Slurm looks whether its submission still is the current one (`fencing.py`).
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from .fencing import INTERVAL, Fence
from .ranks import RankReport, read_reports, write_report

_SECONDS_TO_STOP = {signal.SIGTERM: 5.0, signal.SIGHUP: 5.0, signal.SIGINT: 0.6}
_SIBLING_INTERVAL = 0.5
_SIGNAL_LAG = 0.3  # seconds by which Slurm's signal to all processes of a job may reach ours after the command's
_WARNING_LAG = 3.0  # where the warning before the time limit may be on its way: on a busy node 0.3 s were too few
_TOO_EARLY = 60.0  # seconds by which Slurm may send that warning before its time


class Superseded(RuntimeError):
    """This rank's submission is no longer the current one of its job; its command was killed."""


class WatchedCommand:
    """Runs one command in a process group of its own and passes signals on until it has ended.

    Where there is a `fence`, it ends when its submission is no longer the current one.
    """

    def __init__(
        self,
        report: RankReport,
        folder: Path,
        job_id: str,
        siblings: int,
        warn_at: float,
        fence: Fence | None = None,
    ) -> None:
        self.report = report
        self.folder = folder
        self.job_id = job_id
        self.siblings = siblings
        self.warn_at = warn_at
        self.received: list[int] = []
        self.warning_due: float | None = None
        self.kill_due: float | None = None
        self.fence = fence
        self.fence_due: float | None = None if fence is None else time.monotonic() + INTERVAL

    def run(self, words: list[str], cwd: str, environment: dict[str, str], output: IO[bytes], forward: bool) -> int:
        """Start the command and wait for it; its return code as subprocess gives it.

        Raises Superseded, once the command's processes have been killed.
        """
        self._stay_if_current()
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
            if self.fence_due is not None and time.monotonic() >= self.fence_due:
                self._stay_if_current()
            self._pass_on(child)
            ready, _, _ = select.select([wake], [], [], self._pause())
            if ready:
                os.read(wake, 4096)
        if returncode and not self.report.told_to_stop:
            self._await_signal(wake)
        self._stay_if_current()
        self._note_signals()
        return returncode

    def _stay_if_current(self) -> None:
        """Raise Superseded where another submission has taken this one's place."""
        if self.fence is not None:
            self.fence_due = time.monotonic() + INTERVAL
            if (why := self.fence.superseded()) is not None:
                raise Superseded(why)

    def _await_signal(self, wake: int) -> None:
        """Give a signal that the command may have ended from the time to come here too.

        Slurm signals one process of a job after the other; a command that saves its state and ends with a code of
        its own choice can be gone before ours is signalled, and must not be taken for one that failed by itself.
        """
        current = time.monotonic()
        warned = self.warn_at > 0 and current > self.warn_at - _TOO_EARLY
        due = current + (_WARNING_LAG if warned else _SIGNAL_LAG)
        while not self.received and (left := due - time.monotonic()) > 0:
            if select.select([wake], [], [], left)[0]:
                os.read(wake, 4096)  # also of signals that are not collected, as that of the command's end

    def _pause(self) -> float | None:
        """Seconds until something must be looked at without a signal; None: nothing, sleep undisturbed."""
        due_times = (self.warning_due, self.kill_due, self.fence_due)
        times = [due - time.monotonic() for due in due_times if due is not None]
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
            self._stay_if_current()
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
        try:
            others = read_reports(self.folder, self.job_id, self.siblings)
        except OSError:  # not readable now: looked at again
            return False
        return any(other.rank != self.report.rank and (other.failed or _died_unheard(other)) for other in others)

    @contextmanager
    def _signals(self, forward: bool) -> Iterator[int | None]:
        """Collect signals in `received`, each of them readable as a byte on the yielded descriptor."""
        if not forward:
            yield None
            return
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        os.set_blocking(reader, False)
        watched = [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup leaves it
            watched.append(signal.SIGHUP)
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
