"""The probes on a CPU: every number stands for a checked result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ranks import case

from seatrial.errors import MeasurementFailed, Unsupported
from seatrial.measure import gemm, memory, session
from seatrial.measure.context import RankContext
from seatrial.record import Record


def context(workload: dict[str, Any], folder: Path, **more: Any) -> RankContext:
    what = case(workload, **more)
    return RankContext(what, 0, 3, 0, 0, 1, torch.device("cpu"), folder)


def gemm_case(**more: Any) -> dict[str, Any]:
    return {"kind": "gemm", "m": 40, "n": 24, "k": 56, "warmup": 1, "iterations": 5, **more}


def memory_case(**more: Any) -> dict[str, Any]:
    return {"kind": "memory", "operation": "copy", "size_bytes": 4000, "warmup": 1, "iterations": 5, **more}


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_gemm_throughput_is_operations_over_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    def timed(device: torch.device, operation: Any, *rest: Any) -> list[float]:
        operation()
        return [0.5, 0.25]

    monkeypatch.setattr(gemm, "time_iterations", timed)
    ctx = context(gemm_case(dtype=dtype), tmp_path)
    gemm.run(ctx)
    (found,) = ctx.measurements
    work = 2 * 40 * 24 * 56
    assert found.samples == pytest.approx([work / 0.5 / 1e12, work / 0.25 / 1e12])
    assert found.labels == {"rank": 0, "device": "cpu", "dtype": dtype, "m": 40, "n": 24, "k": 56}
    assert found.ceiling is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: c.zero_(),
        lambda c: c.mul_(1.1),
        lambda c: c.fill_(torch.nan),
        lambda c: c.add_(torch.inf),
        lambda c: None,
    ],
)
def test_wrong_product_yields_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any) -> None:
    right = gemm.multiply

    def wrong(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> None:
        if spoil(c) is not None:  # else: the product is never computed
            right(a, b, c)
            spoil(c)

    monkeypatch.setattr(gemm, "multiply", wrong)
    ctx = context(gemm_case(), tmp_path)
    with pytest.raises(MeasurementFailed) as failed:
        gemm.run(ctx)
    assert failed.value.kind == "wrong_result"
    assert ctx.measurements == []


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 200),
    st.integers(1, 200),
    st.integers(1, 3000),
    st.sampled_from(["float32", "float16", "bfloat16"]),
    st.integers(0, 99),
)
def test_right_products_of_any_shape_pass_their_check(m: int, n: int, k: int, dtype: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    workload = case(gemm_case(m=m, n=n, k=k, dtype=dtype)).workload
    a, b, c = gemm.operands(workload, torch.device("cpu"), generator)  # type: ignore[arg-type]
    gemm.multiply(a, b, c)
    gemm.check_product(a, b, c, dtype, generator)


def test_tf32_on_a_cpu_is_unsupported(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="tf32 exists on accelerators only"):
        gemm.run(context(gemm_case(dtype="tf32"), tmp_path))


def test_tf32_needs_an_accelerator_that_has_it_without_device(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda d: "Tesla V100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda d: (7, 0))
    with pytest.raises(Unsupported, match="V100 is older"):
        gemm.check_dtype(device, "tf32")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda d: (9, 0))
    gemm.check_dtype(device, "tf32")
    monkeypatch.setattr(torch.version, "hip", "7.0")
    with pytest.raises(Unsupported, match="on AMD"):
        gemm.check_dtype(device, "tf32")


def test_tf32_is_switched_on_for_its_own_product_only_without_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    right = gemm.multiply

    def multiply(*operands: torch.Tensor) -> None:
        seen.append(torch.get_float32_matmul_precision())
        right(*operands)

    monkeypatch.setattr(gemm, "multiply", multiply)
    monkeypatch.setattr(gemm, "check_dtype", lambda device, dtype: None)
    before = torch.get_float32_matmul_precision()
    for dtype in ("tf32", "float32"):
        gemm.run(context(gemm_case(dtype=dtype, warmup=0, iterations=1), tmp_path))
    assert seen == ["high", "highest"]
    assert torch.get_float32_matmul_precision() == before


@pytest.mark.parametrize(("operation", "arrays"), [("copy", 2), ("triad", 3)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_memory_bandwidth_counts_every_array_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, arrays: int, dtype: str
) -> None:
    def timed(device: torch.device, move: Any, *rest: Any) -> list[float]:
        move()
        return [0.5]

    monkeypatch.setattr(memory, "time_iterations", timed)
    ctx = context(memory_case(operation=operation, dtype=dtype), tmp_path)
    memory.run(ctx)
    (found,) = ctx.measurements
    assert found.samples == pytest.approx([arrays * 4000 / 0.5 / 1e9])
    assert found.labels["operation"] == operation


@pytest.mark.parametrize("operation", ["copy", "triad"])
def test_one_wrong_value_in_memory_yields_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    right = memory.move

    def wrong(operation: str, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> None:
        right(operation, a, b, c)
        a[77] += 1

    monkeypatch.setattr(memory, "move", wrong)
    ctx = context(memory_case(operation=operation), tmp_path)
    with pytest.raises(MeasurementFailed, match="1 of 1000 values are wrong"):
        memory.run(ctx)
    assert ctx.measurements == []


def test_long_series_are_kept_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    what = case(memory_case(iterations=1200))
    session.run_repeat(what, 0, tmp_path / "0.json", memory.run)
    (found,) = Record.read(tmp_path / "0.json").measurements
    assert len(found.samples) == 1200
