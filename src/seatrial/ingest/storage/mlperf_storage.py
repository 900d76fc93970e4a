"""Reads results of MLPerf Storage (mlpstorage 1.x and 2.x, DLIO): a run's summary.json and what lies beside it.

- `GB` in its names is GiB and `MB` is MiB: DLIO divides by 1024 (statscounter.py); here everything is in 1e9 bytes.
- Of checkpoints it keeps the mean of rates; bytes over elapsed time follow from size and mean duration, and are
  less. Where every process left its own `<rank>_per_epoch_stats.json`, each checkpoint's duration is the maximum
  over them and its throughput the minimum, as the rules want it (Submission_guidelines.md).
- Training throughput is the sum over simulated accelerators. Data that fit into the hosts' memory may have come
  from the page cache from the second epoch on: DLIO itself marks that (`potential_caching`).
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from seatrial.ingest.files import HandedFile, Remark
from seatrial.ingest.storage.result import Direction, Label, Reading, StorageResult
from seatrial.record import Error
from seatrial.units import GB

SUMMARY = "summary.json"
OF_A_PROCESS = re.compile(r"\d+_per_epoch_stats\.json\Z")
METADATA = re.compile(r".*_metadata\.json\Z")
GIB, MIB = 1024.0**3, 1024.0**2
WAYS: tuple[tuple[Direction, str], ...] = (("write", "save"), ("read", "load"))
TOLERANCE = 0.01
"""A mean of rates cannot lie below size over mean duration, but for rounding."""
Document = Mapping[str, Any]


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
    readings: list[Reading] = []
    problems: list[str] = []
    remarks: list[Remark] = []
    processes_kept = 0
    if suite == "checkpointing":
        stats = [(name, parsed(data)) for name, data in sorted(beside.items()) if OF_A_PROCESS.match(name)]
        remarks = [Remark(f"{file.shown}, {name}", "damaged: not read") for name, found in stats if found is None]
        kept = [found for _, found in stats if found is not None]
        processes_kept = len(kept)
        readings, problems = _checkpoints(summary, metric, kept)
    elif suite == "training":
        readings, problems = _training(summary, metric)
    problems += [f"{one.metric} comes out as {min(one.samples):g}" for one in readings if not _is_possible(one)]
    readings = [one for one in readings if _is_possible(one)]
    known = {name for name in metric if _is_read(name)}
    remarks += [Remark(file.shown, f"metric {name} is not read") for name in sorted(set(metric) - known)]
    error: Error | None = None
    if problems:
        error = Error(kind="wrong_result", message="; ".join(problems[:3]))
    elif not readings:
        words = "no checkpoint was written or read, and no epoch trained: the run did not get so far"
        error = Error(kind="crashed", message=words)
    hosts = _number(summary.get("num_hosts"))
    processes = _number(summary.get("num_accelerators"))
    result = StorageResult(
        file.shown,
        file.path,
        sha256,
        readings=tuple(readings),
        outcome="completed" if error is None else "failed",
        error=error,
        hosts=(str(summary["hostname"]),) if summary.get("hostname") else (),
        host_count=None if hosts is None else int(hosts),
        processes=None if processes is None else int(processes),
        suite=suite,
        model=_model(metadata, file.shown),
        facts={
            "metric": {name: _plain(value) for name, value in metric.items()},
            "rules": "duration is the maximum over processes, throughput the minimum",
            "processes_that_kept_durations": processes_kept,
            "potential_caching": _plain(summary.get("potential_caching")),
            "host_memory_GB": _plain(summary.get("host_memory_GB")),
            "start": _plain(summary.get("start")),
            "end": _plain(summary.get("end")),
            "parameters": _plain(metadata.get("parameters")),
        },
    )
    return result, remarks


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


def _checkpoints(
    summary: Document, metric: Document, processes: Sequence[Document]
) -> tuple[list[Reading], list[str]]:
    """Bandwidth and time of checkpoints by direction, and what contradicts itself."""
    readings: list[Reading] = []
    problems: list[str] = []
    size = _number(metric.get("checkpoint_size_GB"))
    for direction, word in WAYS:
        duration = _number(metric.get(f"{word}_checkpoint_duration_mean_seconds"))
        rate = _number(metric.get(f"{word}_checkpoint_io_mean_GB_per_second"))
        listed = _numbers(metric.get(f"checkpoint_{direction}_throughput_GB_per_second"))
        labels = _labels(summary, "checkpointing", direction)
        if size is not None and duration is not None and duration > 0:
            each = _durations(processes, f"{word}_ckpt")
            seconds = tuple(each) or (duration,)
            labels["samples"] = "each checkpoint" if each else "mean of all checkpoints"
            rates = tuple(size * GIB / GB / s for s in seconds)
            readings.append(_to_storage(summary, metric, direction, rates, labels))
            readings.append(Reading(f"storage.{direction}_time", seconds, labels))
            if rate is not None and rate < size / duration * (1 - TOLERANCE):
                problems.append(
                    f"{word}_checkpoint_io_mean_GB_per_second {rate:.4g} is below checkpoint_size_GB over "
                    f"{word}_checkpoint_duration_mean_seconds ({size / duration:.4g})"
                )
        elif 0.0 in listed:
            problems.append(f"checkpoint_{direction}_throughput_GB_per_second is 0")
        elif listed or (rate is not None and rate > 0):
            labels["samples"] = "each checkpoint" if listed else "mean of the checkpoints' rates"
            rates = tuple(value * GIB / GB for value in listed or [rate or 0.0])
            readings.append(_to_storage(summary, metric, direction, rates, labels))
    return readings, problems


def _durations(processes: Sequence[Document], word: str) -> list[float]:
    """Seconds of each checkpoint, the maximum over processes, in order; empty where they are not kept."""
    slowest: dict[tuple[int, int], list[float]] = defaultdict(list)
    for stats in processes:
        for place, entry in _entries(stats, word):
            seconds = _number(entry.get("duration"))
            if seconds is not None and seconds > 0:
                slowest[place].append(seconds)
    if any(len(found) != len(processes) for found in slowest.values()):
        return []  # a process that kept nothing of a checkpoint may have been the slowest
    return [max(slowest[place]) for place in sorted(slowest)]


def _entries(stats: Document, word: str) -> Iterator[tuple[tuple[int, int], Document]]:
    """Entries `save_ckpt<n>` of every epoch, each with its epoch and number."""
    for epoch, facts in stats.items():
        for name, entry in facts.items() if isinstance(facts, dict) else ():
            number = name.removeprefix(word)
            if name != number and number.isascii() and number.isdigit() and isinstance(entry, dict):
                yield (int(epoch) if epoch.isascii() and epoch.isdigit() else 0, int(number)), entry


def _to_storage(
    summary: Document, metric: Document, direction: Direction, rates: tuple[float, ...], labels: dict[str, Label]
) -> Reading:
    """A bandwidth; of the page cache where the same run wrote what it read and all of it fits into memory."""
    if direction == "read" and _may_be_cached(summary, metric):
        labels["evidence"] = "the same run wrote it, and it fits into the hosts' memory"
        return Reading("storage.page_cache_bandwidth", rates, labels)
    labels["evidence"] = "as the benchmark's rules ask for it (fsync, cache flushed)"
    return Reading(f"storage.{direction}_bandwidth", rates, labels, direction)


def _may_be_cached(summary: Document, metric: Document) -> bool:
    size, memory = _number(metric.get("checkpoint_size_GB")), _numbers(summary.get("host_memory_GB"))
    wrote = any(_number(metric.get(name)) for name in metric if name.startswith("save_checkpoint"))
    return wrote and size is not None and bool(memory) and size <= sum(memory)


def _training(summary: Document, metric: Document) -> tuple[list[Reading], list[str]]:
    """What simulated accelerators were fed, by epoch where it is kept."""
    labels = _labels(summary, "training", "read")
    mean = _number(metric.get("train_throughput_mean_samples_per_second"))
    each = _numbers(metric.get("train_throughput_samples_per_second")) or ([mean] if mean else [])
    bandwidth = _number(metric.get("train_io_mean_MB_per_second"))
    used = _numbers(metric.get("train_au_percentage"))
    problems = []
    if 0.0 in each:
        problems.append("train_throughput_samples_per_second is 0: an epoch without a step")
        each = []
    if any(not 0 <= share <= 100 * (1 + TOLERANCE) for share in used):
        problems.append("train_au_percentage is not between 0 and 100")
    if mean is not None and each and abs(math.fsum(each) / len(each) - mean) > TOLERANCE * mean:
        problems.append("train_throughput_mean_samples_per_second is not the mean of the epochs")
    readings = []
    if bandwidth is not None and each and math.fsum(each) > 0:
        sample = bandwidth * MIB * len(each) / math.fsum(each)
        rates = tuple(value * sample / GB for value in each)
        cached = any(summary.get("potential_caching") or ()) if _flags(summary) else False
        name = "storage.page_cache_bandwidth" if cached else "storage.read_bandwidth"
        why = "data fit into the hosts' memory" if cached else "data do not fit into the hosts' memory, as stated"
        readings.append(Reading(name, rates, {**labels, "evidence": why}, None if cached else "read"))
    if each:
        readings.append(Reading("storage.training_throughput", tuple(each), labels))
    if used:
        readings.append(Reading("storage.accelerator_utilisation", tuple(share / 100 for share in used), labels))
    return readings, problems


def _flags(summary: Document) -> bool:
    return isinstance(summary.get("potential_caching"), list)


def _labels(summary: Document, suite: str, direction: Direction) -> dict[str, Label]:
    labels: dict[str, Label] = {"tool": "mlperf_storage", "suite": suite, "direction": direction}
    for name, key in (("hosts", "num_hosts"), ("processes", "num_accelerators")):
        count = _number(summary.get(key))
        if count is not None:
            labels[name] = int(count)
    return labels


def _is_possible(reading: Reading) -> bool:
    """Whether every sample is a finite number above 0, which a rate or time that was measured is."""
    least = -1.0 if reading.metric == "storage.accelerator_utilisation" else 0.0
    return all(least < sample < math.inf for sample in reading.samples)


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


def _number(value: object) -> float | None:
    """A finite number that is not negative, or None; DLIO writes NaN for what it could not compute."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e18:
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None


def _numbers(value: object) -> list[float]:
    """A list of such numbers; empty where one of them is none."""
    found = [_number(entry) for entry in value] if isinstance(value, list) else []
    return [entry for entry in found if entry is not None] if None not in found else []


def _plain(value: object) -> object:
    """`value` as JSON can keep it: what is not finite in words."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list):
        return [_plain(entry) for entry in value[:1000]]
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    return value
