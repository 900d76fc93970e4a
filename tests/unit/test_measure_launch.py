"""Which rank a process is, by its launcher's variables."""

from __future__ import annotations

import pytest
from ranks import target

from seatrial.errors import ConfigError
from seatrial.measure.launch import Launch, check_world_size, first_host, host_name, read_launch

LAUNCHED = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "node1", "MASTER_PORT": "29500"}
STEP = {
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NTASKS": "8",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_JOB_ID": "77",
    "SLURM_STEP_ID": "0",
    "SLURM_JOB_NODELIST": "gpu[03-06]",
}


def test_bare_shell_is_one_rank() -> None:
    assert read_launch({"PATH": "/bin"}) == Launch(rank=0, local_rank=0, world_size=1)


def test_launcher_variables_are_taken_as_they_are() -> None:
    assert read_launch(LAUNCHED) == Launch(3, 1, 4, "node1", 29500)


def test_launcher_variables_come_before_those_of_slurm() -> None:
    assert read_launch({**STEP, **LAUNCHED}).rank == 3


def test_plain_srun_step_is_read_and_meets_on_its_first_node() -> None:
    launch = read_launch(STEP)
    assert (launch.rank, launch.local_rank, launch.world_size, launch.address) == (5, 1, 8, "gpu03")
    assert 15000 <= launch.port < 29000
    assert read_launch({**STEP, "SLURM_STEP_ID": "1"}).port != launch.port


def test_step_on_part_of_an_allocation_meets_on_the_first_node_of_the_step() -> None:
    assert read_launch({**STEP, "SLURM_STEP_NODELIST": "gpu05"}).address == "gpu05"


def test_batch_script_outside_a_step_is_one_rank() -> None:
    batch = {k: v for k, v in STEP.items() if not k.startswith("SLURM_STEP")} | {"SLURM_PROCID": "0"}
    assert read_launch(batch).world_size == 1


@pytest.mark.parametrize(
    ("nodelist", "host"),
    [
        ("node1", "node1"),
        ("node[01-04,9]", "node01"),
        ("a3,b[1-2]", "a3"),
        ("r[2-3]n[07,09],x", "r2n07"),
        ("gpu[5]", "gpu5"),
    ],
)
def test_first_host_of_a_node_list(nodelist: str, host: str) -> None:
    assert first_host(nodelist) == host


def test_empty_node_list_is_refused() -> None:
    with pytest.raises(ConfigError, match="not a Slurm node list"):
        first_host("")


@pytest.mark.parametrize("missing", ["RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"])
def test_half_told_launch_is_refused_naming_what_is_missing(missing: str) -> None:
    told = {k: v for k, v in LAUNCHED.items() if k != missing}
    with pytest.raises(ConfigError, match=f"but not {missing}"):
        read_launch(told)


@pytest.mark.parametrize(
    ("name", "value"), [("RANK", "two"), ("WORLD_SIZE", "-4"), ("MASTER_PORT", "²"), ("RANK", "4")]
)
def test_impossible_launch_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        read_launch({**LAUNCHED, name: value})


def test_world_size_must_be_that_of_the_target() -> None:
    on = target(ranks=2, nodes=3)
    check_world_size(Launch(world_size=6), on)
    with pytest.raises(ConfigError, match="--nodes=3 --ntasks-per-node=2"):
        check_world_size(Launch(world_size=1), on)


def test_node_name_of_slurm_comes_before_that_of_the_machine() -> None:
    assert host_name({"SLURMD_NODENAME": "node2"}) == "node2"
    assert host_name({})
