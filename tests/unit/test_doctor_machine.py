"""seatrial doctor: a machine's facts (made up here) against what a study's target says."""

from __future__ import annotations

import pytest
from doctor_machines import cluster_targets, machine, standing

from seatrial.config.target import Target
from seatrial.doctor.facts import Torch
from seatrial.doctor.limits import Limits
from seatrial.doctor.machine import devices_checks, infiniband_check, machine_checks, torch_checks
from seatrial.doctor.needs import Needs

H100 = "NVIDIA H100 80GB HBM3"
TORCH = Torch(
    version="2.13.0", cuda="12.8", driver_cuda="12.8", driver="570.1", has_nccl=True, nccl="2.27", devices=[H100]
)


@pytest.mark.parametrize(
    ("names", "expected", "words"),
    [
        ([H100] * 8, "ok", "8 x NVIDIA H100"),
        ([H100] * 7, "lacks", "the target has 8 per node"),
        (["NVIDIA H200"] * 8, "lacks", "the target's are named"),
        ([H100] * 7 + ["NVIDIA A100-SXM4-80GB"], "lacks", "1 x NVIDIA A100"),
        ([], "lacks", "none that torch can use"),
    ],
)
def test_number_and_names_of_devices_must_be_the_targets(names, expected, words):
    (check,) = devices_checks(machine(devices=names), Needs(targets=cluster_targets()))
    assert (check.standing, words in check.saw) == (expected, True)


def test_a_driver_that_hangs_is_no_machine_without_devices():
    (check,) = devices_checks(machine(device_problem="no answer within 20 s"), Needs(targets=cluster_targets()))
    assert check.standing == "lacks"
    assert "no answer within 20 s" in check.saw


@pytest.mark.parametrize(
    ("change", "name", "expected"),
    [
        ({}, "torch", "ok"),
        ({"cuda": "13.0", "driver_cuda": "12.8"}, "torch", "warning"),
        ({"cuda": "13.0", "devices": [], "problem": "driver too old"}, "torch", "lacks"),
        ({"cuda": None, "devices": []}, "torch", "lacks"),
        ({}, "NCCL", "ok"),
        ({"has_nccl": False}, "NCCL", "lacks"),
        ({"version": "", "problem": "torch cannot be imported"}, "torch", "lacks"),
    ],
)
def test_torch_must_reckon_on_the_devices_and_have_nccl(change, name, expected):
    found = torch_checks(Torch(**{**vars(TORCH), **change}), cluster_targets()[0])
    assert [check.standing for check in found if check.name == name] == [expected]


@pytest.mark.parametrize(
    ("ports", "gbit", "expected"), [((), 0, "warning"), (("mlx5_0",), 400, "warning"), (("mlx5_0",), 3200, "ok")]
)
def test_active_ports_must_have_what_the_targets_network_promises(ports, gbit, expected):
    facts = machine(infiniband=ports, infiniband_gbit=gbit)
    assert infiniband_check(facts, Needs(targets=cluster_targets(), nodes=2)).standing == expected


def test_locked_memory_matters_where_there_is_rdma_and_most_over_several_nodes():
    small = machine(infiniband=("mlx5_0",), locked_memory=65536)
    assert standing(small, "locked memory", Needs(nodes=2)) == "lacks"
    assert standing(small, "locked memory", Needs(nodes=1)) == "warning"
    assert standing(machine(infiniband=("mlx5_0",), locked_memory=None), "locked memory", Needs(nodes=2)) == "ok"
    assert standing(machine(locked_memory=65536), "locked memory", Needs(nodes=2)) == "ok"


@pytest.mark.parametrize(("size", "expected"), [(64 * 2**20, "warning"), (2**30, "ok"), (None, "warning")])
def test_shared_memory_of_a_container_is_too_small(size, expected):
    assert standing(machine(shared_memory=size), "/dev/shm") == expected


@pytest.mark.parametrize(("synchronised", "expected"), [(True, "ok"), (False, "warning"), (None, "not checked")])
def test_a_clock_that_nobody_was_asked_about_is_not_checked(synchronised, expected):
    assert standing(machine(clock_synchronised=synchronised), "synchronisation") == expected


def test_a_program_that_is_not_found_lacks():
    needs = Needs(programs=(("all_reduce_perf", "experiment reduce"),))
    assert standing(machine(), "all_reduce_perf", needs) == "lacks"
    assert standing(machine(programs={"all_reduce_perf": "/opt/all_reduce_perf"}), "all_reduce_perf", needs) == "ok"


def test_a_target_without_accelerators_asks_for_none():
    cpu = Target.model_validate(
        {
            "name": "c",
            "description": "c",
            "nodes": 2,
            "accelerators_per_node": 2,
            "tasks_per_node": 2,
            "device": "cpu",
        }
    )
    checks = machine_checks(machine(), Needs(targets=(cpu,), nodes=2), Limits())
    assert {check.standing for check in checks if check.topic == "devices"} == {"ok"}
