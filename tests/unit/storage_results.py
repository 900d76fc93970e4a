"""Writes what fio (stat.c) and MLPerf Storage (DLIO's statscounter.py) write, in JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

IDLE = {"io_bytes": 0, "io_kbytes": 0, "bw_bytes": 0, "bw": 0, "runtime": 0, "total_ios": 0}


def way(moved: int, milliseconds: int, version: int = 3) -> dict[str, Any]:
    """One direction of a job: fio 3 in bytes, fio 2 in KiB."""
    rate = 1000 * moved // milliseconds
    found = {"runtime": milliseconds, "total_ios": moved >> 20, "iops": 1.0, "short_ios": 0, "drop_ios": 0}
    if version == 2:
        return found | {"io_bytes": moved >> 10, "bw": rate // 1024}
    return found | {"io_bytes": moved, "io_kbytes": moved >> 10, "bw_bytes": rate, "bw": rate // 1024}


def job(
    name: str = "w", group: int = 0, error: int = 0, options: dict[str, str] | None = None, **found: Any
) -> dict[str, Any]:
    content = {"jobname": name, "groupid": group, "error": error, "eta": 0, "elapsed": 9}
    content |= {"job options": {"name": name, **(options or {})}, "read": IDLE, "write": IDLE, "trim": IDLE}
    return content | found


def fio(
    *jobs: dict[str, Any], version: str = "fio-3.36", options: dict[str, str] | None = None, **more: Any
) -> str:
    content = {"fio version": version, "timestamp": 1_767_322_245, "time": "Fri Jan  2 03:04:05 2026"}
    content |= {"global options": options or {}, "jobs": list(jobs)} | more
    return json.dumps(content, indent=2)


def checkpoints(**changes: Any) -> dict[str, Any]:
    """A summary.json of ten checkpoints written and read: 104.7 GiB each (llama3-8b), means over ten."""
    metric = {
        "save_checkpoint_io_mean_GB_per_second": 10.6,
        "save_checkpoint_io_stdev_GB_per_second": 0.4,
        "save_checkpoint_duration_mean_seconds": 10.0,
        "save_checkpoint_duration_stdev_seconds": 0.4,
        "load_checkpoint_io_mean_GB_per_second": 21.1,
        "load_checkpoint_io_stdev_GB_per_second": 0.4,
        "load_checkpoint_duration_mean_seconds": 5.0,
        "load_checkpoint_duration_stdev_seconds": 0.1,
        "checkpoint_size_GB": 104.7,
    }
    return _summary() | {"metric": metric} | changes


def training(**changes: Any) -> dict[str, Any]:
    """A summary.json of three epochs of unet3d on eight simulated accelerators."""
    metric = {
        "train_au_percentage": [95.1, 95.3, 95.2],
        "train_au_mean_percentage": 95.2,
        "train_au_meet_expectation": "success",
        "train_au_stdev_percentage": 0.08,
        "train_throughput_samples_per_second": [39.0, 40.0, 41.0],
        "train_throughput_mean_samples_per_second": 40.0,
        "train_throughput_stdev_samples_per_second": 0.8,
        "train_io_mean_MB_per_second": 40.0 * 146600628 / 1024**2,
        "train_io_stdev_MB_per_second": 110.0,
    }
    return _summary() | {"metric": metric, "potential_caching": [0]} | changes


def durations(*seconds: float, word: str = "save_ckpt") -> dict[str, Any]:
    """A `<rank>_per_epoch_stats.json` of so many checkpoints."""
    return {"1": {f"{word}{n}": {"duration": s, "throughput": 1.0} for n, s in enumerate(seconds, 1)}}


def write_run(folder: Path, summary: dict[str, Any] | str, **beside: Any) -> Path:
    """A run's folder with its summary and what lies beside it; names have `_json` for the suffix."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"summary.json": summary} | {f"{name.lstrip('_')}.json": content for name, content in beside.items()}
    for name, content in files.items():
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content, allow_nan=True))
    return folder


NAN = math.nan


def _summary() -> dict[str, Any]:
    return {
        "start": "2026-01-02T03:04:05.000000",
        "end": "2026-01-02T03:14:05.000000",
        "num_accelerators": 8,
        "num_hosts": 1,
        "hostname": "client01",
        "host_memory_GB": [64.0],
        "num_files_train": 168,
    }
