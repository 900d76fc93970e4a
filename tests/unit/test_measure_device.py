"""Device, threads and backend of a rank; accelerators are stood in for where no device has run the path."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ranks import case, collective, target

from seatrial.errors import Unsupported
from seatrial.measure import session
from seatrial.measure.device import assign_threads, check_devices_differ, pick_device, rank_facts
from seatrial.measure.launch import Launch
from seatrial.measure.timing import time_iterations

CUDA = {"device": "cuda", "accelerators_per_node": 4}


def facts(**more: Any) -> dict[str, Any]:
    known = {"rank": 0, "host": "a", "cpus": [0, 1, 2, 3], "cpus_per_task": None, "threads_wanted": None}
    return {**known, "index": "cpu", "device": "cpu", "uuid": None, **more}


@pytest.fixture
def accelerators(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A machine that claims four accelerators; holds the calls that reach them."""
    calls: list[Any] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", calls.append)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(name="NVIDIA H200"))
    return calls


def test_cpu_target_runs_on_the_cpu() -> None:
    assert pick_device(target(), Launch()) == torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="shows what a machine without accelerator says")
def test_missing_accelerator_is_unsupported_in_words() -> None:
    with pytest.raises(Unsupported, match=r"target bench has device cuda, but torch .* finds no accelerator"):
        pick_device(target(4, **CUDA), Launch())


def test_rank_takes_the_accelerator_of_its_local_number_without_device(accelerators: list[Any]) -> None:
    launch = Launch(rank=6, local_rank=2, world_size=8)
    assert pick_device(target(4, **CUDA), launch) == torch.device("cuda", 2)
    assert accelerators == [2]


def test_rank_bound_to_one_accelerator_takes_it_without_device(
    accelerators: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert pick_device(target(4, **CUDA), Launch(3, 3, 4)) == torch.device("cuda", 0)


def test_rank_refuses_another_accelerator_than_declared_without_device(accelerators: list[Any]) -> None:
    declared = {"name": "H100", "vendor": "nvidia", "device_names": ["NVIDIA H100*"]}
    with pytest.raises(Unsupported, match="calls this device 'NVIDIA H200'"):
        pick_device(target(4, **CUDA, accelerator=declared), Launch())


def test_too_few_accelerators_are_unsupported_without_device(accelerators: list[Any]) -> None:
    with pytest.raises(Unsupported, match="task 5 of its node but sees only 4"):
        pick_device(target(4, **CUDA), Launch(5, 5, 8))


def test_facts_name_the_accelerator_without_device(monkeypatch: pytest.MonkeyPatch) -> None:
    properties = SimpleNamespace(name="NVIDIA H100", uuid="GPU-1")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    said = rank_facts(torch.device("cuda", 1), Launch(1, 1, 2), {"SLURMD_NODENAME": "n1"})
    assert (said["device"], said["uuid"], said["index"], said["host"]) == ("NVIDIA H100", "GPU-1", "cuda:1", "n1")


def test_ranks_that_hold_the_same_accelerator_are_refused() -> None:
    held = [facts(rank=r, uuid="GPU-1", device="H100") for r in range(2)]
    with pytest.raises(Unsupported, match="ranks 0 and 1 on a hold the same accelerator"):
        check_devices_differ(held)
    check_devices_differ([held[0], {**held[1], "host": "b"}])
    check_devices_differ([facts(rank=0), facts(rank=1)])


def test_threads_are_the_cpus_that_ranks_share() -> None:
    assert assign_threads([facts(rank=0), facts(rank=1)]) == [2, 2]
    assert assign_threads([facts(rank=0), facts(rank=1, host="b")]) == [4, 4]
    bound = [facts(rank=0, cpus=[0, 1]), facts(rank=1, cpus=[2, 3])]
    assert assign_threads(bound) == [2, 2]
    assert assign_threads([facts(rank=r) for r in range(6)]) == [1] * 6


def test_threads_keep_to_what_was_asked_for() -> None:
    assert assign_threads([facts(cpus_per_task=3)]) == [3]
    assert assign_threads([facts(threads_wanted=7)]) == [7]


def test_own_limits_come_from_the_environment() -> None:
    said = rank_facts(torch.device("cpu"), Launch(), {"OMP_NUM_THREADS": "3", "SLURM_CPUS_PER_TASK": "x"})
    assert (said["threads_wanted"], said["cpus_per_task"]) == (3, None)
    assert said["cpus"] == sorted(os.sched_getaffinity(0))


def test_accelerators_talk_over_nccl_without_device() -> None:
    assert session.choose_backend(case(collective(), 2), "cuda") == "nccl"
    assert session.choose_backend(case(collective(), 2), "cpu") == "gloo"
    assert session.choose_backend(case(collective(backend="gloo"), 2), "cuda") == "gloo"
    external = case({"kind": "external", "command": ["train"], "format": "mllog"}, 2)
    assert session.choose_backend(external, "cuda") == "gloo", "the device's memory is the command's"


def test_process_group_is_bound_to_the_accelerator_without_device(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *a, **k: calls.append((a, k)))
    what = case(collective(timeout_seconds=33.0, implementation="torch"), 2, device="cuda", accelerators_per_node=2)
    one = session._Session(what, 0, tmp_path / "0.json", Launch(1, 1, 2), None)
    device = torch.device("cuda", 1)
    peers = SimpleNamespace(store=torch.distributed.HashStore())
    one._join_process_group(SimpleNamespace(device=device, rank=1, world_size=2), peers)  # type: ignore[arg-type]
    ((backend,), words) = calls[0]
    assert backend == "nccl"
    assert (words["device_id"], words["rank"], words["world_size"]) == (device, 1, 2)
    assert words["timeout"].total_seconds() == 33


def test_accelerators_are_timed_by_events_on_their_stream_without_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            said.append("event")

        def elapsed_time(self, end: object) -> float:
            assert said[-1] == "synchronize"
            return 250.0  # milliseconds

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: said.append("synchronize"))
    seconds = time_iterations(
        torch.device("cuda", 0), lambda: said.append("work"), 1, 2, lambda: said.append("before")
    )
    assert seconds == [0.25, 0.25]
    assert said == ["before", "work", *["before", "event", "work", "event"] * 2, "synchronize"]


def test_host_clock_covers_the_operation_and_not_what_comes_before() -> None:
    import time

    seconds = time_iterations(torch.device("cpu"), lambda: time.sleep(0.01), 0, 3, before=lambda: time.sleep(0.2))
    assert len(seconds) == 3
    assert all(0.01 <= s < 0.2 for s in seconds)
