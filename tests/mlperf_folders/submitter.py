"""A submitter's folder: system descriptions, result folders, power logs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .log import END, POINT, START, TOKEN, RunPlan, log_text
from .traps import Trap


@dataclass(frozen=True)
class LogFile:
    """A file of a result folder and whether the official check of the round accepts it; None: it dies on it."""

    name: str
    data: bytes
    accepted: bool | None = True


def log_file(plan: RunPlan, name: str, trap: Trap | None = None, accepted: bool | None = True) -> LogFile:
    """The log of `plan`, with what `trap` does to it."""
    text = log_text(plan)
    return LogFile(name, text.encode() if trap is None else trap(text), accepted)


def log_files(plans: Sequence[RunPlan], job: int | None = None) -> list[LogFile]:
    """Clean logs, named result_<n>.txt, or result_<job>_<n>.txt as two submitters do."""
    stem = "result_" if job is None else f"result_{job}-2404{job % 89 + 10}201759121728742_"
    return [log_file(plan, f"{stem}{k}.txt") for k, plan in enumerate(plans, start=0 if job is None else 1)]


def system_description(submitter: str, name: str, **fields: Any) -> dict[str, Any]:
    """systems/<system_id>.json: every value is a string; `fields` replace or add."""
    return {
        "submitter": submitter,
        "division": "closed",
        "status": "onprem",
        "system_name": name,
        "number_of_nodes": "1",
        "host_processors_per_node": "2",
        "host_processor_model_name": "AMD EPYC 9575F",
        "host_processor_core_count": "64",
        "host_memory_capacity": "2.3 TB",
        "host_storage_type": "NVMe SSD",
        "accelerators_per_node": "8",
        "accelerator_model_name": "NVIDIA Blackwell GPU (B200-SXM-180GB)",
        "cooling": "",
        "hw_notes": "",
        "framework": "PyTorch 2.8",
        "other_software_stack": {"nccl_version": "2.28.3", "openmpi_version": "4.1.7"},
        "operating_system": "Ubuntu 24.04",
        "sw_notes": "",
    } | fields


@dataclass(frozen=True)
class SubmitterFolder:
    """`<round folder>/<folder>`; `submitter` is the field in its system descriptions."""

    root: Path
    submitter: str

    def system(self, system_id: str, **fields: Any) -> str:
        """Write a system description; its id is returned."""
        description = {
            k: v for k, v in system_description(self.submitter, system_id, **fields).items() if v is not None
        }
        write(self.root / "systems" / f"{system_id}.json", json.dumps(description, indent=2).encode() + b"\n")
        return system_id

    def results(
        self, system_id: str, benchmark: str, logs: Sequence[LogFile], others: Mapping[str, bytes] | None = None
    ) -> Path:
        """Write a result folder; `others` are its further files by path."""
        folder = self.root / "results" / system_id / benchmark
        for log in logs:
            write(folder / log.name, log.data)
        for name, data in (others or {}).items():
            write(folder / name, data)
        return folder


def write(path: Path, data: bytes) -> None:
    """Write a file, with the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def scaling(factor: float) -> dict[str, bytes]:
    """A committed scaling.json."""
    return {"scaling.json": json.dumps({"scaling_factor": factor}).encode()}


def _power_record(time_ms: float, event: str, key: str, value: Any) -> str:
    record = {
        "namespace": "",
        "time_ms": round(time_ms),
        "event_type": event,
        "key": key,
        "value": value,
        "metadata": {},
    }
    return TOKEN + json.dumps(record)


def node_power_log(
    start_ms: float,
    duration_ms: float,
    watts: float,
    readings: int = 6,
    efficiency: float | None = None,
    stop: str = "yes",
) -> bytes:
    """A node's power log: `stop` is "yes", "no" (none logged) or "coincides" (with the start, before readings)."""
    lines = [_power_record(start_ms, START, "power_measurement_start", "null")]
    if efficiency is not None:
        lines.append(_power_record(start_ms, POINT, "conversion_eff", efficiency))
    last = _power_record(
        start_ms if stop == "coincides" else start_ms + duration_ms, END, "power_measurement_stop", "null"
    )
    if stop == "coincides":
        lines.append(last)
    for i in range(readings):
        at = start_ms + duration_ms * (i + 1) / (readings + 1)
        lines.append(_power_record(at, POINT, "power_reading", round(watts * (1 + 0.02 * (i % 3)), 1)))
    if stop == "yes":
        lines.append(last)
    return ("\n".join(lines) + "\n").encode()


def switch_power_log(start_ms: float, watts: float, efficiency: float) -> bytes:
    """The network's share: one estimate in watts."""
    lines = [
        _power_record(start_ms, POINT, "conversion_eff", efficiency),
        _power_record(start_ms, POINT, "interconnect_power_est", watts),
    ]
    return ("\n".join(lines) + "\n").encode()
