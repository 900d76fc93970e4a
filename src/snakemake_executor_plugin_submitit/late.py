"""What ranks and daemons say of an end that Slurm calls FAILED, where a file system shows it seconds late.

Slurm says FAILED also of a rank that was warned of its time limit or of preemption and ended with a code, and on
some clusters of one that memory ran out for. Only the rank's report, or a daemon's line in submitit's error file,
tells these apart, and the end of a job may be heard of before they are seen. An end that they could change is held
back, for as long as files may look as they were, and looked at again meanwhile; Slurm is not asked again.
"""

import os
import signal
import time
from collections.abc import Sequence

from .gone import all_have_ended
from .logs import submitit_files
from .ranks import RankReport
from .status import Accounting
from .submitted import Held, Live


def may_change(job: Live, facts: Accounting | None, memory: str | None, latency: float) -> bool:
    """Whether what may show up still could change what the end of a job is; notes since when that is waited for.

    `facts` is what Slurm says, `memory` the daemons' word that memory ran out. Nothing is waited for where the job
    never started, nor where its ranks had the time to be seen while the job was fenced.
    """
    reports = job.judged_by or []
    started = bool(reports or (facts is not None and facts.nodes))
    if facts is None or facts.state != "FAILED" or memory or not started:
        return False
    if job.fenced_since is not None or job.unreadable:
        return False
    if all_have_ended(reports, job.entry.ranks) and _daemons_are_seen(job, reports):
        return False
    if job.held is None:
        job.held = Held(facts, time.monotonic())
    return time.monotonic() - job.held.since < latency


def _daemons_are_seen(job: Live, reports: Sequence[RankReport]) -> bool:
    """Whether the file in which a daemon would say why it killed a command is there: Slurm makes it first."""
    killed = [report.rank for report in reports if report.signal == signal.SIGKILL]
    files = submitit_files(job.folder, job.job_id, job.entry.ranks, "log.err")
    return all(os.access(files[rank], os.F_OK) for rank in killed)
