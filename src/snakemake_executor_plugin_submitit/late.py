"""What ranks and daemons say of an end that Slurm calls FAILED, where a file system shows it seconds late.

Slurm says FAILED also of a rank that was warned of its time limit or of preemption and ended with a code, and on
some clusters of one that memory ran out for. Only the rank's report, or a daemon's line in submitit's error file,
tells these apart, and the end of a job may be heard of before they are seen. An end that they could change is held
back, for as long as files may look as they were, and looked at again meanwhile; Slurm is not asked again.
"""

import signal
import time

from .gone import all_have_ended
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
    # the line of a daemon follows the end of what it killed
    killed = any(report.signal == signal.SIGKILL for report in reports)
    if all_have_ended(reports, job.entry.ranks) and not killed:
        return False
    if job.held is None:
        job.held = Held(facts, time.monotonic())
    return time.monotonic() - job.held.since < latency
