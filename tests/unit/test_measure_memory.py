"""Probe memory on a CPU: every number stands for checked values; what needs an accelerator says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from ranks import case, target

from seatrial.errors import MeasurementFailed, Unsupported
from seatrial.measure import session
from seatrial.measure.context import RankContext
from seatrial.measure.memory import ceilings, host, run, within
from seatrial.measure.memory.caches import Caches
from seatrial.record import Record

CPU = torch.device("cpu")


def context(workload: dict[str, Any], folder: Path, **more: Any) -> RankContext:
    return RankContext(case(workload, **more), 0, 3, 0, 0, 1, CPU, folder)


def memory_case(**more: Any) -> dict[str, Any]:
    return {"kind": "memory", "operation": "copy", "size_bytes": 4000, "warmup": 1, "iterations": 5, **more}


@pytest.mark.parametrize(("operation", "arrays"), [("copy", 2), ("triad", 3), ("read", 1)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_bandwidth_counts_every_array_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, arrays: int, dtype: str
) -> None:
    def timed(device: torch.device, move: Any, *rest: Any) -> list[float]:
        move()
        return [0.5]

    monkeypatch.setattr(run, "time_iterations", timed)
    monkeypatch.setattr(run, "largest_caches", lambda ctx: Caches(1000, "a cache"))
    ctx = context(memory_case(operation=operation, dtype=dtype), tmp_path)
    run.run(ctx)
    (found,) = ctx.measurements
    assert found.metric == "memory.bandwidth"
    assert found.samples == pytest.approx([arrays * 4000 / 0.5 / 1e9])
    assert found.labels == {"rank": 0, "device": "cpu", "operation": operation, "dtype": dtype, "size_bytes": 4000}


@pytest.mark.parametrize("operation", ["copy", "triad"])
def test_one_wrong_value_yields_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    right = within.move

    def wrong(operation: str, on: within.Arrays) -> None:
        right(operation, on)
        on.a[77] += 1

    monkeypatch.setattr(within, "move", wrong)
    monkeypatch.setattr(within, "CHECKED_AT_ONCE", 64)
    ctx = context(memory_case(operation=operation), tmp_path)
    with pytest.raises(MeasurementFailed, match="1 of 1000 values are wrong"):
        run.run(ctx)
    assert ctx.measurements == []


def test_a_read_that_missed_a_part_yields_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(operation: str, on: within.Arrays) -> None:
        on.a.copy_(on.b[: on.b.numel() // 2].sum(dtype=torch.float32))

    monkeypatch.setattr(within, "move", half)
    ctx = context(memory_case(operation="read"), tmp_path)
    with pytest.raises(MeasurementFailed, match="the sum is"):
        run.run(ctx)
    monkeypatch.setattr(within, "move", lambda operation, on: None)
    with pytest.raises(MeasurementFailed, match="the sum is nan"):
        run.run(ctx)


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(["copy", "triad", "read"]),
    st.sampled_from(["float32", "float16", "bfloat16"]),
    st.integers(1, 50_000),
    st.integers(0, 99),
)
def test_right_passes_of_any_size_pass_their_check(operation: str, dtype: str, count: int, seed: int) -> None:
    workload: Any = case(memory_case(operation=operation, dtype=dtype, size_bytes=4 * count)).workload
    on = within.arrays(workload, CPU, torch.Generator().manual_seed(seed))
    within.move(operation, on)
    within.check_arrays(operation, on)


@pytest.mark.parametrize("operation", ["host_to_device", "device_to_host", "bidirectional"])
def test_without_an_accelerator_there_is_no_link_to_a_host(tmp_path: Path, operation: str) -> None:
    with pytest.raises(Unsupported, match="copies between host and device need an accelerator"):
        run.run(context(memory_case(operation=operation), tmp_path))


def test_copies_between_host_and_device_are_checked_in_full_without_device() -> None:
    """On a CPU both sides are its own memory: the copies and their check are the same."""
    workload: Any = case(memory_case(operation="host_to_device", host_memory="pageable")).workload
    on = host.copies(workload, CPU, torch.Generator().manual_seed(1))
    ((to, source),) = on.pairs
    assert to.isnan().all() and not source.isnan().any()
    with pytest.raises(MeasurementFailed, match="1000 of 1000 values are wrong"):
        host.check_copies(on)
    host.copy(on)
    host.check_copies(on)
    to[3] += 1
    with pytest.raises(MeasurementFailed, match="1 of 1000 values are wrong"):
        host.check_copies(on)


def test_both_directions_run_on_streams_of_their_own_without_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each copy waits for what came before it, runs on its own stream, and what follows waits for both."""
    said: list[str] = []

    class Stream:
        def __init__(self, name: str) -> None:
            self.name = name

        def wait_stream(self, other: Stream) -> None:
            said.append(f"{self.name} waits for {other.name}")

        def __enter__(self) -> None:
            said.append(f"on {self.name}")

        def __exit__(self, *problem: object) -> None:
            said.append("off")

    monkeypatch.setattr(torch.cuda, "current_stream", lambda: Stream("current"))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    pairs = [(torch.zeros(4), torch.ones(4)), (torch.zeros(4), torch.full((4,), 2.0))]
    on = host.Copies(pairs, [Stream("in"), Stream("out")])  # type: ignore[list-item]
    host.copy(on)
    host.check_copies(on)
    assert said == [
        "in waits for current", "on in", "off", "out waits for current", "on out", "off",
        "current waits for in", "current waits for out",
    ]  # fmt: skip


def test_arrays_that_do_not_fit_are_refused_before_they_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(within, "arrays", lambda *given: pytest.fail("they were made"))
    with pytest.raises(MeasurementFailed, match=r"3 array\(s\) take .* GiB.*lower workload\.size_bytes") as failed:
        run.run(context(memory_case(operation="triad", size_bytes=2**50), tmp_path))
    assert failed.value.kind == "out_of_memory"


def test_both_directions_at_once_need_pinned_memory() -> None:
    with pytest.raises(ValidationError, match="both directions never run at once"):
        case(memory_case(operation="bidirectional", host_memory="pageable"))


def accelerated(**facts: Any) -> Any:
    known = {name: {"value": value, "source": "data sheet"} for name, value in facts.items()}
    content = {"device": "cuda", "accelerators_per_node": 1}
    return target(1, accelerator={"name": "X100", "vendor": "x", **known}, **content)


@pytest.mark.parametrize(
    ("facts", "operation", "bound"),
    [
        # what PCI-SIG and the vendors' data sheets state for 16 lanes, one way, in GB/s
        ({"pcie_generation": 3}, "host_to_device", 15.75),
        ({"pcie_generation": 4}, "device_to_host", 31.5),
        ({"pcie_generation": 5}, "host_to_device", 63.0),
        ({"pcie_generation": 5}, "bidirectional", 126.0),
        ({"pcie_generation": 6}, "device_to_host", 118.0),
        ({"pcie_generation": 5, "host_link_unidirectional_gbps": 450}, "host_to_device", 450.0),
        ({"pcie_generation": 5, "host_link_unidirectional_gbps": 450}, "bidirectional", 900.0),
    ],
)
def test_copies_to_the_host_are_held_against_its_link(facts: dict[str, Any], operation: str, bound: float) -> None:
    workload: Any = case(memory_case(operation=operation)).workload
    found = ceilings.ceiling(accelerated(**facts), workload)
    assert found is not None and found[0] == pytest.approx(bound, rel=2e-3)
    assert ("lanes assumed" in found[1]) == ("host_link_unidirectional_gbps" not in facts)
    assert ("both directions" in found[1]) == (operation == "bidirectional")


def test_published_copies_to_the_host_stay_below_their_ceiling() -> None:
    # 52 to 55.4 GB/s over PCI Express 5, 201 GB/s over NVLink-C2C (stas00/ml-engineering, accelerators)
    assert 0.8 < 55.4 / ceilings.pcie_bandwidth(5) < 1


def test_link_without_its_facts_has_no_ceiling() -> None:
    workload: Any = case(memory_case(operation="host_to_device")).workload
    assert ceilings.ceiling(accelerated(memory_bandwidth_gbps=3350), workload) is None
    assert ceilings.ceiling(accelerated(pcie_generation=9), workload) is None
    assert ceilings.ceiling(target(1), workload) is None


def test_long_series_are_kept_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    what = case(memory_case(iterations=1200))
    session.run_repeat(what, 0, tmp_path / "0.json", run.run)
    (found,) = Record.read(tmp_path / "0.json").measurements
    assert len(found.samples) == 1200
