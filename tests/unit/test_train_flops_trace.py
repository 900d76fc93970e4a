"""FLOPs by watching what is executed: convolutions, bidirectional attention, an image transformer."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from seatrial.train.flops import AttentionLayer, Matmuls, traced_flops, training_flops


def test_a_trace_counts_convolutions_and_attention_in_full_and_computes_nothing() -> None:
    with torch.device("meta"):
        convolution = torch.nn.Conv2d(3, 8, 3, padding=1)
        images = torch.empty(4, 3, 16, 16, requires_grad=True)
        query = torch.empty(4, 2, 10, 8, requires_grad=True)
    products = 2 * 3 * 8 * 9 * 16 * 16
    count = traced_flops(lambda: convolution(images).square().mean(), samples=4)
    assert (count.forward, count.backward) == (products, 2 * products)
    fused = traced_flops(lambda: F.scaled_dot_product_attention(query, query, query).sum(), samples=4)
    layer = training_flops([], [AttentionLayer(2, 8, 8, causal=False)], 10)
    assert (fused.forward, fused.backward) == (layer.forward, layer.backward)


def test_a_trace_sees_fused_attention_on_a_cpu_too() -> None:
    query = torch.rand(4, 2, 10, 8, requires_grad=True)
    fused = traced_flops(lambda: F.scaled_dot_product_attention(query, query, query).sum(), samples=4)
    layer = training_flops([], [AttentionLayer(2, 8, 8, causal=False)], 10)
    assert (fused.forward, fused.backward) == (layer.forward, layer.backward)


def test_an_image_transformer_is_its_weights_by_tokens_and_its_conditioning_once() -> None:
    diffusers = pytest.importorskip("diffusers")
    with torch.device("meta"):
        model = diffusers.DiTTransformer2DModel(
            num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=4, num_layers=3,
            sample_size=8, patch_size=2, num_embeds_ada_norm=10,
        )  # fmt: skip
        latents, step = torch.empty(2, 4, 8, 8), torch.zeros(2, dtype=torch.long)
        label = torch.zeros(2, dtype=torch.long)
    traced = traced_flops(lambda: model(latents, timestep=step, class_labels=label).sample.mean(), samples=2)
    linear = {n: m.in_features * m.out_features for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    once = sum(w for n, w in linear.items() if ".norm1." in n or n == "proj_out_1")
    # The head's conditioning embeds the step once more; it borrows the first block's embedder.
    once += sum(w for n, w in linear.items() if "transformer_blocks.0.norm1.emb." in n)
    patches = model.pos_embed.proj.weight.numel()
    each = patches + sum(w for n, w in linear.items() if ".norm1." not in n and n != "proj_out_1")
    formula = training_flops(
        [Matmuls(trained=each), Matmuls(trained=once, rows=1)], [AttentionLayer(2, 8, 8, causal=False)] * 3, 16
    )
    assert traced.forward == formula.forward
    # Nobody needs the gradients of the latents, nor of the sines that stand for the step (3 blocks and the head).
    first = next(w for n, w in linear.items() if n.endswith("timestep_embedder.linear_1"))
    assert traced.backward == formula.backward - 2 * patches * 16 - 4 * 2 * first


def test_a_trace_over_no_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="samples is 0"):
        traced_flops(lambda: torch.zeros((), requires_grad=True) * 1, 0)
