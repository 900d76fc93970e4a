"""Logs: the end of the failing rank's own, the message made of it, and the rule's `log:` file."""

import os
from collections.abc import Sequence
from pathlib import Path

from .outcomes import Outcome, tail_text
from .ranks import RankReport, output_path

_TAIL_LINES = 20
_COPIED_BYTES = 1 << 20


def submitit_files(folder: Path, job_id: str, ranks: int, suffix: str) -> list[Path]:
    """submitit's own files of a job, by rank: suffix `log.err`, `log.out` or `result.pkl`."""
    return [folder / f"{job_id}_{rank}_{suffix}" for rank in range(ranks)]


def own_log(folder: Path, job_id: str, rank: int, reports: Sequence[RankReport]) -> Path:
    """The log of a rank: its command's output; submitit's error file where it died unheard."""
    path = output_path(folder, job_id, rank)
    ended = any(report.rank == rank and report.ended_at for report in reports)
    written = bool(tail_text(path, 1))
    return path if ended or written else folder / f"{job_id}_{rank}_log.err"


def last_lines(path: Path, count: int = _TAIL_LINES) -> list[str]:
    """The last lines of a file, none where there is no file."""
    return tail_text(path).splitlines()[-count:]


def failure_message(
    label: str, scheduler: str, job_id: str, outcome: Outcome, log: Path, ranks: int, run: str
) -> str:
    """Why a job failed, for a person: job, id, state in words, failing rank, the end of its log, where logs are.

    `label` names the job, `scheduler` is Slurm or local, `log` the failing rank's (else rank 0's) log, `run` the
    name under which the job was submitted.
    """
    rank = outcome.failing_rank if outcome.failing_rank is not None else 0
    lines = [f"{label}: {scheduler} job {job_id} ({run}) ended as {outcome.state}: {outcome.reason}."]
    tail = last_lines(log)
    whose = f"rank {rank}'s log" if outcome.failing_rank is not None else f"the log of rank {rank}"
    if tail:
        lines.append(f"The last lines of {whose} ({log}):")
        lines += [f"    {line}" for line in tail]
    elif outcome.failing_rank is not None:
        lines.append(f"Rank {rank} wrote nothing to its log ({log}){_where_full(log.parent)}.")
    lines.append(f"Logs of all {ranks} rank(s): {log.parent}/{job_id}_*")
    return "\n".join(lines) + "\n"


def _where_full(folder: Path) -> str:
    """A rank that cannot write dies without a word: that its disk is full must be said by somebody else."""
    try:
        return "" if os.statvfs(folder).f_bavail else "; no space is left there"
    except OSError:
        return ""


def stat_of(log: str | None) -> tuple[int, int] | None:
    """Size and time of a log, to tell later whether anyone wrote to it; None where there is none."""
    if log is None:
        return None
    try:
        found = Path(log).stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns


def _moved(rank_log: Path, log: str) -> bool:
    """Whether a rank's log could be given the name of the rule's: that is no new file, and nothing is copied."""
    try:
        rank_log.replace(log)
    except OSError:  # on another file system, or the rank could not write one
        return False
    return True


def _ending(report: RankReport | None, outcome: Outcome, folder: Path) -> str:
    """How a rank ended, and where; of a success that is known although its report was not seen, or as it was."""
    where = f"on {report.node} " if report else ""
    if outcome.success and (report is None or report.ended_at is None):
        return f"{where}completed; its report had not been seen, and its log is here as far as it had ({folder})"
    return f"{where}{report.ending()}" if report else "did not start its command"


def fill_rule_log(
    log: str | None,
    before: tuple[int, int] | None,
    reports: Sequence[RankReport],
    outcome: Outcome,
    folder: Path,
    job_id: str,
    ranks: int,
) -> None:
    """Write the rule's log from the ranks' logs, unless the command wrote it itself.

    `before` is `stat_of(log)` at submission. The log of the only rank of a success becomes the rule's as it is.
    Else rank 0's and that of every rank that failed by itself are copied (the end of them, where they are long),
    each under a line that names rank, node and ending. The report of a success may not be seen yet, and its log.
    """
    current = stat_of(log)
    if log is None or (current is not None and current != before and current[0] > 0):
        return
    if outcome.success and ranks == 1 and _moved(output_path(folder, job_id, 0), log):
        return
    wanted = {0, outcome.failing_rank} - {None}
    wanted |= {report.rank for report in reports if report.failed and not report.told_to_stop}
    by_rank = {report.rank: report for report in reports}
    parts = []
    for rank in sorted(rank for rank in wanted if rank is not None):
        parts.append(f"==== rank {rank} {_ending(by_rank.get(rank), outcome, folder)} ====\n")
        parts.append(tail_text(own_log(folder, job_id, rank, reports), _COPIED_BYTES))
        if not parts[-1].endswith("\n"):
            parts.append("\n")
    if not outcome.success:
        parts.append(f"==== job {job_id}: {outcome.state}: {outcome.reason} ====\n")
    path = Path(log)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(parts), encoding="utf-8")
