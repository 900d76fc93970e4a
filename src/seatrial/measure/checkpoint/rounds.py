"""Timed writes and reads of checkpoints, each between two readings of the counters."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from seatrial.config.probe.checkpoint import Checkpoint
from seatrial.measure.checkpoint.evidence import Direction, Evidence, OfRank, judged
from seatrial.measure.checkpoint.shards import Shards
from seatrial.measure.checkpoint.together import all_together
from seatrial.measure.context import RankContext
from seatrial.measure.storage import page_cache
from seatrial.measure.storage.counters import Counter, Moved, own_bytes
from seatrial.measure.timing import gather_samples, slowest_rank

log = logging.getLogger(__name__)


class Files(Protocol):
    """How a checkpoint is laid out in files; `source` is the rank whose shard this one reads."""

    rank: int
    source: int

    def files(self, rank: int, number: int) -> list[Path]: ...

    def write(self, number: int) -> None: ...

    def read(self, number: int) -> None: ...


@dataclass
class Timed:
    """One direction on this rank, by iteration: seconds, and bytes that the counters moved by.

    `device` is 0 on a rank whose counter another rank of its machine reads, and NaN where there is none.
    """

    direction: Direction
    seconds: list[float] = field(default_factory=list)
    device: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)
    """Of reads: the share of this rank's pages that the page cache held right before."""


@dataclass(frozen=True)
class Outcome:
    """One direction over all ranks, on rank 0: the slowest rank's seconds, every rank's, and the evidence."""

    slowest: list[float]
    by_rank: list[list[float]]
    evidence: Evidence


@dataclass(frozen=True)
class Rounds:
    """The probe's iterations on one rank. `counter` None: another rank reads it, or (not `counted`) nothing can."""

    ctx: RankContext
    workload: Checkpoint
    files: Files
    shards: Shards
    folder: Path
    counter: Counter | None
    counted: bool
    own_counts: bool
    """Whether this process's own counter sees what is read from this file system."""
    first_of_machine: bool
    resident: list[float] = field(default_factory=list)
    """Before each read: the share of this rank's pages that the page cache still holds."""

    def write_all(self) -> Timed:
        """Warm-up and timed writes; afterwards the last `kept_at_once` checkpoints lie there."""
        timed, warmup, kept = Timed("write"), self.workload.warmup, self.workload.kept_at_once
        for number in range(warmup + self.workload.iterations):
            self._step(self._remove, number - 1 if number <= warmup else number - kept)
            self._step(self.shards.fill, self.files.rank, number)
            self._time(timed, number >= warmup, self.files.write, number)
        return timed

    def read_all(self) -> Timed:
        """Warm-up and timed reads of the kept checkpoints, oldest first, each compared with what was written."""
        timed, warmup, kept = Timed("read"), self.workload.warmup, self.workload.kept_at_once
        total = warmup + self.workload.iterations
        there = range(total - kept, total)
        # warm-up reads take the newest, which come last again when it counts
        numbers = [there[-1 - i % kept] for i in range(warmup)]
        numbers += [there[i % kept] for i in range(self.workload.iterations)]
        for place, number in enumerate(numbers):
            self._step(self._forget, number)
            if place >= warmup:
                timed.resident.append(self.resident[-1])
            self._time(timed, place >= warmup, self.files.read, number)
            self._step(self.shards.check, self.files.source, number)
        return timed

    def outcome(self, timed: Timed, kinds: Sequence[str], machines: Sequence[str]) -> Outcome:
        """What all ranks together measured, `kinds` and `machines` by rank; complete on rank 0 only."""
        slowest = slowest_rank(self.ctx, timed.seconds)
        whose = self.files.rank if timed.direction == "write" else self.files.source
        sizes = gather_samples(self.ctx, [float(self.shards.bytes_of(whose))])
        device, own = gather_samples(self.ctx, timed.device), gather_samples(self.ctx, timed.own)
        resident = gather_samples(self.ctx, timed.resident) if timed.resident else [[] for _ in sizes]
        # on other ranks than 0 nothing was gathered
        ranks = [
            OfRank(machines[rank], size, device[rank], own[rank], resident[rank])
            for rank, (size,) in enumerate(sizes)
        ]
        evidence = judged(timed.direction, kinds, ranks, self.workload.fsync or self.workload.direct)
        return Outcome(slowest, gather_samples(self.ctx, timed.seconds), evidence)

    def _time(self, timed: Timed, counts: bool, step: Callable[[int], None], number: int) -> None:
        """One iteration; the counters are read before any rank starts and after all are done."""
        before, own_before = self._count(), own_bytes()
        seconds = self._step(step, number)
        device, own = self._count(), own_bytes()
        if not counts:
            return
        writes = timed.direction == "write"
        timed.seconds.append(seconds)
        timed.device.append(_difference(before, device, writes) if self.counted else math.nan)
        timed.own.append(
            math.nan if not self.own_counts or own_before is None else _difference(own_before, own, writes)
        )

    def _count(self) -> Moved | None:
        return self.counter.read() if self.counter is not None else None

    def _step(self, step: Callable[..., Any], *given: Any) -> float:
        return all_together(self.ctx, self.folder, step, *given)

    def _remove(self, number: int) -> None:
        for path in self.files.files(self.files.rank, number) if number >= 0 else ():
            path.unlink(missing_ok=True)

    def _forget(self, number: int) -> None:
        """Nothing of what is read next lies in memory of this machine, as far as it can be helped."""
        self.shards.forget()
        if self.workload.drop_caches and self.first_of_machine:
            page_cache.drop_all()
        held = size = 0.0
        for path in self.files.files(self.files.source, number):
            bytes_of = path.stat().st_size
            held, size = held + page_cache.drop(path) * bytes_of, size + bytes_of
        self.resident.append(held / size if size else 0.0)


def _difference(before: Moved | None, after: Moved | None, writes: bool) -> float:
    """Bytes between two readings; 0 where this rank reads no counter."""
    if before is None or after is None:
        return 0.0
    moved = after.since(before)
    return moved.written if writes else moved.read
