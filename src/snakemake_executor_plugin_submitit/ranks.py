"""What each rank leaves behind about itself: one small JSON file per rank, beside submitit's own files.

submitit's result says that a rank failed; these files say when, where, how, and whether it was told to stop
first, which is what finding the rank that failed by itself takes.
"""

import json
import os
import signal
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path


def now() -> str:
    """The time as ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_aside(path: Path, text: str) -> None:
    """Write a file aside and rename it, so that nobody ever reads half of it."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_bytes(text.encode())
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: object) -> None:
    """Write a JSON file aside and rename it; on one line, for C's encoder cannot indent."""
    write_aside(path, json.dumps(content) + "\n")


@dataclass
class RankReport:
    """One rank of one job. Times are ISO 8601 in UTC; `ended_at` is None while it runs, or died unheard."""

    rank: int
    node: str
    pid: int
    started_at: str
    restart: int = 0
    command_pid: int | None = None
    ended_at: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    told_to_stop: bool = False
    time_limit: bool = False
    signals: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether its command ended, and not with 0."""
        return self.ended_at is not None and (self.exit_code != 0 or self.signal is not None)

    def set_end(self, returncode: int) -> None:
        """Take over the return code of the command as subprocess gives it (negative: a signal).

        A shell says 128 + n when what it ran was ended by signal n.
        """
        self.ended_at = now()
        if returncode < 0:
            self.exit_code, self.signal = None, -returncode
        else:
            self.exit_code = returncode
            self.signal = returncode - 128 if signal_name(returncode - 128) else None

    def ending(self) -> str:
        """How it ended, in words."""
        if self.ended_at is None:
            return "died without a word (its process was killed)"
        if self.signal is not None:
            code = "" if self.exit_code is None else f", exit code {self.exit_code}"
            return f"was ended by signal {self.signal} ({signal_name(self.signal)}){code}"
        return f"ended with exit code {self.exit_code}"


def signal_name(number: int) -> str | None:
    """SIGKILL for 9; None for what is no signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return None


def report_path(folder: Path, job_id: str, rank: int) -> Path:
    """Where a rank's report is."""
    return folder / f"{job_id}_{rank}_rank.json"


def output_path(folder: Path, job_id: str, rank: int) -> Path:
    """Where a rank's own log is: standard output and error of its command, in the order they were written."""
    return folder / f"{job_id}_{rank}_output.log"


def write_report(folder: Path, job_id: str, report: RankReport) -> None:
    """Leave a rank's report in its job's folder."""
    write_json(report_path(folder, job_id, report.rank), asdict(report))


def read_reports(folder: Path, job_id: str, ranks: int) -> list[RankReport]:
    """The reports of a job's ranks, by rank; ranks that never started are left out.

    Reports of an earlier start of a requeued job are left out too.
    """
    reports = []
    for rank in range(ranks):
        try:
            content = json.loads(report_path(folder, job_id, rank).read_text(encoding="utf-8"))
            reports.append(RankReport(**content))
        except FileNotFoundError:
            continue
        except (ValueError, TypeError, RecursionError):
            continue  # a disk that is full: what a rank could not write it has not said
    last = max((report.restart for report in reports), default=0)
    return [report for report in reports if report.restart == last]


def failing_rank(reports: Iterable[RankReport]) -> RankReport | None:
    """The rank that failed by itself, and first; None where that cannot be told.

    Ranks that were told to stop (by a signal from outside, or because another rank had failed) do not count.
    Where no rank failed by itself but exactly one died without a word while the others ended, or were told to,
    it is that one.
    """
    reports = list(reports)
    by_itself = [report for report in reports if report.failed and not report.told_to_stop]
    if by_itself:
        return min(by_itself, key=lambda report: (report.ended_at or "", report.rank))
    # one that was told to stop has said so at once, and may still be ending
    silent = [report for report in reports if report.ended_at is None and not report.told_to_stop]
    return silent[0] if len(silent) == 1 else None
