"""The probes on a real accelerator, held against what published measurements found it can do.

Anchors: achievable bfloat16 products are 51 to 97 % of the dense peak over all accelerators that
stas00/ml-engineering measured (H100 and H200 80 %); copies and triads on H100 and H200 read 86 to 87 % of the
memory's bandwidth; pinned copies over PCI Express 5 reach 83 to 88 % of it.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from seatrial.case import Case, case_id
from seatrial.config.metrics.dataload import PREFIX, dataload_metric
from seatrial.config.target import Target
from seatrial.errors import Unsupported
from seatrial.measure.gemm import run as gemm
from seatrial.measure.gemm.product import check_dtype
from seatrial.measure.memory import run as memory
from seatrial.measure.session import run_repeat
from seatrial.record import Measurement, Record
from seatrial.train import dataload

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator here: torch.cuda finds none"),
]
DEVICE = torch.device("cuda", 0)
TARGETS = Path(__file__).parents[2] / "conf" / "target"
KNOWN = {"H100 80GB HBM3": "dgx_h100", "H200": "dgx_h200", "B200": "dgx_b200", "MI300X": "mi300x_oam8"}
"""Parts of device names and the target that states the same accelerator's facts."""


@pytest.fixture
def one_accelerator(monkeypatch: pytest.MonkeyPatch) -> Target:
    """The target of this machine's accelerator, cut down to one of them."""
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    device = torch.cuda.get_device_name(0)
    name = next((target for part, target in KNOWN.items() if part in device), None)
    if name is None:
        pytest.skip(f"no target states the facts of {device}; known: {', '.join(KNOWN)}")
    content = yaml.safe_load((TARGETS / f"{name}.yaml").read_text())
    content.update(nodes=1, accelerators_per_node=1, tasks_per_node=1)
    return Target.model_validate(content)


def record_of(on: Target, work: Any, workload: dict[str, Any], folder: Path) -> Record:
    content = {"study": "try", "experiment": "probe", "repeats": 1, "base_seed": 3, "case_id": "x"}
    draft = Case.model_validate({**content, "workload": workload, "target": on})
    what = draft.model_copy(update={"case_id": case_id("probe", draft.workload, on, draft.base_seed)})
    record = run_repeat(what, 0, folder / "0.json", work)
    assert record is not None
    return record


def measured(on: Target, work: Any, workload: dict[str, Any], folder: Path) -> list[Measurement]:
    record = record_of(on, work, workload, folder)
    assert record.outcome == "completed", record.error
    assert record.provenance["devices"] == [torch.cuda.get_device_name(0)]
    assert record.provenance["versions"].get("cuda") or record.provenance["versions"].get("hip")
    return record.measurements


def of_metric(measurements: list[Measurement], metric: str) -> Measurement:
    (found,) = [m for m in measurements if m.metric == metric]
    return found


def has(dtype: str) -> None:
    """Skip where the device has no unit for `dtype`."""
    try:
        check_dtype(DEVICE, dtype)
    except Unsupported as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("dtype", ["bfloat16", "fp8"])
def test_product_reaches_a_published_share_of_the_peak(one_accelerator: Target, tmp_path: Path, dtype: str) -> None:
    has(dtype)
    workload = {"kind": "gemm", "dtype": dtype, "m": 8192, "n": 8192, "k": 8192}
    (found,) = measured(one_accelerator, gemm.run, workload, tmp_path)
    assert found.ceiling is not None
    assert 0.45 <= statistics.median(found.samples) / found.ceiling <= 1.0


def test_best_shape_comes_near_the_published_achievable_figure(one_accelerator: Target, tmp_path: Path) -> None:
    accelerator = one_accelerator.accelerator
    assert accelerator is not None
    published = accelerator.achievable_tflops.get("bfloat16")
    if published is None or published.value is None:
        pytest.skip(f"no achievable bfloat16 figure of {accelerator.name} is stated")
    side = {"start": 4096, "stop": 12288, "step": 2048}
    search = {"m": side, "n": side, "k": side, "finalists": 5}
    found = measured(one_accelerator, gemm.run, {"kind": "gemm", "dtype": "bfloat16", "search": search}, tmp_path)
    best = statistics.median(of_metric(found, "gemm.best_throughput").samples)
    assert 0.8 <= best / published.value <= 1.1
    searched = [statistics.median(m.samples) for m in found if m.metric == "gemm.searched_throughput"]
    assert len(searched) == 125 and best >= 0.9 * max(searched)


def test_sustained_products_keep_the_device_busy_to_the_end(one_accelerator: Target, tmp_path: Path) -> None:
    side = {"m": 8192, "n": 8192, "k": 8192}
    workload = {"kind": "gemm", "dtype": "bfloat16", "sustained_seconds": 6.0, "iterations": 50, **side}
    found = measured(one_accelerator, gemm.run, workload, tmp_path)
    burst = statistics.median(of_metric(found, "gemm.throughput").samples)
    held = of_metric(found, "gemm.sustained_throughput")
    assert 6 <= len(held.samples) <= 12, "a sample a second"
    assert 0.6 * burst <= statistics.median(held.samples) <= 1.1 * burst


def test_operands_that_are_not_cached_are_never_much_faster(one_accelerator: Target, tmp_path: Path) -> None:
    side = {"m": 1024, "n": 1024, "k": 1024, "iterations": 200}
    rates = []
    for cold in (False, True):
        workload = {"kind": "gemm", "dtype": "bfloat16", "cold_cache": cold, **side}
        (found,) = measured(one_accelerator, gemm.run, workload, tmp_path)
        rates.append(statistics.median(found.samples))
    assert rates[1] <= 1.05 * rates[0]


@pytest.mark.parametrize("dtype", ["float32", "tf32", "float16", "fp8"])
@pytest.mark.parametrize("fast", [False, True])
def test_products_of_other_dtypes_are_right(
    one_accelerator: Target, tmp_path: Path, dtype: str, fast: bool
) -> None:
    has(dtype)
    if fast and dtype != "fp8":
        pytest.skip("fast accumulation is a choice of fp8 only")
    shape = {"m": 2048, "n": 1536, "k": 4096, "fp8_fast_accumulation": fast}
    measured(one_accelerator, gemm.run, {"kind": "gemm", "dtype": dtype, **shape}, tmp_path)


def test_operands_larger_than_the_device_are_refused_in_words(one_accelerator: Target, tmp_path: Path) -> None:
    side = {"m": 500_000, "n": 500_000, "k": 500_000}
    record = record_of(one_accelerator, gemm.run, {"kind": "gemm", **side}, tmp_path)
    assert record.error is not None and record.error.kind == "out_of_memory"
    assert "free on cuda:0" in record.error.message
    workload = {"kind": "memory", "operation": "copy", "size_bytes": 2**42}
    record = record_of(one_accelerator, memory.run, workload, tmp_path)
    assert record.error is not None and "lower workload.size_bytes" in record.error.message


@pytest.mark.parametrize("operation", ["copy", "triad", "read"])
def test_memory_reaches_a_published_share_of_its_bandwidth(
    one_accelerator: Target, tmp_path: Path, operation: str
) -> None:
    workload = {"kind": "memory", "operation": operation, "size_bytes": 2**31}
    (found,) = measured(one_accelerator, memory.run, workload, tmp_path)
    assert found.metric == "memory.bandwidth", "2 GiB are more than 4 times any cache"
    assert found.ceiling is not None
    assert 0.7 <= statistics.median(found.samples) / found.ceiling <= 1.0


@pytest.mark.parametrize("operation", ["host_to_device", "device_to_host", "bidirectional"])
def test_pinned_copies_stay_below_the_link_and_beat_pageable_ones(
    one_accelerator: Target, tmp_path: Path, operation: str
) -> None:
    rates = {}
    for kind in ("pinned",) if operation == "bidirectional" else ("pinned", "pageable"):
        workload = {"kind": "memory", "operation": operation, "host_memory": kind, "size_bytes": 2**28}
        (found,) = measured(one_accelerator, memory.run, workload, tmp_path)
        assert found.metric == "memory.host_bandwidth" and found.ceiling is not None
        rates[kind] = statistics.median(found.samples)
        assert rates[kind] <= found.ceiling
    assert rates["pinned"] >= 0.3 * found.ceiling
    assert rates["pinned"] >= 0.95 * rates.get("pageable", 0.0)


def test_both_directions_at_once_carry_more_than_one(one_accelerator: Target, tmp_path: Path) -> None:
    rates = {}
    for operation in ("host_to_device", "bidirectional"):
        workload = {"kind": "memory", "operation": operation, "size_bytes": 2**28}
        (found,) = measured(one_accelerator, memory.run, workload, tmp_path)
        rates[operation] = statistics.median(found.samples)
    assert rates["bidirectional"] >= 1.2 * rates["host_to_device"]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("pin", [True, False])
def test_batches_reach_the_device_unchanged(
    one_accelerator: Target, tmp_path: Path, workers: int, pin: bool
) -> None:
    dataset = {"source": "synthetic", "samples": 32, "sample_bytes": 65536}
    workload = {"kind": "dataload", "dataset": dataset, "batch_size": 4, "workers": workers, "pin": pin}
    found = measured(one_accelerator, dataload.run, workload, tmp_path)
    of_all = [m for m in found if m.metric in {dataload_metric(origin, "throughput") for origin in PREFIX}]
    assert len(of_all) == 1 and min(of_all[0].samples) > 0
