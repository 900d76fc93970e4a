"""Probe gemm on a CPU: every number stands for a checked product, of one shape or the best of many."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from ranks import case, run_ranks

from seatrial.config.probe import gemm as gemm_config
from seatrial.errors import MeasurementFailed, Unsupported
from seatrial.measure import room
from seatrial.measure.context import RankContext
from seatrial.measure.gemm import burst, product, run, search, sustained
from seatrial.record import Measurement

CPU = torch.device("cpu")


def context(workload: dict[str, Any], folder: Path, **more: Any) -> RankContext:
    return RankContext(case(workload, **more), 0, 3, 0, 0, 1, CPU, folder)


def gemm_case(**more: Any) -> dict[str, Any]:
    return {"kind": "gemm", "m": 40, "n": 24, "k": 56, "warmup": 1, "iterations": 5, **more}


def search_case(**more: Any) -> dict[str, Any]:
    ranges = {"m": {"start": 8, "stop": 24, "step": 8}, "n": {"start": 16, "stop": 32, "step": 16}}
    looked = {**ranges, "k": {"start": 32, "stop": 32}, "coarse_iterations": 2, "finalists": 2}
    return {"kind": "gemm", "search": looked, "warmup": 1, "iterations": 3, **more}


def by_metric(ctx: RankContext) -> dict[str, list[Measurement]]:
    found: dict[str, list[Measurement]] = {}
    for m in ctx.measurements:
        found.setdefault(m.metric, []).append(m)
    return found


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("layout", ["column_major", "row_major"])
def test_throughput_is_operations_over_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, layout: str
) -> None:
    def timed(device: torch.device, operation: Any, *rest: Any) -> list[float]:
        operation()
        return [0.5, 0.25]

    monkeypatch.setattr(burst, "time_iterations", timed)
    ctx = context(gemm_case(dtype=dtype, b_layout=layout), tmp_path)
    run.run(ctx)
    (found,) = ctx.measurements
    work = 2 * 40 * 24 * 56
    assert found.metric == "gemm.throughput"
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
@pytest.mark.parametrize("workload", [gemm_case(), search_case(), gemm_case(sustained_seconds=0.01)])
def test_wrong_product_yields_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any, workload: dict[str, Any]
) -> None:
    right = product.multiply

    def wrong(on: product.Product) -> None:
        if spoil(on.c) is not None:  # else: the product is never computed
            right(on)
            spoil(on.c)

    monkeypatch.setattr(product, "multiply", wrong)
    ctx = context(workload, tmp_path)
    with pytest.raises(MeasurementFailed, match=r"\d+ x \d+ x \d+: ") as failed:
        run.run(ctx)
    assert failed.value.kind == "wrong_result"
    assert ctx.measurements == []


def test_wrong_product_late_in_a_sustained_run_yields_no_sustained_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, calls = product.multiply, []

    def wrong(on: product.Product) -> None:
        right(on)
        calls.append(1)
        if len(calls) > 8:
            on.c[0, 0] = torch.nan

    monkeypatch.setattr(product, "multiply", wrong)
    ctx = context(gemm_case(sustained_seconds=0.05), tmp_path)
    with pytest.raises(MeasurementFailed, match="not finite"):
        run.run(ctx)
    assert [m.metric for m in ctx.measurements] == ["gemm.throughput"]


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 200),
    st.integers(1, 200),
    st.integers(1, 3000),
    st.sampled_from(["float32", "float16", "bfloat16"]),
    st.sampled_from(["column_major", "row_major"]),
    st.integers(0, 99),
)
def test_right_products_of_any_shape_pass_their_check(
    m: int, n: int, k: int, dtype: str, layout: str, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    workload: Any = case(gemm_case(m=m, n=n, k=k, dtype=dtype, b_layout=layout)).workload
    on = product.operands(workload, (m, n, k), CPU, generator)
    product.multiply(on)
    product.check_product(on, dtype, generator)


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 100), st.integers(1, 6), st.integers(1, 100), st.integers(0, 99))
def test_fp8_products_are_held_to_fp8_rounding_without_device(m: int, n: int, k: int, seed: int) -> None:
    """torch computes fp8 products on a CPU by way of float32: slow, but right."""
    shape = (m, 16 * n, 16 * k)
    generator = torch.Generator().manual_seed(seed)
    workload: Any = case({"kind": "gemm", "m": shape[0], "n": shape[1], "k": shape[2], "dtype": "fp8"}).workload
    on = product.operands(workload, shape, CPU, generator)
    assert on.a.dtype == torch.float8_e4m3fn and on.c.dtype == torch.bfloat16
    product.multiply(on)
    product.check_product(on, "fp8", generator)
    copy = product.another(on)
    assert copy.b.stride() == on.b.stride() and copy.b.data_ptr() != on.b.data_ptr()
    for spoilt in (on.c * 1.3, on.c.roll(1, 0) if m > 1 else on.c * 0):
        with pytest.raises(MeasurementFailed, match="rounding explains"):
            wrong = product.Product(on.a, on.b, spoilt, on.scale)
            for _ in range(3):  # rows and columns are drawn at random
                product.check_product(wrong, "fp8", generator)


def test_tolerance_of_fp8_covers_what_was_published_and_not_a_wrong_sum() -> None:
    # DeepSeek-V3 (arXiv:2412.19437): sums of k = 4096 are off by up to 2 % for want of bits
    for k in (4096, 20480):
        assert 0.02 < product.tolerance("fp8", k) / k**0.5 < 0.5


@pytest.mark.parametrize(
    ("dtype", "words"), [("tf32", "tf32 exists on accelerators only"), ("fp8", "fp8 products are measured on acc")]
)
def test_what_a_cpu_has_no_unit_for_is_unsupported(tmp_path: Path, dtype: str, words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        run.run(context(gemm_case(m=32, n=32, k=32, dtype=dtype), tmp_path))


def test_units_need_an_accelerator_that_has_them_without_device(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda d: "Tesla V100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda d: (7, 0))
    with pytest.raises(Unsupported, match="V100 is older"):
        product.check_dtype(device, "tf32")
    with pytest.raises(Unsupported, match=r"fp8 needs compute capability 8\.9; Tesla V100 is older"):
        product.check_dtype(device, "fp8")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda d: (9, 0))
    product.check_dtype(device, "tf32")
    monkeypatch.setattr(torch.version, "hip", "7.0")
    with pytest.raises(Unsupported, match="on AMD"):
        product.check_dtype(device, "tf32")


@pytest.mark.parametrize(("architecture", "found"), [("gfx942:sramecc+", "fnuz"), ("gfx950:sramecc+", "fn")])
def test_fp8_of_amd_is_that_of_its_architecture_without_device(
    monkeypatch: pytest.MonkeyPatch, architecture: str, found: str
) -> None:
    monkeypatch.setattr(torch.version, "hip", "7.0")
    properties = type("Properties", (), {"gcnArchName": architecture})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda d: properties)
    assert str(product.storage_dtype("fp8", torch.device("cuda", 0))) == f"torch.float8_e4m3{found}"


def test_tf32_is_switched_on_for_its_own_product_only_without_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    right = product.multiply

    def multiply(on: product.Product) -> None:
        seen.append(torch.get_float32_matmul_precision())
        right(on)

    monkeypatch.setattr(product, "multiply", multiply)
    monkeypatch.setattr(product, "check_dtype", lambda device, dtype: None)
    before = torch.get_float32_matmul_precision()
    for dtype in ("tf32", "float32"):
        run.run(context(gemm_case(dtype=dtype, warmup=0, iterations=1), tmp_path))
    assert seen == ["high", "highest"]
    assert torch.get_float32_matmul_precision() == before


def test_cold_operands_take_turns_and_every_result_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain: Any = case(gemm_case()).workload
    monkeypatch.setattr(gemm_config, "COLD_BYTES", 3 * plain.bytes_of((40, 24, 56)))
    used: list[int] = []
    right = product.multiply

    def multiply(on: product.Product) -> None:
        used.append(on.b.data_ptr())
        right(on)

    monkeypatch.setattr(product, "multiply", multiply)
    ctx = context(gemm_case(cold_cache=True), tmp_path)
    run.run(ctx)
    assert ctx.measurements[0].labels["cold_cache"] is True
    assert len(set(used)) == 3 and used[:3] == used[3:]

    def third_wrong(on: product.Product) -> None:
        right(on)
        if on.b.data_ptr() == used_now.setdefault(len(used_now), on.b.data_ptr()) and len(used_now) == 3:
            on.c.zero_()

    used_now: dict[int, int] = {}
    monkeypatch.setattr(product, "multiply", third_wrong)
    with pytest.raises(MeasurementFailed, match="off by"):
        run.run(context(gemm_case(cold_cache=True, warmup=0, iterations=3), tmp_path))


def test_search_finds_the_fastest_shape_and_measures_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times are made up: the fastest is 16 x 32 x 32; among the finalists noise favours 24 x 32 x 32 once."""
    speed = {(8, 16): 1.0, (8, 32): 2.0, (16, 16): 3.0, (16, 32): 6.0, (24, 16): 4.0, (24, 32): 5.0}
    asked: list[tuple[tuple[int, int, int], int]] = []

    def seconds(self: burst.Burst, warmup: int, iterations: int) -> list[float]:
        asked.append((self.shape, iterations))
        rate = speed[self.shape[:2]] * (1.5 if (self.shape[0], iterations) == (24, 2) else 1.0)
        return [self.work / (rate * 1e12)] * iterations

    monkeypatch.setattr(burst.Burst, "seconds", seconds)
    ctx = context(search_case(), tmp_path)
    run.run(ctx)
    found = by_metric(ctx)
    assert [count for _, count in asked] == [2] * 6 + [3, 3, 3], "coarse over all, the finalists, the best again"
    assert [shape for shape, _ in asked[6:]] == [(24, 32, 32), (16, 32, 32), (16, 32, 32)]
    assert {(m.labels["m"], m.labels["n"]) for m in found["gemm.searched_throughput"]} == set(speed)
    assert len(found["gemm.throughput"]) == 2
    (best,) = found["gemm.best_throughput"]
    assert (best.labels["m"], best.labels["n"], best.labels["k"]) == (16, 32, 32)
    assert best.samples == pytest.approx([6.0] * 3)


def test_search_on_a_cpu_names_one_of_its_shapes(tmp_path: Path) -> None:
    ctx = context(search_case(sustained_seconds=0.02), tmp_path)
    run.run(ctx)
    found = by_metric(ctx)
    assert len(found["gemm.searched_throughput"]) == 6
    (best,), (held,) = found["gemm.best_throughput"], found["gemm.sustained_throughput"]
    assert held.labels == best.labels
    assert best.labels["m"] in (8, 16, 24)


def test_of_equal_shapes_the_smaller_is_best() -> None:
    assert search.best_of({(2, 2, 2): 1.0, (1, 9, 9): 1.0, (3, 3, 3): 0.5}, 2) == [(1, 9, 9), (2, 2, 2)]


def test_sustained_rates_cover_the_time_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def operation() -> None:
        clock[0] += 0.02 if clock[0] < 3.0 else 0.04  # the device slows down after three seconds

    monkeypatch.setattr(sustained.time, "perf_counter", lambda: clock[0])
    rates = sustained.sustain(CPU, operation, seconds=7.0, each=0.02)
    assert rates == pytest.approx([50.0] * 3 + [25.0] * 2)
    assert clock[0] >= 7.0


def test_an_operation_longer_than_a_second_is_a_batch_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def operation() -> None:
        clock[0] += 2.5

    monkeypatch.setattr(sustained.time, "perf_counter", lambda: clock[0])
    assert sustained.sustain(CPU, operation, seconds=3.0, each=2.5) == pytest.approx([0.4, 0.4])


def test_a_device_always_has_a_batch_queued_until_the_time_is_over_without_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The device takes 0.1 s for an operation; the host queues at once and waits for events."""
    queued, waits = [0], []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            self.after = queued[0]

        def synchronize(self) -> None:
            waits.append(queued[0] - self.after)

        def elapsed_time(self, later: Event) -> float:
            return (later.after - self.after) * 100.0

    def operation() -> None:
        queued[0] += 1

    monkeypatch.setattr(torch.cuda, "Event", Event)
    rates = sustained.sustain(torch.device("cuda", 0), operation, seconds=3.5, each=0.1)
    assert rates == pytest.approx([10.0] * 5), "a sample a second, all of them timed"
    assert waits[:-1] == [10] * 4 and waits[-1] == 0, "a batch lies ahead at every wait but the last"


def test_one_slow_rank_shows_beside_the_others(tmp_path: Path) -> None:
    ended = run_ranks(
        case(gemm_case(warmup=0, iterations=2, sustained_seconds=0.3), 2), "second_rank_is_slow", tmp_path
    )
    assert ended.record is not None and ended.record.outcome == "completed", ended.errors
    for metric in ("gemm.throughput", "gemm.sustained_throughput"):
        rates = {
            m.labels["rank"]: statistics.median(m.samples) for m in ended.record.measurements if m.metric == metric
        }
        assert rates[0] > 5 * rates[1] > 0


def test_operands_that_do_not_fit_are_refused_before_they_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "available_bytes", lambda device, ranks: (2**20, f"shared by {ranks}"))
    monkeypatch.setattr(product, "operands", lambda *given: pytest.fail("they were made"))
    with pytest.raises(
        MeasurementFailed, match=r"GiB are available \(shared by 1\); lower workload\.m, n or k"
    ) as failed:
        run.run(context(gemm_case(m=1024, n=1024, k=1024), tmp_path))
    assert failed.value.kind == "out_of_memory"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"n": 24, "k": 64, "dtype": "fp8"}, "multiples of 16"),
        ({"n": 32, "k": 56, "dtype": "fp8"}, "multiples of 16"),
        ({"n": 32, "k": 64, "dtype": "fp8", "b_layout": "row_major"}, "by columns"),
        ({"m": None}, "no shape"),
        ({"search": search_case()["search"]}, "a search for one"),
        ({"sustained_seconds": 600.0}, "time limit"),
    ],
)
def test_products_that_cannot_be_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        case(gemm_case(**wrong))


@pytest.mark.parametrize(
    ("ranges", "words"),
    [
        ({"m": {"start": 8, "stop": 4}}, "ends before it begins"),
        ({"m": {"start": 1, "stop": 5000}}, "allowed: at most 4096"),
    ],
)
def test_ranges_that_cannot_be_searched_are_refused(ranges: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        case({"kind": "gemm", "search": {**search_case()["search"], **ranges}})


@given(st.integers(1, 50), st.integers(0, 50), st.integers(1, 20))
def test_a_range_is_within_its_ends(start: int, more: int, step: int) -> None:
    content = {"start": start, "stop": start + more, "step": step}
    workload: Any = case({"kind": "gemm", "search": {**search_case()["search"], "m": content}}).workload
    values = list(workload.search.m.values)
    assert values[0] == start and values[-1] <= start + more < values[-1] + step
