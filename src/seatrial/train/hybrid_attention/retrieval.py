"""Key-value sequences, each made from seed and position alone: any number of ranks, any restart sees the same.

Random numbers are a hash of (stream, seed, position, place) instead of a generator's state, so that sequences are
made many at once, in any order and on any device, to the same bits.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch

from seatrial.config.training import Retrieval
from seatrial.train.splitmix64 import GOLDEN, mixed, top_bits

MANTISSA_BITS = 53
STREAMS = {"training": 1, "evaluation": 2, "probe": 3}
Stream = Literal["training", "evaluation", "probe"]


class Sequences(NamedTuple):
    """`tokens` [n, length]: key, value, key, value ...; `queries` and `far` [n, slots]: which slots' values can be
    known from an earlier mention, and of which that mention is far back."""

    tokens: torch.Tensor
    queries: torch.Tensor
    far: torch.Tensor


def sequences(data: Retrieval, stream: Stream, seed: int, positions: torch.Tensor) -> Sequences:
    """The sequences [n] at `positions` of a stream, on the device of `positions`.

    Keys are tokens 0 ... keys - 1, values the tokens after them. `pairs` keys are drawn anew for every slot. Each
    far query has a key of its own that stands in two slots: one near the start, one more than `far_distance` later.
    """
    draws = _Draws(STREAMS[stream], seed, positions)
    # Not the most of these sequences: how many numbers a sequence draws must not depend on its neighbours.
    most = data.probe_far_queries if stream == "probe" else math.ceil(data.far_queries)
    far_count = _far_count(data, stream, draws).clamp(max=most)
    kinds = data.pairs + most
    which = (draws.uniform(data.slots) * data.pairs).long()
    first, second = _far_slots(data, draws, most)
    index = torch.arange(most, device=positions.device)
    own = torch.where(index < far_count[:, None], data.pairs + index, -1)
    for place in (first, second):
        which = which.scatter(1, place, torch.where(own < 0, which.gather(1, place), own))
    keys = draws.uniform(data.keys).argsort(dim=1, stable=True)[:, :kinds]
    values = (draws.uniform(kinds) * data.values).long() + data.keys
    tokens = torch.stack((keys.gather(1, which), values.gather(1, which)), dim=2).flatten(1)
    back = slots_since_last_mention(which)
    return Sequences(tokens, back > 0, back >= data.far_slots)


def slots_since_last_mention(which: torch.Tensor) -> torch.Tensor:
    """For every slot [n, slots] how many slots back the same key stood last; 0 where it did not."""
    slots = which.shape[1]
    # Sorted by (key, slot), the mentions of a key stand side by side.
    order = which.argsort(dim=1, stable=True)
    key = which.gather(1, order)
    back = torch.zeros_like(which)
    back[:, 1:] = torch.where(key[:, 1:] == key[:, :-1], order[:, 1:] - order[:, :-1], 0)
    return torch.zeros_like(which).scatter(1, order, back) if slots else back


def _far_count(data: Retrieval, stream: Stream, draws: _Draws) -> torch.Tensor:
    """Far queries of each sequence [n]: fixed in the probe, else the whole numbers next to the mean, by chance."""
    rounding = draws.uniform(1).squeeze(1)
    if stream == "probe":
        return torch.full_like(rounding, data.probe_far_queries, dtype=torch.int64)
    return (data.far_queries + rounding).floor().long()


def _far_slots(data: Retrieval, draws: _Draws, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Slots [n, count] of first mention and of far query: distinct, and every query far from its mention.

    Of two sorted draws the lesser places stand at the start and the greater at the end of the sequence; taken in a
    new order, so that those of fewer far queries are spread alike.
    """
    one, other = (
        draws.uniform(data.far_places).argsort(dim=1, stable=True)[:, :count].sort(dim=1).values for _ in range(2)
    )
    shuffled = draws.uniform(count).argsort(dim=1, stable=True)[:, :count]
    first = torch.minimum(one, other).gather(1, shuffled)
    second = torch.maximum(one, other).gather(1, shuffled) + data.slots - data.far_places
    return first, second


class _Draws:
    """Uniform numbers of each sequence, one after the other."""

    def __init__(self, stream: int, seed: int, positions: torch.Tensor) -> None:
        start = _drawn(torch.tensor([seed * 8 + stream], dtype=torch.int64, device=positions.device))
        self._base = _drawn(positions.long() ^ start)[:, None]
        self._used = 0

    def uniform(self, count: int) -> torch.Tensor:
        """The next `count` numbers in [0, 1) of every sequence: [n, count], float64 of 53 random bits."""
        place = torch.arange(self._used, self._used + count, device=self._base.device)
        self._used += count
        return top_bits(_drawn(self._base + place * GOLDEN), MANTISSA_BITS).double() * 2.0**-MANTISSA_BITS


def _drawn(counters: torch.Tensor) -> torch.Tensor:
    """SplitMix64's first number of each seed."""
    return mixed(counters + GOLDEN)
