"""The collectives as torch offers them, each with its buffers and with a check of what arrived."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from seatrial.errors import Unsupported
from seatrial.measure.collective.pattern import (
    contribution,
    count_wrong_parts,
    draw_places,
    expected_sums,
    fill,
    sent,
    spoil,
)

if TYPE_CHECKING:
    import torch

SAMPLED_ROWS = 64
"""Periods of each part that a CPU reads of a large result of a timed iteration."""
LACKING = ("scalar type", "not supported", "does not support", "unsupported", "not implemented", "no backend")
"""How torch says that a backend has no such operation, or not for this dtype."""


class Exchange(ABC):
    """One collective between all ranks, of messages of `elements` elements.

    A message counts elements as nccl-tests counts bytes (see config.probe.Collective). `refill` makes the buffers
    ready, `perform` is the timed operation, `count_wrong` looks at the result. `look` does so once for each result,
    and `take_wrong` tells what was found.
    """

    def __init__(self, rank: int, ranks: int, elements: int, dtype: torch.dtype, device: torch.device) -> None:
        import torch

        self.rank, self.ranks, self.elements = rank, ranks, elements
        self.buffers = [
            torch.empty(held, dtype=dtype, device=device) for held in self.buffer_elements(elements, ranks)
        ]
        self.unseen = False
        self._found: list[torch.Tensor] = []
        self._places: list[int] | None = None
        self.whole = False
        """Whether every element of the next results is looked at, not only places drawn of a large one."""
        self.prepare()

    @staticmethod
    @abstractmethod
    def buffer_elements(elements: int, ranks: int) -> list[int]:
        """Elements of each buffer that a rank holds for a message of `elements`."""

    @abstractmethod
    def prepare(self) -> None:
        """Fill once what the operation only reads, and work out what is expected."""

    @abstractmethod
    def expected(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The result as [parts, elements of each], and one period of every part [parts, length]; on the device."""

    @abstractmethod
    def perform(self) -> None:
        """The timed operation."""

    def refill(self) -> None:
        """Make the buffers ready for one iteration: no result of an earlier one may pass for this one's.

        A CPU spoils and later reads a large result at places drawn anew each time, unless `whole`: all of it would
        leave its caches cold for the operation, which is timed.
        """
        self._draw()
        parts, periods = self.expected()
        spoil(parts, periods.shape[1], self._places)

    def count_wrong(self) -> torch.Tensor:
        """How many elements of this rank's result are wrong, at the places of the last refill; nobody waits."""
        return count_wrong_parts(*self.expected(), self._places)

    def look(self) -> None:
        """Count what is wrong in a result that nobody has looked at; the host does not wait for the device."""
        if self.unseen:
            self._found.append(self.count_wrong())
            self.unseen = False

    def _draw(self) -> None:
        parts, periods = self.expected()
        sampled = parts.device.type == "cpu" and not self.whole
        self._places = draw_places(parts.shape[1], periods.shape[1], SAMPLED_ROWS) if sampled else None

    def take_wrong(self) -> list[int]:
        """Wrong elements of every result since this was last asked, in order; waits.

        Raises ValueError where there was none: nothing was checked then.
        """
        import torch

        self.look()
        if not self._found:
            raise ValueError("no result was looked at")
        found: list[int] = torch.stack(self._found).tolist()
        self._found.clear()
        return found


class AllReduce(Exchange):
    """Sum over all ranks, in place."""

    @staticmethod
    def buffer_elements(elements: int, ranks: int) -> list[int]:
        return [elements]

    def prepare(self) -> None:
        # on the device, so that no refill waits for a copy
        self._mine = contribution(self.rank, self.ranks, self.elements).to(self.buffers[0])
        self._sums = expected_sums(self.ranks, self.elements).to(self.buffers[0])

    def refill(self) -> None:
        self._draw()
        fill(self.buffers[0], self._mine)

    def perform(self) -> None:
        import torch.distributed as dist

        dist.all_reduce(self.buffers[0])

    def expected(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.buffers[0].unsqueeze(0), self._sums.unsqueeze(0)


class AllGather(Exchange):
    """Every rank's part to every rank."""

    @staticmethod
    def buffer_elements(elements: int, ranks: int) -> list[int]:
        return [elements // ranks, elements]

    def prepare(self) -> None:
        import torch

        parts = torch.stack([sent(sender, 0, 1, self.elements) for sender in range(self.ranks)])
        self._parts = parts.to(self.buffers[1])
        fill(self.buffers[0], self._parts[self.rank])

    def perform(self) -> None:
        mine, everyone = self.buffers
        _torch_name("all_gather_single", "all_gather_into_tensor")(everyone, mine)

    def expected(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.buffers[1].view(self.ranks, -1), self._parts


class ReduceScatter(Exchange):
    """Sum over all ranks, of which each rank gets its part."""

    @staticmethod
    def buffer_elements(elements: int, ranks: int) -> list[int]:
        return [elements, elements // ranks]

    def prepare(self) -> None:
        fill(self.buffers[0], contribution(self.rank, self.ranks, self.elements))
        sums = expected_sums(self.ranks, self.elements).to(self.buffers[1])
        self._sums = sums.roll(-(self.rank * self.buffers[1].numel() % len(sums)))

    def perform(self) -> None:
        everything, mine = self.buffers
        _torch_name("reduce_scatter_single", "reduce_scatter_tensor")(mine, everything)

    def expected(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.buffers[1].unsqueeze(0), self._sums.unsqueeze(0)


class AllToAll(Exchange):
    """From every rank an equal part to every rank."""

    @staticmethod
    def buffer_elements(elements: int, ranks: int) -> list[int]:
        return [elements, elements]

    def prepare(self) -> None:
        import torch

        for receiver, part in enumerate(self.buffers[0].view(self.ranks, -1)):
            fill(part, sent(self.rank, receiver, self.ranks, self.elements))
        due = torch.stack([sent(sender, self.rank, self.ranks, self.elements) for sender in range(self.ranks)])
        self._due = due.to(self.buffers[1])

    def perform(self) -> None:
        import torch.distributed as dist

        outgoing, incoming = self.buffers
        dist.all_to_all_single(incoming, outgoing)

    def expected(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.buffers[1].view(self.ranks, -1), self._due


class Broadcast(Exchange):
    """Rank 0's buffer to every rank."""

    @staticmethod
    def buffer_elements(elements: int, ranks: int) -> list[int]:
        return [elements]

    def prepare(self) -> None:
        self._from_root = sent(0, 0, 1, self.elements).to(self.buffers[0])

    def refill(self) -> None:
        if self.rank == 0:
            self._draw()
            fill(self.buffers[0], self._from_root)
        else:
            super().refill()

    def perform(self) -> None:
        import torch.distributed as dist

        dist.broadcast(self.buffers[0], src=0)

    def expected(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.buffers[0].unsqueeze(0), self._from_root.unsqueeze(0)


class SendRecv(Exchange):
    """Every rank sends to the next and receives from the one before, in a ring."""

    @staticmethod
    def buffer_elements(elements: int, ranks: int) -> list[int]:
        return [elements, elements]

    def prepare(self) -> None:
        self._next, self._previous = (self.rank + 1) % self.ranks, (self.rank - 1) % self.ranks
        fill(self.buffers[0], sent(self.rank, self._next, self.ranks, self.elements))
        self._due = sent(self._previous, self.rank, self.ranks, self.elements).to(self.buffers[1])

    def perform(self) -> None:
        import torch.distributed as dist

        outgoing, incoming = self.buffers
        # the receiver's word that it is ready must not queue behind what it sends itself (gloo, two ranks)
        both = [
            dist.P2POp(dist.irecv, incoming, self._previous),
            dist.P2POp(dist.isend, outgoing, self._next),
        ]
        for work in dist.batch_isend_irecv(both):
            work.wait()

    def expected(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.buffers[1].unsqueeze(0), self._due.unsqueeze(0)


EXCHANGES: dict[str, type[Exchange]] = {
    "all_reduce": AllReduce,
    "all_gather": AllGather,
    "reduce_scatter": ReduceScatter,
    "all_to_all": AllToAll,
    "broadcast": Broadcast,
    "send_recv": SendRecv,
}


def perform(exchange: Exchange, operation: str) -> None:
    """Do it once. Raises Unsupported where the backend has no such operation, or not for the dtype."""
    import torch.distributed as dist

    try:
        exchange.perform()
        exchange.unseen = True
    except (RuntimeError, ValueError) as problem:
        if not any(phrase in str(problem).lower() for phrase in LACKING):
            raise
        raise Unsupported(
            f"{dist.get_backend()} has no {operation} of {exchange.buffers[0].dtype} on "
            f"{exchange.buffers[0].device.type}: {problem}"
        ) from problem


def _torch_name(*names: str) -> Callable[..., object]:
    """The function of torch.distributed that goes by one of `names`; newer versions have renamed some."""
    import torch.distributed as dist

    found: Callable[..., object] = next(getattr(dist, name) for name in names if hasattr(dist, name))
    return found
