"""What a bisection can never do is refused while it is planned, and names its key."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from seatrial.checks import check_plan
from seatrial.config.probe import Bisection
from seatrial.errors import ConfigError
from seatrial.plan import make_plan

CONF = Path(__file__).parents[2] / "conf"
PLACE = "experiments.fabric.workload"
FOUR = [
    "target.name=four",
    "target.nodes=4",
    "target.tasks_per_node=1",
    "target.device=cpu",
    "target.accelerators_per_node=0",
]


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped configuration and a study of one bisection on two ranks."""
    folder = tmp_path_factory.mktemp("planned") / "conf"
    shutil.copytree(CONF, folder)
    (folder / "study" / "one.yaml").write_text(
        "# @package _global_\n"
        "defaults:\n  - /workload@experiments.fabric.workload: bisection\n  - _self_\n"
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


def network(topology: str) -> str:
    return f"target.scale_out={{name: ethernet, topology: '{topology}'}}"


def test_shipped_probe_and_its_sweeps_are_planned(conf: Path) -> None:
    check(conf, *FOUR, f"{PLACE}.scales=[2,3]")
    for name in ("bisection_sizes", "bisection_at_scale"):
        plan = make_plan(["study=one", "target=local", *FOUR, f"+sweep@experiments.fabric.sweep={name}"], conf)
        assert len({case.workload.size_bytes for case in plan.cases}) > 1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("words", "key", "said"),
    [
        (["target.tasks_per_node=1"], "target.tasks_per_node", "needs two ranks or more"),
        ([*FOUR, f"{PLACE}.scales=[2,5]"], f"{PLACE}.scales", "numbers from 2 to 4"),
        ([f"{PLACE}.scales=[3]"], f"{PLACE}.scales", "there are 2 ranks of a single host"),
        ([*FOUR, f"{PLACE}.scales=[2,2]"], f"{PLACE}.scales", "each value once"),
        ([*FOUR, f"{PLACE}.cuts=[rail]"], f"{PLACE}.cuts", "rails need several hosts"),
        ([*FOUR, f"{PLACE}.cuts=[switch]"], f"{PLACE}.cuts", "set to slurm or to a file"),
        ([*FOUR, f"{PLACE}.cuts=[switches]"], f"{PLACE}.cuts", "host_order"),
        ([*FOUR, f"{PLACE}.size_bytes=1001"], f"{PLACE}.size_bytes", "a multiple of 4"),
        ([*FOUR, "target.nodes=300", f"{PLACE}.pairwise=[alone]"], f"{PLACE}.pairwise", "at most 128 hosts"),
        ([*FOUR, f"{PLACE}.matchings=0", f"{PLACE}.cuts=[]", f"{PLACE}.pairwise=[]"], PLACE, "nothing is left"),
    ],
)
def test_what_cannot_be_is_one_error_with_its_key(conf: Path, words: list[str], key: str, said: str) -> None:
    problem = refused(conf, *words)
    assert key in problem and said in problem


def test_a_topology_file_is_read_while_planning(conf: Path, tmp_path: Path) -> None:
    file = tmp_path / "topology.yaml"
    asked = [*FOUR, f"{PLACE}.cuts=[rack]", network(str(file))]
    assert "cannot be read" in refused(conf, *asked)
    file.write_text("switches: {s1: 'node[1-4]'}")
    assert "says nothing of a rack: it has switches" in refused(conf, *asked)
    file.write_text("racks: {r1: 'node[1-2]', r2: 'node[3-4]'}")
    check(conf, *asked)
    file.write_text("nonsense")
    words = refused(conf, *asked)
    assert "target.scale_out.topology" in words and str(file) in words and "no known form" in words


def test_what_slurm_says_is_left_to_the_ranks(conf: Path) -> None:
    check(conf, *FOUR, f"{PLACE}.cuts=[switch]", network("slurm"))


def test_defaults_are_those_of_accelerators() -> None:
    found = Bisection(kind="bisection")
    assert (found.size_bytes, found.matchings) == (256 * 1024**2, 30)
