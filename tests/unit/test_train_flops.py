"""FLOPs from shapes: the published figures, the conventions, and what must hold for every shape."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_weights import llama_weights

from seatrial.train.flops import (
    AttentionLayer,
    FlopCount,
    GatedLinearAttentionLayer,
    Matmuls,
    RoutedExperts,
    training_flops,
)

LLAMA3_8B = llama_weights(
    layers=32, hidden=4096, heads=32, key_value_heads=8, head_dim=128, intermediate=14336, vocabulary=128256
)
LLAMA3_70B = llama_weights(
    layers=80, hidden=8192, heads=64, key_value_heads=8, head_dim=128, intermediate=28672, vocabulary=128256
)
sizes = st.integers(1, 5000)
conventions = st.sampled_from(["full", "causal"])


def tflops_per_second(count: FlopCount, tokens: int, tokens_per_second: float) -> float:
    return count.model / tokens * tokens_per_second / 1e12


def test_llama3_weights_in_products_are_all_but_the_input_embedding_and_the_norms() -> None:
    assert LLAMA3_8B == 8_030_261_248 - 128256 * 4096 - (2 * 32 + 1) * 4096
    assert LLAMA3_70B == 70_553_706_496 - 128256 * 8192 - (2 * 80 + 1) * 8192


@pytest.mark.parametrize(("tokens_per_second", "mfu"), [(5762, 33.7), (6667, 39.0)])
def test_torchtitan_llama3_8b_reaches_the_published_mfu(tokens_per_second: float, mfu: float) -> None:
    layers = [AttentionLayer(32, 128, 128)] * 32
    count = training_flops([Matmuls(trained=LLAMA3_8B)], layers, 8192, "full")
    assert count.model == (6 * LLAMA3_8B + 12 * 32 * 4096 * 8192) * 8192
    assert round(100 * tflops_per_second(count, 8192, tokens_per_second) / 989, 1) == mfu


@pytest.mark.parametrize(
    ("weights", "causal", "full"),
    [(Matmuls(frozen=LLAMA3_70B), 179, 189), (Matmuls(trained=LLAMA3_70B), 264, 273)],
    ids=["4N", "6N"],
)
def test_automodel_70b_lora_is_near_its_reported_176_tflops_with_4n_only(
    weights: Matmuls, causal: int, full: int
) -> None:
    layers = [AttentionLayer(64, 128, 128)] * 80
    rates = [
        tflops_per_second(training_flops([weights], layers, 4096, convention), 4096, 608.42)
        for convention in ("causal", "full")
    ]
    assert [round(rate) for rate in rates] == [causal, full]


def test_deepseek_v3_meets_37_of_671_billion_weights() -> None:
    expert = 3 * 7168 * 2048
    layer = RoutedExperts(expert=expert, experts=256, top_k=8, router=7168 * 256, shared=expert)
    latent = 7168 * 1536 + 1536 * 128 * 192 + 7168 * 576 + 512 * 128 * 256 + 128 * 128 * 7168
    beside = 61 * latent + 3 * 3 * 7168 * 18432 + 7168 * 129280
    assert round((58 * layer.active + beside) / 1e9) == 37
    assert round((58 * layer.total + beside + 7168 * 129280) / 1e9) == 671


def test_full_attention_does_16_times_the_scores_of_a_window_of_128_at_4096() -> None:
    full, windowed = AttentionLayer(8, 64, 64), AttentionLayer(8, 64, 64, window=128)
    assert full.forward(4096, "causal") / windowed.forward(4096, "causal") == pytest.approx(16, rel=0.02)


def test_mean_context_is_counted_key_by_key() -> None:
    layer = AttentionLayer(1, 1, 1, window=3)
    assert layer.pairs(5, "causal") == 1 + 2 + 3 + 3 + 3
    assert layer.pairs(5, "full") == 5 * 3
    assert AttentionLayer(1, 1, 1).pairs(5, "causal") == 15  # a mean context of (S + 1) / 2
    assert AttentionLayer(2, 3, 5).forward(4, "full") == 4 * 4 * 2 * 2 * (3 + 5)


@given(tokens=sizes, window=sizes, wider=sizes, convention=conventions)
def test_a_wider_window_never_costs_less_and_one_past_the_sequence_is_no_window(
    tokens: int, window: int, wider: int, convention: str
) -> None:
    def cost(window: int | None) -> int:
        return AttentionLayer(4, 8, 8, window).forward(tokens, convention)  # type: ignore[arg-type]

    assert cost(window) <= cost(window + wider) <= cost(None)
    assert cost(tokens + window - 1) == cost(None)
    assert (cost(window) < cost(None)) == (window < tokens)


@given(tokens=sizes, window=st.none() | sizes)
def test_causal_never_counts_more_than_full_and_images_have_no_halving(tokens: int, window: int | None) -> None:
    layer = AttentionLayer(4, 8, 8, window)
    assert layer.forward(tokens, "causal") <= layer.forward(tokens, "full")
    image = AttentionLayer(4, 8, 8, causal=False)
    assert image.forward(tokens, "causal") == image.forward(tokens, "full") == 4 * 32 * tokens**2


@given(weights=sizes, adapters=sizes, tokens=sizes)
def test_lora_counts_4n_and_6_n_lora_per_token(weights: int, adapters: int, tokens: int) -> None:
    assert training_flops([Matmuls(frozen=weights)], [], tokens).model == 4 * weights * tokens
    lora = training_flops([Matmuls(frozen=weights, trained=adapters)], [], tokens)
    assert lora.model == (4 * weights + 6 * adapters) * tokens
    assert training_flops([Matmuls(trained=weights)], [], tokens).model == 6 * weights * tokens


@given(weights=sizes, tokens=sizes, convention=conventions)
def test_dense_training_with_full_checkpointing_has_an_hfu_of_4_3_of_its_mfu(
    weights: int, tokens: int, convention: str
) -> None:
    parts = ([Matmuls(trained=weights)], [AttentionLayer(2, 4, 4)], tokens, convention)
    count = training_flops(*parts, checkpointing="full")  # type: ignore[arg-type]
    assert count.model == 3 * count.forward
    assert 3 * count.hardware == 4 * count.model
    plain = training_flops(*parts)  # type: ignore[arg-type]
    assert plain.hardware == plain.model == count.model


def test_checkpointed_layers_leave_out_the_head_and_selective_recomputes_attention_alone() -> None:
    layer = AttentionLayer(2, 4, 4)
    weights = [Matmuls(trained=100), Matmuls(trained=30, in_layers=False)]
    recomputed = {
        how: training_flops(weights, [layer], 10, checkpointing=how).recompute  # type: ignore[arg-type]
        for how in ("none", "attention", "layers", "full")
    }
    attention = layer.forward(10, "full")
    assert recomputed == {
        "none": 0,
        "attention": attention,
        "layers": attention + 2000,
        "full": attention + 2600,
    }


def test_what_lies_before_everything_trained_has_no_backward_pass_and_is_not_recomputed() -> None:
    layer = AttentionLayer(2, 4, 4)
    count = training_flops(
        [Matmuls(forward_only=7, frozen=3)], [layer], 10, checkpointing="full", forward_only_mixers=[layer]
    )
    attention = layer.forward(10, "full")
    assert count.forward == 2 * 10 * 10 + 2 * attention
    assert count.backward == 2 * 3 * 10 + 2 * attention
    assert count.recompute == 2 * 3 * 10 + attention


def test_an_image_is_three_passes_over_its_tokens_with_conditioning_once() -> None:
    tokens = 16 * 32 + 77  # of 256 x 512 pixels, an autoencoder that halves three times and patches of 2; of a text
    layers, width, weights, conditioning = 19, 64, 1000, 500
    count = training_flops(
        [Matmuls(trained=weights), Matmuls(trained=conditioning, rows=1)],
        [AttentionLayer(4, width // 4, width // 4, causal=False)] * layers,
        tokens,
        "causal",
        frozen_forward=2 * 999 * 77,
    )
    assert count.model == 3 * (2 * weights * tokens + 4 * layers * width * tokens**2) + 6 * conditioning
    assert count.hardware == count.model + 2 * 999 * 77


def test_gated_linear_attention_is_linear_in_tokens_and_recurrent_with_chunks_of_one() -> None:
    recurrent = GatedLinearAttentionLayer(heads=2, head_dim_k=4, head_dim_v=8, chunk=1)
    # per token and head: its own key, the state of 4 x 8 read once and added to once
    assert recurrent.forward(10, "causal") == recurrent.forward(10, "full") == 10 * 2 * (2 * (4 + 8) + 4 * 4 * 8)
    chunked = GatedLinearAttentionLayer(2, 4, 8, chunk=16)
    assert chunked.forward(64, "full") == 2 * chunked.forward(32, "full")
    inside = AttentionLayer(2, 4, 8)
    state = 40 * 2 * 4 * 4 * 8
    assert chunked.forward(40, "causal") == 2 * inside.forward(16, "causal") + inside.forward(8, "causal") + state


@given(tokens=sizes, chunk=sizes)
def test_a_chunk_as_long_as_the_sequence_costs_attention_and_the_state(tokens: int, chunk: int) -> None:
    layer = GatedLinearAttentionLayer(1, 2, 2, chunk)
    attention = AttentionLayer(1, 2, 2).forward(tokens, "causal")
    state = tokens * 4 * 2 * 2
    assert layer.forward(tokens, "causal") <= attention + state
    assert (layer.forward(tokens, "causal") == attention + state) == (chunk >= tokens)


def test_experts_count_what_a_token_meets() -> None:
    experts = RoutedExperts(expert=100, experts=8, top_k=2, router=32, shared=7)
    assert (experts.active, experts.total) == (239, 839)
    with pytest.raises(ValueError, match=r"top_k is 9; allowed: 1 to 8"):
        RoutedExperts(expert=1, experts=8, top_k=9)


def test_shapes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="heads is 0"):
        AttentionLayer(0, 1, 1)
    with pytest.raises(ValueError, match="window is 0"):
        AttentionLayer(1, 1, 1, window=0)
    with pytest.raises(ValueError, match="causal attention only"):
        AttentionLayer(1, 1, 1, window=3, causal=False)
    with pytest.raises(ValueError, match="never negative"):
        Matmuls(trained=-1)
    with pytest.raises(ValueError, match="tokens is 0"):
        training_flops([Matmuls(trained=1)], [], 0)


def test_the_basis_names_convention_and_recomputation() -> None:
    count = training_flops([Matmuls(trained=1)], [], 1, "causal", "layers", basis="by hand")
    assert count.basis == "by hand, attention convention causal, recomputed: layers"


def test_formulas_need_no_torch() -> None:
    program = "import sys, seatrial.train.flops; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"
