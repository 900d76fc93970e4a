"""What a probe of devices or of the input pipeline can never do is refused while it is planned."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import pytest

from seatrial.checks import check_plan
from seatrial.errors import ConfigError
from seatrial.plan import make_plan
from seatrial.plan_text import totals
from seatrial.planned import Plan

CONF = Path(__file__).parents[2] / "conf"
SWEEPS = {
    "gemm": "gemm_dtypes",
    "gemm_search": None,
    "gemm_sustained": "gemm_shapes",
    "memory": "memory_operations",
    "memory_host": "memory_host_copies",
    "dataload": "dataload_workers",
    "dataload_images": "dataload_workers",
}
UNBOUNDED = ["max_accelerator_hours=null", "max_node_hours=null"]


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped configuration with a study of all shipped workloads of these probes, and a training."""
    folder = tmp_path_factory.mktemp("shipped") / "conf"
    shutil.copytree(CONF, folder)
    lines = [f"  - /workload@experiments.{name}.workload: {name}\n" for name in [*SWEEPS, "diffusion"]]
    lines += [f"  - /sweep@experiments.{name}.sweep: {sweep}\n" for name, sweep in SWEEPS.items() if sweep]
    (folder / "study" / "all.yaml").write_text(
        f"# @package _global_\ndefaults:\n{''.join(lines)}  - _self_\ntitle: all\ndescription: all\n"
        "experiments:\n" + "".join(f"  {name}: {{repeats: 1}}\n" for name in [*SWEEPS, "diffusion"])
    )
    return folder


def planned(conf: Path, *words: str) -> Plan:
    plan = make_plan(["study=all", *UNBOUNDED, *words], conf)
    check_plan(plan)
    return plan


def refused(conf: Path, *words: str) -> str:
    with pytest.raises(ConfigError) as problem:
        planned(conf, *words)
    assert problem.value.key and problem.value.value is not None and problem.value.allowed
    return str(problem.value)


def test_shipped_workloads_and_sweeps_can_be_planned(conf: Path) -> None:
    counts: dict[str, int] = {}
    for case in planned(conf, "target=dgx_h100").cases:
        counts[case.experiment] = counts.get(case.experiment, 0) + 1
    assert counts == {
        "gemm": 5, "gemm_search": 1, "gemm_sustained": 3, "memory": 2, "memory_host": 5, "dataload": 4,
        "dataload_images": 4, "diffusion": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["experiments.memory.workload.size_bytes=1099511627776"], "2 array(s) take 2199 GB"),
        (["experiments.gemm.workload.m=100000000"], "the operands"),
        (["experiments.gemm_search.workload.search.m.start=90000000",
          "experiments.gemm_search.workload.search.m.stop=90000000"], "experiments.gemm_search.workload.search"),
    ],
)  # fmt: skip
def test_what_is_larger_than_the_stated_memory_is_refused(conf: Path, words: list[str], said: str) -> None:
    for target, whose in (
        ("dgx_h100", "the memory of NVIDIA H100 SXM 80GB"),
        ("local", "the part of a node's memory"),
    ):
        text = refused(conf, f"target={target}", *words)
        assert said in text and whose in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["++experiments.dataload.workload.dataset.storage=scratch"], "has no path for this storage"),
        (["experiments.dataload.workload.needed_by=gemm"], "allowed: diffusion"),
        (["experiments.gemm_sustained.workload.sustained_seconds=3600"], "time limit"),
        (["experiments.gemm_search.workload.search.m.step=0"], "search.m.step"),
    ],
)
def test_what_can_never_be_done_is_refused_with_its_key(conf: Path, words: list[str], said: str) -> None:
    text = refused(conf, "target=mini_slurm", *words)
    assert said in text and "experiments." in text


def test_a_folder_that_is_not_here_is_refused_only_where_the_target_is_this_machine(conf: Path) -> None:
    """On a login node the same missing path of both probes is a warning each, by its key."""
    with (conf / "study" / "places.yaml").open("w") as study:
        study.write(
            "# @package _global_\ndefaults:\n  - /workload@experiments.saved.workload: checkpoint\n"
            "  - /workload@experiments.input.workload: dataload\n  - _self_\ntitle: x\ndescription: x\n"
            "experiments: {saved: {repeats: 1}, input: {repeats: 1}}\n"
        )
    keys = "experiments.saved.workload.path", "experiments.input.workload.dataset.path"
    for key in keys:
        words = ["study=places", *UNBOUNDED, *(f"++{other}=/tmp" for other in keys if other != key)]
        elsewhere = make_plan([*words, "target=dgx_h100", f"++{key}=/nowhere"], conf)
        check_plan(elsewhere)
        (warning,) = [line for line in totals(elsewhere, dt.date(2026, 11, 23)) if "warning" in line]
        assert f"{key}=/nowhere is no folder on this machine" in warning and "dgx_h100" in warning
        with pytest.raises(ConfigError, match="there is no such folder") as refusal:
            check_plan(make_plan([*words, "target=local", f"++{key}=/nowhere"], conf))
        assert refusal.value.key == key


def test_a_training_of_the_study_may_say_what_is_needed(conf: Path) -> None:
    planned(conf, "target=mini_slurm", "experiments.dataload.workload.needed_by=diffusion")
