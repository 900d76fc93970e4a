"""The end of jobs of which neither the queue nor accounting tells: decided once both have been silent for long.

A waiting element of an array that somebody cancels leaves no trace: Slurm takes it out of the one record that
stands for all elements that wait (7_[0-3] becomes 7_[0,2-3]), in the queue and in accounting, and makes none of its
own. One that has started has a record of its own. Seen on Slurm 22.05.

One whose id the queue shows as another job's is gone for certain (`reused.py`).
"""

import time
from collections.abc import Callable, Mapping

from .status import Accounting
from .submitted import Live

UNKNOWN_SECONDS = 120.0  # accounting may take this long to hear of a job
_UNSEEN_SECONDS = 120.0  # for so long neither the queue nor accounting, both answering, has it: it is gone
_SILENT_SECONDS = 1800.0  # for so long accounting alone is away: then the queue and the ranks decide
_STALE_SECONDS = 900.0  # a controller may take this long to tell an accounting that was away how jobs have ended


_TAKEN_OUT = (
    "it never started, and is neither in the queue nor in accounting, which has others of its array: that is how "
    "Slurm shows one that was cancelled while it waited"
)


class Lost:
    """Decides about jobs that a queue which answered does not show; `say` warns once in a while, by a word."""

    def __init__(self, say: Callable[[str, str], None]) -> None:
        self._say = say

    def end_of(self, job: Live, known: Mapping[str, Accounting] | None, kept: bool) -> Accounting | None:
        """The end of a job that is not in the queue and of which accounting does not tell; None: not decided yet.

        `known` is what accounting says, None where it does not answer; `kept`: whether this Slurm keeps accounts.
        It has ended if accounting, asked all the while, does not have it. While accounting is down only the ranks
        can say how such a job ended, and they are asked last.
        """
        if job.id_given_to is not None:  # nothing that is still to be heard under its id is of this job
            reason = f"Slurm has lost it, and given its id to {job.id_given_to}"
            return Accounting(state="FAILED", reason=reason, concluded=True)
        current = time.monotonic()
        if known is None and kept:
            return self._unheard(job, current)
        job.unheard_since = None
        if job.unseen_since is None:
            job.unseen_since = current
        facts = job.own(known) if known is not None else None
        patience = _UNSEEN_SECONDS if facts is None else _STALE_SECONDS
        if job.age() <= UNKNOWN_SECONDS or current - job.unseen_since < patience:
            return None
        if known is not None and facts is None and _was_taken_out(job, known):
            return Accounting(state="CANCELLED", reason=_TAKEN_OUT, concluded=True)
        said = f"has it as {facts.state}" if facts else "does not know it"
        said = "is not kept here" if known is None else said
        return Accounting(state="FAILED", reason=f"it is not in the queue and accounting {said}", concluded=True)

    def _unheard(self, job: Live, current: float) -> Accounting | None:
        """The end of a job that left the queue while accounting does not answer."""
        job.unseen_since = None
        self._say("lost", "Jobs have left the queue without a result; their end is known when accounting answers")
        if job.unheard_since is None:
            job.unheard_since = current
        if current - job.unheard_since < _SILENT_SECONDS:
            return None
        return Accounting(
            state="FAILED",
            reason=f"it is not in the queue, and accounting has not answered for {_SILENT_SECONDS / 60:g} min; "
            "what its ranks have not said is not known",
            concluded=True,
        )


def _was_taken_out(job: Live, known: Mapping[str, Accounting]) -> bool:
    """Whether a job is of an array of which accounting knows others, and nothing says that it ever started."""
    array, _, index = job.job_id.partition("_")
    waited = job.shown_as in (None, "PENDING")  # None: this Snakemake has not seen it
    of_array = (facts for other, facts in known.items() if other.startswith(f"{array}_"))
    if not (index and waited and any(facts.name in (None, job.entry.name) for facts in of_array)):
        return False
    try:
        return not job.reports()
    except OSError:
        return False
