"""What a training can be known never to do is refused while it is planned, and names its key."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from seatrial.checks import check_plan
from seatrial.errors import ConfigError
from seatrial.plan import make_plan

CONF = Path(__file__).parents[2] / "conf"
WORKLOAD = "experiments.finetune.workload"
UNBOUNDED = ["max_accelerator_hours=null", "max_node_hours=null"]


def check(*words: str) -> None:
    check_plan(make_plan(["study=demo", *words, *UNBOUNDED], CONF))


def refused(*words: str) -> str:
    with pytest.raises(ConfigError) as problem:
        check(*words)
    return str(problem.value)


def test_parallelism_that_does_not_fit_the_target_names_its_key() -> None:
    for name in ("fsdp", "tp"):
        words = refused(f"+{WORKLOAD}.parallelism.{name}=2")
        assert f"{WORKLOAD}.parallelism.{name}" in words
        assert "the target has 1 rank(s)" in words
    assert f"{WORKLOAD}.parallelism.dp" in refused(f"+{WORKLOAD}.parallelism.dp=3", "target.tasks_per_node=2")
    check(f"+{WORKLOAD}.parallelism.fsdp=2", "target.tasks_per_node=2")


@pytest.mark.parametrize("kind", ["moe", "diffusion", "hybrid_attention"])
def test_any_training_is_held_to_the_targets_ranks(kind: str, tmp_path: Path) -> None:
    shutil.copytree(CONF, tmp_path / "conf")
    (tmp_path / "conf" / "study" / "one.yaml").write_text(
        "# @package _global_\n"
        f"defaults:\n  - /workload@experiments.finetune.workload: {kind}\n  - _self_\n"
        "title: one\ndescription: one\nexperiments: {finetune: {repeats: 1}}\n"
        "max_accelerator_hours: null\nmax_node_hours: null\n"
    )
    check_plan(make_plan(["study=one"], tmp_path / "conf"))
    with pytest.raises(ConfigError) as problem:
        words = [f"++{WORKLOAD}.parallelism.dp=3", "target.tasks_per_node=2"]
        check_plan(make_plan(["study=one", *words], tmp_path / "conf"))
    assert f"{WORKLOAD}.parallelism.dp" in str(problem.value)


def test_evaluation_sequences_are_shared_by_ranks_with_different_data_only() -> None:
    four = [f"{WORKLOAD}.evaluation_sequences=2", "target.tasks_per_node=4"]
    words = refused(*four)
    assert f"{WORKLOAD}.evaluation_sequences" in words and "at least 4" in words
    check(*four, f"+{WORKLOAD}.parallelism.tp=2")


def test_folders_that_are_not_there_are_refused() -> None:
    for key, value in (
        ("model", {"source": "pretrained", "name": "/no/model"}),
        ("model", {"source": "config", "name": "/no/model", "tokenizer": None}),
        ("dataset", {"source": "folder", "name": "/no/data"}),
    ):
        text = json.dumps(value).replace('"', "").replace(": ", ":")
        words = refused(f"~{WORKLOAD}.{key}", f"+{WORKLOAD}.{key}={text}")
        assert "there is no such file" in words and f"{WORKLOAD}.{key}.name" in words
