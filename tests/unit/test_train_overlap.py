"""Exposed communication: interval arithmetic against sets of moments, and what is read from a profile."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import DeviceType

from seatrial.config.training import LlmFinetune
from seatrial.train import beside
from seatrial.train.beside import Beside, plan_profile, profile_measurements
from seatrial.train.loop import Schedule
from seatrial.train.overlap import Interval, Kernel, Overlap, kernels_of, length, overlap, union, without

INTERVALS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda i: (i[0], i[0] + i[1])), max_size=12
)


def moments(intervals: list[Interval]) -> set[int]:
    return {moment for begin, end in intervals for moment in range(int(begin), int(end))}


@given(INTERVALS, INTERVALS)
def test_intervals_are_the_sets_of_their_moments(some: list[Interval], others: list[Interval]) -> None:
    assert moments(union(some)) == moments(some)
    assert length(union(some)) == len(moments(some))
    left = without(some, others)
    assert moments(left) == moments(some) - moments(others)
    assert length(left) == len(moments(some) - moments(others))
    for disjoint in (union(some), left):
        assert all(begin < end for begin, end in disjoint)
        assert disjoint == sorted(disjoint)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(disjoint))


@given(INTERVALS, INTERVALS)
def test_exposed_and_hidden_communication_are_all_of_it(sent: list[Interval], computed: list[Interval]) -> None:
    kernels = [Kernel("ncclDevKernel_AllReduce_Sum_f32_RING_LL(x)", *i) for i in sent]
    found = overlap(kernels + [Kernel("sm90_xmma_gemm_bf16", *i) for i in computed])
    hidden = len(moments(sent) & moments(computed))
    assert found == (len(moments(sent)), len(moments(sent)) - hidden, len(moments(computed)))


def test_copies_hide_nothing_and_names_of_both_vendors_are_known() -> None:
    kernels = [
        Kernel("ncclDevKernel_AllGather_RING_LL(ncclDevKernelArgsStorage<4096ul>)", 0.0, 4.0),
        Kernel("void rccl_main_kernel<1>", 6.0, 8.0),
        Kernel("Memcpy DtoD (Device -> Device)", 0.0, 8.0),
        Kernel("Memset (Device)", 0.0, 8.0),
        Kernel("void at::native::vectorized_elementwise_kernel<4>", 3.0, 7.0),
    ]
    assert overlap(kernels) == Overlap(communication=6.0, exposed=4.0, compute=4.0)


class _Event:
    def __init__(self, name: str, device: DeviceType, start_ns: int, duration_ns: int) -> None:
        self.name, self.device_type = lambda: name, lambda: device
        self.start_ns, self.duration_ns = lambda: start_ns, lambda: duration_ns


EVENTS = [
    _Event("aten::mm", DeviceType.CPU, 0, 9_000_000_000),
    _Event("gemm", DeviceType.CUDA, 1_000_000_000, 2_000_000_000),
    _Event("ncclDevKernel_ReduceScatter", DeviceType.CUDA, 2_000_000_000, 3_000_000_000),
]


def test_kernels_are_what_ran_on_the_device_without_device() -> None:
    assert kernels_of(EVENTS) == [Kernel("gemm", 1.0, 3.0), Kernel("ncclDevKernel_ReduceScatter", 2.0, 5.0)]


def test_events_of_a_profile_have_what_is_read_of_them() -> None:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        torch.ones(4) + 1
    inner = profiler.profiler
    assert inner is not None and inner.kineto_results is not None
    events = inner.kineto_results.events()
    assert events and kernels_of(events) == [], "the CPU's own are no kernels"
    assert "aten::add" in {event.name() for event in events}
    assert all(event.start_ns() > 0 and event.duration_ns() >= 0 for event in events)


class _Profile:
    """Stands for torch.profiler.profile on an accelerator."""

    def __init__(self, activities: list[Any]) -> None:
        assert activities == [torch.profiler.ProfilerActivity.CUDA]
        self.running, self.profiler = False, self
        self.kineto_results = self

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        assert self.running
        self.running = False

    def events(self) -> list[_Event]:
        assert not self.running
        return EVENTS


class _Quiet:
    """Stands for what else is told of pauses."""

    layout = objective = ranks = None

    def __init__(self) -> None:
        self.layout = self.objective = self.ranks = self  # type: ignore[assignment]

    def gathered(self, value: Any) -> list[Any]:
        return [value, value]

    def measurements(self) -> list[Any]:
        return []

    def resume(self) -> None:
        """Nothing is sampled."""

    pause = resume


class _At:
    def __init__(self, step: int) -> None:
        self.step = step


def test_the_profiled_stretch_alone_is_profiled_without_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.profiler, "profile", _Profile)
    quiet: Any = _Quiet()
    watcher = Beside(quiet, quiet, range(10, 12))
    at: Any
    for at in (_At(0), _At(10)):
        watcher.training(at)
        assert (watcher._profiler is not None) == (at.step == 10)
        watcher.paused(_At(at.step + (10 if at.step == 0 else 2)))  # type: ignore[arg-type]
    found = {(m.metric, m.labels["rank"]): m.samples for m in watcher.profile}
    assert found == {
        (f"train.profiled_{what}_time", rank): [seconds]
        for rank in (0, 1)
        for what, seconds in (("communication", 1.5), ("exposed_communication", 1.0))
    }
    assert profile_measurements([]) == []
    assert beside.start_profile  # the name that is replaced above is the one that is used


def test_profiled_steps_are_a_stretch_of_their_own_after_the_first() -> None:
    workload: Any = LlmFinetune.model_construct(profile_steps=3, max_steps=40)
    assert plan_profile(workload, "cpu", 10) == range(0), "on CPUs every wait is timed"
    assert plan_profile(workload, "cuda", 10) == range(10, 13)
    assert plan_profile(workload, "cuda", 39) == range(39, 40)
    schedule = Schedule(40, 20, 10, profiled=plan_profile(workload, "cuda", 10))
    pauses, step = [], 0
    while step < 40:
        step = schedule.next_pause(step)
        pauses.append(step)
    assert pauses == [10, 13, 20, 30, 40]
