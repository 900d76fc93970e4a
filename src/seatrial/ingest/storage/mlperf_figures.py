"""What the figures of MLPerf Storage mean (DLIO's summary.json), and what they come to in Seatrial's metrics.

- `GB` in its names is GiB and `MB` is MiB: DLIO divides by 1024 (statscounter.py); here everything is in 1e9 bytes.
- Of checkpoints it keeps the mean of rates; bytes over elapsed time follow from size and mean duration, and are
  less. Where every process left its own `<rank>_per_epoch_stats.json`, each checkpoint's duration is the maximum
  over them and its throughput the minimum, as the rules want it (Submission_guidelines.md).
- Training throughput is the sum over simulated accelerators. Data that fit into the hosts' memory may have come
  from the page cache from the second epoch on: DLIO itself marks that (`potential_caching`).
  Where the mark is missing nothing shows that storage was read.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seatrial.ingest.storage.result import Direction, Label, Reading
from seatrial.units import GB

GIB, MIB = 1024.0**3, 1024.0**2
WAYS: tuple[tuple[Direction, str], ...] = (("write", "save"), ("read", "load"))
TOLERANCE = 0.01
"""A mean of rates cannot lie below size over mean duration, but for rounding."""
Document = Mapping[str, Any]


def checkpoints(
    summary: Document, metric: Document, processes: Sequence[Document]
) -> tuple[list[Reading], list[str]]:
    """Bandwidth and time of checkpoints by direction, and what contradicts itself."""
    readings: list[Reading] = []
    problems: list[str] = []
    size = number(metric.get("checkpoint_size_GB"))
    for direction, word in WAYS:
        duration = number(metric.get(f"{word}_checkpoint_duration_mean_seconds"))
        rate = number(metric.get(f"{word}_checkpoint_io_mean_GB_per_second"))
        listed = numbers(metric.get(f"checkpoint_{direction}_throughput_GB_per_second"))
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
            seconds = number(entry.get("duration"))
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
    size, memory = number(metric.get("checkpoint_size_GB")), numbers(summary.get("host_memory_GB"))
    wrote = any(number(metric.get(name)) for name in metric if name.startswith("save_checkpoint"))
    return wrote and size is not None and bool(memory) and size <= sum(memory)


def training(summary: Document, metric: Document) -> tuple[list[Reading], list[str]]:
    """What simulated accelerators were fed, by epoch where it is kept."""
    labels = _labels(summary, "training", "read")
    mean = number(metric.get("train_throughput_mean_samples_per_second"))
    each = numbers(metric.get("train_throughput_samples_per_second")) or ([mean] if mean else [])
    bandwidth = number(metric.get("train_io_mean_MB_per_second"))
    used = numbers(metric.get("train_au_percentage"))
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
        readings.append(_of_training(summary, rates, labels))
    if each:
        readings.append(Reading("storage.training_throughput", tuple(each), labels))
    if used:
        readings.append(Reading("storage.accelerator_utilisation", tuple(share / 100 for share in used), labels))
    return readings, problems


def _of_training(summary: Document, rates: tuple[float, ...], labels: Mapping[str, Label]) -> Reading:
    """A training's bandwidth, by DLIO's flag of each host whether the data fit into its memory."""
    flags = summary.get("potential_caching")
    if not isinstance(flags, list) or not flags or not all(isinstance(flag, int) for flag in flags):
        said = {**labels, "evidence": "not stated: whether the data fit into the hosts' memory"}
        return Reading("storage.stated_read_bandwidth", rates, said, "read")
    if any(flags):
        return Reading(
            "storage.page_cache_bandwidth", rates, {**labels, "evidence": "data fit into the hosts' memory"}
        )
    said = {**labels, "evidence": "data do not fit into the hosts' memory, as stated"}
    return Reading("storage.read_bandwidth", rates, said, "read")


def _labels(summary: Document, suite: str, direction: Direction) -> dict[str, Label]:
    labels: dict[str, Label] = {"tool": "mlperf_storage", "suite": suite, "direction": direction}
    for name, key in (("hosts", "num_hosts"), ("processes", "num_accelerators")):
        count = number(summary.get(key))
        if count is not None:
            labels[name] = int(count)
    return labels


def is_possible(reading: Reading) -> bool:
    """Whether every sample is a finite number above 0, which a rate or time that was measured is."""
    least = -1.0 if reading.metric == "storage.accelerator_utilisation" else 0.0
    return all(least < sample < math.inf for sample in reading.samples)


def number(value: object) -> float | None:
    """A finite number that is not negative, or None; DLIO writes NaN for what it could not compute."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e18:
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None


def numbers(value: object) -> list[float]:
    """A list of such numbers; empty where one of them is none."""
    found = [number(entry) for entry in value] if isinstance(value, list) else []
    return [entry for entry in found if entry is not None] if None not in found else []
