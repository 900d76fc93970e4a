"""Cancelling jobs: all of them together, in one call on Slurm."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from snakemake_interface_common.exceptions import WorkflowError

from . import processes, slurm
from .jobs import Label
from .ledger import Entry
from .live import Live
from .writing import said_where_it_fails

_TRIES = 3
_TRIES_WITHOUT_ANSWER = 2  # each may take as long as a command has, and whoever pressed Ctrl-C waits
_MOST_NAMED = 10


def stop_jobs(jobs: Sequence[Live], timeout: float) -> None:
    """Cancel jobs; local ones have ended when this returns.

    An id that is another job's by now is left alone.
    Raises NotCancelled where Slurm could not be told, after several tries; a try is for those that are left.
    """
    local = {job.job_id: job.folder for job in jobs if job.entry.cluster == "local" and job.outcome is None}
    if local:
        processes.end_jobs(local)
    ids = _ids([job for job in jobs if job.on_slurm and job.outcome is None and not job.id_given_to])
    for attempt in range(1, _TRIES + 1):
        try:
            slurm.cancel(ids, timeout)
            return
        except slurm.NotCancelled as error:
            ids = list(error.ids)
            if attempt >= (_TRIES_WITHOUT_ANSWER if error.timed_out else _TRIES):
                raise
            time.sleep(attempt)


def told_to_stop(jobs: Sequence[Live], timeout: float, tell: Callable[[str], None]) -> bool:
    """Cancel jobs; where Slurm could not be told, `tell` which are left, and False."""
    try:
        stop_jobs(jobs, timeout)
    except slurm.NotCancelled as error:
        more = f" and {len(error.ids) - _MOST_NAMED} more" if len(error.ids) > _MOST_NAMED else ""
        named = " ".join(error.ids[:_MOST_NAMED]) + more
        tell(f"Jobs could not be cancelled, cancel them by hand (scancel {named}): {error}")
        return False
    return True


def found_under_way(
    entries: Sequence[Entry],
    ids: Callable[[Sequence[Entry]], Sequence[str | WorkflowError | OSError | None]],
    tell: Callable[[str], None],
) -> tuple[list[Live], bool]:
    """Those of the jobs that were being submitted when the interrupt came which were submitted; if those are all.

    `ids` finds them; where it cannot, `tell` their names.
    """
    unknown = [entry for entry in entries if entry.job_id is None]
    problems: dict[str, Exception] = {}
    try:
        for entry, job_id in zip(unknown, ids(unknown), strict=True):
            if isinstance(job_id, Exception):
                problems[entry.name] = job_id
            else:
                entry.job_id = job_id
    except (WorkflowError, OSError) as error:
        problems = {entry.name: error for entry in unknown}
    for name, problem in problems.items():
        tell(f"Job {name} may have been submitted; look for it by its name: {problem}")
    known = [entry for entry in entries if entry.job_id is not None]
    return [Live(entry, Label(entry.name, {}, (), entry.log)) for entry in known], not problems


def _ids(jobs: Sequence[Live]) -> list[str]:
    """Ids to cancel: the id of the array where all its jobs are meant, else the jobs' own."""
    by_array: dict[str, list[Live]] = {}
    for job in jobs:
        by_array.setdefault(job.job_id.split("_")[0], []).append(job)
    ids = []
    for root, members in by_array.items():
        whole = len(members) == members[0].entry.size
        ids += [root] if whole else [member.job_id for member in members]
    return ids


def note_stopping(base: Path, run: str) -> None:
    """Write down that a run cancels its jobs: should it be killed meanwhile, nobody else did."""
    with said_where_it_fails(f"{_mark(base, run)}: that jobs are being cancelled"):
        _mark(base, run).touch()


def was_stopping(base: Path, run: str) -> bool:
    """Whether a run was killed while it cancelled its jobs."""
    return _mark(base, run).exists()


def forget_stopping(base: Path, run: str) -> None:
    """The jobs of a run are cancelled, and written down as that."""
    with said_where_it_fails(f"{_mark(base, run)}: that jobs were cancelled"):
        _mark(base, run).unlink(missing_ok=True)


def _mark(base: Path, run: str) -> Path:
    return base / "runs" / f"{run}.stopping"
