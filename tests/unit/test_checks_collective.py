"""What a collective can never do is refused while it is planned, and names its key."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ranks import case

from seatrial.checks import check_plan
from seatrial.config.probe import ELEMENT_BYTES, Collective
from seatrial.config.probe.collective import SHARED_OUT
from seatrial.errors import ConfigError
from seatrial.plan import make_plan

CONF = Path(__file__).parents[2] / "conf"
PLACE = "experiments.fabric.workload"
MANY = [f"{PLACE}.size_bytes=null", f"{PLACE}.sizes={{largest: 4096}}"]


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped configuration and a study of one collective on two ranks."""
    folder = tmp_path_factory.mktemp("planned") / "conf"
    shutil.copytree(CONF, folder)
    (folder / "study" / "one.yaml").write_text(
        "# @package _global_\n"
        "defaults:\n  - /workload@experiments.fabric.workload: collective\n  - _self_\n"
        "title: one\ndescription: one\nexperiments: {fabric: {repeats: 1}}\ntarget: {tasks_per_node: 2}\n"
        "max_accelerator_hours: null\nmax_node_hours: null\n"
    )
    return folder


def check(conf: Path, *words: str) -> None:
    check_plan(make_plan(["study=one", "target=local", *words], conf))


def refused(conf: Path, *words: str) -> str:
    with pytest.raises(ConfigError) as problem:
        check(conf, *words)
    return str(problem.value)


def test_size_that_the_ranks_do_not_divide_names_what_would_do(conf: Path) -> None:
    three = ["target.tasks_per_node=3", f"{PLACE}.operation=all_to_all"]
    words = refused(conf, *three)
    assert f"{PLACE}.size_bytes" in words and "multiples of 12" in words
    assert "all_to_all of 4194304 bytes does not divide into whole float32 elements for each of 3 ranks" in words
    check(conf, "target.tasks_per_node=3", f"{PLACE}.operation=broadcast")
    check(conf, *three, *MANY)


def test_lone_rank_and_nccl_without_accelerators_are_refused(conf: Path) -> None:
    assert "needs two ranks or more" in refused(conf, "target.tasks_per_node=1")
    words = refused(conf, f"{PLACE}.backend=nccl", "target.device=cpu", "target.accelerators_per_node=0")
    assert f"{PLACE}.backend" in words and "device cpu" in words and "auto, gloo" in words


@pytest.mark.parametrize(
    ("change", "key", "said"),
    [
        ([f"{PLACE}.sizes={{largest: 64}}"], "size_bytes", "exactly one of size_bytes and sizes"),
        ([f"{PLACE}.size_bytes=null"], "size_bytes", "neither is given"),
        ([f"{PLACE}.size_bytes=6"], "", "not a multiple of 4"),
        ([*MANY, f"+{PLACE}.sizes.smallest=8192"], "sizes.largest", "below the smallest"),
        ([*MANY, f"+{PLACE}.sizes.factor=1"], "sizes.factor", "2"),
        ([f"{PLACE}.operation=all_reduced"], "operation", "all_reduce"),
        ([f"{PLACE}.most_seconds_per_size=0"], "most_seconds_per_size", "0"),
    ],
)
def test_mistakes_name_their_key(conf: Path, change: list[str], key: str, said: str) -> None:
    words = refused(conf, *change)
    assert f"{PLACE}.{key}".rstrip(".") in words and said in words


def test_shipped_range_of_sizes_is_8_bytes_to_16_gib(conf: Path) -> None:
    plan = make_plan(["study=one", "target=local", "workload@experiments.fabric.workload=collective_sizes"], conf)
    check_plan(plan)
    workload = plan.cases[0].workload
    assert isinstance(workload, Collective)
    assert list(workload.real_sizes(2)) == [2**k for k in range(3, 35)]


@pytest.mark.parametrize(
    ("sweep", "cases"), [("message_sizes", 3), ("message_sizes_small", 4), ("collective_operations", 6)]
)
def test_shipped_sweeps_plan(conf: Path, sweep: str, cases: int) -> None:
    plan = make_plan(["study=one", "target=local", f"+sweep@experiments.fabric.sweep={sweep}"], conf)
    check_plan(plan)
    assert len(plan.cases) == cases


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(["all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "send_recv"]),
    st.sampled_from(["float32", "float16", "bfloat16"]),
    st.integers(2, 1000),
    st.integers(4, 10**6),
    st.integers(0, 10**9),
    st.integers(2, 10),
)
def test_sizes_are_whole_and_never_above_what_was_asked_but_for_the_least(
    operation: str, dtype: str, ranks: int, smallest: int, more: int, factor: int
) -> None:
    sizes = {"smallest": smallest, "largest": smallest + more, "factor": factor}
    content = {"kind": "collective", "operation": operation, "dtype": dtype, "sizes": sizes}
    workload = case(content, 2).workload
    assert isinstance(workload, Collective)
    unit = ELEMENT_BYTES[dtype] * (ranks if operation in SHARED_OUT else 1)
    real = workload.real_sizes(ranks)
    assert list(real) == sorted(real) and len(set(real)) == len(real)
    for size, asked in real.items():
        assert size > 0 and size % unit == 0
        assert asked - unit < size <= asked or size == unit
    asked_for = {smallest * factor**k for k in range(40) if smallest * factor**k <= smallest + more}
    assert {max(unit, a // unit * unit) for a in asked_for} == set(real), "no size is left out"


def test_leaf_switches_that_would_cut_through_a_fast_domain_are_refused_and_not_passed_over(conf: Path) -> None:
    """A rack of 18 nodes on leaves of 16: what the uplinks leave has no bound here."""
    rack = [
        "target=gb200_nvl72",
        "target.nodes=36",
        "target.tasks_per_node=4",
        "target.scale_out.oversubscription={value: 4, source: test}",
    ]
    words = refused(conf, *rack, "target.scale_out.nodes_per_switch=16")
    assert "target.scale_out.nodes_per_switch" in words and "fast domains of 18 nodes" in words
    check(conf, *rack, "target.scale_out.nodes_per_switch=18")
    check(conf, *rack, "target.scale_out.nodes_per_switch=9")
