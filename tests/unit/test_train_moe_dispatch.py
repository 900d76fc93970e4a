"""Tokens reach exactly their experts and come back with their weights; capacity drops exactly the surplus."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from gloo_ranks import layout, on_ranks
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.train.moe.dispatch import assign, gather, place, scatter, take
from seatrial.train.moe.exchange import Exchange
from seatrial.train.moe.experts import Experts, grouped_product


@st.composite
def choices(draw: st.DrawFn) -> tuple[torch.Tensor, int]:
    """Distinct experts of each token [N, k], and how many experts there are."""
    count = draw(st.integers(1, 9))
    top_k = draw(st.integers(1, count))
    tokens = draw(st.integers(1, 17))
    rows = draw(st.lists(st.permutations(range(count)), min_size=tokens, max_size=tokens))
    return torch.tensor([row[:top_k] for row in rows]), count


@settings(deadline=None)
@given(choices())
def test_every_token_arrives_at_exactly_its_experts(drawn: tuple[torch.Tensor, int]) -> None:
    experts, count = drawn
    tokens = torch.arange(len(experts), dtype=torch.float64)[:, None]
    found = assign(experts, count, None)
    rows = scatter(tokens, found.slots, experts.shape[1])
    arrived = [part.flatten().long().tolist() for part in rows.split(found.kept.tolist())]
    assert arrived == [[t for t, row in enumerate(experts.tolist()) if e in row] for e in range(count)]
    assert torch.equal(found.kept, found.chosen)


@settings(deadline=None)
@given(choices(), st.integers(1, 6))
def test_capacity_drops_exactly_the_surplus_and_the_last_tokens(
    drawn: tuple[torch.Tensor, int], limit: int
) -> None:
    experts, count = drawn
    found = assign(experts, count, limit)
    kept = found.slots.div(experts.shape[1], rounding_mode="floor").split(found.kept.tolist())
    for expert, tokens in enumerate(kept):
        wanted = [t for t, row in enumerate(experts.tolist()) if expert in row]
        assert tokens.tolist() == wanted[:limit]
        assert found.chosen[expert] == len(wanted)


@settings(deadline=None)
@given(choices(), st.one_of(st.none(), st.integers(1, 6)))
def test_outputs_come_back_weighted_and_dropped_ones_as_zero(
    drawn: tuple[torch.Tensor, int], limit: int | None
) -> None:
    experts, count = drawn
    n, k = experts.shape
    torch.manual_seed(0)
    tokens = torch.randn(n, 3, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(n, k, dtype=torch.float64, requires_grad=True)
    factor = torch.randn(count, 3, dtype=torch.float64)
    found = assign(experts, count, limit)
    rows = scatter(tokens, found.slots, k) * factor.repeat_interleave(found.kept, 0)
    mixed = gather(rows, found.slots, weights)

    reached = torch.zeros(n * k, dtype=torch.float64).index_fill(0, found.slots, 1.0).view(n, k)
    expected = ((reached * weights)[:, :, None] * factor[experts] * tokens[:, None]).sum(1)
    torch.testing.assert_close(mixed, expected)
    draws = torch.randn(n, 3, dtype=torch.float64)
    own = torch.autograd.grad(mixed, (tokens, weights), draws)
    torch.testing.assert_close(own, torch.autograd.grad(expected, (tokens, weights), draws))


def test_moving_rows_by_index_has_the_gradients_of_what_it_does() -> None:
    index = torch.tensor([2, 0, 3])
    x = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: take(x, index), x)
    assert torch.autograd.gradcheck(lambda x: place(x, index, 6), x[:3].detach().requires_grad_())
    assert torch.equal(place(x[:3], index, 4)[1], torch.zeros(2, dtype=torch.float64))


@pytest.mark.parametrize("counts", [[3, 0, 7, 2], [0, 0, 12, 0], [0, 0, 0, 0]])
@pytest.mark.parametrize(("hidden", "inner"), [(8, 4), (5, 3)], ids=["one kernel", "one product each"])
def test_grouped_products_are_each_groups_own(counts: list[int], hidden: int, inner: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(sum(counts), hidden, requires_grad=True)
    weights = torch.randn(4, hidden, inner, requires_grad=True)
    found = grouped_product(x, weights, torch.tensor(counts))
    expected = torch.cat([rows @ weights[i] for i, rows in enumerate(x.split(counts))])
    torch.testing.assert_close(found, expected)
    draws = torch.randn_like(found)
    for own, other in zip(
        torch.autograd.grad(found, (x, weights), draws),
        torch.autograd.grad(expected, (x, weights), draws),
        strict=True,
    ):
        torch.testing.assert_close(own, other)


def test_experts_are_gated_feed_forwards() -> None:
    experts = Experts(8, 4, 3, layout())
    experts.initialise(5, 0.5)
    x = torch.randn(7, 8)
    found = experts(x, torch.tensor([2, 0, 5]))
    for rows, own, gate_up, down in zip(
        x.split([2, 0, 5]), found.split([2, 0, 5]), experts.gate_up, experts.down, strict=True
    ):
        expected = (F.silu(rows @ gate_up[:, :4]) * (rows @ gate_up[:, 4:])) @ down
        torch.testing.assert_close(own, expected)
    assert experts.down.std() < 0.7 * experts.gate_up.std()


def exchanged(rank: int, size: int) -> tuple[list[float], list[float], tuple[float, float], float]:
    """Uneven rows there and back: rank 0 sends one row to rank 0 and three to rank 1, rank 1 none at all."""
    place = layout(rank, size, ep=2)
    exchange = Exchange(place)
    exchange.counting = True
    place.phases.start()
    kept = torch.tensor([[1, 0, 2, 1], [0, 0, 0, 0]][rank])
    rows = torch.arange(int(kept.sum()), dtype=torch.float32)[:, None].requires_grad_()
    received, splits = exchange.counts(kept)
    there = exchange.rows(rows, splits)
    back = exchange.rows(there * 10, splits.reversed())
    (back * torch.arange(1, len(back) + 1)[:, None]).sum().backward()
    place.phases.step_done()
    _, ((_, communication, _, _),) = place.phases.stop()
    assert rows.grad is not None
    assert received.tolist() == [[[1, 0], [0, 0]], [[2, 1], [0, 0]]][rank]
    assert there.flatten().tolist() == [[0.0], [1.0, 2.0, 3.0]][rank]
    times = (exchange.forward.seconds(), exchange.backward.seconds())
    return back.flatten().tolist(), rows.grad.flatten().tolist(), times, communication


def test_rows_and_gradients_go_to_other_ranks_and_back_and_the_time_is_theirs() -> None:
    first, second = on_ranks(exchanged, 2)
    assert first[:2] == ([0.0, 10.0, 20.0, 30.0], [10.0, 20.0, 30.0, 40.0])
    assert second[:2] == ([], [])
    for _, _, (forward, backward), communication in (first, second):
        assert min(forward, backward) > 0
        assert forward + backward <= communication
