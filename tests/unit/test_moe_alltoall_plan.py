"""What moe_alltoall can never do is refused while it is planned: file, key, value, and what is allowed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from seatrial.checks import check_plan
from seatrial.errors import ConfigError
from seatrial.plan import make_plan

CONF = Path(__file__).parents[2] / "conf"
STUDY = """# @package _global_
defaults:
  - /workload@experiments.moe.workload: moe_alltoall
  - _self_
title: own
description: own
experiments: {{moe: {{repeats: 1, workload: {workload}, sweep: {{axes: {{target.tasks_per_node: [2]}}}}}}}}
max_node_hours: null
"""


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plans") / "conf"
    subprocess.run(["cp", "-r", str(CONF), str(folder)], check=True)
    return folder


def check(conf: Path, workload: str, *words: str) -> int:
    (conf / "study" / "own.yaml").write_text(STUDY.format(workload=workload))
    plan = make_plan(["study=own", *words], conf)
    check_plan(plan)
    return len(plan.cases)


@pytest.mark.parametrize(
    ("workload", "key", "words"),
    [
        ("{experts: 33}", "experts", "cannot be shared evenly by 2 ranks"),
        ("{top_k: 33}", "top_k", "a whole number from 1 to 32"),
        ("{hidden_size: 33}", "hidden_size", "a multiple of 2"),
        ("{hidden_size: 192, dispatch_dtype: fp8}", "hidden_size", "a multiple of 128"),
        ("{hidden_size: 8}", "hidden_size", "a value >= 16"),
        ("{dispatch_dtype: fp4}", "dispatch_dtype", "bfloat16, float32 or fp8"),
        ("{dispatcher: deep}", "dispatcher", "did you mean 'deepep'?"),
        ("{tokens: null}", "tokens", "only a replayed load says itself"),
        ("{tokens: 0}", "tokens", "a value >= 1"),
        ("{load: {kind: gini, target: 0.9}}", "load.target", "a value above 0 and below 0.875"),
        ("{load: {kind: gini, target: -0.1}}", "load.target", "a value > 0"),
        ("{load: {kind: gini}}", "load.target", "missing key"),
        ("{load: {kind: gini, target: 0.05}, tokens: 16}", "load.target", "chance alone spreads them over 32"),
        ("{load: {kind: zipf, exponent: 0}}", "load.exponent", "a value > 0"),
        ("{load: {kind: zipf, exponent: 1}, top_k: 32}", "load.kind", "a top_k below experts"),
        ("{load: {kind: adversarial, share: 0.96}}", "load.share", "a value <= 0.95"),
        ("{load: {kind: adversarial, share: 0.4}, top_k: 16}", "load.share", "a share above 0.5, up to 0.95"),
        ("{load: {kind: pareto}}", "load.kind", "adversarial, gini, replay, uniform, zipf"),
        ("{load: {kind: replay, file: /nowhere.npz}}", "load.file", "No such file"),
    ],
)
def test_a_mistake_names_its_key_and_what_is_allowed(conf: Path, workload: str, key: str, words: str) -> None:
    with pytest.raises(ConfigError) as problem:
        check(conf, workload)
    assert words in str(problem.value)
    assert problem.value.key == f"experiments.moe.workload.{key}"
    assert str(problem.value.file).endswith("moe_alltoall.yaml" if words == "missing key" else "own.yaml")


def test_a_trace_of_other_ranks_is_refused_with_its_file_and_place(conf: Path, tmp_path: Path) -> None:
    file = tmp_path / "counts.csv"
    replay = f"{{tokens: null, top_k: 1, experts: 4, load: {{kind: replay, file: {file}}}}}"
    file.write_text("1,2,3,4\n4,3,2,1\n")
    assert check(conf, replay) == 1
    for content, words in (
        ("1,2,3,4\n", "counts of 1 ranks; the case has 2"),
        ("1,2\n3,4\n", "counts of 2 experts; the case has 4"),
        ("1,2,3,4\n4,-3,2,1\n", "rank 1, expert 1: -3 is negative"),
    ):
        file.write_text(content)
        with pytest.raises(ConfigError, match=words) as problem:
            check(conf, replay)
        assert "2 ranks x 4 experts" in str(problem.value)


def test_shipped_sweeps_of_loads_can_be_planned(conf: Path) -> None:
    sweep = "+sweep@experiments.moe.sweep={}"
    assert check(conf, "{}", sweep.format("expert_load")) == 8
    assert check(conf, "{}", sweep.format("expert_load_tokens")) == 9
    assert check(conf, "{}", sweep.format("expert_load_dispatchers")) == 6


def test_planning_loads_neither_torch_nor_scipy(conf: Path) -> None:
    check(conf, "{load: {kind: gini, target: 0.24}}")
    program = (
        "import sys; from pathlib import Path; from seatrial.plan import make_plan; "
        "from seatrial.checks import check_plan; "
        f"check_plan(make_plan(['study=own'], Path({str(conf)!r}))); "
        "print(sorted({'torch', 'scipy'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.strip() == "[]"
