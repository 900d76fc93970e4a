"""The decoder that moe and hybrid_attention share: causal, position-aware, tied, and the same when recomputed."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seatrial.train.decoder import (
    CausalAttention,
    Decoder,
    Rotary,
    SwiGLU,
    initialise,
    recomputing,
)
from seatrial.train.prediction import NOT_PREDICTED, sequence_losses, token_losses


def decoder(layers: int = 2, checkpointing: bool = False, feed_forward: nn.Module | None = None) -> Decoder:
    torch.manual_seed(7)
    parts = [
        (CausalAttention(16, 4, 2, positions=Rotary(4)), feed_forward or SwiGLU(16, 24)) for _ in range(layers)
    ]
    model = Decoder(31, 16, parts, activation_checkpointing=checkpointing)
    initialise(model)
    return model


def tokens(batch: int = 3, length: int = 11) -> torch.Tensor:
    return torch.randint(0, 31, (batch, length), generator=torch.Generator().manual_seed(1))


def mean_loss(model: nn.Module) -> torch.Tensor:
    windows = tokens()
    return token_losses(model(windows[:, :-1]), windows[:, 1:]).mean()


def test_no_token_sees_a_later_one() -> None:
    model, seen = decoder(), tokens()
    changed = seen.clone()
    changed[:, 6] = (changed[:, 6] + 1) % 31
    before, after = model(seen), model(changed)
    torch.testing.assert_close(before[:, :6], after[:, :6])
    assert (before[:, 6:] - after[:, 6:]).abs().amax(-1).min() > 1e-4


def test_scores_depend_on_the_distance_between_positions_alone() -> None:
    rotary = Rotary(8)
    q, k = torch.randn(2, 1, 1, 1, 8, generator=torch.Generator().manual_seed(0)).expand(2, 1, 1, 9, 8)
    scores = (rotary(q) @ rotary(k).transpose(-1, -2))[0, 0]
    for distance in range(8):
        diagonal = scores.diagonal(-distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal))
    assert scores[:, 0].std() > 1e-3


def test_a_longer_text_after_a_shorter_one_has_its_own_positions() -> None:
    rotary, x = Rotary(8), torch.randn(1, 1, 9, 8)
    short = rotary(x[:, :, :4])
    torch.testing.assert_close(rotary(x)[:, :, :4], short)
    torch.testing.assert_close(Rotary(8)(x), rotary(x))


def test_shared_key_value_heads_are_attention_with_each_repeated() -> None:
    torch.manual_seed(0)
    grouped = CausalAttention(16, 4, 2)
    whole = CausalAttention(16, 4)
    with torch.no_grad():
        for name in ("q_proj", "o_proj"):
            getattr(whole, name).weight.copy_(getattr(grouped, name).weight)
        for name in ("k_proj", "v_proj"):
            heads = getattr(grouped, name).weight.unflatten(0, (2, 4))
            getattr(whole, name).weight.copy_(heads.repeat_interleave(2, 0).flatten(0, 1))
    x = torch.randn(2, 5, 16)
    torch.testing.assert_close(grouped(x), whole(x))


def test_recomputed_layers_give_the_same_gradients_and_say_that_they_are() -> None:
    class Noting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[bool] = []
            # What keeps nothing for the backward pass is not computed again.
            self.scale = torch.nn.Parameter(torch.ones(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen.append(recomputing())
            return x * self.scale

    noting = Noting()
    plain, again = decoder(1), decoder(1, checkpointing=True)
    for model in (plain, again):
        mean_loss(model).backward()
    for (name, a), (_, b) in zip(plain.named_parameters(), again.named_parameters(), strict=True):
        assert a.grad is not None and b.grad is not None and torch.equal(a.grad, b.grad), name
    mean_loss(decoder(1, checkpointing=True, feed_forward=noting)).backward()
    assert noting.seen == [False, True]


def test_the_head_is_the_embedding() -> None:
    model = decoder()
    assert {n for n, p in model.named_parameters() if p.shape == (31, 16)} == {"embedding.weight"}
    x = model.embedding(tokens())
    for layer in model.layers:
        x = layer(x)
    torch.testing.assert_close(model(tokens()), model.norm(x) @ model.embedding.weight.T)


def test_losses_are_of_the_next_token() -> None:
    model, windows = decoder(), tokens()
    each = token_losses(model(windows[:, :-1]), windows[:, 1:])
    assert each.shape == (3, 10)
    expected = -F.log_softmax(model(windows[:, :-1]), -1)[1, 4, windows[1, 5]]
    torch.testing.assert_close(each[1, 4], expected)


def test_a_sequences_loss_is_the_mean_over_what_is_predicted_in_it() -> None:
    model, windows = decoder(), tokens()
    targets = windows[:, 1:].clone()
    targets[0, 2:], targets[1] = NOT_PREDICTED, NOT_PREDICTED
    each = token_losses(model(windows[:, :-1]), targets)
    whole = token_losses(model(windows[:, :-1]), windows[:, 1:])
    expected = torch.stack([whole[0, :2].mean(), torch.zeros(()), whole[2].mean()])
    torch.testing.assert_close(sequence_losses(each, targets), expected)


def test_what_writes_into_the_residual_stream_starts_smaller() -> None:
    torch.manual_seed(0)
    model = Decoder(256, 128, [(CausalAttention(128, 4), SwiGLU(128, 256)) for _ in range(8)])
    initialise(model)
    assert model.layers[0].mixer.q_proj.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert model.layers[0].mixer.o_proj.weight.std().item() == pytest.approx(0.005, rel=0.05)
    assert model.layers[0].feed_forward.down_proj.weight.std().item() == pytest.approx(0.005, rel=0.05)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Rotary(5), "must be even, not 5"),
        (lambda: CausalAttention(16, 3), "hidden .16. is not divisible by heads .3."),
        (lambda: CausalAttention(16, 4, 3), "heads .4. is not divisible by key_value_heads .3."),
    ],
)
def test_shapes_that_do_not_come_out_even_are_refused(make: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()  # type: ignore[operator]
