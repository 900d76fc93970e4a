"""MFU and HFU: against which peak, and when they are refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_weights import llama_weights
from ranks import target

from seatrial.train import utilisation as u
from seatrial.train.flops import AttentionLayer, FlopCount, Matmuls, Undefined, training_flops

LLAMA3_8B = training_flops(
    [
        Matmuls(
            trained=llama_weights(
                layers=32,
                hidden=4096,
                heads=32,
                key_value_heads=8,
                head_dim=128,
                intermediate=14336,
                vocabulary=128256,
            )
        )
    ],
    [AttentionLayer(32, 128, 128)] * 32,
    8192,
    "full",
    "full",
)


def h100(nodes: int = 1, per_node: int = 8, **more: Any) -> Any:
    peaks = {"bfloat16": (989, "data sheet"), "fp8": (1979, "data sheet"), "fp4": (None, "no such mode")}
    content = {
        "nodes": nodes,
        "device": "cuda",
        "accelerators_per_node": per_node,
        "accelerator": {
            "name": "H100",
            "vendor": "nvidia",
            "peak_tflops": {d: {"value": v, "source": s} for d, (v, s) in peaks.items()},
        },
        **more,
    }
    return target(per_node, **content)


@pytest.mark.parametrize(
    ("nodes", "tokens_per_second", "mfu"), [(1, 5762, 0.337), (1, 6667, 0.390), (16, 5762, 0.337)]
)
def test_torchtitans_mfu_is_over_all_accelerators(nodes: int, tokens_per_second: float, mfu: float) -> None:
    rate = tokens_per_second * 8 * nodes / 8192
    found = u.utilisation(LLAMA3_8B, rate, h100(nodes), "bfloat16")
    assert isinstance(found, u.Utilisation)
    assert found.mfu == pytest.approx(mfu, abs=0.0005)
    assert found.hfu == pytest.approx(found.mfu * 4 / 3)


def test_the_basis_names_the_peak_its_source_and_the_convention() -> None:
    found = u.utilisation(LLAMA3_8B, 1.0, h100(), "bfloat16")
    assert isinstance(found, u.Utilisation)
    assert found.basis == ("dense bfloat16 peak of H100: data sheet; attention convention full, recomputed: full")


@pytest.mark.parametrize(
    ("flops", "dtypes", "on", "reason"),
    [
        (LLAMA3_8B, {"fp8", "bfloat16"}, h100(), r"more than one dtype \(bfloat16 and fp8\)"),
        (LLAMA3_8B, "float16", h100(), "no dense float16 peak is declared for H100$"),
        (LLAMA3_8B, "fp4", h100(), r"no dense fp4 peak is declared for H100 \(no such mode\)"),
        (LLAMA3_8B, "float32", target(2), "runs on CPUs, for which no peak is declared"),
        (LLAMA3_8B, "bfloat16", h100(device="cpu"), "runs on CPUs, for which no peak is declared"),
        (Undefined("an unknown model"), "bfloat16", h100(), "an unknown model"),
        (None, "bfloat16", h100(), "does not state its FLOPs"),
    ],
    ids=["mixed", "not declared", "not published", "cpu", "accelerators not used", "uncountable", "not stated"],
)
def test_mfu_is_refused_in_words_where_it_is_not_defined(flops: Any, dtypes: Any, on: Any, reason: str) -> None:
    found = u.utilisation(flops, 1.0, on, dtypes)
    assert isinstance(found, Undefined)
    assert re.search(reason, found.reason)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_rate_that_was_not_measured_is_no_utilisation(rate: float) -> None:
    with pytest.raises(ValueError, match="samples_per_second"):
        u.utilisation(LLAMA3_8B, rate, h100(), "bfloat16")


@given(rate=st.floats(1e-3, 1e6), nodes=st.integers(1, 64))
def test_mfu_is_the_rate_per_accelerator_over_its_peak(rate: float, nodes: int) -> None:
    on = h100(nodes)
    found = u.utilisation(LLAMA3_8B, rate, on, "bfloat16")
    assert isinstance(found, u.Utilisation)
    assert found.mfu == pytest.approx(u.model_tflops_per_second(LLAMA3_8B, rate, on) / 989)


def test_measurements_hold_what_is_defined_against_its_ceiling() -> None:
    found, reason = u.utilisation_measurements(LLAMA3_8B, [5.0, 6.0], h100(), "bfloat16")
    assert reason is None
    assert {m.metric: len(m.samples) for m in found} == {
        "train.model_flops_per_second": 2,
        "train.mfu": 2,
        "train.hfu": 2,
    }
    achieved, mfu, _ = found
    assert (achieved.ceiling, achieved.unit, mfu.ceiling) == (989, "TFLOP/s", 1.0)
    assert mfu.ceiling_basis is not None and "attention convention full" in mfu.ceiling_basis
    assert [a / 989 for a in achieved.samples] == pytest.approx(mfu.samples)


def test_a_cpu_has_flops_per_rank_but_no_utilisation() -> None:
    flops = FlopCount(forward=10**12, backward=2 * 10**12)
    found, reason = u.utilisation_measurements(flops, [4.0], target(2), "float32")
    assert [(m.metric, m.samples, m.ceiling) for m in found] == [("train.model_flops_per_second", [6.0], None)]
    assert reason is not None and "CPUs" in reason


def test_an_uncountable_model_has_no_measurements_but_a_reason() -> None:
    assert u.utilisation_measurements(Undefined("why"), [4.0], h100(), "bfloat16") == ([], "why")
    with pytest.raises(ValueError, match="no rate"):
        u.utilisation_measurements(LLAMA3_8B, [], h100(), "bfloat16")
