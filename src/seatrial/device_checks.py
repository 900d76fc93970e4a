"""What can be known of probes of devices and pipelines before they run: memory, files, who needs the samples."""

from __future__ import annotations

from seatrial.case import Case
from seatrial.config.probe import Dataload, Gemm, Memory
from seatrial.config.probe.dataload import SyntheticFiles
from seatrial.config.target import Target
from seatrial.planned import Plan
from seatrial.units import GB, MIB, format_figure


def check_room(plan: Plan, case: Case, workload: Gemm | Memory) -> None:
    """Raise ConfigError for operands or arrays that are larger than the memory that the target states."""
    place = f"experiments.{case.experiment}.workload"
    stated = _memory(case.target)
    if isinstance(workload, Memory):
        key, value = f"{place}.size_bytes", str(workload.array_bytes)
        needed, what = workload.arrays_held * workload.array_bytes, f"{workload.arrays_held} array(s)"
    else:
        largest = max(workload.shapes, key=workload.held_bytes)
        key = f"{place}.m" if workload.search is None else f"{place}.search"
        value = " x ".join(str(n) for n in largest)
        needed, what = workload.held_bytes(largest), "the operands"
    if stated is not None and needed > stated[0]:
        raise plan.mistake(
            key,
            f"{what} take {format_figure(needed / GB)} GB, more than {stated[1]}",
            value,
            f"at most {format_figure(stated[0] / GB)} GB in all",
        )


def _memory(target: Target) -> tuple[float, str] | None:
    """Bytes of one device's memory and whose they are; of a CPU its rank's part of the node's."""
    if target.device == "cpu":
        if target.node.memory_mb is None:
            return None
        each = target.node.memory_mb * MIB / target.tasks_per_node
        return each, f"the part of a node's memory that each of {target.tasks_per_node} rank(s) has"
    stated = target.accelerator.memory_gb if target.accelerator is not None else None
    if stated is None or stated.value is None:
        return None
    # vendors count binary gigabytes: what they call 80 GB is 80 GiB
    return stated.value * 1024**3, f"the memory of {target.accelerator.name if target.accelerator else 'it'}"


def check_dataload(plan: Plan, case: Case, workload: Dataload) -> None:
    """Raise ConfigError for a place without a path, and a training that is none."""
    place = f"experiments.{case.experiment}.workload"
    spec = workload.dataset
    if isinstance(spec, SyntheticFiles) and spec.storage is not None:
        _check_storage(plan, f"{place}.dataset.storage", case.target, spec.storage)
    if workload.needed_by is not None:
        _check_needed_by(plan, f"{place}.needed_by", workload.needed_by)


def _check_storage(plan: Plan, key: str, target: Target, name: str) -> None:
    having = [known for known, storage in target.storage.items() if storage.path is not None]
    if name not in having:
        allowed = ", ".join(having) or "a name in target.storage that has a path; target.storage has none"
        raise plan.mistake(key, f"target {target.name} has no path for this storage", name, allowed)


def _check_needed_by(plan: Plan, key: str, name: str) -> None:
    if name not in plan.trainings:
        allowed = ", ".join(plan.trainings) or "an experiment with a training; this study has none"
        raise plan.mistake(key, "no experiment of this study is a training of this name", name, allowed)
