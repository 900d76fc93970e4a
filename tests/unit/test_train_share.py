"""Evaluation samples over ranks: each counts once, and all ranks do as many batches of the same sizes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from seatrial.train.share import share_of


@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 20))
def test_every_sample_counts_once_on_ranks_that_do_as_much(samples: int, ranks: int, batch: int) -> None:
    def of(rank: int) -> list[Any]:
        place: Any = SimpleNamespace(data_rank=rank, data_size=ranks)
        return list(share_of(samples, place, batch))

    shares = [of(rank) for rank in range(ranks)]
    counting = [int(n) for share in shares for numbers, counted in share for n in numbers[:counted]]
    assert sorted(counting) == list(range(samples))
    assert len({tuple(len(numbers) for numbers, _ in share) for share in shares}) == 1
    assert all(0 < len(numbers) <= batch and numbers.max() < samples for share in shares for numbers, _ in share)
