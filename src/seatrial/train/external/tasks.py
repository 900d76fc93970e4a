"""What the tasks of a job tell each other while commands run.

A command may run for hours, and the process group must neither time out meanwhile nor keep an accelerator busy with
waiting: the tasks talk through a store of their own, now and then. A task that falls silent is a lost peer.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from seatrial.measure.context import RankContext
from seatrial.measure.launch import read_launch
from seatrial.train.ranks import Ranks

if TYPE_CHECKING:
    from torch.distributed import TCPStore

TALK_SECONDS = 1.0
"""How often a task says that it is there and asks what the others say."""
SILENCE_SECONDS = 60.0
"""How long a task may say nothing before it counts as gone."""
LISTEN_SECONDS = 10.0
"""How often rank 0 looks who has fallen silent."""
STORE_TIMEOUT = timedelta(seconds=60)


@dataclass(frozen=True)
class Place:
    """Which of the started commands a task's own is."""

    number: int
    local_number: int
    count: int
    starts: bool
    """Whether this task starts the command at all."""
    first_ranks: tuple[int, ...]
    """The ranks of the tasks that start it, in the order of their numbers."""


def place_of(launch: str, rank: int, local_ranks: list[int]) -> Place:
    """The place of `rank` where every rank r is task local_ranks[r] of its node. `launch`: External.launch."""
    if launch == "per_task":
        starting = list(range(len(local_ranks)))
    elif launch == "per_node":
        starting = [r for r, local in enumerate(local_ranks) if local == 0]
    else:
        starting = [0]
    starts = rank in starting
    return Place(
        number=starting.index(rank) if starts else 0,
        local_number=local_ranks[rank] if launch == "per_task" else 0,
        count=len(starting),
        starts=starts,
        first_ranks=tuple(starting),
    )


def ranks_of(ctx: RankContext) -> Ranks:
    """The ranks, over whatever the process group talks: gloo leaves the accelerator to the command alone."""
    import torch
    import torch.distributed as dist

    over_device = ctx.world_size > 1 and dist.get_backend() == "nccl"
    return Ranks(ctx.rank, ctx.world_size, ctx.device if over_device else torch.device("cpu"))


class Tasks:
    """The tasks of a job as one of them sees the others. All make it at the same time, by collectives."""

    def __init__(self, ctx: RankContext, launch: str) -> None:
        ranks = ranks_of(ctx)
        self.rank, self.size = ctx.rank, ctx.world_size
        self.address = read_launch(os.environ).address
        local_ranks = [int(str(local)) for local in ranks.gathered(ctx.local_rank)]
        self.place = place_of(launch, ctx.rank, local_ranks)
        self._local_ranks = local_ranks
        self._store = self._meet(ranks)
        self.port = int(ranks.agree(float(_free_port() if ranks.first else 0)))
        self._talked = self._listened = 0.0
        self._heard = {rank: (0, time.monotonic()) for rank in range(1, self.size)}

    def local_count(self) -> int:
        """How many commands are started on a node (of the first one, where they differ)."""
        return 1 + max(self._local_ranks) if self.place.count == self.size else 1

    def _meet(self, ranks: Ranks) -> TCPStore | None:
        if self.size == 1:
            return None
        import torch.distributed as dist

        store = self._connect(dist, 0) if ranks.first else None
        port = int(ranks.agree(float(store.port if store is not None else 0)))
        return store if store is not None else self._connect(dist, port)

    def _connect(self, dist: object, port: int) -> TCPStore:
        store: TCPStore = dist.TCPStore(  # type: ignore[attr-defined]
            self.address, port, None, is_master=port == 0, timeout=STORE_TIMEOUT, wait_for_workers=False
        )
        return store

    def ask_to_stop(self) -> None:
        """Tell all tasks that the commands are to be stopped: rank 0 has seen enough."""
        if self._store is not None:
            self._store.set("stop", "1")

    def asked_to_stop(self) -> bool:
        """Whether ask_to_stop was called anywhere."""
        return self._store is not None and self._store.check(["stop"])

    def done(self) -> None:
        """This task's command has ended well."""
        if self._store is not None:
            self._store.add("done", 1)

    def all_done(self) -> bool:
        """Whether every command that was started has ended well."""
        return self._store is None or self._store.add("done", 0) >= self.place.count

    def due(self) -> bool:
        """Whether it is time to talk. Says that this task is there; rank 0 looks for those that are not.

        Raises RuntimeError in the words of a lost peer where one has fallen silent or rank 0 is gone.
        """
        if self._store is None:
            return True
        now = time.monotonic()
        if now - self._talked < TALK_SECONDS:
            return False
        self._talked = now
        if self.rank:
            self._store.add(f"beat/{self.rank}", 1)
        elif now - self._listened > LISTEN_SECONDS:
            self._listened = now
            self._listen(self._store, now)
        return True

    def _listen(self, store: TCPStore, now: float) -> None:
        for rank, (beats, since) in self._heard.items():
            count = store.add(f"beat/{rank}", 0)
            if count != beats:
                self._heard[rank] = count, now
            elif now - since > SILENCE_SECONDS:
                raise RuntimeError(
                    f"connection closed by peer: rank {rank} has said nothing for {now - since:.0f} s"
                )

    def leave(self, within: float = 60.0) -> None:
        """Say that this task needs the others no more; rank 0, which keeps the store, waits until all have."""
        if self._store is None:
            return
        if self.rank:
            self._store.add("left", 1)
            return
        deadline = time.monotonic() + within
        while self._store.add("left", 0) < self.size - 1 and time.monotonic() < deadline:
            time.sleep(0.02)


def _free_port() -> int:
    """A port of this host that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("", 0))
        return int(listener.getsockname()[1])
