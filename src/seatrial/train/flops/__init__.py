"""Floating-point operations of a training step: formulas from shapes, counts from models. No torch at import.

A product of [m, k] and [k, n] counts 2mnk. Only matrix products count: no norms, activations, softmax, rotary
angles, look-ups or optimiser. Everything is per sample and exact (whole numbers).
"""

from seatrial.train.flops.causal_lm import causal_lm_flops
from seatrial.train.flops.count import (
    Checkpointing,
    FlopCount,
    Matmuls,
    RoutedExperts,
    Undefined,
    training_flops,
)
from seatrial.train.flops.mixers import AttentionLayer, Convention, GatedLinearAttentionLayer, Mixer
from seatrial.train.flops.parameters import (
    ModelParameters,
    UncountableError,
    count_matmul_parameters,
)
from seatrial.train.flops.trace import traced_flops

__all__ = [
    "AttentionLayer",
    "Checkpointing",
    "Convention",
    "FlopCount",
    "GatedLinearAttentionLayer",
    "Matmuls",
    "Mixer",
    "ModelParameters",
    "RoutedExperts",
    "UncountableError",
    "Undefined",
    "causal_lm_flops",
    "count_matmul_parameters",
    "traced_flops",
    "training_flops",
]
