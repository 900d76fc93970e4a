"""What a case asks the scheduler for, by the executor's resource names."""

from __future__ import annotations

from seatrial.case import Case
from seatrial.config.target import Target


def asked(case: Case, attempt: int = 1) -> dict[str, int | str | None]:
    """Everything a case may ask the scheduler for at an attempt (the first is 1); None: not stated."""
    target = case.target
    gpus, how = target.accelerators_per_node, target.launcher.gpus_request
    container = target.launcher.container
    return {
        "nodes": target.nodes,
        "tasks_per_node": target.tasks_per_node,
        "runtime": time_limit(case.workload.time_limit_minutes, target, attempt),
        **scheduling(target, attempt),
        "gres": f"gpu:{gpus}" if gpus and how == "gres" else None,
        "gpus": target.accelerators if gpus and how == "gpus" else None,
        "container_runtime": container.runtime if container else None,
        "container_image": container.image if container else None,
        "container_mounts": ",".join(container.mounts) or None if container else None,
        "container_workdir": container.workdir if container else None,
    }


def scheduling(target: Target, attempt: int = 1) -> dict[str, int | str | None]:
    """Where a target's jobs go and what each of their tasks gets at an attempt; None: not stated."""
    launcher = target.launcher
    memory = launcher.memory_mb_per_node
    return {
        "mem_mb": memory and _grown(memory, launcher.retry_memory_factor, attempt, target.node.memory_mb),
        "cpus_per_task": launcher.cpus_per_task,
        "slurm_account": launcher.account,
        "slurm_partition": launcher.partition,
        "qos": launcher.qos,
        "constraint": launcher.constraint,
        "reservation": launcher.reservation,
        "exclude": launcher.exclude,
        "slurm_extra": launcher.slurm_extra,
    }


def time_limit(value: float, target: Target, attempt: int = 1) -> int:
    """The time limit in minutes that a job asks for at an attempt."""
    launcher = target.launcher
    return _grown(minutes(value), launcher.retry_time_factor, attempt, launcher.longest_minutes)


def _grown(value: int, factor: float, attempt: int, most: int | None) -> int:
    """`value` times `factor` for every attempt after the first, up to `most`; never less than `value`."""
    grown = int(value * factor ** (attempt - 1))
    return max(value, grown if most is None else min(grown, most))


def minutes(value: float) -> int:
    """Whole minutes, rounded up, at least one: Slurm's limits know no seconds."""
    return max(1, -int(-value // 1))
