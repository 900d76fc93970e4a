"""Which metrics a completed repeat of a case should hold, known before anything is measured.

What this machine decides (which sensors answer) is counted as expected: a criterion on it is then incomplete where
the sensor is absent, and not refused.
"""

from __future__ import annotations

from seatrial.case import Case
from seatrial.config.ingested import FioResults, MlperfLogs, MlperfStorageResults, NcclTestsLogs
from seatrial.config.probe import Gemm, Memory
from seatrial.config.target import Target
from seatrial.config.training import Diffusion, External, HybridAttention, Moe, Training
from seatrial.config.training.diffusion import PreparedDigits

OF_EVERY_TRAINING = frozenset(
    {
        "time_to_quality", "time_to_evaluation", "samples_to_quality", "samples_to_evaluation", "step_time",
        "training_loss", "evaluation_time", "compute_time", "exposed_communication_time", "data_wait_time",
        "other_time", "productive_fraction", "rank_time", "model_flops_per_second", "mlperf_minutes",
    }
)  # fmt: skip
OF_TOKENS = frozenset({"throughput", "tokens_to_quality", "tokens_trained"})
OF_CHECKPOINTS = frozenset({"checkpoint_time", "checkpoint_stall_time", "checkpoint_size"})
OF_A_PEAK = frozenset({"mfu", "hfu"})
OF_A_PROFILE = frozenset({"profiled_communication_time", "profiled_exposed_communication_time"})
OF_ROUTING = frozenset({"expert_imbalance", "expert_gini"})
OF_EXPERT_PARALLELISM = frozenset({"rank_imbalance", "all_to_all_time", "all_to_all_share"})
OF_IMAGES = frozenset({"frechet_floor", "frechet_of_noise"})
OF_TORCHTITANS_LINES = frozenset({"external.tflops", "external.mfu", "external.memory", "external.grad_norm"})
OF_MEMORY = frozenset({"memory.bandwidth", "memory.cached_bandwidth", "memory.unproven_bandwidth"})
OF_NCCL_TESTS = frozenset(
    f"collective.{way}{name}"
    for way in ("", "unchecked_")
    for name in ("time", "algorithm_bandwidth", "bus_bandwidth")
)
OF_CHECKPOINTING = frozenset({"storage.write_bandwidth", "storage.read_bandwidth", "storage.page_cache_bandwidth"})
OF_FIO = OF_CHECKPOINTING | {"storage.stated_write_bandwidth", "storage.stated_read_bandwidth"}
OF_MLPERF_STORAGE = {
    "checkpointing": OF_CHECKPOINTING | {"storage.write_time", "storage.read_time"},
    "training": frozenset(
        {
            "storage.read_bandwidth", "storage.stated_read_bandwidth", "storage.page_cache_bandwidth",
            "storage.training_throughput", "storage.accelerator_utilisation",
        }
    ),
}  # fmt: skip
OF_A_CPU = frozenset({"energy", "power", "utilisation", "process_utilisation", "process_memory"})
"""Telemetry of a host without accelerators."""


def measures(case: Case, metric: str) -> bool:
    """Whether a completed repeat of the case should hold a metric."""
    family, _, name = metric.partition(".")
    workload = case.workload
    if isinstance(workload, MlperfLogs):
        if name.endswith("_to_quality"):
            return family == "mlperf" and name == f"{workload.counted_in}_to_quality"
        return family == "mlperf"
    if isinstance(workload, NcclTestsLogs):
        return metric in OF_NCCL_TESTS
    if isinstance(workload, FioResults | MlperfStorageResults):
        return metric in (OF_FIO if isinstance(workload, FioResults) else OF_MLPERF_STORAGE[workload.suite])
    if isinstance(workload, Training | External):
        if family == "telemetry":
            return _is_sampled(workload, case.target, name)
        return metric in (_of_external(workload) if isinstance(workload, External) else _of(workload, case.target))
    if isinstance(workload, Gemm):
        return metric in _of_products(workload)
    if isinstance(workload, Memory):
        return metric in ({"memory.host_bandwidth"} if workload.host_copy else OF_MEMORY)
    return family == workload.kind


def _of_products(workload: Gemm) -> set[str]:
    names = {"gemm.throughput"}
    names |= {"gemm.searched_throughput", "gemm.best_throughput"} if workload.search is not None else set()
    return names | ({"gemm.sustained_throughput"} if workload.sustained_seconds is not None else set())


def _is_sampled(workload: Training | External, target: Target, name: str) -> bool:
    """Whether a sensor of this name is read beside the run, where there is one."""
    if isinstance(workload, External) and name.startswith("process_"):
        return False  # the process that is measured is not the one that trains
    return workload.telemetry_interval_seconds is not None and (target.device != "cpu" or name in OF_A_CPU)


def _of(workload: Training, target: Target) -> set[str]:
    """All metrics of a training but telemetry's."""
    names = set(OF_EVERY_TRAINING)
    names |= {quality.metric for quality in (workload.quality, *workload.also)}
    names |= {"sample_throughput"} if isinstance(workload, Diffusion) else OF_TOKENS
    if workload.checkpoint_interval_steps is not None:
        names |= OF_CHECKPOINTS
    if target.device != "cpu":
        names |= OF_A_PEAK
        names |= OF_A_PROFILE if workload.profiled_steps(on_accelerators=True) else set()
    if isinstance(workload, Moe):
        names |= OF_ROUTING
        names |= OF_EXPERT_PARALLELISM if workload.parallelism.ep > 1 else set()
        names |= {"tokens_dropped"} if workload.capacity_factor is not None else set()
    if isinstance(workload, HybridAttention):
        names |= {"evaluation_loss", "retrieval_accuracy"}
    found = {f"train.{name}" for name in names}
    if isinstance(workload, Diffusion) and isinstance(workload.dataset, PreparedDigits):
        found |= {f"diffusion.{name}" for name in OF_IMAGES}
    return found


def _of_external(workload: External) -> set[str]:
    """All metrics that the log of a command can hold but telemetry's."""
    found = {"train.training_loss"}
    if workload.quality is not None:
        found |= {"train.time_to_quality", "train.time_to_evaluation"}
    if workload.format == "torchtitan":
        return found | {"train.throughput", "train.evaluation_loss", *OF_TORCHTITANS_LINES}
    names: tuple[str, ...] = ("loss", "accuracy")
    if workload.quality is not None:
        found.add("train.samples_to_quality")
        names = ("loss",) if workload.quality.direction == "lower" else ("accuracy",)
    return found | {f"mlperf.evaluation_{name}" for name in names} | {"mlperf.throughput", "mlperf.time_to_train"}
