"""What follows when a job has ended: the same, whether Snakemake was watching or was started again afterwards."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from .failed_nodes import FailedNodes
from .ledger import ENDED, STOPPING, SUBMITTED, SUCCEEDED, Ledger
from .live import Live
from .outcomes import Outcome, judge
from .ranks import now
from .reporting import Message, record, write_failure
from .restarts import AGAIN, NEVER, Decision, Restarts, at_the_same_attempt, without_retries
from .stopping import was_stopping


def note_interrupted(live: Live, base: Path, ledger: Ledger) -> None:
    """Write down that a job was told to stop by an interrupt; one that had completed before stays a success."""
    if live.outcome is None and not live.on_slurm:
        live.outcome = _success(live)
    elif live.outcome is not None and live.outcome.success and _stopped_half_way(live):
        live.outcome = None
    status = STOPPING if live.on_slurm else ENDED
    if live.outcome is not None:
        status = SUCCEEDED if live.outcome.success else ENDED
    else:
        live.outcome = Outcome("CANCELLED", reason="Snakemake was interrupted", ended_at=now())
    record(live, base)
    ledger.note_end(live.entry, status)


def all_noted_interrupted(jobs: Sequence[Live], base: Path, ledger: Ledger, tell: Callable[[str], None]) -> bool:
    """Note of the jobs whose end is not noted yet that they were told to stop; whether all of that is written."""
    left = 0
    for job in (job for job in jobs if job.entry.status == SUBMITTED):
        try:
            note_interrupted(job, base, ledger)
        except (WorkflowError, OSError) as error:
            left += 1
            tell(f"{job.label}: job {job.job_id} was cancelled, which is not noted: {error}")
    return not left and ledger.is_written


def _success(live: Live) -> Outcome | None:
    """The outcome of a local job whose ranks have all left a result, before anybody looked; None for any other."""
    try:
        done = live.results()
        if len(done) < live.entry.ranks or not all(done) or live.was_told_to_stop():
            return None
        return judge(live.reports(), None, None, on_slurm=False, completed=True)
    except OSError:  # a file server that is away: the job is run again
        return None


def _stopped_half_way(live: Live) -> bool:
    """Whether a success may be that of a command that was told to stop; also where that cannot be read now."""
    try:
        return live.was_told_to_stop()
    except OSError:
        return True


class Ends:
    """Writes down how jobs end, and decides what becomes of those that did not complete."""

    def __init__(
        self,
        base: Path,
        ledger: Ledger,
        failed_nodes: FailedNodes,
        restarts: Restarts,
        warn: Callable[[str], None],
    ) -> None:
        self._base = base
        self._ledger = ledger
        self._failed_nodes = failed_nodes
        self._restarts = restarts
        self._warn = warn

    def note(self, live: Live, outcome: Outcome) -> Message:
        """Write down how a job has ended, and which node is to blame; why it failed, in words."""
        if live.on_slurm and (blamed := self._failed_nodes.note(outcome)):
            self._warn(f"{live.label}: {', '.join(blamed)} failed under job {live.job_id}")
            outcome = replace(outcome, failing_node=blamed[0] if len(blamed) == 1 else None)
        live.outcome = outcome
        message = write_failure(live, outcome)
        record(live, self._base)
        return message

    def decide(self, live: Live, outcome: Outcome, job: Any) -> Decision:
        """Whether Snakemake's `job` is started again; it is told so by its number of attempts."""
        submission = live.job_id, live.entry.submitted_at
        decision = self._restarts.decide(live.entry.key, outcome, live.on_slurm, job.restart_times, submission)
        if decision.how == AGAIN:
            at_the_same_attempt(job)
        elif decision.how == NEVER:
            without_retries(job)
        return decision

    def settle(self, ended: Sequence[tuple[Live, Outcome, Any]]) -> list[tuple[Message, Decision | None]]:
        """Note jobs that have ended (each with Snakemake's own) and decide about each, then close them all.

        There is no decision about a success.
        """
        found: list[tuple[Message, Decision | None]] = []
        for live, outcome, job in ended:
            message = self.note(live, outcome)
            found.append((message, None if outcome.success else self.decide(live, outcome, job)))
        self._close([(live, outcome.success) for live, outcome, _ in ended])
        return found

    def close(self, live: Live, success: bool) -> None:
        """Let the ledger know that a job has ended: after the decision, which must outlive a kill in between."""
        self._close([(live, success)])

    def _close(self, ended: Sequence[tuple[Live, bool]]) -> None:
        for live, success in ended:
            live.entry.status = SUCCEEDED if success else ENDED
        if ended:
            self._ledger.note(*(live.entry for live, _ in ended))
        for live, success in ended:
            if success:
                self._restarts.forget(live.entry.key)

    def asked_again(self, key: str) -> bool:
        """Whether the user asked for a job once more (--submitit-again, --forcerun)."""
        return self._restarts.asked_again(key)

    def were_ours(self, run: str) -> bool:
        """Whether jobs of an earlier run that were cancelled were cancelled by its own interrupt."""
        return was_stopping(self._base, run)
