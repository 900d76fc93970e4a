"""What a case asks the scheduler for, by the executor's resource names."""

from __future__ import annotations

from seatrial.case import Case
from seatrial.config.target import Target


def asked(case: Case) -> dict[str, int | str | None]:
    """Everything a case may ask the scheduler for; None: not stated."""
    target = case.target
    gpus, how = target.accelerators_per_node, target.launcher.gpus_request
    container = target.launcher.container
    return {
        "nodes": target.nodes,
        "tasks_per_node": target.tasks_per_node,
        "runtime": minutes(case.workload.time_limit_minutes),
        **scheduling(target),
        "gres": f"gpu:{gpus}" if gpus and how == "gres" else None,
        "gpus": target.accelerators if gpus and how == "gpus" else None,
        "container_runtime": container.runtime if container else None,
        "container_image": container.image if container else None,
        "container_mounts": ",".join(container.mounts) or None if container else None,
        "container_workdir": container.workdir if container else None,
    }


def scheduling(target: Target) -> dict[str, int | str | None]:
    """Where a target's jobs go and what each of their tasks gets; None: not stated."""
    launcher = target.launcher
    return {
        "mem_mb": launcher.memory_mb_per_node,
        "cpus_per_task": launcher.cpus_per_task,
        "slurm_account": launcher.account,
        "slurm_partition": launcher.partition,
        "qos": launcher.qos,
        "constraint": launcher.constraint,
        "reservation": launcher.reservation,
        "exclude": launcher.exclude,
        "slurm_extra": launcher.slurm_extra,
    }


def minutes(value: float) -> int:
    """Whole minutes, rounded up, at least one: Slurm's limits know no seconds."""
    return max(1, -int(-value // 1))
