"""The mixers against their definitions, written as loops."""

from __future__ import annotations

import pytest
import torch
from hybrid_cases import hybrid
from torch import nn

from seatrial.config.training import HybridAttention
from seatrial.train.hybrid_attention.mixers import (
    GatedLinearAttention,
    SlidingWindowAttention,
    chunked,
    recurrent,
    window_attention,
)
from seatrial.train.hybrid_attention.model import PreviousToken, hybrid_decoder, hybrid_flops


def naive_window(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, window: int) -> torch.Tensor:
    """Position by position: softmax over the last `window` keys, the own among them."""
    outputs = []
    for i in range(q.shape[-2]):
        first = max(0, i - window + 1)
        scores = k[:, :, first : i + 1] @ q[:, :, i, :, None] * q.shape[-1] ** -0.5
        outputs.append((scores.softmax(dim=-2) * v[:, :, first : i + 1]).sum(dim=-2))
    return torch.stack(outputs, dim=-2)


def heads_of(length: int, *sizes: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(length)
    return [torch.randn(2, 3, length, size, generator=generator, dtype=torch.float64) for size in sizes]


@pytest.mark.parametrize("window", [1, 2, 5, 16, 17, 30, 64])
@pytest.mark.parametrize("length", [1, 7, 64, 65, 150])
def test_a_window_sees_its_last_positions_and_no_others(length: int, window: int) -> None:
    q, k, v = heads_of(length, 8, 8, 8)
    torch.testing.assert_close(window_attention(q, k, v, window), naive_window(q, k, v, window))


@pytest.mark.parametrize("length", [40, 200])
def test_no_gradient_comes_from_outside_the_window(length: int) -> None:
    q, k, v = (x.requires_grad_() for x in heads_of(length, 4, 4, 4))
    window_attention(q, k, v, 6)[:, :, -1].sum().backward()
    assert v.grad is not None
    reached = v.grad.abs().sum(dim=(0, 1, 3)) > 0
    assert reached.tolist() == [position >= length - 6 for position in range(length)]


@pytest.mark.parametrize("chunk", [1, 3, 16])
@pytest.mark.parametrize("length", [1, 16, 50])
def test_chunked_gated_linear_attention_equals_its_recurrence(length: int, chunk: int) -> None:
    q, k, v, gate = (x.float() for x in heads_of(length, 4, 4, 6, 4))
    decay = nn.functional.logsigmoid(gate)
    found, wanted = chunked(q, k, v, decay, chunk), recurrent(q, k, v, decay)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_the_strongest_decay_stays_finite_and_forgets() -> None:
    q, k, v, _ = (x.float() for x in heads_of(64, 4, 4, 6, 4))
    decay = torch.full_like(q, -1e4).requires_grad_()
    found = chunked(q, k, v, decay, 16)
    found.sum().backward()
    assert found.isfinite().all() and decay.grad is not None and decay.grad.isfinite().all()
    torch.testing.assert_close(found, recurrent(q, k, v, decay), rtol=1e-3, atol=1e-5)


def test_gradients_of_the_chunked_form_are_those_of_the_recurrence() -> None:
    gradients = []
    for form in (lambda *x: chunked(*x, 16), recurrent):
        inputs = [x.float().requires_grad_() for x in heads_of(40, 4, 4, 6, 4)]
        form(*inputs[:3], nn.functional.logsigmoid(inputs[3])).square().sum().backward()
        gradients.append([x.grad for x in inputs])
    for found, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["full", "sliding_window", "recurrent"])
def test_no_mixer_sees_what_comes_later(kind: str) -> None:
    model = hybrid_decoder(HybridAttention.model_validate(hybrid()).model_copy(update={"pattern": [kind]}))
    tokens = torch.randint(24, (2, 48))
    changed = tokens.clone()
    changed[:, 30:] = (changed[:, 30:] + 1) % 24
    before, after = model(tokens), model(changed)
    torch.testing.assert_close(before[:, :30], after[:, :30])
    assert not torch.allclose(before[:, 30:], after[:, 30:])


def test_the_layers_are_the_pattern_as_often_as_asked() -> None:
    pattern = ["sliding_window", "recurrent", "full"]
    content = hybrid(pattern=pattern, cycles=2, positions={"full": "none"})
    model = hybrid_decoder(HybridAttention.model_validate(content))
    kinds = [type(layer.mixer) for layer in model.layers]
    assert kinds[:2] == [SlidingWindowAttention, GatedLinearAttention] and kinds[:3] == kinds[3:]
    assert model.layers[2].mixer.positions is None and model.layers[0].mixer.positions is not None
    assert model.layers[0].mixer.window == 8


def test_the_previous_token_is_given_unless_switched_off() -> None:
    shift = PreviousToken(2)
    with torch.no_grad():
        shift.proj.weight.copy_(torch.tensor([[0.0, 0, 1, 0], [0, 0, 0, 1]]))  # what stood before, alone
    x = torch.arange(6.0).reshape(1, 3, 2)
    assert shift(x).tolist() == [[[0.0, 0.0], [0.0, 1.0], [2.0, 3.0]]]
    without = hybrid_decoder(HybridAttention.model_validate(hybrid(previous_token=False)))
    assert without.after_embedding is None


def test_flops_count_the_window_and_the_chunk() -> None:
    def mixing(**more: object) -> int:
        workload = HybridAttention.model_validate(hybrid(**more))
        model = hybrid_decoder(workload)
        weights = sum(p.numel() for name, p in model.named_parameters() if p.dim() == 2)
        return hybrid_flops(workload, model).forward - 2 * weights * 48

    pair = 2 * 2 * (8 + 8)  # scores and values of 2 heads of 8 channels
    assert mixing(pattern=["full"]) == pair * 48 * 48
    assert mixing(pattern=["sliding_window", "full"]) == pair * 48 * (8 + 48)
    assert mixing(pattern=["recurrent"]) == 2 * 2 * (4 + 8) * 48 * 16 + 48 * 2 * 4 * 4 * 8
