"""Topologies as Slurm prints them and as files say them; what is odd is one clear error."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.errors import ConfigError, Unsupported
from seatrial.measure import topology
from seatrial.measure.topology import expand_hosts, parse_slurm, read_topology

TREE = """\
SwitchName=s0 Level=0 LinkSpeed=1 Nodes=node[1-2]
SwitchName=s1 Level=0 LinkSpeed=1 Nodes=node[3,4]
SwitchName=top Level=1 LinkSpeed=1 Nodes=node[1-4] Switches=s[0-1]
"""
CONF = (
    "# two leaves\nSwitchName=s0 Nodes=node[1-2]\nSwitchName=s1 Nodes=node[3-4]\nSwitchName=top Switches=s[0-1]\n"
)
BLOCKS = """\
BlockName=b1 BlockIndex=0 Nodes=gpu[01-18] BlockSize=18
BlockName=b2 BlockIndex=1 Nodes=gpu[19-36] BlockSize=18
BlockSizes=18
"""


@pytest.mark.parametrize("text", [TREE, CONF, TREE.replace(" Switches=s[0-1]", "")])
def test_leaf_switches_of_slurms_tree_are_told_from_those_above(text: str) -> None:
    found = parse_slurm(text, "slurm")
    assert found.switches == {"s0": ("node1", "node2"), "s1": ("node3", "node4")}
    assert found.racks == {}
    assert found.group_of_hosts("switch", ["node3", "node1.cluster.local"]) == {
        "node3": "s1",
        "node1.cluster.local": "s0",
    }


def test_slurms_blocks_are_racks() -> None:
    found = parse_slurm(BLOCKS, "slurm")
    assert [len(hosts) for hosts in found.racks.values()] == [18, 18]
    assert found.group_of_hosts("rack", ["gpu18", "gpu19"]) == {"gpu18": "b1", "gpu19": "b2"}


def test_yaml_names_switches_and_racks(tmp_path: Path) -> None:
    file = tmp_path / "topology.yaml"
    file.write_text('switches: {s1: "node[1-2]", s2: [node3, "node[4-5]"]}\nracks: {r1: "node[1-5]"}\n')
    found = read_topology(str(file))
    assert found.switches == {"s1": ("node1", "node2"), "s2": ("node3", "node4", "node5")}
    assert found.racks == {"r1": ("node1", "node2", "node3", "node4", "node5")}


def test_file_of_slurms_lines_is_read_as_scontrol_prints_them(tmp_path: Path) -> None:
    file = tmp_path / "topology.txt"
    file.write_text(TREE)
    assert read_topology(str(file)).switches == parse_slurm(TREE, "x").switches


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("node7", ["node7"]),
        ("gpu[08-10,12],cpu1", ["gpu08", "gpu09", "gpu10", "gpu12", "cpu1"]),
        ("r[1-2]n[1-2]-ib", ["r1n1-ib", "r1n2-ib", "r2n1-ib", "r2n2-ib"]),
    ],
)
def test_host_lists(text: str, hosts: list[str]) -> None:
    assert expand_hosts(text) == hosts


@given(st.lists(st.integers(0, 999), min_size=1, max_size=20, unique=True), st.integers(3, 5))
def test_any_list_of_numbered_hosts_comes_back(numbers: list[int], width: int) -> None:
    hosts = [f"n{number:0{width}}" for number in numbers]
    inside = ",".join(f"{number:0{width}}" for number in numbers)
    assert expand_hosts(f"n[{inside}]") == hosts
    assert expand_hosts(",".join(hosts)) == hosts


@pytest.mark.parametrize("text", ["", "node[", "node[1-]", "node[3-1]", "a b", "node[1-999999999]", "x[1-2]]", ","])
def test_what_is_no_host_list_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a list of hosts"):
        expand_hosts(text)


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    for read in (lambda: expand_hosts(text), lambda: parse_slurm(text, "x"), lambda: parse_slurm(TREE + text, "x")):
        with contextlib.suppress(ConfigError):
            read()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no known form"),
        ("[a, b]", "no known form"),
        ("racks: {r1: [1, 2]}", "racks.r1 is neither a text nor a list"),
        ("racks: {r1: []}", "racks.r1 is neither"),
        ("pods: {p1: node1}", "no known form"),
        ("racks: {r1: node1, r2: node1}", "node1 is in rack r1 and in rack r2"),
        ("racks: [", "no known form"),
        ("SwitchName=s0 Nodes=node[1-2]\nhello\n", "not a line of a topology"),
        ("SwitchName=s0 Nodes=node[1-2]\nSwitchName=s1 Nodes=node2\n", "in switch s0 and in switch s1"),
        ("SwitchName=top Switches=s[0-1]\n", "names no leaf switch"),
    ],
)
def test_odd_file_is_one_error_that_names_it(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "topology"
    file.write_text(text)
    with pytest.raises(ConfigError, match=problem) as refused:
        read_topology(str(file))
    assert str(file) in str(refused.value)
    assert "target.scale_out.topology" in str(refused.value)


def test_missing_file_unknown_host_and_missing_kind_are_told() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_topology("/no/such/topology")
    found = parse_slurm(TREE, "slurm")
    with pytest.raises(ConfigError, match="host node9 is below no switch") as refused:
        found.group_of_hosts("switch", ["node1", "node9"])
    assert "node1, node2, node3, node4" in str(refused.value)
    with pytest.raises(ConfigError, match="says nothing of a rack: it has switches"):
        found.group_of_hosts("rack", [])


def test_slurm_without_a_topology_is_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    def says(text: str, code: int = 0) -> None:
        done = subprocess.CompletedProcess(["scontrol"], code, stdout=text, stderr="")
        monkeypatch.setattr(topology.shutil, "which", lambda name: f"/bin/{name}")
        monkeypatch.setattr(topology.subprocess, "run", lambda *words, **more: done)

    says("No topology information available\n")
    with pytest.raises(Unsupported, match="No topology information available"):
        read_topology("slurm")
    says(TREE)
    assert list(read_topology("slurm").switches) == ["s0", "s1"]
    monkeypatch.setattr(topology.shutil, "which", lambda name: None)
    with pytest.raises(Unsupported, match="scontrol is not on this node's PATH"):
        read_topology("slurm")
