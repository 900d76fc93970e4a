"""Which nodes a job stays away from: those that it names itself, and those that failed, where it can do without."""

import json
import subprocess
import time
from pathlib import Path

import pytest
from snakemake_interface_common.exceptions import WorkflowError

from snakemake_executor_plugin_submitit import slurm
from snakemake_executor_plugin_submitit.failed_nodes import FailedNodes
from snakemake_executor_plugin_submitit.status import Node
from snakemake_executor_plugin_submitit.submission import Request, request_from_resources


def excluded(request: Request) -> set[str]:
    return set(filter(None, str(dict(request.options).get("exclude") or "").split(",")))


def test_every_exclude_of_a_job_counts() -> None:
    asked = {"exclude": "n1", "slurm_extra": "--exclude=n[2-3] --hint=nomultithread -x n4"}
    request = request_from_resources(asked, 1, "a", once=False)
    assert excluded(request) == {"n1", "n[2-3]", "n4"}
    assert dict(request.options)["hint"] == "nomultithread"
    alone = request_from_resources({"exclude": "/my/nodes"}, 1, "a", once=False)
    assert excluded(alone) == {"/my/nodes"}, "a file, as sbatch takes it"
    with pytest.raises(
        WorkflowError, match="rule a: exclude='/my/nodes' is a file, and other nodes are excluded too"
    ):
        request_from_resources({"exclude": "/my/nodes", "slurm_extra": "-x n4"}, 1, "a", once=False)


class Scheduler:
    """Answers for sbatch --test-only: `able` are the nodes on which the job could start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, able: set[str], failed: list[str], tmp_path: Path) -> None:
        self.able = able
        self.asked: list[set[str]] = []
        self.answers = True
        self.told: list[str] = []
        nodes = [Node(f"n{i}", "main", True, True, frozenset()) for i in range(1, 9)]
        monkeypatch.setattr(slurm, "nodes", lambda _: nodes)
        monkeypatch.setattr(slurm, "could_start", self._could_start)
        at = {name: time.time() - place for place, name in enumerate(failed)}
        (tmp_path / "failed_nodes.json").write_text(json.dumps(at))
        self.failed = FailedNodes(tmp_path, 5, self.told.append)

    def _could_start(self, options: tuple[str, ...], _: float) -> str | None:
        (words,) = [word for word in options if word.startswith("--exclude=")]
        self.asked.append(set(words.removeprefix("--exclude=").split(",")))
        if not self.answers:
            raise slurm.SlurmUnavailable("no answer")
        return None if self.able - self.asked[-1] else "Requested node configuration is not available"


def test_failed_nodes_are_excluded_where_slurm_says_that_the_job_can_start_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm_says = Scheduler(monkeypatch, {"n1", "n2"}, ["n1", "n5"], tmp_path)
    request = Request(options=(("exclude", "n8"),))
    for _ in range(3):
        assert excluded(slurm_says.failed.exclude(request)) == {"n8", "n1", "n5"}
    assert slurm_says.asked == [{"n8", "n1", "n5"}], "asked once for the same words"
    slurm_says.failed.exclude(Request(nodes=2))
    assert len(slurm_says.asked) == 2, "another request is another question"
    assert slurm_says.told == ["Nodes that failed are excluded: n1, n5"]


def test_the_exclusion_that_leaves_a_job_no_node_is_dropped_and_said_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight nodes would do by their number, but only n1 and n2 have what it asks for, and both failed."""
    slurm_says = Scheduler(monkeypatch, {"n1", "n2"}, ["n1", "n5", "n2"], tmp_path)
    assert excluded(slurm_says.failed.exclude(Request())) == {"n1", "n5"}, "the latest failures stay excluded"
    assert (
        "not excluded where a job could start nowhere else: n2 (Requested node configuration" in slurm_says.told[0]
    )
    calls = len(slurm_says.asked)
    assert excluded(slurm_says.failed.exclude(Request())) == {"n1", "n5"}
    assert len(slurm_says.asked) == calls


def test_a_job_that_can_start_nowhere_excludes_no_node_and_a_slurm_that_does_not_say_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Excluding the one node with a feature makes sbatch refuse a job that could wait for its return."""
    slurm_says = Scheduler(monkeypatch, set(), ["n1", "n5"], tmp_path)
    assert slurm_says.failed.exclude(Request()) == Request()
    slurm_says.answers = False
    assert excluded(slurm_says.failed.exclude(Request(cpus_per_task=2))) == {"n1", "n5"}


@pytest.mark.parametrize(
    ("said", "returncode", "answer"),
    [
        ("sbatch: Job 1 to start at 2026-11-23T15:26:07 using 1 processors on nodes n1 in partition main", 0, None),
        ("allocation failure: Requested node configuration is not available", 1, "Requested node"),
        ("allocation failure: Job violates accounting/QOS policy (job submit limit, user's size)", 1, "no answer"),
        ("allocation failure: Unable to contact slurm controller (connect failure)", 1, "no answer"),
    ],
)
def test_only_nodes_decide_whether_a_job_could_start(
    monkeypatch: pytest.MonkeyPatch, said: str, returncode: int, answer: str | None
) -> None:
    def run(words: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        assert words[:3] == ["sbatch", "--test-only", "--nodes=2"]
        return subprocess.CompletedProcess(words, returncode, "", said)

    monkeypatch.setattr(subprocess, "run", run)
    if answer == "no answer":
        with pytest.raises(slurm.SlurmUnavailable):
            slurm.could_start(["--nodes=2"], 5)
    else:
        found = slurm.could_start(["--nodes=2"], 5)
        assert found is None if answer is None else str(found).startswith(answer)
