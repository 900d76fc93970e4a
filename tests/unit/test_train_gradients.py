"""Gradients over ranks: sent behind the backward pass or after it, they are those of one rank with all data."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from gloo_ranks import layout, on_ranks

from seatrial.train import buckets
from seatrial.train.buckets import GradientMean
from seatrial.train.gradients import reduce_gradients

WIDTH = 24


class Model(torch.nn.Module):
    """Three layers; the last is used by some data only, the first twice."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.rare = (torch.nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.second.double()  # another dtype goes in another message

    def forward(self, rows: torch.Tensor, rare: bool) -> torch.Tensor:
        hidden = torch.tanh(self.first(torch.tanh(self.first(rows))))
        hidden = hidden + self.second(hidden.double()).float()
        return (self.rare(hidden) if rare else hidden).square().mean()


def shares(size: int) -> list[tuple[torch.Tensor, bool]]:
    """For each of `size` ranks its rows, and whether it uses the rare layer: the last one alone does."""
    rows = torch.randn(size, 4, WIDTH, generator=torch.Generator().manual_seed(1))
    return [(part, rank == size - 1) for rank, part in enumerate(rows)]


def gradients(model: torch.nn.Module) -> list[torch.Tensor | None]:
    return [None if p.grad is None else p.grad.clone() for p in model.parameters()]


def averaged(rank: int, size: int, bucket_bytes: int, parts: int) -> dict[str, Any]:
    """Both ways on this rank, `parts` micro-batches each, and how many messages were on their way in between."""
    buckets.FIRST_BYTES = buckets.BYTES = bucket_bytes
    place = layout(rank, size)
    data = shares(size)[rank]
    found: dict[str, Any] = {}
    plain = Model()
    for _ in range(parts):
        (plain(*data) / parts).backward()
    reduce_gradients(plain.parameters(), place)
    found["plain"] = gradients(plain)

    model = Model()
    mean = GradientMean(list(model.parameters()), place)
    for _ in range(2):  # the second step begins without what the first left
        model.zero_grad(set_to_none=True)
        for part in range(parts):
            if part == parts - 1:
                mean.last_backward()
            (model(*data) / parts).backward()
            sent = sum(bucket.work is not None for bucket in mean._buckets)
            found.setdefault("sent", []).append(sent)
        mean.finish()
    found["behind"], found["buckets"] = gradients(model), len(mean._buckets)
    found["overlaps"] = mean.overlaps
    return found


@pytest.mark.parametrize(("bucket_bytes", "parts"), [(1 << 20, 1), (64, 3)])
def test_both_ways_give_the_same_gradients_on_all_ranks(bucket_bytes: int, parts: int) -> None:
    ranks = on_ranks(averaged, 2, bucket_bytes, parts)
    for found in ranks:
        assert found["overlaps"]
        for one, other, again in zip(found["plain"], found["behind"], ranks[0]["behind"], strict=True):
            assert torch.equal(one, other), "two ranks: a sum of two, whatever the message"
            assert torch.equal(other, again), "the same on every rank"
    # The rank that uses everything sends before its backward pass has ended; the other waits for what it lacks.
    assert ranks[1]["sent"][parts - 1] == ranks[1]["buckets"]
    assert ranks[0]["sent"][parts - 1] == 0, "the rare layer's bucket is first, and all keep that order"
    if parts > 1:
        assert ranks[1]["sent"][0] == 0, "nothing is sent before the last micro-batch"
        assert ranks[1]["buckets"] == 6, "one for each tensor"

    alone = Model()
    for rows, rare in shares(2):
        (alone(rows, rare) / 2).backward()
    for expected, found in zip(gradients(alone), ranks[0]["behind"], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def overlapping(rank: int, size: int) -> list[bool]:
    """Whether gradients are sent behind the backward pass in each layout of four ranks."""
    model = Model()
    places = ({}, {"fsdp": 2}, {"tp": 2}, {"ep": 2}, {"fsdp": 4})
    return [GradientMean(list(model.parameters()), layout(rank, size, **place)).overlaps for place in places]


def test_only_pure_data_parallelism_sends_behind_the_backward_pass() -> None:
    assert on_ranks(overlapping, 4) == [[True, False, False, False, False]] * 4


def test_one_rank_sends_nothing() -> None:
    model = Model()
    mean = GradientMean(list(model.parameters()), layout())
    mean.last_backward()
    model(*shares(1)[0]).backward()
    before = gradients(model)
    mean.finish()
    assert not mean.overlaps
    assert all(torch.equal(a, b) for a, b in zip(before, gradients(model), strict=True) if a is not None)


def marked(rank: int, size: int) -> list[float]:
    """Gradients of 1 + rank of a dense, an expert and a partial parameter on ep 2 x tp 2."""
    place = layout(rank, size, ep=2, tp=2)
    found = []
    for mark in ("", "expert", "tp_partial"):
        parameter = torch.nn.Parameter(torch.zeros(3))
        parameter.grad = torch.full((3,), 1.0 + rank)
        if mark:
            setattr(parameter, mark, True)
        found.append(parameter)
    reduce_gradients(found, place)
    return [float(p.grad[0]) for p in found if p.grad is not None]


def test_marks_say_over_which_ranks_a_gradient_is_averaged() -> None:
    """rank = ep * 2 + tp: dense over {0, 2} and {1, 3}; experts by two alone; partial ones summed over tp first."""
    dense = {0: 2.0, 1: 3.0}
    expected = [[dense[rank % 2], (1.0 + rank) / 2, 5.0] for rank in range(4)]
    assert on_ranks(marked, 4) == expected
