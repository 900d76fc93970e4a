"""The study screen: what it plans, what it refuses, and how its result reaches the next study's jobs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from seatrial.checks import check_plan
from seatrial.config.probe import Screen
from seatrial.errors import ConfigError
from seatrial.plan import make_plan
from seatrial.wiring import Wiring

CONF = Path(__file__).parents[2] / "conf"


def wiring(tmp_path, *words):
    limits = ["max_accelerator_hours=null", "max_node_hours=null"]
    return Wiring(make_plan(["study=screen", *words, *limits], CONF), tmp_path, CONF)


def asked(study):
    (case,) = study.plan.cases
    wildcards = SimpleNamespace(case=case.case_id, repeat="0")
    return {n: v(wildcards) if callable(v) else v for n, v in study.measure_resources.items()}


def test_one_job_spans_all_nodes_and_its_result_is_the_next_studys_exclude(tmp_path):
    study = wiring(tmp_path, "target=dgx_h100", "target.nodes=232", 'target.launcher.exclude="node7,node9"')
    found = asked(study)
    assert found["nodes"] == 232 and found["exclude"] == "node7,node9"
    assert str(study.paths.exclude) in study.of_workloads


def test_what_is_excluded_never_makes_another_case(tmp_path):
    words = ("target=dgx_h100", "target.nodes=8")
    (plain,) = wiring(tmp_path, *words).plan.cases
    (without,) = wiring(tmp_path, *words, 'target.launcher.exclude="node7"').plan.cases
    assert plain.case_id == without.case_id


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("target=mini_slurm", "target.nodes=2"), "target.nodes"),
        (("target=mini_slurm", "target.nodes=1"), "target.tasks_per_node"),
    ],
)
def test_too_few_to_tell_which_is_slow_are_refused_by_the_plan(tmp_path, words, key):
    plan = wiring(tmp_path, *words).plan
    with pytest.raises(ConfigError, match="none can be told slow") as refused:
        check_plan(plan)
    assert refused.value.key == key and refused.value.allowed == "3 or more"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"slower": {"value": 1.0, "source": "x"}}, "everything would be slow"),
        ({"size_bytes": 10}, "whole 32-bit words"),
        ({"confirmations": 1}, "greater than or equal to 2"),
        ({"dtype": "fp8", "side": 100}, "multiples of 16"),
    ],
)
def test_parameters_that_cannot_be_meant_are_refused(words, said):
    with pytest.raises(ValidationError, match=said):
        Screen.model_validate({"kind": "screen", **words})


def test_sizes_are_those_of_the_device_unless_they_are_said():
    assert Screen(kind="screen").message_bytes(on_cpu=True) < Screen(kind="screen").message_bytes(on_cpu=False)
    assert Screen(kind="screen", size_bytes=4096).message_bytes(on_cpu=False) == 4096
    assert Screen(kind="screen").product(on_cpu=False).dtype == "bfloat16"
    assert Screen(kind="screen", side=96).product(on_cpu=True).shapes == [(96, 96, 96)]
