"""Jobs of which nothing is submitted: why is written where their ends are, beside the log and in it."""

from pathlib import Path
from typing import Any

from .attempts import append_attempt, attempts_path
from .jobs import Label, key_of
from .mistakes import WrongResource
from .outcomes import Outcome
from .ranks import now
from .restarts import without_retries
from .writing import said_where_it_fails


def note_refused(job: Any, label: Label, why: object, cluster: str, base: Path) -> None:
    """Write down that a job never began: an attempt without id and begin, and a line in its log if that is empty.

    What no retry mends uses none up. What cannot be written is said, and nothing else fails: other jobs run.
    """
    if isinstance(why, WrongResource):
        without_retries(job)
    reason = str(why).strip()
    with said_where_it_fails(f"{label}: why it was not submitted"):
        append_attempt(
            attempts_path(label.log, base, key_of(label)),
            Outcome("FAILED", reason=reason),
            cluster=cluster,
            external_jobid=None,
            name=str(label),
            submitted_at=now(),
            rule=label.rule,
            wildcards=label.wildcards,
            outputs=label.outputs,
        )
        if label.log is not None:
            log = Path(label.log)
            if not log.exists() or not log.stat().st_size:
                log.write_text(f"==== not submitted: {reason} ====\n", encoding="utf-8")
