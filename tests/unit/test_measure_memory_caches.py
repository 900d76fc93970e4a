"""Probe memory: a bandwidth that a cache may have given is never called the memory's."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ranks import target
from test_measure_memory import context, memory_case

from seatrial.config.probe import Memory
from seatrial.measure.memory import caches, run
from seatrial.measure.memory.caches import Caches

CUDA = torch.device("cuda", 0)


def cpu_with(folder: Path, number: int, *levels: tuple[int, str, str, str]) -> None:
    """A CPU's caches as the kernel tells them: level, type, size and the CPUs that share it."""
    for place, facts in enumerate(levels):
        index = folder / f"cpu{number}" / "cache" / f"index{place}"
        index.mkdir(parents=True)
        for name, text in zip(("level", "type", "size", "shared_cpu_list"), facts, strict=True):
            (index / name).write_text(f"{text}\n")


@pytest.fixture
def cpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four CPUs, two on each of two last-level caches of 32 MiB."""
    monkeypatch.setattr(caches, "CPUS", tmp_path / "cpus")
    for cpu in range(4):
        own, shared = str(cpu), "0-1" if cpu < 2 else "2-3"
        cpu_with(
            tmp_path / "cpus", cpu, (1, "Data", "48K", own), (1, "Instruction", "32K", own),  # type: ignore[arg-type]
            (2, "Unified", "1024K", own), (3, "Unified", "32M", shared),  # type: ignore[arg-type]
        )  # fmt: skip
    return tmp_path / "cpus"


def test_last_level_caches_that_the_cpus_share_count_once(cpus: Path) -> None:
    assert caches.cpu_caches({0, 1}).size == 32 * 2**20
    assert caches.cpu_caches({0, 2, 3}).size == 64 * 2**20
    unknown = caches.cpu_caches({0, 9})
    assert unknown.size is None and "does not tell" in unknown.words


@pytest.mark.parametrize(
    ("cache", "size", "metric", "reason"),
    [
        (1000, 4000, "memory.bandwidth", "4 times the 1000 B"),
        (1004, 4000, "memory.cached_bandwidth", "a cache may have answered; memory is read from 4 times on"),
        (None, 4000, "memory.unproven_bandwidth", "nobody says: a cache may have answered"),
    ],
)
def test_bandwidth_is_memorys_only_over_arrays_that_no_cache_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: int | None, size: int, metric: str, reason: str
) -> None:
    monkeypatch.setattr(run, "ceiling", lambda target, workload: (10.0, "stated"))
    monkeypatch.setattr(run, "largest_caches", lambda ctx: Caches(cache, "nobody says"))
    ctx = context(memory_case(size_bytes=size), tmp_path)
    run.run(ctx)
    (found,) = ctx.measurements
    assert found.metric == metric and found.labels["size_bytes"] == size
    assert (found.ceiling is None) == (metric == "memory.cached_bandwidth"), "memory does not bound its caches"
    assert ctx.facts["memory"]["metric"] == metric and reason in ctx.facts["memory"]["reason"]


@pytest.mark.parametrize(("cache", "size"), [(3000, 12000), (100, 2000), (None, 2000)])
def test_size_that_is_not_given_follows_from_the_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: int | None, size: int
) -> None:
    monkeypatch.setattr("seatrial.config.probe.memory.LEAST_ARRAY", 2000)
    monkeypatch.setattr(run, "largest_caches", lambda ctx: Caches(cache, "nobody says"))
    ctx = context(memory_case(size_bytes=None), tmp_path)
    run.run(ctx)
    (found,) = ctx.measurements
    assert found.labels["size_bytes"] == size
    assert found.metric == ("memory.unproven_bandwidth" if cache is None else "memory.bandwidth")


def test_size_that_is_not_given_passes_the_caches_of_today() -> None:
    assert Memory(kind="memory", operation="copy").array_bytes >= 256 * 2**20


def accelerator(cache_mib: int | None) -> Any:
    fact = {} if cache_mib is None else {"last_level_cache_mib": {"value": cache_mib, "source": "data sheet"}}
    return target(1, accelerator={"name": "X100", "vendor": "x", **fact}, device="cuda", accelerators_per_node=1)


@pytest.mark.parametrize(
    ("declared", "level_2", "hip", "expected"),
    [
        (None, 50, None, 50),
        (256, 4, "6.4", 256),
        (None, 4, "6.4", None),
        (8, 60, None, 60),
        (None, 0, None, None),
    ],
)
def test_accelerators_cache_is_the_larger_of_what_driver_and_target_state(
    monkeypatch: pytest.MonkeyPatch, declared: int | None, level_2: int, hip: str | None, expected: int | None
) -> None:
    """ROCm tells the L2 alone: without a stated Infinity Cache nothing is known."""
    facts = SimpleNamespace(L2_cache_size=level_2 * 2**20)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: facts)
    monkeypatch.setattr(torch.version, "hip", hip)
    found = caches.last_level_caches(CUDA, accelerator(declared))
    assert found.size == (None if expected is None else expected * 2**20)
