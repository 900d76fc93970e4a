"""Ids that Slurm has given twice: a name tells whose an answer is.

A controller that dies loses what it had not saved, up to some seconds of it, and counts its ids on from what it had
saved: the next job takes the id of one that was lost. What Slurm says under that id is of the other job then, and
scancel ends the other job. Every submission has a name of its own (`batches.job_name`). Seen on Slurm 22.05.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from .status import Queued
from .submitted import Live


def note_reused(jobs: Sequence[Live], queue: Mapping[str, Queued]) -> None:
    """Note of each job whether the queue shows its id, or its array's, as another's; one not shown stays as it was.

    Only the queue is asked: an id that is given anew after the highest may be an old job's to accounting.
    """
    names: dict[str, set[str]] = defaultdict(set)
    for job_id, place in queue.items():
        names[_root(job_id)].add(place.name)
    for job in jobs:
        found = names.get(_root(job.job_id))
        if found is not None:
            job.id_given_to = None if job.entry.name in found else min(found)


def _root(job_id: str) -> str:
    return job_id.partition("_")[0]
