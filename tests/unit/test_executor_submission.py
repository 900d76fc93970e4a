"""From a job's resources to what is asked of submitit."""

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakemake_interface_common.exceptions import WorkflowError

from snakemake_executor_plugin_submitit.submission import (
    LEAST_MB_PER_TASK,
    Request,
    local_parameters,
    request_from_resources,
    slurm_parameters,
)


def request(threads: int = 1, once: bool = False, **resources: Any) -> Request:
    return request_from_resources(resources, threads, "train", once)


def slurm(asked: Request) -> dict[str, Any]:
    return slurm_parameters(asked, "name", "comment", parallel=7, delay=30)


def test_nothing_asked_for_is_one_task_with_the_clusters_own_limits() -> None:
    parameters = slurm(request())
    assert (parameters["nodes"], parameters["ntasks_per_node"], parameters["cpus_per_task"]) == (1, 1, 1)
    assert [parameters[name] for name in ("time", "mem", "mem_per_cpu", "gpus_per_node", "partition")] == [None] * 5


def test_names_of_the_slurm_plugin_reach_sbatch() -> None:
    parameters = slurm(
        request(
            threads=3,
            slurm_account="acc",
            slurm_partition="part",
            runtime=90,
            mem_mb=4000,
            nodes=2,
            tasks_per_node=4,
            constraint="a100&nvlink",
            qos="high",
            reservation="res",
            exclude="node7",
            nodelist="node[1-2]",
            exclusive=True,
        )
    )
    assert parameters["account"] == "acc"
    assert parameters["partition"] == "part"
    assert parameters["time"] == 90
    assert parameters["mem"] == "4000M"
    assert (parameters["nodes"], parameters["ntasks_per_node"], parameters["cpus_per_task"]) == (2, 4, 3)
    assert parameters["exclusive"] is True
    assert parameters["additional_parameters"] == {
        "no-requeue": True,
        "constraint": "a100&nvlink",
        "qos": "high",
        "reservation": "res",
        "exclude": "node7",
        "nodelist": "node[1-2]",
    }


def test_srun_ends_the_other_ranks_and_keeps_the_number_of_cpus() -> None:
    assert slurm(request(cpus_per_task=6))["srun_args"] == ["--cpus-per-task=6", "--kill-on-bad-exit=1"]


@given(nodes=st.integers(1, 50), per_node=st.integers(1, 50))
def test_tasks_alone_is_the_total_of_the_job(nodes: int, per_node: int) -> None:
    asked = request(nodes=nodes, tasks=nodes * per_node)
    assert (asked.tasks_per_node, asked.ranks) == (per_node, nodes * per_node)


@given(nodes=st.integers(2, 50), tasks=st.integers(1, 500))
def test_tasks_that_do_not_divide_are_refused_by_name(nodes: int, tasks: int) -> None:
    if tasks % nodes:
        with pytest.raises(
            WorkflowError, match=rf"rule train: resource tasks={tasks} cannot be divided.*nodes={nodes}"
        ):
            request(nodes=nodes, tasks=tasks)


@pytest.mark.parametrize(
    ("resources", "per_node", "model"),
    [
        ({"gpu": 2}, 2, None),
        ({"gpus": "2"}, 2, None),
        ({"gpus": 8, "nodes": 4}, 2, None),
        ({"gpu": "a100:4", "nodes": 2}, 2, "a100"),
        ({"gpu": 1, "gpu_model": "h100"}, 1, "h100"),
        ({"gpu": 0}, 0, None),
    ],
)
def test_gpus_are_the_total_of_the_job_and_start_no_second_command(
    resources: dict[str, Any], per_node: int, model: str | None
) -> None:
    asked = request(**resources)
    assert (asked.gpus_per_node, asked.gpu_model) == (per_node, model)
    assert asked.ranks == resources.get("nodes", 1)


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"nodes": 0}, "nodes=0"),
        ({"nodes": "two"}, "nodes='two'"),
        ({"nodes": True}, "nodes=True"),
        ({"tasks": 4, "nodes": 2, "tasks_per_node": 4}, "contradict"),
        ({"gpu": "many"}, "gpu='many'"),
        ({"gpu": 3, "nodes": 2}, "cannot be divided"),
        ({"gpu": 1, "gpus": 2}, "differ"),
        ({"gpu": 1, "gres": "gpu:1"}, "gres"),
        ({"gpu_model": "h100"}, "without gpu"),
        ({"slurm_extra": "-Z 3"}, "'-Z'"),
        ({"slurm_extra": "--output=x"}, "--output is set by the executor"),
    ],
)
def test_wrong_resources_are_one_error_that_names_them(resources: dict[str, Any], words: str) -> None:
    with pytest.raises(WorkflowError, match="rule train") as caught:
        request(**resources)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--mail-type=ALL --hint nomultithread", {"mail-type": "ALL", "hint": "nomultithread"}),
        ("--exclusive -C a100", {"exclusive": True, "constraint": "a100"}),
        ("'--gres=gpu:2 --comment=\"two words\"'", {"gres": "gpu:2", "comment": "two words"}),
    ],
)
def test_slurm_extra_is_taken_apart_as_a_shell_would(text: str, expected: dict[str, Any]) -> None:
    assert dict(request(slurm_extra=text).options) == expected


def test_requeue_can_be_asked_for() -> None:
    assert slurm(request(slurm_extra="--requeue"))["additional_parameters"] == {"requeue": True}


def test_memory_leaves_room_for_what_starts_the_command() -> None:
    assert request(mem_mb=5, tasks_per_node=3).mem_mb == 3 * LEAST_MB_PER_TASK
    assert request(mem_mb=0).mem_mb == 0  # the whole node
    parameters = slurm(request(mem_mb=5, mem_mb_per_cpu=200))
    assert (parameters["mem"], parameters["mem_per_cpu"]) == (None, "200M")


@pytest.mark.parametrize(("resources", "once"), [({"tasks": 4}, True), ({"tasks": 4, "mpi": "mpirun"}, False)])
def test_a_command_that_starts_its_own_tasks_is_started_once(resources: dict[str, Any], once: bool) -> None:
    asked = request(once=once, **resources)
    assert asked.ranks == 1
    assert slurm(asked)["ntasks_per_node"] == 4
    assert slurm(asked)["use_srun"] is False


@given(minutes=st.integers(1, 20_000))
def test_the_warning_before_the_limit_never_comes_at_the_start(minutes: int) -> None:
    delay = request(runtime=minutes).signal_delay(0)
    assert 2 <= delay <= 60
    assert delay <= minutes * 60 / 20 or minutes == 1


def test_equal_requests_share_an_array_and_unequal_ones_do_not() -> None:
    assert request(mem_mb=1000, slurm_extra="--hint=x") == request(slurm_extra="--hint=x", mem_mb="1000")
    assert request(mem_mb=1000) != request(mem_mb=2000)
    assert len({request(), request(), request(runtime=5)}) == 2


def test_one_machine_has_one_node() -> None:
    with pytest.raises(WorkflowError, match="rule train: resource nodes=2: the local executor has one node"):
        local_parameters(request(nodes=2), "train", 30)


def test_without_runtime_the_local_executor_has_no_limit_to_speak_of() -> None:
    assert local_parameters(request(), "train", 30)["timeout_min"] > 60 * 24 * 300
    assert local_parameters(request(runtime=3), "train", 30)["timeout_min"] == 3


def test_a_rank_imports_nothing_of_snakemake() -> None:
    code = (
        "import sys, snakemake_executor_plugin_submitit.payload\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('snakemake', 'psutil') "
        "or m.startswith('snakemake_interface')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
