"""Where a rank stands among the ranks of a training, and what each group of them shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch.distributed as dist

from seatrial.config.training import Parallelism
from seatrial.mllog import TrainingLog
from seatrial.train.phases import Phases
from seatrial.train.ranks import Ranks

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

AXES = ("dp", "fsdp", "ep", "tp")
"""From the slowest to the fastest in a rank's number: tensor parallelism stays within a node."""


@dataclass(frozen=True)
class Axis:
    """One group of ranks, as one of them sees it; `group` is None where it is alone."""

    rank: int
    size: int
    group: dist.ProcessGroup | None = None


class Layout:
    """The ranks of a training as a grid of dp x fsdp x ep x tp.

    rank = ((dp * FSDP + fsdp) * EP + ep) * TP + tp. Ranks of one tp group see the same data, all others different
    data. Every rank forms the same groups in the same order; call it on all of them.
    """

    def __init__(self, ranks: Ranks, parallelism: Parallelism, phases: Phases) -> None:
        """Raises ValueError where the product of the sizes is not the number of ranks."""
        self.ranks, self.phases, self.device = ranks, phases, ranks.device
        sizes = (parallelism.copies(ranks.size), parallelism.fsdp, parallelism.ep, parallelism.tp)
        self._sizes = dict(zip(AXES, sizes, strict=True))
        self._place = dict(zip(AXES, _unravel(ranks.rank, sizes), strict=True))
        self.dp, self.fsdp, self.ep, self.tp = (self._axis((name,)) for name in AXES)
        self.replicas = self._axis(("dp", "ep"))
        """Ranks that hold the same (part of the) dense parameters and see different data."""
        self.data_opened_ms: int | None = None
        """When `opens_data` was called first, in milliseconds since 1970."""

    @property
    def data_rank(self) -> int:
        """Which share of the data this rank sees."""
        return (self.dp.rank * self.fsdp.size + self.fsdp.rank) * self.ep.size + self.ep.rank

    @property
    def data_size(self) -> int:
        """Ranks that see different data."""
        return self.dp.size * self.fsdp.size * self.ep.size

    @property
    def part(self) -> str:
        """Names this rank's part of the model: ranks with one name hold the same parameters or shards of them."""
        return f"tp{self.tp.rank}" if self.ep.size == 1 else f"tp{self.tp.rank}.ep{self.ep.rank}"

    def opens_data(self) -> None:
        """Called on all ranks before the first of them reads any training or evaluation data.

        MLPerf's clock starts here (training_rules.adoc: before any part of the system touches the dataset).
        """
        if self.data_opened_ms is None:
            self.ranks.barrier()
            self.data_opened_ms = TrainingLog.now()

    def data_total(self, values: Iterable[float]) -> list[float]:
        """The sum of each value over the ranks that see different data; the same on every rank."""
        # Ranks of one tp group say the same.
        return [value / self.tp.size for value in self.ranks.total(list(values))]

    def fsdp_mesh(self) -> DeviceMesh:
        """The one-dimensional mesh of the ranks that share parameters."""
        from torch.distributed.device_mesh import DeviceMesh

        assert self.fsdp.group is not None
        return DeviceMesh.from_group(self.fsdp.group, self.device.type, mesh_dim_names=("fsdp",))

    def _axis(self, names: tuple[str, ...]) -> Axis:
        """The group of this rank along `names`. Every rank makes every group, as torch.distributed wants it."""
        size = 1
        for name in names:
            size *= self._sizes[name]
        if size == 1:
            return Axis(0, 1)
        place, rank = self._place, 0
        for name in names:
            rank = rank * self._sizes[name] + place[name]
        if size == self.ranks.size:
            return Axis(rank, size, dist.group.WORLD)
        mine = None
        for members in _groups(tuple(self._sizes.values()), [AXES.index(name) for name in names]):
            group = dist.new_group(members)
            if self.ranks.rank in members:
                mine = group
        return Axis(rank, size, mine)


def _unravel(rank: int, sizes: tuple[int, ...]) -> list[int]:
    place = []
    for size in reversed(sizes):
        rank, index = divmod(rank, size)
        place.append(index)
    return place[::-1]


def _groups(sizes: tuple[int, ...], along: list[int]) -> list[list[int]]:
    """The ranks of every group along some axes of the grid, in the order of their numbers."""
    count = 1
    for size in sizes:
        count *= size
    key: Callable[[int], tuple[int, ...]] = lambda rank: tuple(  # noqa: E731
        index for axis, index in enumerate(_unravel(rank, sizes)) if axis not in along
    )
    groups: dict[tuple[int, ...], list[int]] = {}
    for rank in range(count):
        groups.setdefault(key(rank), []).append(rank)
    return list(groups.values())
