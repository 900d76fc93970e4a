"""Reads results of MLPerf Storage (mlpstorage 1.x and 2.x, DLIO): a run's summary.json and what lies beside it.

What its figures mean, and what becomes of them, is in mlperf_figures.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from seatrial.ingest.files import HandedFile, Remark
from seatrial.ingest.storage.mlperf_figures import Document, checkpoints, is_possible, number, training
from seatrial.ingest.storage.result import Reading, StorageResult
from seatrial.record import Error

SUMMARY = "summary.json"
OF_A_PROCESS = re.compile(r"\d+_per_epoch_stats\.json\Z")
METADATA = re.compile(r".*_metadata\.json\Z")


def read_summary(
    content: bytes, file: HandedFile, sha256: str, beside: Mapping[str, bytes]
) -> tuple[StorageResult | None, list[Remark]]:
    """The result in a summary.json (None: it is no such file), and what was not read.

    `beside`: the other files of its folder by name. Any bytes can be read.
    """
    summary = parsed(content)
    metadata = next((parsed(data) or {} for name, data in sorted(beside.items()) if METADATA.match(name)), {})
    if summary is None:
        return _damaged(file, sha256, metadata), []
    metric = summary.get("metric")
    if not isinstance(metric, dict):
        return None, [Remark(file.shown, "no summary of MLPerf Storage (no `metric`)")]
    suite = _suite(metric, metadata, file.shown)
    stats = [(name, parsed(data)) for name, data in sorted(beside.items()) if OF_A_PROCESS.match(name)]
    kept = [found for _, found in stats if found is not None]
    remarks = [Remark(f"{file.shown}, {name}", "damaged: not read") for name, found in stats if found is None]
    unknown = sorted(name for name in metric if not _is_read(name))
    remarks += [Remark(file.shown, f"metric {name} is not read") for name in unknown]
    readings: list[Reading] = []
    problems: list[str] = []
    if suite == "checkpointing":
        readings, problems = checkpoints(summary, metric, kept)
    elif suite == "training":
        readings, problems = training(summary, metric)
    problems += [f"{one.metric} comes out as {min(one.samples):g}" for one in readings if not is_possible(one)]
    readings = [one for one in readings if is_possible(one)]
    error = _error(readings, problems)
    hosts, processes = number(summary.get("num_hosts")), number(summary.get("num_accelerators"))
    result = StorageResult(
        file.shown,
        file.path,
        sha256,
        readings=tuple(readings),
        outcome="completed" if error is None else "failed",
        error=error,
        hosts=(host,) if isinstance(host := summary.get("hostname"), str) and host else (),
        host_count=None if hosts is None else int(hosts),
        processes=None if processes is None else int(processes),
        suite=suite,
        model=_model(metadata, file.shown),
        facts=_facts(summary, metric, metadata, len(kept)),
    )
    return result, remarks


def _error(readings: list[Reading], problems: list[str]) -> Error | None:
    """Why the run is no result, or None."""
    if problems:
        return Error(kind="wrong_result", message="; ".join(problems[:3]))
    if not readings:
        words = "no checkpoint was written or read, and no epoch trained: the run did not get so far"
        return Error(kind="crashed", message=words)
    return None


def _facts(summary: Document, metric: Document, metadata: Document, processes_kept: int) -> dict[str, Any]:
    """What provenance says of the run."""
    stated = {name: _plain(summary.get(name)) for name in ("potential_caching", "host_memory_GB", "start", "end")}
    return {
        "metric": {name: _plain(value) for name, value in metric.items()},
        "rules": "duration is the maximum over processes, throughput the minimum",
        "processes_that_kept_durations": processes_kept,
        "parameters": _plain(metadata.get("parameters")),
        **stated,
    }


def _damaged(file: HandedFile, sha256: str, metadata: Document) -> StorageResult:
    return StorageResult(
        file.shown,
        file.path,
        sha256,
        outcome="failed",
        error=Error(kind="crashed", message="summary.json ends before the document does, or is damaged"),
        suite=_suite({}, metadata, file.shown),
        model=_model(metadata, file.shown),
    )


def parsed(content: bytes) -> dict[str, Any] | None:
    """A JSON document that is an object, or None."""
    try:
        found = json.loads(content.decode("utf-8", errors="replace"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _suite(metric: Document, metadata: Document, shown: str) -> str | None:
    stated = metadata.get("benchmark_type")
    if stated in ("checkpointing", "training"):
        return str(stated)
    if any("checkpoint" in name for name in metric):
        return "checkpointing"
    if any(name.startswith("train_") for name in metric):
        return "training"
    return next((part for part in PurePosixPath(shown).parts if part in ("checkpointing", "training")), None)


def _model(metadata: Document, shown: str) -> str | None:
    """`llama3-8b`, `unet3d`: as the metadata says, else the folder above `run`."""
    stated = metadata.get("model")
    if isinstance(stated, str):
        return stated
    parts = PurePosixPath(shown).parts
    found = next((i for i, part in enumerate(parts) if part in ("checkpointing", "training")), None)
    return parts[found + 1] if found is not None and len(parts) > found + 3 else None


def _is_read(name: str) -> bool:
    """Whether a metric is used here, or is a deviation of one that is."""
    return (
        re.fullmatch(
            r"(?:save|load)_checkpoint_(?:io|duration)_(?:mean|stdev)_(?:GB_per_second|seconds)|checkpoint_size_GB"
            r"|checkpoint_(?:read|write)_throughput_GB_per_second|train_(?:au|throughput|io)_.*",
            name,
        )
        is not None
    )


def _plain(value: object, levels: int = 10) -> object:
    """`value` as a record can keep it: what is not finite in words, so many levels deep."""
    if isinstance(value, list | dict) and not levels:
        return "..."
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list):
        return [_plain(entry, levels - 1) for entry in value[:1000]]
    if isinstance(value, dict):
        return {str(key): _plain(entry, levels - 1) for key, entry in value.items()}
    return value
