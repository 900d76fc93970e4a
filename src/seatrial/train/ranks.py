"""What the ranks of a training tell each other. With one rank nothing is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist


@dataclass(frozen=True)
class Ranks:
    """All ranks (the default process group) as one of them sees them."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def barrier(self) -> None:
        """Wait for all ranks."""
        if self.size > 1:
            dist.barrier()

    def total(self, values: Sequence[float]) -> list[float]:
        """The sum over ranks of each value, in float64; the same on every rank."""
        return self._reduced(values, dist.ReduceOp.SUM)

    def greatest(self, values: Sequence[float]) -> list[float]:
        """The maximum over ranks of each value; the same on every rank."""
        return self._reduced(values, dist.ReduceOp.MAX)

    def agree(self, value: float) -> float:
        """Rank 0's value, on every rank: decisions follow it, so that no rank goes on alone."""
        if self.size == 1:
            return value
        message = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(message, src=0)
        return float(message.item())

    def same_parameters(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Give every rank rank 0's values."""
        if self.size == 1:
            return
        with torch.no_grad():
            for parameter in parameters:
                dist.broadcast(parameter, src=0)

    def gathered_tensor(self, value: torch.Tensor) -> torch.Tensor | None:
        """Every rank's tensor (of one shape and float64), [ranks, ...] on the CPU of rank 0; None on the others."""
        if self.size == 1:
            return value.unsqueeze(0)
        mine = value.to(self.device)
        everyone = [torch.empty_like(mine) for _ in range(self.size)] if self.first else None
        dist.gather(mine, everyone, dst=0)
        return torch.stack(everyone).cpu() if everyone is not None else None

    def gathered(self, value: object) -> list[object]:
        """Every rank's value, by rank."""
        if self.size == 1:
            return [value]
        values: list[object] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def gathered_on_first(self, value: Any) -> list[Any]:
        """Every rank's value, by rank, on rank 0; this rank's own alone on the others."""
        if self.size == 1:
            return [value]
        values: list[Any] | None = [None] * self.size if self.first else None
        dist.gather_object(value, values, dst=0)
        return [value] if values is None else values

    def _reduced(self, values: Sequence[float], operation: dist.ReduceOp.RedOpType) -> list[float]:
        if self.size == 1:
            return list(values)
        message = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(message, op=operation)
        return [float(v) for v in message.tolist()]
