"""Which samples of an evaluation a rank takes."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from seatrial.train.layout import Layout


def share_of(samples: int, layout: Layout, batch: int) -> Iterator[tuple[torch.Tensor, int]]:
    """This rank's samples of 0 ... samples - 1 in batches: their numbers [n], and how many of them count.

    Every rank does as many batches of the same sizes (ranks that share parameters gather them in each): where the
    samples do not come out even, the last of a batch repeat the first sample and do not count.
    """
    each = -(-samples // layout.data_size)
    numbers = torch.arange(each) * layout.data_size + layout.data_rank
    for part in numbers.split(batch):
        counted = int((part < samples).sum())
        yield torch.where(part < samples, part, 0), counted
