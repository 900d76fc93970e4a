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


def one_of(kind: str, folder: Path) -> None:
    """A study of one shipped workload in a copy of the shipped configuration."""
    shutil.copytree(CONF, folder / "conf")
    (folder / "conf" / "study" / "one.yaml").write_text(
        "# @package _global_\n"
        f"defaults:\n  - /workload@experiments.finetune.workload: {kind}\n  - _self_\n"
        "title: one\ndescription: one\nexperiments: {finetune: {repeats: 1}}\n"
        "max_accelerator_hours: null\nmax_node_hours: null\n"
    )


def problem_of(folder: Path, *words: str) -> str:
    with pytest.raises(ConfigError) as problem:
        check_plan(make_plan(["study=one", *words], folder / "conf"))
    return str(problem.value)


@pytest.mark.parametrize("kind", ["moe", "diffusion", "hybrid_attention"])
def test_any_training_is_held_to_the_targets_ranks(kind: str, tmp_path: Path) -> None:
    one_of(kind, tmp_path)
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


def test_a_missing_folder_of_latents_is_refused_whatever_the_accelerators(tmp_path: Path) -> None:
    one_of("flux1", tmp_path)
    keys = ("train", "evaluation", "empty_encodings")
    for missing in keys:
        folders = {key: str(tmp_path / ("nope" if key == missing else "conf")) for key in keys}
        given = [f"{WORKLOAD}.dataset.{key}={folder}" for key, folder in folders.items()]
        words = problem_of(tmp_path, "target=dgx_h100", *given)
        assert "there is no such folder" in words
        assert f"{WORKLOAD}.dataset.{missing}" in words and str(tmp_path / "nope") in words


def test_modules_and_files_of_a_mixtures_text_must_be_there(tmp_path: Path) -> None:
    one_of("moe", tmp_path)
    words = problem_of(tmp_path, f"{WORKLOAD}.dataset.evaluation_modules=[no_such_module]")
    assert "no source of this module" in words and f"{WORKLOAD}.dataset.evaluation_modules" in words
    files = "{source:files,train:[/no/text],evaluation:[/no/other]}"
    words = problem_of(tmp_path, f"~{WORKLOAD}.dataset", f"+{WORKLOAD}.dataset={files}")
    assert "there is no such file" in words and f"{WORKLOAD}.dataset.train" in words
    files = f"{{source:files,train:[{tmp_path}],evaluation:[/no/other]}}"
    words = problem_of(tmp_path, f"~{WORKLOAD}.dataset", f"+{WORKLOAD}.dataset={files}")
    assert "there is no such file" in words and "a file that exists" in words, "a folder is no text"


def test_texts_below_the_home_folder_are_counted_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_of("moe", tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("train", "held_out"):
        (tmp_path / name).write_text("a few words")
    files = '{source:files,train:["~/train"],evaluation:["~/held_out"]}'
    words = problem_of(tmp_path, f"~{WORKLOAD}.dataset", f"+{WORKLOAD}.dataset={files}")
    assert "more than the training samples there are" in words


@pytest.mark.parametrize(
    ("kind", "key", "few"),
    [("moe", "evaluation_sequences", 3), ("hybrid_attention", "retrieval.evaluation_sequences", 3)],
)
def test_every_rank_of_any_training_has_something_to_evaluate(
    kind: str, key: str, few: int, tmp_path: Path
) -> None:
    one_of(kind, tmp_path)
    words = problem_of(tmp_path, f"{WORKLOAD}.{key}={few}", "target.tasks_per_node=4")
    assert f"{WORKLOAD}.{key}" in words and "at least 4" in words
    check_plan(
        make_plan(["study=one", f"{WORKLOAD}.{key}={few + 1}", "target.tasks_per_node=4"], tmp_path / "conf")
    )


@pytest.mark.parametrize(
    ("kind", "most"), [("moe", None), ("diffusion", 1197), ("hybrid_attention", 1000000), ("llm_finetune", None)]
)
def test_a_global_batch_of_more_than_the_training_samples_is_refused(
    kind: str, most: int | None, tmp_path: Path
) -> None:
    one_of(kind, tmp_path)
    ranks = "target.tasks_per_node=2"
    words = problem_of(tmp_path, ranks, f"{WORKLOAD}.batch_size={1 + (most or 2_000_000) // 2}")
    assert f"{WORKLOAD}.batch_size" in words and "2 ranks with different data" in words
    if most is not None:
        assert f"at most {most}" in words
        check_plan(make_plan(["study=one", ranks, f"{WORKLOAD}.batch_size={most // 2}"], tmp_path / "conf"))


def test_the_large_mixture_asks_for_a_text_and_a_target_and_refuses_a_text_below_one_step(tmp_path: Path) -> None:
    one_of("moe_large", tmp_path)
    for name in ("train", "evaluation"):
        (tmp_path / name).write_text("a" * 4096 * 31)
    texts = [f"{WORKLOAD}.dataset.{name}=[{tmp_path / name}]" for name in ("train", "evaluation")]
    target, node = f"{WORKLOAD}.quality.target=1.0", ["target=dgx_h100", "target.nodes=1"]
    assert f"{WORKLOAD}.quality.target" in problem_of(tmp_path, *node, *texts)
    assert f"{WORKLOAD}.dataset.train" in problem_of(tmp_path, *node, target)
    words = problem_of(tmp_path, *node, *texts, target)
    assert "the global batch of 32" in words and "at most 31" in words
    (tmp_path / "train").write_text("a" * 4096 * 33)
    check_plan(make_plan(["study=one", *node, *texts, target], tmp_path / "conf"))
