"""All-to-all between the ranks of an ep group: rows to the ranks that hold their experts, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from seatrial.train.decoder import recomputing
from seatrial.train.layout import Layout
from seatrial.train.moe.stopwatch import Stopwatch


@dataclass(frozen=True)
class Splits:
    """Rows that go to each rank of the group, and rows that come from each."""

    sent: list[int]
    received: list[int]

    def reversed(self) -> Splits:
        return Splits(self.received, self.sent)


class Exchange:
    """The all-to-alls of one layer; `forward` and `backward` hold the time of those while training.

    Repeating a checkpointed layer belongs to the backward pass. Waiting for the slowest rank is part of the time.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.forward, self.backward = Stopwatch(layout.device), Stopwatch(layout.device)
        self.counting = False
        """Whether times are kept; evaluations are not part of the training."""

    def counts(self, kept: torch.Tensor) -> tuple[torch.Tensor, Splits]:
        """What each rank sends to this rank's experts, [ranks, local experts], from its own `kept` [experts]."""
        size = self.layout.ep.size
        sent = kept.unflatten(0, (size, -1))
        received = torch.empty_like(sent)
        with self.timed(self.backward if recomputing() else self.forward):
            dist.all_to_all_single(received, sent.contiguous(), group=self.layout.ep.group)
            rows = torch.stack((sent.sum(dim=1), received.sum(dim=1))).tolist()
        return received, Splits(*rows)

    def rows(self, x: torch.Tensor, splits: Splits) -> torch.Tensor:
        """The rows that come, by source rank, for rows `x` that go, by destination rank; differentiable."""
        return _AllToAll.apply(x, splits, self)

    def send(self, x: torch.Tensor, splits: Splits, stopwatch: Stopwatch) -> torch.Tensor:
        """One all-to-all of rows."""
        received = x.new_empty((sum(splits.received), *x.shape[1:]))
        with self.timed(stopwatch):
            dist.all_to_all_single(
                received, x.contiguous(), splits.received, splits.sent, group=self.layout.ep.group
            )
        return received

    @contextmanager
    def timed(self, stopwatch: Stopwatch) -> Iterator[None]:
        """Communication, and all-to-all's own time."""
        with self.layout.phases("communication"):
            if not self.counting:
                yield
                return
            stopwatch.start()
            yield
            stopwatch.stop()


class _AllToAll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, splits: Splits, exchange: Exchange) -> torch.Tensor:
        ctx.splits, ctx.exchange = splits, exchange
        return exchange.send(x, splits, exchange.backward if recomputing() else exchange.forward)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        exchange: Exchange = ctx.exchange
        return exchange.send(gradients[0], ctx.splits.reversed(), exchange.backward), None, None
