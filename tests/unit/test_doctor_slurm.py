"""seatrial doctor and Slurm: partitions and what a job needs of them; a real Slurm is in tests/slurm."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from doctor_machines import machine, request
from hypothesis import given
from hypothesis import strategies as st

from seatrial.doctor import slurm
from seatrial.doctor.command import Answer
from seatrial.doctor.facts import Folder
from seatrial.doctor.limits import Limits
from seatrial.doctor.needs import Needs, _largest
from seatrial.doctor.node import MARK
from seatrial.doctor.nodes import OnNodes, _clocks, _folder_on_nodes, _nothing_said, _same_software, read_answers
from seatrial.doctor.partitions import Node, Partition, gpus_of, minutes_of, read_partitions
from seatrial.doctor.slurm import fits, look, sbatch_words

SCONTROL = (
    "PartitionName=main AllowGroups=ALL Default=YES MaxNodes=UNLIMITED MaxTime=1-00:00:00 State=UP TotalNodes=4\n"
    "PartitionName=debug Default=NO MaxNodes=1 MaxTime=30:00 State=DOWN TotalNodes=1\n"
)
SINFO = "main|n1|idle|64|512000|gpu:h100:8(S:0-1)|ib,fast\nmain|n2|drain|64|512000|gpu:h100:8|(null)\n"


def partition(*states: str, **words) -> Partition:
    """A partition with a node in each state, of 4 CPUs, 16000 MB and 2 GPUs."""
    nodes = [Node(f"n{i}", state, 4, 16000, 2, frozenset({"ib"})) for i, state in enumerate(states, 1)]
    usual = {"name": "main", "state": "UP", "is_default": True, "minutes": None, "most_nodes": None, "nodes": nodes}
    return Partition(**{**usual, **words})


def test_partitions_and_nodes_are_read_as_slurm_prints_them():
    main, debug = read_partitions(SCONTROL, SINFO)
    assert (main.is_default, main.minutes, main.most_nodes, debug.state, debug.minutes) == (
        True,
        1440,
        None,
        "DOWN",
        30,
    )
    assert [(n.name, n.works, n.gpus) for n in main.nodes] == [("n1", True, 8), ("n2", False, 8)]
    assert (debug.most_nodes, list(debug.nodes)) == (1, [])


@given(st.integers(0, 400), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_a_time_limit_is_read_in_each_of_slurms_forms(days, hours, minutes, seconds):
    assert minutes_of(f"{days}-{hours:02}:{minutes:02}:{seconds:02}") == days * 1440 + hours * 60 + minutes
    assert minutes_of(f"{hours:02}:{minutes:02}:{seconds:02}") == hours * 60 + minutes
    assert minutes_of(f"{minutes}:{seconds:02}") == minutes
    assert minutes_of(f"{days}-{hours}") == days * 1440 + hours * 60
    assert minutes_of("UNLIMITED") is None


@pytest.mark.parametrize(
    ("gres", "count"),
    [("(null)", 0), ("gpu:2", 2), ("gpu:h100:8(S:0-1)", 8), ("gpu:a100:4(S:0,1),nic:8", 4), ("gpu:a:1,gpu:b:2", 3)],
)
def test_gpus_are_counted_in_slurms_words(gres, count):
    assert gpus_of(gres) == count


@pytest.mark.parametrize(
    ("found", "asked", "expected", "words"),
    [
        (partition("idle", "mix"), {}, "ok", "2 node(s) that work"),
        (partition("idle", "alloc~"), {}, "ok", "2 node(s) that work"),
        (partition("idle", "idle"), {"nodes": 3}, "lacks", "nodes: 2 of 4 CPUs, 2 GPUs, 16000 MB"),
        (partition("idle", "drain"), {}, "lacks", "out of service: n2 (drain)"),
        (partition("idle", "down*"), {}, "lacks", "out of service: n2 (down*)"),
        (partition("idle", "idle"), {"cpus_per_task": 3}, "lacks", "0 node(s)"),
        (partition("idle", "idle"), {"gres": "gpu:8"}, "lacks", "0 node(s)"),
        (partition("idle", "idle"), {"mem_mb": 20000}, "lacks", "0 node(s)"),
        (partition("idle", "idle"), {"constraint": "nvl"}, "lacks", "0 node(s)"),
        (partition("idle", "idle"), {"constraint": "ib&nvl"}, "ok", "2 node(s)"),
        (partition("idle", "idle", minutes=5), {}, "lacks", "its time limit is 5 min"),
        (partition("idle", "idle", most_nodes=1), {}, "lacks", "a job may have 1 node(s)"),
        (partition("idle", "idle", state="DOWN"), {}, "lacks", "its state is DOWN"),
    ],
)
def test_a_partition_must_have_enough_nodes_that_work_and_enough_time(found, asked, expected, words):
    check = fits(request(**asked), found)
    assert (check.standing, words in check.saw) == (expected, True), check


def test_sbatch_is_asked_in_the_words_that_the_executor_uses():
    words = sbatch_words(request(slurm_partition="main", slurm_account="x", slurm_extra="--nice=5 --comment='a b'"))
    assert words == [
        *("--nodes=2", "--ntasks-per-node=2", "--cpus-per-task=1", "--time=10", "--mem=1000M", "--gres=gpu:2"),
        *("--account=x", "--partition=main", "--nice=5", "--comment=a b"),
    ]
    assert "--gpus-per-node=4" in sbatch_words(request(gres=None, gpus=8))


def test_only_the_largest_requests_of_a_place_are_asked_about():
    small, large = request(nodes=1), request(nodes=4)
    long, elsewhere = request(nodes=1, runtime=99), request(nodes=1, slurm_partition="other")
    assert _largest([small, large, long, small, elsewhere]) == (large, long, elsewhere)


def test_a_fake_scontrol_that_hangs_is_given_up_and_nothing_else_is_asked(tmp_path, monkeypatch):
    asked = tmp_path / "asked"
    for name in slurm.COMMANDS:
        fake(tmp_path / name, f"echo {name} >> {asked}; exec sleep 30")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = look(Needs(), 0.3)
    assert not found.answers
    assert "did not answer within 0.3 s" in found.checks[-1].saw
    assert asked.read_text().split() == ["scontrol"]


def test_a_fake_slurm_without_accounting_and_without_partitions_says_both(tmp_path, monkeypatch):
    for name in slurm.COMMANDS:
        fake(tmp_path / name, "exit 0")
    fake(tmp_path / "scontrol", '[ "$2" = config ] && echo "ClusterName = toy" && echo "MaxArraySize = 7"; exit 0')
    fake(tmp_path / "sacct", "echo Slurm accounting storage is disabled >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    needs = Needs(requests=(request(),), jobs=12)
    found = look(needs, 5)
    by_name = {check.name: check for check in found.checks}
    assert "cluster toy" in by_name["slurmctld"].saw
    assert by_name["MaxArraySize"].saw.startswith("7: ") and "12 job(s)" in by_name["MaxArraySize"].saw
    assert (by_name["sacct"].standing, by_name["sacct"].saw) == ("lacks", "Slurm accounting storage is disabled")
    (partition_lacks, _) = slurm.requests_check(found, needs, 5)
    assert partition_lacks.saw == "no partition is the default, and the target names none"


def test_a_jobs_own_variables_do_not_reach_slurms_commands(tmp_path, monkeypatch):
    fake(tmp_path / "scontrol", 'echo "$SLURM_JOB_ID/$SLURM_CONF"')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_CONF", "here")
    assert slurm.ask_slurm(["scontrol"], 5).out.strip() == "/here"


def test_a_folder_that_a_node_does_not_see_is_not_shared():
    sees = Folder("/d", exists=True, writable=True, speed=100.0, marked=True)
    blind, closed = (
        Folder("/d", marked=False),
        Folder("/d", exists=True, marked=True, problem="Read-only file system"),
    )
    assert _folder_on_nodes("/d", {"n1": sees, "n2": sees}).standing == "ok"
    check = _folder_on_nodes("/d", {"n1": sees, "n2": blind})
    assert (check.standing, "not seen on n2" in check.saw) == ("lacks", True)
    check = _folder_on_nodes("/d", {"n1": sees, "n2": closed})
    assert (check.standing, "n2 (Read-only file system)" in check.saw) == ("lacks", True)
    assert _folder_on_nodes("/d", {}).standing == "not checked"


@pytest.mark.parametrize(("at", "expected"), [(1000.5, "ok"), (1004.0, "warning"), (997.0, "warning")])
def test_a_nodes_clock_must_lie_within_the_time_that_srun_took(at, expected):
    found = OnNodes([machine(at=1000.5), machine(host="n2", at=at)], began=1000.0, ended=1001.0)
    assert _clocks(found, Limits()).standing == expected


@pytest.mark.parametrize(
    ("said", "expected", "do"),
    [
        (
            "srun: error: Unable to allocate resources: Requested nodes are busy",
            "not checked",
            "when nodes are free",
        ),
        ("srun: error: Unable to allocate resources: Invalid account", "lacks", "target.launcher"),
        ("slurmstepd: error: execve(): python: No such file or directory", "lacks", "nodes mount"),
    ],
)
def test_nodes_that_say_nothing_are_busy_or_refused_or_lack_this_python(said, expected, do):
    check = _nothing_said(Answer(("srun",), 1, err=said), 2)
    assert (check.standing, do in check.do) == (expected, True)


def test_nodes_must_run_the_same_python_and_seatrial():
    same = OnNodes([machine()], 0, 1)
    assert _same_software(same, machine()).standing == "ok"
    assert _same_software(same, machine(python="3.12.1")).standing == "lacks"


def fake(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_facts_of_a_node_survive_their_way_as_one_line():
    facts = machine(folders=[Folder("/d", marked=True)])
    assert "\n" not in facts.to_json()
    assert json.loads(facts.to_json())["folders"][0]["marked"] is True


@pytest.mark.parametrize(
    "text", ["[1]", "null", "{}", "[" * 100_000, '{"host": 1, "folders": [{"path": []}]}', '{"host": ["n1"]}']
)
def test_a_node_that_says_something_else_has_not_answered(text):
    sound, wrong = machine(host="n2").to_json(), machine().to_json().replace('"n1"', "7")
    out = "\n".join(["Welcome", *(f"n: {MARK}{line}" for line in (text, sound, wrong))])
    assert [one.to_json() for one in read_answers(out)] == [sound]
