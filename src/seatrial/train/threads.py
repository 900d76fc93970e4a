"""How many CPU threads a training computes with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def at_most_threads(count: int | None) -> Iterator[None]:
    """No more than `count` threads inside (None: as many as there are), the caller's number after.

    Sums of several threads depend on how many there are, so that a stated number gives the same losses on
    every machine of one kind; and small products lose more by waiting for each other than they gain.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, count or before))
    try:
        yield
    finally:
        torch.set_num_threads(before)
