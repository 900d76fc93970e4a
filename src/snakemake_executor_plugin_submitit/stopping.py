"""Cancelling jobs: all of them in one call on Slurm, process by process on this machine."""

import time
from collections.abc import Sequence

from . import processes, slurm
from .live import Live

_TRIES = 3


def stop_jobs(jobs: Sequence[Live], timeout: float) -> None:
    """Cancel jobs; local ones have ended when this returns.

    Raises SlurmUnavailable where Slurm could not be told, after several tries.
    """
    for job in jobs:
        if job.entry.cluster == "local" and job.outcome is None:
            processes.end_job(job.job_id, job.folder)
    ids = _ids([job for job in jobs if job.on_slurm and job.outcome is None])
    for attempt in range(1, _TRIES + 1):
        try:
            slurm.cancel(ids, timeout)
            return
        except slurm.SlurmUnavailable:
            if attempt == _TRIES:
                raise
            time.sleep(attempt)


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
