"""What is written down when a job has ended: the attempts file, the rule's log, and the message of a failure."""

from dataclasses import dataclass
from pathlib import Path

from .attempts import append_attempt, attempts_path
from .live import Live
from .logs import failure_message, fill_rule_log, own_log
from .outcomes import Outcome
from .writing import said_where_it_fails


@dataclass(frozen=True)
class Message:
    """The text of a failure and the logs to look at."""

    text: str
    logs: list[str]


def write_failure(live: Live, outcome: Outcome) -> Message:
    """Fill the rule's log where the command did not, and say why the job failed (empty where it did not)."""
    entry = live.entry
    reports = live.judged_by or []
    with said_where_it_fails(f"{live.label}: the log {entry.log}"):
        if live.judged_by is None:
            reports = live.reports()
        fill_rule_log(entry.log, entry.log_before, reports, outcome, live.folder, live.job_id, entry.ranks)
    if outcome.success:
        return Message("", [])
    scheduler = {"slurm": "Slurm"}.get(entry.cluster, entry.cluster)
    log = own_log(live.folder, live.job_id, outcome.failing_rank or 0, reports)
    text = failure_message(str(live.label), scheduler, live.job_id, outcome, log, entry.ranks, entry.name)
    return Message(text, [str(log)])


def record(live: Live, base: Path) -> None:
    """Add how a job ended to its attempts file."""
    if live.outcome is None:
        raise RuntimeError(f"job {live.entry.name} has not ended")
    with said_where_it_fails(f"{live.label}: what became of job {live.entry.job_id}"):
        append_attempt(
            attempts_path(live.entry.log, base, live.entry.key),
            live.outcome,
            cluster=live.entry.cluster,
            external_jobid=live.entry.job_id,
            name=live.entry.name,
            submitted_at=live.entry.submitted_at,
            rule=live.label.rule,
            wildcards=live.label.wildcards,
            outputs=live.label.outputs,
        )
