"""Communication that overlaps with no computation, from a profile of the device's kernels.

On an accelerator collectives run on streams of their own; phases, timed on the compute stream, see what that stream
waits for by itself, not what the gathering of sharded parameters costs inside the forward and backward pass. A
profile sees every kernel: exposed is the time in which some communication kernel ran and no compute kernel did,
`|union(communication) minus union(compute)|`. Copies to and from memory are neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch.profiler import profile

Interval = tuple[float, float]
"""From when to when, half open."""
COMMUNICATION = ("nccl", "rccl", "msccl")
"""In the names of NCCL's and RCCL's kernels (`ncclDevKernel_AllReduce_Sum_f32_RING_LL`), in lower case."""
MEMORY = ("memcpy", "memset")


class Kernel(NamedTuple):
    """One kernel of one device; times in seconds of any one clock."""

    name: str
    begin: float
    end: float


class Overlap(NamedTuple):
    """Seconds of one rank within a profile."""

    communication: float
    """In which at least one communication kernel ran."""
    exposed: float
    """Of these, those in which no compute kernel ran."""
    compute: float


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """The same moments as disjoint intervals that do not touch, in order; empty ones vanish."""
    joined: list[Interval] = []
    for begin, end in sorted(i for i in intervals if i[0] < i[1]):
        if joined and begin <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((begin, end))
    return joined


def length(disjoint: Iterable[Interval]) -> float:
    """How long disjoint intervals are together."""
    return sum(end - begin for begin, end in disjoint)


def without(intervals: Iterable[Interval], removed: Iterable[Interval]) -> list[Interval]:
    """The moments of `intervals` that are in none of `removed`, as disjoint intervals in order."""
    left: list[Interval] = []
    holes = union(removed)
    first = 0
    for begin, end in union(intervals):
        while first < len(holes) and holes[first][1] <= begin:
            first += 1
        for hole_begin, hole_end in holes[first:]:
            if hole_begin >= end:
                break
            if begin < hole_begin:
                left.append((begin, hole_begin))
            begin = max(begin, hole_end)
        if begin < end:
            left.append((begin, end))
    return left


def overlap(kernels: Sequence[Kernel]) -> Overlap:
    """Communication, its exposed part and computation of one rank's kernels."""
    communication, compute = [], []
    for name, begin, end in kernels:
        lowered = name.lower()
        if any(word in lowered for word in COMMUNICATION):
            communication.append((begin, end))
        elif not lowered.startswith(MEMORY):
            compute.append((begin, end))
    exposed = length(without(communication, compute))
    return Overlap(length(union(communication)), exposed, length(union(compute)))


def kernels_of(events: Iterable[Any]) -> list[Kernel]:
    """What ran on the device, of a Kineto profile's events (`profiler.kineto_results.events()`)."""
    from torch.autograd import DeviceType

    return [
        Kernel(event.name(), event.start_ns() / 1e9, (event.start_ns() + event.duration_ns()) / 1e9)
        for event in events
        if event.device_type() == DeviceType.CUDA
    ]


def start_profile() -> profile:
    """Start to note the kernels of this process's device."""
    from torch.profiler import ProfilerActivity, profile

    profiler = profile(activities=[ProfilerActivity.CUDA])
    profiler.start()
    return profiler


def stop_profile(profiler: profile) -> Overlap:
    """End what `start_profile` started; the device must be idle."""
    profiler.stop()
    inner = profiler.profiler
    assert inner is not None and inner.kineto_results is not None
    return overlap(kernels_of(inner.kineto_results.events()))
