"""Jobs that are seen to have ended in one look: written down together, and before Snakemake hears of any."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from snakemake_executor_plugin_submitit import executor as executor_module
from snakemake_executor_plugin_submitit.ends import Ends
from snakemake_executor_plugin_submitit.executor import Executor
from snakemake_executor_plugin_submitit.failed_nodes import FailedNodes
from snakemake_executor_plugin_submitit.jobs import Label
from snakemake_executor_plugin_submitit.journal import Journal
from snakemake_executor_plugin_submitit.ledger import ENDED, SUBMITTED, SUCCEEDED, Entry, Ledger
from snakemake_executor_plugin_submitit.live import Live
from snakemake_executor_plugin_submitit.outcomes import Outcome
from snakemake_executor_plugin_submitit.restarts import Restarts

AT = "2026-01-01T00:00:00.000Z"
TOOK_LONG = Outcome("TIMEOUT", reason="it took long")


class Looking(Executor):
    """The executor beside no workflow: what Snakemake's scheduler hears, and what was written down by then."""

    def __init__(self, base: Path, outcomes: dict[str, Outcome | None], run: str = "cccccccccccc") -> None:
        self.heard: list[tuple[str, str]] = []
        self.status_then: list[dict[str, str]] = []
        self.base, self.cluster, self.outcomes = base, "slurm", outcomes
        self.ledger = Ledger(base, run)
        self.failed_nodes = FailedNodes(base, 5, lambda _: None)
        self.restarts = Restarts(base, 1, 20, False, lambda _: None)
        self.ends = Ends(base, self.ledger, self.failed_nodes, self.restarts, lambda _: None)
        self.logger: Any = SimpleNamespace(info=print, warning=print, error=print)
        self._guard, self._live, self._ready = threading.Lock(), {}, True
        self.status_rate_limiter: Any = asyncio.Semaphore()
        self.watcher: Any = SimpleNamespace(look=self._look)
        self.orphans: Any = SimpleNamespace(some_ended=lambda: False)
        self.backlog: Any = SimpleNamespace(look=lambda ended: None)
        scheduler = SimpleNamespace(finish_callback=self._finished, error_callback=self._errored)
        self.workflow: Any = SimpleNamespace(scheduler=scheduler)
        self.jobs = [self._submitted(key) for key in outcomes]

    def _submitted(self, key: str) -> SubmittedJobInfo:
        entry = Entry(key, self.ledger.run, "slurm", str(self.base), "n", 0, 1, 1, None, AT, job_id=f"7_{key}")
        self.ledger.write(entry)
        live = self._live[key] = Live(entry, Label(key, {}, (f"{key}.txt",), None))
        return SubmittedJobInfo(SimpleNamespace(name=key, restart_times=1, attempt=1), aux={"live": live})

    def _look(self, jobs: Sequence[Live]) -> None:
        for job in jobs:
            job.outcome, job.judged_by = self.outcomes[job.entry.key], []

    def _finished(self, job: Any) -> None:
        self._hear(job, "finished")

    def _errored(self, job: Any) -> None:
        self._hear(job, f"failed at attempt {job.attempt}")

    def _hear(self, job: Any, how: str) -> None:
        self.heard.append((job.name, how))
        self.status_then.append(written(self.base))

    def print_job_error(self, job_info: Any, msg: Any = None, **_: Any) -> None:
        return

    def look(self) -> list[str]:
        """Look once at all jobs; the names of those that have not ended."""

        async def names() -> list[str]:
            return [info.job.name async for info in self.check_active_jobs(self.jobs)]

        return asyncio.run(names())


def written(base: Path) -> dict[str, str]:
    """What a Snakemake that is started now would read in the ledger, by key."""
    return {str(entry["key"]): str(entry["status"]) for entry in Journal(base / "ledger.jsonl").read().values()}


def appends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many entries each later write to the ledger has."""
    sizes: list[int] = []
    append = Journal.append

    def counted(journal: Journal, objects: Sequence[dict[str, Any]], durable: bool) -> Any:
        sizes.append(len(objects))
        return append(journal, objects, durable)

    monkeypatch.setattr(Journal, "append", counted)
    return sizes


def test_the_ledger_hears_of_all_in_one_write_and_before_snakemake_hears_of_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = Outcome("COMPLETED", exit_code=0)
    made = Looking(tmp_path, {"a": done, "b": TOOK_LONG, "c": None, "d": Outcome("FAILED", exit_code=3)})
    sizes = appends(monkeypatch)
    assert made.look() == ["c"]
    assert sizes == [3]
    assert made.heard == [("a", "finished"), ("b", "failed at attempt 0"), ("d", "failed at attempt 1")]
    assert made.status_then == [{"a": SUCCEEDED, "b": ENDED, "c": SUBMITTED, "d": ENDED}] * 3
    assert list(made._live) == ["c"]
    made.ledger.close()


def test_the_first_of_very_many_do_not_wait_for_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor_module, "_TOGETHER", 2)
    made = Looking(tmp_path, dict.fromkeys("abcde", Outcome("COMPLETED", exit_code=0)))
    sizes = appends(monkeypatch)
    assert made.look() == []
    assert sizes == [2, 2, 1]
    assert [name for name, _ in made.heard] == list("abcde")
    assert [list(then.values()).count(SUCCEEDED) for then in made.status_then] == [2, 2, 4, 4, 5]
    made.ledger.close()


def test_what_a_kill_between_the_decisions_and_the_ledger_left_is_decided_again_and_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: Any) -> None:
        raise Killed

    outcomes: dict[str, Outcome | None] = dict.fromkeys("ab", TOOK_LONG)
    made = Looking(tmp_path, outcomes)
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "note", killed)
        with pytest.raises(Killed):
            made.look()
    assert made.heard == []
    assert set(written(tmp_path).values()) == {SUBMITTED}, "the next Snakemake finds them as still to be settled"
    made.ledger.close()
    again = Looking(tmp_path, outcomes)
    assert again.look() == []
    assert again.heard == [("a", "failed at attempt 0"), ("b", "failed at attempt 0")], "one TIMEOUT each"
    assert set(written(tmp_path).values()) == {ENDED}
    for key in "ab":
        (attempt,) = json.loads((tmp_path / "attempts" / f"{key}.attempts.json").read_text())
        assert attempt["state"] == "TIMEOUT"
    again.ledger.close()


def test_an_interrupt_meanwhile_changes_nothing_about_what_was_seen_to_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given up as cancelled by somebody, it would not be submitted by the next Snakemake either."""
    made = Looking(tmp_path, dict.fromkeys("ab", Outcome("FAILED", exit_code=3)))
    note = Ends.note

    def interrupted(ends: Ends, live: Live, outcome: Outcome) -> Any:
        made._live["b"].outcome = Outcome("CANCELLED") if live.entry.key == "a" else outcome
        return note(ends, live, outcome)

    monkeypatch.setattr(Ends, "note", interrupted)
    assert made.look() == []
    assert made.heard == [("a", "failed at attempt 1"), ("b", "failed at attempt 1")]
    assert not (tmp_path / "restarts").exists(), "nothing was given up"
    (attempt,) = json.loads((tmp_path / "attempts" / "b.attempts.json").read_text())
    assert attempt["state"] == "FAILED"
    made.ledger.close()
