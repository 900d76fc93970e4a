"""The labels under which a case that runs here was to measure, and under which no repeat has anything.

A size or a cut that is missing in every repeat leaves no row behind: only the plan knows of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seatrial.case import Case
from seatrial.config.probe.bisection import Bisection
from seatrial.config.probe.collective import SHARED_OUT, Collective

ALIGNMENT = 16
"""nccl-tests rounds each rank's part of what is shared out down to so many bytes."""
OF_ALL_HOSTS = ("host_order", "shift")
"""Cuts that any hosts have; by switch, rack and rail they may have none, which the record then says."""


def labels_not_measured(case: Case, metric: str, there: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The planned sizes or cuts of `metric` that none of the labels `there` has, in the plan's order.

    Empty for other workloads, and where `there` does not tell sizes or cuts apart.
    """
    workload = case.workload
    if isinstance(workload, Collective) and any("size_bytes" in labels for labels in there):
        return _sizes(case, workload, there)
    if isinstance(workload, Bisection) and metric == "bisection.bandwidth" and any("cut" in one for one in there):
        return _cuts(case, workload, there)
    return []


def _sizes(case: Case, workload: Collective, there: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if workload.sizes is None:
        return []  # one size: there is a row of it, or none at all
    ranks = case.target.world_size
    sizes = {labels.get("size_bytes") for labels in there}
    planned = workload.real_sizes(ranks)
    if any(labels.get("implementation") == "nccl_tests" for labels in there):
        step = ALIGNMENT * ranks if workload.operation in SHARED_OUT else ALIGNMENT
        found = [size for size in sizes if size is not None]
        missing = [
            real
            for real, asked in planned.items()
            if asked >= step and not any(asked - step < size <= asked for size in found)
        ]
    else:
        missing = [real for real in planned if real not in sizes]
    return [{"size_bytes": size} for size in missing]


def _cuts(case: Case, workload: Bisection, there: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A set of pairs that has several names is measured under the first, and `also` has the others."""
    everything = case.target.nodes if case.target.nodes > 1 else case.target.world_size
    found = {
        (labels.get("scale"), name)
        for labels in there
        for name in (labels.get("cut"), *str(labels.get("also", "")).split())
    }
    planned = [
        (scale, cut)
        for scale in sorted({*workload.scales, everything})
        for cut in workload.cuts
        if cut in OF_ALL_HOSTS
    ]
    return [{"cut": cut, "scale": scale} for scale, cut in planned if (scale, cut) not in found]
