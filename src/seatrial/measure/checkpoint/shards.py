"""What the probe writes: random bytes, different for every rank and every checkpoint, made anew to be compared.

Random bytes cannot be compressed, and no two blocks are alike: what a file system says it stored, it stored.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from seatrial.config.probe.checkpoint import PAGE
from seatrial.errors import MeasurementFailed

if TYPE_CHECKING:
    import numpy as np

CHUNK = 8 * 1024**2
"""Bytes that are made at once, a multiple of 8."""


def shard_bytes(size: int, rank: int, ranks: int) -> int:
    """Bytes of a checkpoint of `size` bytes that `rank` holds; shards differ by one byte at most."""
    return size * (rank + 1) // ranks - size * rank // ranks


class Shards:
    """The shards of one repeat and one page-aligned buffer that holds one of them at a time."""

    def __init__(self, seed: int, size: int, ranks: int) -> None:
        self.seed, self.size, self.ranks = seed, size, ranks
        longest = max(shard_bytes(size, rank, ranks) for rank in range(min(ranks, size)))
        self.buffer = mmap.mmap(-1, -(-longest // PAGE) * PAGE)

    def bytes_of(self, rank: int) -> int:
        """Bytes of the shard of `rank`."""
        return shard_bytes(self.size, rank, self.ranks)

    def fill(self, rank: int, number: int) -> None:
        """Put the shard of `rank` in checkpoint `number` into the buffer."""
        held = self._held()
        for start, chunk in self._chunks(rank, number):
            held[start : start + len(chunk)] = chunk

    def forget(self) -> None:
        """Empty the buffer, so that nothing of it can be taken for what is read next."""
        self._held().fill(0)

    def check(self, rank: int, number: int) -> None:
        """Compare every byte of the buffer with that shard. Raises MeasurementFailed (wrong_result)."""
        held = self._held()
        for start, chunk in self._chunks(rank, number):
            wrong = held[start : start + len(chunk)] != chunk
            if wrong.any():
                raise MeasurementFailed(
                    "wrong_result",
                    f"checkpoint {number}, shard of rank {rank}: what was read is not what was written, "
                    f"first at byte {start + int(wrong.argmax())}",
                )

    def _held(self) -> np.ndarray:
        import numpy as np

        return np.frombuffer(self.buffer, dtype=np.uint8)

    def _chunks(self, rank: int, number: int) -> Iterator[tuple[int, np.ndarray]]:
        """Start and content of each chunk of a shard."""
        import numpy as np

        size = self.bytes_of(rank)
        random = np.random.Generator(np.random.SFC64(np.random.SeedSequence([self.seed, rank, number])))
        for start in range(0, size, CHUNK):
            words = random.integers(0, 2**64 - 1, CHUNK // 8, dtype=np.uint64, endpoint=True)
            yield start, words.view(np.uint8)[: size - start]
