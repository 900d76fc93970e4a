"""The decoder of a hybrid_attention workload, and the FLOPs of one sequence."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from seatrial.config.training import HybridAttention
from seatrial.config.training.hybrid_attention import Mixer
from seatrial.train.decoder import CausalAttention, Decoder, Rotary, SwiGLU, initialise
from seatrial.train.flops.count import FlopCount, Matmuls, training_flops
from seatrial.train.flops.mixers import AttentionLayer, GatedLinearAttentionLayer
from seatrial.train.flops.mixers import Mixer as MixerFlops
from seatrial.train.hybrid_attention.mixers import GatedLinearAttention, SlidingWindowAttention


class PreviousToken(nn.Module):
    """Gives every position the embedding of the token before beside its own; before the first stand zeros."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.proj = nn.Linear(2 * hidden, hidden, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, length, hidden] to the same."""
        before = F.pad(x, (0, 0, 1, 0))[:, :-1]
        return self.proj(torch.cat((x, before), dim=-1))


def hybrid_decoder(workload: HybridAttention) -> Decoder:
    """The model with freshly drawn weights, from torch's default generator."""
    model = Decoder(
        vocabulary=workload.vocabulary,
        hidden=workload.hidden_size,
        layers=[
            (_mixer(workload, kind), SwiGLU(workload.hidden_size, workload.intermediate_size))
            for kind in workload.mixers
        ],
        after_embedding=PreviousToken(workload.hidden_size) if workload.previous_token else None,
        activation_checkpointing=workload.activation_checkpointing,
    )
    initialise(model)
    nn.init.normal_(model.embedding.weight, std=workload.embedding_standard_deviation)
    return model


def hybrid_flops(workload: HybridAttention, model: Decoder) -> FlopCount:
    """Model FLOPs of training on one sequence; `model` is not sharded yet.

    Sliding-window layers count their window, recurrent ones their chunked form.
    """
    within = sum(m.weight.numel() for m in model.layers.modules() if isinstance(m, nn.Linear))
    every = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear))
    outside = every - within + model.embedding.weight.numel()
    return training_flops(
        [Matmuls(trained=within), Matmuls(trained=outside, in_layers=False)],
        [_mixer_flops(workload, kind) for kind in workload.mixers],
        workload.retrieval.sequence_length,
        checkpointing="layers" if workload.activation_checkpointing else "none",
        basis=f"{len(workload.mixers)} layers: {', '.join(workload.mixers)}",
    )


def _mixer(workload: HybridAttention, kind: Mixer) -> nn.Module:
    hidden, heads = workload.hidden_size, workload.heads
    if kind == "recurrent":
        return GatedLinearAttention(hidden, heads, workload.recurrent_chunk)
    where = workload.positions.full if kind == "full" else workload.positions.sliding_window
    positions = Rotary(hidden // heads) if where == "rotary" else None
    if kind == "full":
        return CausalAttention(hidden, heads, positions=positions)
    return SlidingWindowAttention(hidden, heads, workload.window, positions)


def _mixer_flops(workload: HybridAttention, kind: Mixer) -> MixerFlops:
    heads, size = workload.heads, workload.hidden_size // workload.heads
    if kind == "recurrent":
        return GatedLinearAttentionLayer(heads, size // 2, size, workload.recurrent_chunk)
    return AttentionLayer(heads, size, size, window=workload.window if kind == "sliding_window" else None)
