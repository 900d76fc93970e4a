"""The decoder with routed experts: built, drawn, shared between ranks; and what a sample costs."""

from __future__ import annotations

from seatrial.config.training.moe import Moe
from seatrial.train.decoder import CausalAttention, Decoder, Rotary, initialise
from seatrial.train.flops.count import FlopCount, Matmuls, RoutedExperts, training_flops
from seatrial.train.flops.mixers import AttentionLayer
from seatrial.train.layout import Layout
from seatrial.train.moe.layer import RoutedFeedForward
from seatrial.train.moe.statistics import RoutingStatistics
from seatrial.train.sharding import shard
from seatrial.train.tensor_parallel import parallelise

EXPERT_SEEDS = 1 << 40
"""Experts are drawn from seeds beyond those of everything else."""


def moe_decoder(
    workload: Moe, layout: Layout, statistics: RoutingStatistics, seed: int
) -> tuple[Decoder, list[RoutedFeedForward]]:
    """The model on its device with this rank's share of it, and its routed layers in order.

    Dense weights are drawn from torch's default generator, which must be at the same place on all ranks.
    """
    with layout.device:
        mixers = [_attention(workload) for _ in range(workload.layers)]
        routed = [RoutedFeedForward(workload, n, layout, statistics) for n in range(workload.layers)]
        model = Decoder(
            workload.vocabulary,
            workload.hidden_size,
            list(zip(mixers, routed, strict=True)),
            activation_checkpointing=workload.activation_checkpointing,
        )
    initialise(model)
    for layer in routed:
        first = EXPERT_SEEDS + (seed * workload.layers + layer.number) * workload.experts
        layer.experts.initialise(first, (2 * workload.layers) ** -0.5)
    for mixer, layer in zip(mixers, routed, strict=True):
        parallelise(mixer, ["q_proj", "k_proj", "v_proj"], ["o_proj"], layout)
        if layer.shared is not None:
            parallelise(layer.shared, ["gate_proj", "up_proj"], ["down_proj"], layout)
    shard(model, model.layers, layout)
    return model, routed


def moe_flops(workload: Moe) -> FlopCount:
    """FLOPs of one sequence; routed experts count what a token meets, k experts and the shared ones."""
    hidden, head = workload.hidden_size, workload.head_size
    expert = 3 * hidden * workload.expert_size
    routed = RoutedExperts(
        expert, workload.experts, workload.top_k, hidden * workload.experts, workload.shared_experts * expert
    )
    attention = hidden * head * 2 * (workload.heads + workload.key_value_heads)
    layers = workload.layers * (attention + routed.active)
    idle = workload.layers * (routed.total - routed.active)
    return training_flops(
        [Matmuls(trained=layers), Matmuls(trained=hidden * workload.vocabulary, in_layers=False)],
        [AttentionLayer(workload.heads, head, head)] * workload.layers,
        workload.sequence_length,
        checkpointing="layers" if workload.activation_checkpointing else "none",
        basis=f"6 x {layers + hidden * workload.vocabulary:,} weights that a token meets ({idle:,} it does not)",
    )


def _attention(workload: Moe) -> CausalAttention:
    return CausalAttention(
        workload.hidden_size,
        workload.heads,
        workload.key_value_heads,
        workload.head_size,
        Rotary(workload.head_size),
    )
