"""Which jobs run natively, and when a job counts as lost."""

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_interface_executor_plugins.settings import DeploymentMethod, SharedFSUsage

from snakemake_executor_plugin_submitit import live, slurm
from snakemake_executor_plugin_submitit.jobs import Label, runs_natively
from snakemake_executor_plugin_submitit.ledger import Entry
from snakemake_executor_plugin_submitit.ranks import now
from snakemake_executor_plugin_submitit.status import Accounting, Queued


def job(**changes: Any) -> SimpleNamespace:
    values: dict[str, Any] = {
        "is_group": lambda: False,
        "is_shell": True,
        "is_shadow": False,
        "is_pipe": False,
        "is_service": False,
        "benchmark": None,
        "rule": SimpleNamespace(is_handover=False, cache=False),
        "conda_env": "env.yaml",
        "container_img_url": "docker://image",
        "env_modules": "cuda",
        "resources": {},
        "shellcmd": "train",
    }
    return SimpleNamespace(**{**values, **changes})


def workflow(*methods: DeploymentMethod, shared: bool = True, cache: Path | None = None) -> SimpleNamespace:
    return SimpleNamespace(
        deployment_settings=SimpleNamespace(deployment_method=set(methods)),
        storage_settings=SimpleNamespace(shared_fs_usage={SharedFSUsage.INPUT_OUTPUT} if shared else set()),
        workflow_settings=SimpleNamespace(cache=cache),
    )


def test_a_shell_rule_with_conda_and_container_runs_natively_while_neither_is_switched_on() -> None:
    assert runs_natively(job(), workflow())


@pytest.mark.parametrize("method", list(DeploymentMethod))
def test_a_deployment_that_is_switched_on_needs_the_nested_snakemake(method: DeploymentMethod) -> None:
    assert not runs_natively(job(), workflow(method))
    assert runs_natively(job(conda_env=None, container_img_url=None, env_modules=None), workflow(method))


@pytest.mark.parametrize(
    "changes",
    [
        {"is_group": lambda: True},
        {"is_shell": False},
        {"is_shadow": True},
        {"benchmark": "b.tsv"},
        {"is_pipe": True},
        {"rule": SimpleNamespace(is_handover=True, cache=False)},
        {"resources": {"shell_exec": "zsh"}},
        {"shellcmd": "cp x <TBD>/y"},
    ],
)
def test_what_snakemake_does_around_a_command_needs_the_nested_snakemake(changes: dict[str, Any]) -> None:
    assert not runs_natively(job(**changes), workflow())


def test_files_that_are_not_shared_need_the_nested_snakemake() -> None:
    assert not runs_natively(job(), workflow(shared=False))


def submitted(tmp_path: Path, seconds_ago: float) -> live.Live:
    entry = Entry("k", "r", "slurm", str(tmp_path), "smk-r-1-a", 0, 1, 1, None, now(), job_id="7")
    return live.Live(entry, Label("a", {}, (), None), known_since=time.monotonic() - seconds_ago)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Make sacct and squeue answer as told: a mapping, or None for no answer; the warnings."""

    def tell(accounting: dict[str, Accounting] | None, queue: dict[str, Queued] | None) -> list[str]:
        def answer(value: Any) -> Callable[..., Any]:
            def call(*_: Any) -> Any:
                if value is None:
                    raise slurm.SlurmUnavailable("no answer")
                return value

            return call

        monkeypatch.setattr(slurm, "accounting", answer(accounting))
        monkeypatch.setattr(slurm, "queue", answer(queue))
        return []

    return tell


@pytest.mark.parametrize(
    ("accounting", "queue", "age", "state"),
    [
        ({}, {}, 5, None),  # Slurm has not heard of it yet
        ({}, {}, 500, None),  # nobody knows it: they may yet
        (None, None, 500, None),  # nobody answers
        (None, {}, 500, None),  # gone from the queue only just now: its result may be on its way
        (None, {"7": Queued("7", "RUNNING", "None", "n")}, 500, None),
        (None, {"7": Queued("7", "COMPLETED", "None", "n")}, 5, None),  # its ranks have not said so
        ({"7": Accounting("PENDING")}, {}, 500, None),
        ({"7": Accounting("NODE_FAIL")}, {}, 5, "NODE_FAIL"),
        ({"7": Accounting("COMPLETED")}, {}, 5, "COMPLETED"),
    ],
)
def test_not_known_yet_and_no_answer_are_no_failure(
    tmp_path: Path,
    answers: Callable[..., list[str]],
    accounting: dict[str, Accounting] | None,
    queue: dict[str, Queued] | None,
    age: float,
    state: str | None,
) -> None:
    warnings = answers(accounting, queue)
    watched = submitted(tmp_path, age)
    ended = live.Watcher(10, 5, warnings.append).look([watched], ask=True)
    assert (ended[0].outcome.state if ended and ended[0].outcome else None) == state
    assert bool(warnings) == (accounting is None)


def test_slurm_is_asked_no_more_often_than_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def accounting(ids: list[str], timeout: float) -> dict[str, Accounting]:
        asked.append(list(ids))
        return {}

    monkeypatch.setattr(slurm, "accounting", accounting)
    watcher = live.Watcher(1000, 5, lambda text: None)
    jobs = [submitted(tmp_path, 1), submitted(tmp_path, 1)]
    for _ in range(5):
        watcher.look(jobs)
    assert asked == [["7", "7"]], "one question, for all jobs"
