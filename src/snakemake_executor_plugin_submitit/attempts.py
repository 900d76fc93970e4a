"""The attempts file: a JSON list beside a job's log, with one entry per attempt at running the job."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .outcomes import Outcome
from .ranks import write_aside


def attempts_path(log: str | None, folder: Path, key: str) -> Path:
    """Where a job's attempts are: LOG without `.log`, with `.attempts.json`; without a log in `folder`, by key."""
    if log is None:
        return folder / "attempts" / f"{key}.attempts.json"
    return Path(f"{log.removesuffix('.log')}.attempts.json")


def read_attempts(path: Path) -> list[dict[str, Any]]:
    """The attempts so far, oldest first; empty where there is no file.

    Raises ValueError (naming the file) where it is not a list of objects.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except RecursionError:
        raise ValueError(f"{path}: nested too deeply") from None
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise ValueError(f"{path}: not a list of attempts")
    return content


def append_attempt(
    path: Path,
    outcome: Outcome,
    *,
    cluster: str,
    external_jobid: str | None,
    name: str,
    submitted_at: str,
    rule: str,
    wildcards: Mapping[str, str],
    outputs: Sequence[str],
) -> None:
    """Add one attempt (written aside and renamed). An attempt that is there already is not added again.

    A file that cannot be read as attempts is kept as `<name>.unreadable`, and a new one is begun.
    """
    try:
        attempts = read_attempts(path)
    except ValueError:
        path.replace(path.with_name(path.name + ".unreadable"))
        attempts = []
    identity = (cluster, external_jobid, submitted_at)
    if identity in [(a.get("cluster"), a.get("external_jobid"), a.get("submitted_at")) for a in attempts]:
        return
    attempts.append(
        {
            "attempt": len(attempts) + 1,
            "cluster": cluster,
            "external_jobid": external_jobid,
            "name": name,
            "state": outcome.state,
            "exit_code": outcome.exit_code,
            "signal": outcome.signal,
            "reason": outcome.reason,
            "failing_rank": outcome.failing_rank,
            "failing_node": outcome.failing_node,
            "nodes": list(outcome.nodes) or None,
            "submitted_at": submitted_at,
            "started_at": outcome.started_at,
            "ended_at": outcome.ended_at,
            "rule": rule,
            "wildcards": dict(wildcards),
            "outputs": list(outputs),
        }
    )
    content = _in_lines(attempts)
    try:
        write_aside(path, content)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_aside(path, content)


def _in_lines(attempts: Sequence[Mapping[str, Any]]) -> str:
    """JSON with a line for each key, for a person too; `indent` would leave C's encoder for a slower one."""
    return json.dumps(attempts, separators=(",\n  ", ": ")) + "\n"
