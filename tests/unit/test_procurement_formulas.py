"""The formulas of a procurement against published figures: weights, FLOPs, bytes, checkpoints, times."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from procurement_cases import (
    DEEPSEEK_V3,
    LLAMA_3_8B,
    LLAMA_3_70B,
    MIXTURE,
    QWEN_3_235B,
    model,
    training,
)

from seatrial.analysis.decisions.procurement.shapes import step_flops, weights, window_of
from seatrial.analysis.decisions.procurement.step import (
    ALLTOALL,
    HIDDEN,
    HOP,
    KERNELS,
    LINK,
    MEMORY,
    NETWORK,
    NOISE,
    PRODUCTS,
    collective_seconds,
    exchange_seconds,
    greatest_of,
    missing,
    products_seconds,
    step_seconds,
    work,
)
from seatrial.analysis.decisions.procurement.traffic import Collective, exchange, remote_nodes, traffic, volume
from seatrial.config.procurement import Hybrid

MEGA, GIGA, TERA = 1e6, 1e9, 1e12


@pytest.mark.parametrize(
    ("shape", "total", "active"),
    [
        (DEEPSEEK_V3, 671e9, 37e9),
        (LLAMA_3_70B, 70.6e9, None),
        (LLAMA_3_8B, 8.03e9, None),
        (QWEN_3_235B, 235e9, 22e9),
    ],
)
def test_weights_are_the_published_ones(shape: dict[str, Any], total: float, active: float | None) -> None:
    """DeepSeek-V3 671B of which 37B active, Llama 3 70.6B and 8.03B, Qwen3 235B of which 22B active."""
    found = weights(model(shape))
    assert found.total == pytest.approx(total, rel=2e-3)
    assert active is None or found.active == pytest.approx(active, rel=0.025)


@pytest.mark.parametrize(
    ("shape", "length", "tflops", "tokens_per_second"),
    [
        (DEEPSEEK_V3, 4096, 216, 865),  # AutoModel, 1024 H100
        (DEEPSEEK_V3, 4096, 1003, 4018),  # Megatron-Bridge 25.11, GB200
        (DEEPSEEK_V3, 4096, 1088, 4357),  # the same, GB300
        (LLAMA_3_70B, 8192, 719, 1602),  # the same, H100 fp8
        (QWEN_3_235B, 4096, 233, 1575),  # the same, H100 fp8
    ],
)
def test_flops_of_a_token_are_those_behind_published_rates(
    shape: dict[str, Any], length: int, tflops: float, tokens_per_second: float
) -> None:
    """Published TFLOPS of an accelerator over its published tokens per second, within half a per cent."""
    flops = step_flops(training(shape, length, length)).model / length
    assert flops == pytest.approx(tflops * TERA / tokens_per_second, rel=0.005)


@pytest.mark.parametrize(
    ("shape", "length", "achievable", "published"),
    [
        (LLAMA_3_8B, 8192, 794.5, 6667),  # torchtitan, H100, compiled
        (DEEPSEEK_V3, 4096, 794.5, 1002),  # AutoModel, 256 H100
        (LLAMA_3_70B, 8192, 1403, 1602),  # Megatron-Bridge, H100 fp8
        (LLAMA_3_70B, 8192, 3616, 4312),  # the same, GB200 fp8
    ],
)
def test_no_published_training_is_faster_than_its_roofline(
    shape: dict[str, Any], length: int, achievable: float, published: float
) -> None:
    alone = work(training(shape, length, length), 1, 1, 1)
    seconds = products_seconds(alone, {PRODUCTS: np.array([achievable])})
    assert 1.0 < (length / seconds[0]) / published < 4.0


def test_recomputing_the_layers_adds_a_forward_pass_of_them() -> None:
    plain = step_flops(training(LLAMA_3_8B))
    again = step_flops(training(LLAMA_3_8B, layout={"recompute": "full"}))
    head = 2 * weights(model(LLAMA_3_8B)).head * 4096
    assert again.hardware - plain.hardware == plain.forward - head


def test_rows_of_one_layer_are_235_mb_of_which_231_leave_the_rank() -> None:
    """T = 4096, h = 7168, top-8 in fp8: T k h = 235 MB, (1 - 1/64) of it to other ranks (DeepSeek-V3's EP64)."""
    rows = volume(4096, 8, 7168, 1)
    assert rows / MEGA == pytest.approx(235, abs=0.5)
    assert rows * 63 / 64 / MEGA == pytest.approx(231, abs=0.5)
    one_layer = training(
        {**DEEPSEEK_V3, "layers": 4}, tokens=4096 * 64, layout={"experts": 64, "dispatch_bytes": 1}
    )
    sent = exchange(one_layer, 64, 8)
    assert sent.wire == pytest.approx(rows * 63 / 64 * (1 + 2 + 2 * 2))
    assert sent.across == pytest.approx(rows * 56 / 64 * 7) and sent.messages == 4
    again = one_layer.layout.model_copy(update={"recompute": "full"})
    recomputed = exchange(one_layer.model_copy(update={"layout": again}), 64, 8)
    assert recomputed.wire / sent.wire == pytest.approx(10 / 7)


def test_a_router_limited_to_4_nodes_sends_103_and_206_mb_in_2_and_4_ms() -> None:
    """3.5 remote nodes of 8: 103 MB in fp8 and 206 MB in bfloat16, 2.1 + 4.2 ms at 49 GB/s."""
    assert remote_nodes((8,) * 8, 256, 8, 4) == pytest.approx(3.5)
    assert remote_nodes((8,) * 8, 256, 8) == pytest.approx(5.295 * 7 / 8, rel=1e-3)
    layout = {"experts": 64, "dispatch_bytes": 1, "send_once": "node", "most_nodes": 4}
    sent = exchange(training({**DEEPSEEK_V3, "layers": 4}, tokens=4096 * 64, layout=layout), 64, 8)
    forward = sent.across * 3 / 7
    assert forward / MEGA == pytest.approx(103 + 206, abs=1)
    values = {ALLTOALL: np.array([49.0]), LINK: np.array([450.0])}
    assert exchange_seconds(sent, values)[0] * 3 / 7 == pytest.approx(2.1e-3 + 4.2e-3, rel=0.005)


@pytest.mark.parametrize(
    ("ranks", "domain", "across"),
    [
        (64, 8, 56 / 64),  # 8 nodes of 8
        (72, 8, 64 / 72),  # 9 nodes
        (128, 8, 120 / 128),
        (256, 8, 248 / 256),
        (64, 72, 0.0),  # one rack of 72, 8 of them left to others
        (72, 72, 0.0),
        (128, 72, 64 / 128),  # two racks with 64 each, not 72 and 56
        (256, 72, 192 / 256),  # four racks
    ],
)
def test_of_an_even_all_to_all_that_share_leaves_a_node_or_rack(ranks: int, domain: int, across: float) -> None:
    """T k h b (1 - 1/n) leaves the rank, (n - g) / n of T k h b the domain of g ranks: V3's EP64 and beyond."""
    plan = training({**DEEPSEEK_V3, "layers": 4}, tokens=4096 * 2304, layout={"experts": ranks})
    sent, rows = exchange(plan, 2304, domain), volume(4096, 8, 7168, 2 + 2 + 2 * 2)
    assert sent.across == pytest.approx(across * rows)
    assert sent.wire == pytest.approx(rows * (ranks - 1) / ranks)


def test_tensor_parallel_ranks_spread_experts_over_as_many_times_the_nodes() -> None:
    """Of a group of 2 each rank has a half of the tokens, and its 8 peers stand on 2 nodes of 8."""
    alone, halves = (training(MIXTURE, layout={"experts": 8, "tensor": n}) for n in (1, 2))
    assert exchange(alone, 256, 8).across == 0
    sent = exchange(halves, 256, 8)
    assert sent.across / sent.wire == pytest.approx(4 / 7)


@pytest.mark.parametrize(("nodes", "experts"), [(8, 256), (9, 64), (16, 64), (32, 256)])
def test_a_token_reaches_as_many_nodes_as_are_counted_of_drawn_choices(nodes: int, experts: int) -> None:
    """8 different experts of each token, drawn evenly; of 9 nodes each draws from where its 7.1 experts begin."""
    tokens = 4000
    chosen = np.argsort(np.random.default_rng(1).random((tokens, experts)), axis=1)[:, :8]
    at = chosen * nodes // experts
    others = np.array([len(set(row) - {own}) for own, row in zip(np.arange(tokens) % nodes, at, strict=True)])
    found = remote_nodes((8,) * nodes, experts, 8)
    assert found == pytest.approx(others.mean(), abs=4 * others.std() / math.sqrt(tokens))


def test_ranks_beyond_the_number_of_experts_hold_copies_of_them() -> None:
    """64 experts on 128 ranks: as many weights on each as on 64, and their gradients go round twice as few."""
    few, many = (work(training(MIXTURE, layout={"experts": n}), 256, 32, 8) for n in (64, 128))
    assert many.read_bytes == few.read_bytes
    sizes = [sum(c.bus_bytes for c in done.traffic.behind) for done in (few, many)]
    assert sizes[0] == sizes[1]


def test_a_collective_over_racks_that_it_does_not_fill_has_as_many_ranks_in_each() -> None:
    """256 ranks over racks of 72: 64 in each of 4, nic (n - 1) / (k - 1) = 85 times one port."""
    one = Collective("all_gather", 1.0, 256, 72, 1)
    assert one.shares == (64,) * 4 and one.factors[0] == pytest.approx(85)


def test_experts_within_one_domain_never_take_the_network_and_scattered_ones_nearly_always() -> None:
    plan = training(MIXTURE, layout={"experts": 8})
    assert exchange(plan, 256, 8).across == 0
    assert exchange(plan, 256, 72).inside == exchange(plan, 256, 8).wire
    scattered = training(MIXTURE, layout={"experts": 8, "placement": "scattered"})
    spread = exchange(scattered, 256, 8)
    assert spread.across / spread.wire == pytest.approx(248 / 255)


def test_an_all_reduce_of_382_gb_per_second_takes_37_of_every_port() -> None:
    """4 x 8 B200 over EFAv4: 382 GB/s of bus bandwidth are 37 GB/s on the wire; 2 nodes 750 GB/s at 50."""
    network, _ = Collective("all_reduce", 1.0, 32, 8, 1).factors
    assert network is not None and 382 / network == pytest.approx(37.0, abs=0.05)
    across, _ = Collective("all_reduce", 1.0, 16, 8, 1).factors
    assert across is not None and 50 * across == pytest.approx(750)


@pytest.mark.parametrize(("link", "bus"), [(900.0, 750.0), (300.0, 300.0 * 8 / 7 * 15 / 16)])
def test_a_collective_over_two_nodes_goes_at_the_slower_of_network_and_links(link: float, bus: float) -> None:
    """2 x 8 accelerators with 50 GB/s each between nodes: 750 GB/s, where the links inside carry that."""
    one = Collective("all_reduce", 1e9, 16, 8, 1)
    values = {NETWORK: np.array([50.0]), LINK: np.array([link])}
    assert collective_seconds(one, values)[0] == pytest.approx(2 * 15 / 16 / bus)


def test_a_collective_takes_a_latency_for_every_message_of_its_tree_and_the_ring_s_bytes() -> None:
    one = Collective("all_reduce", 1e9, 8, 8, messages=10)
    values = {LINK: np.array([450.0]), HOP: np.array([5e-6])}
    assert collective_seconds(one, values)[0] == pytest.approx(2 * 7 / 8 / 450 + 10 * 6 * 5e-6)


def test_what_a_step_sends_is_the_sum_of_its_collectives() -> None:
    """FSDP: weights gathered twice, gradients scattered once; those of experts only among ranks with the same."""
    dense = traffic(training(LLAMA_3_8B), 64, 8)
    total = weights(model(LLAMA_3_8B)).total
    assert sum(one.size for one in dense.behind) == pytest.approx(3 * 2 * total)
    assert dense.across == pytest.approx(3 * 2 * total * (8 - 1) / 64)
    replicated = traffic(training(LLAMA_3_8B, layout={"data_parallel": "replicated"}), 64, 8)
    assert [one.operation for one in replicated.behind] == ["all_reduce"]
    mixture = traffic(training(MIXTURE, layout={"experts": 64}), 64, 8)
    found = weights(model(MIXTURE))
    assert sum(one.size for one in mixture.behind) == pytest.approx(3 * 2 * (found.total - found.routed))


def test_tensor_parallel_ranks_wait_four_times_a_layer_and_pipelines_idle_p_minus_1_over_m() -> None:
    layout = {"tensor": 8, "pipeline": 4, "microbatches": 12, "data_parallel": "replicated"}
    plan = training(LLAMA_3_70B, 8192, 8192 * 96, layout=layout)
    done = work(plan, 64, 8, 8)
    (waited,) = done.traffic.between
    tokens = 8192 * 96 * 4 * 8 / 64
    assert waited.size == pytest.approx(4 * 20 * tokens * 8192 * 2) and waited.groups == 1
    assert done.bubble == pytest.approx(3 / 12)
    values = {PRODUCTS: np.array([800.0]), HIDDEN: np.array([1.0]), LINK: np.array([1e9]), NETWORK: np.array([1e9])}
    assert step_seconds(done, values)[0] == pytest.approx(products_seconds(done, values)[0] * 1.25, rel=1e-6)
    assert done.state_parameters == pytest.approx(weights(plan.model).total / 32)


def test_the_middle_is_crossed_by_groups_of_experts_that_lie_across_it() -> None:
    one_group = traffic(training(MIXTURE, layout={"experts": 64}), 64, 8)
    assert one_group.exchange is not None
    two_groups = traffic(training(MIXTURE, layout={"experts": 32}), 64, 8)
    crossing = 32 * one_group.exchange.to_half
    assert one_group.crossing > crossing and two_groups.crossing < crossing / 2
    scattered = traffic(training(MIXTURE, layout={"experts": 32, "placement": "scattered"}), 64, 8)
    assert scattered.crossing > crossing


@pytest.mark.parametrize(("count", "expected"), [(1, 0.0), (2, 0.564), (10, 1.539), (64, 2.344), (1000, 3.241)])
def test_the_slowest_of_many_nodes_is_the_expected_greatest(count: int, expected: float) -> None:
    """Expected greatest of normal samples (Harter 1961): 0.564 of 2, 1.539 of 10, 3.241 of 1000."""
    assert greatest_of(count) == pytest.approx(expected, rel=0.05, abs=1e-12)


def test_a_hybrid_keeps_every_nth_layer_full_and_has_fewer_flops() -> None:
    hybrid = Hybrid(window=128, full_every=4)
    assert [window_of(layer, hybrid) for layer in range(8)] == [128, 128, 128, None] * 2
    plan = training(MIXTURE, 32768, 32768)
    assert step_flops(plan, hybrid).hardware < step_flops(plan).hardware


RATES = {PRODUCTS: 800.0, KERNELS: 0.5, MEMORY: 3000.0, NETWORK: 50.0, ALLTOALL: 50.0, LINK: 450.0, HIDDEN: 0.8}
PLAN = training(MIXTURE, layout={"experts": 64})


@settings(deadline=None, max_examples=25)
@given(st.sampled_from([PRODUCTS, KERNELS, MEMORY, NETWORK, ALLTOALL, LINK, HIDDEN]), st.floats(0.1, 1.0))
def test_nothing_slower_makes_a_step_shorter(name: str, factor: float) -> None:
    done = work(PLAN, 256, 32, 8)
    values = {key: np.array([value, value * (factor if key == name else 1)]) for key, value in RATES.items()}
    fast, slow = step_seconds(done, values | {NOISE: np.array([0.01, 0.01])})
    assert slow >= fast * (1 - 1e-12)


def test_more_accelerators_take_less_time_for_products_and_more_variation_more() -> None:
    values = {key: np.array([value]) for key, value in RATES.items()}
    times = [products_seconds(work(PLAN, n, n // 8, 8), values)[0] for n in (64, 128, 256)]
    assert all(b == pytest.approx(a / 2) for a, b in pairwise(times))
    done = work(PLAN, 256, 32, 8)
    noisy = step_seconds(done, values | {NOISE: np.array([0.05])})[0] / step_seconds(done, values)[0]
    assert noisy == pytest.approx(1 + 0.05 * greatest_of(32))


def test_a_step_names_the_rates_that_it_cannot_do_without() -> None:
    done = work(PLAN, 256, 32, 8)
    assert missing(done, RATES) == []
    assert missing(done, {HIDDEN: 1.0, LINK: 1.0}) == [PRODUCTS, NETWORK, ALLTOALL]
    alone = work(training(LLAMA_3_8B), 8, 1, 8)
    assert missing(alone, {PRODUCTS: 1.0}) == [LINK]
