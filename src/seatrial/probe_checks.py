"""What can be known of a probe before it runs: its ranks, what they share out, its files."""

from __future__ import annotations

from seatrial.case import Case
from seatrial.config.probe import AcrossRanks, Collective, Probe
from seatrial.errors import ConfigError
from seatrial.planned import Plan


def check_probe(plan: Plan, case: Case, workload: Probe) -> None:
    """Raise ConfigError for a probe that can never do what is asked of it on the case's ranks."""
    if isinstance(workload, AcrossRanks):
        _check_ranks(plan, case, workload)
    if isinstance(workload, Collective):
        _check_sizes(plan, case, workload)


def _check_ranks(plan: Plan, case: Case, workload: AcrossRanks) -> None:
    if case.target.world_size < 2:
        raise ConfigError(
            f"{case.workload.kind} needs two ranks or more",
            file=plan.file_of("target.tasks_per_node"),
            key="target.tasks_per_node",
            value=case.target.tasks_per_node,
            allowed="nodes x tasks_per_node >= 2, "
            f"in experiments.{case.experiment} by an axis target.tasks_per_node",
        )
    if workload.backend == "nccl" and case.target.device == "cpu":
        key = f"experiments.{case.experiment}.workload.backend"
        raise ConfigError(
            f"nccl moves accelerators' memory, and target {case.target.name} has device cpu",
            file=plan.file_of(key),
            key=key,
            value=workload.backend,
            allowed="auto, gloo",
        )


def _check_sizes(plan: Plan, case: Case, workload: Collective) -> None:
    """Every rank's part must be whole elements."""
    try:
        workload.real_sizes(case.target.world_size)
    except ValueError as problem:
        key = f"experiments.{case.experiment}.workload.size_bytes"
        unit = workload.unit_bytes(case.target.world_size)
        raise ConfigError(
            str(problem).partition("; allowed")[0],
            file=plan.file_of(key),
            key=key,
            value=workload.size_bytes,
            allowed=f"multiples of {unit}, or sizes instead, which are rounded down to them",
        ) from None
