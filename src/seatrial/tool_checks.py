"""What can be known beforehand of programs that are not Seatrial's: nccl-tests, and results that tools wrote."""

from __future__ import annotations

from seatrial.case import Case
from seatrial.config.ingested import FioResults, MlperfStorageResults, NcclTestsLogs
from seatrial.config.probe import Collective
from seatrial.errors import ConfigError
from seatrial.nccl_tests.operations import DTYPES
from seatrial.planned import Plan


def check_tools(plan: Plan, case: Case) -> None:
    """Raise ConfigError where a case's target has not what its tool or the tool's results need."""
    workload = case.workload
    if isinstance(workload, Collective) and workload.implementation == "nccl_tests":
        _check_devices(plan, case)
    if isinstance(workload, NcclTestsLogs) and workload.dtype not in DTYPES.values():
        raise _refusal(plan, case, "dtype", "nccl-tests has no such type", workload.dtype, set(DTYPES.values()))
    if isinstance(workload, FioResults | MlperfStorageResults) and workload.storage is not None:
        known = case.target.storage
        if workload.storage not in known:
            words = f"target {case.target.name} has no storage of this name"
            raise _refusal(plan, case, "storage", words, workload.storage, {"null", *known})


def _check_devices(plan: Plan, case: Case) -> None:
    """nccl-tests takes one accelerator for each rank, and its own library to reach the others."""
    target, workload = case.target, case.workload
    assert isinstance(workload, Collective)
    if target.device != "cuda":
        words = f"nccl-tests measures accelerators, and target {target.name} has device {target.device}"
        raise _refusal(plan, case, "implementation", words, workload.implementation, {"torch"})
    if workload.backend == "gloo":
        words = "nccl-tests has NCCL or RCCL under it"
        raise _refusal(plan, case, "backend", words, workload.backend, {"auto", "nccl"})
    if target.tasks_per_node != target.accelerators_per_node:
        key = "target.tasks_per_node"
        raise ConfigError(
            "nccl-tests is run with one accelerator for each rank",
            file=plan.file_of(key),
            key=key,
            value=target.tasks_per_node,
            allowed=f"{target.accelerators_per_node}, target.accelerators_per_node",
        )


def _refusal(plan: Plan, case: Case, field: str, words: str, value: str, allowed: set[str]) -> ConfigError:
    key = f"experiments.{case.experiment}.workload.{field}"
    return ConfigError(words, file=plan.file_of(key), key=key, value=value, allowed=allowed)
