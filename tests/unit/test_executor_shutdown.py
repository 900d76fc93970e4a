"""The end of a run: what is stopped first, and what is left for jobs that wait in the queue."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from snakemake_executor_plugin_submitit import ExecutorSettings
from snakemake_executor_plugin_submitit.executor import Executor
from snakemake_executor_plugin_submitit.outcomes import Outcome


class Closing(Executor):
    """An executor that is shut down, with one job of which it is known or not how it ended."""

    def __init__(self, base: Path, outcome: Outcome | None) -> None:
        self.order: list[str] = []
        said = self.order.append
        self.backlog: Any = SimpleNamespace(stop=lambda *_: said("backlog"))
        self.ledger: Any = SimpleNamespace(close=lambda: said("ledger"))
        self.settings: Any = SimpleNamespace(command_timeout=1)
        self.wait_thread: Any = SimpleNamespace(join=lambda: said("watching"))
        self.workflow: Any = SimpleNamespace(remote_execution_settings=SimpleNamespace(immediate_submit=False))
        self.lock = self._guard = threading.Lock()
        self._live: dict[str, Any] = {"k": SimpleNamespace(outcome=outcome)}
        (base / ".snakemake").mkdir()
        self._tmpdir: Any = tempfile.mkdtemp(dir=".snakemake", prefix="tmp.")


@pytest.mark.parametrize("outcome", [None, Outcome("CANCELLED")])
def test_shutting_down_submits_no_more_and_leaves_what_jobs_in_the_queue_wait_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: Outcome | None
) -> None:
    monkeypatch.chdir(tmp_path)
    closing = Closing(tmp_path, outcome)
    waited_for = Path(closing._tmpdir)
    closing.shutdown()
    assert closing.order == ["backlog", "watching", "ledger"]
    assert list(Path(".snakemake").iterdir()) == ([waited_for] if outcome is None else [])


@pytest.mark.parametrize("how", ["the backlog is stopped", "it is interrupted"])
def test_a_batch_that_is_being_submitted_is_not_tried_again_once_the_run_ends(tmp_path: Path, how: str) -> None:
    """After an error of the executor there is no interrupt, and the ledger is let go all the same."""
    executor: Any = object.__new__(Executor)
    executor.workflow = SimpleNamespace(
        executor_settings=ExecutorSettings(folder=tmp_path / "s", cluster="local"),
        execution_settings=SimpleNamespace(latency_wait=5),
        config_settings=SimpleNamespace(overwrite_config={}),
    )
    executor.logger = SimpleNamespace(info=print, warning=print, error=print)
    executor.dag = None
    executor.__post_init__()
    assert not executor.submitter._stopped()
    if how == "it is interrupted":
        executor._cancelled = True
    else:
        executor.backlog.stop(0)
    assert executor.submitter._stopped()
    executor.ledger.close()
